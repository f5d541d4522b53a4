//! A token of one cluster shown to another: refused, named, counted, and nothing is left behind.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use latchkey_e2e::{
    exchange::{Answer, Exchanger},
    folder::TempFolder,
    issuer::Issuer,
    leak,
    person::Person,
    site::{Site, issuer_for},
};
use serde_json::{Value, json};

const CLUSTERS: [&str; 2] = ["staging", "production"];

#[tokio::test]
async fn a_login_to_staging_is_worthless_in_production() -> Result<()> {
    let work = TempFolder::new("login-cross-cluster")?;
    let (issuer, stranger) = tokio::try_join!(issuer_for(&CLUSTERS), issuer_for(&CLUSTERS))?;
    let (staging, production) =
        tokio::try_join!(Site::start("staging", work.path()), Site::start("production", work.path()))?;
    tokio::try_join!(staging.trust(&issuer), production.trust(&issuer))?;
    tokio::try_join!(
        staging.offers("CertificateSigningRequestAPI"),
        production.offers("CertificateSigningRequestAPI")
    )?;

    let ann = staging.ann(&work.path().join("ann"), &issuer).await?;
    staging.write_kubeconfig(&ann).await?;
    production.write_kubeconfig(&ann).await?;
    let astray = point_at_production(&staging, &production, work.path())?;

    let requested = certificate_requests(&production)?;
    production_refuses_stagings_login(&staging, &production, &issuer, work.path(), &astray).await?;
    a_token_for_both_opens_neither(&staging, &production, &issuer).await?;
    a_token_of_an_unknown_issuer_is_refused(&production, &issuer, &stranger).await?;
    a_token_for_system_masters_is_refused(&production, &issuer).await?;
    ensure!(certificate_requests(&production)? == requested, "a refusal must not reach the signer");
    leak::no_token("what the concierge wrote", &production.concierge.everything_written())?;

    a_login_stays_with_the_cluster_it_was_made_for(&staging, &production, &ann, &astray).await?;
    the_same_person_logs_in_by_productions_own_client(&production, &ann).await?;
    ensure!(certificate_requests(&production)? > requested, "a grant does reach the signer: the count above is one");
    Ok(())
}

/// Somebody whose very first login goes astray: the kubeconfig has staging's client and production's address.
async fn production_refuses_stagings_login(
    staging: &Site,
    production: &Site,
    issuer: &Issuer,
    work: &Path,
    astray: &Path,
) -> Result<()> {
    let ann = staging.ann(&work.join("astray"), issuer).await?;
    // With nothing kept of what the cluster serves, kubectl asks for that first, and runs the plugin again at each failure.
    let empty = format!("--cache-dir={}", work.join("kubectl-cache").display());
    let answer = ann.kubectl(astray, &[&empty, "get", "namespaces"]).await?;
    ensure!(!answer.ok && answer.stdout.is_empty(), "{}", answer.seen());
    ensure!(answer.stderr.contains("exit code 5"), "the plugin's word for \"the cluster refused\": {}", answer.stderr);
    ensure!(ann.invitations()?.len() == 1, "one login, and it is not asked for again");
    let token = ann.kept_token()?;
    leak::no_token("the terminal", &answer.seen())?;

    let record = production.last_record("audience-mismatch").await?;
    let audit_id = record["auditID"].as_str().context("an audit id")?;
    ensure!(answer.stderr.contains(audit_id), "{audit_id} is what the person can pass on: {}", answer.stderr);
    ensure!(record["kind"] == "token.refused" && record["code"] == "audience-mismatch", "{record}");
    ensure!(record["cluster"] == "production", "{record}");
    ensure!(record["verified"]["aud"] == json!([Site::audience("staging")]), "the foreign audience: {record}");
    ensure!(record["verified"]["iss"] == issuer.url() && record["verified"]["sub"] == "subject-ann", "{record}");
    ensure!(record.get("identity").is_none() && record.get("credential").is_none(), "{record}");
    counted(production, "audience-mismatch", 1).await?;
    ensure!(answer.stderr.matches("exit code 5").count() > 1, "one command is one refusal: {}", answer.stderr);

    // What the plugin saw is all that anybody sees.
    let reply = show(production, &token).await?;
    refused(production, &reply, "audience-mismatch").await?;
    counted(production, "audience-mismatch", 2).await?;
    // The token itself is good, in the one place that it was made for.
    let reply = show(staging, &token).await?;
    ensure!(reply.is_granted(), "{}", reply.body["status"]);
    Ok(())
}

async fn a_token_for_both_opens_neither(staging: &Site, production: &Site, issuer: &Issuer) -> Result<()> {
    let mut claims = issuer.claims("ann", "")?;
    claims["aud"] = json!([Site::audience("staging"), Site::audience("production")]);
    let token = issuer.mint(&claims)?;
    for site in [staging, production] {
        let record = refused(site, &show(site, &token).await?, "audience-shared").await?;
        ensure!(record["severity"] == "high" && record["verified"]["aud"] == claims["aud"], "{record}");
        counted(site, "audience-shared", 1).await?;
    }
    Ok(())
}

