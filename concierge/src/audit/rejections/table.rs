//! What was seen and is not yet in the cluster: counted together, bounded, and given out no faster than it may be written.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, btree_map::Entry},
    time::Duration,
};

use latchkey_crds::audit::{RejectionSeverity, TokenRejectionStatus};

use super::merge::{Rank, merge, rank};
use crate::time::UnixTime;

/// Objects that may wait here: five times of what the cluster keeps, at about 1 KiB each.
pub(super) const CAPACITY: usize = 1_024;

/// One object is written at most this often by one replica. People look at ages in minutes.
pub(super) const PACE: Duration = Duration::from_secs(10);

/// Longest time until what could not be written is tried again.
const LONGEST_RETRY: Duration = Duration::from_mins(2);

/// What waits for being written, by the object's name.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: BTreeMap<String, Row>,
    /// How many rows wait, by severity: to tell without a look at all of them that nothing makes room.
    waiting: [usize; SEVERITIES],
    lost: u64,
}

/// One object.
#[derive(Debug, Default)]
struct Row {
    /// What is not written yet.
    waiting: Option<TokenRejectionStatus>,
    /// Not to be written before this. Kept until then also if nothing waits, so that the pace holds.
    not_before: Option<NotBefore>,
    /// How often in a row it could not be written.
    failed: u32,
}

/// A wait that began at a time: a clock that was set back in between must not make it longer.
#[derive(Clone, Copy, Debug)]
struct NotBefore {
    since: UnixTime,
    wait: Duration,
}

const SEVERITIES: usize = 4;

impl Table {
    /// Takes in one or more refusals of the object `name`. Nothing that is more severe makes room for them; what goes in
    /// their place, or they themselves, are counted as lost.
    pub(super) fn see(&mut self, name: String, seen: TokenRejectionStatus) {
        if let Some(row) = self.rows.get_mut(&name) {
            let before = row.waiting.as_ref().map(|waiting| slot(waiting.severity));
            match &mut row.waiting {
                Some(waiting) => merge(waiting, seen),
                None => row.waiting = Some(seen),
            }
            let after = row.waiting.as_ref().map(|waiting| slot(waiting.severity));
            self.recount(before, after);
            return;
        }
        if self.rows.len() >= CAPACITY && !self.make_room(rank(&seen)) {
            self.lose(&seen);
            return;
        }
        self.recount(None, Some(slot(seen.severity)));
        self.rows.insert(name, Row { waiting: Some(seen), ..Row::default() });
    }

    /// At most `limit` of those that may be written now, the most severe first, of those the one seen last. They are
    /// the caller's from here on: [`Table::wrote`] or [`Table::failed`] must hear of each.
    pub(super) fn take(&mut self, now: UnixTime, limit: usize) -> Vec<(String, TokenRejectionStatus)> {
        self.rows.retain(|_, row| row.waiting.is_some() || row.waits(now).is_some());
        self.pick(limit, |row| row.waits(now).is_none())
    }

    /// The same regardless of the pace: for the last moment of a process.
    pub(super) fn take_all(&mut self, limit: usize) -> Vec<(String, TokenRejectionStatus)> {
        self.pick(limit, |_| true)
    }

    /// The object was written.
    pub(super) fn wrote(&mut self, name: &str, now: UnixTime) {
        if let Some(row) = self.rows.get_mut(name) {
            row.not_before = Some(NotBefore { since: now, wait: PACE });
            row.failed = 0;
        }
    }

    /// The object could not be written: what was to be written waits again, together with what came meanwhile.
    pub(super) fn failed(&mut self, name: &str, unwritten: TokenRejectionStatus, now: UnixTime) {
        self.see(name.to_owned(), unwritten);
        if let Some(row) = self.rows.get_mut(name) {
            row.failed = row.failed.saturating_add(1);
            let wait = PACE.saturating_mul(1 << row.failed.min(8).saturating_sub(1)).min(LONGEST_RETRY);
            row.not_before = Some(NotBefore { since: now, wait });
        }
    }

    /// The cluster has no room for it beside what is more severe.
    pub(super) fn turned_away(&mut self, name: &str, unwritten: &TokenRejectionStatus, now: UnixTime) {
        self.lose(unwritten);
        self.wrote(name, now);
    }

