//! What a piece of the log says when it is read again: who wrote it, from which number to which, and how it ends.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read as _, Seek as _, SeekFrom},
    path::Path,
};

use serde::Deserialize;

use super::names::Form;
use crate::audit::{
    chain::{Head, LINE_LIMIT},
    event::{BySeverity, Kind, Severity},
};

/// What was found in a piece, or in its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    /// The first line of ours.
    pub(super) first: Option<Line>,
    /// The last.
    pub(super) last: Option<Line>,
    /// The hash of the last whole line.
    pub(super) head: Option<Head>,
    /// It ends as a log does that was told to stop, and nothing comes after.
    pub(super) is_ended: bool,
    /// Events, by how much a person should care; records about the log are not among them.
    pub(super) events: BySeverity,
}

/// A line, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Line {
    pub(super) seq: u64,
    pub(super) life: u64,
    pub(super) replica: String,
    pub(super) time: jiff::Timestamp,
    kind: String,
    severity: String,
}

/// What is read of a plain file's end: room for two lines, whatever comes before them.
const TAIL: u64 = 8 * LINE_LIMIT as u64;

/// Reads all of a piece.
///
/// # Errors
/// When it cannot be read; a compressed one also when it was damaged.
pub(super) fn read(path: &Path, form: Form) -> io::Result<Contents> {
    let file = File::open(path)?;
    match form {
        Form::Plain => contents(BufReader::new(file)),
        Form::Compressed => contents(BufReader::new(zstd::Decoder::new(file)?)),
    }
}

/// Reads the first line and the end of a piece; of a compressed one, all.
///
/// # Errors
/// As [`read`].
pub(super) fn read_ends(path: &Path, form: Form) -> io::Result<Contents> {
    if form == Form::Compressed {
        return read(path, form);
    }
    let mut file = File::open(path)?;
    let first = contents(BufReader::new((&file).take(LINE_LIMIT as u64)))?.first;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut reader = BufReader::new(file);
    if length > TAIL {
        reader.skip_until(b'\n')?;
    }
    Ok(Contents { first, ..contents(reader)? })
}

fn contents(mut reader: impl BufRead) -> io::Result<Contents> {
    let mut found = Contents::default();
    let mut stopped = false;
    let mut text = Vec::new();
    loop {
        text.clear();
        // What is longer is no line of ours; its rest is read as further lines that are none either.
        let count = reader.by_ref().take(LINE_LIMIT as u64).read_until(b'\n', &mut text)?;
        if count == 0 {
            return Ok(found);
        }
        found.is_ended = false;
        let Some(line) = text.strip_suffix(b"\n") else {
            continue;
        };
        let Ok(read) = serde_json::from_slice::<Line>(line) else {
            stopped = false;
            continue;
        };
        found.is_ended = read.is(Kind::AuditStopped) || stopped && read.is(Kind::AuditCheckpoint);
        stopped = read.is(Kind::AuditStopped);
        found.head = Some(Head::of_line(line));
        if !read.kind.starts_with("audit.") {
            let severity = Severity::ALL.into_iter().find(|severity| severity.as_str() == read.severity);
            found.events.add(severity.unwrap_or(Severity::Info), 1);
        }
        found.first.get_or_insert_with(|| read.clone());
        found.last = Some(read);
    }
}

impl Line {
    fn is(&self, kind: Kind) -> bool {
        self.kind == kind.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::chain::{Chain, Identity};

    fn log(kinds: &[&str]) -> (Chain, Vec<u8>) {
        let identity = Identity { cluster: "staging".into(), replica: "one".into(), life: 5 };
        let (mut chain, mut out) = (Chain::new(&identity, None), Vec::new());
        for (seq, kind) in (0..).zip(kinds) {
            let body = format!(r#""time":"2026-11-21T01:02:03.412345Z","kind":"{kind}","severity":"low""#);
            chain.append(seq, body.as_bytes(), &mut out);
        }
        (chain, out)
    }

    #[test]
    fn both_ends_and_the_events_between_are_found() {
        let (chain, text) = log(&["audit.started", "token.refused", "token.refused", "audit.stopped"]);
        let found = contents(text.as_slice()).unwrap();
        assert_eq!(found.head, Some(chain.head()));
        assert_eq!((found.first.unwrap().seq, found.last.unwrap().seq), (0, 3));
        assert_eq!((found.events.low, found.events.total()), (2, 2));
        assert!(found.is_ended);
    }

    #[test]
    fn only_the_end_of_a_log_is_an_end() {
        for (kinds, tail, ended) in [
            (&["audit.started", "audit.stopped", "audit.checkpoint"][..], "", true),
            (&["audit.started", "audit.stopped", "token.refused"], "", false),
            (&["audit.started", "audit.checkpoint"], "", false),
            (&["audit.started", "audit.stopped"], "{\"v\":1,\"se", false),
            (&["audit.started", "audit.stopped"], "not ours\n", false),
            (&[], "", false),
        ] {
            let (chain, mut text) = log(kinds);
            text.extend_from_slice(tail.as_bytes());
            let found = contents(text.as_slice()).unwrap();
            assert_eq!(found.is_ended, ended, "{kinds:?} {tail:?}");
            assert_eq!(found.head.is_some(), !kinds.is_empty());
            assert!(found.head.is_none_or(|head| head == chain.head()));
        }
    }

    #[test]
    fn of_a_long_file_only_the_ends_are_read() {
        let (_, mut text) = log(&["audit.started"]);
        let long = vec!["token.refused"; 3_000];
        text.extend(log(&long).1);
        let path = std::env::temp_dir().join(format!("latchkey-ends-{}", uuid::Uuid::new_v4()));
        std::fs::write(&path, &text).unwrap();
        let (ends, all) = (read_ends(&path, Form::Plain).unwrap(), read(&path, Form::Plain).unwrap());
        std::fs::remove_file(path).unwrap();
        assert_eq!((ends.first, ends.last, ends.head), (all.first, all.last, all.head));
        assert!(ends.events.total() < 1_000 && all.events.total() == 3_000);
    }
}
