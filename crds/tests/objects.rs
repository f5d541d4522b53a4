//! The table of good and bad objects: whole, well-formed, and readable by the types.

use std::fs;
use std::path::{Path, PathBuf};

use latchkey_crds::authentication::{JWTAuthenticator, WebhookAuthenticator};
use latchkey_crds::config::{CredentialIssuer, FleetCluster};
use latchkey_crds::groups::GroupSuffix;
use latchkey_crds::manifests;
use serde_json::Value;

/// What begins a bad object's file.
const REFUSED: &str = "# refused: ";

fn objects(folder: &str) -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let mut objects: Vec<_> = fs::read_dir(&folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("the folder can be read").path())
        .map(|path| (path.clone(), fs::read_to_string(path).expect("the file can be read")))
        .collect();
    objects.sort();
    assert!(!objects.is_empty());
    objects
}

#[test]
fn every_bad_object_says_how_it_is_refused_and_is_named_like_its_file() {
    for (path, text) in objects("bad_objects") {
        let words = text.lines().next().and_then(|line| line.strip_prefix(REFUSED));
        assert!(words.is_some_and(|words| words.len() > 10), "{}", path.display());
        let object: Value = serde_norway::from_str(&text).unwrap();
        assert_eq!(object["metadata"]["name"].as_str(), path.file_stem().unwrap().to_str());
    }
}

#[test]
fn every_rule_of_the_schemas_refuses_a_bad_object() {
    let refusals: Vec<String> = objects("bad_objects")
        .into_iter()
        .filter_map(|(_, text)| text.lines().next()?.strip_prefix(REFUSED).map(str::to_owned))
        .collect();
    let mut messages = Vec::new();
    for definition in manifests::definitions(&GroupSuffix::default()).unwrap() {
        collect_messages(&serde_json::to_value(definition).unwrap(), &mut messages);
    }
    assert!(messages.len() > 25, "the rules were not found");
    for message in messages {
        assert!(refusals.iter().any(|words| message.contains(words)), "no bad object for the rule {message:?}");
    }
}

fn collect_messages(schema: &Value, messages: &mut Vec<String>) {
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        messages.extend(rule["message"].as_str().map(str::to_owned));
    }
    match schema {
        Value::Array(items) => items.iter().for_each(|item| collect_messages(item, messages)),
        Value::Object(fields) => fields.values().for_each(|field| collect_messages(field, messages)),
        _ => {}
    }
}

#[test]
fn every_good_object_is_read_by_its_type_and_written_back_without_loss() {
    for (path, text) in objects("good_objects") {
        let given: Value = serde_norway::from_str(&text).unwrap();
        let back = match given["kind"].as_str().unwrap() {
            "JWTAuthenticator" => serde_json::from_value::<JWTAuthenticator>(given.clone()).map(serde_json::to_value),
            "WebhookAuthenticator" => {
                serde_json::from_value::<WebhookAuthenticator>(given.clone()).map(serde_json::to_value)
            }
            "CredentialIssuer" => serde_json::from_value::<CredentialIssuer>(given.clone()).map(serde_json::to_value),
            "FleetCluster" => serde_json::from_value::<FleetCluster>(given.clone()).map(serde_json::to_value),
            kind => panic!("{}: unexpected kind {kind}", path.display()),
        };
        let back = back.unwrap_or_else(|error| panic!("{}: {error}", path.display())).unwrap();
        assert_kept(&given, &back, &path.display().to_string());
    }
}

/// Everything of `given` is in `back`, save empty lists, which are written as absent.
fn assert_kept(given: &Value, back: &Value, path: &str) {
    match given {
        Value::Object(fields) => {
            for (name, value) in fields.iter().filter(|(_, value)| value.as_array().is_none_or(|list| !list.is_empty()))
            {
                assert_kept(value, &back[name], &format!("{path} {name}"));
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                assert_kept(item, &back[index], &format!("{path} {index}"));
            }
        }
        _ => assert_eq!(given, back, "{path}"),
    }
}
