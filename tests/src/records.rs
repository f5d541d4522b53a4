//! Audit records held to their published schema, whoever wrote them.

use std::{path::Path, sync::LazyLock};

use anyhow::{Context as _, Result, ensure};
use jsonschema::Validator;
use serde_json::Value;

/// Longest line, its newline included.
const LINE_LIMIT: usize = 8 * 1024;

/// What operators are told a record is.
const SCHEMA: &str = include_str!("../../deploy/audit/record.schema.json");

static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| {
    let schema = serde_json::from_str(SCHEMA).expect("the schema is JSON");
    jsonschema::draft202012::new(&schema).expect("the schema is one")
});

/// Holds every whole line of the file to the schema, and returns the records. A last line without a newline is still being
/// written, or was cut off by a kill: it counts for nothing.
///
/// # Errors
/// If the file cannot be read, or a line is no record: with the line and everything that is wrong with it.
pub fn check(file: &Path) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(record).collect()
}

fn record(line: &str) -> Result<Value> {
    ensure!(line.len() < LINE_LIMIT, "a line of {} bytes", line.len());
    let record = serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))?;
    let complaints: Vec<String> = VALIDATOR
        .iter_errors(&record)
        .map(|error| format!("{error} at {:?}", error.instance_path().to_string()))
        .collect();
    ensure!(complaints.is_empty(), "{line}\nis no record: {}", complaints.join("; "));
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_is_a_record_and_one_with_a_stranger_in_it_is_not() {
        let line = include_str!("../../deploy/audit/examples/token.refused.replay.json").trim_end();
        assert_eq!(record(line).unwrap()["claimedCluster"], "staging");
        assert!(record(&line.replacen("\"surface\"", "\"surfaces\"", 1)).is_err());
        assert!(record("{").is_err());
    }
}
