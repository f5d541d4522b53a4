//! A point in time, and the clock that is handed in: pure rooms never ask the machine what time it is.

use std::{
    fmt,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use jiff::Timestamp;

/// Microseconds since 1970-01-01T00:00:00Z. Audit records need microseconds; everything else is whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(i64);

/// Tells the time. Only the composition root makes one that reads the machine's clock.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The present.
    fn now(&self) -> UnixTime;
}

/// A clock that stands still until it is told otherwise, for tests of every second around an expiry.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

const MICROS: i64 = 1_000_000;

// === impl UnixTime ===

impl UnixTime {
    /// A time from whole seconds, as JWTs and X.509 write it.
    #[must_use]
    pub const fn from_secs(seconds: i64) -> Self {
        Self(seconds.saturating_mul(MICROS))
    }

    /// A time from microseconds.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Whole seconds, rounded down.
    #[must_use]
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(MICROS)
    }

    /// Microseconds.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// This time and `span` more; stays at the end of time instead of wrapping.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(saturating_micros(span)))
    }

    /// This time less `span`.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(saturating_micros(span)))
    }

    /// How long ago `earlier` was; zero if it lies ahead, as after a clock was set back.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// RFC 3339 in UTC with microseconds, as audit records write it.
    #[must_use]
    pub fn rfc3339_micros(self) -> String {
        format!("{:.6}", self.timestamp())
    }

    fn timestamp(self) -> Timestamp {
        Timestamp::from_microsecond(self.0).unwrap_or(if self.0 < 0 { Timestamp::MIN } else { Timestamp::MAX })
    }
}

/// RFC 3339 in UTC with whole seconds, as Kubernetes' `metav1.Time` does it.
impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0}", Self::from_secs(self.as_secs()).timestamp())
    }
}

fn saturating_micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

// === impl ManualClock ===

impl ManualClock {
    /// A clock that shows `now`.
    #[must_use]
    pub const fn new(now: UnixTime) -> Self {
        Self(AtomicI64::new(now.0))
    }

    /// Lets `span` pass.
    pub fn advance(&self, span: Duration) {
        self.0.fetch_add(saturating_micros(span), Ordering::SeqCst);
    }

    /// Sets the clock, also backwards.
    pub fn set(&self, now: UnixTime) {
        self.0.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> UnixTime {
        UnixTime(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_kubernetes_does() {
        assert_eq!(UnixTime::from_secs(1_795_233_600).to_string(), "2026-11-21T04:00:00Z");
        assert_eq!(UnixTime::from_micros(1_795_233_600_900_001).to_string(), "2026-11-21T04:00:00Z");
        assert_eq!(UnixTime::from_micros(1_795_233_600_000_001).rfc3339_micros(), "2026-11-21T04:00:00.000001Z");
    }

    #[test]
    fn never_wraps_and_never_goes_negative() {
        let end = UnixTime::from_secs(i64::MAX);
        assert_eq!(end.plus(Duration::from_secs(1)), end);
        assert_eq!(UnixTime::from_secs(5).since(UnixTime::from_secs(9)), Duration::ZERO);
        assert_eq!(UnixTime::from_micros(-1).as_secs(), -1);
        assert!(!UnixTime::from_secs(i64::MAX).to_string().is_empty());
    }
}
