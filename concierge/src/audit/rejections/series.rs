//! Which Kubernetes Events are to be made and which counted up: many tokens of one kind are one Event with a count.
//!
//! As client-go does it (`tools/events`): the first of a kind is an Event of its own, repeats are counted in its `series`,
//! and after six minutes of silence the next one begins anew.

use std::{collections::BTreeMap, time::Duration};

use super::sighting::Alarm;
use crate::time::UnixTime;

/// A kind of Event that was not seen for this long is over.
const SILENCE: Duration = Duration::from_mins(6);
/// A count is written at most this often (audit.md 6).
const PACE: Duration = Duration::from_secs(30);
/// Kinds that are followed at once: an installation has a few authenticators and tens of clusters. What comes beyond is
/// in the record, the metric and the object, and only makes no Event.
const CAPACITY: usize = 256;

/// The Events that are under way.
#[derive(Debug, Default)]
pub(super) struct Series {
    runs: BTreeMap<Alarm, Run>,
}

/// Tokens of one kind, with no long silence between them.
#[derive(Debug)]
struct Run {
    first: UnixTime,
    last: UnixTime,
    count: u64,
    written: Option<Written>,
    /// When something was last tried that did not work.
    failed_at: Option<UnixTime>,
}

#[derive(Debug)]
struct Written {
    name: String,
    count: u64,
    at: UnixTime,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// Make an Event.
    Create {
        /// What it is about.
        alarm: Alarm,
        /// When it began.
        first: UnixTime,
        /// Where it stands.
        so_far: SoFar,
    },
    /// Count one up.
    Count {
        /// What it is about.
        alarm: Alarm,
        /// The Event's name.
        name: String,
        /// Where it stands.
        so_far: SoFar,
    },
}

/// How many, and when the last was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SoFar {
    pub(super) count: u64,
    pub(super) last: UnixTime,
}

impl Series {
    /// A token of this kind was refused. `false`: too many kinds are followed, and no Event will tell of it.
    pub(super) fn see(&mut self, alarm: Alarm, now: UnixTime) -> bool {
        self.runs.retain(|_, run| !run.is_over(now));
        if let Some(run) = self.runs.get_mut(&alarm) {
            run.count += 1;
            run.last = now;
            return true;
        }
        if self.runs.len() >= CAPACITY {
            return false;
        }
        self.runs.insert(alarm, Run { first: now, last: now, count: 1, written: None, failed_at: None });
        true
    }

    /// At most `limit` deeds that are due.
    pub(super) fn due(&self, now: UnixTime, limit: usize) -> Vec<Deed> {
        let due = self.runs.iter().filter(|(_, run)| run.wait(now).is_some_and(|wait| wait.is_zero()));
        due.take(limit).map(|(alarm, run)| run.deed(alarm)).collect()
    }

    /// How long until something is due; `None` if nothing will be.
    pub(super) fn wait(&self, now: UnixTime) -> Option<Duration> {
        self.runs.values().filter_map(|run| run.wait(now)).min()
    }

    /// The Event `name` says this now.
    pub(super) fn wrote(&mut self, alarm: &Alarm, name: String, so_far: SoFar, now: UnixTime) {
        if let Some(run) = self.runs.get_mut(alarm) {
            run.written = Some(Written { name, count: so_far.count, at: now });
            run.failed_at = None;
        }
    }

    /// The Event is gone (the API server keeps them for an hour by default): what it had counted is told, what came after
    /// makes a new one.
    pub(super) fn gone(&mut self, alarm: &Alarm) {
        if let Some(run) = self.runs.get_mut(alarm)
            && let Some(written) = run.written.take()
        {
            run.count = run.count.saturating_sub(written.count).max(1);
            run.first = run.last;
        }
    }

    /// It did not work, and is tried again.
    pub(super) fn failed(&mut self, alarm: &Alarm, now: UnixTime) {
        if let Some(run) = self.runs.get_mut(alarm) {
            run.failed_at = Some(now);
        }
    }
}

impl Run {
    /// Silent for long, and all of it is told, or never will be.
    fn is_over(&self, now: UnixTime) -> bool {
        now.since(self.last) >= SILENCE
    }

    /// How long until it is due; `None`: all is told.
    fn wait(&self, now: UnixTime) -> Option<Duration> {
        let since = match (&self.written, self.failed_at) {
            (Some(written), _) if written.count == self.count => return None,
            (_, Some(failed)) => failed,
            (Some(written), None) => written.at,
            (None, None) => return Some(Duration::ZERO),
        };
        // A clock that was set back makes no wait longer.
        if now < since { Some(Duration::ZERO) } else { Some(PACE.saturating_sub(now.since(since))) }
    }

