//! What a closed piece of the log is called, and the other way round: `<stem>-<replica>-<life>-<seqFirst>.jsonl[.zst]`.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::audit::chain::Identity;

/// Where the log lies and what its pieces are called after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Naming {
    folder: PathBuf,
    /// File name of the piece that is written to.
    current: String,
    /// That without its ending.
    stem: String,
}

/// One closed piece. Ordered as they were written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Piece {
    pub(super) life: u64,
    /// Number of its first line.
    pub(super) seq: u64,
    /// Tells pieces apart that would have the same name: the lines about the log take no number of their own.
    pub(super) copy: u32,
    pub(super) replica: String,
    pub(super) form: Form,
}

/// How a piece lies on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    Plain,
    Compressed,
}

/// What ends the name of a piece that is being compressed: worth nothing before it is whole.
pub(super) const PARTIAL: &str = ".jsonl.zst.partial";

/// The replica's name in that of a file that no line of ours begins.
pub(super) const UNREADABLE: &str = "unreadable";

/// What is kept of a replica's name: file names have 255 bytes, and pods' names 253.
const MAX_REPLICA: usize = 100;

// === impl Naming ===

impl Naming {
    /// # Errors
    /// When the path names no file.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "expected the path of a file with a name in UTF-8")
        })?;
        let stem = Path::new(name).file_stem().and_then(|stem| stem.to_str()).unwrap_or(name);
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        Ok(Self { folder, current: name.to_owned(), stem: stem.to_owned() })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The piece that is written to.
    pub(super) fn current(&self) -> PathBuf {
        self.folder.join(&self.current)
    }

    /// Held by whoever writes.
    pub(super) fn lock(&self) -> PathBuf {
        self.folder.join(format!("{}.lock", self.current))
    }

    pub(super) fn path(&self, piece: &Piece) -> PathBuf {
        let Piece { life, seq, copy, replica, form } = piece;
        let copy = if *copy == 0 { String::new() } else { format!(".{copy}") };
        let ending = match form {
            Form::Plain => ".jsonl",
            Form::Compressed => ".jsonl.zst",
        };
        self.folder.join(format!("{}-{replica}-{life}-{seq}{copy}{ending}", self.stem))
    }

    /// The piece that a file of this name is; `None` for all that is none of this log's.
    pub(super) fn piece(&self, name: &str) -> Option<Piece> {
        let rest = name.strip_prefix(self.stem.as_str())?.strip_prefix('-')?;
        let (rest, form) = match rest.strip_suffix(".jsonl.zst") {
            Some(rest) => (rest, Form::Compressed),
            None => (rest.strip_suffix(".jsonl")?, Form::Plain),
        };
        let (rest, number) = rest.rsplit_once('-')?;
        let (replica, life) = rest.rsplit_once('-')?;
        let (seq, copy) = number.split_once('.').map_or((number, Some(0)), |(seq, copy)| (seq, copy.parse().ok()));
        let piece =
            Piece { life: life.parse().ok()?, seq: seq.parse().ok()?, copy: copy?, replica: replica.to_owned(), form };
        // Only what would be called so: nothing else is ever deleted.
        (self.path(&piece).file_name()? == name).then_some(piece)
    }

    /// Whether a file of this name is what a compression left that did not end.
    pub(super) fn is_partial(&self, name: &str) -> bool {
        let plain = name.strip_suffix(PARTIAL).map(|rest| format!("{rest}.jsonl"));
        plain.is_some_and(|plain| self.piece(&plain).is_some())
    }
}

// === impl Piece ===

impl Piece {
    /// A plain piece that begins with this line.
    pub(super) fn new(replica: &str, life: u64, seq: u64) -> Self {
        let replica = replica
            .chars()
            .take(MAX_REPLICA)
            .map(|letter| if letter.is_ascii_alphanumeric() || "-._".contains(letter) { letter } else { '_' })
            .collect();
        Self { life, seq, copy: 0, replica, form: Form::Plain }
    }

    /// A piece that begins with nothing that this log wrote, found by this life.
    pub(super) fn unreadable(identity: &Identity) -> Self {
        Self::new(UNREADABLE, identity.life, 0)
    }

    /// The same piece in another form.
    pub(super) fn in_form(&self, form: Form) -> Self {
        Self { form, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_made() {
        let naming = Naming::of(Path::new("/var/log/audit.jsonl")).unwrap();
        let piece = Piece::new("latchkey-7c9f-2k", 1_795_222_800_123, 48_211);
        let path = naming.path(&piece);
        assert_eq!(path, Path::new("/var/log/audit-latchkey-7c9f-2k-1795222800123-48211.jsonl"));
        for form in [Form::Plain, Form::Compressed] {
            for copy in [0, 3] {
                let piece = Piece { copy, ..piece.in_form(form) };
                let path = naming.path(&piece);
                assert_eq!(naming.piece(path.file_name().unwrap().to_str().unwrap()), Some(piece));
            }
        }
        assert!(naming.is_partial("audit-a-1-2.jsonl.zst.partial"));
        assert_eq!(
            (naming.current(), naming.lock()),
            ("/var/log/audit.jsonl".into(), "/var/log/audit.jsonl.lock".into())
        );
    }

    #[test]
    fn nothing_else_is_taken_for_a_piece() {
        let naming = Naming::of(Path::new("audit.jsonl")).unwrap();
        for foreign in [
            "audit.jsonl",
            "audit.jsonl.lock",
            "audit-a-1-2.json",
            "audit-a-1-2.jsonl.gz",
            "audit-a-1.jsonl",
            "audit-a-01-2.jsonl",
            "audit-a-1-+2.jsonl",
            "audit-a-1-2.0.jsonl",
            "other-a-1-2.jsonl",
            "audit-a b-c.jsonl",
        ] {
            assert_eq!(naming.piece(foreign), None, "{foreign}");
            assert!(!naming.is_partial(foreign), "{foreign}");
        }
    }

    #[test]
    fn pieces_sort_as_they_were_written_and_replicas_cannot_leave_the_folder() {
        let mut pieces = [Piece::new("b", 2, 0), Piece::new("c", 1, 100), Piece::new("c", 1, 20)];
        pieces.sort();
        assert_eq!(pieces.map(|piece| (piece.life, piece.seq)), [(1, 20), (1, 100), (2, 0)]);
        assert_eq!(Piece::new("../../etc/x\n", 1, 1).replica, ".._.._etc_x_");
        assert!(Naming::of(Path::new("..")).is_err());
    }
}
