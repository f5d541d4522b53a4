//! Puts `oidc-provider` on this machine: npm's packages once per version, our server for each start.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::{folder::TempFolder, npm};

/// What we wrote: the program first.
const PROGRAM: [&str; 2] = ["server.mjs", "pages.mjs"];

/// Copies our server into `folder`, beside a link to the packages, and returns its path.
///
/// Node looks for packages from a program's own folder upwards, and these must not lie in the repository.
pub(super) async fn program_in(folder: &TempFolder) -> Result<PathBuf> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("idp");
    let packages = npm::packages("idp", &sources, &[]).await?.join("node_modules");
    symlink(&packages, folder.path().join("node_modules"))
        .with_context(|| format!("linking to {}", packages.display()))?;
    for file in PROGRAM {
        fs::copy(sources.join(file), folder.path().join(file)).with_context(|| format!("copying tests/idp/{file}"))?;
    }
    Ok(folder.path().join(PROGRAM[0]))
}
