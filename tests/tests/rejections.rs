//! Refused tokens seen in the cluster as objects: counted over replicas, cleaned, bounded and expiring.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, ensure};
use latchkey_e2e::{
    concierge::{Concierge, ConciergeOptions},
    exchange::Exchanger,
    folder::TempFolder,
    issuer::{Issuer, IssuerOptions},
    leak,
    site::{AUTHENTICATOR, Site},
    terminal::harmless,
    wait::{Observation, eventually},
};
use serde_json::{Value, json};

/// The first of a kind is written within a second, repeats within ten; the rest is for two busy cores.
const SEEN: Duration = Duration::from_mins(1);

/// Three hundred objects at ten a second, and as many removals.
const FLOOD: Duration = Duration::from_mins(4);

/// Never more, whatever comes.
const LIMIT: usize = 200;

#[tokio::test]
async fn whoever_shows_a_signed_token_of_somebody_else_is_seen_counted_and_forgotten_in_time() -> Result<()> {
    let work = TempFolder::new("rejections")?;
    let site = Site::start("production", work.path()).await?;
    let issuer = Issuer::start(IssuerOptions::default()).await?;
    let stranger = Issuer::start(IssuerOptions::default()).await?;
    site.trust(&issuer).await?;
    let door = Exchanger::through(&site.cluster)?;

    noise_makes_no_object(&site, &door, &issuer, &stranger).await?;
    repeats_are_counted_exactly_by_two_replicas(&site, &issuer).await?;
    hostile_words_move_no_cursor(&site, &door, &issuer).await?;
    a_replica_with_a_short_memory(&site, &issuer).await?;
    a_flood_stays_within_its_bounds_and_drives_out_nothing_severe(&site, &door, &issuer).await?;
    leak::no_token("what the concierge wrote", &site.concierge.everything_written())?;
    Ok(())
}

async fn noise_makes_no_object(site: &Site, door: &Exchanger, issuer: &Issuer, stranger: &Issuer) -> Result<()> {
    let mut forged = claims(issuer, "mallory", "staging")?;
    forged["iss"] = issuer.url().into();
    let mut late = claims(issuer, "late", "production")?;
    late["exp"] = (issuer.now() - 10).into();
    let noise = [stranger.mint(&forged)?, issuer.mint(&late)?, "not a token".to_owned()];
    for token in &noise {
        ensure!(!door.exchange(token).await?.is_granted());
    }
    // What comes after them is there; had they been worth an object, they would be too.
    door.exchange(&issuer.mint(&claims(issuer, "ann", "staging")?)?).await?;
    let object = object_of(site, "ann").await?;
    let objects = objects(site).await?;
    ensure!(objects.len() == 1, "{objects:?}");
    let status = &object["status"];
    for (field, expected) in [
        ("authenticator", json!(AUTHENTICATOR)),
        ("code", json!("audience-mismatch")),
        ("issuer", json!(issuer.url())),
        ("audience", json!([Site::audience("staging")])),
        ("count", json!(1)),
        ("replica", json!("replica-1")),
    ] {
        ensure!(status[field] == expected, "{field}: {status}");
    }
    let record = site.last_record("audience-mismatch").await?;
    ensure!(status["lastAuditID"] == record["auditID"], "{status} {record}");
    let (short, whole) = (status["fingerprint"].as_str(), record["token"]["fingerprint"].as_str());
    let (short, whole) = (short.context("a fingerprint")?, whole.context("a fingerprint")?);
    ensure!(short.len() == "sha256:".len() + 16 && whole.starts_with(short), "{short} {whole}");
    let table = site.cluster.kubectl_ok(&["get", "tokenrejections"]).await?;
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    ensure!(lines[0] == ["NAME", "AGE", "CODE", "FROM-CLUSTER", "SUBJECT", "SOURCE", "COUNT", "LAST-SEEN"], "{table}");
    ensure!(lines.len() == 2 && lines[1].contains(&"audience-mismatch") && lines[1].contains(&"ann"), "{table}");
    let all = site.cluster.kubectl_ok(&["get", "latchkey"]).await?;
    ensure!(all.contains("tokenrejection.audit.concierge.latchkey.dev/corp-"), "{all}");
    Ok(())
}

/// Both write the same object at the same time, over and over.
async fn repeats_are_counted_exactly_by_two_replicas(site: &Site, issuer: &Issuer) -> Result<()> {
    let second = replica(site, "replica-2", "168h").await?;
    let token = issuer.mint(&claims(issuer, "ann", "staging")?)?;
    let doors = [
        Exchanger::straight(&site.cluster, &site.concierge).await?,
        Exchanger::straight(&site.cluster, &second).await?,
    ];
    for _ in 0..3 {
        let shown = |door: &Exchanger, times: usize| {
            let (door, token) = (door.clone(), token.clone());
            async move {
                for _ in 0..times {
                    ensure!(!door.exchange(&token).await?.is_granted());
                }
                anyhow::Ok(())
            }
        };
        tokio::try_join!(shown(&doors[0], 7), shown(&doors[1], 5))?;
    }
    let expected = 1 + 3 * (7 + 5);
    eventually("both replicas' counts to be together", SEEN, async || match object_of(site, "ann").await {
        Err(error) => Observation::NotYet(error.to_string()),
        Ok(object) => match object["status"]["count"].as_u64() {
            Some(count) if count == expected => Observation::Holds(()),
            Some(count) if count > expected => {
                Observation::Hopeless(anyhow::anyhow!("{count} counted, {expected} shown"))
            }
            count => Observation::NotYet(format!("{count:?} of {expected}")),
        },
    })
    .await?;
    ensure!(objects(site).await?.len() == 1, "one object for both");
    Ok(())
}

