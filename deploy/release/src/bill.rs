//! The bill of materials: each crate whose code is in a program, as `CycloneDX` 1.5.

use anyhow::{Context as _, Result, ensure};
use cargo_metadata::{Package, PackageId};
use cyclonedx_bom::{
    external_models::{date_time::DateTime, uri::Purl},
    models::{
        bom::{Bom, SpecVersion, UrnUuid},
        component::{Classification, Component, Components},
        dependency::{Dependencies, Dependency},
        hash::{Hash, HashAlgorithm, HashValue, Hashes},
        license::{LicenseChoice, Licenses},
        metadata::Metadata,
        tool::{Tool, Tools},
    },
    validation::Validate as _,
};

use crate::compile::Program;

/// What the bill is of: an image or an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject<'a> {
    /// An image; else an archive with one program.
    pub container: bool,
    /// Its name.
    pub name: &'a str,
    /// SHA-256 of the image's manifest or of the archive, in hexadecimal.
    pub sha256: &'a str,
    /// RFC 3339.
    pub created: &'a str,
    /// Crates that give data, not code.
    pub data: &'a [Package],
}

/// The bill as JSON.
///
/// # Errors
/// If the outcome breaks the specification's rules, or rustc does not say its version.
pub fn of(program: &Program, subject: &Subject<'_>) -> Result<Vec<u8>> {
    let class = if subject.container { Classification::Container } else { Classification::Application };
    let mut whole = Component::new(class, subject.name, &program.package.version.to_string(), Some("whole".to_owned()));
    let digest = Hash { alg: HashAlgorithm::SHA_256, content: HashValue(subject.sha256.to_owned()) };
    whole.hashes = Some(Hashes(vec![digest]));
    whole.licenses = licence(&program.package);

    let code = program.crates.iter().map(|package| {
        let is_program = package.id == program.package.id;
        component(package, if is_program { Classification::Application } else { Classification::Library })
    });
    let data = subject.data.iter().map(|package| component(package, Classification::Data));
    let parts = code.chain(data).collect::<Result<Vec<_>>>()?;

    let reference_of = |id: &PackageId| program.crates.iter().find(|package| package.id == *id).map(reference);
    let calls = program.crates.iter().map(|package| Dependency {
        dependency_ref: reference(package),
        dependencies: program.calls.get(&package.id).into_iter().flatten().filter_map(reference_of).collect(),
    });
    let direct = std::iter::once(&program.package).chain(subject.data).map(reference).collect();
    let whole_calls = Dependency { dependency_ref: "whole".to_owned(), dependencies: direct };

    let bom = Bom {
        metadata: Some(Metadata {
            timestamp: Some(DateTime::try_from(subject.created.to_owned()).context("time of the bill")?),
            tools: Some(Tools::List(vec![Tool::new("The Rust project", "rustc", &compiler()?)])),
            component: Some(whole),
            ..Metadata::default()
        }),
        components: Some(Components(parts)),
        dependencies: Some(Dependencies(std::iter::once(whole_calls).chain(calls).collect())),
        spec_version: SpecVersion::V1_5,
        serial_number: Some(serial_number(subject.sha256)?),
        ..Bom::default()
    };
    let verdict = bom.validate_version(SpecVersion::V1_5);
    ensure!(verdict.passed(), "the bill breaks CycloneDX: {verdict:?}");
    let mut json = Vec::new();
    bom.output_as_json(&mut json, SpecVersion::V1_5).context("writing the bill")?;
    json.push(b'\n');
    Ok(json)
}

/// The subject's own, where others draw one at random: a UUID of the form that leaves its bits to us (RFC 9562 section 5.8).
fn serial_number(sha256: &str) -> Result<UrnUuid> {
    ensure!(sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit()), "not SHA-256: {sha256}");
    let mut digits = sha256[..32].to_owned();
    // Version and variant.
    digits.replace_range(12..13, "8");
    digits.replace_range(16..17, "8");
    for hyphen in [20, 16, 12, 8] {
        digits.insert(hyphen, '-');
    }
    Ok(UrnUuid(format!("urn:uuid:{digits}")))
}

