//! Closed pieces of the log: compressed at leisure, and deleted when they have had their time and the log says so.
//!
//! One thread of low priority does it, so that the sink never waits for it. At every moment each piece is on the disk
//! whole: the plain one goes only once the compressed one is complete, has its name and is synced. A deletion is told first,
//! as an `audit.gap` with the last hash of what goes; then it is done.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, UNIX_EPOCH},
};

use super::{
    Keep,
    names::{Form, Naming, Piece},
    reading,
    retention::{Kept, overdue},
};
use crate::{
    audit::event::{Gap, GapReason},
    time::{Clock, UnixTime},
};

/// How often ages are looked at when nothing is rotated.
const LOOK_EVERY: Duration = Duration::from_mins(10);

/// Gains most of what zstd can on JSON lines, at over 100 MB/s.
const LEVEL: i32 = 3;

/// Bytes that are compressed in one go: a few milliseconds.
const PIECE: usize = 256 << 10;

/// How much the thread stands back for others: half of what is possible.
const NICE: i32 = 10;

/// A handle to the thread, which ends with it.
pub(super) struct Archive {
    bell: SyncSender<()>,
    desk: Arc<Mutex<Desk>>,
    /// What is being told.
    telling: Vec<PathBuf>,
}

/// What lies between the thread and the sink.
#[derive(Default)]
struct Desk {
    /// To be told.
    planned: Vec<Doomed>,
    /// Told, to be deleted.
    told: Vec<PathBuf>,
    /// Between the two; nothing new is planned meanwhile.
    is_telling: bool,
}

struct Doomed {
    path: PathBuf,
    gap: Gap,
}

/// The thread's own.
struct Keeper {
    naming: Naming,
    keep: Keep,
    clock: Arc<dyn Clock>,
    desk: Arc<Mutex<Desk>>,
    /// Until this ends nobody else may work here.
    _lock: Arc<File>,
}

// === impl Archive ===

impl Archive {
    /// Starts the thread, which at once tidies what an earlier life left.
    pub(super) fn start(naming: Naming, lock: Arc<File>, keep: Keep, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let desk = Arc::default();
        let (bell, rung) = sync_channel(1);
        let keeper = Keeper { naming, keep, clock, desk: Arc::clone(&desk), _lock: lock };
        thread::Builder::new().name("audit-archive".to_owned()).spawn(move || keeper.run(&rung))?;
        let archive = Self { bell, desk, telling: Vec::new() };
        archive.look();
        Ok(archive)
    }

    /// There is a new piece.
    pub(super) fn look(&self) {
        // Rung already: it will look.
        let _ = self.bell.try_send(());
    }

    /// What is to be told before it is deleted.
    pub(super) fn gaps(&mut self) -> Vec<Gap> {
        let planned = {
            let mut desk = lock(&self.desk);
            desk.is_telling |= !desk.planned.is_empty();
            std::mem::take(&mut desk.planned)
        };
        let tell = |Doomed { path, gap }| {
            self.telling.push(path);
            gap
        };
        planned.into_iter().map(tell).collect()
    }

    /// It is told.
    pub(super) fn gaps_written(&mut self) {
        if self.telling.is_empty() {
            return;
        }
        {
            let mut desk = lock(&self.desk);
            desk.told.append(&mut self.telling);
            desk.is_telling = false;
        }
        self.look();
    }
}

// === impl Keeper ===

impl Keeper {
    fn run(self, rung: &Receiver<()>) {
        // Only of this thread. Where it may not, it competes with everybody.
        let _ = rustix::process::nice(NICE);
        loop {
            match rung.recv_timeout(LOOK_EVERY) {
                Ok(()) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if let Err(error) = self.tidy() {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    folder = %self.naming.folder().display(),
                    "Old audit logs cannot be compressed or deleted"
                );
            }
        }
    }

