//! Nushell, which Debian does not have.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::npm;

/// The shell, or none for a machine that npm has no build of it for.
///
/// # Errors
/// If it cannot be fetched: the text says what to install.
pub async fn program() -> Result<Option<PathBuf>> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Ok(None);
    }
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/nushell");
    Ok(Some(npm::packages("nushell", &sources, &[]).await?.join("node_modules/@nushell/linux-x64/bin/nu")))
}
