//! The ring's promises, by cases and by any order of pushes, takes and failures.

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;

const NOW: UnixTime = UnixTime::from_secs(1_795_233_600);

fn entry(seq: u64, class: Class, severity: Severity) -> Entry {
    let kind = match class {
        Class::Grant => Kind::CredentialIssued,
        Class::Refusal => Kind::TokenRefused,
        Class::Notice => Kind::KeysChanged,
    };
    Entry { seq, kind, severity, body: Bytes::from_static(b"0123456789") }
}

fn refusal(seq: u64, severity: Severity) -> Entry {
    entry(seq, Class::Refusal, severity)
}

fn numbers(ring: &mut Ring) -> Vec<u64> {
    let mut out = Vec::new();
    ring.take(usize::MAX, usize::MAX, &mut out);
    out.iter().map(|entry| entry.seq).collect()
}

#[test]
fn what_is_taken_comes_in_the_order_of_its_numbers() {
    let mut ring = Ring::new(true);
    for (seq, severity) in [(1, Severity::High), (2, Severity::Info), (3, Severity::Medium), (4, Severity::Info)] {
        ring.push(refusal(seq, severity), NOW);
    }
    ring.push(entry(5, Class::Grant, Severity::Info), NOW);
    let mut first = Vec::new();
    ring.take(2, usize::MAX, &mut first);
    assert_eq!(first.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [1, 2]);
    ring.restore(&mut first, NOW);
    assert_eq!(numbers(&mut ring), [1, 2, 3, 4, 5]);
    assert!(ring.is_idle());
}

#[test]
fn the_least_important_goes_first_and_of_equals_the_oldest() {
    let mut ring = Ring::with_limits(true, 4, usize::MAX);
    for (seq, severity) in
        [(1, Severity::Info), (2, Severity::Low), (3, Severity::Info), (4, Severity::High), (5, Severity::High)]
    {
        ring.push(refusal(seq, severity), NOW);
    }
    ring.push(refusal(6, Severity::Medium), NOW.plus(std::time::Duration::from_secs(2)));
    // Nothing below it waits any more but the low one; then it is itself the least.
    ring.push(entry(7, Class::Grant, Severity::Info), NOW);
    ring.push(refusal(8, Severity::Info), NOW);
    let loss = ring.take_loss().unwrap();
    assert_eq!((loss.seq_first, loss.seq_last), (1, 8));
    assert_eq!((loss.from, loss.to), (NOW, NOW.plus(std::time::Duration::from_secs(2))));
    assert_eq!(Severity::ALL.map(|severity| loss.dropped.of(severity)), [3, 1, 0, 0]);
    assert_eq!(numbers(&mut ring), [4, 5, 6, 7]);
    assert_eq!(ring.take_loss(), None, "told once");
}

#[test]
fn grants_of_a_required_sink_wait_for_room_and_are_never_dropped() {
    let mut ring = Ring::with_limits(true, 2, usize::MAX);
    ring.push(refusal(1, Severity::High), NOW);
    ring.push(entry(2, Class::Grant, Severity::Info), NOW);
    assert!(ring.takes_grant(10), "in the place of a refusal");
    ring.push(entry(3, Class::Grant, Severity::Info), NOW);
    assert!(!ring.takes_grant(10));
    ring.push(refusal(4, Severity::High), NOW);
    assert_eq!(ring.take_loss().unwrap().dropped.of(Severity::High), 2);
    assert_eq!(numbers(&mut ring), [2, 3]);
}

#[test]
fn a_sink_that_is_not_required_drops_even_grants_but_last() {
    let mut ring = Ring::with_limits(false, 2, usize::MAX);
    ring.push(entry(1, Class::Grant, Severity::Info), NOW);
    ring.push(refusal(2, Severity::High), NOW);
    assert!(ring.takes_grant(10));
    ring.push(entry(3, Class::Grant, Severity::Info), NOW);
    ring.push(entry(4, Class::Grant, Severity::Info), NOW);
    let loss = ring.take_loss().unwrap();
    assert_eq!(Severity::ALL.map(|severity| loss.dropped.of(severity)), [1, 0, 0, 1]);
    assert_eq!(numbers(&mut ring), [3, 4]);
}

