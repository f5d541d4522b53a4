//! values.yaml, its comments and values.schema.json say the same.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value};

use super::{documents::documents, helm::CHART};

/// Path of a value, such as `image.tag`, and what its comment says.
type Comments = BTreeMap<String, String>;

#[test]
fn every_value_has_a_comment_and_a_place_in_the_schema_and_the_reverse() -> Result<()> {
    let text = read("values.yaml")?;
    let values = documents(&text)?.into_iter().next().context("values")?;
    let mut comments = comments(&text);
    let schema: Value = serde_json::from_str(&read("values.schema.json")?)?;
    ensure!(comments.len() > 100, "{} comments", comments.len());
    for (path, comment) in &comments {
        ensure!(comment.len() > 8 && comment.ends_with(['.', ':']), "{path}: {comment:?}");
    }
    agree("", &values, &schema, &mut comments)?;
    ensure!(comments.is_empty(), "comments of no value: {comments:?}");
    Ok(())
}

/// A misspelt value must never pass for one that was meant; and Helm 3 knows draft 7 only.
#[test]
fn the_schema_is_strict_everywhere_and_of_a_draft_that_every_helm_knows() -> Result<()> {
    let schema: Value = serde_json::from_str(&read("values.schema.json")?)?;
    ensure!(schema["$schema"] == "http://json-schema.org/draft-07/schema#");
    let mut objects = 0;
    strict("", &schema, &mut objects)?;
    ensure!(objects > 30, "{objects} objects");
    for (open, kind) in [("global", "object"), ("enabled", "boolean")] {
        ensure!(schema["properties"][open] == serde_json::json!({ "type": kind }), "{open}: Helm and umbrellas set it");
    }
    jsonschema::draft7::new(&schema).map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(())
}

#[test]
fn the_defaults_keep_to_their_own_schema() -> Result<()> {
    let schema: Value = serde_json::from_str(&read("values.schema.json")?)?;
    let values = documents(&read("values.yaml")?)?.into_iter().next().context("values")?;
    let validator = jsonschema::draft7::new(&schema).map_err(|error| anyhow::anyhow!("{error}"))?;
    let wrong: Vec<_> = validator.iter_errors(&values).map(|error| error.to_string()).collect();
    ensure!(wrong.is_empty(), "{wrong:?}");
    Ok(())
}

#[test]
fn chart_and_program_have_one_version() -> Result<()> {
    let chart = documents(&read("Chart.yaml")?)?.into_iter().next().context("a chart")?;
    ensure!(chart["version"] == env!("CARGO_PKG_VERSION") && chart["appVersion"] == env!("CARGO_PKG_VERSION"));
    // Without -0 no version of a managed cluster fits, such as v1.33.5-eks-3cfe0ce.
    ensure!(chart["kubeVersion"] == ">=1.31.0-0");
    Ok(())
}

fn read(file: &str) -> Result<String> {
    let path = Path::new(CHART).join(file);
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// A value with a comment is documented with all that is in it; one without must consist of such.
fn agree(path: &str, value: &Value, schema: &Value, comments: &mut Comments) -> Result<()> {
    if comments.remove(path).is_some() {
        return Ok(());
    }
    let members = value.as_object().filter(|members| !members.is_empty());
    let members = members.with_context(|| format!("{path} has no comment that begins with --"))?;
    let none = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&none);
    let of = |map: &Map<String, Value>| map.keys().cloned().collect::<std::collections::BTreeSet<_>>();
    ensure!(of(members) == of(properties), "{path}: values {:?}, schema {:?}", of(members), of(properties));
    for (name, member) in members {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        agree(&path, member, &properties[name], comments)?;
    }
    Ok(())
}

fn strict(path: &str, schema: &Value, objects: &mut usize) -> Result<()> {
    if let Some(properties) = schema["properties"].as_object() {
        *objects += 1;
        ensure!(schema["additionalProperties"] == false, "{path} lets unknown values in");
        for (name, property) in properties {
            strict(&format!("{path}/{name}"), property, objects)?;
        }
    }
    if schema["items"].is_object() {
        strict(&format!("{path}[]"), &schema["items"], objects)?;
    }
    Ok(())
}

/// The comments that begin with two hyphens, by the path of the key that follows.
fn comments(text: &str) -> Comments {
    let (mut found, mut place, mut comment) = (Comments::new(), Vec::<(usize, String)>::new(), None::<String>);
    for line in text.lines() {
        let trimmed = line.trim_start();
        if let Some(words) = trimmed.strip_prefix("# -- ") {
            comment = Some(words.to_owned());
        } else if let Some(words) = trimmed.strip_prefix("# ") {
            comment = comment.map(|comment| format!("{comment} {words}"));
        } else if let Some((name, _)) = trimmed.split_once(':').filter(|(name, _)| !name.starts_with('-')) {
            let indent = line.len() - trimmed.len();
            place.retain(|(outer, _)| *outer < indent);
            place.push((indent, name.to_owned()));
            if let Some(comment) = comment.take() {
                let path = place.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>().join(".");
                found.insert(path, comment);
            }
        } else {
            comment = None;
        }
    }
    found
}
