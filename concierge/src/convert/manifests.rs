//! Authenticators, and the fleet list, as people keep them in Git: YAML or JSON text to objects, read strictly.
//!
//! What the API server would refuse is refused here too: a misspelt field, a key that stands twice, an object of another
//! kind. Whoever reads from files has no API server that would tell them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use latchkey_crds::groups::{GroupSuffix, VERSION};
use serde::Deserialize as _;
use serde_json::{Map, Value};

use super::strict;

/// Most text of one source. A whole fleet's authenticators fit many times.
pub const MAX_MANIFEST_BYTES: usize = 1024 * 1024;

/// Most objects of one source: each runs a keeper of keys.
pub const MAX_MANIFESTS: usize = 256;

/// The kinds that are read, for messages.
const KINDS: &str = "JWTAuthenticator, WebhookAuthenticator or FleetCluster";

/// One authenticator or cluster of the fleet, not yet understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Which of the kinds.
    pub kind: ManifestKind,
    /// `metadata.name`.
    pub name: String,
    /// `spec`.
    pub spec: Value,
}

/// The kinds that are read from files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ManifestKind {
    /// `FleetCluster`.
    Fleet,
    /// `JWTAuthenticator`.
    Jwt,
    /// `WebhookAuthenticator`.
    Webhook,
}

/// Why a text is no list of authenticators.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Over [`MAX_MANIFEST_BYTES`].
    #[error("more than {MAX_MANIFEST_BYTES} bytes")]
    TooLarge,
    /// Over [`MAX_MANIFESTS`].
    #[error("more than {MAX_MANIFESTS} objects")]
    TooMany,
    /// No object at all.
    #[error("holds no object: expected a JWTAuthenticator")]
    Empty,
    /// Not YAML, or YAML that is no JSON, or a key that stands twice.
    #[error("document {document}: {problem}")]
    Yaml {
        /// Which document, from 1.
        document: usize,
        /// The parser's words, with line and column.
        problem: String,
    },
    /// YAML, but no authenticator.
    #[error("document {document}: {problem}")]
    Object {
        /// Which document, from 1.
        document: usize,
        /// What is wrong and how to mend it.
        problem: String,
    },
    /// Two objects of one kind with one name.
    #[error("{kind} {name} stands twice: give one of them another name")]
    Duplicate {
        /// The kind.
        kind: &'static str,
        /// The name.
        name: String,
    },
}

/// Reads every authenticator of `text`: YAML documents or JSON, each one object or a `List` of them, as kubectl prints it.
///
/// # Errors
/// The first that is wrong. Nothing is passed over: half of what somebody wrote is not what they meant.
pub fn manifests(text: &str) -> Result<Vec<Manifest>, ManifestError> {
    if text.len() > MAX_MANIFEST_BYTES {
        return Err(ManifestError::TooLarge);
    }
    let mut found = Vec::new();
    for (index, document) in serde_norway::Deserializer::from_str(text).enumerate() {
        let document_number = index + 1;
        let yaml = |error: serde_norway::Error| ManifestError::Yaml {
            document: document_number,
            problem: format!("cannot be read: {error}"),
        };
        // By its own type first: that one refuses a key that stands twice, where JSON's would take the last.
        let value = serde_norway::Value::deserialize(document).map_err(yaml)?;
        let value: Value = serde_norway::from_value(value).map_err(yaml)?;
        let object = |problem| ManifestError::Object { document: document_number, problem };
        for value in items(value).map_err(object)? {
            found.push(manifest(value).map_err(object)?);
            if found.len() > MAX_MANIFESTS {
                return Err(ManifestError::TooMany);
            }
        }
    }
    if found.is_empty() {
        return Err(ManifestError::Empty);
    }
    refuse_twins(&found)?;
    Ok(found)
}

/// Refuses two objects of one kind and name: the API could hold only one of them.
///
/// # Errors
/// [`ManifestError::Duplicate`].
pub fn refuse_twins(manifests: &[Manifest]) -> Result<(), ManifestError> {
    let mut seen = std::collections::BTreeSet::new();
    for manifest in manifests {
        if !seen.insert((manifest.kind, &manifest.name)) {
            return Err(ManifestError::Duplicate { kind: manifest.kind.name(), name: manifest.name.clone() });
        }
    }
    Ok(())
}

// === impl ManifestKind ===

impl ManifestKind {
    /// The kind's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fleet => "FleetCluster",
            Self::Jwt => "JWTAuthenticator",
            Self::Webhook => "WebhookAuthenticator",
        }
    }
}

/// The objects of one document: none in an empty one, several in a `List`.
fn items(value: Value) -> Result<Vec<Value>, String> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Object(mut list) if list.get("kind") == Some(&Value::from("List")) => {
            let items = list.remove("items");
            known_members(&list, &["apiVersion", "kind", "metadata"])?;
            match items {
                Some(Value::Array(items)) => Ok(items),
                _ => Err("a List without items".to_owned()),
            }
        }
        object => Ok(vec![object]),
    }
}

fn manifest(value: Value) -> Result<Manifest, String> {
    let Value::Object(mut object) = value else {
        return Err("is no object: expected apiVersion, kind, metadata and spec".to_owned());
    };
    let kind = match object.get("kind").and_then(Value::as_str) {
        Some("FleetCluster") => ManifestKind::Fleet,
        Some("JWTAuthenticator") => ManifestKind::Jwt,
        Some("WebhookAuthenticator") => ManifestKind::Webhook,
        Some(other) => return Err(format!("kind {other:?}: expected {KINDS}")),
        None => return Err(format!("kind is missing: expected {KINDS}")),
    };
    check_api_version(object.get("apiVersion"), kind)?;
    // `status` is what the API adds when it prints an object; it says nothing of what somebody wants.
    known_members(&object, &["apiVersion", "kind", "metadata", "spec", "status"])?;
    let name = name(object.get("metadata"))?;
    let spec = object.remove("spec").ok_or_else(|| "spec is missing".to_owned())?;
    Ok(Manifest { kind, name, spec })
}

