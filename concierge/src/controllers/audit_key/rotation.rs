//! What the Secret should hold next: made once, repaired from memory, replaced with overlap. Pure but for new keys.

use std::{cmp::Reverse, time::Duration};

use super::stored::{Entry, HISTORY_LIMIT, Known, NameSecret, Signer, Stored};
use crate::{credential::SignError, time::UnixTime};

/// How long a key signs before the next one takes over.
const LIFE: Duration = Duration::from_hours(24 * 90);

/// How long both sign then: who checks a log fetches the published keys within a week.
const OVERLAP: Duration = Duration::from_hours(24 * 7);

/// What this replica read last of each entry, and signs with whatever the Secret says now.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Held {
    pub(super) current: Option<Signer>,
    pub(super) previous: Option<Signer>,
    pub(super) names: Option<NameSecret>,
    pub(super) history: Vec<Known>,
}

/// What somebody asked for by the annotation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rotate {
    pub(super) signing: bool,
    pub(super) names: bool,
}

// === impl Held ===

impl Held {
    /// Takes over what can be used. What is missing or broken changes nothing: a log does not lose its name because
    /// somebody damaged a Secret.
    pub(super) fn take(&mut self, stored: &Stored) {
        let mut displaced = None;
        if let Entry::Good(found) = &stored.current {
            let before = self.current.replace(found.clone());
            displaced = before.filter(|before| before != found);
        }
        match (&stored.previous, &stored.current) {
            (Entry::Good(previous), _) => self.previous = Some(previous.clone()),
            // Somebody put another key in force by hand: ours goes on signing beside it, until the leader has written
            // how long.
            (Entry::Missing, Entry::Good(_)) => self.previous = displaced,
            (Entry::Missing | Entry::Broken(_), _) => {}
        }
        if let Entry::Good(names) = &stored.names {
            self.names = Some(names.clone());
        }
        if let Entry::Good(history) = &stored.history {
            self.history.clone_from(history);
        }
    }
}

// === impl Rotate ===

impl Rotate {
    /// Reads the words `signing` and `names`, with commas between; `None` if there is any other.
    pub(super) fn read(text: &str) -> Option<Self> {
        text.split(',').try_fold(Self::default(), |found, word| match word.trim() {
            "signing" => Some(Self { signing: true, ..found }),
            "names" => Some(Self { names: true, ..found }),
            _ => None,
        })
    }
}

/// What the Secret should hold, given what it holds, what is remembered of it, and what was asked for.
pub(super) fn next(stored: &Stored, held: &Held, rotate: Rotate, now: UnixTime) -> Result<Stored, SignError> {
    // As it will be read again.
    let now = UnixTime::from_secs(now.as_secs());
    let names = match (&stored.names, &held.names) {
        _ if rotate.names => Entry::Good(NameSecret::make()?),
        (Entry::Missing, Some(names)) => Entry::Good(names.clone()),
        (Entry::Missing, None) => Entry::Good(NameSecret::make()?),
        (found, _) => found.clone(),
    };
    let mut history = stored.history.good().unwrap_or(&held.history).clone();
    let (found, previous) = match &stored.current {
        Entry::Good(current) => (current.clone(), in_place(stored, held)),
        // Nothing is made and nothing is ended over a key that somebody might be mending.
        Entry::Broken(_) if !rotate.signing => {
            let history = if history.is_empty() { stored.history.clone() } else { Entry::Good(history) };
            return Ok(Stored { names, history, ..stored.clone() });
        }
        Entry::Missing | Entry::Broken(_) => match &held.current {
            Some(held_key) => (held_key.clone(), held.previous.clone().or_else(|| stored.previous.good().cloned())),
            None => (Signer::make()?, stored.previous.good().cloned()),
        },
    };
    let previous = succeed(&mut history, &found, previous, now);
    let is_due = since(&history, &found).is_none_or(|since| now >= since.plus(LIFE));
    let (current, previous) = if rotate.signing || is_due {
        let new = Signer::make()?;
        let previous = succeed(&mut history, &new, Some(found), now);
        (new, previous)
    } else {
        (found, previous)
    };
    arrange(&mut history);
    let previous = match (previous, &stored.previous) {
        (Some(previous), _) => Entry::Good(previous),
        (None, Entry::Broken(fault)) if overlaps(&history, now) => Entry::Broken(*fault),
        (None, _) => Entry::Missing,
    };
    Ok(Stored { current: Entry::Good(current), previous, names, history: Entry::Good(history) })
}