async fn hostile_words_move_no_cursor(site: &Site, door: &Exchanger, issuer: &Issuer) -> Result<()> {
    let hostile = format!("\u{1b}[2J\u{9b}31m\u{202e}evil\n\"}},{{\"kind\":\"Secret\"}}\u{2028}{}", "x".repeat(3_500));
    let mut claims = claims(issuer, &hostile, "staging")?;
    claims["aud"] = json!([format!("aud\u{1b}]0;owned\u{7}\n{hostile}")]);
    // Both together as long as a token may be.
    door.exchange(&issuer.mint(&claims)?).await?;
    site.last_record("audience-mismatch").await?;
    let object = eventually("the hostile subject's object", SEEN, async || {
        let found = objects(site).await?.into_iter().find(|object| text(object, "subject").contains("evil"));
        found.context("none yet")
    })
    .await?;
    ensure!(text(&object, "subject").len() <= 64 * 3, "{object}");
    for arguments in [
        &["get", "tokenrejections"][..],
        &["get", "tokenrejections", "-o", "wide"],
        &["describe", "tokenrejections"],
        &["get", "tokenrejections", "-o", "json"],
    ] {
        let printed = site.cluster.kubectl_ok(arguments).await?;
        harmless(&printed).with_context(|| format!("kubectl {arguments:?}"))?;
        if arguments == ["get", "tokenrejections"] {
            ensure!(printed.lines().count() == 3, "two objects, two lines: {printed}");
            ensure!(printed.lines().all(|line| line.chars().count() < 250), "{printed}");
        }
    }
    Ok(())
}

/// What it writes is kept for two seconds, and the leader takes it away.
async fn a_replica_with_a_short_memory(site: &Site, issuer: &Issuer) -> Result<()> {
    let forgetful = replica(site, "replica-3", "2s").await?;
    let door = Exchanger::straight(&site.cluster, &forgetful).await?;
    let before = made(site)?;
    door.exchange(&issuer.mint(&claims(issuer, "soon-gone", "staging")?)?).await?;
    eventually("its object to be made", SEEN, async || {
        ensure!(made(site)? > before, "not yet");
        Ok(())
    })
    .await?;
    eventually("its object to be gone", SEEN, async || {
        let left = objects(site).await?;
        ensure!(left.iter().all(|object| text(object, "subject") != "soon-gone"), "{left:?}");
        Ok(())
    })
    .await?;
    ensure!(object_of(site, "ann").await?["status"]["count"].as_u64() > Some(1), "the others stay");
    Ok(())
}

/// An insider with three hundred accounts, who would like to see one object gone.
async fn a_flood_stays_within_its_bounds_and_drives_out_nothing_severe(
    site: &Site,
    door: &Exchanger,
    issuer: &Issuer,
) -> Result<()> {
    let mut shared = claims(issuer, "precious", "production")?;
    shared["aud"] = json!([Site::audience("production"), "somebody-else"]);
    door.exchange(&issuer.mint(&shared)?).await?;
    ensure!(object_of(site, "precious").await?["status"]["severity"] == "high");
    let before = made(site)?;
    for number in 0..300 {
        door.exchange(&issuer.mint(&claims(issuer, &format!("flood-{number}"), "staging")?)?).await?;
    }
    let mut most = 0;
    eventually("each of them to have had its object", FLOOD, async || {
        let now = match objects(site).await {
            Ok(now) => now,
            Err(error) => return Observation::NotYet(error.to_string()),
        };
        most = most.max(now.len());
        if most > LIMIT {
            return Observation::Hopeless(anyhow::anyhow!("{most} objects"));
        }
        match made(site).map(|made| made - before) {
            Ok(300..) => Observation::Holds(()),
            Ok(made) => Observation::NotYet(format!("{made} made, {} there", now.len())),
            Err(error) => Observation::NotYet(error.to_string()),
        }
    })
    .await?;
    ensure!(most >= LIMIT - 20, "only {most} objects at a time: what bounded them?");
    ensure!(object_of(site, "precious").await?["status"]["count"] == 1);
    Ok(())
}

/// Claims of a user whom no identity provider of ours needs to know, for a cluster's audience.
fn claims(issuer: &Issuer, subject: &str, cluster: &str) -> Result<Value> {
    let mut claims = issuer.claims("ann", &Site::audience(cluster))?;
    claims["sub"] = subject.into();
    Ok(claims)
}

async fn replica(site: &Site, name: &str, lifetime: &str) -> Result<Concierge> {
    let options = ConciergeOptions {
        cluster_name: site.name.to_owned(),
        extra_args: vec![format!("--token-rejection-lifetime={lifetime}")],
        ..ConciergeOptions::default()
    };
    site.concierge.replica(&site.cluster, options, name).await
}

async fn objects(site: &Site) -> Result<Vec<Value>> {
    let list = site.get("/apis/audit.concierge.latchkey.dev/v1alpha1/tokenrejections").await?;
    Ok(list["items"].as_array().context("a list")?.clone())
}

async fn object_of(site: &Site, subject: &str) -> Result<Value> {
    eventually(&format!("the object of {subject}"), SEEN, async || {
        let found = objects(site).await?.into_iter().find(|object| text(object, "subject") == subject);
        found.context("none yet")
    })
    .await
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object["status"][field].as_str().unwrap_or_default()
}

/// How many objects were ever made, by the API server's own log: also those that went again before anybody looked.
fn made(site: &Site) -> Result<usize> {
    let log = fs::read_to_string(site.cluster.audit_log())?;
    let made = log.lines().filter(|line| {
        ["\"verb\":\"create\"", "\"resource\":\"tokenrejections\"", "\"code\":201"]
            .iter()
            .all(|words| line.contains(words))
    });
    Ok(made.count())
}
