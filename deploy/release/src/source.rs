//! Which sources something was made from, and of what time it says that it is.

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result};
use jiff::Timestamp;

/// The commit, with `-dirty` behind it where files differ from it. `None` outside of Git, such as in an unpacked archive.
#[must_use]
pub fn revision(workspace: &Path) -> Option<String> {
    let commit = git(workspace, &["rev-parse", "HEAD"])?;
    let changed = git(workspace, &["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changed.is_empty() { commit } else { format!("{commit}-dirty") })
}

fn git(workspace: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(workspace).args(arguments).output().ok()?;
    let said = output.status.success().then(|| String::from_utf8(output.stdout).ok()).flatten()?;
    Some(said.trim().to_owned())
}

/// The time that an image or an archive carries: `SOURCE_DATE_EPOCH` (seconds, reproducible-builds.org), else 1970.
///
/// # Errors
/// If the variable is set and is no time.
pub fn created(epoch: Option<&str>) -> Result<String> {
    let seconds = epoch.map_or(Ok(0), str::parse).context("SOURCE_DATE_EPOCH is not a number of seconds")?;
    Ok(Timestamp::from_second(seconds).context("SOURCE_DATE_EPOCH")?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_the_sources_or_none() {
        assert_eq!(created(None).unwrap(), "1970-01-01T00:00:00Z");
        assert_eq!(created(Some("1767225600")).unwrap(), "2026-01-01T00:00:00Z");
        assert!(created(Some("yesterday")).is_err());
        assert!(created(Some("99999999999999")).is_err());
    }

    #[test]
    fn a_folder_outside_of_git_has_no_revision() {
        assert_eq!(revision(Path::new("/")), None);
    }
}