/// The public keys of a Secret that somebody else keeps: nothing is made for it, and nothing of it is written.
pub(super) fn observed(stored: &Stored, held: &Held, now: UnixTime) -> Vec<Known> {
    let mut history = stored.history.good().unwrap_or(&held.history).clone();
    if let Some(current) = &held.current {
        succeed(&mut history, current, held.previous.clone(), UnixTime::from_secs(now.as_secs()));
        arrange(&mut history);
    }
    history
}

/// When something is to be done by itself: the next key, or the end of the one before.
pub(super) fn due(stored: &Stored, now: UnixTime) -> UnixTime {
    let history = stored.history.good().map_or(&[][..], Vec::as_slice);
    let times = history.iter().map(|known| known.until.unwrap_or_else(|| known.since.plus(LIFE)));
    times.filter(|time| *time > now).min().unwrap_or_else(|| now.plus(LIFE))
}

/// The key before the current one: what the Secret says, or the one that was pushed out of it by hand.
fn in_place(stored: &Stored, held: &Held) -> Option<Signer> {
    match &stored.previous {
        Entry::Good(previous) => Some(previous.clone()),
        Entry::Missing | Entry::Broken(_) => held.previous.clone(),
    }
}

/// Puts `current` in force: whoever else was ends, `previous` after the overlap, all others now. Returns the previous
/// one while it still signs.
fn succeed(history: &mut Vec<Known>, current: &Signer, previous: Option<Signer>, now: UnixTime) -> Option<Signer> {
    let previous = previous.filter(|previous| previous != current);
    match history.iter_mut().find(|known| known.key == current.public()) {
        Some(known) => known.until = None,
        None => history.push(Known { key: current.public(), since: now, until: None }),
    }
    if let Some(previous) = &previous
        && history.iter().all(|known| known.key != previous.public())
    {
        history.push(Known { key: previous.public(), since: now, until: None });
    }
    for known in history.iter_mut().filter(|known| known.key != current.public()) {
        let signs = previous.as_ref().is_some_and(|previous| previous.public() == known.key);
        let longest = if signs { now.plus(OVERLAP) } else { now };
        known.until = Some(known.until.map_or(longest, |until| until.min(longest)));
    }
    previous.filter(|previous| {
        history.iter().any(|known| known.key == previous.public() && known.until.is_some_and(|until| now < until))
    })
}

/// The one in force first, then the youngest.
fn arrange(history: &mut Vec<Known>) {
    history.sort_by_key(|known| (known.until.is_some(), Reverse(known.since)));
    history.truncate(HISTORY_LIMIT);
}

fn since(history: &[Known], signer: &Signer) -> Option<UnixTime> {
    history.iter().find(|known| known.key == signer.public()).map(|known| known.since)
}

