//! A token that still opens another cluster: an Event on the authenticator that refused it, and a line in the table that the
//! plugin makes of the whole fleet.

use std::{collections::BTreeMap, fs, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, ensure};
use latchkey_e2e::{
    exchange::Exchanger,
    folder::TempFolder,
    issuer::{Issuer, IssuerOptions},
    programs::Programs,
    site::{AUTHENTICATOR, NOWHERE, Site, fleet_of_two},
    terminal::harmless,
    wait::eventually,
};
use serde_json::Value;
use tokio::process::Command;

/// An Event is written within a second, its count within thirty; the rest is for two busy cores.
const SEEN: Duration = Duration::from_secs(90);

#[tokio::test]
async fn a_replay_is_told_on_the_authenticator_and_over_the_fleet() -> Result<()> {
    let work = TempFolder::new("rejections-fleet")?;
    let issuer = Issuer::start(IssuerOptions::default()).await?;
    let [staging, production] = fleet_of_two(work.path(), &issuer).await?;
    let (at_staging, at_production) = (Exchanger::through(&staging.cluster)?, Exchanger::through(&production.cluster)?);
    let token = issuer.mint(&claims(&issuer, "eve\u{1b}[2J\n", "staging")?)?;
    eventually("production to know whose the audience is", SEEN, async || {
        at_production.exchange(&token).await?;
        production.last_record("audience-other-cluster").await.map(drop)
    })
    .await?;

    an_event_stands_on_the_authenticator(&production, &at_production, &token).await?;
    at_staging.exchange(&issuer.mint(&claims(&issuer, "bob", "production")?)?).await?;
    the_plugin_tells_of_both(&staging, &production, &work).await
}

async fn an_event_stands_on_the_authenticator(site: &Site, door: &Exchanger, token: &str) -> Result<()> {
    let events = async || {
        let list = site.get("/apis/events.k8s.io/v1/namespaces/default/events").await?;
        let items = list["items"].as_array().cloned().unwrap_or_default();
        anyhow::Ok(items.into_iter().filter(|event| event["reason"] == "CrossClusterToken").collect::<Vec<_>>())
    };
    let event = eventually("an Event", SEEN, async || events().await?.pop().context("none yet")).await?;
    for (field, expected) in [
        ("type", "Warning"),
        ("action", "RefuseToken"),
        ("reportingController", "latchkey.dev/concierge"),
        ("reportingInstance", "replica-1"),
    ] {
        ensure!(event[field] == expected, "{field}: {event}");
    }
    let authenticator = site.authenticator_object(AUTHENTICATOR).await?;
    ensure!(event["regarding"]["uid"] == authenticator["metadata"]["uid"], "{event}");
    let note = event["note"].as_str().context("a note")?;
    ensure!(note.contains("cluster staging") && note.contains("kubectl get tokenrejections"), "{note}");
    ensure!(!event.to_string().contains("eve\\") && !event.to_string().contains("sha256:"), "{event}");

    let shown = 25;
    for _ in 0..shown {
        door.exchange(token).await?;
    }
    let counted = eventually("the series to count them", SEEN, async || {
        let events = events().await?;
        ensure!(events.len() == 1, "a storm: {events:?}");
        ensure!(events[0]["series"]["count"].as_u64() > Some(shown), "{}", events[0]);
        Ok(events[0].clone())
    })
    .await?;
    ensure!(counted["metadata"]["name"] == event["metadata"]["name"], "{counted}");
    let listed = site.cluster.kubectl_ok(&["get", "events", "-n", "default"]).await?;
    ensure!(listed.contains("CrossClusterToken") && listed.contains("jwtauthenticator/corp"), "{listed}");
    let described = site.cluster.kubectl_ok(&["describe", "jwtauthenticator", AUTHENTICATOR]).await?;
    ensure!(described.contains("CrossClusterToken") && described.contains("cluster staging"), "{described}");
    harmless(&described)?;

    // Who deletes Events, or waits for an hour, hears of the next all the same.
    let name = event["metadata"]["name"].as_str().context("a name")?;
    site.cluster.kubectl_ok(&["delete", "event", name, "-n", "default"]).await?;
    door.exchange(token).await?;
    eventually("a new Event", SEEN, async || {
        let events = events().await?;
        ensure!(events.len() == 1 && events[0]["metadata"]["name"] != event["metadata"]["name"], "{events:?}");
        Ok(())
    })
    .await
}

async fn the_plugin_tells_of_both(staging: &Site, production: &Site, work: &TempFolder) -> Result<()> {
    let nowhere = work.write("nowhere.yaml", NOWHERE)?;
    // As kubeconfigs are that shall be composed: of two users with one name only the first would count.
    let as_admin =
        |site: &Site| site.cluster.write_kubeconfig(&format!("admin-of-{}", site.name), site.cluster.admin());
    let kubeconfigs = [as_admin(staging)?, as_admin(production)?, nowhere];
    let composed = std::env::join_paths(&kubeconfigs)?;
    let run = async |arguments: &[&str]| {
        let mut command = Command::new(&Programs::find().await?.plugin);
        command.arg("rejections").args(arguments).env("KUBECONFIG", &composed).env("KUBERC", "off");
        command.env("KUBECTL_PATH", staging.cluster.kubectl_program()).stdin(Stdio::null()).kill_on_drop(true);
        anyhow::Ok(command.output().await?)
    };
    let context = |site: &Site| -> Result<String> {
        let kubeconfig = fs::read_to_string(site.cluster.admin_kubeconfig())?;
        let value: Value = serde_json::from_str(&kubeconfig).or_else(|_| serde_norway::from_str(&kubeconfig))?;
        Ok(value["current-context"].as_str().context("a context")?.to_owned())
    };
    let (here, there) = (context(staging)?, context(production)?);
    let found = eventually("both clusters' objects in one table", SEEN, async || {
        let output = run(&["--context", &format!("{here},{there}"), "--since", "1h", "-o", "json"]).await?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(0), "{output:?} {said}");
        let answer: Value = serde_json::from_slice(&output.stdout)?;
        let rows = answer["rejections"].as_array().context("rows")?.clone();
        ensure!(rows.len() == 2, "{rows:?}");
        Ok(rows)
    })
    .await?;
    let from: BTreeMap<_, _> =
        found.iter().map(|row| (row["context"].as_str(), row["claimedCluster"].as_str())).collect();
    ensure!(
        from[&Some(here.as_str())] == Some("production") && from[&Some(there.as_str())] == Some("staging"),
        "{found:?}"
    );

    let output = run(&["--all-contexts"]).await?;
    let (table, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.code() == Some(1) && table.lines().count() == 3, "{table}\n{said}");
    ensure!(said.lines().next().is_some_and(|line| line.starts_with("nowhere: ")), "{said}");
    ensure!(said.contains("1 of 3 contexts not read"), "{said}");
    harmless(&table)
}

/// Claims of a user whom no identity provider of ours needs to know, for a cluster's audience.
fn claims(issuer: &Issuer, subject: &str, cluster: &str) -> Result<Value> {
    let mut claims = issuer.claims("ann", &Site::audience(cluster))?;
    claims["sub"] = subject.into();
    Ok(claims)
}
