//! The `TokenReview` webhook behind a real kube-apiserver, set up as `deploy/tokens-to-kube-apiserver.md` says, asked by the real `kubectl --token`.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use latchkey_e2e::{
    cluster::ClusterOptions,
    concierge::ConciergeOptions,
    folder::TempFolder,
    issuer::{Endpoint, Fault, Issuer, IssuerOptions},
    review::{ReviewDoor, who},
    site::{AUTHENTICATOR, Site},
    wait::eventually,
};
use serde_json::{Value, json};

/// What an admin is given to start from.
const EXAMPLE: &str = include_str!("../../deploy/examples/token-review/webhook.kubeconfig");

/// A kubectl, a fetch of keys and a restart; and below the two minutes for which kube-apiserver remembers a plain no.
const LIMIT: Duration = Duration::from_secs(90);

#[tokio::test]
async fn a_bearer_token_is_its_users_and_another_clusters_token_is_recorded() -> Result<()> {
    let work = TempFolder::new("review")?;
    let mut site = site(&work, "v1", &["--authentication-token-webhook-cache-ttl=0s"]).await?;
    let issuer = Issuer::start(IssuerOptions::default()).await?;
    let mut authenticator = site.authenticator(AUTHENTICATOR, &issuer);
    authenticator["spec"]["claims"]["uid"] = "sub".into();
    authenticator["spec"]["claims"]["extra"] = json!([{"key": "example.com/sub", "valueExpression": "claims.sub"}]);
    site.trust_with(&authenticator).await?;

    its_user_is_known_with_all_that_is_said_of_her(&site, &issuer).await?;
    another_clusters_token_is_refused_and_recorded(&site, &issuer).await?;
    a_stranger_is_refused_and_only_counted(&site).await?;
    without_the_concierge_certificates_work_on(&mut site, &issuer).await
}

#[tokio::test]
async fn what_cannot_be_told_for_want_of_keys_is_not_remembered_as_a_no() -> Result<()> {
    let work = TempFolder::new("review-v1beta1")?;
    // Two minutes of memory, and its version by default.
    let site = site(&work, "v1beta1", &[]).await?;
    let issuer = Issuer::start(IssuerOptions::default()).await?;
    issuer.faults().set(Endpoint::Keys, Fault::Drop);
    site.cluster.apply(&site.authenticator(AUTHENTICATOR, &issuer).to_string()).await?;
    eventually("the authenticator to be known", LIMIT, async || {
        let ready = site.condition(AUTHENTICATOR, "Ready").await?;
        ensure!(ready["status"] == "False", "{ready}");
        Ok(())
    })
    .await?;
    let token = issuer.id_token("ann", &Site::audience("staging"))?;
    ensure!(who(&site.cluster, &token).await?.is_none(), "nobody can tell yet");
    ensure!(review(&site, "authenticator-not-ready").await?["kind"] == "token.refused", "recorded");
    issuer.faults().clear_all();
    eventually("the same token to be admitted as soon as there are keys", LIMIT, async || {
        who(&site.cluster, &token).await?.context("not yet")
    })
    .await?;
    Ok(())
}

/// A cluster whose kube-apiserver asks a concierge in it, with certificates of their own.
async fn site(work: &TempFolder, version: &str, more: &[&str]) -> Result<Site> {
    let door = ReviewDoor::new(work)?;
    let (port, folder) = (door.port, door.folder().display().to_string());
    let config = EXAMPLE
        .replace("https://127.0.0.1:9443/", &format!("https://127.0.0.1:{port}/"))
        .replace("/etc/kubernetes/latchkey", &folder);
    ensure!(config.matches(&folder).count() >= 4, "the example names its files elsewhere: {config}");
    let config = work.write("webhook.kubeconfig", config)?;

    let mut cluster = ClusterOptions::named("staging");
    cluster.api_server_args.push(format!("--authentication-token-webhook-config-file={}", config.display()));
    if version != "v1beta1" {
        cluster.api_server_args.push(format!("--authentication-token-webhook-version={version}"));
    }
    cluster.api_server_args.extend(more.iter().map(ToString::to_string));
    let concierge = ConciergeOptions { extra_args: door.concierge_args(), ..ConciergeOptions::default() };
    Site::start_with(cluster, concierge, "staging", work.path()).await
}

