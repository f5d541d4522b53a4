//! Numbers that are missing within a chain that holds, and whether the log itself accounts for them.

use super::{
    record::Gap,
    report::{Defect, Place},
};

/// Most holes and most gap records that are kept to be compared: a sink that overflows writes a gap record for each batch,
/// so this is some hours of it.
const LIMIT: usize = 1 << 16;

/// The missing numbers of one chain.
#[derive(Debug, Default)]
pub(super) struct Holes {
    /// In rising order.
    open: Vec<Hole>,
    told: Vec<Told>,
    /// There were more than can be kept.
    too_many: bool,
}

#[derive(Clone, Copy, Debug)]
struct Hole {
    first: u64,
    last: u64,
    /// The line after it.
    place: Place,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    first: u64,
    last: u64,
    dropped: u64,
    place: Place,
}

impl Holes {
    /// Numbers `first` to `last` are not there; `place` is the line that shows it.
    pub(super) fn missing(&mut self, first: u64, last: u64, place: Place) {
        if self.open.len() == LIMIT {
            self.too_many = true;
        } else if first <= last {
            self.open.push(Hole { first, last, place });
        }
    }

    /// The log says that it lost records.
    pub(super) fn told(&mut self, gap: &Gap, place: Place) {
        if self.told.len() == LIMIT {
            self.too_many = true;
        } else {
            self.told.push(Told { first: gap.first, last: gap.last, dropped: gap.dropped, place });
        }
    }

    /// What the two say of each other, given the first number that is here (0 if nothing is missing before it) and the last
    /// that was written.
    pub(super) fn compare(mut self, first_seq: u64, last_seq: u64) -> Vec<(Place, Defect)> {
        let mut found = Vec::new();
        let told = merged(std::mem::take(&mut self.told));
        // What was lost after the last event is a hole to which no line is an end.
        if let Some(end) = told.last().filter(|end| end.last > last_seq) {
            self.open.push(Hole { first: last_seq + 1, last: end.last, place: end.place });
        }
        // Both rise and neither overlaps itself, so what lies before one of them lies before all that follow: each is
        // walked through once.
        let mut holes = self.open.as_slice();
        for told in &told {
            holes = &holes[holes.iter().take_while(|hole| hole.last < told.first).count()..];
            let reached = holes.iter().take_while(|hole| hole.first <= told.last);
            let missing = reached.map(|hole| overlap(hole, told)).fold(0, u64::saturating_add);
            holes = &holes[holes.iter().take_while(|hole| hole.last <= told.last).count()..];
            found.push((told.place, Defect::LossTold { first: told.first, last: told.last, records: told.dropped }));
            // What lies before the first line that is here cannot be counted.
            if missing != told.dropped && told.first >= first_seq && !self.too_many {
                found.push((told.place, Defect::LossMiscounted { told: told.dropped, missing }));
            }
        }
        let mut told = told.as_slice();
        for hole in &self.open {
            let mut first = hole.first;
            told = &told[told.iter().take_while(|told| told.last < hole.first).count()..];
            for told in told.iter().take_while(|told| told.first <= hole.last) {
                if first < told.first {
                    found.push((hole.place, Defect::LossUntold { first, last: told.first - 1 }));
                }
                first = first.max(told.last.saturating_add(1));
            }
            if first <= hole.last {
                found.push((hole.place, Defect::LossUntold { first, last: hole.last }));
            }
        }
        found
    }
}

fn overlap(hole: &Hole, told: &Told) -> u64 {
    let (first, last) = (hole.first.max(told.first), hole.last.min(told.last));
    if first <= last { last - first + 1 } else { 0 }
}