    /// How long until something may be written; `None` if nothing waits.
    pub(super) fn wait(&self, now: UnixTime) -> Option<Duration> {
        let waiting = self.rows.values().filter(|row| row.waiting.is_some());
        waiting.map(|row| row.waits(now).unwrap_or_default()).min()
    }

    /// Refusals that no object tells of since this was last asked.
    pub(super) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    fn pick(&mut self, limit: usize, may: impl Fn(&Row) -> bool) -> Vec<(String, TokenRejectionStatus)> {
        let candidates = self.rows.iter().filter(|(_, row)| may(row));
        let mut names: Vec<(Reverse<Rank>, String)> = candidates
            .filter_map(|(name, row)| row.waiting.as_ref().map(|waiting| (Reverse(rank(waiting)), name.clone())))
            .collect();
        names.sort_unstable();
        names.truncate(limit);
        let mut taken = Vec::with_capacity(names.len());
        for (_, name) in names {
            let waiting = self.rows.get_mut(&name).and_then(|row| row.waiting.take());
            if let Some(waiting) = waiting {
                self.recount(Some(slot(waiting.severity)), None);
                taken.push((name, waiting));
            }
        }
        taken
    }

    /// Takes out a row that says nothing any more, or else the one with the lowest rank if that is below `newcomer`.
    /// A flood of the least severe finds out by one look at four numbers that there is nothing to take out.
    fn make_room(&mut self, newcomer: Rank) -> bool {
        let idle = self.waiting.iter().sum::<usize>() < self.rows.len();
        let lower = self.waiting.iter().take(slot(newcomer.0)).any(|count| *count > 0);
        if !idle && !lower {
            return false;
        }
        let lowest =
            self.rows.iter().min_by_key(|(_, row)| row.waiting.as_ref().map(rank)).map(|(name, _)| name.clone());
        let Some(Entry::Occupied(row)) = lowest.map(|name| self.rows.entry(name)) else { return false };
        let gone = row.remove();
        if let Some(waiting) = gone.waiting {
            self.recount(Some(slot(waiting.severity)), None);
            self.lose(&waiting);
        }
        true
    }

    fn lose(&mut self, status: &TokenRejectionStatus) {
        self.lost = self.lost.saturating_add(u64::try_from(status.count).unwrap_or(0));
    }

    fn recount(&mut self, before: Option<usize>, after: Option<usize>) {
        if let Some(before) = before {
            self.waiting[before] -= 1;
        }
        if let Some(after) = after {
            self.waiting[after] += 1;
        }
    }
}

impl Row {
    /// How long it may not be written yet; `None`: it may.
    fn waits(&self, now: UnixTime) -> Option<Duration> {
        let NotBefore { since, wait } = self.not_before?;
        // A clock set back behind the beginning of the wait says nothing about it: it is over.
        if now < since {
            return None;
        }
        wait.checked_sub(now.since(since)).filter(|left| !left.is_zero())
    }
}

