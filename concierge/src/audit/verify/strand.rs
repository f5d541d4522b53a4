//! One log as it is walked: each line must carry the hash of the one before it, and what the log says of itself must hold.

use std::collections::BTreeMap;

use super::{
    super::{
        chain::{Head, Identity, Root},
        checkpoint::PublicKey,
    },
    holes::Holes,
    line::Malformed,
    record::{Content, Gap, Started},
    report::{Defect, Findings, Place, Severity},
    trail::{Step, Trail},
};

/// Lines after one that does not link that are looked at before it is decided what happened: a collector that sorts may
/// move a line by a burst, and whoever cut the log leaves nothing to find however far one looks.
pub(super) const WINDOW: usize = 256;

/// Most heads of other logs that one log may state: a week of three replicas that name each other every minute.
pub(super) const MAX_CLAIMS: usize = 1 << 15;

/// Most unreadable lines between two records that are kept apart.
const MAX_GARBLED: usize = 16;

/// Length of RFC 3339 with microseconds in UTC.
pub(super) const TIME: usize = 27;

/// One record on its way into a strand.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) place: Place,
    pub(super) seq: u64,
    pub(super) hash: Head,
    pub(super) prev: Head,
    pub(super) time: [u8; TIME],
    pub(super) content: Content,
}

/// What counts as true from outside.
#[derive(Debug, Default)]
pub(super) struct Trust {
    pub(super) keys: Vec<PublicKey>,
    /// Sizes at which roots are wanted, in rising order: those of the published checkpoints.
    pub(super) sizes: Vec<u64>,
}

/// The last line of a strand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tip {
    pub(super) place: Place,
    pub(super) seq: u64,
    pub(super) time: [u8; TIME],
}

/// How far a checkpoint reaches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sealed {
    pub(super) seq: u64,
    /// The first record of those that it reaches back to, if that is not the beginning of the log.
    pub(super) from: Option<u64>,
    pub(super) records: u64,
    pub(super) time: [u8; TIME],
}

/// What another log says about a log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) root: Root,
    pub(super) place: Place,
}

/// One log.
#[derive(Debug)]
pub(super) struct Strand {
    pub(super) identity: Identity,
    pub(super) sink: Option<String>,
    /// Its first line.
    pub(super) first: Entry,
    /// What its first line says, if that is its beginning.
    pub(super) started: Option<Started>,
    pub(super) trail: Trail,
    /// The last line that follows the one before; not believed until the next line follows it.
    pub(super) last: Option<Entry>,
    /// Where the last line stands, its number and its time.
    pub(super) tip: Tip,
    /// The number of the last event.
    pub(super) seq: u64,
    pub(super) records: u64,
    /// Lines that do not follow, in the order of the files.
    pub(super) pool: Vec<Entry>,
    /// How many of them stand before a line that does follow.
    pub(super) stale: usize,
    /// When there began to be some, in records.
    pub(super) stale_since: u64,
    /// Lines since the last record that are none.
    pub(super) garbled: Vec<(Place, Malformed)>,
    pub(super) garbled_more: u64,
    /// Foreign lines that were passed over because the log went on across them.
    pub(super) foreign: u64,
    pub(super) first_foreign: Option<Place>,
    /// A line that is missing is known by its hash; with the finding that says so.
    pub(super) absent: Vec<(Head, Option<usize>, u64)>,
    /// Another way to explain a break, until the next checkpoint decides.
    pub(super) doubt: Option<Doubt>,
    pub(super) holes: Holes,
    pub(super) findings: Findings,
    /// The first line that is not what was written, and the number of the last record before it.
    pub(super) broken: Option<(Place, Option<u64>)>,
    pub(super) checkpoints: u64,
    pub(super) unchecked: u64,
    pub(super) sealed: Option<Sealed>,
    pub(super) signed: Option<(Sealed, PublicKey)>,
    /// Roots at the sizes of its own checkpoints and at wanted ones.
    pub(super) roots: BTreeMap<u64, Root>,
    pub(super) claims: BTreeMap<(String, u64), Claim>,
    pub(super) expired: Vec<(Head, Place)>,
    pub(super) stopped: bool,
    /// The hash of a last line whose newline is missing: whole, but not known to be.
    pub(super) unended: Option<Head>,
}