    fn deed(&self, alarm: &Alarm) -> Deed {
        let (alarm, so_far) = (alarm.clone(), SoFar { count: self.count, last: self.last });
        match &self.written {
            None => Deed::Create { alarm, first: self.first, so_far },
            Some(written) => Deed::Count { alarm, name: written.name.clone(), so_far },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: UnixTime = UnixTime::from_secs(1_795_233_600);

    fn after(seconds: u64) -> UnixTime {
        START.plus(Duration::from_secs(seconds))
    }

    fn alarm(cluster: &str) -> Alarm {
        Alarm {
            authenticator: "corp".into(),
            uid: "1".into(),
            cluster: cluster.into(),
            code: "audience-other-cluster",
            is_shared: false,
        }
    }

    /// Plays the API server that takes everything.
    fn act(series: &mut Series, now: UnixTime) -> Vec<Deed> {
        let deeds = series.due(now, 9);
        for deed in &deeds {
            match deed {
                Deed::Create { alarm, so_far, .. } => series.wrote(alarm, "corp.1".into(), *so_far, now),
                Deed::Count { alarm, name, so_far } => series.wrote(alarm, name.clone(), *so_far, now),
            }
        }
        deeds
    }

    fn counts(deeds: &[Deed]) -> Vec<(&'static str, u64)> {
        let count = |deed: &Deed| match deed {
            Deed::Create { so_far, .. } => ("create", so_far.count),
            Deed::Count { so_far, .. } => ("count", so_far.count),
        };
        deeds.iter().map(count).collect()
    }

    #[test]
    fn a_storm_is_one_event_and_a_count_every_thirty_seconds() {
        let mut series = Series::default();
        assert!(series.see(alarm("staging"), START));
        assert_eq!(counts(&act(&mut series, START)), [("create", 1)]);
        for second in 1..=60 {
            for _ in 0..100 {
                series.see(alarm("staging"), after(second));
            }
            let expected: &[_] = match second {
                30 => &[("count", 3_001)],
                60 => &[("count", 6_001)],
                _ => &[],
            };
            assert_eq!(counts(&act(&mut series, after(second))), expected, "second {second}");
        }
        assert_eq!(series.wait(after(61)), None, "all is told");
    }

    #[test]
    fn after_six_minutes_of_silence_a_new_event_begins() {
        let mut series = Series::default();
        series.see(alarm("staging"), START);
        act(&mut series, START);
        series.see(alarm("staging"), after(359));
        assert_eq!(counts(&act(&mut series, after(359))), [("count", 2)]);
        series.see(alarm("staging"), after(359 + 360));
        assert_eq!(counts(&act(&mut series, after(359 + 360))), [("create", 1)]);
    }

    #[test]
    fn an_event_that_is_gone_is_followed_by_a_new_one_that_tells_the_rest() {
        let mut series = Series::default();
        series.see(alarm("staging"), START);
        act(&mut series, START);
        for second in [100, 101, 102] {
            series.see(alarm("staging"), after(second));
        }
        assert_eq!(counts(&series.due(after(102), 9)), [("count", 4)]);
        series.gone(&alarm("staging"));
        let deeds = act(&mut series, after(102));
        assert_eq!(counts(&deeds), [("create", 3)]);
        assert!(matches!(deeds[0], Deed::Create { first, .. } if first == after(102)));
    }

    #[test]
    fn what_did_not_work_is_tried_again_and_not_at_once() {
        let mut series = Series::default();
        series.see(alarm("staging"), START);
        series.failed(&alarm("staging"), START);
        assert_eq!(series.due(after(29), 9), []);
        assert_eq!(series.wait(after(29)), Some(Duration::from_secs(1)));
        assert_eq!(counts(&series.due(after(30), 9)), [("create", 1)]);
    }

    #[test]
    fn no_more_kinds_are_followed_than_there_is_room_for() {
        let mut series = Series::default();
        for number in 0..CAPACITY {
            assert!(series.see(alarm(&format!("c-{number}")), START));
        }
        assert!(!series.see(alarm("one-more"), after(359)));
        assert!(series.see(alarm("c-0"), after(359)), "who is followed already goes on");
        assert!(series.see(alarm("one-more"), after(360)), "the others have been silent for long");
        assert_eq!(series.due(after(360), 1).len(), 1);
    }
}
