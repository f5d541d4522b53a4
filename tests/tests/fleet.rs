//! The fleet list on a real cluster: a shared audience locks every replica at once and says whose it is, tokens of other
//! clusters are told by name, and kube-apiserver refuses the mistake at apply.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use latchkey_e2e::{
    cluster::Cluster,
    concierge::ConciergeOptions,
    exchange::Exchanger,
    folder::TempFolder,
    issuer::{Issuer, IssuerOptions},
    site::{AUTHENTICATOR, Site},
    wait::eventually,
};
use serde_json::{Value, json};

/// What is promised is one second; the rest is for two busy cores. What it really took is printed.
const AT_ONCE: Duration = Duration::from_secs(30);

const OURS: &str = "kubernetes-staging";
const THEIRS: &str = "kubernetes-production";

/// The overlay of a cluster called `staging`.
const OVERLAY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/examples/staging");

#[tokio::test]
async fn a_shared_audience_locks_every_replica_at_once_and_says_whose_it_is() -> Result<()> {
    let work = TempFolder::new("fleet")?;
    let (site, issuer) = site(work.path()).await?;
    let options = || ConciergeOptions { cluster_name: "staging".to_owned(), ..ConciergeOptions::default() };
    let second = site.concierge.replica(&site.cluster, options(), "replica-2").await?;
    let third = site.concierge.replica(&site.cluster, options(), "replica-3").await?;
    let mut doors = Vec::new();
    for replica in [&site.concierge, &second, &third] {
        doors.push(Exchanger::straight(&site.cluster, replica).await?);
    }
    everywhere(&doors, &issuer, true).await?;

    let mut production = site.fleet_cluster("production", &[OURS]);
    production["spec"]["displayName"] = json!("Production");
    production["spec"]["contact"] = json!("#platform-oncall");
    site.cluster.apply(&production.to_string()).await?;
    let applied = Instant::now();
    let locked = everywhere(&doors, &issuer, false).await?;
    let unique = told(&site, "False").await?;
    eprintln!("replicas locked {locked:?} after the apply, the condition told after {:?}", applied.elapsed());
    ensure!(unique["reason"] == "SharedWithCluster", "{unique}");
    let message = unique["message"].as_str().unwrap_or_default();
    for words in [
        "audience \"kubernetes-staging\" is cluster production's too (Production, contact: #platform-oncall)",
        "make an OIDC client for cluster staging alone",
        "take it out of FleetCluster production",
    ] {
        ensure!(message.contains(words), "{message}");
    }
    let ready = site.condition(AUTHENTICATOR, "Ready").await?;
    ensure!(ready["status"] == "False", "{ready}");
    kubectl_shows_it(&site.cluster).await?;

    site.leave_fleet("production").await?;
    let open = everywhere(&doors, &issuer, true).await?;
    site.ready(AUTHENTICATOR).await?;
    eprintln!("replicas open {open:?} after the sibling was gone");
    Ok(())
}

