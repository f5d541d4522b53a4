//! What was found, in the order in which somebody reads it: each log with its verdict, the first defect first.

use serde::Serialize;

use super::super::chain::Identity;

/// Most findings of one log that are kept; the others are counted. Whoever has so many needs another copy, not a list.
const MAX_FINDINGS: usize = 32;

/// Where a line stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    /// The number of the file in the order of reading, from zero.
    pub(super) file: u32,
    /// The number of the line in its file, from one.
    pub(super) line: u64,
    /// Bytes of the (decompressed) file before it.
    pub(super) offset: u64,
}

/// The whole answer.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The verdict over everything that was read.
    pub verdict: Verdict,
    /// Files that were read.
    pub files: usize,
    /// Lines in them.
    pub lines: u64,
    /// Bytes in them, after decompression.
    pub bytes: u64,
    /// Each log: one sink of one life of one replica, in the order in which they begin.
    pub logs: Vec<Log>,
    /// What belongs to no log.
    pub findings: Vec<Finding>,
    /// Findings that belong to no log and are not listed.
    #[serde(skip_serializing_if = "is_zero")]
    pub more_findings: u64,
}

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing was changed, and nothing is missing.
    Intact,
    /// Nothing was changed, and something is missing that an innocent cause explains, or that the log itself tells.
    Incomplete,
    /// Something was changed, cut out, put in, or cannot be what was signed.
    Broken,
}

/// One log.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Log {
    /// The cluster.
    pub cluster: String,
    /// The replica.
    pub replica: String,
    /// The start of its process in Unix milliseconds.
    pub life: u64,
    /// Which of its outputs, as its checkpoints say; absent without any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sink: Option<String>,
    /// The worse of the two verdicts below.
    pub verdict: Verdict,
    /// Whether what is there is what was written.
    pub intact: bool,
    /// Whether all that was written is there, as far as that can be known.
    pub complete: bool,
    /// Its records, those about the log itself included.
    pub records: u64,
    /// The first record.
    pub first: Record,
    /// The last record.
    pub last: Record,
    /// The last record before the first defect; absent if there is no defect of what is there, or nothing before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intact_until: Option<u64>,
    /// How it ends.
    pub end: End,
    /// What its checkpoints prove.
    pub checkpoints: Checkpoints,
    /// What was found, the first first.
    pub findings: Vec<Finding>,
    /// Findings that are not listed.
    #[serde(skip_serializing_if = "is_zero")]
    pub more_findings: u64,
}

/// One record, by what people find it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Record {
    /// Its number.
    pub seq: u64,
    /// Its time, as it is written there.
    pub time: String,
    /// The file.
    pub file: String,
    /// The line in it, from one.
    pub line: u64,
}

/// How a log ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// With `audit.stopped`: in order.
    Stopped,
    /// Without it, and a later life shows that it is over: a crash, or a kill.
    Unclean,
    /// Without it, and nothing shows that it is over: its process may still write.
    Open,
}

/// What the checkpoints of a log prove.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Checkpoints {
    /// How many there are.
    pub count: u64,
    /// Of these, how many could not be held against the lines because lines before them are missing.
    #[serde(skip_serializing_if = "is_zero")]
    pub unchecked: u64,
    /// Number of the last record whose lines and all before them give the root that a checkpoint states.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sealed_until: Option<u64>,
    /// Number of the first record of those, where lines before it are missing; absent if that is the log's beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sealed_from: Option<u64>,
    /// The same, of checkpoints that a given key signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed_until: Option<u64>,
    /// Where those begin, if that is not the log's beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed_from: Option<u64>,
    /// The key that signed the last of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Records after the last checkpoint that counts: the signed one if keys were given, else the last that fits.
    pub tail_records: u64,
    /// The time from that checkpoint to the last record, in seconds.
    pub tail_seconds: u64,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A stable word for it.
    pub code: &'static str,
    /// What it means for the verdict.
    pub severity: Severity,
    /// The file it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line, from one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Bytes of the (decompressed) file before that line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// The number of the record, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// What is so.
    pub what: String,
    /// What to do.
    pub advice: &'static str,
}

/// What a finding means for the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Remark,
    /// Something is not there.
    Incomplete,
    /// Something is not as it was.
    Broken,
}