    fn tidy(&self) -> io::Result<()> {
        let told = std::mem::take(&mut lock(&self.desk).told);
        for path in told {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => tracing::info!(file = %path.display(), "Deleted an old audit log"),
            }
        }
        // On a full disk nothing can be compressed; then deleting is all the more needed.
        let plain = self.pieces()?.into_iter().filter(|piece| piece.form == Form::Plain);
        let compressed = plain.map(|piece| self.compress(&piece)).fold(Ok(()), Result::and);
        if lock(&self.desk).is_idle() {
            let doomed = self.overdue()?;
            lock(&self.desk).planned = doomed;
        }
        compressed
    }

    /// All pieces, the oldest first; what compressions left that did not end is deleted.
    fn pieces(&self) -> io::Result<Vec<Piece>> {
        let mut pieces = Vec::new();
        for entry in fs::read_dir(self.naming.folder())? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if self.naming.is_partial(name) {
                fs::remove_file(entry.path())?;
            }
            pieces.extend(self.naming.piece(name));
        }
        pieces.sort();
        Ok(pieces)
    }

    fn compress(&self, piece: &Piece) -> io::Result<()> {
        let plain = self.naming.path(piece);
        let compressed = self.naming.path(&piece.in_form(Form::Compressed));
        // If it has its name it is whole: an earlier life ended between the two last steps.
        if !compressed.try_exists()? {
            let partial = compressed.with_extension("zst.partial");
            let mut source = File::open(&plain)?;
            let closed = source.metadata()?.modified()?;
            let target = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
            let mut encoder = zstd::Encoder::new(target, LEVEL)?;
            encoder.include_checksum(true)?;
            if !self.copy(&mut source, &mut encoder)? {
                return Ok(());
            }
            let target = encoder.finish()?;
            // Its age is that of what it holds.
            target.set_modified(closed)?;
            target.sync_all()?;
            fs::rename(partial, &compressed)?;
            self.sync_folder()?;
        }
        fs::remove_file(plain)
    }

    /// Copies all, unless nobody is left to do it for: the next life begins with what this one left undone.
    fn copy(&self, source: &mut File, target: &mut impl io::Write) -> io::Result<bool> {
        let mut piece = vec![0; PIECE];
        while Arc::strong_count(&self.desk) > 1 {
            match source.read(&mut piece) {
                Ok(0) => return Ok(true),
                Ok(count) => target.write_all(&piece[..count])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    fn overdue(&self) -> io::Result<Vec<Doomed>> {
        let mut pieces = Vec::new();
        for piece in self.pieces()? {
            let path = self.naming.path(&piece);
            let metadata = fs::metadata(&path)?;
            let closed = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
            let closed = UnixTime::from_secs(0).plus(closed);
            pieces.push((path, piece.form, Kept { bytes: metadata.len(), closed }));
        }
        let kept: Vec<_> = pieces.iter().map(|(.., kept)| *kept).collect();
        pieces.truncate(overdue(&kept, self.keep, self.clock.now()));
        pieces.into_iter().map(|(path, form, kept)| Ok(Doomed { gap: gap(&path, form, kept)?, path })).collect()
    }

    fn sync_folder(&self) -> io::Result<()> {
        File::open(self.naming.folder())?.sync_all()
    }
}

impl Desk {
    const fn is_idle(&self) -> bool {
        self.planned.is_empty() && self.told.is_empty() && !self.is_telling
    }
}

/// What will be missing. A damaged piece has had its time too; then less is known of it.
fn gap(path: &std::path::Path, form: Form, kept: Kept) -> io::Result<Gap> {
    let contents = match reading::read(path, form) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(error),
        contents => contents.unwrap_or_default(),
    };
    let time = |line: &reading::Line| UnixTime::from_micros(line.time.as_microsecond());
    Ok(Gap {
        reason: GapReason::Retention,
        from: contents.first.as_ref().map_or(kept.closed, time),
        to: contents.last.as_ref().map_or(kept.closed, time),
        seq_first: contents.first.map_or(0, |line| line.seq),
        seq_last: contents.last.map_or(0, |line| line.seq),
        dropped: contents.events,
        head: contents.head.map(|head| head.to_string()),
    })
}

fn lock(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}
