//! npm's packages, put on this machine from pinned manifests.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::{cache, child};

/// What npm and its programs need.
pub(crate) const NEEDED: &str = "Node.js 20 or later with npm (Debian packages nodejs and npm)";

/// What npm reads: exact versions with the hashes of their content.
const PINNED: [&str; 2] = ["package.json", "package-lock.json"];

/// At most a hundred small packages or one of 50 MB: seconds by a good line.
const INSTALL_LIMIT: Duration = Duration::from_mins(5);

/// A folder in the user's cache with what is pinned in `sources` in its `node_modules`, and `programs` of that folder beside
/// it: Node looks for packages from a program's own folder upwards. Made once per machine and content.
///
/// # Errors
/// If npm is missing or fails, or a file cannot be read.
pub(crate) async fn packages(name: &str, sources: &Path, programs: &[&str]) -> Result<PathBuf> {
    let files: Vec<_> = PINNED.iter().chain(programs).map(|file| sources.join(file)).collect();
    cache::made_once(name, &files, async |folder| {
        for file in &files {
            let name = file.file_name().context("a file has a name")?;
            fs::copy(file, folder.join(name)).with_context(|| format!("copying {}", file.display()))?;
        }
        let mut command = Command::new("npm");
        // Nothing of these packages needs a script at its installation.
        command.current_dir(folder).args(["ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"]);
        child::run("npm", command, INSTALL_LIMIT, NEEDED).await
    })
    .await
}