/// What can be wrong; its words are in `words`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Defect {
    Edited,
    /// The line or the one after it; nothing after that can tell.
    EditedOrAfter,
    /// The line and the one before it.
    EditedBoth,
    Garbled {
        lines: u64,
    },
    Inserted {
        lines: u64,
    },
    Copied {
        of: Place,
    },
    Reordered {
        lines: u64,
    },
    Moved {
        from_after: u64,
    },
    MovedAway {
        to: Place,
    },
    Missing {
        first: u64,
        last: u64,
        between_files: bool,
    },
    MissingAboutTheLog,
    OutOfPlace {
        seq: u64,
        expected: u64,
    },
    TwoHistories {
        with: Place,
    },
    Rewritten {
        since: Option<u64>,
        size: u64,
    },
    ContradictsPublished {
        source: String,
        size: u64,
    },
    Miscounted {
        stated: u64,
        found: u64,
    },
    NumberFell {
        expected: u64,
    },
    AnotherLogsCheckpoint {
        origin: String,
    },
    Note(String),
    UnreadableRecord,
    SignatureWrong,
    UnknownKey,
    PublishedSignature {
        source: String,
        problem: String,
    },
    PublishedTwice {
        origin: String,
        size: u64,
    },
    TailShort {
        source: String,
        size: u64,
        found: u64,
    },
    TailCutBeforeNextLife {
        seq: u64,
    },
    NotSigned,
    Foreign {
        lines: u64,
    },
    TooManyLogs,
    // Something is not there.
    LifeMissing {
        life: u64,
    },
    BeginningMissing,
    BeginningKeptNoLonger {
        told_at: Place,
    },
    LossTold {
        first: u64,
        last: u64,
        records: u64,
    },
    LossMiscounted {
        told: u64,
        missing: u64,
    },
    LossUntold {
        first: u64,
        last: u64,
    },
    Torn,
    Unclean,
    UnsignedTail {
        records: u64,
        seconds: u64,
    },
    // Good to know.
    PassedOver {
        lines: u64,
    },
    GivenTwice,
    NotAmongTheFiles {
        source: String,
        origin: String,
    },
}

/// Findings, bounded.
#[derive(Debug, Default)]
pub(super) struct Findings {
    list: Vec<Found>,
    more: u64,
    worst_unlisted: Option<Severity>,
}

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) place: Option<Place>,
    pub(super) seq: Option<u64>,
    pub(super) defect: Defect,
}

// === impl Findings ===

impl Findings {
    /// Keeps a finding if there is room; its number in the list, if so.
    pub(super) fn add(&mut self, place: Option<Place>, seq: Option<u64>, defect: Defect) -> Option<usize> {
        if self.list.len() == MAX_FINDINGS {
            self.more += 1;
            self.worst_unlisted = self.worst_unlisted.max(Some(defect.severity()));
            return None;
        }
        self.list.push(Found { place, seq, defect });
        Some(self.list.len() - 1)
    }

    /// A finding that turned out to be something else.
    pub(super) fn amend(&mut self, number: usize, defect: Defect) {
        if let Some(found) = self.list.get_mut(number) {
            found.defect = defect;
        }
    }

    /// Whether this was found before, so that it need not be said at every line.
    pub(super) fn has(&self, defect: &Defect) -> bool {
        self.list.iter().any(|found| found.defect == *defect)
    }

    pub(super) fn worst(&self) -> Option<Severity> {
        self.list.iter().map(|found| found.defect.severity()).max().max(self.worst_unlisted)
    }

    pub(super) fn is_incomplete(&self) -> bool {
        self.list.iter().any(|found| found.defect.means_missing())
    }

    /// The findings in the order of the files, with words.
    pub(super) fn told(mut self, files: &[String]) -> (Vec<Finding>, u64) {
        self.list
            .sort_by_key(|found| (found.defect.severity() == Severity::Remark, found.place.is_none(), found.place));
        (self.list.iter().map(|found| found.told(files)).collect(), self.more)
    }
}

impl Found {
    fn told(&self, files: &[String]) -> Finding {
        let (what, advice) = self.defect.words(files);
        Finding {
            code: self.defect.code(),
            severity: self.defect.severity(),
            file: self.place.map(|place| file_name(files, place)),
            line: self.place.map(|place| place.line),
            offset: self.place.map(|place| place.offset),
            seq: self.seq,
            what,
            advice,
        }
    }
}

/// The name of the file of a place.
pub(super) fn file_name(files: &[String], place: Place) -> String {
    files.get(place.file as usize).cloned().unwrap_or_default()
}

impl Log {
    /// Who wrote it.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity { cluster: self.cluster.clone(), replica: self.replica.clone(), life: self.life }
    }
}

impl From<Option<Severity>> for Verdict {
    fn from(worst: Option<Severity>) -> Self {
        match worst {
            None | Some(Severity::Remark) => Self::Intact,
            Some(Severity::Incomplete) => Self::Incomplete,
            Some(Severity::Broken) => Self::Broken,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}
