//! Logins that nobody answered: for one person at one provider, on all of this machine, whichever cluster asked.

use serde::{Deserialize, Serialize};

use crate::time::UnixTime;

/// Seconds of quiet after the first unanswered login, the second, and each further one.
const PAUSES: [i64; 3] = [60, 5 * 60, 30 * 60];

/// The last login that nobody has answered so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unanswered {
    /// When it began or was given up, by this computer's clock.
    at: UnixTime,
    /// How many in a row, this one included.
    times: u32,
    /// Whether it was one at a terminal, where somebody had asked for it.
    at_terminal: bool,
}

impl Unanswered {
    /// A login in the background begins. Noted before its tab opens: programs kill us when we take long, and begin anew.
    pub(crate) fn begun(earlier: Option<Self>, now: UnixTime) -> Self {
        Self { at: now, times: earlier.map_or(0, |it| it.times).saturating_add(1), at_terminal: false }
    }

    /// A login was given up because nobody came.
    pub(crate) fn given_up(earlier: Option<Self>, at_terminal: bool, now: UnixTime) -> Self {
        Self { at_terminal, ..Self::begun(earlier, now) }
    }

    /// Whether somebody at a terminal had asked for it, and went away.
    pub(crate) const fn was_at_terminal(self) -> bool {
        self.at_terminal
    }

    /// Seconds until a tab may be opened again that nobody asks for.
    pub(crate) fn pause(self, now: UnixTime) -> Option<i64> {
        let index = usize::try_from(self.times.saturating_sub(1)).unwrap_or(usize::MAX).min(PAUSES.len() - 1);
        let pause = PAUSES[index];
        // A clock set back must not lock anybody out for longer than the pause itself.
        let left = pause - now.since(self.at);
        (1..=pause).contains(&left).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> UnixTime {
        UnixTime::from_secs(seconds)
    }

    #[test]
    fn pauses_grow_with_each_login_that_nobody_answers() {
        let mut last = None;
        let pauses: Vec<_> = (0..4)
            .map(|_| {
                let next = Unanswered::given_up(last, false, at(1000));
                last = Some(next);
                next.pause(at(1000))
            })
            .collect();
        assert_eq!(pauses, [Some(60), Some(300), Some(1800), Some(1800)]);
    }

    #[test]
    fn a_pause_ends_and_a_clock_set_back_ends_it_too() {
        let once = Unanswered::given_up(None, true, at(1000));
        assert_eq!(once.pause(at(1059)), Some(1));
        assert_eq!(once.pause(at(1060)), None);
        assert_eq!(once.pause(at(900)), None);
    }

    #[test]
    fn a_login_that_was_killed_counts_from_its_beginning() {
        let killed = Unanswered::begun(None, at(1000));
        assert!(!killed.was_at_terminal());
        assert_eq!(killed.pause(at(1010)), Some(50));
        assert_eq!(Unanswered::begun(Some(killed), at(1100)).pause(at(1100)), Some(300));
    }
}
