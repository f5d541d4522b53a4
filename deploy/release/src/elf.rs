//! What a program for Linux says about itself: which machine it is for, whether it needs anything beside itself, and which
//! crates are in it.

use std::{collections::BTreeMap, str::FromStr as _};

use anyhow::{Context as _, Result, bail, ensure};
use auditable_serde::{DependencyKind, Package, Source, VersionInfo};
use flate2::{Compression, write::ZlibEncoder};
use object::{
    build::elf::{Builder, SectionData},
    elf::{EM_AARCH64, EM_X86_64, PT_INTERP, SHT_PROGBITS},
};

use crate::{architecture::Architecture, compile::Program};

/// Where `cargo auditable` puts the list and scanners (Trivy, Syft, Grype, osv-scanner) look for it.
const LIST: &str = ".dep-v0";

/// Whether a program for this architecture runs where there is nothing else, such as in an image without files.
///
/// # Errors
/// If it is none, is for another machine, or asks for a loader or a library.
pub fn check_static(program: &[u8], architecture: Architecture) -> Result<()> {
    let elf = Builder::read(program).context("not an ELF program")?;
    let machine = match architecture {
        Architecture::Aarch64 => EM_AARCH64,
        Architecture::X86_64 => EM_X86_64,
    };
    ensure!(elf.header.e_machine == machine, "not a program for {}", architecture.name());
    if elf.segments.iter().any(|segment| segment.p_type == PT_INTERP) {
        bail!("the program asks for a loader: it is not static");
    }
    let mut needed = elf.dynamic_data().into_iter().flatten().filter(|entry| entry.tag() == object::elf::DT_NEEDED);
    ensure!(needed.next().is_none(), "the program asks for a library: it is not static");
    Ok(())
}

/// The program with the list of its crates in it, in the form of `cargo auditable`: whoever has nothing but the image can
/// still ask which of its crates have a known flaw.
///
/// # Errors
/// If the program cannot be read, or has such a list already.
pub fn with_list(bytes: &[u8], program: &Program) -> Result<Vec<u8>> {
    let mut elf = Builder::read(bytes).context("not an ELF program")?;
    ensure!(elf.sections.iter().all(|section| &*section.name != LIST.as_bytes()), "the program has a list of crates");
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    serde_json::to_writer(&mut encoder, &list(program)?)?;
    let section = elf.sections.add();
    section.name = LIST.into();
    section.sh_type = SHT_PROGBITS;
    section.sh_addralign = 1;
    section.data = SectionData::Data(encoder.finish()?.into());
    let mut written = Vec::with_capacity(bytes.len());
    elf.write(&mut written).context("writing the program with its list")?;
    Ok(written)
}

fn list(program: &Program) -> Result<VersionInfo> {
    let index: BTreeMap<_, _> =
        program.crates.iter().enumerate().map(|(index, package)| (&package.id, index)).collect();
    let packages = program.crates.iter().map(|package| {
        let calls = program.calls.get(&package.id).into_iter().flatten();
        Package {
            name: package.name.to_string(),
            version: package.version.clone(),
            source: match &package.source {
                None => Source::Local,
                Some(source) if source.is_crates_io() => Source::CratesIo,
                Some(source) if source.repr.starts_with("git+") => Source::Git,
                Some(_) => Source::Registry,
            },
            kind: DependencyKind::Runtime,
            dependencies: calls.filter_map(|id| index.get(id).copied()).collect(),
            root: package.id == program.package.id,
        }
    });
    // Its own reader checks that the list hangs together.
    let list = VersionInfo { packages: packages.collect(), format: FORMAT };
    VersionInfo::from_str(&serde_json::to_string(&list)?).context("the list of crates does not hang together")
}

/// The format's number for a list from what was really built.
const FORMAT: u32 = 8;
