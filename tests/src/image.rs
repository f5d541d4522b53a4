//! The concierge's container image, built as a release is.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, Result, ensure};
use tokio::{process::Command, sync::OnceCell};

/// Where a ready-made image is, if it is not to be built: the tarball that `cargo image` writes.
const IMAGE: &str = "LATCHKEY_IMAGE";

/// The image for machines like this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image;

impl Image {
    /// The tarball: built by `cargo image` once for the process, and by cargo's own judgement of what is fresh once for all
    /// of them. The first time takes some ten minutes. Files beside it have the same name and other endings.
    ///
    /// # Errors
    /// If it does not build; what is missing on this machine is on standard error then.
    pub async fn build() -> Result<PathBuf> {
        static BUILT: OnceCell<PathBuf> = OnceCell::const_new();
        let built = BUILT.get_or_try_init(async || match std::env::var_os(IMAGE) {
            Some(given) => Ok(given.into()),
            None => build().await,
        });
        built.await.cloned()
    }
}

async fn build() -> Result<PathBuf> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(["run", "--quiet", "--package", "latchkey-release", "--bin", "image"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    let output = command.output().await.context("running cargo image")?;
    ensure!(output.status.success(), "cargo image failed");
    let said = String::from_utf8(output.stdout).context("cargo image's answer")?;
    // Platform, digest, path; blanks can be in the last only.
    let path = said.trim_end().splitn(3, ' ').nth(2).with_context(|| format!("cargo image said {said:?}"))?;
    Ok(path.into())
}
