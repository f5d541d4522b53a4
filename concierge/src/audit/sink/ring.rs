//! What waits for one sink: bounded in number and in bytes; when it is full the least important goes first, and is counted.
//!
//! A plain data structure without a lock, a clock or a task, so that its promises can be tried alone:
//! * what is taken out comes in the order of its numbers;
//! * nothing is dropped while anything of less importance waits, and of equals the oldest goes;
//! * of a required sink no grant is ever dropped: [`Ring::takes_grant`] says beforehand whether there is room;
//! * what was dropped is told once, by [`Ring::take_loss`].

use std::collections::VecDeque;

use bytes::Bytes;

use crate::{
    audit::event::{BySeverity, Class, Kind, Severity},
    time::UnixTime,
};

/// How much may wait for a sink (audit.md 7): several seconds of a busy cluster's logins, and what a slow collector or a
/// volume that is being moved holds up.
pub(super) const RECORDS: usize = 16_384;
/// How many bytes may wait for a sink; a record has a few hundred, at most 8 KiB.
pub(super) const BYTES: usize = 32 << 20;

/// A numbered record that waits. The body is shared between the sinks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) seq: u64,
    pub(super) kind: Kind,
    pub(super) severity: Severity,
    /// The members from `"time"` on.
    pub(super) body: Bytes,
}

/// The queue before one sink.
#[derive(Debug)]
pub(super) struct Ring {
    /// Whether grants wait for room rather than push another out.
    required: bool,
    records: usize,
    bytes: usize,
    /// One queue a rank, each in the order of numbers.
    queues: [VecDeque<Entry>; RANKS],
    held_records: usize,
    held_bytes: usize,
    loss: Option<Loss>,
}

/// What was dropped since it was last told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Loss {
    /// When the first was dropped.
    pub(super) from: UnixTime,
    /// When the last was.
    pub(super) to: UnixTime,
    /// The lowest number among them.
    pub(super) seq_first: u64,
    /// The highest. Between the two others may well have been written.
    pub(super) seq_last: u64,
    /// How many, exactly.
    pub(super) dropped: BySeverity,
}

/// Info, low, medium, high, grant: what goes first comes first.
const RANKS: usize = 5;
const GRANT: usize = RANKS - 1;

// === impl Ring ===

impl Ring {
    /// An empty ring of the usual size.
    pub(super) fn new(required: bool) -> Self {
        Self::with_limits(required, RECORDS, BYTES)
    }

    fn with_limits(required: bool, records: usize, bytes: usize) -> Self {
        Self { required, records, bytes, queues: Default::default(), held_records: 0, held_bytes: 0, loss: None }
    }

    /// Whether a grant of this size finds room, if need be in the place of what is no grant. A sink that is not required
    /// never says no.
    pub(super) fn takes_grant(&self, size: usize) -> bool {
        if !self.required {
            return true;
        }
        let grants = &self.queues[GRANT];
        // Only where grants alone come near a limit must they be summed up.
        let fits_bytes = self.held_bytes + size <= self.bytes
            || grants.iter().map(|grant| grant.body.len()).sum::<usize>() + size <= self.bytes;
        grants.len() < self.records && fits_bytes
    }

    /// Takes a record in. What finds no room any more is dropped; how many of what is the answer.
    pub(super) fn push(&mut self, entry: Entry, now: UnixTime) -> BySeverity {
        self.hold(&entry);
        self.queues[entry.rank()].push_back(entry);
        self.make_room(now)
    }

    /// Moves the oldest into `out`: at most so many records, and so many bytes unless the first alone has more.
    pub(super) fn take(&mut self, records: usize, bytes: usize, out: &mut Vec<Entry>) {
        let mut left = bytes;
        for taken in 0..records {
            let oldest = self.queues.iter_mut().filter(|queue| !queue.is_empty()).min_by_key(|queue| queue[0].seq);
            let Some(entry) =
                oldest.and_then(|queue| queue.pop_front_if(|entry| taken == 0 || entry.body.len() <= left))
            else {
                return;
            };
            left = left.saturating_sub(entry.body.len());
            self.release(&entry);
            out.push(entry);
        }
    }

    /// Takes back what could not be written: the very records of the last [`Ring::take`], before all that came since.
    /// What finds no room is dropped, as by [`Ring::push`].
    pub(super) fn restore(&mut self, entries: &mut Vec<Entry>, now: UnixTime) -> BySeverity {
        for entry in entries.drain(..).rev() {
            self.hold(&entry);
            self.queues[entry.rank()].push_front(entry);
        }
        self.make_room(now)
    }

    /// What was dropped since this was last asked.
    pub(super) fn take_loss(&mut self) -> Option<Loss> {
        self.loss.take()
    }

    /// Takes back a loss that could not be told.
    pub(super) fn restore_loss(&mut self, loss: Loss) {
        match &mut self.loss {
            Some(later) => later.merge(&loss),
            none => *none = Some(loss),
        }
    }

    /// Whether there is anything to write: a record, or the news of a loss.
    pub(super) fn is_idle(&self) -> bool {
        self.held_records == 0 && self.loss.is_none()
    }

    fn make_room(&mut self, now: UnixTime) -> BySeverity {
        let mut gone = BySeverity::default();
        let droppable = if self.required { GRANT } else { RANKS };
        while self.held_records > self.records || self.held_bytes > self.bytes {
            let Some(dropped) = self.queues[..droppable].iter_mut().find_map(VecDeque::pop_front) else {
                // Grants alone: what was restored comes on top, at most one batch.
                break;
            };
            self.release(&dropped);
            gone.add(dropped.severity, 1);
            self.restore_loss(Loss::of(&dropped, now));
        }
        gone
    }

    fn hold(&mut self, entry: &Entry) {
        self.held_records += 1;
        self.held_bytes += entry.body.len();
    }

    fn release(&mut self, entry: &Entry) {
        self.held_records -= 1;
        self.held_bytes -= entry.body.len();
    }
}

// === impl Entry ===

impl Entry {
    /// Grants last: they were promised. A record about ourselves counts by its severity.
    const fn rank(&self) -> usize {
        match (self.kind.class(), self.severity) {
            (Class::Grant, _) => GRANT,
            (_, Severity::Info) => 0,
            (_, Severity::Low) => 1,
            (_, Severity::Medium) => 2,
            (_, Severity::High) => 3,
        }
    }
}

// === impl Loss ===

impl Loss {
    fn of(entry: &Entry, now: UnixTime) -> Self {
        let mut dropped = BySeverity::default();
        dropped.add(entry.severity, 1);
        Self { from: now, to: now, seq_first: entry.seq, seq_last: entry.seq, dropped }
    }

    /// Both losses as one.
    pub(super) fn merge(&mut self, other: &Self) {
        self.from = self.from.min(other.from);
        self.to = self.to.max(other.to);
        self.seq_first = self.seq_first.min(other.seq_first);
        self.seq_last = self.seq_last.max(other.seq_last);
        for severity in Severity::ALL {
            self.dropped.add(severity, other.dropped.of(severity));
        }
    }
}

#[cfg(test)]
mod tests;
