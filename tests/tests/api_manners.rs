//! The aggregated API beside Kubernetes' own: what kubectl makes of it, what it answers to nonsense, and what the logs of both
//! sides say.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, ensure};
use axum::http::HeaderMap;
use latchkey_e2e::{
    exchange::Exchanger,
    folder::TempFolder,
    issuer::{Issuer, IssuerOptions},
    leak,
    site::{AUTHENTICATOR, Site},
    wait::eventually,
};
use serde_json::{Value, json};

/// kube-apiserver writes its audit log in batches.
const WRITTEN: Duration = Duration::from_secs(30);

/// A lease is taken within three seconds; the rest is for two busy cores.
const MADE: Duration = Duration::from_secs(30);

/// kube-apiserver fetches an aggregated API's document a second after its `APIService` changed, and then every minute.
const FETCHED: Duration = Duration::from_secs(90);

/// Where nothing is ever listed.
const LIST: &str = "/apis/login.concierge.latchkey.dev/v1alpha1/tokencredentialrequests";

const MEBIBYTE: usize = 1024 * 1024;

#[tokio::test]
async fn kubectl_finds_explains_lists_and_creates_the_virtual_kinds() -> Result<()> {
    let work = TempFolder::new("manners")?;
    let (site, issuer) = site(&work).await?;
    kubectl_lists(&site).await?;
    a_namespace_can_be_deleted(&site).await?;
    nonsense_has_a_clear_answer(&site, &issuer).await?;
    what_is_too_big_is_413(&site, &issuer).await?;
    // By now the API server may have fetched what these two need.
    kubectl_explains(&site).await?;
    kubectl_creates_and_is_told_what_is_wrong(&site, &issuer, &work).await?;
    // Last, when everything above has left its lines.
    both_audit_logs_join_and_hold_no_token(&site, &issuer).await
}

async fn kubectl_explains(site: &Site) -> Result<()> {
    eventually("the API server to have fetched our OpenAPI document", FETCHED, async || {
        site.cluster.kubectl_ok(&["explain", "tokencredentialrequest"]).await
    })
    .await?;
    for (path, words) in [
        ("tokencredentialrequest", &["login.concierge.latchkey.dev", "TokenCredentialRequest", "spec", "status"][..]),
        ("tokencredentialrequest.spec", &["authenticator", "token", "certificateSigningRequest"]),
        ("tokencredentialrequest.spec.authenticator", &["apiGroup", "kind", "name"]),
        ("tokencredentialrequest.status.credential", &["clientCertificateData", "expirationTimestamp"]),
        ("whoamirequest.status.kubernetesUserInfo", &["user", "audiences"]),
        ("jwtauthenticator.spec", &["-required-", "audience", "issuer"]),
        (
            "jwtauthenticator.spec.audience",
            &["FIELD: audience <string>", "this cluster's own client", "never share one"],
        ),
        ("jwtauthenticator.spec.claims", &["username", "groups"]),
        ("credentialissuer.status.strategies", &["reason", "message", "frontend"]),
    ] {
        let text = site.cluster.kubectl_ok(&["explain", path]).await?;
        for word in words {
            ensure!(text.contains(word), "kubectl explain {path} does not say {word:?}:\n{text}");
        }
    }
    Ok(())
}

async fn kubectl_lists(site: &Site) -> Result<()> {
    let text = site.cluster.kubectl_ok(&["api-resources", "--categories=latchkey", "-o", "wide"]).await?;
    for (kind, verbs) in [
        ("TokenCredentialRequest", "create,list"),
        ("WhoAmIRequest", "create,list"),
        ("JWTAuthenticator", "delete,"),
        ("WebhookAuthenticator", "delete,"),
        ("CredentialIssuer", "delete,"),
    ] {
        let line = text.lines().find(|line| line.split_whitespace().any(|word| word == kind));
        let line = line.with_context(|| format!("no {kind} in\n{text}"))?;
        ensure!(line.contains(verbs) && line.contains(" false "), "{line}");
    }

    // The leader makes the CredentialIssuer as soon as it is one.
    eventually("all kinds of ours under one word", MADE, async || {
        let text = site.cluster.kubectl_ok(&["get", "latchkey", "-o", "name"]).await?;
        for name in [
            "jwtauthenticator.authentication.concierge.latchkey.dev/corp",
            "credentialissuer.config.concierge.latchkey.dev/latchkey",
        ] {
            ensure!(text.lines().any(|line| line == name), "no {name} in\n{text}");
        }
        Ok(())
    })
    .await?;
    let table = site.cluster.kubectl_ok(&["get", "latchkey"]).await?;
    ensure!(table.contains("https://127.0.0.1:") && table.contains("Ready"), "{table}");

    for kind in ["tokencredentialrequests", "whoamirequests"] {
        let output = site.cluster.kubectl(&["get", kind]).await?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success() && said.contains("No resources found"), "{said}");
        let output = site.cluster.kubectl(&["get", kind, "some-name"]).await?;
        ensure!(!output.status.success(), "there is nothing to get");
    }

    let table = http_get(site, "application/json;as=Table;v=v1;g=meta.k8s.io,application/json").await?;
    ensure!(table["kind"] == "Table" && table["rows"] == json!([]), "{table}");
    let list = http_get(site, "application/json").await?;
    ensure!(list["kind"] == "TokenCredentialRequestList" && list["items"] == json!([]), "{list}");
    Ok(())
}

