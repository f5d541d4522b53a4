//! The verifier: bytes of logs in, in the order of their writing; what was changed, cut, put in or signed out.
//!
//! It keeps one state for each log (one sink of one life of one replica), whose lines may be mixed with those of others as
//! a collector exports them. A line is read by position only: what its members say is the hash's business, and only records
//! about the log itself are read whole. Memory is bounded by windows over the last lines, never by the size of a file.

mod breaks;
mod finish;
mod holes;
mod line;
mod record;
mod report;
mod seals;
mod strand;
#[cfg(test)]
mod tests;
mod trail;
mod words;

use std::collections::HashMap;

use memchr::memchr;

pub use self::report::{Checkpoints, End, Finding, Log, Record, Report, Severity, Verdict};
use self::{
    line::{Envelope, Malformed},
    record::Content,
    report::{Defect, Findings, Place},
    strand::{Entry, Strand, TIME, Trust},
};
use super::{
    chain::{Head, Identity, LINE_LIMIT},
    checkpoint::{Note, PublicKey},
};

/// Longest line that is looked at. Ours end at [`LINE_LIMIT`]; the rest is slack for what somebody added to one.
pub const LONGEST_LINE: usize = 2 * LINE_LIMIT;

/// Most logs that are followed at once: the lives of fifty replicas over some months. Each needs at most 100 KiB.
const MAX_STRANDS: usize = 4_096;

/// What is asked of the logs beside their own soundness.
#[derive(Clone, Debug, Default)]
pub struct Demands {
    /// Keys whose signatures count. With none, signatures are not looked at.
    pub keys: Vec<PublicKey>,
    /// Checkpoints from outside the logs.
    pub published: Vec<Published>,
    /// All records have to be covered by a checkpoint that a key signed.
    pub require_signed: bool,
    /// The records are mixed with lines of other programs, which are passed over.
    pub mixed: bool,
}

/// A checkpoint from outside the logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The checkpoint.
    pub note: Note,
    /// Where it was found, for the words of a finding.
    pub source: String,
}

/// What the first record of a file says, by which files are put in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beginning {
    /// Whose record it is.
    pub identity: Identity,
    /// Its number.
    pub seq: u64,
    /// Its time, as written.
    pub time: String,
}

/// Walks through logs.
#[derive(Debug)]
pub struct Verifier {
    trust: Trust,
    demands: Demands,
    files: Vec<String>,
    at: Place,
    /// The beginning of a line whose end did not come yet.
    carry: Vec<u8>,
    /// The rest of a line that is longer than any record is passed over.
    in_long_line: bool,
    strands: Vec<Strand>,
    /// The logs of each identity, by the members that every line of it has.
    by_members: HashMap<Box<[u8]>, Vec<usize>>,
    /// The members of the last record, and its log.
    usual: Box<[u8]>,
    current: Option<usize>,
    /// Foreign lines in files before their first record.
    stray: u64,
    first_stray: Option<Place>,
    findings: Findings,
    lines: u64,
    bytes: u64,
}

impl Verifier {
    /// A verifier that has seen nothing.
    #[must_use]
    pub fn new(demands: Demands) -> Self {
        let mut sizes: Vec<u64> = demands.published.iter().map(|published| published.note.size).collect();
        sizes.sort_unstable();
        sizes.dedup();
        Self {
            trust: Trust { keys: demands.keys.clone(), sizes },
            demands,
            files: Vec::new(),
            at: Place { file: 0, line: 0, offset: 0 },
            carry: Vec::new(),
            in_long_line: false,
            strands: Vec::new(),
            by_members: HashMap::new(),
            usual: Box::default(),
            current: None,
            stray: 0,
            first_stray: None,
            findings: Findings::default(),
            lines: 0,
            bytes: 0,
        }
    }