fn component(package: &Package, class: Classification) -> Result<Component> {
    let version = package.version.to_string();
    let mut component = Component::new(class, &package.name, &version, Some(reference(package)));
    // What is not in the registry has no address there.
    if package.source.as_ref().is_some_and(cargo_metadata::Source::is_crates_io) {
        component.purl = Some(Purl::new("cargo", &package.name, &version).context("address of a crate")?);
    }
    component.licenses = licence(package);
    Ok(component)
}

fn reference(package: &Package) -> String {
    format!("{}@{}", package.name, package.version)
}

fn licence(package: &Package) -> Option<Licenses> {
    // Cargo's old way to write a choice.
    let expression = package.license.as_ref()?.replace('/', " OR ");
    Some(Licenses(vec![LicenseChoice::expression(&expression)]))
}

fn compiler() -> Result<String> {
    let said = std::process::Command::new("rustc").arg("--version").output().context("running rustc")?;
    let said = String::from_utf8(said.stdout).context("rustc's version")?;
    Ok(said.trim().strip_prefix("rustc ").context("rustc's version")?.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::compile::{fixture, metadata};

    #[test]
    fn each_crate_stands_in_the_bill_with_version_licence_and_what_it_calls() {
        let program = fixture(&["latchkey-concierge", "latchkey-crds", "serde", "zeroize"]);
        let roots = metadata("x86_64-unknown-linux-musl").unwrap().packages;
        let roots: Vec<_> = roots.into_iter().filter(|package| package.name == "webpki-root-certs").collect();
        let sum = "0".repeat(64);
        let subject = Subject {
            container: true,
            name: "latchkey.dev/concierge",
            sha256: &sum,
            created: "1970-01-01T00:00:00Z",
            data: &roots,
        };
        let bill: Value = serde_json::from_slice(&of(&program, &subject).unwrap()).unwrap();
        assert_eq!((&bill["bomFormat"], &bill["specVersion"]), (&"CycloneDX".into(), &"1.5".into()));
        assert_eq!(bill["serialNumber"], "urn:uuid:00000000-0000-8000-8000-000000000000");

        let components = bill["components"].as_array().unwrap();
        let names: BTreeSet<_> = components.iter().map(|part| part["name"].as_str().unwrap()).collect();
        assert_eq!(
            names,
            BTreeSet::from(["latchkey-concierge", "latchkey-crds", "serde", "webpki-root-certs", "zeroize"])
        );
        let serde = components.iter().find(|part| part["name"] == "serde").unwrap();
        let version = serde["version"].as_str().unwrap();
        assert_eq!(serde["purl"], format!("pkg:cargo/serde@{version}"));
        assert_eq!(serde["licenses"][0]["expression"], "MIT OR Apache-2.0");

        let dependencies = bill["dependencies"].as_array().unwrap();
        let of = |name: &str| dependencies.iter().find(|entry| entry["ref"] == name).unwrap();
        let own = format!("latchkey-concierge@{}", program.package.version);
        assert_eq!(of("whole")["dependsOn"][0], own);
        let called = of(&own)["dependsOn"].as_array().unwrap();
        assert!(called.contains(&format!("serde@{version}").into()), "{called:?}");
    }

    #[test]
    fn the_same_program_has_the_same_bill() {
        let program = fixture(&["latchkey-concierge", "serde"]);
        let subject = Subject {
            container: false,
            name: "x",
            sha256: &"1".repeat(64),
            created: "2026-01-01T00:00:00Z",
            data: &[],
        };
        let bill = || String::from_utf8(of(&program, &subject).unwrap()).unwrap();
        assert_eq!(bill(), bill());
    }
}
