//! `cargo plugin-archives`: the plugin for each platform that can be built for here, the list of sums, the krew manifest.

use std::{fmt::Write as _, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;
use latchkey_release::{
    archive::{self, Contents},
    bill::{self, Subject},
    compile::{self, Wanted},
    digest::sha256,
    elf,
    krew::{self, Archive},
    notices, outcome,
    platform::{PLATFORMS, Platform},
    source,
    toolchain::Toolchain,
};

/// Packs the plugin: an archive and a bill of materials for each platform, `SHA256SUMS`, and krew's manifest.
#[derive(Debug, Parser)]
#[command(name = "cargo plugin-archives")]
struct Arguments {
    /// For which platforms, such as linux/amd64; by default for all that this machine has a compiler for.
    #[arg(long, value_delimiter = ',')]
    platform: Vec<Platform>,
    /// Where to; by default `target/plugin-archives` of the workspace.
    #[arg(long)]
    out: Option<PathBuf>,
    /// The profile of the workspace by which to build.
    #[arg(long, default_value = "plugin")]
    profile: String,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let platforms = if arguments.platform.is_empty() { possible() } else { arguments.platform };
    if platforms.is_empty() {
        bail!("there is no platform for which this machine could build");
    }
    let created = source::created(std::env::var("SOURCE_DATE_EPOCH").ok().as_deref())?;
    let manual = manual(&arguments.profile)?;
    let mut sums = String::new();
    let mut archives = Vec::new();
    let mut version = String::new();
    let mut out = PathBuf::new();
    for platform in platforms {
        let wanted = Wanted { package: archive::PROGRAM, profile: &arguments.profile, triple: platform.triple() };
        let program = compile::program(wanted)?;
        let metadata = compile::metadata(platform.triple())?;
        out = arguments.out.clone().unwrap_or_else(|| metadata.target_directory.join("plugin-archives").into());
        version = program.package.version.to_string();
        let mut bytes = std::fs::read(&program.path).with_context(|| format!("reading {}", program.path.display()))?;
        if let Platform::Linux(architecture) = platform {
            elf::check_static(&bytes, architecture)?;
            bytes = elf::with_list(&bytes, &program)?;
        }
        let notices = notices::of(&program.crates)?;
        let contents = Contents { platform, program: bytes, notices, manual: manual.clone() };
        let packed = archive::pack(&metadata.workspace_root, contents)?;
        let name = archive::name(&version, platform);
        let sum = sha256(&packed);
        outcome::write(&out.join(&name), &packed)?;
        let subject = Subject { container: false, name: archive::PROGRAM, sha256: &sum, created: &created, data: &[] };
        let bill_name = name.replace(".tar.gz", ".cdx.json");
        let bill = bill::of(&program, &subject)?;
        outcome::write(&out.join(&bill_name), &bill)?;
        let _ = writeln!(sums, "{sum}  {name}");
        let _ = writeln!(sums, "{}  {bill_name}", sha256(&bill));
        outcome::say(&platform.to_string(), &sum, &out.join(&name));
        archives.push(Archive { platform, name, sha256: sum });
    }
    outcome::write(&out.join("SHA256SUMS"), sums.as_bytes())?;
    let manifest = out.join(format!("{}.yaml", krew::NAME));
    outcome::write(&manifest, krew::manifest(&version, &archives)?.as_bytes())
}

/// The manual page, which the plugin writes itself: one is built that runs here, whatever the archives are for.
fn manual(profile: &str) -> Result<Vec<u8>> {
    let here = PLATFORMS.into_iter().find(|platform| platform.is_this_machine());
    let triple = here.context("no plugin runs on a machine like this one")?.triple();
    let program = compile::program(Wanted { package: archive::PROGRAM, profile, triple })?;
    let said = Command::new(&program.path).arg("man").output().context("asking the plugin for its manual page")?;
    ensure!(said.status.success() && said.stdout.starts_with(b"."), "the plugin gave no manual page");
    Ok(said.stdout)
}

/// The platforms for which there is a compiler; of the others it says why not.
fn possible() -> Vec<Platform> {
    let found = PLATFORMS.into_iter().filter(|platform| match Toolchain::find(platform.triple()) {
        Ok(_) => true,
        Err(error) => {
            eprintln!("left out {platform}: {error}");
            false
        }
    });
    found.collect()
}
