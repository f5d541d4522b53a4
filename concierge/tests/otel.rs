//! What a collector gets: whole exports of known records, held against a file, and what must never become an attribute.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its own file has failed")]

use latchkey_concierge::{
    audit::otel::{Resource, export},
    time::UnixTime,
};
use serde_json::{Value, json};

const RECORDS: &str = include_str!("otel/records.jsonl");
/// Written by hand from audit.md's table and OTLP's JSON encoding; changed only together with what users search by.
const EXPORT: &str = include_str!("otel/export.json");

fn exported<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Value {
    let resource = Resource { cluster: "prod-eu".to_owned(), replica: "latchkey-7c9f-2k".to_owned() };
    let body = export(&resource, lines, UnixTime::from_micros(1_795_222_990_000_007));
    serde_json::from_slice(&body).unwrap()
}

fn records(export: &Value) -> &Vec<Value> {
    export["resourceLogs"][0]["scopeLogs"][0]["logRecords"].as_array().unwrap()
}

#[test]
fn known_records_become_the_known_export() {
    let mut expected: Value = serde_json::from_str(EXPORT).unwrap();
    let found = exported(RECORDS.lines().map(str::as_bytes));
    // The bodies are the lines; the file would only repeat them. The version moves with every release.
    for (record, line) in expected
        .pointer_mut("/resourceLogs/0/scopeLogs/0/logRecords")
        .unwrap()
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .zip(RECORDS.lines())
    {
        record["body"] = json!({"stringValue": line});
    }
    for pointer in
        ["/resourceLogs/0/scopeLogs/0/scope/version", "/resourceLogs/0/resource/attributes/1/value/stringValue"]
    {
        *expected.pointer_mut(pointer).unwrap() = json!(env!("CARGO_PKG_VERSION"));
    }
    assert_eq!(found, expected, "{found:#}");
}

#[test]
fn the_body_is_the_line_as_written_with_or_without_its_newline() {
    let line = RECORDS.lines().nth(1).unwrap();
    let with_newline = format!("{line}\n");
    let export = exported([line.as_bytes(), with_newline.as_bytes()]);
    assert!(records(&export).iter().all(|record| record["body"]["stringValue"] == line));
}

#[test]
fn what_a_token_only_claims_is_no_attribute() {
    let export = exported(RECORDS.lines().map(str::as_bytes));
    let attributes = records(&export)[3]["attributes"].to_string();
    for claimed in ["evil.example", "root", "etc"] {
        assert!(!attributes.contains(claimed), "{attributes}");
    }
}

#[test]
fn a_line_that_is_no_record_is_still_handed_on() {
    let export = exported([&b"{\"v\":1,"[..], b"\xff\xfe"]);
    let [torn, foreign] = records(&export).as_slice() else { panic!("two records") };
    assert_eq!((&torn["body"]["stringValue"], &torn["severityNumber"]), (&json!("{\"v\":1,"), &json!(0)));
    assert_eq!(foreign["body"]["stringValue"], "\u{fffd}\u{fffd}");
    assert!(foreign.get("timeUnixNano").is_none());
}