async fn kubectl_creates_and_is_told_what_is_wrong(site: &Site, issuer: &Issuer, work: &TempFolder) -> Result<()> {
    let door = Exchanger::through(&site.cluster)?;
    let good = door.request(AUTHENTICATOR, &token(issuer)?);
    let created = create(site, work, &good).await?;
    ensure!(created.0, "{}", created.1);
    ensure!(created.1.contains("-----BEGIN CERTIFICATE-----"), "no certificate in what kubectl got");

    let with = |change: fn(&mut Value)| {
        let mut object = good.clone();
        change(&mut object);
        object
    };
    for (object, words) in [
        (with(|object| object["spec"]["token"] = "".into()), "token must be supplied"),
        (with(|object| object["spec"]["tokn"] = "x".into()), "unknown field \"tokn\""),
        (with(|object| object["spec"]["token"] = json!(["x"])), "spec.token: got \"array\", expected \"string\""),
        (with(|object| object["kind"] = "TokenCredentialRequests".into()), "no matches for kind"),
    ] {
        let (is_created, said) = create(site, work, &object).await?;
        ensure!(!is_created && said.contains(words), "expected {words:?}, was told: {said}");
    }
    // A refused token is no error of the request: it is created, and says so.
    let (is_created, said) = create(site, work, &door.request(AUTHENTICATOR, "no.good.token")).await?;
    ensure!(is_created && said.contains("authentication failed"), "{said}");
    let output = site.cluster.kubectl(&["create", "--dry-run=server", "-f", &write(work, &good)?]).await?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(!output.status.success() && said.contains("dryRun"), "{said}");
    Ok(())
}

async fn a_namespace_can_be_deleted(site: &Site) -> Result<()> {
    // The namespace controller asks every API group there is what it holds; one that does not answer stalls it.
    site.cluster.kubectl_ok(&["create", "namespace", "short-lived"]).await?;
    site.cluster.kubectl_ok(&["delete", "namespace", "short-lived", "--timeout=60s"]).await.map(drop)
}

async fn nonsense_has_a_clear_answer(site: &Site, issuer: &Issuer) -> Result<()> {
    let door = Exchanger::through(&site.cluster)?;
    let good = door.request(AUTHENTICATOR, &token(issuer)?);
    let with = |change: fn(&mut Value)| {
        let mut object = good.clone();
        change(&mut object);
        object.to_string()
    };
    let rows = [
        ("not JSON", "{\"kind\":".to_owned(), 400, "BadRequest"),
        ("nothing", String::new(), 400, "BadRequest"),
        ("no object", "[]".to_owned(), 400, "BadRequest"),
        ("wrong kind", with(|object| object["kind"] = "WhoAmIRequest".into()), 400, "BadRequest"),
        ("wrong group", with(|object| object["apiVersion"] = "v1".into()), 400, "BadRequest"),
        ("token of a wrong type", with(|object| object["spec"]["token"] = 7.into()), 400, "BadRequest"),
        ("empty token", with(|object| object["spec"]["token"] = "".into()), 422, "Invalid"),
        ("no spec", with(|object| object["spec"] = Value::Null), 422, "Invalid"),
        ("a namespace", with(|object| object["metadata"]["namespace"] = "default".into()), 400, "BadRequest"),
    ];
    for (row, body, code, reason) in rows {
        let answer = door.post(body.into_bytes(), HeaderMap::new()).await?;
        let seen = (answer.code, &answer.body["kind"], &answer.body["reason"]);
        ensure!(seen == (code, &json!("Status"), &json!(reason)), "{row}: {}: {}", answer.code, answer.body);
        leak::no_token(row, &answer.body.to_string())?;
    }
    // These are well-formed, so they are answered as every refused token, and only the record tells why.
    for (row, change, code) in [
        (
            "unknown authenticator",
            (|object| object["spec"]["authenticator"]["name"] = "nobody".into()) as fn(&mut Value),
            "authenticator-unknown",
        ),
        (
            "unknown authenticator kind",
            |object| object["spec"]["authenticator"]["kind"] = "PasswordAuthenticator".into(),
            "authenticator-unknown",
        ),
        (
            "another kind's authenticator",
            |object| object["spec"]["authenticator"]["kind"] = "WebhookAuthenticator".into(),
            "authenticator-unknown",
        ),
        (
            "group of the authenticator with a version",
            |object| {
                object["spec"]["authenticator"]["apiGroup"] = "authentication.concierge.latchkey.dev/v1alpha1".into();
            },
            "authenticator-unknown",
        ),
        ("a token over 16 KiB", |object| object["spec"]["token"] = "eyJ".repeat(6_000).into(), "token-too-large"),
        ("a token that is none", |object| object["spec"]["token"] = "swordfish".into(), "malformed-token"),
    ] {
        let answer = door.post(with(change).into_bytes(), HeaderMap::new()).await?;
        answer.refused().context(row)?;
        let record = site.record_of(answer.audit_id()?).await?;
        ensure!(record["code"] == code, "{row}: {record}");
    }
    ensure!(door.send(&good).await?.is_granted(), "the server stays up");
    Ok(())
}

