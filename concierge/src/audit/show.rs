//! Records for people: which ones, and each as one aligned line. What a log says is somebody else's text: it is cleaned
//! once more before it reaches a terminal.

use std::{borrow::Cow, fmt::Write as _, time::Duration};

use serde_json::Value;

use crate::{
    text::{clean, is_dangerous},
    time::UnixTime,
};

/// Which records are shown: those that fit each of the members that are given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Not older than this.
    pub since: Option<Moment>,
    /// Older than this.
    pub until: Option<Moment>,
    /// One of these kinds; one that ends with a dot means all that begin so.
    pub kinds: Vec<String>,
    /// One of these codes.
    pub codes: Vec<String>,
    /// At least this severe.
    pub severity: Option<Level>,
    /// The name of the authenticator.
    pub authenticator: Option<String>,
    /// The user's name, or the subject of the token.
    pub subject: Option<String>,
    /// The cluster that wrote the record.
    pub cluster: Option<String>,
    /// The cluster that the token was for.
    pub claimed_cluster: Option<String>,
    /// How the token's fingerprint begins, with or without `sha256:`.
    pub fingerprint: Option<String>,
    /// The audit id of the request.
    pub audit_id: Option<String>,
}

/// A time: itself, or so long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Then.
    At(UnixTime),
    /// So long before the present.
    Ago(Duration),
}

/// How severe a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// The noise of every day.
    Info,
    /// Worth counting.
    Low,
    /// Worth a look.
    Medium,
    /// Somebody's serious mistake, or worse.
    High,
}

/// How records are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One aligned line each.
    Text,
    /// The same with more columns.
    Wide,
    /// The line of the log.
    Json,
}

/// How records are shown on this output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// How much.
    pub form: Form,
    /// With colours.
    pub color: bool,
}

/// One column: its heading and its least width.
type Column = (&'static str, usize);

const COLUMNS: [Column; 7] =
    [("TIME", 27), ("SEVERITY", 8), ("CODE", 22), ("WHO", 28), ("FROM", 15), ("FOR", 16), ("COUNT", 5)];
const WIDE: [Column; 7] = [
    ("KIND", 17),
    ("AUTHENTICATOR", 13),
    ("TOKEN", 16),
    ("RECORD", 28),
    ("AUDIT-ID", 36),
    ("USER-AGENT", 24),
    ("DETAIL", 6),
];

/// Longest text in one column; what is longer is cut, and whole with `json`.
const CELL: usize = 64;

/// Longest text in the last one.
const DETAIL: usize = 240;

// === impl Filter ===

impl Filter {
    /// Whether a record is wanted.
    #[must_use]
    pub fn admits(&self, record: &Value, now: UnixTime) -> bool {
        let is = |wanted: &Option<String>, paths: &[&str]| {
            wanted.as_ref().is_none_or(|wanted| paths.iter().any(|path| text(record, path) == Some(wanted)))
        };
        let kind = text(record, "/kind").unwrap_or_default();
        let fits = |wanted: &String| kind == wanted || (wanted.ends_with('.') && kind.starts_with(wanted.as_str()));
        let print = text(record, "/token/fingerprint").unwrap_or_default();
        let begins = |wanted: &String| print.strip_prefix("sha256:").unwrap_or(print).starts_with(bare(wanted));
        let code = text(record, "/code").unwrap_or_default();
        (self.kinds.is_empty() || self.kinds.iter().any(fits))
            && (self.codes.is_empty() || self.codes.iter().any(|wanted| wanted == code))
            && self.severity.is_none_or(|least| level(record).is_some_and(|level| level >= least))
            && self.in_time(record, now)
            && is(&self.authenticator, &["/authenticator/name"])
            && is(&self.subject, &["/identity/username", "/verified/sub", "/claimed/sub"])
            && is(&self.cluster, &["/cluster"])
            && is(&self.claimed_cluster, &["/claimedCluster"])
            && self.fingerprint.as_ref().is_none_or(begins)
            && is(&self.audit_id, &["/auditID"])
    }

    fn in_time(&self, record: &Value, now: UnixTime) -> bool {
        if self.since.is_none() && self.until.is_none() {
            return true;
        }
        let Some(time) = text(record, "/time").and_then(|time| time.parse::<jiff::Timestamp>().ok()) else {
            return false;
        };
        let time = UnixTime::from_micros(time.as_microsecond());
        let at = |moment: Moment| match moment {
            Moment::At(time) => time,
            Moment::Ago(span) => now.minus(span),
        };
        self.since.is_none_or(|since| time >= at(since)) && self.until.is_none_or(|until| time < at(until))
    }
}

fn bare(fingerprint: &str) -> &str {
    fingerprint.strip_prefix("sha256:").unwrap_or(fingerprint)
}

impl Level {
    /// By its word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        match word {
            "info" => Some(Self::Info),
            "low" => Some(Self::Low),
            "medium" => Some(Self::Medium),
            "high" => Some(Self::High),
            _ => None,
        }
    }
}

