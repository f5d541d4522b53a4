//! What each defect is called, what it means, and what to do about it, in words for somebody who did not build this.

use super::report::{Defect, Place, Severity, file_name};

const KEEP_AND_COMPARE: &str = "Keep this file as it is, and compare that line with the copy in your log store.";
const KEEP_AND_ASK: &str = "Keep this file as it is and find out who could write to it; another sink's copy of these numbers shows what is missing.";
const ASK_THE_KEY: &str = "Compare the public keys in `kubectl get credentialissuer -o yaml`; a key that was replaced is needed \
    for what it signed. If no key of yours signed this, the log was made by somebody else.";
const GIVE_ALL: &str =
    "Give all files of this log, the compressed ones too. If a file is gone, look for it where logs are kept.";
const READ_ON: &str = "Nothing has to be done: the records that are here are what was written.";

impl Defect {
    /// A stable word.
    pub(super) const fn code(&self) -> &'static str {
        match self {
            Self::Edited | Self::EditedOrAfter | Self::EditedBoth => "edited",
            Self::Garbled { .. } => "garbled",
            Self::Inserted { .. } => "inserted",
            Self::Copied { .. } => "copied",
            Self::Reordered { .. } | Self::Moved { .. } | Self::MovedAway { .. } | Self::OutOfPlace { .. } => {
                "reordered"
            }
            Self::Missing { .. } | Self::MissingAboutTheLog => "missing",
            Self::TwoHistories { .. } | Self::PublishedTwice { .. } => "two-histories",
            Self::Rewritten { .. } | Self::ContradictsPublished { .. } => "rewritten",
            Self::Miscounted { .. } => "checkpoint-miscounted",
            Self::NumberFell { .. } => "renumbered",
            Self::AnotherLogsCheckpoint { .. } => "checkpoint-of-another-log",
            Self::Note(_) => "checkpoint-malformed",
            Self::UnreadableRecord => "record-malformed",
            Self::SignatureWrong | Self::PublishedSignature { .. } => "signature-wrong",
            Self::UnknownKey => "key-unknown",
            Self::TailShort { .. } | Self::TailCutBeforeNextLife { .. } => "tail-missing",
            Self::NotSigned => "not-signed",
            Self::Foreign { .. } => "not-a-record",
            Self::TooManyLogs => "too-many-logs",
            Self::LifeMissing { .. } => "life-missing",
            Self::BeginningMissing => "beginning-missing",
            Self::BeginningKeptNoLonger { .. } => "beginning-expired",
            Self::LossTold { .. } => "loss-told",
            Self::LossMiscounted { .. } => "loss-miscounted",
            Self::LossUntold { .. } => "loss-untold",
            Self::Torn => "torn",
            Self::Unclean => "unclean",
            Self::UnsignedTail { .. } => "tail-unsigned",
            Self::PassedOver { .. } => "passed-over",
            Self::GivenTwice => "given-twice",
            Self::NotAmongTheFiles { .. } => "log-not-given",
        }
    }

    pub(super) const fn severity(&self) -> Severity {
        match self {
            Self::LifeMissing { .. }
            | Self::BeginningMissing
            | Self::LossTold { .. }
            | Self::LossMiscounted { .. }
            | Self::LossUntold { .. }
            | Self::Torn
            | Self::Unclean
            | Self::UnsignedTail { .. } => Severity::Incomplete,
            Self::BeginningKeptNoLonger { .. }
            | Self::PassedOver { .. }
            | Self::GivenTwice
            | Self::NotAmongTheFiles { .. } => Severity::Remark,
            _ => Severity::Broken,
        }
    }

    /// Whether records that were made are not here.
    pub(super) const fn means_missing(&self) -> bool {
        matches!(self.severity(), Severity::Incomplete)
            || matches!(
                self,
                Self::Missing { .. }
                    | Self::MissingAboutTheLog
                    | Self::Garbled { .. }
                    | Self::TailShort { .. }
                    | Self::TailCutBeforeNextLife { .. }
            )
    }

    /// What is so, and what to do.
    #[expect(clippy::too_many_lines, reason = "a table: one sentence for each defect")]
    pub(super) fn words(&self, files: &[String]) -> (String, &'static str) {
        let at = |place: &Place| format!("{}:{}", file_name(files, *place), place.line);
        match self {
            Self::Edited => (
                "this line was changed after it was written: the line after it carries the hash of another text".into(),
                KEEP_AND_COMPARE,
            ),
            Self::EditedOrAfter => (
                "the next line does not follow this one: one of the two was changed after it was written".into(),
                KEEP_AND_COMPARE,
            ),
            Self::EditedBoth => (
                "this line and the one before it were changed after they were written".into(),
                KEEP_AND_COMPARE,
            ),
            Self::Garbled { lines } => (
                format!("{} no longer a record: what was written here was changed or cut", are(*lines)),
                KEEP_AND_COMPARE,
            ),
            Self::Inserted { lines } => (
                format!("{} put in: the lines around it belong together, and it does not", were(*lines)),
                KEEP_AND_COMPARE,
            ),
            Self::Copied { of } => (
                format!("this line is a copy of {}, byte for byte", at(of)),
                "Collectors that deliver at least once do this: sort out repeated lines and verify again. If none did, \
                 somebody copied the line.",
            ),
            Self::Reordered { lines } => (
                format!("{} in another order than they were written in", stand(*lines)),
                "Collectors that sort by time do this: verify the file that the sink wrote. If none did, somebody moved them.",
            ),
            Self::Moved { from_after } => (
                format!("this line was taken from behind record {from_after} and put here"),
                "Collectors that sort by time do this: verify the file that the sink wrote. If none did, somebody moved it.",
            ),
            Self::MovedAway { to } => (
                format!("what belongs before this line stands at {}", at(to)),
                "Collectors that sort by time do this: verify the file that the sink wrote. If none did, somebody moved it.",
            ),
            Self::OutOfPlace { seq, expected } => (
                format!("record {seq} stands where {expected} should, and does not follow the line before it"),
                "Files are put in order by their first record: was one given twice? If not, lines were moved, or this is \
                 another version of the log.",
            ),
            Self::Missing { first, last, between_files } => missing(*first, *last, *between_files),
            Self::MissingAboutTheLog => (
                "a line about the log itself (a checkpoint, or a gap) was taken out behind this line".into(),
                KEEP_AND_ASK,
            ),
            Self::TwoHistories { with } => (
                format!("two histories: this line and {} both claim to follow the same line", at(with)),
                "One of the two was made up. A checkpoint from outside (--checkpoint) tells which.",
            ),
            Self::PublishedTwice { origin, size } => (
                format!("two histories: two checkpoints over the first {size} lines of {origin} state different roots"),
                "Both are evidence: keep them. Somebody holds the key who should not, or two logs were written under one name.",
            ),
            Self::Rewritten { since, size } => (
                match since {
                    Some(seq) => format!(
                        "rewritten: the {size} lines before this checkpoint do not give the root that it states; up to \
                         record {seq} an earlier one still holds"
                    ),
                    None => format!("rewritten: the {size} lines before this checkpoint do not give the root that it states"),
                },
                "The links between the lines hold, so somebody computed them anew. Keep the file, and get these records from \
                 another sink or the log store.",
            ),
            Self::ContradictsPublished { source, size } => (
                format!("rewritten: the first {size} lines do not give the root that {source} states"),
                "The links between the lines hold, so somebody computed them anew. Keep the file, and get these records from \
                 another sink or the log store.",
            ),
            Self::Miscounted { stated, found } => (
                format!("this checkpoint speaks of {stated} lines, and {found} stand before it"),
                KEEP_AND_ASK,
            ),
            Self::NumberFell { expected } => (
                format!("this record's number should be {expected}: numbers count up by one"),
                "The links hold, so the log was computed anew by somebody. Keep it and compare it with another copy.",
            ),
            Self::AnotherLogsCheckpoint { origin } => {
                (format!("this checkpoint is of another log, {origin}"), KEEP_AND_COMPARE)
            }
            Self::Note(problem) => (format!("this checkpoint cannot be read: {problem}"), KEEP_AND_COMPARE),
            Self::UnreadableRecord => {
                ("this record about the log itself is not written as ours are".into(), KEEP_AND_COMPARE)
            }
            Self::SignatureWrong => (
                "the signature of this checkpoint is wrong: a key that you gave did not sign this text".into(),
                KEEP_AND_COMPARE,
            ),
            Self::UnknownKey => ("this checkpoint is signed by none of the keys that you gave".into(), ASK_THE_KEY),
            Self::PublishedSignature { source, problem } => (format!("{source}: {problem}"), ASK_THE_KEY),
            Self::TailShort { source, size, found } => (
                format!("the end is missing: {source} knows {size} lines of this log, here are {found}"),
                "If this copy was taken before that, take a new one. If not, the end was cut off: keep the file and look for \
                 the rest in the log store.",
            ),
            Self::TailCutBeforeNextLife { seq } => (
                format!("the end is missing or changed: the next life of this replica found it ending in record {seq}"),
                KEEP_AND_ASK,
            ),
            Self::NotSigned => {
                ("no checkpoint that a given key signed covers any of this log".into(), ASK_THE_KEY)
            }
            Self::Foreign { lines } => (
                format!("{} not a record: another program's, or a collector put something before it", are(*lines)),
                "Give the lines as the sink wrote them. If they are mixed with other output, as `kubectl logs` does it, add \
                 --mixed.",
            ),
            Self::TooManyLogs => (
                "there are more logs in these files than can be followed at once; the others were not looked at".into(),
                "Verify the files of fewer replicas at a time.",
            ),
            Self::LifeMissing { life } => (
                format!(
                    "the whole log of life {life} is missing: this one follows it, and an earlier one of the same replica is \
                     here"
                ),
                GIVE_ALL,
            ),
            Self::BeginningMissing => ("the beginning is missing: this is not the first line of its log".into(), GIVE_ALL),
            Self::BeginningKeptNoLonger { told_at } => (
                format!("the beginning was deleted by the log's own rules of how long to keep, as {} tells", at(told_at)),
                READ_ON,
            ),
            Self::LossTold { first, last, records } => (
                format!("{records} of the records {first} to {last} were lost, as the log itself tells here"),
                "The sink was too slow or down: look at latchkey_audit_dropped_total and at another sink.",
            ),
            Self::LossMiscounted { told, missing } => (
                format!("the log tells of {told} lost records here, and {missing} are missing"),
                "Keep the file and look at another sink; if the files are all here, report it as a bug.",
            ),
            Self::LossUntold { first, last } => (
                format!("{} never written here, and the log does not tell why", records(*first, *last)),
                "Look at another sink; if the log goes on, report it as a bug.",
            ),
            Self::Torn => (
                "the last line is torn: its process or machine went down while it was written".into(),
                "Nothing was granted on it: a grant is answered once its line is whole.",
            ),
            Self::Unclean => (
                "the log ends without audit.stopped: its process was killed or crashed, and refusals that waited to be \
                 written are lost"
                    .into(),
                READ_ON,
            ),
            Self::UnsignedTail { records, seconds } => (
                format!("the last {records} records ({seconds} s) are covered by no signed checkpoint"),
                "Wait for the next checkpoint (60 s at most) and take a new copy; of a log that has ended, get the checkpoint \
                 from the cluster (--checkpoint).",
            ),
            Self::PassedOver { lines } => (format!("{} not a record and passed over", are(*lines)), READ_ON),
            Self::GivenTwice => ("the same log was given more than once".into(), READ_ON),
            Self::NotAmongTheFiles { source, origin } => {
                (format!("{source} is about {origin}, which is not among the files"), "Give its files to have it checked.")
            }
        }
    }
}

fn missing(first: u64, last: u64, between_files: bool) -> (String, &'static str) {
    let what = if first > last {
        "a line about the log itself is missing before this line".to_owned()
    } else {
        format!("{} missing before this line, and nothing tells why", records(first, last).replace("were", "are"))
            .replace("was missing", "is missing")
    };
    if between_files { (format!("{what}; a file may have been left out"), GIVE_ALL) } else { (what, KEEP_AND_ASK) }
}

fn records(first: u64, last: u64) -> String {
    if first == last { format!("record {first} was") } else { format!("records {first} to {last} were") }
}

fn are(lines: u64) -> String {
    if lines == 1 { "this line is".to_owned() } else { format!("{lines} lines from here on are") }
}

fn were(lines: u64) -> String {
    if lines == 1 { "this line was".to_owned() } else { format!("{lines} lines from here on were") }
}

fn stand(lines: u64) -> String {
    if lines == 1 { "this line stands".to_owned() } else { format!("{lines} lines from here on stand") }
}
