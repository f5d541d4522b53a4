//! npm's packages, put on this machine from pinned manifests.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, ensure};

use crate::{cache, child::Child, folder::TempFolder};

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
        ci(folder).await
    })
    .await
}

async fn ci(folder: &Path) -> Result<()> {
    let logs = TempFolder::new("npm")?;
    let mut command = Command::new("npm");
    // Nothing of these packages needs a script at its installation.
    command.current_dir(folder).args(["ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"]);
    let mut npm = Child::spawn("npm", command, logs.path()).map_err(name_the_missing)?;
    let status = npm.ended(INSTALL_LIMIT).await?;
    ensure!(status.success(), "npm ci failed: {status}\n{}", npm.last_words());
    Ok(())
}

/// Says what to install when node or npm is not there.
pub(crate) fn name_the_missing(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
        Some(ErrorKind::NotFound) => {
            anyhow!("{error:#}: install Node.js 20 or later with npm (Debian packages nodejs and npm)")
        }
        _ => error,
    }
}