fn level(record: &Value) -> Option<Level> {
    text(record, "/severity").and_then(Level::named)
}

// === impl Style ===

impl Style {
    /// The line above the records, if this form has one.
    #[must_use]
    pub fn heading(self) -> Option<String> {
        if self.form == Form::Json {
            return None;
        }
        let cells = self.columns().map(|column| Cow::Borrowed(column.0));
        Some(self.row(&cells.collect::<Vec<_>>(), None))
    }

    /// One record as one line without its end. `line` is what was read, `record` what it says.
    #[must_use]
    pub fn line(self, line: &str, record: &Value) -> String {
        if self.form == Form::Json {
            return harmless(line);
        }
        let mut cells = vec![
            cell(text(record, "/time")),
            cell(text(record, "/severity")),
            cell(text(record, "/code")),
            who(record),
            from(record),
            destination(record),
            number(record, "/count"),
        ];
        if self.form == Form::Wide {
            let token =
                text(record, "/token/fingerprint").map(|print| bare(print).chars().take(16).collect::<String>());
            cells.extend([
                cell(text(record, "/kind")),
                cell(text(record, "/authenticator/name")),
                cell(token.as_deref()),
                Cow::Owned(format!("{}#{}", cell(text(record, "/replica")), number(record, "/seq"))),
                cell(text(record, "/auditID")),
                cell(text(record, "/userAgent")),
                text(record, "/detail").map_or(Cow::Borrowed("-"), |detail| Cow::Owned(clean(detail, DETAIL))),
            ]);
        }
        self.row(&cells, level(record))
    }

    fn columns(self) -> impl Iterator<Item = Column> {
        let more: &[Column] = if self.form == Form::Wide { &WIDE } else { &[] };
        COLUMNS.into_iter().chain(more.iter().copied())
    }

    fn row(self, cells: &[Cow<'_, str>], level: Option<Level>) -> String {
        let mut row = String::new();
        for (number, (cell, (_, width))) in cells.iter().zip(self.columns()).enumerate() {
            if number > 0 {
                row.push_str("  ");
            }
            let paint = level.filter(|_| self.color && number == 1).and_then(color);
            if let Some(paint) = paint {
                row.push_str(paint);
            }
            row.push_str(cell);
            if paint.is_some() {
                row.push_str("\u{1b}[0m");
            }
            row.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count())));
        }
        row.truncate(row.trim_end().len());
        row
    }
}

const fn color(level: Level) -> Option<&'static str> {
    match level {
        Level::Info => None,
        Level::Low => Some("\u{1b}[36m"),
        Level::Medium => Some("\u{1b}[33m"),
        Level::High => Some("\u{1b}[1;31m"),
    }
}

/// Who it was, as sure as the record is: a name that only an unverified token claims has a question mark.
fn who(record: &Value) -> Cow<'static, str> {
    let known = text(record, "/identity/username").or_else(|| text(record, "/verified/sub"));
    if known.is_some() {
        return cell(known);
    }
    text(record, "/claimed/sub").map_or(Cow::Borrowed("-"), |claimed| Cow::Owned(format!("{}?", clean(claimed, CELL))))
}

fn from(record: &Value) -> Cow<'static, str> {
    let (peer, forwarded) = (text(record, "/peer/ip"), text(record, "/peer/forwarded"));
    match (forwarded, peer) {
        (Some(forwarded), Some(peer)) => Cow::Owned(format!("{} via {}", cell(Some(forwarded)), cell(Some(peer)))),
        (one, other) => cell(one.or(other)),
    }
}

/// The cluster that the token was for: another one, with how alive it still is, or the one that wrote the record.
fn destination(record: &Value) -> Cow<'static, str> {
    match (text(record, "/claimedCluster"), text(record, "/state")) {
        (Some(cluster), Some(state)) => Cow::Owned(format!("{} ({})", cell(Some(cluster)), cell(Some(state)))),
        (Some(cluster), None) => cell(Some(cluster)),
        (None, _) => cell(text(record, "/cluster")),
    }
}

fn cell(text: Option<&str>) -> Cow<'static, str> {
    text.map_or(Cow::Borrowed("-"), |text| Cow::Owned(clean(text, CELL)))
}

fn number(record: &Value, path: &str) -> Cow<'static, str> {
    record.pointer(path).and_then(Value::as_u64).map_or(Cow::Borrowed("-"), |number| Cow::Owned(number.to_string()))
}

fn text<'a>(record: &'a Value, path: &str) -> Option<&'a str> {
    record.pointer(path).and_then(Value::as_str)
}

