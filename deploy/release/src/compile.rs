//! A program by cargo: the same bytes in whatever folder it is built, and which crates went into it.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    ffi::OsString,
    io::BufReader,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use cargo_metadata::{DependencyKind, Message, Metadata, MetadataCommand, Package, PackageId};

use crate::{
    archive,
    toolchain::{self, Toolchain},
};

/// What to build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// The crate, whose one program has the same name.
    pub package: &'a str,
    /// A profile of the workspace.
    pub profile: &'a str,
    /// Rust's name of the target.
    pub triple: &'a str,
}

/// A program that was built.
#[derive(Clone, Debug)]
pub struct Program {
    /// Where it is.
    pub path: PathBuf,
    /// The crate that it is of.
    pub package: Package,
    /// The crates whose code is in it, that one too, sorted by name and version. Not those that only ran while building.
    pub crates: Vec<Package>,
    /// Which of them calls which.
    pub calls: BTreeMap<PackageId, BTreeSet<PackageId>>,
}

/// Builds a program. Compiler messages go to standard error.
///
/// # Errors
/// If something is missing on this machine, with what to install, or it does not build.
pub fn program(wanted: Wanted<'_>) -> Result<Program> {
    let toolchain = Toolchain::find(wanted.triple)?;
    toolchain::library(wanted.triple)?;
    let metadata = metadata(wanted.triple)?;
    let mut command = toolchain.cargo(wanted.triple);
    command
        .args(["--locked", "--package", wanted.package, "--bin", wanted.package])
        .args(["--profile", wanted.profile, "--target", wanted.triple])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(&metadata.workspace_root)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    same_everywhere(&mut command, &metadata, wanted, &toolchain);
    let mut child = command.spawn().context("running cargo")?;
    let output = child.stdout.take().context("cargo's output was asked for")?;

    // What is linked lies in the target's folder; build scripts, procedural macros and theirs lie beside it.
    let folder = metadata.target_directory.join(wanted.triple);
    let mut linked = BTreeSet::new();
    let mut path = None;
    for message in Message::parse_stream(BufReader::new(output)) {
        if let Message::CompilerArtifact(artifact) = message.context("reading cargo's messages")? {
            if artifact.filenames.iter().any(|file| file.starts_with(&folder)) {
                linked.insert(artifact.package_id);
            }
            path = artifact.executable.map(PathBuf::from).or(path);
        }
    }
    let status = child.wait().context("waiting for cargo")?;
    ensure!(status.success(), "building {} for {} failed", wanted.package, wanted.triple);
    let path = path.context("cargo named no program")?;
    assemble(wanted.package, path, &linked, &metadata)
}

/// What cargo knows of the workspace that this crate is in, as seen from a target.
///
/// # Errors
/// If cargo does not say.
pub fn metadata(triple: &str) -> Result<Metadata> {
    let options = ["--locked", "--filter-platform", triple].map(str::to_owned);
    MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .other_options(options)
        .exec()
        .context("asking cargo for the workspace's crates")
}

fn assemble(name: &str, path: PathBuf, linked: &BTreeSet<PackageId>, metadata: &Metadata) -> Result<Program> {
    let mut crates: Vec<Package> =
        metadata.packages.iter().filter(|package| linked.contains(&package.id)).cloned().collect();
    ensure!(crates.len() == linked.len(), "cargo built a crate that its metadata does not name");
    crates.sort_by(|one, other| (&one.name, &one.version).cmp(&(&other.name, &other.version)));
    let package = crates.iter().find(|package| package.name == name).context("a program is of a crate")?.clone();
    let resolve = metadata.resolve.as_ref().context("cargo resolved no dependencies")?;
    let calls = resolve.nodes.iter().filter(|node| linked.contains(&node.id)).map(|node| {
        let normal = node.deps.iter().filter(|dependency| {
            linked.contains(&dependency.pkg)
                && dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal)
        });
        (node.id.clone(), normal.map(|dependency| dependency.pkg.clone()).collect())
    });
    Ok(Program { path, package, calls: calls.collect(), crates })
}

/// Keeps this machine out of the program: paths in panic messages and in C's assertions are those of no machine, and flags
/// for Rust in the user's environment do not count. Those for C do, where they are the target's own: a compiler that is named by
/// `CC_<target>` may not work without them.
fn same_everywhere(command: &mut Command, metadata: &Metadata, wanted: Wanted<'_>, toolchain: &Toolchain) {
    let prefixes = prefixes(metadata);
    let mut flags: Vec<_> = prefixes.iter().map(|(from, to)| format!("--remap-path-prefix={from}={to}")).collect();
    flags.extend(link_flags(wanted, toolchain).iter().map(|flag| (*flag).to_owned()));
    command.env_remove("RUSTFLAGS").env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    let variable = format!("CFLAGS_{}", wanted.triple.replace('-', "_"));
    let mut flags = env::var_os(&variable).unwrap_or_default();
    for (from, to) in &prefixes {
        flags.push(OsString::from(format!(" -ffile-prefix-map={from}={to}")));
    }
    command.env(variable, flags).env("CARGO_INCREMENTAL", "0").env_remove("CARGO_BUILD_TARGET");
}

