//! A person logs in at an identity provider that is not ours, npm's `oidc-provider`, and stays logged in by its refresh tokens.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use latchkey_e2e::{
    folder::TempFolder,
    issuer::{Algorithm, User},
    oidc_provider::{OidcProvider, OidcProviderOptions},
    person::Person,
    programs::Programs,
    site::{AUTHENTICATOR, Site},
    wait::eventually,
};
use serde_json::{Value, json};

/// Short, since the test waits for its end; long enough for an exchange on two busy cores.
const SHORT_LIFE: Duration = Duration::from_secs(10);

/// An ID token ends within its life; the rest is for busy cores.
const EXPIRY_LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn kubectl_logs_in_at_oidc_provider_and_refreshes_an_expired_id_token() -> Result<()> {
    let work = TempFolder::new("login-second-idp")?;
    let options = OidcProviderOptions {
        clients: vec![(Site::audience("staging"), Algorithm::ES256)],
        users: vec![User::new("ann", "ann-password").groups(&["developers", "on-call"])],
        token_lifetime: SHORT_LIFE,
        ..OidcProviderOptions::default()
    };
    let (provider, site) = tokio::try_join!(OidcProvider::start(options), Site::start("staging", work.path()))?;
    let mut authenticator = site.authenticator_at(AUTHENTICATOR, provider.url(), provider.ca_pem());
    authenticator["spec"]["claims"]["username"] = json!("username");
    site.trust_with(&authenticator).await?;
    site.offers("CertificateSigningRequestAPI").await?;
    let mut ann = Person::new(work.path(), site.cluster.kubectl_program(), Programs::find().await?)?;
    ann.script_browser(provider.ca_pem(), "ann", "ann-password")?;
    site.write_kubeconfig(&ann).await?;

    let first = answered(&site, &ann).await?;
    let again = ann.kubectl(&site.kubeconfig, &["auth", "whoami", "-o", "json"]).await?;
    let user = &serde_json::from_str::<Value>(&again.stdout).with_context(|| again.seen())?["status"]["userInfo"];
    ensure!(user["username"] == "ann" && user["groups"].to_string().contains("developers"), "{user}");
    ensure!(site.last_record("granted").await? == first, "the second call made an exchange");

    let mut last = first;
    for round in 1..=2 {
        expires(&last).await?;
        ann.lose_credentials()?;
        let next = answered(&site, &ann).await?;
        ensure!(
            next["token"]["fingerprint"] != last["token"]["fingerprint"],
            "round {round}: the expired token: {next}"
        );
        ensure!(next["verified"]["sub"] == last["verified"]["sub"], "{next}");
        last = next;
    }
    ensure!(ann.invitations()?.len() == 1, "one login, {} browsers", ann.invitations()?.len());
    Ok(())
}

/// kubectl's answer is right; returns what the concierge recorded of the exchange before it.
async fn answered(site: &Site, ann: &Person) -> Result<Value> {
    let answer = ann.kubectl(&site.kubeconfig, &["get", "namespaces", "-o", "name"]).await?;
    ensure!(answer.ok && answer.stdout.contains("namespace/kube-system"), "{}", answer.seen());
    let record = site.last_record("granted").await?;
    ensure!(record["identity"]["username"] == "ann" && record["token"]["alg"] == "ES256", "{record}");
    Ok(record)
}

/// Waits until the ID token of a record is no longer good by this machine's clock, which is the provider's too.
async fn expires(record: &Value) -> Result<()> {
    let end = record["verified"]["exp"].as_i64().with_context(|| format!("exp: {record}"))?;
    eventually("the ID token to expire", EXPIRY_LIMIT, async || jiff::Timestamp::now().as_second() > end).await
}