fn reviews(site: &Site) -> Result<Vec<Value>> {
    Ok(site.concierge.audit_lines()?.into_iter().filter(|line| line["surface"] == "review").collect())
}

async fn review(site: &Site, code: &str) -> Result<Value> {
    eventually(&format!("a review with code {code}"), LIMIT, async || {
        reviews(site)?.into_iter().rfind(|record| record["code"] == code).context("none yet")
    })
    .await
}

async fn its_user_is_known_with_all_that_is_said_of_her(site: &Site, issuer: &Issuer) -> Result<()> {
    let mut claims = issuer.claims("ann", &Site::audience("staging"))?;
    claims["jti"] = "token-1".into();
    claims["groups"] = json!(["developers", "oncall"]);
    let user = who(&site.cluster, &issuer.mint(&claims)?).await?.context("she is not known")?;
    ensure!(user["username"] == "ann" && user["uid"] == claims["sub"], "{user}");
    ensure!(user["groups"] == json!(["developers", "oncall", "system:authenticated"]), "{user}");
    ensure!(user["extra"]["example.com/sub"] == json!([claims["sub"]]), "{user}");
    ensure!(user["extra"]["authentication.kubernetes.io/credential-id"] == json!(["JTI=token-1"]), "{user}");
    let record = review(site, "accepted").await?;
    ensure!(record["kind"] == "token.accepted" && record["identity"]["username"] == "ann", "{record}");
    ensure!(record["verified"]["jti"] == "token-1" && record["authenticator"]["name"] == AUTHENTICATOR, "{record}");
    Ok(())
}

async fn another_clusters_token_is_refused_and_recorded(site: &Site, issuer: &Issuer) -> Result<()> {
    let token = issuer.id_token("ann", &Site::audience("production"))?;
    ensure!(who(&site.cluster, &token).await?.is_none(), "a token made for production opens staging");
    let record = review(site, "audience-mismatch").await?;
    ensure!(record["verified"]["aud"] == json!([Site::audience("production")]), "{record}");
    let signature = token.rsplit_once('.').context("a JWT")?.1;
    ensure!(!site.concierge.everything_written().contains(signature), "the token is written somewhere");
    Ok(())
}

async fn a_stranger_is_refused_and_only_counted(site: &Site) -> Result<()> {
    let before = reviews(site)?.len();
    ensure!(who(&site.cluster, "an-opaque-token-of-somebody-else").await?.is_none(), "a stranger is admitted");
    ensure!(reviews(site)?.len() == before, "a stranger is recorded");
    let metrics = site.concierge.metrics().await?;
    let count = metrics.lines().find_map(|line| line.strip_prefix("latchkey_reviews_foreign_total "));
    ensure!(count.is_some_and(|count| count != "0"), "{count:?}");
    Ok(())
}

async fn without_the_concierge_certificates_work_on(site: &mut Site, issuer: &Issuer) -> Result<()> {
    let token = issuer.id_token("ann", &Site::audience("staging"))?;
    site.concierge.stop().await?;
    let admin = site.cluster.kubectl_ok(&["auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"]).await?;
    ensure!(admin == "admin", "{admin}");
    ensure!(who(&site.cluster, &token).await?.is_none(), "nobody can vouch for her");
    site.concierge.start().await?;
    eventually("her token to work again", LIMIT, async || who(&site.cluster, &token).await?.context("not yet")).await?;
    Ok(())
}

#[test]
fn the_page_names_the_flags_and_the_file_of_the_example() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/tokens-to-kube-apiserver.md");
    let page = fs::read_to_string(page).unwrap_or_default();
    for words in [
        "--review-client-ca-file=",
        "--review-client-name=kube-apiserver",
        "--review-tls-cert-file=",
        "--review-tls-key-file=",
        "--authentication-token-webhook-config-file=/etc/kubernetes/latchkey/webhook.kubeconfig",
        "examples/token-review/webhook.kubeconfig",
    ] {
        assert!(page.contains(words), "{words}");
    }
    assert!(EXAMPLE.contains("--authentication-token-webhook-config-file=/etc/kubernetes/latchkey/webhook.kubeconfig"));
}
