//! The concierge's container image, built as a release is.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use latchkey_release::{
    architecture::Architecture,
    image::{self, Order},
};
use tokio::sync::OnceCell;

/// Where a ready-made image is, if it is not to be built: the tarball that `cargo image` writes.
const IMAGE: &str = "LATCHKEY_IMAGE";

/// The image for machines like this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image;

impl Image {
    /// The tarball, as `cargo image` makes it: once for the process, and by cargo's own judgement of what is fresh
    /// once for all of them. The first time takes some ten minutes. Its bill of materials is in the same folder.
    ///
    /// # Errors
    /// If it does not build, with what is missing on this machine.
    pub async fn build() -> Result<PathBuf> {
        static BUILT: OnceCell<PathBuf> = OnceCell::const_new();
        let built = BUILT.get_or_try_init(async || match std::env::var_os(IMAGE) {
            Some(given) => Ok(given.into()),
            None => tokio::task::spawn_blocking(build).await.context("building the image")?,
        });
        built.await.cloned()
    }
}

fn build() -> Result<PathBuf> {
    let here = Architecture::of_this_machine().context("no image is made for machines like this one")?;
    let order = Order { architectures: vec![here], out: None, rootfs: false, profile: image::PROFILE.to_owned() };
    let made = image::make(&order)?.pop().context("an order of one image makes one")?;
    Ok(made.tarball)
}
