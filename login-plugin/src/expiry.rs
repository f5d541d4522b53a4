//! When something received from a server stops being good, in this computer's own time.

use crate::time::UnixTime;

/// Nothing is used in its last half minute: kube-apiserver may be a little ahead, and a request takes time.
const MARGIN_MAX_SECONDS: i64 = 30;

/// A timestamp nearer than this makes clients loop: client-go drops the connection it has just opened
/// when the plugin hands out an already expired certificate (kubernetes/kubernetes#106768).
const LEAST_ANNOUNCED_SECONDS: i64 = 5;

/// The two clocks at the moment an answer arrived: what this computer believes, and what the server said in `Date`.
///
/// The difference is all that matters: a laptop an hour wrong still counts seconds correctly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clocks {
    /// This computer's clock.
    pub(crate) local: UnixTime,
    /// The server's clock.
    pub(crate) server: UnixTime,
}

impl Clocks {
    /// How far this computer is ahead of the server, in seconds; negative when it is behind.
    pub(crate) const fn local_ahead(self) -> i64 {
        self.local.since(self.server)
    }

    /// The last local second in which something that ends at `not_after` (server's time) should be used:
    /// `local + (not_after - server) - margin`, margin being the smaller of 30 s and a tenth of what is left.
    pub(crate) fn usable_until(self, not_after: UnixTime) -> UnixTime {
        let lifetime = not_after.since(self.server);
        let margin = (lifetime / 10).clamp(0, MARGIN_MAX_SECONDS);
        self.local.plus(lifetime.saturating_sub(margin))
    }
}

/// The expiry to print, or none when it is so near (or past) that printing it would do harm.
pub(crate) fn announced(usable_until: UnixTime, now: UnixTime) -> Option<UnixTime> {
    (usable_until.since(now) >= LEAST_ANNOUNCED_SECONDS).then_some(usable_until)
}

/// Whether something received at `received_at` and usable until `usable_until` may be used now.
///
/// Something from the future is not: the clock was set back since, and `usable_until` means nothing any more.
pub(crate) fn is_usable(received_at: UnixTime, usable_until: UnixTime, now: UnixTime) -> bool {
    received_at <= now && announced(usable_until, now).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;

    fn at(seconds: i64) -> UnixTime {
        UnixTime::from_secs(1_782_000_000 + seconds)
    }

    #[test]
    fn clock_of_the_laptop_wrong_by_an_hour() {
        for wrong_by in [-HOUR, 0, HOUR] {
            let clocks = Clocks { local: at(wrong_by), server: at(0) };
            let until = clocks.usable_until(at(600));
            assert_eq!(until.since(clocks.local), 570, "wrong by {wrong_by}: ten minutes less the margin remain");
            assert!(is_usable(clocks.local, until, clocks.local));
            assert!(!is_usable(clocks.local, until, clocks.local.plus(600)));
        }
    }

    #[test]
    fn clock_set_back_after_the_answer_came_ends_the_entry() {
        let ahead = Clocks { local: at(HOUR), server: at(0) };
        let until = ahead.usable_until(at(600));
        assert!(!is_usable(ahead.local, until, at(60)), "the corrected clock is before the time of receipt");
    }

    #[test]
    fn margin_is_a_tenth_of_short_lives_and_half_a_minute_of_long_ones() {
        let clocks = Clocks { local: at(0), server: at(0) };
        let cases = [(100, 90), (300, 270), (301, 271), (86_400, 86_370), (0, 0), (-50, -50)];
        for (not_after, until) in cases {
            assert_eq!(clocks.usable_until(at(not_after)), at(until), "{not_after}");
        }
    }

    #[test]
    fn near_or_past_expiry_is_not_announced() {
        let cases = [(5, true), (4, false), (0, false), (-1, false)];
        for (left, expected) in cases {
            assert_eq!(announced(at(left), at(0)).is_some(), expected, "{left}");
        }
    }
}
