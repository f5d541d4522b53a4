//! When one authority follows another: the next is made and published long before it signs, the last is trusted until
//! its last leaf is dead.

use std::time::Duration;

use super::lifetime::BACKDATE;
use crate::time::UnixTime;

/// How generations of one kind of authority follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long an authority lives.
    pub life: Duration,
    /// How long the next one stands in the published bundle before it may sign.
    pub overlap: Duration,
}

/// One authority's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// First second of validity.
    pub not_before: UnixTime,
    /// Last second of validity.
    pub not_after: UnixTime,
}

/// What is stored now. An unreadable generation counts as absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Generations {
    /// Signs, and stands in the bundle.
    pub current: Option<Term>,
    /// Stands in the bundle, will sign.
    pub next: Option<Term>,
    /// Stands in the bundle because leaves of it may still live. Its key is gone.
    pub previous: Option<Term>,
}

/// The one thing to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The previous authority has ended: take it out of the bundle.
    ForgetPrevious,
    /// There is no authority in force: make one that signs at once.
    MakeFirst,
    /// Make the next one and publish it.
    MakeNext,
    /// The next becomes the current, the current the previous.
    Promote,
    /// Nothing, until this time at the latest.
    Rest(UnixTime),
}

/// A current authority this near its end gives way to the next even if nobody seems to trust that yet: its leaves would
/// be cut short, and then there would be none at all. Twice the longest life of a credential.
const LAST_CALL: Duration = Duration::from_hours(48);

/// When an untrusted successor is looked at again.
const PATIENCE: Duration = Duration::from_mins(10);

// === impl Terms ===

impl Terms {
    /// What to do with `generations` at `now`. `next_is_trusted`: those who must trust the next authority have been seen
    /// to do so.
    #[must_use]
    pub fn step(&self, generations: &Generations, next_is_trusted: bool, now: UnixTime) -> Step {
        let alive = |term: Option<Term>| term.filter(|term| now < term.not_after);
        let next = alive(generations.next);
        let Some(current) = alive(generations.current) else {
            return if next.is_some() { Step::Promote } else { Step::MakeFirst };
        };
        if generations.previous.is_some() && alive(generations.previous).is_none() {
            return Step::ForgetPrevious;
        }
        let last_call = current.not_after.minus(LAST_CALL);
        let wake = match next {
            None if now >= renewal(current) => return Step::MakeNext,
            None => renewal(current),
            Some(next) => {
                let earliest = next.not_before.plus(BACKDATE).plus(self.overlap);
                if now >= earliest && next_is_trusted || now >= last_call {
                    return Step::Promote;
                }
                if now < earliest { earliest.min(last_call) } else { now.plus(PATIENCE).min(last_call) }
            }
        };
        Step::Rest(generations.previous.map_or(wake, |previous| wake.min(previous.not_after)))
    }

    /// The validity of an authority made at `now`.
    #[must_use]
    pub fn term(&self, now: UnixTime) -> Term {
        Term { not_before: now.minus(BACKDATE), not_after: now.plus(self.life) }
    }
}

