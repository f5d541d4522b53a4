//! The plugin's manifest for krew: filled from the template beside this crate's sources, and krew's rules for it.
//!
//! The rules are those of krew's own check (`internal/index/validation`) and of the checklist for its index.

use std::{collections::BTreeSet, path::Path};

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::platform::Platform;

/// The plugin's name for krew, which adds `kubectl-` itself.
pub const NAME: &str = "latchkey";

const TEMPLATE: &str = include_str!("../krew/latchkey.yaml");

/// Stands in the template for the version.
const VERSION: &str = "VERSION";

/// An archive that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// What it runs on.
    pub platform: Platform,
    /// Its file's name.
    pub name: String,
    /// In hexadecimal.
    pub sha256: String,
}

/// A manifest of krew's API version `v1alpha2`, as far as we use it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Manifest {
    api_version: String,
    kind: String,
    metadata: Metadata,
    spec: Spec,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Spec {
    version: String,
    homepage: String,
    short_description: String,
    description: String,
    caveats: String,
    platforms: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    selector: Selector,
    uri: String,
    sha256: String,
    bin: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Selector {
    match_labels: Labels,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Labels {
    os: String,
    arch: String,
}

/// The manifest of a version whose archives are these.
///
/// # Errors
/// If the template has no place for one of them, or the outcome breaks krew's rules.
pub fn manifest(version: &str, archives: &[Archive]) -> Result<String> {
    // krew wants the letter that semantic versions have not.
    let mut manifest: Manifest =
        serde_norway::from_str(&TEMPLATE.replace(VERSION, &format!("v{version}"))).context("the template")?;
    let archive_of =
        |entry: &Entry| archives.iter().find(|archive| labels(archive.platform) == entry.selector.match_labels);
    manifest.spec.platforms.retain(|entry| archive_of(entry).is_some());
    ensure!(manifest.spec.platforms.len() == archives.len(), "the template lacks a platform of {archives:?}");
    for entry in &mut manifest.spec.platforms {
        let archive = archive_of(entry).context("a platform without an archive was left out")?;
        ensure!(entry.uri.ends_with(&format!("/{}", archive.name)), "{} is not where {} lies", archive.name, entry.uri);
        entry.sha256.clone_from(&archive.sha256);
    }
    manifest.check()?;
    serde_norway::to_string(&manifest).context("writing the manifest")
}

fn labels(platform: Platform) -> Labels {
    Labels { os: platform.os().to_owned(), arch: platform.architecture().go_name().to_owned() }
}

impl Manifest {
    fn check(&self) -> Result<()> {
        ensure!(self.api_version == "krew.googlecontainertools.github.com/v1alpha2", "apiVersion {}", self.api_version);
        ensure!(self.kind == "Plugin", "kind {}", self.kind);
        let name = &self.metadata.name;
        ensure!(
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')),
            "name {name:?}"
        );
        let spec = &self.spec;
        let number = spec.version.strip_prefix('v').with_context(|| format!("version {} has no v", spec.version))?;
        cargo_metadata::semver::Version::parse(number).with_context(|| format!("version {}", spec.version))?;
        // The index' checklist: what fits into a line of `kubectl krew search`, without a full stop.
        let short = &spec.short_description;
        ensure!(
            !short.is_empty() && !short.contains(['\n', '\r']) && !short.ends_with('.'),
            "shortDescription {short:?}"
        );
        ensure!(short.len() <= 60, "shortDescription has {} characters", short.len());
        ensure!(!spec.platforms.is_empty(), "no platforms");
        let mut seen = BTreeSet::new();
        for entry in &spec.platforms {
            let Labels { os, arch } = &entry.selector.match_labels;
            ensure!(seen.insert((os, arch)), "{os}/{arch} twice");
            ensure!(entry.uri.starts_with("https://"), "uri {}", entry.uri);
            ensure!(
                entry.uri.ends_with(".tar.gz") || Path::new(&entry.uri).extension().is_some_and(|e| e == "zip"),
                "uri {}",
                entry.uri
            );
            let digits = entry.sha256.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            ensure!(entry.sha256.len() == 64 && digits, "sha256 {:?}", entry.sha256);
            if Path::new(&entry.bin).components().any(|part| !matches!(part, std::path::Component::Normal(_))) {
                bail!("bin {} leaves the plugin's folder", entry.bin);
            }
            ensure!(entry.bin.strip_suffix(".exe").is_some() == (os == "windows"), "bin {} on {os}", entry.bin);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{archive, platform::PLATFORMS};

    fn archives(platforms: &[Platform]) -> Vec<Archive> {
        let made = platforms.iter().enumerate().map(|(number, platform)| Archive {
            platform: *platform,
            name: archive::name("1.2.3", *platform),
            sha256: format!("{number:064x}"),
        });
        made.collect()
    }

    fn filled() -> Manifest {
        serde_norway::from_str(&manifest("1.2.3", &archives(&PLATFORMS)).unwrap()).unwrap()
    }

    #[test]
    fn the_template_has_every_platform_and_keeps_krews_rules() {
        let manifest = filled();
        assert_eq!(manifest.metadata.name, NAME);
        assert_eq!(manifest.spec.version, "v1.2.3");
        assert_eq!(manifest.spec.platforms.len(), PLATFORMS.len());
        for (number, platform) in PLATFORMS.iter().enumerate() {
            let entry = manifest.spec.platforms.iter().find(|entry| entry.selector.match_labels == labels(*platform));
            let entry = entry.unwrap();
            assert_eq!(entry.sha256, format!("{number:064x}"), "{platform}");
            assert_eq!(entry.bin, platform.program("kubectl-latchkey"));
            assert!(entry.uri.contains("/v1.2.3/") && !entry.uri.contains(VERSION), "{}", entry.uri);
        }
    }

    #[test]
    fn a_platform_without_an_archive_is_left_out() {
        let some = [Platform::Windows];
        let manifest: Manifest = serde_norway::from_str(&manifest("1.2.3", &archives(&some)).unwrap()).unwrap();
        let labels: Vec<_> = manifest.spec.platforms.iter().map(|entry| &*entry.selector.match_labels.os).collect();
        assert_eq!(labels, ["windows"]);
        assert!(super::manifest("1.2.3", &[]).is_err());
    }

    #[test]
    fn an_archive_of_another_name_or_sum_is_refused() {
        let mut wrong = archives(&PLATFORMS);
        wrong[0].name = "other.tar.gz".to_owned();
        assert!(manifest("1.2.3", &wrong).is_err());
        for sum in ["", "0", &"A".repeat(64), &"g".repeat(64)] {
            let mut wrong = archives(&PLATFORMS);
            wrong[0].sha256 = sum.to_owned();
            assert!(manifest("1.2.3", &wrong).is_err(), "{sum}");
        }
        assert!(manifest("one", &archives(&PLATFORMS)).is_err());
    }

    #[test]
    fn each_of_krews_rules_refuses() {
        type Break = fn(&mut Manifest);
        let breaks: [Break; 9] = [
            |manifest| manifest.api_version = "krew.googlecontainertools.github.com/v1alpha1".to_owned(),
            |manifest| manifest.kind = "plugin".to_owned(),
            |manifest| manifest.metadata.name = "latch key".to_owned(),
            |manifest| manifest.spec.version = "1.2.3".to_owned(),
            |manifest| manifest.spec.short_description = "one\ntwo".to_owned(),
            |manifest| manifest.spec.platforms.clear(),
            |manifest| manifest.spec.platforms[0].bin = "../kubectl-latchkey".to_owned(),
            |manifest| manifest.spec.platforms[0].bin = "kubectl-latchkey.exe".to_owned(),
            |manifest| manifest.spec.platforms.push(manifest.spec.platforms[0].clone()),
        ];
        for (number, broken) in breaks.iter().enumerate() {
            let mut manifest = filled();
            broken(&mut manifest);
            assert!(manifest.check().is_err(), "number {number}");
        }
        filled().check().unwrap();
    }
}
