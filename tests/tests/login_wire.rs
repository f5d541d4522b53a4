//! The exchange word for word as Pinniped's CLI knows it, under Pinniped's group names and under ours.

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use latchkey_e2e::{
    cluster::{ClusterOptions, Identity},
    concierge::ConciergeOptions,
    exchange::{Answer, Exchanger},
    folder::TempFolder,
    issuer::Issuer,
    site::{AUTHENTICATOR, Site, issuer_for},
};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use x509_parser::{parse_x509_certificate, pem::parse_x509_pem};

#[tokio::test]
async fn a_client_of_pinniped_is_served_word_for_word() -> Result<()> {
    let work = TempFolder::new("login-wire")?;
    let options = ConciergeOptions { suffix: "pinniped.dev".parse()?, ..ConciergeOptions::default() };
    let (issuer, site) = tokio::try_join!(
        issuer_for(&["staging"]),
        Site::start_with(ClusterOptions::named("staging"), options, "staging", work.path())
    )?;
    site.trust(&issuer).await?;
    site.offers("CertificateSigningRequestAPI").await?;
    ensure!(door(&site)?.url().ends_with("/apis/login.concierge.pinniped.dev/v1alpha1/tokencredentialrequests"));

    a_good_token_is_answered_with_certificate_and_key(&site, &issuer).await?;
    what_older_clients_send_is_taken_too(&site, &issuer).await?;
    every_refusal_has_the_same_answer(&site, &issuer).await?;
    what_is_no_request_is_answered_with_a_status(&site, &issuer).await?;
    the_list_is_empty(&site).await
}

#[tokio::test]
async fn a_client_without_a_certificate_request_gets_a_key_of_the_servers_making() -> Result<()> {
    let work = TempFolder::new("login-wire-default")?;
    let (issuer, site) = tokio::try_join!(issuer_for(&["staging"]), Site::start("staging", work.path()))?;
    site.trust(&issuer).await?;
    site.offers("CertificateSigningRequestAPI").await?;
    ensure!(door(&site)?.url().ends_with("/apis/login.concierge.latchkey.dev/v1alpha1/tokencredentialrequests"));
    a_good_token_is_answered_with_certificate_and_key(&site, &issuer).await?;
    the_list_is_empty(&site).await
}

async fn a_good_token_is_answered_with_certificate_and_key(site: &Site, issuer: &Issuer) -> Result<()> {
    let token = issuer.id_token("ann", &Site::audience("staging"))?;
    let group = site.concierge.suffix().to_string();
    // As text, so that nothing of ours decides how the request is written.
    let body = format!(
        r#"{{"kind":"TokenCredentialRequest","apiVersion":"login.concierge.{group}/v1alpha1","metadata":{{}},"spec":{{"token":"{token}","authenticator":{{"apiGroup":"authentication.concierge.{group}","kind":"JWTAuthenticator","name":"corp"}}}},"status":{{}}}}"#
    );
    let reply = post(site, &body).await?;
    ensure!(reply.code == 201, "{reply:?}");
    let mut answer = reply.body;
    let credential = answer["status"]["credential"].take();
    ensure!(answer == around(site, &json!({"credential": null})), "{answer}");

    let text = |member: &str| Ok::<_, anyhow::Error>(credential[member].as_str().context("text")?.to_owned());
    ensure!(credential.as_object().context("an object")?.len() == 3, "more than Pinniped's members: {credential}");
    let (certificate, key) = (text("clientCertificateData")?, text("clientKeyData")?);
    ensure!(key.starts_with("-----BEGIN PRIVATE KEY-----\n"), "a PKCS#8 key as PEM");
    let end = text("expirationTimestamp")?.parse::<jiff::Timestamp>()?.as_second();
    ensure!(text("expirationTimestamp")?.len() == "2026-07-23T12:05:00Z".len(), "whole seconds, UTC: {credential}");
    let (_, pem) = parse_x509_pem(certificate.as_bytes())?;
    let (_, parsed) = parse_x509_certificate(&pem.contents)?;
    ensure!(parsed.validity().not_after.timestamp() == end, "the announced end is the certificate's own");

    let kubeconfig = site.cluster.write_kubeconfig("ann", &Identity::Certificate { certificate, key })?;
    let whoami = site.cluster.kubectl_as(&kubeconfig, &["auth", "whoami", "-o", "json"]).await?;
    ensure!(whoami.status.success(), "{}", String::from_utf8_lossy(&whoami.stderr));
    let user = &serde_json::from_slice::<Value>(&whoami.stdout)?["status"]["userInfo"];
    ensure!(user["username"] == "ann" && user["groups"] == json!(["developers", "system:authenticated"]), "{user}");
    let listed = site.cluster.kubectl_as(&kubeconfig, &["get", "configmaps", "-n", "default"]).await?;
    ensure!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    Ok(())
}

async fn what_older_clients_send_is_taken_too(site: &Site, issuer: &Issuer) -> Result<()> {
    let token = issuer.id_token("ann", &Site::audience("staging"))?;
    for metadata in [json!({"creationTimestamp": null}), json!({"name": "mine", "labels": {"a": "b"}})] {
        let mut body = request(site, &token)?;
        body["metadata"] = metadata;
        let reply = door(site)?.send(&body).await?;
        ensure!(reply.code == 201 && reply.body["status"]["credential"].is_object(), "{:?}", reply.body["status"]);
        ensure!(reply.body["metadata"] == json!({}) && reply.body["spec"].get("token").is_none(), "nothing is echoed");
    }
    Ok(())
}

