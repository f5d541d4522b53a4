//! Several plugins at once, as a shell loop or a dashboard starts them: one of them logs in or refreshes, the others wait.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use latchkey_e2e::{
    folder::TempFolder,
    issuer::{AUTHORIZE, Issuer, Rotation, TOKEN},
    person::Person,
    site::{Site, issuer_for},
    wait::eventually,
};

/// Short, since the test waits for its end; long enough for an exchange on two busy cores.
const SHORT_LIFE: Duration = Duration::from_secs(10);

/// An ID token ends within its life; the rest is for busy cores.
const EXPIRY_LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn plugins_started_at_once_share_one_login_and_one_refresh() -> Result<()> {
    let work = TempFolder::new("login-plugins-together")?;
    let issuer = issuer_for(&["staging"]).await?;
    let site = Site::start("staging", work.path()).await?;
    site.trust(&issuer).await?;
    site.offers("CertificateSigningRequestAPI").await?;

    for plugins in [2, 10, 50] {
        let ann = site.ann(&work.path().join(format!("cold-{plugins}")), &issuer).await?;
        site.write_kubeconfig(&ann).await?;
        a_cold_cache_costs_one_login(plugins, &site, &issuer, &ann).await?;
    }
    let ann = site.ann(&work.path().join("rotated"), &issuer).await?;
    a_rotated_refresh_token_is_not_lost(&site, &issuer, &ann).await
}

async fn a_cold_cache_costs_one_login(plugins: usize, site: &Site, issuer: &Issuer, ann: &Person) -> Result<()> {
    let before = (issuer.requests(AUTHORIZE), issuer.requests(TOKEN), site.granted()?);
    all_answer(plugins, site, ann).await?;
    let after = (issuer.requests(AUTHORIZE), issuer.requests(TOKEN), site.granted()?);
    ensure!(ann.invitations()?.len() == 1, "{plugins} plugins opened {} browsers", ann.invitations()?.len());
    ensure!(after.0 - before.0 == 1, "{plugins} plugins asked for {} logins", after.0 - before.0);
    ensure!(after.1 - before.1 == 1, "{plugins} plugins redeemed {} codes", after.1 - before.1);
    ensure!(after.2 - before.2 == 1, "{plugins} plugins got {} credentials", after.2 - before.2);
    Ok(())
}

/// With no grace the second use of a refresh token ends everything that came from the login, and a person would have to
/// log in again: ten plugins find an expired ID token, and one of them alone uses the refresh token, once and again.
async fn a_rotated_refresh_token_is_not_lost(site: &Site, issuer: &Issuer, ann: &Person) -> Result<()> {
    issuer.settings(|settings| {
        settings.token_lifetime = SHORT_LIFE;
        settings.rotation = Rotation::After { grace: Duration::ZERO };
        settings.revoke_on_reuse = true;
    });
    all_answer(1, site, ann).await?;
    for round in 1..=2 {
        id_token_expires(site, issuer).await?;
        ann.lose_credentials()?;
        let before = issuer.requests(TOKEN);
        all_answer(10, site, ann).await?;
        let refreshed = issuer.requests(TOKEN) - before;
        ensure!(refreshed == 1, "round {round}: ten plugins used the refresh token {refreshed} times");
    }
    ensure!(ann.invitations()?.len() == 1, "the session was lost: {} logins", ann.invitations()?.len());
    Ok(())
}

async fn all_answer(plugins: usize, site: &Site, ann: &Person) -> Result<()> {
    let call = || ann.kubectl(&site.kubeconfig, &["get", "namespaces", "-o", "name"]);
    let answers = try_join_all(std::iter::repeat_with(call).take(plugins)).await?;
    for (number, answer) in answers.iter().enumerate() {
        ensure!(answer.ok && answer.stdout.contains("kube-system"), "call {number}: {}", answer.seen());
    }
    Ok(())
}

/// Waits until the ID token that was exchanged last is no longer good.
async fn id_token_expires(site: &Site, issuer: &Issuer) -> Result<()> {
    let record = site.last_record("granted").await?;
    let end = record["verified"]["exp"].as_u64().with_context(|| format!("exp: {record}"))?;
    eventually("the ID token to expire", EXPIRY_LIMIT, async || issuer.now() > end).await
}