    /// A file begins; the name is for the findings.
    pub fn begin(&mut self, name: &str) {
        self.end();
        let file = u32::try_from(self.files.len()).unwrap_or(u32::MAX);
        self.files.push(name.to_owned());
        self.at = Place { file, line: 0, offset: 0 };
        self.current = None;
    }

    /// The next bytes of the file.
    pub fn feed(&mut self, mut block: &[u8]) {
        self.bytes += block.len() as u64;
        while let Some(end) = memchr(b'\n', block) {
            let (line, rest) = block.split_at(end);
            block = &rest[1..];
            if std::mem::take(&mut self.in_long_line) {
                self.at.offset += line.len() as u64 + 1;
            } else if self.carry.is_empty() {
                self.line(line);
            } else {
                let mut whole = std::mem::take(&mut self.carry);
                whole.extend_from_slice(&line[..line.len().min(LONGEST_LINE)]);
                self.line(&whole);
                // What was not copied of a line that is too long.
                self.at.offset += (line.len() - line.len().min(LONGEST_LINE)) as u64;
                whole.clear();
                self.carry = whole;
            }
        }
        if self.in_long_line {
            self.at.offset += block.len() as u64;
        } else if self.carry.len() + block.len() > LONGEST_LINE {
            self.begin_line();
            self.not_a_record(self.at, Malformed::Foreign);
            self.at.offset += (self.carry.len() + block.len()) as u64;
            self.carry.clear();
            self.in_long_line = true;
        } else {
            self.carry.extend_from_slice(block);
        }
    }

    /// The file ends. What follows its last newline is a line that was never finished.
    fn end(&mut self) {
        self.in_long_line = false;
        if self.carry.is_empty() {
            return;
        }
        let line = std::mem::take(&mut self.carry);
        self.begin_line();
        match (Envelope::read(&line, &self.usual), self.current) {
            (Err(Malformed::Foreign), _) if !line.starts_with(&super::chain::OPENING.as_bytes()[..1]) => {
                self.not_a_record(self.at, Malformed::Foreign);
            }
            // Whoever was killed in its very first line left nothing else.
            (_, None) => {
                self.findings.add(Some(self.at), None, Defect::Torn);
            }
            (read, Some(current)) => {
                let strand = &mut self.strands[current];
                if read.is_ok_and(|read| read.prev == strand.head()) {
                    strand.unended = Some(Head::of_line(&line));
                }
                strand.find(Some(self.at), None, Defect::Torn);
            }
        }
    }

    fn begin_line(&mut self) {
        self.at.line += 1;
        self.lines += 1;
    }

    fn line(&mut self, line: &[u8]) {
        self.begin_line();
        match Envelope::read(line, &self.usual) {
            Ok(envelope) if line.len() <= LONGEST_LINE => {
                let mut time = [b' '; TIME];
                let shown = envelope.time.len().min(TIME);
                time[..shown].copy_from_slice(&envelope.time[..shown]);
                let entry = Entry {
                    place: self.at,
                    seq: envelope.seq,
                    hash: Head::of_line(line),
                    prev: envelope.prev,
                    time,
                    content: Content::read(envelope.kind, line),
                };
                if let Some(current) = self.current
                    && *envelope.members == *self.usual
                    && entry.prev == self.strands[current].head()
                {
                    self.strands[current].offer(entry, &self.trust);
                } else {
                    self.sort_in(envelope.members, entry);
                }
            }
            Ok(_) => self.not_a_record(self.at, Malformed::Inside),
            Err(how) => self.not_a_record(self.at, how),
        }
        self.at.offset += line.len() as u64 + 1;
    }