async fn every_refusal_has_the_same_answer(site: &Site, issuer: &Issuer) -> Result<()> {
    let audience = Site::audience("staging");
    let good = issuer.id_token("ann", &audience)?;
    let named = |path: &str, value: Value| {
        let mut body = request(site, &good).expect("the cluster's CA parses");
        *body.pointer_mut(path).expect("a member of the request") = value;
        body
    };
    let with_claim = |name: &str, value: Value| {
        let mut claims = issuer.claims("ann", &audience)?;
        claims[name] = value;
        issuer.mint(&claims).and_then(|token| request(site, &token))
    };
    let altered = {
        let (signed, signature) = good.rsplit_once('.').context("three segments")?;
        let mut signature = URL_SAFE_NO_PAD.decode(signature)?;
        signature[0] ^= 1;
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    };
    let cases = [
        ("authenticator-unknown", named("/spec/authenticator/name", "another".into())),
        ("authenticator-unknown", named("/spec/authenticator/kind", "WebhookAuthenticator".into())),
        ("authenticator-unknown", named("/spec/authenticator/kind", "jwtauthenticator".into())),
        ("authenticator-unknown", named("/spec/authenticator/apiGroup", "authentication.concierge.example.io".into())),
        ("malformed-token", request(site, "opaque")?),
        ("signature-invalid", request(site, &altered)?),
        ("audience-mismatch", with_claim("aud", "kubernetes-production".into())?),
        ("issuer-unknown", with_claim("iss", "https://issuer.example".into())?),
        ("expired", with_claim("exp", (issuer.now() - 3600).into())?),
        ("identity-reserved", with_claim("preferred_username", "system:admin".into())?),
    ];
    for (code, body) in cases {
        let reply = door(site)?.send(&body).await?;
        ensure!(reply.code == 201, "{code}: {reply:?}");
        ensure!(reply.body == around(site, &json!({"message": "authentication failed"})), "{code}: {}", reply.body);
        let record = site.record_of(reply.audit_id()?).await?;
        ensure!(record["code"] == code, "expected {code}: {record}");
    }
    Ok(())
}

async fn what_is_no_request_is_answered_with_a_status(site: &Site, issuer: &Issuer) -> Result<()> {
    let reply = door(site)?.send(&request(site, "")?).await?;
    ensure!(reply.code == 422 && reply.body["kind"] == "Status" && reply.body["reason"] == "Invalid", "{reply:?}");
    let words =
        r#".login.concierge.pinniped.dev "" is invalid: spec.token.value: Required value: token must be supplied"#;
    ensure!(reply.body["message"] == words, "{reply:?}");
    let cause = json!({
        "reason": "FieldValueRequired",
        "message": "Required value: token must be supplied",
        "field": "spec.token.value",
    });
    ensure!(reply.body["details"]["causes"] == json!([cause]), "{reply:?}");

    let token = issuer.id_token("ann", &Site::audience("staging"))?;
    let body = request(site, &token)?;
    let reply = door(site)?.send_with("dryRun=All", &body).await?;
    ensure!(reply.code == 422 && reply.body["details"]["causes"][0]["field"] == "dryRun", "{reply:?}");

    let mut foreign = request(site, &token)?;
    foreign["kind"] = "WhoAmIRequest".into();
    for body in ["{".to_owned(), foreign.to_string()] {
        let reply = post(site, &body).await?;
        ensure!(reply.code == 400 && reply.body["reason"] == "BadRequest", "{reply:?}");
        ensure!(!reply.body.to_string().contains(&token), "the token came back");
    }
    Ok(())
}

async fn the_list_is_empty(site: &Site) -> Result<()> {
    let reply = door(site)?.list().await?;
    let list = json!({
        "kind": "TokenCredentialRequestList",
        "apiVersion": format!("login.concierge.{}/v1alpha1", site.concierge.suffix()),
        "metadata": {"resourceVersion": "0"},
        "items": [],
    });
    ensure!(reply.code == 200 && reply.body == list, "{reply:?}");
    let table = site.cluster.kubectl(&["get", "tokencredentialrequests"]).await?;
    let words = String::from_utf8_lossy(&table.stderr);
    ensure!(table.status.success() && words.contains("No resources found"), "{words}");
    Ok(())
}

/// The answer to an exchange: metadata and spec have zero values, whatever was sent.
fn around(site: &Site, status: &Value) -> Value {
    json!({
        "kind": "TokenCredentialRequest",
        "apiVersion": format!("login.concierge.{}/v1alpha1", site.concierge.suffix()),
        "metadata": {},
        "spec": {"authenticator": {"apiGroup": null, "kind": "", "name": ""}},
        "status": status,
    })
}

fn door(site: &Site) -> Result<Exchanger> {
    Ok(Exchanger::through(&site.cluster)?.under(site.concierge.suffix()))
}

fn request(site: &Site, token: &str) -> Result<Value> {
    Ok(door(site)?.request(AUTHENTICATOR, token))
}

async fn post(site: &Site, body: &str) -> Result<Answer> {
    door(site)?.post(body.as_bytes().to_vec(), HeaderMap::new()).await
}
