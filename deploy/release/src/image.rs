//! The concierge's container image, from the sources to the files that are handed out.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use cargo_metadata::Metadata;

use crate::{
    architecture::Architecture,
    bill::{self, Subject},
    compile::{self, Program, Wanted},
    elf,
    layer::{File, Files},
    notices,
    oci::{self, Facts, Image},
    outcome, roots, source,
};

/// The profile of the workspace by which a release is built.
pub const PROFILE: &str = "container";

/// The crate that holds the list of authorities.
const ROOTS: &str = "webpki-root-certs";

/// What to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// For which machines.
    pub architectures: Vec<Architecture>,
    /// Where to; by default `image` in cargo's target folder.
    pub out: Option<PathBuf>,
    /// Whether the image's files are wanted by themselves too, in `rootfs/<amd64|arm64>`.
    pub rootfs: bool,
    /// The profile of the workspace by which to build.
    pub profile: String,
}

/// An image, or an index of several, in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// Of one architecture, or of all.
    pub architecture: Option<Architecture>,
    /// Of the manifest or the index: `sha256:...`.
    pub digest: String,
    /// Where it is.
    pub tarball: PathBuf,
    /// Of the layer as it lies on a node's disk and as it travels, in bytes. None for an index.
    pub layer: Option<(usize, usize)>,
}

/// Builds and packs: a tarball and a bill of materials for each architecture, and a tarball of all when there are several.
/// Waits for another that writes to the same folder.
///
/// # Errors
/// If something is missing on this machine, the program does not build or is not static, or a file cannot be written.
pub fn make(order: &Order) -> Result<Vec<Made>> {
    let first = order.architectures.first().context("an image is for some machine")?;
    let out = match &order.out {
        Some(out) => out.clone(),
        None => compile::metadata(first.triple())?.target_directory.join("image").into(),
    };
    let _lock = outcome::lock(&out)?;
    let mut made = Vec::new();
    let mut images = Vec::new();
    for architecture in &order.architectures {
        let (file, image) = one(order, &out, *architecture)?;
        made.push(file);
        images.push(image);
    }
    if images.len() > 1 {
        let (digest, bytes) = oci::tarball_of_several(&images)?;
        let tarball = made[0].tarball.with_file_name(format!("{}-{}.tar", oci::PROGRAM, images[0].version()));
        outcome::write(&tarball, &bytes)?;
        made.push(Made { architecture: None, digest, tarball, layer: None });
    }
    Ok(made)
}

fn one(order: &Order, out: &Path, architecture: Architecture) -> Result<(Made, Image)> {
    let wanted = Wanted { package: oci::PROGRAM, profile: &order.profile, triple: architecture.triple() };
    let program = compile::program(wanted)?;
    let metadata = compile::metadata(architecture.triple())?;
    let files = files(&program, &metadata, architecture)?;
    if order.rootfs {
        outcome::write_tree(&out.join("rootfs").join(architecture.go_name()), &files)?;
    }
    let revision = source::revision(metadata.workspace_root.as_std_path());
    let facts = Facts::of(architecture, &program.package, revision)?;
    let image = Image::pack(&files, &facts)?;

    let name = format!("{}-{}-{}", oci::PROGRAM, facts.version, architecture.name());
    let digest = image.digest();
    let data: Vec<_> = metadata.packages.into_iter().filter(|package| package.name == ROOTS).collect();
    let subject = Subject {
        container: true,
        name: oci::REPOSITORY,
        sha256: digest.trim_start_matches("sha256:"),
        created: &facts.created,
        data: &data,
    };
    outcome::write(&out.join(format!("{name}.cdx.json")), &bill::of(&program, &subject)?)?;
    let tarball = out.join(format!("{name}.tar"));
    outcome::write(&tarball, &image.tarball()?)?;
    let layer = Some((image.unpacked, image.packed));
    Ok((Made { architecture: Some(architecture), digest, tarball, layer }, image))
}

/// All that is in the image.
fn files(program: &Program, metadata: &Metadata, architecture: Architecture) -> Result<Files> {
    let read = |path: &Path| fs::read(path).with_context(|| format!("reading {}", path.display()));
    let bytes = read(&program.path)?;
    elf::check_static(&bytes, architecture)?;
    let bytes = elf::with_list(&bytes, program)?;
    elf::check_static(&bytes, architecture)?;
    let roots = metadata.packages.iter().filter(|package| package.name == ROOTS);
    let foreign: Vec<_> = program.crates.iter().chain(roots).cloned().collect();
    Ok(Files::from([
        (oci::PROGRAM.to_owned(), File::program(bytes)),
        (roots::PATH.to_owned(), File::data(roots::bundle())),
        ("LICENSE".to_owned(), File::data(read(metadata.workspace_root.join("LICENSE").as_std_path())?)),
        ("THIRD-PARTY-NOTICES".to_owned(), File::data(notices::of(&foreign)?)),
    ]))
}
