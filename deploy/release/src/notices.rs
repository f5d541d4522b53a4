//! The licences of the crates in a program, for most of them want their text beside every copy.

use std::{collections::BTreeMap, fs};

use anyhow::{Context as _, Result};
use cargo_metadata::Package;

/// How the files begin in which crates carry licence texts and the notices that Apache-2.0 section 4(d) wants kept.
const NAMES: [&str; 5] = ["copying", "copyright", "licence", "license", "notice"];

/// Each text once, with the crates that it is from before it, in the order of their names.
///
/// # Errors
/// If a crate's folder cannot be read.
pub fn of(crates: &[Package]) -> Result<String> {
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in crates.iter().filter(|package| package.source.is_some()) {
        let crate_name = format!("{} {}", package.name, package.version);
        for text in texts_of(package)? {
            texts.entry(text).or_default().push(crate_name.clone());
        }
    }
    let mut sections: Vec<_> = texts.into_iter().map(|(text, crates)| (crates.join(", "), text)).collect();
    sections.sort();
    let sections: Vec<_> = sections.into_iter().map(|(crates, text)| format!("=== {crates}\n\n{text}\n")).collect();
    Ok(sections.join("\n"))
}

/// A crate that carries no text says by its `license` field what it is under.
fn texts_of(package: &Package) -> Result<Vec<String>> {
    let folder = package.manifest_path.parent().context("a manifest is in a folder")?;
    let mut texts = Vec::new();
    for entry in folder.read_dir_utf8().with_context(|| format!("reading {folder}"))? {
        let path = entry.with_context(|| format!("reading {folder}"))?.into_path();
        let name = path.file_name().unwrap_or_default().to_ascii_lowercase();
        if path.is_file() && NAMES.iter().any(|start| name.starts_with(start)) {
            let text = fs::read(&path).with_context(|| format!("reading {path}"))?;
            texts.push(String::from_utf8_lossy(&text).replace('\r', "").trim().to_owned());
        }
    }
    if texts.is_empty() {
        let said = package.license.as_deref().unwrap_or("no licence is named");
        texts.push(format!("(licence: {said})"));
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::fixture;

    #[test]
    fn every_foreign_crate_is_named_before_its_text_and_each_text_stands_once() {
        let program = fixture(&["latchkey-concierge", "serde", "serde_json", "tokio"]);
        let notices = of(&program.crates).unwrap();
        for package in program.crates.iter().filter(|package| package.source.is_some()) {
            assert!(notices.contains(&format!("{} {}", package.name, package.version)), "{}", package.name);
        }
        assert!(!notices.contains("latchkey-concierge"), "ours has a licence file of its own");
        assert!(notices.contains("Permission is hereby granted, free of charge"));
        assert_eq!(
            notices.matches("END OF TERMS AND CONDITIONS").count(),
            1,
            "serde and serde_json have the same text"
        );
        assert_eq!(notices, of(&program.crates).unwrap());
    }
}
