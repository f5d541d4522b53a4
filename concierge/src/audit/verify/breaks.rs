//! What happened where a line does not follow the one before it: changed, cut, put in, moved, or told twice.
//!
//! A link is the hash of what was written, so the line after a changed one still knows what that was: the tree can be put
//! right with it, and the next checkpoint says whether that was all.

use super::{
    super::chain::Head,
    line::Malformed,
    record::{Content, Gap},
    report::{Defect, Place, Severity},
    strand::{Doubt, Entry, Strand, Trust},
    trail::{LAG, Step, Trail},
};

/// Most missing lines that are remembered by their hash, to be recognised where they turn up.
const MAX_ABSENT: usize = 64;

/// A line that was changed, with what is known of it from the line after it.
struct Changed {
    /// The hash of what was written.
    written: Head,
    /// The trail before it if the line before it was changed too.
    both: Trail,
    finding: Option<usize>,
}

impl Strand {
    /// Decides what happened before the first line that does not follow, and goes on from it.
    pub(super) fn resolve(&mut self, trust: &Trust) {
        self.discard_stale();
        if self.pool.is_empty() {
            return;
        }
        let next = self.pool.remove(0);
        let changed = self.explain(&next, trust);
        // What is missing between the two was said; it must not be said again as a hole in the numbers.
        self.seq = next.seq.saturating_sub(u64::from(next.content == Content::Event));
        self.step(next);
        if let Some(changed) = changed {
            self.correct(changed);
        }
        self.drain(trust);
    }

    /// All that waits is decided: nothing more comes.
    pub(super) fn settle(&mut self, trust: &Trust) {
        while !self.pool.is_empty() {
            self.resolve(trust);
        }
        // What the last record cannot tell: whether an unreadable line after it was one.
        if let Some((place, _)) = self.garbled.first().copied() {
            if self.garbled.iter().any(|(_, how)| *how != Malformed::Foreign) {
                let lines = self.garbled.len() as u64 + self.garbled_more;
                self.find(Some(place), None, Defect::Garbled { lines });
            } else {
                self.foreign += self.garbled.len() as u64 + self.garbled_more;
                self.first_foreign.get_or_insert(place);
            }
            self.garbled.clear();
        }
        self.believe(trust);
    }

    /// Lines that stand before a line that does follow, and were not needed by it: they do not belong there.
    pub(super) fn discard_stale(&mut self) {
        let stale: Vec<Entry> = self.pool.drain(..self.stale).collect();
        self.stale = 0;
        // Lines that follow each other were put in together.
        for run in stale.chunk_by(|one, next| next.prev == one.hash) {
            let (first, last) = (&run[0], &run[run.len() - 1]);
            if let Some((_, finding, after)) = self.absent.iter().find(|(hash, ..)| *hash == last.hash).copied() {
                if let Some(finding) = finding {
                    self.findings.amend(finding, Defect::MovedAway { to: first.place });
                }
                let defect = Defect::Moved { from_after: after };
                self.find(Some(first.place), Some(first.seq), defect);
            } else {
                let lines = run.len() as u64;
                self.find(Some(first.place), Some(first.seq), Defect::Inserted { lines });
            }
        }
    }

    /// Says what happened between the last line and this one. The answer is `Some` if it is this one that was changed.
    fn explain(&mut self, next: &Entry, trust: &Trust) -> Option<Changed> {
        let expected = self.tip.seq.saturating_add(u64::from(next.content == Content::Event));
        if let Some(lines) = self.trail.since(next.prev) {
            self.explain_fork(next, lines, trust);
        } else if !self.garbled.is_empty() && self.garbled[0].0 < next.place {
            self.believe(trust);
            self.explain_garbled(next);
        } else if next.seq == expected || self.skips_only(next) {
            return self.explain_change(next, trust);
        } else if next.seq > expected {
            self.believe(trust);
            self.explain_absence(next, expected);
        } else {
            self.believe(trust);
            let defect = Defect::OutOfPlace { seq: next.seq, expected };
            self.find(Some(next.place), Some(next.seq), defect);
            self.trail.lose();
        }
        None
    }

    /// The line just taken in was changed: what it says does not count, and what was written is known by its hash.
    fn correct(&mut self, changed: Changed) {
        self.last = None;
        self.seq = self.tip.seq;
        self.trail.correct_last(changed.written);
        let mut both = changed.both;
        if let Some(step) = self.trail.last() {
            both.push(*step);
        }
        self.doubt = Some(Doubt { trail: both, finding: changed.finding, defect: Defect::EditedBoth });
    }

