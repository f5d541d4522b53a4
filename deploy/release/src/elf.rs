//! What a program for Linux says about itself: which machine it is for, whether it needs anything beside itself, and which
//! crates are in it.

use std::{collections::BTreeMap, io::Read as _, str::FromStr as _};

use anyhow::{Context as _, Result, bail, ensure};
use auditable_serde::{DependencyKind, Package, Source, VersionInfo};
use flate2::{Compression, read::ZlibDecoder, write::ZlibEncoder};
use object::{
    Object as _, ObjectSection as _,
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

/// The crates that a program lists, as `name@version` in the list's order.
///
/// # Errors
/// If there is no list in it.
pub fn crates(program: &[u8]) -> Result<Vec<String>> {
    let elf = object::File::parse(program).context("not an ELF program")?;
    let section = elf.section_by_name(LIST).context("no list of crates in the program")?;
    let mut json = String::new();
    ZlibDecoder::new(section.data()?).read_to_string(&mut json).context("reading the list of crates")?;
    let list = VersionInfo::from_str(&json).context("the list of crates does not hang together")?;
    Ok(list.packages.iter().map(|package| format!("{}@{}", package.name, package.version)).collect())
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

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

    use super::*;
    use crate::compile::fixture;

    fn own() -> Vec<u8> {
        fs::read(std::env::current_exe().unwrap()).unwrap()
    }

    #[test]
    fn a_program_that_asks_for_a_loader_is_refused() {
        let here = Architecture::of_this_machine().unwrap();
        let other = if here == Architecture::X86_64 { Architecture::Aarch64 } else { Architecture::X86_64 };
        let refusal = |architecture| check_static(&own(), architecture).unwrap_err().to_string();
        assert!(refusal(here).contains("loader"), "{}", refusal(here));
        assert_eq!(refusal(other), format!("not a program for {}", other.name()));
        assert_eq!(check_static(b"#!/bin/sh\n", here).unwrap_err().to_string(), "not an ELF program");
    }

    #[test]
    fn a_program_with_its_list_runs_as_before_and_scanners_find_the_list() {
        let program = fixture(&["latchkey-concierge", "latchkey-crds", "serde"]);
        let listed = with_list(&own(), &program).unwrap();
        assert!(with_list(&listed, &program).is_err(), "one list is enough");

        let named: Vec<_> =
            program.crates.iter().map(|package| format!("{}@{}", package.name, package.version)).collect();
        assert_eq!(crates(&listed).unwrap(), named);
        assert!(crates(&own()).is_err());
        let list = list(&program).unwrap();
        let calls: Vec<_> = list.packages.iter().map(|package| &*package.dependencies).collect();
        assert_eq!(calls, [&[1, 2][..], &[2], &[]]);
        assert_eq!(list.packages[2].source, Source::CratesIo);

        let copy = std::env::current_exe().unwrap().with_extension("with-list");
        fs::write(&copy, listed).unwrap();
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
        let said = Command::new(&copy).args(["--list", "--exact", "nothing"]).output();
        fs::remove_file(&copy).unwrap();
        let said = said.unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    }
}