async fn a_token_of_an_unknown_issuer_is_refused(production: &Site, issuer: &Issuer, stranger: &Issuer) -> Result<()> {
    let audience = Site::audience("production");
    // Its first key has the name of ours, its second a name that nobody here has ever seen.
    for code in ["signature-invalid", "key-unknown"] {
        let token = stranger.id_token("ann", &audience)?;
        let record = refused(production, &show(production, &token).await?, code).await?;
        ensure!(record.get("verified").is_none(), "nothing that a stranger signed is a fact: {record}");
        stranger.rotate()?;
    }
    ensure!(stranger.requests_total() == 0, "the issuer of a token says nothing about where to ask");

    // Signed by the right key, as an issuer does that serves several tenants from one key set.
    let mut claims = issuer.claims("ann", &audience)?;
    claims["iss"] = stranger.url().into();
    let token = issuer.mint(&claims)?;
    refused(production, &show(production, &token).await?, "issuer-unknown").await?;
    Ok(())
}

async fn a_token_for_system_masters_is_refused(production: &Site, issuer: &Issuer) -> Result<()> {
    let mut claims = issuer.claims("ann", &Site::audience("production"))?;
    claims["groups"] = json!(["developers", "system:masters"]);
    let token = issuer.mint(&claims)?;
    let reply = show(production, &token).await?;
    let record = refused(production, &reply, "identity-reserved").await?;
    ensure!(record["severity"] == "high", "{record}");
    counted(production, "identity-reserved", 1).await
}

/// Once a login has been taken to staging, the plugin takes it nowhere else: production is not even asked.
async fn a_login_stays_with_the_cluster_it_was_made_for(
    staging: &Site,
    production: &Site,
    ann: &Person,
    astray: &Path,
) -> Result<()> {
    let answer = ann.kubectl(&staging.kubeconfig, &["get", "namespaces"]).await?;
    ensure!(answer.ok && answer.stdout.contains("kube-system"), "{}", answer.seen());
    let seen = production.exchanges()?.len();
    let answer = ann.kubectl(astray, &["get", "namespaces"]).await?;
    ensure!(!answer.ok && answer.stderr.contains("exit code 2"), "{}", answer.seen());
    ensure!(answer.stderr.contains("so far it was used with"), "{}", answer.stderr);
    ensure!(production.exchanges()?.len() == seen, "the token left the laptop");
    Ok(())
}

async fn the_same_person_logs_in_by_productions_own_client(production: &Site, ann: &Person) -> Result<()> {
    let answer = ann.kubectl(&production.kubeconfig, &["get", "namespaces"]).await?;
    ensure!(answer.ok && answer.stdout.contains("kube-system"), "{}", answer.seen());
    ensure!(ann.invitations()?.len() == 2, "staging and production each have a login of their own");
    let record = production.last_record("granted").await?;
    ensure!(record["identity"]["username"] == "ann", "{record}");
    ensure!(record["verified"]["aud"] == json!([Site::audience("production")]), "{record}");
    counted(production, "granted", 1).await
}

/// Staging's kubeconfig with the address and the CA of production wherever those of staging stood.
fn point_at_production(staging: &Site, production: &Site, work: &Path) -> Result<PathBuf> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let text = fs::read_to_string(&staging.kubeconfig)?;
    let encoded = |site: &Site| STANDARD.encode(site.cluster.ca_pem());
    ensure!(text.contains(&staging.cluster.server_url()) && text.contains(&encoded(staging)), "{text}");
    let text = text
        .replace(&staging.cluster.server_url(), &production.cluster.server_url())
        .replace(&encoded(staging), &encoded(production));
    let path = work.join("kubeconfig-astray.yaml");
    fs::write(&path, text)?;
    Ok(path)
}

/// Whoever has a token may show it to any cluster.
async fn show(site: &Site, token: &str) -> Result<Answer> {
    Exchanger::through(&site.cluster)?.exchange(token).await
}

/// The one answer that every refusal has, and the reason that only the record has.
async fn refused(site: &Site, reply: &Answer, code: &str) -> Result<Value> {
    let record = site.record_of(reply.audit_id()?).await?;
    ensure!(record["code"] == code, "expected {code}: {record}");
    reply.refused()?;
    leak::no_token("the record", &record.to_string())?;
    Ok(record)
}

async fn counted(site: &Site, code: &str, times: u64) -> Result<()> {
    let metrics = site.concierge.metrics().await?;
    let series = format!(r#"latchkey_token_verdicts_total{{surface="exchange",authenticator="corp",code="{code}"}}"#);
    let line = metrics.lines().find(|line| line.starts_with(&series)).unwrap_or("nothing");
    ensure!(line == format!("{series} {times}"), "expected {times}, found {line}");
    Ok(())
}

/// How many certificate requests the API server has ever been asked to keep.
fn certificate_requests(site: &Site) -> Result<usize> {
    let log = fs::read_to_string(site.cluster.audit_log())?;
    let mut requests = 0;
    for line in log.lines() {
        let event: Value = serde_json::from_str(line)?;
        let object = &event["objectRef"];
        let creates = event["verb"] == "create" && object["resource"] == "certificatesigningrequests";
        requests += usize::from(creates && object.get("subresource").is_none());
    }
    Ok(requests)
}
