//! What a log says of itself: that it begins, ends, lost something, or is sealed up to here. Made by the sinks.

use serde::{Serialize, Serializer};

use super::kind::BySeverity;
use crate::time::UnixTime;

/// The log begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Started {
    /// Which of the process's outputs this is, so that two logs of one life are told apart from their first line on.
    pub sink: &'static str,
    /// Where the life before this one left off in the same sink, if that is known.
    pub previous: Option<PreviousLife>,
    /// The life before did not end with `audit.stopped`.
    pub unclean: bool,
}

/// The process that wrote to the same sink before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PreviousLife {
    /// Its replica.
    pub replica: String,
    /// Its start in Unix milliseconds.
    pub life: u64,
    /// The `seq` of its last record.
    pub seq: u64,
}

/// The log ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Lines written in this life, this one not counted.
    pub written: u64,
    /// Records lost in this life.
    pub dropped: BySeverity,
}

/// Records are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Why.
    pub reason: GapReason,
    /// Time of the first of them.
    pub from: UnixTime,
    /// Time of the last of them.
    pub to: UnixTime,
    /// `seq` of the first of them.
    pub seq_first: u64,
    /// `seq` of the last of them.
    pub seq_last: u64,
    /// How many of each severity.
    pub dropped: BySeverity,
    /// The head of the chain of what was deleted by retention, base64.
    pub head: Option<String>,
}

/// Why records are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GapReason {
    /// More came than could be written.
    Overflow,
    /// The sink could not be written to.
    SinkFailed,
    /// They were old enough to go.
    Retention,
}

/// A signed head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckpointFacts {
    /// The signed note.
    pub note: String,
    /// The roots of the full subtrees of the signed tree, the largest first, base64: with them the lines behind this one
    /// can be held against later checkpoints though those before it are gone. At most 64, which is 3 KiB.
    pub tree: Vec<String>,
    /// The last known heads of other replicas' logs.
    pub others: Vec<OtherHead>,
}

/// The head of another log, as its writer last published it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OtherHead {
    /// Origin of its note.
    pub origin: String,
    /// How many lines it covers.
    pub size: u64,
    /// Root of the tree of these lines, base64.
    pub root: String,
}

#[derive(Clone, Debug)]
pub(super) enum AboutTheLog {
    Started(Started),
    Stopped(Totals),
    Gap(Gap),
    Checkpoint(CheckpointFacts),
}

// === impl GapReason ===

impl GapReason {
    /// All of them, as the schema lists them.
    pub const ALL: [Self; 3] = [Self::Overflow, Self::SinkFailed, Self::Retention];

    /// The word in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Overflow => "overflow",
            Self::SinkFailed => "sink-failed",
            Self::Retention => "retention",
        }
    }
}

impl Serialize for GapReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