/// Ranges that overlap become one: a later loss may lie before an earlier one, as the least important records go first.
fn merged(mut told: Vec<Told>) -> Vec<Told> {
    told.sort_by_key(|told| told.first);
    let mut merged: Vec<Told> = Vec::new();
    for next in told {
        match merged.last_mut() {
            Some(last) if next.first <= last.last => {
                last.last = last.last.max(next.last);
                last.dropped = last.dropped.saturating_add(next.dropped);
            }
            _ => merged.push(next),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(line: u64) -> Place {
        Place { file: 0, line, offset: 0 }
    }

    fn compare(holes: &[(u64, u64)], told: &[(u64, u64, u64)], last: u64) -> Vec<Defect> {
        compare_from(0, holes, told, last)
    }

    fn compare_from(from: u64, holes: &[(u64, u64)], told: &[(u64, u64, u64)], last: u64) -> Vec<Defect> {
        let mut account = Holes::default();
        for (first, last) in holes {
            account.missing(*first, *last, place(1));
        }
        for (first, last, dropped) in told {
            let gap = Gap { is_retention: false, first: *first, last: *last, dropped: *dropped, head: None };
            account.told(&gap, place(2));
        }
        account.compare(from, last).into_iter().map(|(_, defect)| defect).collect()
    }

    #[test]
    fn what_is_missing_is_held_against_what_was_told() {
        use Defect::{LossMiscounted, LossTold, LossUntold};
        let told = |first, last, records| LossTold { first, last, records };
        assert_eq!(compare(&[], &[], 9), []);
        assert_eq!(compare(&[(5, 7)], &[(5, 7, 3)], 9), [told(5, 7, 3)]);
        assert_eq!(compare(&[(5, 7)], &[], 9), [LossUntold { first: 5, last: 7 }]);
        // Some of a range went, and what is between them was written.
        assert_eq!(compare(&[(5, 5), (7, 7)], &[(5, 7, 2)], 9), [told(5, 7, 2)]);
        assert_eq!(compare(&[(5, 5), (7, 8)], &[(5, 8, 2)], 9)[1], LossMiscounted { told: 2, missing: 3 });
        // Two losses that overlap count together.
        assert_eq!(compare(&[(3, 3), (5, 5), (8, 8)], &[(5, 8, 2), (3, 5, 1)], 9), [told(3, 8, 3)]);
        // At the end of the log no line shows the hole.
        assert_eq!(compare(&[], &[(10, 12, 3)], 9), [told(10, 12, 3)]);
        // Nor does one where the hole lies in a piece that is not here.
        assert_eq!(compare_from(8, &[], &[(5, 7, 3)], 9), [told(5, 7, 3)]);
        assert_eq!(compare_from(5, &[], &[(5, 7, 3)], 9)[1], LossMiscounted { told: 3, missing: 0 });
        // A hole of which only the middle is told.
        let parts = [told(5, 6, 2), LossUntold { first: 4, last: 4 }, LossUntold { first: 7, last: 9 }];
        assert_eq!(compare(&[(4, 9)], &[(5, 6, 2)], 9), parts);
        // Several parts of one hole are told, and one range reaches over several holes.
        let parts =
            [told(2, 3, 2), told(6, 9, 3), LossUntold { first: 4, last: 5 }, LossUntold { first: 12, last: 12 }];
        assert_eq!(compare(&[(2, 6), (8, 9), (12, 12)], &[(2, 3, 2), (6, 9, 3)], 12), parts);
    }

    #[test]
    fn as_many_as_are_kept_are_compared_in_one_walk() {
        let holes: Vec<_> = (0..LIMIT as u64).map(|n| (4 * n + 1, 4 * n + 2)).collect();
        let told: Vec<_> = holes.iter().map(|(first, last)| (*first, *last, 2)).collect();
        let begun = std::time::Instant::now();
        let found = compare(&holes, &told, 4 * LIMIT as u64);
        // Each with each would be eight thousand million steps.
        assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", begun.elapsed());
        assert_eq!(found.len(), LIMIT);
        assert!(found.iter().all(|defect| matches!(defect, Defect::LossTold { records: 2, .. })));
    }
}