#[test]
fn bytes_are_bounded_too() {
    let mut ring = Ring::with_limits(true, usize::MAX, 35);
    for seq in 1..=4 {
        ring.push(refusal(seq, Severity::Info), NOW);
    }
    assert_eq!(ring.take_loss().unwrap().seq_last, 1);
    ring.push(entry(5, Class::Grant, Severity::Info), NOW);
    ring.push(entry(6, Class::Grant, Severity::Info), NOW);
    assert!(ring.takes_grant(15) && !ring.takes_grant(16));
    let mut out = Vec::new();
    ring.take(usize::MAX, 5, &mut out);
    assert_eq!(out.len(), 1, "the first is taken however large it is");
    ring.take(usize::MAX, 19, &mut out);
    assert_eq!(out.len(), 2);
}

/// What can happen to a ring.
#[derive(Clone, Debug)]
enum Step {
    Push(Class, Severity),
    /// A batch of so many that is written.
    Write(usize),
    /// A batch of so many that cannot be written, with so many pushed while it was tried.
    Fail(usize, usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let class = select(vec![Class::Grant, Class::Refusal, Class::Notice]);
    let push = (class, select(Severity::ALL.to_vec())).prop_map(|(class, severity)| Step::Push(class, severity));
    let write = (1..8_usize).prop_map(Step::Write);
    let fail = (1..8_usize, 0..4_usize).prop_map(|(taken, pushed)| Step::Fail(taken, pushed));
    vec(prop_oneof![6 => push, 1 => write, 1 => fail], 0..200)
}

proptest! {
    /// Whatever happens, what was written and what is told as lost are together exactly what was pushed, each number
    /// once, the written ones rising; and a required ring loses no grant that it said it had room for.
    #[test]
    fn every_record_is_written_or_counted(steps in steps(), required: bool) {
        let mut ring = Ring::with_limits(required, 8, 100);
        let (mut seq, mut written, mut lost, mut grants) = (0, Vec::new(), 0, 0);
        let mut said = 0;
        let mut push = |ring: &mut Ring, class, severity| {
            if class != Class::Grant || ring.takes_grant(10) {
                seq += 1;
                grants += usize::from(class == Class::Grant);
                said += ring.push(entry(seq, class, severity), NOW).total();
            }
            seq
        };
        let mut last = 0;
        for step in steps {
            let mut batch = Vec::new();
            match step {
                Step::Push(class, severity) => last = push(&mut ring, class, severity),
                Step::Write(count) => {
                    ring.take(count, usize::MAX, &mut batch);
                    written.extend(batch);
                    if let Some(loss) = ring.take_loss() {
                        lost += loss.dropped.total();
                    }
                }
                Step::Fail(count, pushed) => {
                    let loss = ring.take_loss();
                    ring.take(count, usize::MAX, &mut batch);
                    for _ in 0..pushed {
                        last = push(&mut ring, Class::Refusal, Severity::Low);
                    }
                    if let Some(loss) = loss {
                        ring.restore_loss(loss);
                    }
                    ring.restore(&mut batch, NOW);
                }
            }
            prop_assert!(required || (ring.held_records <= 8 && ring.held_bytes <= 100));
        }
        ring.take(usize::MAX, usize::MAX, &mut written);
        if let Some(loss) = ring.take_loss() {
            lost += loss.dropped.total();
        }
        prop_assert!(written.is_sorted_by(|a, b| a.seq < b.seq));
        prop_assert_eq!(written.len() as u64 + lost, last);
        prop_assert_eq!((ring.held_records, ring.held_bytes), (0, 0));
        if required {
            prop_assert_eq!(written.iter().filter(|entry| entry.kind.class() == Class::Grant).count(), grants);
        }
    }
}
