//! `cargo image`: the concierge as a container image, without a container engine.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Parser;
use latchkey_release::{
    architecture::Architecture,
    image::{self, Order},
    oci, outcome,
    platform::Platform,
};

/// Packs the concierge into a container image: `<OUT>/latchkey-concierge-<VERSION>-<ARCH>.tar`, its bill of materials
/// beside it, and one tarball over all when there are several.
#[derive(Debug, Parser)]
#[command(name = "cargo image")]
struct Arguments {
    /// For which machines; by default for one like this.
    #[arg(long, value_enum, value_delimiter = ',')]
    arch: Vec<Architecture>,
    /// Where to; by default `target/image` of the workspace.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Also write the image's files into `<OUT>/rootfs/<amd64|arm64>/`, for `Containerfile.packing`.
    #[arg(long)]
    rootfs: bool,
    /// The profile of the workspace by which to build.
    #[arg(long, default_value = image::PROFILE)]
    profile: String,
}

fn main() -> Result<()> {
    let Arguments { mut arch, out, rootfs, profile } = Arguments::parse();
    if arch.is_empty() {
        arch.push(Architecture::of_this_machine().context("no image is made for machines like this one")?);
    }
    arch.sort_unstable();
    arch.dedup();
    for made in image::make(&Order { architectures: arch, out, rootfs, profile })? {
        let subject = made.architecture.map_or("all".to_owned(), |of| Platform::Linux(of).to_string());
        outcome::say(&subject, &made.digest, &made.tarball);
        if let Some((unpacked, packed)) = made.layer {
            eprintln!("  its layer: {unpacked} bytes, {packed} compressed");
            if unpacked > oci::BUDGET {
                eprintln!("  that is more than the {} that a release may have", oci::BUDGET);
            }
        }
    }
    Ok(())
}
