//! The machine's clock, made in `main` and nowhere else.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::time::{Clock, UnixTime};

/// The real time, or what this computer takes for it.
#[derive(Debug)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the machine")]
    fn now(&self) -> UnixTime {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixTime::from_secs(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
    }
}
