//! The YAML in crds/manifests is what the types say, and what Kubernetes needs of it holds.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use latchkey_crds::groups::GroupSuffix;
use latchkey_crds::manifests;
use serde_json::Value;

/// kubectl's client-side apply keeps the object in an annotation of at most 262,144 bytes; this leaves room to grow.
const MAX_MANIFEST_BYTES: usize = 200_000;

fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests")
}

fn crdgen(arguments: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_crdgen")).args(arguments).output().expect("crdgen starts")
}

#[test]
fn the_committed_manifests_are_current() {
    for file in manifests::files(&GroupSuffix::default()).unwrap() {
        let found = fs::read_to_string(committed().join(&file.file_name)).unwrap_or_default();
        assert!(found == file.text, "crds/manifests/{} is not what the types say; run: cargo crdgen", file.file_name);
        assert!(file.text.len() < MAX_MANIFEST_BYTES, "{} has {} bytes", file.file_name, file.text.len());
    }
}

#[test]
fn nothing_else_lies_among_the_committed_manifests() {
    let expected: BTreeSet<String> =
        manifests::files(&GroupSuffix::default()).unwrap().into_iter().map(|file| file.file_name).collect();
    let found: BTreeSet<String> =
        fs::read_dir(committed()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(found, expected);
}

#[test]
fn check_names_the_file_that_differs_and_the_command_that_mends_it() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("crdgen-check");
    let _ = fs::remove_dir_all(&folder);
    let out = folder.to_str().unwrap();

    let missing = crdgen(&["--check", "--out", out]);
    assert_eq!(missing.status.code(), Some(1));

    assert!(crdgen(&["--out", out]).status.success());
    let current = crdgen(&["--check", "--out", out]);
    assert_eq!((current.status.code(), current.stderr.len()), (Some(0), 0));

    let edited = folder.join("jwtauthenticators.yaml");
    fs::write(&edited, fs::read_to_string(&edited).unwrap().replace("Issuer", "issuer")).unwrap();
    let stale = crdgen(&["--check", "--out", out]);
    let words = String::from_utf8(stale.stderr).unwrap();
    assert_eq!(stale.status.code(), Some(1));
    assert_eq!(words.lines().count(), 1, "{words}");
    assert!(words.contains("jwtauthenticators.yaml") && words.contains("cargo crdgen"), "{words}");
}

#[test]
fn crdgen_explains_itself_when_asked_wrongly() {
    for (arguments, expected) in [
        (["--suffix", "nodot"], "at least one dot"),
        (["--frobnicate", ""], "unexpected argument --frobnicate"),
        (["--check", "--out"], "--out needs a folder"),
    ] {
        let answer = crdgen(&arguments);
        let words = String::from_utf8(answer.stderr).unwrap();
        assert_eq!(answer.status.code(), Some(64), "{arguments:?}: {words}");
        assert!(words.contains(expected), "{arguments:?}: {words}");
    }
}

#[test]
fn another_suffix_reaches_every_name() {
    let definitions = manifests::definitions(&"tuna.example.io".parse().unwrap()).unwrap();
    let names: Vec<_> = definitions.iter().map(|definition| definition.metadata.name.as_deref().unwrap()).collect();
    assert_eq!(
        names,
        [
            "credentialissuers.config.concierge.tuna.example.io",
            "fleetclusters.config.concierge.tuna.example.io",
            "jwtauthenticators.authentication.concierge.tuna.example.io",
            "tokenrejections.audit.concierge.tuna.example.io",
            "webhookauthenticators.authentication.concierge.tuna.example.io",
        ]
    );
    for definition in &definitions {
        let name = format!("{}.{}", definition.spec.names.plural, definition.spec.group);
        assert_eq!(definition.metadata.name.as_deref(), Some(name.as_str()));
    }
}

#[test]
fn every_field_is_described_and_every_rule_is_bounded() {
    for definition in manifests::definitions(&GroupSuffix::default()).unwrap() {
        let schema = serde_json::to_value(&definition).unwrap();
        let schema = &schema["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        inspect(schema, &definition.spec.names.kind);
    }
}

/// Walks a schema: each property has a description; whatever carries rules, or lies in what does, has its bound.
fn inspect(schema: &Value, path: &str) {
    assert!(!schema.to_string().contains("\"nullable\""), "{path}: a null would reach the rules");
    if schema["x-kubernetes-validations"].is_array() {
        assert_bounded(schema, path);
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            assert!(rule["message"].as_str().is_some_and(|text| text.len() > 20), "{path}: {rule} does not help");
        }
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        assert!(property["description"].as_str().is_some_and(|text| text.len() > 15), "{path} has no description");
        inspect(property, &path);
    }
    if schema["items"].is_object() {
        inspect(&schema["items"], &format!("{path}[]"));
    }
}

fn assert_bounded(schema: &Value, path: &str) {
    match schema["type"].as_str() {
        Some("string") => {
            assert!(schema["maxLength"].is_u64() || schema["enum"].is_array(), "{path} has no maxLength");
        }
        Some("array") => {
            assert!(schema["maxItems"].is_u64(), "{path} has no maxItems");
            assert_bounded(&schema["items"], &format!("{path}[]"));
        }
        // A map of which no rule asks: nothing iterates over it.
        _ => schema["properties"].as_object().into_iter().flatten().for_each(|(name, property)| {
            assert_bounded(property, &format!("{path}.{name}"));
        }),
    }
}
