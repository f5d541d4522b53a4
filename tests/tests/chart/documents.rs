//! YAML documents as values.

use anyhow::{Context as _, Result};
use serde::Deserialize as _;
use serde_json::Value;

/// All objects of a rendering.
pub(super) fn documents(text: &str) -> Result<Vec<Value>> {
    serde_norway::Deserializer::from_str(text)
        .map(|document| Value::deserialize(document).context("reading rendered YAML"))
        .filter(|document| !matches!(document, Ok(Value::Null)))
        .collect()
}

/// Kind, namespace and name: what two objects of one cluster cannot share.
pub(super) fn key(object: &Value) -> String {
    let metadata = &object["metadata"];
    let namespace = metadata["namespace"].as_str().map(|namespace| format!("{namespace}/")).unwrap_or_default();
    format!("{} {namespace}{}", kind(object), metadata["name"].as_str().unwrap_or_default())
}

/// The kind.
pub(super) fn kind(object: &Value) -> &str {
    object["kind"].as_str().unwrap_or_default()
}

/// The one object of a kind whose name ends so.
pub(super) fn the<'a>(objects: &'a [Value], wanted: &str, ending: &str) -> Result<&'a Value> {
    let mut found = objects.iter().filter(|object| {
        kind(object) == wanted && object["metadata"]["name"].as_str().is_some_and(|n| n.ends_with(ending))
    });
    let first = found.next().with_context(|| format!("no {wanted} {ending}"))?;
    anyhow::ensure!(found.next().is_none(), "more than one {wanted} {ending}");
    Ok(first)
}
