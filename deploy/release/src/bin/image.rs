//! `cargo image`: the concierge as a container image, without a container engine.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};
use clap::Parser;
use latchkey_release::{
    architecture::Architecture,
    bill::{self, Subject},
    compile::{self, Wanted},
    elf,
    layer::{File, Files},
    notices,
    oci::{self, Facts, Image},
    outcome,
    platform::Platform,
    roots, source,
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
    #[arg(long, default_value = "container")]
    profile: String,
}

fn main() -> Result<()> {
    let mut arguments = Arguments::parse();
    if arguments.arch.is_empty() {
        arguments.arch.push(Architecture::of_this_machine().context("no image is made for machines like this one")?);
    }
    arguments.arch.sort_unstable();
    arguments.arch.dedup();

    let mut images = Vec::new();
    let mut out = PathBuf::new();
    for architecture in arguments.arch {
        let program = compile::program(Wanted {
            package: oci::PROGRAM,
            profile: &arguments.profile,
            triple: architecture.triple(),
        })?;
        let metadata = compile::metadata(architecture.triple())?;
        out = arguments.out.clone().unwrap_or_else(|| metadata.target_directory.join("image").into());

        let bytes = fs::read(&program.path).with_context(|| format!("reading {}", program.path.display()))?;
        elf::check_static(&bytes, architecture)?;
        let bytes = elf::with_list(&bytes, &program)?;
        elf::check_static(&bytes, architecture)?;
        let data: Vec<_> =
            metadata.packages.iter().filter(|package| package.name == "webpki-root-certs").cloned().collect();
        let licence = metadata.workspace_root.join("LICENSE");
        let files = Files::from([
            (oci::PROGRAM.to_owned(), File::program(bytes)),
            (roots::PATH.to_owned(), File::data(roots::bundle())),
            ("THIRD-PARTY-NOTICES".to_owned(), File::data(notices::of(&[&*program.crates, &*data].concat())?)),
            ("LICENSE".to_owned(), File::data(fs::read(&licence).with_context(|| format!("reading {licence}"))?)),
        ]);
        let facts = Facts::of(architecture, &program.package, source::revision(metadata.workspace_root.as_std_path()))?;
        let image = Image::pack(&files, &facts)?;

        if arguments.rootfs {
            outcome::write_tree(&out.join("rootfs").join(architecture.go_name()), &files)?;
        }
        let name = format!("{}-{}-{}", oci::PROGRAM, facts.version, architecture.name());
        let tarball = out.join(format!("{name}.tar"));
        outcome::write(&tarball, &image.tarball()?)?;
        let digest = image.digest();
        let subject = Subject {
            container: true,
            name: oci::REPOSITORY,
            sha256: digest.trim_start_matches("sha256:"),
            created: &facts.created,
            data: &data,
        };
        outcome::write(&out.join(format!("{name}.cdx.json")), &bill::of(&program, &subject)?)?;
        outcome::say(&Platform::Linux(architecture).to_string(), &digest, &tarball);
        eprintln!("  its layer: {} bytes, {} compressed", image.unpacked, image.packed);
        if image.unpacked > oci::BUDGET {
            eprintln!("  that is more than the {} that a release may have", oci::BUDGET);
        }
        images.push((facts.version, image));
    }
    if let [(version, _), _, ..] = &*images {
        let tarball = out.join(format!("{}-{version}.tar", oci::PROGRAM));
        let images: Vec<_> = images.iter().map(|(_, image)| image.clone()).collect();
        let (digest, bytes) = oci::tarball_of_several(&images)?;
        outcome::write(&tarball, &bytes)?;
        outcome::say("all", &digest, &tarball);
    }
    Ok(())
}