/// Two thirds of life are over: the last third is for mishaps, and alerts at one third left never fire in vain.
fn renewal(current: Term) -> UnixTime {
    let life = current.not_after.since(current.not_before);
    current.not_before.plus(life * 2 / 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);
    const TERMS: Terms = Terms { life: Duration::from_hours(24 * 365), overlap: Duration::from_hours(24 * 14) };

    fn day(number: u32) -> UnixTime {
        UnixTime::from_secs(1_700_000_000).plus(DAY * number)
    }

    fn term(from: u32, to: u32) -> Term {
        Term { not_before: day(from), not_after: day(to) }
    }

    #[test]
    fn each_situation_has_its_step() {
        let none = Generations::default();
        let current = Generations { current: Some(term(0, 360)), ..none };
        let both = Generations { next: Some(term(240, 600)), ..current };
        for (name, generations, trusted, now, expected) in [
            ("nothing there", none, false, day(0), Step::MakeFirst),
            ("only an ended one", current, false, day(360), Step::MakeFirst),
            ("fresh", current, false, day(1), Step::Rest(day(240))),
            ("a second before renewal", current, false, day(240).minus(Duration::from_secs(1)), Step::Rest(day(240))),
            ("two thirds over", current, false, day(240), Step::MakeNext),
            (
                "clock set back before its birth",
                Generations { current: Some(term(9, 369)), ..none },
                false,
                day(1),
                Step::Rest(day(249)),
            ),
            ("next not out long enough", both, true, day(254), Step::Rest(day(254).plus(BACKDATE))),
            ("next out long enough", both, true, day(254).plus(BACKDATE), Step::Promote),
            ("next not trusted", both, false, day(255), Step::Rest(day(255).plus(PATIENCE))),
            ("next not trusted, but time is up", both, false, day(358), Step::Promote),
            ("current unreadable, next there", Generations { current: None, ..both }, false, day(250), Step::Promote),
            ("current ended, next there", both, false, day(361), Step::Promote),
            ("next ended unused", Generations { next: Some(term(0, 250)), ..current }, false, day(251), Step::MakeNext),
            (
                "previous lives",
                Generations { previous: Some(term(0, 100)), ..Generations { current: Some(term(50, 410)), ..none } },
                true,
                day(99),
                Step::Rest(day(100)),
            ),
            (
                "previous is dead",
                Generations { previous: Some(term(0, 100)), ..Generations { current: Some(term(50, 410)), ..none } },
                true,
                day(100),
                Step::ForgetPrevious,
            ),
        ] {
            assert_eq!(TERMS.step(&generations, trusted, now), expected, "{name}");
        }
    }

    /// Five years, an hour at a time, with a reader of the bundle who takes up changes a week late: no leaf is ever
    /// shown to somebody who does not know its authority.
    #[test]
    fn no_leaf_dies_of_a_rotation() {
        let hour = Duration::from_hours(1);
        let reader_is_late_by = 24 * 7;
        let leaf_life = DAY;
        let mut generations = Generations::default();
        let mut bundles: Vec<Vec<UnixTime>> = Vec::new();
        let mut leaves: Vec<(UnixTime, UnixTime)> = Vec::new();
        let mut authorities = 0;
        for tick in 0..24 * 365 * 5 {
            let now = day(0).plus(hour * tick);
            for _ in 0..4 {
                match TERMS.step(&generations, true, now) {
                    Step::MakeFirst => {
                        assert_eq!(tick, 0, "an authority ended without a successor");
                        generations.current = Some(TERMS.term(now));
                        authorities += 1;
                    }
                    Step::MakeNext => {
                        generations.next = Some(TERMS.term(now));
                        authorities += 1;
                    }
                    Step::Promote => {
                        generations.previous = generations.current;
                        generations.current = generations.next.take();
                    }
                    Step::ForgetPrevious => generations.previous = None,
                    Step::Rest(until) => {
                        assert!(until > now, "a rest must end after it began");
                        break;
                    }
                }
            }
            let bundle = [generations.current, generations.next, generations.previous];
            bundles.push(bundle.iter().flatten().map(|term| term.not_before).collect());
            let signer = generations.current.unwrap();
            assert!(signer.not_after.since(now) > leaf_life, "leaves would be cut short");
            leaves.push((signer.not_before, now.plus(leaf_life)));
            leaves.retain(|(_, not_after)| now < *not_after);
            if tick >= reader_is_late_by {
                let read = &bundles[(tick - reader_is_late_by) as usize];
                assert!(leaves.iter().all(|(authority, _)| read.contains(authority)), "hour {tick}");
            }
            assert!(bundles[tick as usize].len() <= 3);
        }
        assert_eq!(authorities, 8, "one every two thirds of a year");
    }
}
