//! The piece of the log that is written to: whole batches or nothing, by one process, and still where it should be.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::{
    disk::Disk,
    names::{Form, Naming, Piece},
    reading::{self, Contents},
};
use crate::{
    audit::{
        chain::{Head, Identity},
        event::{BySeverity, Gap, GapReason, PreviousLife, Started},
        sink::output::Batch,
    },
    time::{Clock, UnixTime},
};

/// Readable and writable by us alone: a record names people.
const MODE: u32 = 0o600;

/// Most pieces with one name; they would be as many lives that did nothing but begin.
const MAX_COPIES: u32 = 10_000;

/// The file that lines are appended to.
pub(super) struct Segment<D> {
    disk: D,
    naming: Naming,
    identity: Identity,
    clock: Arc<dyn Clock>,
    file: File,
    /// Device and inode, to notice that somebody put another file in its place.
    id: (u64, u64),
    /// Bytes of whole batches.
    whole: u64,
    /// There may be bytes behind them that have still to be cut off.
    is_torn: bool,
    since: Instant,
    tally: Option<Tally>,
    /// What was deleted under us and has not been told yet.
    lost: Vec<Gap>,
    /// How much of that was handed out to be told.
    telling: usize,
    /// Held as long as anything of ours works here.
    lock: Arc<File>,
}

/// What the life before left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::audit::sink) struct Predecessor {
    /// The hash of its last whole line.
    pub(in crate::audit::sink) head: Option<Head>,
    /// What the first line of this life says of it.
    pub(in crate::audit::sink) started: Started,
}

/// Where a batch went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whereabouts {
    /// Into a file that was begun for it, because the one before is gone or is no longer what we wrote.
    New,
    /// Behind the batch before.
    Same,
}

/// What a file holds.
struct Tally {
    from: UnixTime,
    seq_first: u64,
    seq_last: u64,
    head: Head,
    events: BySeverity,
}

impl<D: Disk> Segment<D> {
    /// Takes the file for us alone, moves away what is there, and begins a new one.
    ///
    /// # Errors
    /// When another process writes there, or a file cannot be read, moved or made.
    pub(super) fn open(
        path: &Path,
        identity: &Identity,
        clock: Arc<dyn Clock>,
        disk: D,
    ) -> io::Result<(Self, Predecessor)> {
        let naming = naming(path)?;
        let lock = lock(&naming)?;
        let predecessor = predecessor(&naming)?;
        set_aside(&naming, identity)?;
        let (file, id) = begin(&naming)?;
        let segment = Self {
            disk,
            naming,
            identity: identity.clone(),
            clock,
            file,
            id,
            whole: 0,
            is_torn: false,
            since: Instant::now(),
            tally: None,
            lost: Vec::new(),
            telling: 0,
            lock: Arc::new(lock),
        };
        Ok((segment, predecessor))
    }

    pub(super) const fn naming(&self) -> &Naming {
        &self.naming
    }

    /// What is to be held by whoever works here for us.
    pub(super) fn lock(&self) -> Arc<File> {
        Arc::clone(&self.lock)
    }

    /// How much has been written.
    pub(super) const fn bytes(&self) -> u64 {
        self.whole
    }

    /// How long ago it was begun, whatever the clock says.
    pub(super) fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// What was deleted under us, to be told.
    pub(super) fn lost(&mut self) -> &[Gap] {
        self.telling = self.lost.len();
        &self.lost
    }

    /// That has been told; what was noticed since has not.
    pub(super) fn told(&mut self) {
        self.lost.drain(..std::mem::take(&mut self.telling));
    }

    /// Appends a batch, whole or not at all.
    pub(super) fn write(&mut self, batch: &Batch, sync: bool) -> io::Result<Whereabouts> {
        let whereabouts = self.look()?;
        let outcome = self.append(batch.text()).and_then(|()| if sync { self.disk.sync(&self.file) } else { Ok(()) });
        if let Err(error) = outcome {
            // Should that fail too, it is done before anything else is written.
            self.is_torn = true;
            let _ = self.cut();
            return Err(error);
        }
        self.whole += batch.text().len() as u64;
        self.count(batch);
        Ok(whereabouts)
    }

    /// Closes what was written so far under its own name, and begins anew.
    pub(super) fn rotate(&mut self) -> io::Result<()> {
        if self.look()? == Whereabouts::New {
            return Ok(());
        }
        self.disk.sync(&self.file)?;
        let seq = self.tally.as_ref().map_or(0, |tally| tally.seq_first);
        let piece = Piece::new(&self.identity.replica, self.identity.life, seq);
        fs::rename(self.naming.current(), free(&self.naming, &piece)?)?;
        // Should this fail, the next look finds no file where there should be one.
        self.begin_anew()
    }