/// The other explanation of a break.
#[derive(Debug)]
pub(super) struct Doubt {
    pub(super) trail: Trail,
    /// What the finding is then.
    pub(super) finding: Option<usize>,
    pub(super) defect: Defect,
}

impl Strand {
    /// A log that begins with this line, or of which this is the first line that is there.
    pub(super) fn new(identity: Identity, first: Entry) -> Self {
        let started = match &first.content {
            Content::Started(started) => Some(started.clone()),
            _ => None,
        };
        let is_event = first.content == Content::Event;
        let seq = first.seq.saturating_sub(u64::from(is_event));
        let trail = if started.is_some() { Trail::default() } else { Trail::lost() };
        let mut strand = Self {
            identity,
            sink: None,
            started,
            trail,
            last: None,
            tip: Tip { place: first.place, seq: first.seq, time: first.time },
            seq,
            records: 0,
            pool: Vec::new(),
            stale: 0,
            stale_since: 0,
            garbled: Vec::new(),
            garbled_more: 0,
            foreign: 0,
            first_foreign: None,
            absent: Vec::new(),
            doubt: None,
            holes: Holes::default(),
            findings: Findings::default(),
            broken: None,
            checkpoints: 0,
            unchecked: 0,
            sealed: None,
            signed: None,
            roots: BTreeMap::new(),
            claims: BTreeMap::new(),
            expired: Vec::new(),
            stopped: false,
            unended: None,
            first: first.clone(),
        };
        strand.step(first);
        strand
    }

    /// The hash that the next line must carry.
    pub(super) fn head(&self) -> Head {
        self.trail.last().map_or(Head::NONE, |step| step.hash)
    }

    /// Keeps a finding, and up to where the log is intact.
    pub(super) fn find(&mut self, place: Option<Place>, seq: Option<u64>, defect: Defect) -> Option<usize> {
        if defect.severity() == Severity::Broken
            && let Some(place) = place
            && self.broken.is_none_or(|(first, _)| place < first)
        {
            let until = match &defect {
                Defect::Rewritten { .. } | Defect::ContradictsPublished { .. } => self.sealed.map(|sealed| sealed.seq),
                Defect::TailShort { .. } | Defect::TailCutBeforeNextLife { .. } => Some(self.tip.seq),
                _ => self.trail.last_before(place).map(|step| step.seq),
            };
            self.broken = Some((place, until));
        }
        self.findings.add(place, seq, defect)
    }

    /// The next line of this log in the files.
    pub(super) fn offer(&mut self, entry: Entry, trust: &Trust) {
        if entry.prev == self.head() {
            self.follow(entry, trust);
            return;
        }
        let copied = self.trail.since(entry.hash).and_then(|back| self.trail.back(back)).map(|step| step.place);
        let copied =
            copied.or_else(|| self.pool.iter().find(|other| other.hash == entry.hash).map(|other| other.place));
        if let Some(of) = copied {
            self.find(Some(entry.place), Some(entry.seq), Defect::Copied { of });
            return;
        }
        self.pool.push(entry);
        if self.pool.len() >= WINDOW {
            self.resolve(trust);
        }
    }

    /// A line of the same file that is no record.
    pub(super) fn offer_garbled(&mut self, place: Place, how: Malformed) {
        if self.garbled.len() < MAX_GARBLED {
            self.garbled.push((place, how));
        } else {
            self.garbled_more += 1;
        }
    }

    /// A line that follows.
    fn follow(&mut self, entry: Entry, trust: &Trust) {
        if !self.garbled.is_empty() {
            self.put_in_garbled();
        }
        self.accept(entry, trust);
        if self.pool.is_empty() {
            return;
        }
        if self.stale < self.pool.len() {
            self.stale = self.pool.len();
            self.stale_since = self.records;
        }
        self.drain(trust);
        if self.records - self.stale_since > WINDOW as u64 {
            self.discard_stale();
        }
    }

