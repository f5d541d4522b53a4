//! Logs: one JSON object a line on stderr, in which no value can start a new line or turn a reader's screen around.

use std::{
    borrow::Cow,
    fmt,
    fmt::Write as _,
    io,
    io::Write,
    str::{self, FromStr},
};

use tracing_subscriber::{EnvFilter, fmt::MakeWriter, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// Which events are logged: a level, or `tracing`'s directives such as `info,latchkey_concierge=debug`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(String);

/// The filter was not understood.
#[derive(Debug, thiserror::Error)]
#[error("expected a level (error, warn, info, debug, trace) or directives such as info,kube=warn: {0}")]
pub struct LogFilterError(String);

/// Wraps a writer: every write is one whole record, escaped.
#[derive(Clone, Copy, Debug)]
struct EscapedStderr;

// === impl LogFilter ===

impl FromStr for LogFilter {
    type Err = LogFilterError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match EnvFilter::builder().parse(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(error) => Err(LogFilterError(error.to_string())),
        }
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Starts logging for the whole process. A second call changes nothing.
pub fn init(filter: &LogFilter) {
    let format = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_writer(EscapedStderr);
    // Parsed once already; should the parser ever disagree with itself, the default level stands.
    let filter = EnvFilter::builder().parse(&filter.0).unwrap_or_else(|_| EnvFilter::new("info"));
    let _ = tracing_subscriber::registry().with(filter).with(format).try_init();
}

// === impl EscapedStderr ===

impl<'a> MakeWriter<'a> for EscapedStderr {
    type Writer = Self;

    fn make_writer(&'a self) -> Self::Writer {
        *self
    }
}

impl Write for EscapedStderr {
    /// The formatter hands over one record in one call.
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        match str::from_utf8(record) {
            Ok(text) => io::stderr().lock().write_all(escape(text).as_bytes())?,
            Err(_) => io::stderr().lock().write_all(record.escape_ascii().to_string().as_bytes())?,
        }
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Rewrites characters that JSON allows raw in strings but that deceive a reader as `\uXXXX`: C1 controls, line and
/// paragraph separators, zero-width and bidirectional marks (CWE-117; the "Trojan Source" set, CVE-2021-42574).
/// Outside its strings a JSON record is ASCII, so the rewritten record says the same.
fn escape(record: &str) -> Cow<'_, str> {
    if !record.contains(deceives) {
        return Cow::Borrowed(record);
    }
    let mut escaped = String::with_capacity(record.len() + 16);
    for character in record.chars() {
        if deceives(character) {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

fn deceives(character: char) -> bool {
    matches!(character,
        '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deceiving_characters_are_escaped_and_still_mean_the_same() {
        let value = "a\u{202e}b\u{2028}c\u{85}d\u{e0041}e";
        let record = serde_json::to_string(&serde_json::json!({ "who": value })).unwrap();
        let escaped = escape(&record);
        assert!(escaped.is_ascii(), "{escaped}");
        let read: serde_json::Value = serde_json::from_str(&escaped).unwrap();
        assert_eq!(read["who"], value);
    }

    #[test]
    fn ordinary_text_is_left_alone() {
        assert!(matches!(escape("{\"who\":\"Zoë 東京\"}"), Cow::Borrowed(_)));
    }

    #[test]
    fn filters_are_parsed_at_start() {
        assert!("info".parse::<LogFilter>().is_ok());
        assert!("info,kube=warn".parse::<LogFilter>().is_ok());
        assert!("info,kube=loud".parse::<LogFilter>().is_err());
    }
}
