//! Records about the log itself, read whole: they say what the log owes.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::chain::Head;

/// Most heads of other replicas in one checkpoint that are looked at: a line of 8 KiB has no room for more.
const MAX_OTHERS: usize = 256;

/// What a record is, as far as the log's soundness depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Something happened.
    Event,
    /// The log began.
    Started(Started),
    /// The log ended in order.
    Stopped,
    /// Records are missing, and this says so.
    Gap(Gap),
    /// The log was signed.
    Checkpoint(Checkpoint),
    /// A record about the log that is not written as ours are.
    Unreadable,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Started {
    #[serde(default)]
    pub(super) sink: Option<String>,
    #[serde(default)]
    pub(super) previous: Option<PreviousLife>,
    #[serde(default)]
    pub(super) unclean: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct PreviousLife {
    pub(super) replica: String,
    pub(super) life: u64,
    pub(super) seq: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    /// By the log's own rules of how long to keep, not because something went wrong.
    pub(super) is_retention: bool,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) dropped: u64,
    /// The hash of the last line that was deleted.
    pub(super) head: Option<Head>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Checkpoint {
    pub(super) note: String,
    #[serde(default)]
    pub(super) tree: Vec<String>,
    #[serde(default)]
    pub(super) others: Vec<Other>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Other {
    pub(super) origin: String,
    pub(super) size: u64,
    pub(super) root: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenGap {
    reason: String,
    seq_first: u64,
    seq_last: u64,
    #[serde(default)]
    dropped: BTreeMap<String, u64>,
    #[serde(default)]
    head: Option<String>,
}

impl Content {
    /// The content of a line whose kind begins with `audit.`, or of an event without looking into it.
    pub(super) fn read(kind: &[u8], line: &[u8]) -> Self {
        fn whole<'a, T: Deserialize<'a>>(line: &'a [u8], content: impl FnOnce(T) -> Content) -> Content {
            serde_json::from_slice(line).map_or(Content::Unreadable, content)
        }
        match kind {
            b"audit.started" => whole(line, Self::Started),
            b"audit.stopped" => Self::Stopped,
            b"audit.gap" => whole(line, |written: WrittenGap| Self::gap(&written)),
            b"audit.checkpoint" => whole(line, |mut checkpoint: Checkpoint| {
                checkpoint.others.truncate(MAX_OTHERS);
                Self::Checkpoint(checkpoint)
            }),
            kind if kind.starts_with(b"audit.") => Self::Unreadable,
            _ => Self::Event,
        }
    }

    fn gap(written: &WrittenGap) -> Self {
        let head = match written.head.as_deref().map(str::parse) {
            None => None,
            Some(Ok(head)) => Some(head),
            Some(Err(_)) => return Self::Unreadable,
        };
        Self::Gap(Gap {
            is_retention: written.reason == "retention",
            first: written.seq_first,
            last: written.seq_last,
            dropped: written.dropped.values().fold(0, |sum, count| sum.saturating_add(*count)),
            head,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_records_about_the_log_are_looked_into() {
        let read = |kind: &str, line: &str| Content::read(kind.as_bytes(), line.as_bytes());
        assert_eq!(read("token.refused", "not even JSON"), Content::Event);
        assert_eq!(read("audit.stopped", "{}"), Content::Stopped);
        assert_eq!(read("audit.started", "{}"), Content::Started(Started::default()));
        assert_eq!(read("audit.started", "{"), Content::Unreadable);
        assert_eq!(read("audit.other", "{}"), Content::Unreadable);
        let gap = r#"{"reason":"overflow","seqFirst":5,"seqLast":9,"dropped":{"info":2,"low":1}}"#;
        let expected = Gap { is_retention: false, first: 5, last: 9, dropped: 3, head: None };
        assert_eq!(read("audit.gap", gap), Content::Gap(expected));
        assert_eq!(read("audit.gap", &gap.replace("}}", r#"},"head":"x"}"#)), Content::Unreadable);
        let twice = r#"{"note":"a","note":"b"}"#;
        assert_eq!(read("audit.checkpoint", twice), Content::Unreadable);
    }
}