/// How a static program is linked. What Zig links is left as Zig does it.
fn link_flags(wanted: Wanted<'_>, toolchain: &Toolchain) -> &'static [&'static str] {
    if !wanted.triple.ends_with("-linux-musl") || *toolchain == Toolchain::Zig {
        return &[];
    }
    if wanted.package == archive::PROGRAM {
        // At a fixed address, for the reason in its `build.rs`, which can say it for a dynamic program only: 45 page faults at a
        // start in place of 83, and 0.19 ms of CPU in place of 0.30.
        return &["-Crelocation-model=static"];
    }
    // A movable program lists every address in it that moves, in 24 bytes each: 0.9 MB of the concierge's. In this form, which
    // musl's start code reads since 1.2.4 and binutils writes since 2.38, it is 1 % of that.
    &["-Clink-arg=-Wl,-z,pack-relative-relocs"]
}

/// Folders of this machine, and what they are called in a program. The most particular last, for that one wins.
fn prefixes(metadata: &Metadata) -> Vec<(String, &'static str)> {
    // A registry's folder carries a hash of its address, which a mirror changes.
    let registries: BTreeSet<String> = metadata
        .packages
        .iter()
        .filter(|package| package.source.is_some())
        .filter_map(|package| Some(package.manifest_path.parent()?.parent()?.to_string()))
        .collect();
    let mut prefixes: Vec<_> = registries.into_iter().map(|folder| (folder, "/crates")).collect();
    prefixes.push((metadata.workspace_root.to_string(), "/latchkey"));
    prefixes.push((metadata.target_directory.to_string(), "/latchkey/target"));
    prefixes
}

/// A program of these crates that was never built.
#[cfg(test)]
pub(crate) fn fixture(names: &[&str]) -> Program {
    let metadata = metadata("x86_64-unknown-linux-musl").unwrap();
    let id = |name: &&str| metadata.packages.iter().find(|package| package.name == *name).unwrap().id.clone();
    assemble(names[0], PathBuf::from(names[0]), &names.iter().map(id).collect(), &metadata).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci;

    #[test]
    fn no_folder_of_this_machine_keeps_its_name() {
        let metadata = metadata("x86_64-unknown-linux-musl").unwrap();
        let prefixes = prefixes(&metadata);
        let package = |name: &str| {
            let found = metadata.packages.iter().find(|package| package.name == name).unwrap();
            found.manifest_path.to_string()
        };
        for path in [package("latchkey-concierge"), package("tokio"), metadata.target_directory.join("x").to_string()] {
            assert!(prefixes.iter().any(|(from, _)| path.starts_with(from)), "{path} in {prefixes:?}");
        }
    }

    #[test]
    fn the_crates_of_a_program_are_those_that_were_linked() {
        let metadata = metadata("x86_64-unknown-linux-musl").unwrap();
        let id = |name: &str| metadata.packages.iter().find(|package| package.name == name).unwrap().id.clone();
        let linked = BTreeSet::from([id("latchkey-concierge"), id("latchkey-crds"), id("serde")]);
        let program = assemble("latchkey-concierge", PathBuf::from("x"), &linked, &metadata).unwrap();
        let names: Vec<_> = program.crates.iter().map(|package| package.name.as_str()).collect();
        assert_eq!(names, ["latchkey-concierge", "latchkey-crds", "serde"]);
        assert_eq!(program.calls[&program.package.id], BTreeSet::from([id("latchkey-crds"), id("serde")]));
        let unknown = BTreeSet::from([PackageId { repr: "nobody".to_owned() }]);
        assert!(assemble("latchkey-concierge", PathBuf::from("x"), &unknown, &metadata).is_err());
    }

    #[test]
    fn the_plugin_starts_at_a_fixed_address_and_the_server_can_be_moved() {
        let flags = |package, triple, toolchain| link_flags(Wanted { package, profile: "release", triple }, &toolchain);
        let musl = "x86_64-unknown-linux-musl";
        assert_eq!(flags(archive::PROGRAM, musl, Toolchain::Plain), ["-Crelocation-model=static"]);
        assert_eq!(flags(oci::PROGRAM, musl, Toolchain::Plain), ["-Clink-arg=-Wl,-z,pack-relative-relocs"]);
        assert!(flags(archive::PROGRAM, musl, Toolchain::Zig).is_empty());
        assert!(flags(archive::PROGRAM, "aarch64-apple-darwin", Toolchain::Plain).is_empty());
    }
}