fn overlaps(history: &[Known], now: UnixTime) -> bool {
    history.iter().any(|known| known.until.is_some_and(|until| now < until))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controllers::audit_key::stored::KeyFault;

    const NOW: UnixTime = UnixTime::from_secs(1_795_233_600);
    const DAY: Duration = Duration::from_hours(24);
    const NOTHING: Rotate = Rotate { signing: false, names: false };
    const SIGNING: Rotate = Rotate { signing: true, names: false };

    fn planned(stored: &Stored, rotate: Rotate, now: UnixTime) -> Stored {
        let mut held = Held::default();
        held.take(stored);
        let next = next(stored, &held, rotate, now).unwrap();
        let mut held = Held::default();
        held.take(&next);
        assert_eq!(super::next(&next, &held, NOTHING, now).unwrap(), next, "a plan is carried out once");
        next
    }

    fn signer(entry: &Entry<Signer>) -> &Signer {
        entry.good().unwrap()
    }

    fn times(stored: &Stored) -> Vec<(UnixTime, Option<UnixTime>)> {
        stored.history.good().unwrap().iter().map(|known| (known.since, known.until)).collect()
    }

    #[test]
    fn an_absent_secret_is_made_once_and_then_left_alone() {
        let made = planned(&Stored::EMPTY, NOTHING, NOW);
        assert_eq!(times(&made), [(NOW, None)]);
        assert_eq!(made.previous, Entry::Missing);
        assert!(made.names.good().is_some());
        assert_eq!(planned(&made, NOTHING, NOW.plus(DAY * 89)), made);
        assert_eq!(due(&made, NOW), NOW.plus(DAY * 90));
    }

    #[test]
    fn after_ninety_days_both_sign_for_a_week() {
        let first = planned(&Stored::EMPTY, NOTHING, NOW);
        let turn = NOW.plus(DAY * 90);
        let both = planned(&first, NOTHING, turn);
        assert_eq!(both.previous, first.current);
        assert_ne!(both.current, first.current);
        assert_eq!(times(&both), [(turn, None), (NOW, Some(turn.plus(DAY * 7)))]);
        assert_eq!(due(&both, turn), turn.plus(DAY * 7));
        assert_eq!(planned(&both, NOTHING, turn.plus(DAY * 7).minus(Duration::from_secs(1))), both);
        let alone = planned(&both, NOTHING, turn.plus(DAY * 7));
        assert_eq!((&alone.current, &alone.previous), (&both.current, &Entry::Missing));
        assert_eq!(times(&alone), times(&both), "the public key stays");
        assert_eq!(alone.names, first.names);
    }

    #[test]
    fn a_key_is_replaced_on_demand_and_never_do_more_than_two_sign() {
        let first = planned(&Stored::EMPTY, NOTHING, NOW);
        let second = planned(&first, SIGNING, NOW.plus(DAY));
        let third = planned(&second, SIGNING, NOW.plus(DAY * 2));
        assert_eq!(third.previous, second.current);
        let day = |number| NOW.plus(DAY * number);
        assert_eq!(times(&third), [(day(2), None), (day(1), Some(day(9))), (day(0), Some(day(2)))]);
        let names = planned(&third, Rotate { names: true, ..NOTHING }, day(3));
        assert!(names.names != third.names && names.current == third.current);
    }

    #[test]
    fn who_deletes_the_previous_key_ends_it_at_once() {
        let both = planned(&planned(&Stored::EMPTY, NOTHING, NOW), SIGNING, NOW.plus(DAY));
        let cut = Stored { previous: Entry::Missing, ..both.clone() };
        let after = planned(&cut, NOTHING, NOW.plus(DAY * 2));
        assert_eq!(after.previous, Entry::Missing);
        assert_eq!(times(&after), [(NOW.plus(DAY), None), (NOW, Some(NOW.plus(DAY * 2)))]);
    }

    #[test]
    fn a_lost_secret_comes_back_as_it_was() {
        let both = planned(&planned(&Stored::EMPTY, NOTHING, NOW), SIGNING, NOW.plus(DAY));
        let mut held = Held::default();
        held.take(&both);
        let before = held.clone();
        held.take(&Stored::EMPTY);
        assert_eq!(held, before, "what is missing takes nothing away");
        assert_eq!(next(&Stored::EMPTY, &held, NOTHING, NOW.plus(DAY * 2)).unwrap(), both);
    }

    #[test]
    fn garbage_changes_nothing_until_somebody_takes_it_away() {
        let good = planned(&Stored::EMPTY, NOTHING, NOW);
        let mut held = Held::default();
        held.take(&good);
        let garbage = Stored {
            current: Entry::Broken(KeyFault::Signing),
            previous: Entry::Broken(KeyFault::Signing),
            names: Entry::Broken(KeyFault::Names),
            history: Entry::Broken(KeyFault::History),
        };
        held.take(&garbage);
        assert_eq!((held.current.as_ref(), held.names.as_ref()), (good.current.good(), good.names.good()));
        let later = NOW.plus(DAY * 200);
        let planned = next(&garbage, &held, NOTHING, later).unwrap();
        assert_eq!(planned, Stored { history: good.history.clone(), ..garbage.clone() }, "only the public list");
        // Taken away, the old key is back; a restarted replica has none and leaves the garbage alone.
        let emptied = Stored { current: Entry::Missing, previous: Entry::Missing, ..planned };
        assert_eq!(next(&emptied, &held, NOTHING, NOW.plus(DAY)).unwrap().current, good.current);
        assert_eq!(next(&garbage, &Held::default(), NOTHING, NOW).unwrap(), garbage);
        // Asked for a new key, it makes one, and the old one goes the usual way.
        let asked = next(&garbage, &held, SIGNING, NOW.plus(DAY)).unwrap();
        assert_eq!(asked.previous, good.current);
    }

    #[test]
    fn a_key_put_in_force_by_hand_is_taken_over_with_overlap() {
        let ours = planned(&Stored::EMPTY, NOTHING, NOW);
        let mut held = Held::default();
        held.take(&ours);
        let theirs = Stored { current: Entry::Good(Signer::make().unwrap()), ..ours.clone() };
        held.take(&theirs);
        assert_eq!(held.previous.as_ref(), ours.current.good(), "both sign from the first moment");
        let turn = NOW.plus(DAY);
        let written = next(&theirs, &held, NOTHING, turn).unwrap();
        assert_eq!((&written.current, &written.previous), (&theirs.current, &ours.current));
        assert_eq!(times(&written), [(turn, None), (NOW, Some(turn.plus(DAY * 7)))]);
        held.take(&written);
        assert_eq!(next(&written, &held, NOTHING, turn).unwrap(), written);
        assert_eq!(observed(&written, &held, turn), *written.history.good().unwrap());
    }

    #[test]
    fn without_a_list_the_times_begin_anew_and_the_keys_stay() {
        let good = planned(&Stored::EMPTY, NOTHING, NOW);
        let later = NOW.plus(DAY * 30);
        let found = Stored { history: Entry::Missing, ..good.clone() };
        let mended = planned(&found, NOTHING, later);
        assert_eq!((&mended.current, times(&mended)), (&good.current, vec![(later, None)]));
    }

    /// Ten years, a day at a time: at every moment one or two keys sign, each is known with its times, and the list stays
    /// within its bounds.
    #[test]
    fn ten_years_of_rotation() {
        let mut stored = Stored::EMPTY;
        let mut seen = Vec::new();
        for day in 0..3_650 {
            let now = NOW.plus(DAY * day);
            stored = planned(&stored, NOTHING, now);
            let history = stored.history.good().unwrap();
            assert!(history.len() <= HISTORY_LIMIT);
            assert_eq!(history.iter().filter(|known| known.until.is_none()).count(), 1);
            let current = signer(&stored.current).public();
            if seen.last() != Some(&current) {
                seen.push(current);
            }
            assert_eq!(history[0].key, current);
            if let Some(previous) = stored.previous.good() {
                let known = history.iter().find(|known| known.key == previous.public()).unwrap();
                assert!(known.until.unwrap() > now);
            }
            assert!(due(&stored, now) > now);
        }
        assert_eq!(seen.len(), 41, "one every ninety days");
    }

    #[test]
    fn a_wish_is_one_of_two_words_or_both() {
        for (text, expected) in [
            ("signing", Some(SIGNING)),
            ("names", Some(Rotate { names: true, ..NOTHING })),
            ("signing, names", Some(Rotate { signing: true, names: true })),
            ("", None),
            ("now", None),
            ("signing,", None),
        ] {
            assert_eq!(Rotate::read(text), expected, "{text}");
        }
    }
}