    /// The last line's number is what does not fit: without it the numbers go on.
    fn skips_only(&self, next: &Entry) -> bool {
        let Some(before) = self.trail.before_last() else { return false };
        let last_fits = matches!(self.tip.seq.checked_sub(before.seq), Some(0 | 1));
        !last_fits && matches!(next.seq.checked_sub(before.seq), Some(0..=2))
    }

    /// The line follows an older one.
    fn explain_fork(&mut self, next: &Entry, lines: usize, trust: &Trust) {
        let follow = self.run_length(next);
        let first = self.trail.back(lines - 1).copied();
        let Some(first) = first else { return };
        if lines <= LAG && follow > lines {
            self.trail.take_back(lines);
            self.doubt = None;
            self.last = None;
            self.records = self.records.saturating_sub(lines as u64);
            self.seq = self.trail.last().map_or(self.seq, |step| step.seq);
            let lines = lines as u64;
            self.find(Some(first.place), Some(first.seq), Defect::Inserted { lines });
        } else {
            self.believe(trust);
            self.trail.lose();
            self.find(Some(next.place), Some(next.seq), Defect::TwoHistories { with: first.place });
        }
    }

    /// How many lines from this one on follow each other, itself included.
    fn run_length(&self, next: &Entry) -> usize {
        let mut head = next.hash;
        let following = self.pool.iter().take_while(|entry| {
            let follows = entry.prev == head;
            head = entry.hash;
            follows
        });
        1 + following.count()
    }

    /// Lines that cannot be read stand where the missing ones should.
    fn explain_garbled(&mut self, next: &Entry) {
        let lines = self.garbled.len() as u64 + std::mem::take(&mut self.garbled_more);
        let place = self.garbled[0].0;
        self.garbled.clear();
        self.find(Some(place), None, Defect::Garbled { lines });
        if lines == 1 {
            self.push_known(next.prev, place);
        } else {
            self.trail.lose();
        }
    }

    /// A line that is known by its hash alone.
    fn push_known(&mut self, hash: Head, place: Place) {
        let seq = self.trail.last().map_or(0, |step| step.seq);
        self.trail.push(Step { hash, seq, place });
        self.doubt = None;
    }

    /// The numbers go on, the link does not: one of the two lines was changed.
    fn explain_change(&mut self, next: &Entry, trust: &Trust) -> Option<Changed> {
        if let Some(after) = self.pool.first()
            && after.prev != next.hash
            && matches!(after.seq.checked_sub(next.seq), Some(0 | 1))
        {
            // It neither follows nor is it followed: it is the changed one. Or both are, which a checkpoint will say.
            let written = after.prev;
            let finding = self.find(Some(next.place), Some(next.seq), Defect::Edited);
            let mut both = self.trail.clone();
            both.correct_last(next.prev);
            self.believe(trust);
            self.doubt = None;
            return Some(Changed { written, both, finding });
        }
        // Without a line after it nothing tells whether its link was changed; a checkpoint of its own may.
        let defect = if self.pool.is_empty() { Defect::EditedOrAfter } else { Defect::Edited };
        let finding = self.find(Some(self.tip.place), Some(self.tip.seq), defect);
        // The other way to read it: a line without a number of its own was between the two.
        let mut other = self.trail.clone();
        if let Some(step) = other.last().copied() {
            other.push(Step { hash: next.prev, ..step });
        }
        self.trail.correct_last(next.prev);
        self.last = None;
        self.doubt = Some(Doubt { trail: other, finding, defect: Defect::MissingAboutTheLog });
        None
    }

    /// Numbers are missing.
    fn explain_absence(&mut self, next: &Entry, expected: u64) {
        let is_event = next.content == Content::Event;
        let until = if is_event { next.seq - 1 } else { next.seq };
        let first = if is_event { expected } else { expected + 1 };
        let between_files = self.tip.place.file != next.place.file;
        let defect = Defect::Missing { first, last: until, between_files };
        let finding = self.find(Some(next.place), Some(next.seq), defect);
        if self.absent.len() < MAX_ABSENT {
            self.absent.push((next.prev, finding, self.tip.seq));
        }
        if first == until {
            self.push_known(next.prev, next.place);
        } else {
            self.trail.lose();
        }
    }

    /// A gap with a hash is of lines that had been written and were then deleted under the sink. If they are what was found
    /// missing, nobody hid that.
    pub(super) fn is_told_absence(&mut self, gap: &Gap) -> bool {
        let absent = self.absent.iter().position(|(hash, ..)| Some(*hash) == gap.head);
        let Some((_, finding, _)) = absent.map(|absent| self.absent.remove(absent)) else { return false };
        if let Some(finding) = finding {
            let defect = Defect::LossTold { first: gap.first, last: gap.last, records: gap.dropped };
            self.findings.amend(finding, defect);
            if self.findings.worst() < Some(Severity::Broken) {
                self.broken = None;
            }
        }
        true
    }
}
