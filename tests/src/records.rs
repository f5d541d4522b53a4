//! Audit records held to their published schema, whoever wrote them.

use std::{collections::BTreeMap, path::Path, sync::LazyLock};

use anyhow::{Context as _, Result, ensure};
use jsonschema::Validator;
use serde_json::Value;

/// Longest line, its newline included.
const LINE_LIMIT: usize = 8 * 1024;

/// Most records of one kind and code of which [`check_some`] asks everything: a load test writes tens of thousands that
/// differ in an address, and asking costs a tenth of a millisecond of everybody's CPU each.
const OF_ONE_SORT: usize = 64;

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

/// Holds the whole lines of an ended log to the schema: each to its length and to being JSON, and [`OF_ONE_SORT`] of each
/// kind and code to everything. A log that never began has none. What an earlier life left beside it was checked when
/// that one ended.
///
/// # Errors
/// If the file cannot be read, or a line is no record.
pub fn check_some(file: &Path) -> Result<()> {
    if !file.exists() {
        return Ok(());
    }
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let mut seen: BTreeMap<(String, String), usize> = BTreeMap::new();
    for line in whole.lines() {
        let parsed = parse(line)?;
        let word = |member: &str| parsed[member].as_str().unwrap_or_default().to_owned();
        let seen = seen.entry((word("kind"), word("code"))).or_default();
        *seen += 1;
        if *seen <= OF_ONE_SORT {
            conforms(line, &parsed)?;
        }
    }
    Ok(())
}

/// Says that a log that has ended is as the schema says: by a panic, unless the test has failed already.
///
/// # Panics
/// If a record is none of the schema's, unless the thread is panicking already: then it is only printed.
pub fn assert_some(file: &Path) {
    match check_some(file) {
        Err(error) if std::thread::panicking() => eprintln!("beside what failed: {error:#}"),
        Err(error) => panic!("{error:#}"),
        Ok(()) => {}
    }
}

/// Holds one line to the schema, and returns the record.
///
/// # Errors
/// If it is none: with the line and everything that is wrong with it.
pub fn record(line: &str) -> Result<Value> {
    let record = parse(line)?;
    conforms(line, &record)?;
    Ok(record)
}

fn parse(line: &str) -> Result<Value> {
    ensure!(line.len() < LINE_LIMIT, "a line of {} bytes", line.len());
    serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))
}

fn conforms(line: &str, record: &Value) -> Result<()> {
    let complaints: Vec<String> = VALIDATOR
        .iter_errors(record)
        .map(|error| format!("{error} at {:?}", error.instance_path().to_string()))
        .collect();
    ensure!(complaints.is_empty(), "{line}\nis no record: {}", complaints.join("; "));
    Ok(())
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

    #[test]
    fn a_log_may_end_in_half_a_line_and_nowhere_else() {
        let folder = crate::folder::TempFolder::new("records").unwrap();
        let good = include_str!("../../deploy/audit/examples/token.refused.replay.json").trim_end();
        let strange = good.replacen("\"surface\"", "\"surfaces\"", 1);
        let check = |log: &str| check_some(&folder.write("audit.jsonl", log).unwrap());
        assert!(check(&format!("{good}\n{}", &good[..40])).is_ok(), "killed while it wrote");
        assert!(check(&format!("{}\n{good}\n", &good[..40])).is_err());
        assert!(check(&format!("{good}\n{strange}\n")).is_err());
        let many = format!("{good}\n").repeat(OF_ONE_SORT);
        assert!(check(&format!("{many}{strange}\n")).is_ok(), "one of very many");
        assert!(check(&format!("{many}{{\"kind\":\"token.stolen\"}}\n")).is_err(), "of another sort");
        assert!(check_some(&folder.path().join("never")).is_ok());
    }
}
