//! The machine's clock, asked here and nowhere else.

use std::time::SystemTime;

use crate::time::{Clock, UnixTime};

/// The wall clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the machine what time it is")]
    fn now(&self) -> UnixTime {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        UnixTime::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}