#[tokio::test]
async fn tokens_of_the_fleet_are_told_by_whose_they_are() -> Result<()> {
    let work = TempFolder::new("fleet-tokens")?;
    let (site, issuer) = site(work.path()).await?;
    let door = Exchanger::straight(&site.cluster, &site.concierge).await?;
    let both = {
        let mut claims = issuer.claims("ann", OURS)?;
        claims["aud"] = json!([OURS, THEIRS]);
        issuer.mint(&claims)?
    };
    let expired = {
        let mut claims = issuer.claims("ann", THEIRS)?;
        claims["exp"] = json!(issuer.now() - 60);
        issuer.mint(&claims)?
    };
    for (token, code, claimed, state) in [
        (issuer.id_token("ann", THEIRS)?, "audience-other-cluster", Some("production"), Some("live")),
        (expired, "audience-other-cluster", Some("production"), Some("expired")),
        (both, "audience-shared", Some("production"), Some("multi")),
        (issuer.id_token("ann", "some-app")?, "audience-mismatch", None, None),
    ] {
        let answer = door.exchange(&token).await?;
        answer.refused()?;
        let record = site.record_of(answer.audit_id()?).await?;
        ensure!(record["code"] == code, "{record}");
        ensure!(record["claimedCluster"].as_str() == claimed, "{record}");
        let Some(state) = state else { continue };
        let series = format!(
            "latchkey_cross_cluster_rejections_total{{authenticator=\"{AUTHENTICATOR}\",claimed_cluster=\"production\",\
             state=\"{state}\"}} 1"
        );
        let metrics = site.concierge.metrics().await?;
        ensure!(metrics.contains(&series), "{series}");
    }
    ensure!(door.exchange(&issuer.id_token("ann", OURS)?).await?.is_granted());

    // A remembered yes ends when a sibling takes the token's second audience.
    let mut authenticator = site.authenticator(AUTHENTICATOR, &issuer);
    authenticator["spec"]["additionalAudiences"] = json!("Allow");
    site.trust_with(&authenticator).await?;
    let tools = {
        let mut claims = issuer.claims("ann", OURS)?;
        claims["aud"] = json!([OURS, "tools"]);
        issuer.mint(&claims)?
    };
    ensure!(door.exchange(&tools).await?.is_granted());
    site.fleet(&[("tools", "tools")]).await?;
    eventually("the remembered token to be refused", AT_ONCE, async || {
        let answer = door.exchange(&tools).await?;
        answer.refused()?;
        let record = site.record_of(answer.audit_id()?).await?;
        ensure!(record["code"] == "audience-shared", "{record}");
        anyhow::Ok(())
    })
    .await
}

#[tokio::test]
async fn kubernetes_refuses_at_apply_what_the_policies_are_about() -> Result<()> {
    let work = TempFolder::new("fleet-policies")?;
    let (site, issuer) = site(work.path()).await?;
    let rendered = site.cluster.kubectl_ok(&["kustomize", OVERLAY]).await?;
    let policies: Vec<_> =
        rendered.split("\n---\n").filter(|object| object.contains("\nkind: ValidatingAdmissionPolicy")).collect();
    ensure!(policies.len() == 6, "{} policies and bindings in the overlay", policies.len());
    site.cluster.apply(&policies.join("\n---\n")).await?;

    let with = |field: &str, value: Value| {
        let mut object = site.authenticator(AUTHENTICATOR, &issuer);
        if field == "audiences" {
            object["spec"].as_object_mut().map(|spec| spec.remove("audience"));
        }
        object["spec"][field] = value;
        object
    };
    let mut approved = with("additionalAudiences", json!("Allow"));
    approved["metadata"]["annotations"] = json!({"latchkey.dev/approved-exceptions": "other, additionalAudiences"});
    let webhook = |reserved: Value| {
        json!({
            "apiVersion": approved["apiVersion"], "kind": "WebhookAuthenticator", "metadata": {"name": "tokens"},
            "spec": {"endpoint": "https://tokens.example.com/review", "reservedIdentities": reserved},
        })
    };
    let mut approved_webhook = webhook(json!({"policy": "Allow"}));
    approved_webhook["metadata"]["annotations"] = json!({"latchkey.dev/approved-exceptions": "reservedIdentities"});
    let cluster = |name: &str, audience: &str, issuers: &[&str]| {
        let mut object = site.fleet_cluster(name, &[audience]);
        object["spec"]["issuers"] = json!(issuers);
        object
    };
    for (object, refused) in [
        (
            with("audience", json!(THEIRS)),
            Some("audience kubernetes-production is cluster production's, and each would"),
        ),
        (with("audiences", json!(["new", THEIRS])), Some("make an OIDC client for cluster staging alone")),
        (with("additionalAudiences", json!("Allow")), Some("takes tokens that are for others too")),
        (with("reservedIdentities", json!({"policy": "Allow"})), Some("names that Kubernetes keeps for itself")),
        (with("reservedIdentities", json!({"allowed": ["system:masters"]})), Some("has system:masters")),
        (with("reservedIdentities", json!({"allowed": ["system:image-puller"]})), None),
        (with("audience", json!(OURS)), None),
        (with("audiences", json!(["new", OURS])), None),
        (webhook(json!({"policy": "Allow"})), Some("names that Kubernetes keeps for itself")),
        (webhook(json!({"allowed": ["system:masters"]})), Some("has system:masters")),
        (webhook(json!({"allowed": ["system:image-puller"]})), None),
        (approved_webhook, None),
        (approved.clone(), None),
        (cluster("qa", THEIRS, &[]), Some("audience kubernetes-production is already cluster production's")),
        (cluster("production", "kubernetes-production-2", &[]), None),
        (cluster("qa", "kubernetes-qa", &[]), None),
    ] {
        // A policy is in force a moment after it was applied, and what is allowed must be so by all that are.
        let what =
            refused.map_or_else(|| format!("{} to be taken", object["spec"]), |words| format!("refused: {words}"));
        let file = work.write("object.json", object.to_string())?;
        eventually(&what, AT_ONCE, async || {
            let flags = ["apply", "--server-side", "--dry-run=server", "-f", &file.to_string_lossy()];
            let output = site.cluster.kubectl(&flags).await?;
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let as_wanted = refused.map_or(output.status.success(), |words| said.contains(words));
            ensure!(as_wanted && output.status.success() == refused.is_none(), "{}: {said}", output.status);
            anyhow::Ok(())
        })
        .await?;
    }
    Ok(())
}

