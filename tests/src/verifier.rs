//! `latchkey-concierge audit verify`, run as an auditor does.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

use crate::{programs::Programs, site::Site};

/// What the verifier says by its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Everything is there, as it was written.
    Intact,
    /// Something is not what was written.
    Changed,
    /// What is there is intact, and something is missing that a crash or a full queue explains.
    Incomplete,
}

/// What the verifier says.
#[derive(Debug)]
pub struct Verified {
    /// The answer.
    pub finding: Finding,
    /// All of its words.
    pub words: String,
}

/// Verifies one or more files; `keys` is a file with the public keys that count, as [`published_keys`] writes it.
///
/// # Errors
/// If the verifier cannot read them.
pub async fn verify(keys: Option<&Path>, files: &[&Path]) -> Result<Verified> {
    let mut command = Command::new(&Programs::find().await?.concierge);
    command.args(["audit", "verify"]);
    if let Some(keys) = keys {
        command.arg("--key").arg(keys);
    }
    let output = command.args(files).kill_on_drop(true).output().await.context("starting the verifier")?;
    let mut words = String::from_utf8_lossy(&output.stdout).into_owned();
    words.push_str(&String::from_utf8_lossy(&output.stderr));
    let finding = match output.status.code() {
        Some(0) => Finding::Intact,
        Some(1) => Finding::Changed,
        Some(3) => Finding::Incomplete,
        _ => bail!("audit verify: {}: {words}", output.status),
    };
    Ok(Verified { finding, words })
}

/// Fetches the public keys of a cluster's audit logs, as the verifier's help says; the file's path.
///
/// # Errors
/// If the cluster publishes none, or the file cannot be written.
pub async fn published_keys(site: &Site, folder: &Path) -> Result<PathBuf> {
    let issuer = site.cluster.kubectl_ok(&["get", "credentialissuer", "latchkey", "-o", "yaml"]).await?;
    let file = folder.join(format!("issuer-{}.yaml", site.name));
    std::fs::write(&file, issuer)?;
    Ok(file)
}