    /// Takes in what waited for the line that was just taken in.
    pub(super) fn drain(&mut self, trust: &Trust) {
        let mut moved: Option<(Place, u64, u64)> = None;
        while let Some(position) = self.pool.iter().position(|entry| entry.prev == self.head()) {
            let entry = self.pool.remove(position);
            if position < self.stale {
                self.stale -= 1;
            }
            let is_early = entry.place < self.tip.place;
            if is_early || position > 0 {
                let (place, seq, lines) = moved.unwrap_or((entry.place, entry.seq, 0));
                moved = Some(if entry.place < place {
                    (entry.place, entry.seq, lines + 1)
                } else {
                    (place, seq, lines + 1)
                });
            }
            self.accept(entry, trust);
        }
        if let Some((place, seq, lines)) = moved {
            self.find(Some(place), Some(seq), Defect::Reordered { lines });
        }
    }

    /// The unreadable lines stand between two lines that belong together.
    fn put_in_garbled(&mut self) {
        let more = std::mem::take(&mut self.garbled_more);
        let mut lines = 0;
        let mut first = None;
        for (place, how) in std::mem::take(&mut self.garbled) {
            if how == Malformed::Foreign {
                self.foreign += 1;
                self.first_foreign.get_or_insert(place);
            } else {
                lines += 1;
                first.get_or_insert(place);
            }
        }
        self.foreign += more;
        if lines > 0 {
            self.find(first, None, Defect::Inserted { lines });
        }
    }

    /// Takes a line in as the next one.
    pub(super) fn accept(&mut self, entry: Entry, trust: &Trust) {
        self.believe(trust);
        self.step(entry);
    }

    pub(super) fn step(&mut self, entry: Entry) {
        self.tip = Tip { place: entry.place, seq: entry.seq, time: entry.time };
        let step = Step { hash: entry.hash, seq: entry.seq, place: entry.place };
        self.trail.push(step);
        if let Some(doubt) = &mut self.doubt {
            doubt.trail.push(step);
        }
        self.records += 1;
        self.last = Some(entry);
    }

    /// The last line is what was written, for the next one says so, or nothing comes after it: what it says counts.
    pub(super) fn believe(&mut self, trust: &Trust) {
        let Some(entry) = self.last.take() else { return };
        self.count(&entry);
        if !trust.sizes.is_empty()
            && let Some(size) = self.trail.size()
            && trust.sizes.binary_search(&size).is_ok()
            && let Some(root) = self.trail.root()
        {
            self.roots.insert(size, root);
        }
        match &entry.content {
            Content::Event => {}
            Content::Started(started) => self.sink.clone_from(&started.sink),
            Content::Stopped => self.stopped = true,
            Content::Gap(gap) => self.gap(gap, &entry),
            Content::Checkpoint(checkpoint) => self.checkpoint(checkpoint, &entry, trust),
            Content::Unreadable => {
                self.find(Some(entry.place), Some(entry.seq), Defect::UnreadableRecord);
            }
        }
    }

    /// Events count up by one; records about the log carry the number of the last event.
    fn count(&mut self, entry: &Entry) {
        let is_event = entry.content == Content::Event;
        let expected = self.seq.saturating_add(u64::from(is_event));
        if entry.seq < expected {
            self.find(Some(entry.place), Some(entry.seq), Defect::NumberFell { expected });
            return;
        }
        if entry.seq > expected {
            let last = if is_event { entry.seq - 1 } else { entry.seq };
            self.holes.missing(self.seq + 1, last, entry.place);
        }
        self.seq = entry.seq;
    }

    fn gap(&mut self, gap: &Gap, entry: &Entry) {
        if !gap.is_retention {
            if !self.is_told_absence(gap) {
                self.holes.told(gap, entry.place);
            }
        } else if let Some(head) = gap.head
            && self.expired.len() < MAX_CLAIMS
        {
            self.expired.push((head, entry.place));
        }
    }
}
