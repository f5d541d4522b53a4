//! The chapter about the record: it is intact, and whoever changes one byte of it is found out.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use latchkey_e2e::{
    site::Site,
    verifier::{self, Finding},
    wait::eventually,
};

use super::narrator::Narrator;

/// The demo's concierges seal their logs every second.
const LIMIT: Duration = Duration::from_secs(30);

pub(super) async fn evidence(narrator: &mut Narrator, work: &Path, production: &Site) -> Result<()> {
    narrator.chapter(7, "The record proves itself");
    let keys = verifier::published_keys(production, work).await?;
    eventually("the replay's record to be sealed", LIMIT, async || {
        let lines = production.concierge.audit_lines()?;
        let replayed = lines.iter().position(|line| line["code"] == "audience-other-cluster").context("no replay")?;
        let sealed = lines.iter().rposition(|line| line["kind"] == "audit.checkpoint").context("no checkpoint")?;
        ensure!(sealed > replayed, "sealed to line {sealed}, replayed in line {replayed}");
        anyhow::Ok(())
    })
    .await?;
    // A copy: the log is being written.
    let copy = work.join("audit-copy.jsonl");
    fs::copy(production.concierge.audit_file(), &copy)?;
    let command = |file: &str| format!("latchkey-concierge audit verify --key issuer.yaml {file}");

    let verified = verifier::verify(Some(&keys), &[&copy]).await?;
    narrator.say("Each line carries the hash of the one before it, and checkpoints are signed; the public key is in the cluster.");
    narrator.command("kubectl get credentialissuer latchkey -o yaml > issuer.yaml", "");
    narrator.command(&command("audit-copy.jsonl"), &verified.words);
    narrator.seen("the log is what was written", verified.finding == Finding::Intact)?;

    let mut bytes = fs::read(&copy)?;
    let replay = b"audience-other-cluster";
    let at = bytes.windows(replay.len()).position(|window| window == replay).context("the replay's record")?;
    let line = bytes[..at].split(|byte| *byte == b'\n').count();
    bytes[at] = b'A';
    let edited = work.join("audit-edited.jsonl");
    fs::write(&edited, bytes)?;
    let verified = verifier::verify(Some(&keys), &[&edited]).await?;
    narrator.say(&format!("Now somebody who can write the file changes one byte of line {line}, the replay's."));
    narrator.command(&command("audit-edited.jsonl"), &verified.words);
    narrator.seen(
        "the verifier points at that very line",
        verified.finding == Finding::Changed && verified.words.contains(&format!("audit-edited.jsonl:{line}")),
    )
}
