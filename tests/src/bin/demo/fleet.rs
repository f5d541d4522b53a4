//! The chapters about the fleet: each cluster knows the others, a shared client is refused twice, a replay is named.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use latchkey_e2e::{
    issuer::Issuer,
    site::{AUTHENTICATOR, Site},
    wait::eventually,
};

use super::narrator::Narrator;

/// A policy is in force a moment after it was applied; a status and an object are written within seconds.
const LIMIT: Duration = Duration::from_secs(30);

/// The authenticator that somebody copied.
const COPY: &str = "copied";

/// Gives both clusters the list of all, as one Git folder would.
pub(super) async fn tell(narrator: &mut Narrator, staging: &Site, production: &Site) -> Result<()> {
    let audiences = [staging, production].map(|site| (site.name, Site::audience(site.name)));
    let fleet = audiences.each_ref().map(|(name, audience)| (*name, audience.as_str()));
    for site in [staging, production] {
        site.fleet(&fleet).await?;
        eventually(&format!("{} to know the fleet", site.name), LIMIT, async || {
            let unique = site.condition(AUTHENTICATOR, "AudienceUnique").await?;
            ensure!(unique["message"].as_str().is_some_and(|words| words.contains("no other cluster")), "{unique}");
            anyhow::Ok(())
        })
        .await?;
    }
    narrator.command("kubectl get fleetclusters", &production.cluster.kubectl_ok(&["get", "fleetclusters"]).await?);
    narrator.seen("both clusters know which audience is whose, and that nobody has theirs", true)
}

/// What an admin of production sees without a log at hand.
pub(super) async fn rejections(narrator: &mut Narrator, staging: &Site, production: &Site) -> Result<()> {
    let rejection = eventually("the replay to be seen in the cluster", LIMIT, async || {
        let found = production.rejections().await?.into_iter().next();
        anyhow::Ok(found.context("nothing yet")?)
    })
    .await?;
    let table = production.cluster.kubectl_ok(&["get", "tokenrejections"]).await?;
    narrator.command("kubectl get tokenrejections", &table);
    narrator.seen(
        "production's admin sees it in the cluster too: who, and from which cluster",
        rejection["status"]["claimedCluster"] == staging.name && table.contains(staging.name),
    )
}

/// Somebody makes the mistake that this program exists for: one client for two clusters.
pub(super) async fn shared_client(
    narrator: &mut Narrator,
    issuer: &Issuer,
    staging: &Site,
    production: &Site,
) -> Result<()> {
    narrator.chapter(6, "Somebody copies staging's authenticator to production");
    narrator.say(
        "Both clusters would then take the same tokens: a login to staging would open production. Production has the\n\
         example policies of deploy/examples/production, so kube-apiserver itself refuses the copy.",
    );
    production.refuse_at_apply().await?;
    let mut copy = production.authenticator(COPY, issuer);
    copy["spec"]["audience"] = Site::audience(staging.name).into();
    let words = eventually("the policy to be in force", LIMIT, async || {
        let output = production.cluster.try_apply(&copy.to_string(), &["--dry-run=server"]).await?;
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(!output.status.success() && words.contains("latchkey-audience-unique"), "{words}");
        anyhow::Ok(words)
    })
    .await?;
    let real = production.cluster.try_apply(&copy.to_string(), &[]).await?;
    narrator.command("kubectl apply -f copied-from-staging.yaml", &words);
    narrator.seen("refused at apply, with whose audience it is and what to do", !real.status.success())?;

    narrator.say("Staging has no such policies. There the same mistake, the other way round, is taken in:");
    let mut copy = staging.authenticator(COPY, issuer);
    copy["spec"]["audience"] = Site::audience(production.name).into();
    staging.cluster.apply(&copy.to_string()).await?;
    let unique = eventually("the status to say so", LIMIT, async || {
        let unique = staging.condition(COPY, "AudienceUnique").await?;
        ensure!(unique["status"] == "False", "{unique}");
        anyhow::Ok(unique)
    })
    .await?;
    let table = staging.cluster.kubectl_ok(&["get", "jwtauthenticators"]).await?;
    narrator.command("kubectl get jwtauthenticators", &table);
    narrator.command(
        &format!("kubectl get jwtauthenticator {COPY} -o jsonpath='{{.status.conditions[?(@.type==\"AudienceUnique\")].message}}'"),
        unique["message"].as_str().unwrap_or_default(),
    );
    let ready = staging.condition(COPY, "Ready").await?;
    narrator
        .seen("it is not Ready and admits nobody; the message says whose audience it is", ready["status"] == "False")?;
    staging.cluster.kubectl_ok(&["delete", "jwtauthenticator", COPY]).await.map(drop)
}