async fn what_is_too_big_is_413(site: &Site, issuer: &Issuer) -> Result<()> {
    let door = Exchanger::through(&site.cluster)?;
    let good = door.request(AUTHENTICATOR, &token(issuer)?);
    let mut long_token = good.clone();
    long_token["spec"]["token"] = "e".repeat(MEBIBYTE).into();
    let mut long_body = good.clone();
    long_body["metadata"]["annotations"] = json!({"padding": "x".repeat(3 * MEBIBYTE - 4_096)});
    for (row, object) in [("a token of 1 MiB", &long_token), ("a body of 3 MiB", &long_body)] {
        let answer = door.send(object).await.context(row)?;
        ensure!(answer.code == 413, "{row}: {}: {}", answer.code, answer.body);
        ensure!(answer.body["reason"] == "RequestEntityTooLarge", "{row}: {}", answer.body);
    }
    ensure!(door.send(&good).await?.is_granted(), "the server stays up");
    Ok(())
}

async fn both_audit_logs_join_and_hold_no_token(site: &Site, issuer: &Issuer) -> Result<()> {
    let door = Exchanger::through(&site.cluster)?;
    let answer = door.exchange(&token(issuer)?).await?;
    ensure!(answer.is_granted());
    let record = site.record_of(answer.audit_id()?).await?;
    ensure!(record["code"] == "granted", "{record}");
    let told = answer.audit_id()?;
    eventually("the API server's record of the same request", WRITTEN, async || {
        let log = fs::read_to_string(site.cluster.audit_log())?;
        let event = log.lines().find(|line| line.contains(told)).context("not written yet")?;
        let event: Value = serde_json::from_str(event)?;
        ensure!(event["objectRef"]["resource"] == "tokencredentialrequests" && event["verb"] == "create", "{event}");
        ensure!(event["user"]["username"] == "system:anonymous", "{event}");
        Ok(())
    })
    .await?;

    let theirs = fs::read_to_string(site.cluster.audit_log())?;
    for (whose, text) in
        [("the API server's audit log", theirs), ("what the concierge wrote", site.concierge.everything_written())]
    {
        ensure!(!text.is_empty());
        leak::no_token(whose, &text)?;
    }
    // Nonsense and floods later, every line is still JSON.
    ensure!(!site.concierge.log_lines()?.is_empty());
    Ok(())
}

async fn site(work: &TempFolder) -> Result<(Site, Issuer)> {
    let issuer = Issuer::start(IssuerOptions::default()).await?;
    let site = Site::start("staging", work.path()).await?;
    site.trust(&issuer).await?;
    Ok((site, issuer))
}

fn token(issuer: &Issuer) -> Result<String> {
    issuer.id_token("ann", &Site::audience("staging"))
}

/// `kubectl create -f`: whether it succeeded, and all it said.
async fn create(site: &Site, work: &TempFolder, object: &Value) -> Result<(bool, String)> {
    let output = site.cluster.kubectl(&["create", "-o", "yaml", "-f", &write(work, object)?]).await?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

fn write(work: &TempFolder, object: &Value) -> Result<String> {
    let path = work.write("request.json", object.to_string())?;
    Ok(path.to_string_lossy().into_owned())
}

async fn http_get(site: &Site, accept: &str) -> Result<Value> {
    let request = axum::http::Request::get(LIST).header("accept", accept).body(Vec::new())?;
    Ok(site.cluster.client().await?.request(request).await?)
}