    /// A line of another log than the line before it, or one that does not follow.
    fn sort_in(&mut self, members: &[u8], entry: Entry) {
        let known = self.by_members.get(members);
        let follows = known.and_then(|logs| logs.iter().copied().find(|log| self.strands[*log].head() == entry.prev));
        if let Some(log) = follows {
            self.strands[log].offer(entry, &self.trust);
            self.now_at(members, log);
            return;
        }
        let begins = matches!(entry.content, Content::Started(_));
        if !begins
            && let Some(current) = self.current
            && self.strands[current].head() == entry.prev
        {
            // It follows the line before it, and says that it is of another log: that was changed in it.
            self.strands[current].offer_garbled(entry.place, Malformed::Inside);
            return;
        }
        // The log of this file if there are several of this identity, else the one that was read last.
        let latest =
            known.and_then(|logs| logs.iter().copied().find(|log| Some(*log) == self.current).or(logs.last().copied()));
        let repeated = |log: usize| self.strands[log].first.place.file == entry.place.file;
        if let Some(log) = latest
            && (!begins || (repeated(log) && self.strands[log].trail.since(entry.hash).is_some()))
        {
            self.strands[log].offer(entry, &self.trust);
            self.now_at(members, log);
        } else {
            self.open(members, entry);
        }
    }

    fn open(&mut self, members: &[u8], mut entry: Entry) {
        let Some(identity) = line::identity(members) else {
            self.not_a_record(entry.place, Malformed::Inside);
            return;
        };
        if self.strands.len() == MAX_STRANDS {
            if !self.findings.has(&Defect::TooManyLogs) {
                self.findings.add(Some(entry.place), Some(entry.seq), Defect::TooManyLogs);
            }
            return;
        }
        let log = self.strands.len();
        if let Some(renamed) = self.renamed(&identity, &entry) {
            self.adopt(renamed, identity, &mut entry);
            self.by_members.entry(members.into()).or_default().push(renamed);
            self.strands[renamed].offer(entry, &self.trust);
            self.now_at(members, renamed);
            return;
        }
        self.strands.push(Strand::new(identity, entry));
        self.by_members.entry(members.into()).or_default().push(log);
        self.now_at(members, log);
    }

    /// A log of one line, its beginning, right before a line in the middle of a log that is like it but for one name: what
    /// was changed is the name in that first line.
    fn renamed(&self, identity: &Identity, entry: &Entry) -> Option<usize> {
        let current = self.current?;
        let strand = &self.strands[current];
        let other = &strand.identity;
        let same = [other.cluster == identity.cluster, other.replica == identity.replica, other.life == identity.life];
        let alike = same.iter().filter(|same| **same).count() == 2;
        let right_before =
            strand.first.place.file == entry.place.file && strand.first.place.line + 1 == entry.place.line;
        let is_beginning = strand.records == 1 && strand.started.is_some();
        let in_the_middle = !matches!(entry.content, Content::Started(_)) && entry.seq <= 1;
        (alike && right_before && is_beginning && in_the_middle).then_some(current)
    }

    fn adopt(&mut self, log: usize, identity: Identity, entry: &mut Entry) {
        let strand = &mut self.strands[log];
        strand.find(Some(strand.first.place), Some(strand.first.seq), Defect::Edited);
        strand.identity = identity;
        strand.trail.correct_last(entry.prev);
        strand.last = None;
        let old = std::mem::take(&mut self.usual);
        self.by_members.remove(&old);
    }

    fn now_at(&mut self, members: &[u8], log: usize) {
        self.current = Some(log);
        if *self.usual != *members {
            self.usual = members.into();
        }
    }

    fn not_a_record(&mut self, place: Place, how: Malformed) {
        if let Some(current) = self.current {
            self.strands[current].offer_garbled(place, how);
        } else {
            self.stray += 1;
            self.first_stray.get_or_insert(place);
        }
    }
}

/// What the first record among these bytes says: the beginning of a file, of at most some lines.
#[must_use]
pub fn beginning(bytes: &[u8]) -> Option<Beginning> {
    bytes.split(|byte| *byte == b'\n').find_map(|line| {
        let envelope = Envelope::read(line, &[]).ok()?;
        let identity = line::identity(envelope.members)?;
        let time = String::from_utf8_lossy(envelope.time).into_owned();
        Some(Beginning { identity, seq: envelope.seq, time })
    })
}
