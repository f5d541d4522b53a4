//! A directory that is ours alone: files are read and replaced without following links.
//!
//! Who may open it is what the user's profile says (`files`).

use std::fs::{self, File, Metadata, OpenOptions};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, Read as _, Write as _};
use std::os::windows::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use thiserror::Error;

/// A session with a large ID token is 40 KiB, a discovery document with its keys at most 2 MiB and a little.
const FILE_MAX_BYTES: u64 = 3 * 1024 * 1024;

/// Longer than any note: three numbers and their names.
const NOTE_BYTES: usize = 160;

/// Old entries looked at in one sweep; a directory with more is swept by the next runs.
const SWEEP_MAX_ENTRIES: usize = 256;

/// Old entries removed in one sweep: the person is waiting for kubectl.
const SWEEP_MAX_REMOVALS: usize = 8;

/// A file cannot be replaced while somebody (a reader, a virus scanner) has it open: so often it is tried again.
const RENAME_ATTEMPTS: u32 = 40;

/// Between two tries; all together a second.
const RENAME_PAUSE: Duration = Duration::from_millis(25);

/// `FILE_FLAG_OPEN_REPARSE_POINT`: a link is opened itself, not what it leads to.
const OPEN_REPARSE_POINT: u32 = 0x0020_0000;

/// `FILE_ATTRIBUTE_REPARSE_POINT`.
const IS_REPARSE_POINT: u32 = 0x0000_0400;

/// Why a directory or file is not used.
#[derive(Debug, Error)]
pub(crate) enum StoreError {
    /// The file system said no.
    #[error("{path}: {source}")]
    Io {
        /// The directory or file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// A link or a directory.
    #[error("{path} is not a plain file of its own; remove it")]
    NotAFile {
        /// The entry.
        path: PathBuf,
    },
    /// Not written by us.
    #[error("{path} is larger than {FILE_MAX_BYTES} bytes; remove it")]
    TooLarge {
        /// The entry.
        path: PathBuf,
    },
}

/// A directory of the user's.
#[derive(Debug)]
pub(crate) struct Dir {
    path: PathBuf,
}

impl Dir {
    /// Opens an existing directory, or says that there is none.
    ///
    /// # Errors
    /// When it is a link or cannot be looked at.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>, StoreError> {
        match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_dir() && !is_link(&metadata) => Ok(Some(Self { path: path.to_owned() })),
            Ok(_) => Err(StoreError::NotAFile { path: path.to_owned() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::Io { path: path.to_owned(), source }),
        }
    }

