//! Points in time in whole seconds, the formats they travel in, and the clock that is handed in.

use std::fmt;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use serde::{Deserialize, Serialize};

/// Seconds since 1970-01-01T00:00:00Z. Everything we compare (certificates, `exp`, the `Date` header) has whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct UnixTime(i64);

/// The only way to learn the time: `main` hands in the machine's clock, tests hand in their own.
pub(crate) trait Clock: std::fmt::Debug {
    /// The time on this computer, which may be wrong.
    fn now(&self) -> UnixTime;
}

impl UnixTime {
    /// From seconds since the epoch.
    pub(crate) const fn from_secs(seconds: i64) -> Self {
        Self(seconds)
    }

    /// Seconds since the epoch.
    pub(crate) const fn as_secs(self) -> i64 {
        self.0
    }

    /// This moment moved by `seconds`, which may be negative; saturates at the ends of the range.
    pub(crate) const fn plus(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// Seconds from `earlier` to this moment; negative when `earlier` is later.
    pub(crate) const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Reads an RFC 3339 timestamp; a fraction of a second is dropped.
    pub(crate) fn parse_rfc3339(text: &str) -> Option<Self> {
        text.parse::<Timestamp>().ok().map(|timestamp| Self(timestamp.as_second()))
    }

    /// Reads the value of an HTTP `Date` header (RFC 9110 section 5.6.7; its preferred form is also an RFC 2822 date).
    pub(crate) fn parse_http_date(text: &str) -> Option<Self> {
        static PARSER: DateTimeParser = DateTimeParser::new();
        PARSER.parse_timestamp(text.trim()).ok().map(|timestamp| Self(timestamp.as_second()))
    }
}

/// RFC 3339 in whole seconds with `Z`, the only form every Kubernetes client reads.
impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Timestamp::from_second(self.0) {
            Ok(timestamp) => write!(f, "{timestamp}"),
            // Outside the years -9999 to 9999, which no certificate or token of a sane issuer reaches.
            Err(_) => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_whole_seconds_in_utc() {
        assert_eq!(UnixTime::from_secs(1_782_000_000).to_string(), "2026-06-21T00:00:00Z");
    }

    #[test]
    fn reads_what_servers_send() {
        let cases = [
            ("2026-06-21T00:00:00Z", Some(1_782_000_000)),
            ("2026-06-21T02:00:00+02:00", Some(1_782_000_000)),
            ("2026-06-21T00:00:00.987Z", Some(1_782_000_000)),
            ("yesterday", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(UnixTime::parse_rfc3339(text).map(UnixTime::as_secs), expected, "{text}");
        }
        assert_eq!(
            UnixTime::parse_http_date("Sun, 21 Jun 2026 00:00:00 GMT").map(UnixTime::as_secs),
            Some(1_782_000_000)
        );
        assert_eq!(UnixTime::parse_http_date("1782000000"), None);
    }
}
