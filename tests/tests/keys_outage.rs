//! A concierge that starts while its identity provider is away: it admits by the keys that were kept, says so, and lets
//! them go with the authenticator.

use std::time::Duration;

use anyhow::{Result, ensure};
use latchkey_e2e::{
    exchange::Exchanger,
    folder::TempFolder,
    issuer::{DISCOVERY, Issuer, IssuerOptions},
    site::{AUTHENTICATOR, Site},
    wait::eventually,
};

/// Writes of Secrets and statuses take a moment; the rest is for two busy cores.
const LIMIT: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_cold_start_while_the_issuer_is_away_admits_whoever_has_a_good_token() -> Result<()> {
    let work = TempFolder::new("keys-outage")?;
    let mut site = Site::start("staging", work.path()).await?;
    let mut issuer = Issuer::start(IssuerOptions::default()).await?;
    site.trust(&issuer).await?;
    let door = Exchanger::through(&site.cluster)?;
    let token = issuer.id_token("ann", &Site::audience("staging"))?;
    ensure!(door.exchange(&token).await?.is_granted());
    let secret = secret_of(&site).await?;
    eventually("the keys to be kept", LIMIT, async || site.get(&secret).await).await?;

    issuer.go_away().await;
    site.concierge.kill9()?;
    site.concierge.start().await?;
    site.concierge.available(&site.cluster).await?;
    let asked = issuer.requests(DISCOVERY);
    // A token that this process has never seen: no remembered verdict can be what admits it.
    let another = issuer.id_token("bob", &Site::audience("staging"))?;
    eventually("the kept keys to admit", LIMIT, async || {
        let answer = door.exchange(&another).await?;
        ensure!(answer.is_granted(), "{}: {}", answer.code, answer.body["status"]);
        Ok(())
    })
    .await?;
    ensure!(door.exchange(&token).await?.issued()?.common_name == "ann");
    ensure!(issuer.requests(DISCOVERY) == asked, "the issuer is away");

    let told = eventually("the condition to say whose keys these are", LIMIT, async || {
        let fresh = site.condition(AUTHENTICATOR, "KeysFresh").await?;
        ensure!(fresh["status"] == "False" && fresh["reason"] == "KeptKeysInUse", "{fresh}");
        Ok(fresh)
    })
    .await?;
    let message = told["message"].as_str().unwrap_or_default();
    ensure!(message.contains("are in use until") && message.contains("failing since"), "{message}");
    site.ready(AUTHENTICATOR).await?;
    let keys = site.authenticator_object(AUTHENTICATOR).await?["status"]["keys"].clone();
    ensure!(keys["failingSince"].is_string() && keys["usable"] == 1, "{keys}");
    let failing = "latchkey_keys_failing_since_timestamp_seconds{authenticator=\"corp\"}";
    ensure!(site.concierge.metrics().await?.contains(failing));

    // Keys of nobody else come by this way: another audience of the same issuer is another authenticator.
    site.cluster.apply(&site.authenticator("newcomer", &issuer).to_string()).await?;
    eventually("the newcomer to share what is there", LIMIT, async || {
        let answer = door.exchange_at("newcomer", &another).await?;
        ensure!(answer.is_granted(), "{}: {}", answer.code, answer.body["status"]);
        Ok(())
    })
    .await?;

    issuer.come_back().await?;
    eventually("the keys to be fresh again", LIMIT, async || {
        let fresh = site.condition(AUTHENTICATOR, "KeysFresh").await?;
        ensure!(fresh["status"] == "True", "{fresh}");
        Ok(())
    })
    .await?;
    ensure!(!site.concierge.metrics().await?.contains(failing));

    site.cluster.kubectl_ok(&["delete", "jwtauthenticator", AUTHENTICATOR]).await?;
    eventually("the kept keys to go with their authenticator", LIMIT, async || {
        ensure!(site.get(&secret).await.is_err(), "still there");
        Ok(())
    })
    .await
}

/// Where the keys of the usual authenticator are kept.
async fn secret_of(site: &Site) -> Result<String> {
    let object = site.authenticator_object(AUTHENTICATOR).await?;
    let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
    Ok(format!("/api/v1/namespaces/latchkey/secrets/latchkey-keys-{uid}"))
}
