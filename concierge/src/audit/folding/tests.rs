//! Exact counts and a bounded table, by cases and by any sequence of events.

use proptest::{collection::vec, prelude::*};

use super::*;

const NOW: UnixTime = UnixTime::from_secs(1_795_233_600);

/// Numbers below a hundred stand for codes into which others merge; negative ones never merge.
impl Key for i64 {
    fn merged(&self) -> Option<Self> {
        (*self >= 0).then_some(self % 100)
    }
}

fn after(seconds: u64) -> UnixTime {
    NOW.plus(Duration::from_secs(seconds))
}

fn told(event: &'static str, count: u64, first: u64, last: u64) -> Folded<&'static str> {
    Folded { event, count, first: after(first), last: after(last), is_merged: false }
}

#[test]
fn the_first_few_are_told_at_once_and_the_rest_once_a_minute() {
    let mut folding = Folding::new();
    for _ in 0..ALONE {
        assert_eq!(folding.admit(7_i64, "first", NOW), Admitted::First("first"));
    }
    assert_eq!(folding.admit(7, "second", after(1)), Admitted::Counted(None));
    assert_eq!(folding.admit(7, "third", after(9)), Admitted::Counted(Some("second")));
    assert_eq!(folding.close(after(59)), []);
    assert_eq!(folding.close(after(60)), [told("third", 2, 1, 9)]);
    // It goes on, so the next minute's are told in the end, not at once.
    assert_eq!(folding.admit(7, "fourth", after(61)), Admitted::Counted(None));
    assert_eq!(folding.close(after(120)), [told("fourth", 1, 61, 61)]);
    assert_eq!(folding.close(after(180)), []);
    assert_eq!(folding.admit(7, "fifth", after(181)), Admitted::First("fifth"), "after a quiet minute");
}

#[test]
fn a_flood_is_told_early_and_ever_more_rarely() {
    let mut folding = Folding::new();
    let mut told = Vec::new();
    for event in 0..200_000_u32 {
        match folding.admit(1_i64, event, NOW) {
            Admitted::First(_) => told.push(1),
            Admitted::Counted(_) => {}
            Admitted::Full(folded) => told.push(folded.count),
        }
    }
    let (few, many) = told.split_at(10);
    assert_eq!((few, many), (&[1; 10][..], &[1_000, 10_000, 100_000][..]));
    assert_eq!(folding.open(), 200_000 - 111_010);
    assert_eq!(folding.flush().iter().map(|folded| folded.count).sum::<u64>(), 200_000 - 111_010);
    assert_eq!((folding.open(), folding.windows.len()), (0, 0));
}

#[test]
fn the_table_is_bounded_and_those_without_room_are_told_together() {
    let mut folding = Folding::new();
    let mut told = 0_u64;
    for key in 1..=20_000_i64 {
        told += match folding.admit(key * 100 + 3, key, NOW) {
            Admitted::First(_) => 1,
            Admitted::Counted(_) => 0,
            Admitted::Full(folded) => folded.count,
        };
    }
    assert_eq!(folding.windows.len(), KEYS - RESERVED + 1);
    assert_eq!(told + folding.open(), 20_000);
    let together: Vec<_> = folding.windows.values().filter_map(|window| window.repeats.as_ref()).collect();
    assert!(together.len() == 1 && together[0].is_merged);
    // What may never be merged finds the room that is kept, and beyond that stands for itself.
    for key in 1..=2_000_i64 {
        assert_eq!(folding.admit(-key, key, NOW), Admitted::First(key));
    }
    assert_eq!(folding.windows.len(), KEYS);
    assert_eq!(folding.admit(-1, 0, NOW), Admitted::Counted(None));
    assert_eq!(folding.admit(-2_000, 0, NOW), Admitted::First(0));
}

#[test]
fn where_many_kinds_come_only_the_first_of_each_further_one_is_told_by_itself() {
    let mut folding = Folding::new();
    let mut alone = 0;
    for event in 0..20_000_i64 {
        alone += u64::from(matches!(folding.admit(event % 1_000, event, NOW), Admitted::First(_)));
    }
    assert_eq!(alone, CALM as u64 * ALONE + (1_000 - CALM as u64));
}

#[test]
fn a_clock_that_is_set_back_keeps_no_window_open() {
    let mut folding = Folding::new();
    for event in ['a'; 10].into_iter().chain(['b']) {
        folding.admit(1_i64, event, after(3_600));
    }
    assert_eq!(folding.close(NOW), []);
    assert_eq!(folding.close(after(60)).len(), 1);
}

proptest! {
    /// Told and still open are together exactly what came in, and the table keeps its bound.
    #[test]
    fn counts_are_exact(events in vec((-40..40_000_i64, 0..3_u64, any::<bool>()), 0..3_000)) {
        let mut folding = Folding::new();
        let (mut now, mut told, mut came) = (NOW, 0_u64, 0_u64);
        for (key, seconds, close) in events {
            now = now.plus(Duration::from_secs(seconds));
            came += 1;
            told += match folding.admit(key, (), now) {
                Admitted::First(()) => 1,
                Admitted::Counted(_) => 0,
                Admitted::Full(folded) => folded.count,
            };
            if close {
                for folded in folding.close(now) {
                    prop_assert!(folded.count > 0 && folded.first <= folded.last);
                    told += folded.count;
                }
            }
            prop_assert!(folding.windows.len() <= KEYS);
        }
        prop_assert_eq!(told + folding.open(), came);
        told += folding.flush().iter().map(|folded| folded.count).sum::<u64>();
        prop_assert_eq!(told, came);
    }
}