    fn append(&mut self, text: &[u8]) -> io::Result<()> {
        let mut left = text;
        while !left.is_empty() {
            match self.disk.append(&self.file, left) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => left = &left[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn cut(&mut self) -> io::Result<()> {
        if self.is_torn {
            self.disk.truncate(&self.file, self.whole)?;
            self.is_torn = false;
        }
        Ok(())
    }

    /// Makes sure that the file is where it should be and as long as we made it.
    fn look(&mut self) -> io::Result<Whereabouts> {
        self.cut()?;
        match fs::metadata(self.naming.current()) {
            Ok(found) if (found.dev(), found.ino()) == self.id && found.len() == self.whole => {
                return Ok(Whereabouts::Same);
            }
            Ok(_) => {
                tracing::warn!(
                    file = %self.naming.current().display(),
                    "Somebody else changed or replaced the audit log's file; it is moved aside, and a new one is begun"
                );
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                tracing::warn!(
                    file = %self.naming.current().display(),
                    "The audit log's file is gone from its place; a new one is begun"
                );
            }
            Err(error) => return Err(error),
        }
        let is_deleted = self.file.metadata()?.nlink() == 0;
        set_aside(&self.naming, &self.identity)?;
        let tally = self.tally.take();
        if let Err(error) = self.begin_anew() {
            self.tally = tally;
            return Err(error);
        }
        if let Some(tally) = tally.filter(|_| is_deleted) {
            self.lost.push(tally.gone(self.clock.now()));
        }
        Ok(Whereabouts::New)
    }

    fn begin_anew(&mut self) -> io::Result<()> {
        (self.file, self.id) = begin(&self.naming)?;
        (self.whole, self.is_torn, self.since, self.tally) = (0, false, Instant::now(), None);
        Ok(())
    }

    fn count(&mut self, batch: &Batch) {
        let (Some(first), Some(last)) = (batch.lines().first(), batch.lines().last()) else {
            return;
        };
        let head = Head::of_line(last.text.strip_suffix(b"\n").unwrap_or(&last.text));
        let tally = self.tally.get_or_insert_with(|| Tally {
            from: self.clock.now(),
            seq_first: first.seq,
            seq_last: last.seq,
            head,
            events: BySeverity::default(),
        });
        (tally.seq_last, tally.head) = (last.seq, head);
        for line in batch.lines().iter().filter(|line| !line.kind.as_str().starts_with("audit.")) {
            tally.events.add(line.severity, 1);
        }
    }
}

impl Tally {
    fn gone(self, now: UnixTime) -> Gap {
        Gap {
            reason: GapReason::SinkFailed,
            from: self.from,
            to: now,
            seq_first: self.seq_first,
            seq_last: self.seq_last,
            dropped: self.events,
            head: Some(self.head.to_string()),
        }
    }
}

/// The latest life of which anything is left at this path: in the file itself, or in the name of a closed piece.
///
/// # Errors
/// When the folder or the file cannot be read.
pub(super) fn last_life(path: &Path) -> io::Result<Option<u64>> {
    let naming = naming(path)?;
    let contents = left(&naming)?.unwrap_or_default();
    let lines = contents.first.iter().chain(&contents.last).map(|line| line.life).max();
    Ok(lines.max(newest(&naming)?.map(|piece| piece.life)))
}

/// Where the path is a link, what it leads to is moved and made, not the link.
fn naming(path: &Path) -> io::Result<Naming> {
    Naming::of(&fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()))
}

/// Two that write would tear each other's chain.
fn lock(naming: &Naming) -> io::Result<File> {
    let path = naming.lock();
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(MODE).open(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(io::Error::new(
            io::ErrorKind::ResourceBusy,
            format!("another process writes to this audit log: it holds {}", path.display()),
        )),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// What was written last, by whomever: in the file itself or, if there is none, in the newest closed piece.
fn predecessor(naming: &Naming) -> io::Result<Predecessor> {
    let left = left(naming)?;
    let is_foreign = left.as_ref().is_some_and(|contents| contents.last.is_none());
    let contents = match left.filter(|contents| contents.last.is_some()) {
        Some(contents) => contents,
        None => match newest(naming)? {
            Some(piece) => reading::read_ends(&naming.path(&piece), piece.form)?,
            None => Contents::default(),
        },
    };
    let unclean = is_foreign || contents.last.is_some() && !contents.is_ended;
    let previous = contents.last.map(|last| PreviousLife { replica: last.replica, life: last.life, seq: last.seq });
    Ok(Predecessor { head: contents.head, started: Started { previous, unclean, ..Started::default() } })
}

/// What is in the file itself, if there is one.
fn left(naming: &Naming) -> io::Result<Option<Contents>> {
    let current = naming.current();
    match fs::metadata(&current) {
        Ok(metadata) if metadata.len() > 0 => reading::read_ends(&current, Form::Plain).map(Some),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn newest(naming: &Naming) -> io::Result<Option<Piece>> {
    let mut newest = None;
    for entry in fs::read_dir(naming.folder())? {
        let piece = entry?.file_name().to_str().and_then(|name| naming.piece(name));
        newest = newest.max(piece);
    }
    Ok(newest)
}

/// Moves away what lies where our file shall be, as it is: a torn end is evidence.
fn set_aside(naming: &Naming, identity: &Identity) -> io::Result<()> {
    let current = naming.current();
    match fs::metadata(&current) {
        Ok(metadata) if metadata.len() == 0 => return fs::remove_file(current),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    let first = reading::read_ends(&current, Form::Plain)?.first;
    let piece =
        first.map_or_else(|| Piece::unreadable(identity), |line| Piece::new(&line.replica, line.life, line.seq));
    fs::rename(current, free(naming, &piece)?)
}

/// A path of this piece that is not taken, in either form.
fn free(naming: &Naming, piece: &Piece) -> io::Result<PathBuf> {
    for copy in 0..MAX_COPIES {
        let piece = Piece { copy, ..piece.clone() };
        let path = naming.path(&piece);
        if !path.try_exists()? && !naming.path(&piece.in_form(Form::Compressed)).try_exists()? {
            return Ok(path);
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("too many files like {}", naming.path(piece).display())))
}

/// A new empty file in a folder that remembers it.
fn begin(naming: &Naming) -> io::Result<(File, (u64, u64))> {
    let file = OpenOptions::new().append(true).create_new(true).mode(MODE).open(naming.current())?;
    File::open(naming.folder())?.sync_all()?;
    let metadata = file.metadata()?;
    Ok((file, (metadata.dev(), metadata.ino())))
}