const fn slot(severity: RejectionSeverity) -> usize {
    match severity {
        RejectionSeverity::Info => 0,
        RejectionSeverity::Low => 1,
        RejectionSeverity::Medium => 2,
        RejectionSeverity::High => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::merge::time, *};

    const START: UnixTime = UnixTime::from_secs(1_795_233_600);

    fn after(seconds: u64) -> UnixTime {
        START.plus(Duration::from_secs(seconds))
    }

    fn seen(at: UnixTime, severity: RejectionSeverity) -> TokenRejectionStatus {
        TokenRejectionStatus {
            count: 1,
            severity,
            first_seen: Some(time(at)),
            last_seen: Some(time(at)),
            ..TokenRejectionStatus::default()
        }
    }

    fn low() -> TokenRejectionStatus {
        seen(START, RejectionSeverity::Low)
    }

    fn names(taken: &[(String, TokenRejectionStatus)]) -> Vec<&str> {
        taken.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn the_first_is_written_at_once_and_repeats_together_ten_seconds_later() {
        let mut table = Table::default();
        table.see("a".into(), low());
        assert_eq!(table.wait(START), Some(Duration::ZERO));
        assert_eq!(table.take(START, 9)[0].1.count, 1);
        table.see("a".into(), low());
        table.wrote("a", START);
        table.see("a".into(), low());
        assert_eq!(table.wait(after(3)), Some(Duration::from_secs(7)));
        assert!(table.take(UnixTime::from_micros(after(10).as_micros() - 1), 9).is_empty());
        assert_eq!(table.take(after(10), 9)[0].1.count, 2);
        assert_eq!(table.wait(after(10)), None);
    }

    #[test]
    fn what_says_nothing_any_more_is_forgotten() {
        let mut table = Table::default();
        table.see("a".into(), low());
        let _taken = table.take(START, 9);
        table.wrote("a", START);
        let _nothing = table.take(after(9), 9);
        assert_eq!(table.rows.len(), 1, "or the pace would not hold");
        let _nothing = table.take(after(10), 9);
        assert_eq!(table.rows.len(), 0);
    }

    #[test]
    fn a_failed_write_loses_no_count_and_is_tried_ever_more_seldom() {
        let mut table = Table::default();
        table.see("a".into(), low());
        let mut now = START;
        let mut waits = Vec::new();
        for _ in 0..6 {
            let (name, unwritten) = table.take(now, 9).remove(0);
            table.see("a".into(), low());
            table.failed(&name, unwritten, now);
            let wait = table.wait(now).unwrap();
            waits.push(wait.as_secs());
            now = now.plus(wait);
        }
        assert_eq!(waits, [10, 20, 40, 80, 120, 120]);
        assert_eq!(table.take(now, 9)[0].1.count, 7);
    }

    #[test]
    fn a_clock_set_back_makes_no_wait_longer() {
        let mut table = Table::default();
        table.see("a".into(), low());
        let _taken = table.take(after(3_600), 9);
        table.wrote("a", after(3_600));
        table.see("a".into(), low());
        assert_eq!(names(&table.take(START, 9)), ["a"]);
    }

    #[test]
    fn the_most_severe_and_the_latest_are_written_first() {
        let mut table = Table::default();
        table.see("old".into(), seen(START, RejectionSeverity::Low));
        table.see("new".into(), seen(after(5), RejectionSeverity::Low));
        table.see("high".into(), seen(START, RejectionSeverity::High));
        assert_eq!(names(&table.take(after(5), 2)), ["high", "new"]);
        assert_eq!(names(&table.take(after(5), 2)), ["old"]);
    }

    #[test]
    fn the_last_moment_knows_no_pace() {
        let mut table = Table::default();
        table.see("a".into(), low());
        let _taken = table.take(START, 9);
        table.wrote("a", START);
        table.see("a".into(), low());
        assert!(table.take(START, 9).is_empty());
        assert_eq!(names(&table.take_all(9)), ["a"]);
    }

    /// An insider with a thousand subjects of its own at the identity provider.
    #[test]
    fn a_flood_of_the_same_severity_fills_the_table_and_no_more_and_every_loss_is_counted() {
        let mut table = Table::default();
        for number in 0..5_000 {
            table.see(format!("flood-{number}"), low());
        }
        assert_eq!((table.rows.len(), table.take_lost()), (CAPACITY, 5_000 - 1_024));
        assert_eq!(table.take_lost(), 0);
    }

    #[test]
    fn what_is_more_severe_finds_room_in_a_full_table_and_is_not_driven_out_again() {
        let mut table = Table::default();
        for number in 0..CAPACITY {
            table.see(format!("flood-{number}"), low());
        }
        for number in 0..100 {
            table.see(format!("high-{number}"), seen(START, RejectionSeverity::High));
        }
        for number in 0..5_000 {
            table.see(format!("more-{number}"), seen(after(1), RejectionSeverity::Medium));
        }
        let taken = table.take(after(1), usize::MAX);
        assert_eq!(taken.len(), CAPACITY);
        assert_eq!(taken.iter().filter(|(name, _)| name.starts_with("high-")).count(), 100);
        let lost: i64 = 100 + 5_000;
        assert_eq!(table.take_lost(), u64::try_from(lost).unwrap());
        assert_eq!(table.waiting, [0; 4]);
    }

    #[test]
    fn a_row_that_only_keeps_the_pace_makes_room_first() {
        let mut table = Table::default();
        table.see("written".into(), seen(START, RejectionSeverity::High));
        let _taken = table.take(START, 1);
        table.wrote("written", START);
        for number in 0..CAPACITY {
            table.see(format!("flood-{number}"), low());
        }
        assert_eq!((table.rows.len(), table.take_lost()), (CAPACITY, 0));
    }
}