    /// Opens the directory, made first if need be, with its parents.
    ///
    /// # Errors
    /// As `open`, and when it cannot be made.
    pub(crate) fn create(path: &Path) -> Result<Self, StoreError> {
        let io = |source| StoreError::Io { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(io)?;
        Self::open(path)?.ok_or_else(|| io(io::ErrorKind::NotFound.into()))
    }

    /// The whole file, if there is one.
    ///
    /// # Errors
    /// When it is not a plain file, is too large or cannot be read.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path.join(name);
        let io = |source| StoreError::Io { path: path.clone(), source };
        let file = match OpenOptions::new().read(true).custom_flags(OPEN_REPARSE_POINT).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io(error)),
        };
        // Checked on the handle, not the path: what is checked is what is read.
        let metadata = file.metadata().map_err(io)?;
        if !metadata.is_file() || is_link(&metadata) {
            return Err(StoreError::NotAFile { path });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(metadata.len().min(FILE_MAX_BYTES)).unwrap_or(0) + 1);
        file.take(FILE_MAX_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
        if bytes.len() as u64 > FILE_MAX_BYTES {
            return Err(StoreError::TooLarge { path });
        }
        Ok(Some(bytes))
    }

    /// Puts a whole new file in place of the old one, if any. A reader sees the old one or the new one, never a part.
    ///
    /// `durable` also survives a power cut: losing a rotated refresh token costs a login.
    ///
    /// # Errors
    /// When it cannot be written. The old file is then still there.
    pub(crate) fn replace(&self, name: &str, bytes: &[u8], durable: bool) -> Result<(), StoreError> {
        let (path, temporary) = (self.path.join(name), self.path.join(format!("{name}.{:016x}", random_u64())));
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&temporary)
            .and_then(|mut file| {
                file.write_all(bytes)?;
                if durable { file.sync_all() } else { Ok(()) }
            })
            .and_then(|()| rename(&temporary, &path));
        written.map_err(|source| {
            let _best_effort = fs::remove_file(&temporary);
            StoreError::Io { path, source }
        })
    }

    /// Makes a file unless there is one of that name. Whether we made it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn make(&self, name: &str, bytes: &[u8]) -> Result<bool, StoreError> {
        let path = self.path.join(name);
        let made = OpenOptions::new().write(true).create_new(true).open(&path);
        match made.and_then(|mut file| file.write_all(bytes)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(source) => Err(StoreError::Io { path, source }),
        }
    }

    /// Writes a short note over the old one, in place. A note is lost or half written without harm.
    ///
    /// # Errors
    /// When the file is a link, or cannot be written.
    pub(crate) fn note(&self, name: &str, text: &str) -> Result<(), StoreError> {
        let path = self.path.join(name);
        let io = |source| StoreError::Io { path: path.clone(), source };
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .custom_flags(OPEN_REPARSE_POINT)
            .open(&path)
            .map_err(io)?;
        let metadata = file.metadata().map_err(io)?;
        if !metadata.is_file() || is_link(&metadata) {
            return Err(StoreError::NotAFile { path });
        }
        // All of one length, so that nothing of the old one remains behind.
        let padded = format!("{text:<NOTE_BYTES$}");
        file.write_all(padded.as_bytes()).map_err(io)
    }

    /// Removes a file; one that is not there is removed already.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub(crate) fn remove(&self, name: &str) -> Result<(), StoreError> {
        let path = self.path.join(name);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(StoreError::Io { path, source }),
            _ => Ok(()),
        }
    }

    /// A file to lock, made if need be and never removed: whoever removed it would leave others with a lock on nothing.
    /// Never the data itself: locks are mandatory here, and would shut readers out.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) fn lock_file(&self, name: &str) -> Result<File, StoreError> {
        let path = self.path.join(name);
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .custom_flags(OPEN_REPARSE_POINT)
            .open(&path)
            .map_err(|source| StoreError::Io { path, source })
    }

    /// Where a file of this name stands, for messages.
    pub(crate) fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Names in the directory, at most `max` of them, in no order.
    pub(crate) fn names(&self, max: usize) -> Vec<String> {
        let Ok(entries) = fs::read_dir(&self.path) else { return Vec::new() };
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).take(max).collect()
    }

    /// Removes a few files of `these` names that nobody has written since `before` (seconds since the epoch).
    pub(crate) fn sweep(&self, before: i64, these: impl Fn(&str) -> bool) {
        let Ok(entries) = fs::read_dir(&self.path) else { return };
        let old = entries.flatten().take(SWEEP_MAX_ENTRIES).filter(|entry| {
            these(&entry.file_name().to_string_lossy())
                && entry.metadata().is_ok_and(|metadata| {
                    metadata.is_file() && metadata.modified().is_ok_and(|written| seconds(written) < before)
                })
        });
        for entry in old.take(SWEEP_MAX_REMOVALS) {
            let _best_effort = fs::remove_file(entry.path());
        }
    }
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    let mut attempts = 0;
    loop {
        match fs::rename(from, to) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && attempts < RENAME_ATTEMPTS => {
                attempts += 1;
                thread::sleep(RENAME_PAUSE);
            }
            ended => return ended,
        }
    }
}

fn is_link(metadata: &Metadata) -> bool {
    metadata.file_attributes() & IS_REPARSE_POINT != 0
}

fn seconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// A name that nobody can guess, from the standard library's hash keys, which the operating system gives.
fn random_u64() -> u64 {
    RandomState::new().build_hasher().finish()
}