/// A cluster `staging` whose authenticator is ready, and a fleet of two.
async fn site(work: &Path) -> Result<(Site, Issuer)> {
    let site = Site::start("staging", work).await?;
    let issuer = Issuer::start(IssuerOptions::default()).await?;
    site.trust(&issuer).await?;
    let unique = told(&site, "True").await?;
    ensure!(unique["message"] == "there is no FleetCluster to compare with", "{unique}");
    site.fleet(&[("staging", OURS), ("production", THEIRS)]).await?;
    eventually("the fleet to be known", AT_ONCE, async || {
        let unique = site.condition(AUTHENTICATOR, "AudienceUnique").await?;
        ensure!(unique["message"] == "no other cluster of the fleet has \"kubernetes-staging\"", "{unique}");
        anyhow::Ok(())
    })
    .await?;
    Ok((site, issuer))
}

async fn told(site: &Site, status: &str) -> Result<Value> {
    eventually(&format!("AudienceUnique to be {status}"), AT_ONCE, async || {
        let unique = site.condition(AUTHENTICATOR, "AudienceUnique").await?;
        ensure!(unique["status"] == status, "{unique}");
        anyhow::Ok(unique)
    })
    .await
}

/// Waits until every replica admits, or none; tells when the last of them did.
async fn everywhere(doors: &[Exchanger], issuer: &Issuer, admits: bool) -> Result<Duration> {
    let begun = Instant::now();
    for (number, door) in doors.iter().enumerate() {
        eventually(
            &format!("replica {} to {}", number + 1, if admits { "admit" } else { "refuse" }),
            AT_ONCE,
            async || {
                let answer = door.exchange(&issuer.id_token("ann", OURS)?).await?;
                ensure!(answer.is_granted() == admits, "{}: {}", answer.code, answer.body["status"]["message"]);
                anyhow::Ok(())
            },
        )
        .await?;
    }
    Ok(begun.elapsed())
}

async fn kubectl_shows_it(cluster: &Cluster) -> Result<()> {
    let table = cluster.kubectl_ok(&["get", "fleetclusters"]).await?;
    let head = table.lines().next().context("a table")?.split_whitespace().collect::<Vec<_>>().join(" ");
    ensure!(head == "NAME AUDIENCES DISPLAY NAME AGE", "{head}");
    let row = table.lines().find(|line| line.starts_with("production")).context("production")?;
    ensure!(row.contains(r#"["kubernetes-staging"]"#) && row.contains("Production"), "{row}");
    let wide = cluster.kubectl_ok(&["get", "fleetclusters", "-o", "wide"]).await?;
    ensure!(wide.contains("#platform-oncall"), "{wide}");
    let all = cluster.kubectl_ok(&["get", "latchkey"]).await?;
    ensure!(all.contains("fleetcluster.config.concierge.latchkey.dev/production"), "{all}");
    let wide = cluster.kubectl_ok(&["get", "jwtauthenticators", "-o", "wide"]).await?;
    ensure!(wide.contains("SharedWithCluster") && wide.contains("cluster production's too"), "{wide}");
    eprintln!("{table}\n{wide}");
    Ok(())
}
