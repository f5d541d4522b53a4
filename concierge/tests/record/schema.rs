//! The published schema of a record, as a validator that every test of records asks.

use std::{path::Path, sync::LazyLock};

use jsonschema::Validator;
use serde_json::Value;

static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| {
    let schema = serde_json::from_str(include_str!("../../../deploy/audit/record.schema.json")).unwrap();
    jsonschema::draft202012::new(&schema).unwrap()
});

/// What is wrong with `record`; empty: nothing.
pub(crate) fn complaints(record: &Value) -> Vec<String> {
    VALIDATOR.iter_errors(record).map(|error| format!("{} at {:?}", error, error.instance_path().to_string())).collect()
}

/// Fails unless every line of `log` is a record as the schema says.
pub(crate) fn assert_records(log: &str) {
    for line in log.lines() {
        assert!(line.len() < 8 * 1024, "a line of {} bytes", line.len());
        let complaints = complaints(&serde_json::from_str(line).unwrap());
        assert!(complaints.is_empty(), "{line}\n{}", complaints.join("\n"));
    }
}

/// The same for a file that may still be written to, or has not been begun: its whole lines.
pub(crate) fn assert_whole_records(file: &Path) {
    let log = std::fs::read_to_string(file).unwrap_or_default();
    assert_records(log.rsplit_once('\n').map_or("", |(whole, _)| whole));
}
