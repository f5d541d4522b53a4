//! The answer on paper: a table for people, JSON and YAML for programs. What a cluster sent moves no cursor in any of them.

use std::fmt::Write as _;

use serde_json::Value;

use super::list::{Facts, Fleet};
use crate::failure::{Failure, Status};
use crate::output::{Printable, is_dangerous};
use crate::time::UnixTime;

/// Longest text in a column, in characters. The concierge cuts at the same length.
const CELL_MAX_CHARS: usize = 64;
/// What kubectl shows where there is nothing.
const NOTHING: &str = "<none>";

/// A column: its head, and what stands in it.
type Column = (&'static str, fn(&Facts, UnixTime) -> String);

const COLUMNS: [Column; 6] = [
    ("FROM-CLUSTER", |facts, _| facts.claimed_cluster.clone()),
    ("CODE", |facts, _| facts.code.clone()),
    ("SUBJECT", |facts, _| facts.subject.clone()),
    ("SOURCE", |facts, _| facts.source.clone()),
    ("COUNT", |facts, _| facts.count.to_string()),
    ("LAST-SEEN", |facts, now| age(&facts.last_seen, now)),
];

const WIDE: [Column; 10] = [
    ("FIRST-SEEN", |facts, now| age(&facts.first_seen, now)),
    ("SEVERITY", |facts, _| facts.severity.clone()),
    ("STATE", |facts, _| facts.state.clone()),
    ("AUTHENTICATOR", |facts, _| facts.authenticator.clone()),
    ("ISSUER", |facts, _| facts.issuer.clone()),
    ("AUDIENCE", |facts, _| facts.audience.join(",")),
    ("USER-AGENT", |facts, _| facts.user_agent.clone()),
    ("FINGERPRINT", |facts, _| facts.fingerprint.clone()),
    ("LAST-AUDIT-ID", |facts, _| facts.last_audit_id.clone()),
    ("REPLICA", |facts, _| facts.replica.clone()),
];

/// The table, with a head.
pub(super) fn table(fleet: &Fleet, wide: bool, now: UnixTime) -> String {
    let columns = || COLUMNS.iter().chain(WIDE.iter().filter(move |_| wide));
    let head = ["CLUSTER"].into_iter().chain(columns().map(|(head, _)| *head)).map(str::to_owned).collect();
    let rows = fleet.rejections.iter().map(|rejection| {
        let rest = columns().map(|(_, text)| cell(&text(&rejection.facts, now)));
        [cell(&rejection.context)].into_iter().chain(rest).collect()
    });
    let rows: Vec<Vec<String>> = [head].into_iter().chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _cannot_fail = write!(line, "{cell:<width$}   ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// JSON. A character that could do something to a terminal stands there as its escape, which means the same.
pub(super) fn json(fleet: &Fleet) -> String {
    let json = serde_json::to_string_pretty(fleet).expect("strings, numbers and lists serialize");
    let mut safe = String::with_capacity(json.len() + 1);
    for character in json.chars() {
        if character != '\n' && is_dangerous(character) {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                let _cannot_fail = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(character);
        }
    }
    safe.push('\n');
    safe
}

/// YAML, which has no such escapes in plain text: there they are shown.
///
/// # Errors
/// When it cannot be written as YAML.
pub(super) fn yaml(fleet: &Fleet) -> Result<String, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new(Status::General, format!("cannot write YAML: {error}"));
    let mut value = serde_json::to_value(fleet).map_err(|error| failed(&error))?;
    show_escapes(&mut value);
    serde_norway::to_string(&value).map_err(|error| failed(&error))
}

fn show_escapes(value: &mut Value) {
    match value {
        Value::String(text) if text.chars().any(is_dangerous) => *text = Printable(text).to_string(),
        Value::Array(items) => items.iter_mut().for_each(show_escapes),
        Value::Object(fields) => fields.values_mut().for_each(show_escapes),
        _ => {}
    }
}

fn cell(text: &str) -> String {
    if text.is_empty() {
        return NOTHING.to_owned();
    }
    let shown = Printable(text).to_string();
    if shown.chars().count() <= CELL_MAX_CHARS {
        return shown;
    }
    shown.chars().take(CELL_MAX_CHARS - 1).chain(['…']).collect()
}

/// How long ago, as kubectl says it: two units at most, and none that nobody needs.
fn age(text: &str, now: UnixTime) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    let Some(at) = UnixTime::parse_rfc3339(text) else { return String::new() };
    // Clocks differ by seconds.
    let seconds = now.since(at).max(0);
    let two = |big: i64, big_unit: char, small: i64, small_unit: char| {
        let rest = seconds % big / small;
        let rest = if rest == 0 { String::new() } else { format!("{rest}{small_unit}") };
        format!("{}{big_unit}{rest}", seconds / big)
    };
    match seconds {
        ..120 => format!("{seconds}s"),
        120..600 => two(MINUTE, 'm', 1, 's'),
        600..10_800 => format!("{}m", seconds / MINUTE),
        10_800..28_800 => two(HOUR, 'h', MINUTE, 'm'),
        28_800..172_800 => format!("{}h", seconds / HOUR),
        172_800..691_200 => two(DAY, 'd', HOUR, 'h'),
        _ => format!("{}d", seconds / DAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_those_of_kubectl() {
        let now = UnixTime::from_secs(1_782_000_000);
        for (seconds, expected) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (301, "5m1s"),
            (3_600, "60m"),
            (10_800, "3h"),
            (12_000, "3h20m"),
            (90_000, "25h"),
            (200_000, "2d7h"),
            (691_200, "8d"),
            (-5, "0s"),
        ] {
            assert_eq!(age(&now.plus(-seconds).to_string(), now), expected, "{seconds}");
        }
        assert_eq!(age("yesterday", now), "");
    }

    #[test]
    fn a_cell_is_short_and_moves_nothing() {
        assert_eq!(cell(""), NOTHING);
        assert_eq!(cell("a\u{1b}[2Jb\n"), "a\\u{1b}[2Jb\\n");
        let long = cell(&"x".repeat(5_000));
        assert_eq!((long.chars().count(), long.ends_with('…')), (64, true));
    }
}
