//! The audit log's keys on a real API server: made once, published, replaced on demand, not lost with their Secret; and
//! the heads that replicas show each other.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use latchkey_concierge::audit::checkpoint::{Note, PublicKey};
use latchkey_e2e::{
    cluster::ClusterOptions,
    concierge::{Concierge, ConciergeOptions},
    exchange::Exchanger,
    folder::TempFolder,
    issuer::{Issuer, IssuerOptions},
    site::Site,
    verifier::{self, Finding},
    wait::eventually,
};
use serde_json::Value;

/// A write of heads every half minute, and two busy cores. Checkpoints come every second here.
const SEALED: Duration = Duration::from_mins(4);
const SECRET: &str = "/api/v1/namespaces/latchkey/secrets/latchkey-audit-key";
const HEADS: &str = "/api/v1/namespaces/latchkey/configmaps/latchkey-audit-heads";
const ISSUER: &str = "/apis/config.concierge.latchkey.dev/v1alpha1/credentialissuers/latchkey";

#[tokio::test]
async fn replicas_share_a_key_that_outlives_its_secret_and_show_each_other_their_heads() -> Result<()> {
    let work = TempFolder::new("audit-keys")?;
    let options = || ConciergeOptions {
        cluster_name: "staging".to_owned(),
        extra_args: vec!["--audit-checkpoint-every=1s".to_owned()],
        ..ConciergeOptions::default()
    };
    let mut site = Site::start_with(ClusterOptions::named("staging"), options(), "staging", work.path()).await?;
    let issuer = Issuer::start(IssuerOptions::default()).await?;
    site.trust(&issuer).await?;
    let mut second = site.concierge.replica(&site.cluster, options(), "replica-2").await?;

    let first_key = published(&site, 1).await?.remove(0);
    ensure!(current(&site).await? == first_key, "what signs is what is published");
    let replicas = [("replica-1", "replica-2", &site.concierge), ("replica-2", "replica-1", &second)];
    eventually("both replicas to show their heads, and to name each other's", SEALED, async || {
        // A log that nothing is written to is not sealed anew.
        something_to_record(&site, &issuer, &[&site.concierge, &second]).await?;
        let shown = site.get(HEADS).await?;
        let shown = shown["data"].as_object().context("no entries")?;
        for (name, other, replica) in replicas {
            let mine = shown.iter().find(|(entry, _)| entry.starts_with(&format!("{name}.")));
            let note = mine.with_context(|| format!("nothing of {name}"))?.1.as_str().context("not a text")?;
            Note::parse(note)?.verify(std::slice::from_ref(&first_key))?;
            let names_other = checkpoints(replica)?.iter().any(|record| {
                let others = record["others"].as_array();
                others.is_some_and(|others| {
                    others.iter().any(|head| said(&head["origin"]).contains(&format!("/{other}/")))
                })
            });
            ensure!(names_other, "{name} does not name {other} yet: {:?}", checkpoints(replica)?.last());
        }
        Ok(())
    })
    .await?;

    // A lost Secret comes back as it was; a damaged one is said and not written over.
    let before = site.get(SECRET).await?["data"].clone();
    site.cluster.kubectl_ok(&["-n", "latchkey", "delete", "secret", "latchkey-audit-key"]).await?;
    eventually("the Secret to come back", SEALED, async || {
        ensure!(site.get(SECRET).await?["data"] == before, "another one");
        Ok(())
    })
    .await?;
    patch(&site, &format!(r#"{{"data":{{"signing.key":"{}"}}}}"#, STANDARD.encode("garbage"))).await?;
    eventually("the damage to be said", SEALED, async || {
        let problem = said(&site.get(ISSUER).await?["status"]["audit"]["problem"]).to_owned();
        ensure!(problem.contains("signing.key"), "{problem}");
        Ok(())
    })
    .await?;
    ensure!(site.get(SECRET).await?["data"]["signing.key"] == STANDARD.encode("garbage"));
    ensure!(published(&site, 1).await? == [first_key], "nobody else signs");
    patch(&site, r#"{"data":{"signing.key":null}}"#).await?;
    eventually("the old key to be back", SEALED, async || {
        ensure!(site.get(SECRET).await?["data"] == before, "not as it was");
        Ok(())
    })
    .await?;

    // On demand another one takes over, and both sign.
    patch(&site, r#"{"metadata":{"annotations":{"latchkey.dev/rotate":"signing"}}}"#).await?;
    let both = published(&site, 2).await?;
    ensure!(both[1] == first_key && both[0] != first_key);
    eventually("a checkpoint by both keys", SEALED, async || {
        something_to_record(&site, &issuer, &[&site.concierge, &second]).await?;
        for replica in [&site.concierge, &second] {
            let last = checkpoints(replica)?.pop().context("no checkpoint")?;
            let note = Note::parse(said(&last["note"]))?;
            for key in &both {
                note.verify(std::slice::from_ref(key))?;
            }
        }
        Ok(())
    })
    .await?;

    // Of a replica that ends, the last head stays.
    ensure!(second.stop().await?.success());
    let last = checkpoints(&second)?.pop().context("no checkpoint at the end")?;
    let shown = site.get(HEADS).await?;
    let entries = shown["data"].as_object().context("no entries")?;
    ensure!(entries.values().any(|note| *note == last["note"]), "its last note is not shown: {shown}");

    // An auditor holds both logs against what the cluster publishes, the keys of before among it.
    let keys = verifier::published_keys(&site, work.path()).await?;
    ensure!(site.concierge.stop().await?.success());
    let verified = verifier::verify(Some(&keys), &[site.concierge.audit_file(), second.audit_file()]).await?;
    ensure!(verified.finding == Finding::Intact, "{}", verified.words);
    Ok(())
}

/// A grant at each replica: those never fold, so there is something new to seal.
async fn something_to_record(site: &Site, issuer: &Issuer, replicas: &[&Concierge]) -> Result<()> {
    for replica in replicas {
        let token = issuer.id_token("ann", &Site::audience(site.name))?;
        let answer = Exchanger::straight(&site.cluster, replica).await?.exchange(&token).await?;
        ensure!(answer.is_granted(), "{}", answer.body);
    }
    Ok(())
}

/// The published keys, once there are so many and the newest one is in force.
async fn published(site: &Site, count: usize) -> Result<Vec<PublicKey>> {
    eventually("the keys to be published", SEALED, async || {
        let status = site.get(ISSUER).await?["status"]["audit"].clone();
        let keys = status["publicKeys"].as_array().cloned().unwrap_or_default();
        ensure!(keys.len() == count && keys[0].get("until").is_none(), "{status}");
        keys.iter().map(|key| Ok(said(&key["publicKey"]).parse()?)).collect()
    })
    .await
}

/// The key that the Secret's list says is in force.
async fn current(site: &Site) -> Result<PublicKey> {
    let secret = site.get(SECRET).await?;
    let list = STANDARD.decode(said(&secret["data"]["public-keys.json"]))?;
    let list: Value = serde_json::from_slice(&list)?;
    Ok(said(&list[0]["publicKey"]).parse()?)
}

async fn patch(site: &Site, patch: &str) -> Result<()> {
    let arguments = ["-n", "latchkey", "patch", "secret", "latchkey-audit-key", "--type=merge", "-p", patch];
    site.cluster.kubectl_ok(&arguments).await.map(drop)
}

fn checkpoints(replica: &Concierge) -> Result<Vec<Value>> {
    let lines = replica.audit_lines()?;
    Ok(lines.into_iter().filter(|line| line["kind"] == "audit.checkpoint").collect())
}

fn said(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
