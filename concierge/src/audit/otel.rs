//! Records as OpenTelemetry log records: whole lines in, the JSON of one OTLP/HTTP export out.
//!
//! The body of a log record is the line as it was written, so that a collector keeps what the chain can be verified by;
//! attributes are for searching. What a token only claims becomes none: an attribute is what people build alerts on.
//! Shapes are those of OTLP 1.9's JSON encoding (64-bit integers are strings), names those of OpenTelemetry's semantic
//! conventions where there is one, and `latchkey.…` elsewhere.

mod attributes;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use self::attributes::{Attribute, attributes};
use crate::time::UnixTime;

/// Who writes the log: the resource of all its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// `k8s.cluster.name`.
    pub cluster: String,
    /// `service.instance.id` and `k8s.pod.name`.
    pub replica: String,
}

/// What each of our records is called: `latchkey.token.refused` and its like.
const EVENT_PREFIX: &str = "latchkey.";

/// The scope of all records.
const SCOPE: &str = "latchkey.dev/audit";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Export<'a> {
    resource_logs: [ResourceLogs<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceLogs<'a> {
    resource: Attributed<'a>,
    scope_logs: [ScopeLogs<'a>; 1],
}

#[derive(Serialize)]
struct Attributed<'a> {
    attributes: Vec<Attribute<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ScopeLogs<'a> {
    scope: Scope,
    log_records: Vec<LogRecord<'a>>,
}

#[derive(Serialize)]
struct Scope {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LogRecord<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    time_unix_nano: Option<String>,
    observed_time_unix_nano: String,
    severity_number: u8,
    #[serde(skip_serializing_if = "str::is_empty")]
    severity_text: &'a str,
    event_name: String,
    body: Body<'a>,
    attributes: Vec<Attribute<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    string_value: &'a str,
}

/// The body of one `POST /v1/logs`. Lines come as they were written; a newline at the end is not part of the record.
#[must_use]
pub fn export<'a>(resource: &Resource, lines: impl IntoIterator<Item = &'a [u8]>, observed: UnixTime) -> Vec<u8> {
    // What is written here is UTF-8; a foreign byte must not cost the batch.
    let lines: Vec<_> = lines.into_iter().map(|line| String::from_utf8_lossy(line.trim_ascii_end())).collect();
    let records: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap_or_default()).collect();
    let log_records = lines.iter().zip(&records).map(|(line, record)| log_record(line, record, observed)).collect();
    let scope = Scope { name: SCOPE, version: env!("CARGO_PKG_VERSION") };
    let attributes = vec![
        Attribute::text("service.name", "latchkey-concierge"),
        Attribute::text("service.version", env!("CARGO_PKG_VERSION")),
        Attribute::text("service.instance.id", &resource.replica),
        Attribute::text("k8s.cluster.name", &resource.cluster),
        Attribute::text("k8s.pod.name", &resource.replica),
    ];
    let export = Export {
        resource_logs: [ResourceLogs {
            resource: Attributed { attributes },
            scope_logs: [ScopeLogs { scope, log_records }],
        }],
    };
    // Texts and numbers only: nothing of it can fail to be written into memory.
    serde_json::to_vec(&export).unwrap_or_default()
}

fn log_record<'a>(line: &'a str, record: &'a Value, observed: UnixTime) -> LogRecord<'a> {
    let severity_text = record["severity"].as_str().unwrap_or_default();
    LogRecord {
        time_unix_nano: record["time"].as_str().and_then(nanoseconds),
        observed_time_unix_nano: (i128::from(observed.as_micros()) * 1_000).to_string(),
        severity_number: severity_number(severity_text),
        severity_text,
        event_name: format!("{EVENT_PREFIX}{}", record["kind"].as_str().unwrap_or("unknown")),
        body: Body { string_value: line },
        attributes: attributes(record),
    }
}

fn nanoseconds(time: &str) -> Option<String> {
    Some(time.parse::<Timestamp>().ok()?.as_nanosecond().to_string())
}

/// INFO, WARN, WARN, ERROR; 0 is "unspecified" (OTLP, `SeverityNumber`).
fn severity_number(severity: &str) -> u8 {
    match severity {
        "info" => 9,
        "low" | "medium" => 13,
        "high" => 17,
        _ => 0,
    }
}