/// Any suffix will do: the same file serves installations of different ones, and Pinniped's.
fn check_api_version(found: Option<&Value>, kind: ManifestKind) -> Result<(), String> {
    let (group, default) = match kind {
        ManifestKind::Fleet => ("config.concierge.", GroupSuffix::default().config()),
        ManifestKind::Jwt | ManifestKind::Webhook => {
            ("authentication.concierge.", GroupSuffix::default().authentication())
        }
    };
    let expected = GroupSuffix::api_version(&default);
    let found = found.and_then(Value::as_str).ok_or_else(|| format!("apiVersion is missing: expected {expected}"))?;
    let suffix = found
        .strip_suffix(VERSION)
        .and_then(|group| group.strip_suffix('/'))
        .and_then(|of_group| of_group.strip_prefix(group));
    match suffix.map(str::parse::<GroupSuffix>) {
        Some(Ok(_)) => Ok(()),
        _ => Err(format!("apiVersion {found:?}: expected {expected}")),
    }
}

fn name(metadata: Option<&Value>) -> Result<String, String> {
    let metadata = metadata.ok_or("metadata is missing: expected metadata.name")?;
    let typed = ObjectMeta::deserialize(metadata).map_err(|error| format!("metadata: {error}"))?;
    if let Some(field) = strict::unknown_fields(metadata, &typed).first() {
        return Err(format!("metadata.{field}: no such field"));
    }
    let name = typed.name.unwrap_or_default();
    if is_dns_subdomain(&name) {
        Ok(name)
    } else {
        Err(format!("metadata.name {name:?}: expected lower-case letters, digits, hyphens and dots, at most 253"))
    }
}

/// RFC 1123 as Kubernetes reads it for names of objects.
fn is_dns_subdomain(name: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

fn known_members(object: &Map<String, Value>, known: &[&str]) -> Result<(), String> {
    match object.keys().find(|name| !known.contains(&name.as_str())) {
        Some(unknown) => Err(format!("{unknown}: no such field")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
apiVersion: authentication.concierge.latchkey.dev/v1alpha1
kind: JWTAuthenticator
metadata: {name: corp}
spec: {issuer: https://a, audience: b}
";

    fn problem(text: &str) -> String {
        manifests(text).unwrap_err().to_string()
    }

    #[test]
    fn documents_lists_and_json_are_read() {
        let one = manifests(GOOD).unwrap();
        assert_eq!((one[0].kind, one[0].name.as_str()), (ManifestKind::Jwt, "corp"));
        assert_eq!(one[0].spec["audience"], "b");
        let two = format!("# a comment\n---\n{GOOD}---\n{}", GOOD.replace("corp", "other").replace("JWT", "Webhook"));
        assert_eq!(manifests(&two).unwrap().len(), 2);
        let list = r#"{"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "authentication.concierge.pinniped.dev/v1alpha1", "kind": "JWTAuthenticator",
             "metadata": {"name": "a.b", "uid": "1", "generation": 3, "managedFields": []}, "spec": {}, "status": {}}]}"#;
        assert_eq!(manifests(list).unwrap()[0].name, "a.b");
    }

    #[test]
    fn what_the_api_server_would_refuse_is_refused() {
        for (text, expected) in [
            (String::new(), "holds no object"),
            ("---\n---\n".to_owned(), "holds no object"),
            ("a: [".to_owned(), "document 1: cannot be read"),
            (GOOD.replace("spec: {", "spec: {audience: c, "), "duplicate entry"),
            (format!("{GOOD}spec: {{}}\n"), "duplicate entry"),
            (format!("{GOOD}sepc: {{}}\n"), "sepc: no such field"),
            (GOOD.replace("name: corp", "name: corp, lables: {a: b}"), "metadata.lables: no such field"),
            (GOOD.replace("name: corp", "name: Corp"), "metadata.name \"Corp\""),
            (GOOD.replace("name: corp", "generateName: corp"), "metadata.name \"\""),
            (GOOD.replace("latchkey.dev/v1alpha1", "latchkey.dev/v1"), "expected authentication.concierge."),
            (GOOD.replace("authentication.concierge", "config.concierge"), "expected authentication.concierge."),
            (GOOD.replace("JWTAuthenticator", "ConfigMap"), "kind \"ConfigMap\": expected JWTAuthenticator"),
            ("- a\n".to_owned(), "is no object"),
            (format!("{GOOD}---\n{GOOD}"), "JWTAuthenticator corp stands twice"),
            (GOOD.replace("spec:", "? [1]\n: "), "cannot be read"),
            (format!("#{}", "x".repeat(MAX_MANIFEST_BYTES)), "more than"),
        ] {
            let found = problem(&text);
            assert!(found.contains(expected), "{text}: {found}");
        }
    }

    #[test]
    fn aliases_do_not_make_a_small_text_large() {
        use std::fmt::Write as _;

        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let nine = vec![format!("*a{}", level - 1); 9].join(", ");
            writeln!(bomb, "a{level}: &a{level} [{nine}]").unwrap();
        }
        assert!(problem(&bomb).contains("cannot be read"));
    }
}