/// A line of JSON in which no character can do anything to a terminal: the same JSON, with those written as `\u....`.
fn harmless(line: &str) -> String {
    let mut harmless = String::with_capacity(line.len());
    for character in line.chars() {
        if is_dangerous(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(harmless, "\\u{unit:04x}");
            }
        } else {
            harmless.push(character);
        }
    }
    harmless
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record() -> Value {
        json!({
            "v": 1, "seq": 5, "cluster": "prod", "replica": "r", "time": "2026-11-21T01:02:03.412345Z",
            "kind": "token.refused", "severity": "high", "code": "audience-other-cluster", "auditID": "5c1e",
            "authenticator": {"name": "corp"}, "peer": {"ip": "10.3.4.5", "forwarded": "203.0.113.9"},
            "userAgent": "kubectl\u{1b}[31m", "token": {"fingerprint": "sha256:9f2c00112233445566778899"},
            "verified": {"sub": "ada\u{202e}"}, "claimedCluster": "staging", "state": "live", "count": 3,
            "detail": "audience staging\nfound",
        })
    }

    fn filter(change: impl FnOnce(&mut Filter)) -> bool {
        let mut filter = Filter::default();
        change(&mut filter);
        filter.admits(&record(), UnixTime::from_secs(1_795_222_924))
    }

    #[test]
    fn each_filter_admits_and_refuses() {
        let time = |text: &str| {
            Some(Moment::At(UnixTime::from_micros(text.parse::<jiff::Timestamp>().unwrap().as_microsecond())))
        };
        assert!(filter(|_| {}));
        for (wanted, value) in [(true, "token.refused"), (true, "token."), (false, "token"), (false, "audit.")] {
            assert_eq!(filter(|f| f.kinds = vec!["x".into(), value.into()]), wanted, "{value}");
        }
        for (wanted, value) in [(true, "2026-11-21T01:02:03.412345Z"), (false, "2026-11-21T01:02:03.412346Z")] {
            assert_eq!(filter(|f| f.since = time(value)), wanted);
            assert_eq!(filter(|f| f.until = time(value)), !wanted);
        }
        // The record is not quite a second old.
        for (wanted, seconds) in [(true, 1), (false, 0)] {
            assert_eq!(filter(|f| f.since = Some(Moment::Ago(Duration::from_secs(seconds)))), wanted);
        }
        assert!(
            filter(|f| f.codes = vec!["audience-other-cluster".into()])
                && !filter(|f| f.codes = vec!["expired".into()])
        );
        assert!(filter(|f| f.severity = Some(Level::Medium)) && filter(|f| f.severity = Some(Level::High)));
        for (wanted, value) in [(true, "9f2c"), (true, "sha256:9f2c"), (false, "2c00")] {
            assert_eq!(filter(|f| f.fingerprint = Some(value.into())), wanted, "{value}");
        }
        for (wanted, value) in [(true, "corp"), (false, "cor")] {
            assert_eq!(filter(|f| f.authenticator = Some(value.into())), wanted);
        }
        for (wanted, value) in [(true, "staging"), (false, "prod")] {
            assert_eq!(filter(|f| f.claimed_cluster = Some(value.into())), wanted);
            assert_eq!(filter(|f| f.cluster = Some(value.into())), !wanted);
        }
        assert!(filter(|f| f.subject = Some("ada\u{202e}".into())) && !filter(|f| f.subject = Some("ada".into())));
        assert!(filter(|f| f.audit_id = Some("5c1e".into())) && !filter(|f| f.audit_id = Some("5c1f".into())));
        let low = json!({"severity": "low"});
        assert!(!Filter { severity: Some(Level::Medium), ..Filter::default() }.admits(&low, UnixTime::from_secs(0)));
    }

    #[test]
    fn a_record_is_one_aligned_line_that_does_nothing_to_a_terminal() {
        let style = Style { form: Form::Text, color: false };
        let heading = style.heading().unwrap();
        let line = style.line("", &record());
        assert_eq!(
            line,
            "2026-11-21T01:02:03.412345Z  high      audience-other-cluster  ada\u{fffd}                          203.0.113.9 via 10.3.4.5  staging (live)    3"
        );
        assert_eq!(heading.find("WHO"), line.find("ada"));
        let wide = Style { form: Form::Wide, color: false }.line("", &record());
        assert!(wide.contains("9f2c001122334455") && wide.ends_with("audience staging\u{fffd}found"), "{wide}");
        assert!(!wide.contains(['\u{1b}', '\n', '\u{202e}']), "{wide:?}");
        let colored = Style { form: Form::Text, color: true }.line("", &record());
        assert!(colored.contains("\u{1b}[1;31mhigh\u{1b}[0m      audience"), "{colored:?}");
        let claimed = json!({"claimed": {"sub": "eve"}, "cluster": "prod"});
        assert!(style.line("", &claimed).contains("eve?"));
    }

    #[test]
    fn json_stays_the_same_json() {
        let line = "{\"a\":\"x\u{202e}y\u{9b}\u{e0041}z\"}";
        let shown = Style { form: Form::Json, color: false }.line(line, &Value::Null);
        assert!(shown.is_ascii(), "{shown}");
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), serde_json::from_str::<Value>(line).unwrap());
    }
}
