//! A directory that is ours alone: files are read and replaced without following links or trusting foreign hands.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File, Metadata};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use thiserror::Error;

/// A session with a large ID token is 40 KiB, a discovery document with its keys at most 2 MiB and a little.
const FILE_MAX_BYTES: u64 = 3 * 1024 * 1024;

/// Longer than any note: three numbers and their names.
const NOTE_BYTES: usize = 160;

/// Old entries looked at in one sweep; a directory with more is swept by the next runs.
const SWEEP_MAX_ENTRIES: usize = 256;

/// Old entries removed in one sweep: the person is waiting for kubectl.
const SWEEP_MAX_REMOVALS: usize = 8;

/// Why a directory or file is not used.
#[derive(Debug, Error)]
pub(crate) enum StoreError {
    /// Somebody else owns it: it may hold anything.
    #[error("{path} belongs to user {owner}, not to you (user {us}); remove it or give it back")]
    Foreign {
        /// The directory or file.
        path: PathBuf,
        /// Its owner's id.
        owner: u32,
        /// Our id.
        us: u32,
    },
    /// The file system said no.
    #[error("{path}: {source}")]
    Io {
        /// The directory or file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Others may read or write it.
    #[error("{path} can be used by others (mode {mode:04o}); run: chmod {wanted:o} {path}")]
    Loose {
        /// The directory or file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// What they should be.
        wanted: u32,
    },
    /// A symbolic link, pipe, device, directory or a file with a second name.
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

/// An open directory. Everything goes through its handle: it is checked once and cannot be exchanged under our feet.
#[derive(Debug)]
pub(crate) struct Dir {
    path: PathBuf,
    handle: OwnedFd,
}

impl Dir {
    /// Opens an existing directory, or says that there is none.
    ///
    /// # Errors
    /// When it is not ours alone to write, or cannot be opened.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>, StoreError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(handle) => handle,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(Self::io(path.to_owned(), errno)),
        };
        let directory = File::from(handle);
        let metadata = directory.metadata().map_err(|source| StoreError::Io { path: path.to_owned(), source })?;
        ours(path, &metadata)?;
        // Others may look at the names, which are hashes, but not add or exchange entries.
        if metadata.mode() & 0o022 != 0 {
            return Err(StoreError::Loose { path: path.to_owned(), mode: metadata.mode() & 0o7777, wanted: 0o700 });
        }
        Ok(Some(Self { path: path.to_owned(), handle: directory.into() }))
    }

    /// Opens the directory, made first if need be, with its parents.
    ///
    /// # Errors
    /// As `open`, and when it cannot be made.
    pub(crate) fn create(path: &Path) -> Result<Self, StoreError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|source| StoreError::Io { path: path.to_owned(), source })?;
        Self::open(path)?.ok_or_else(|| Self::io(path.to_owned(), Errno::NOENT))
    }

    /// The whole file, if there is one.
    ///
    /// # Errors
    /// When it is not a private plain file of ours, is too large or cannot be read.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path.join(name);
        // NONBLOCK: opening a pipe without a writer would wait for ever.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&self.handle, name, flags, Mode::empty()) {
            Ok(handle) => File::from(handle),
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP | Errno::MLINK) => return Err(StoreError::NotAFile { path }),
            Err(errno) => return Err(Self::io(path, errno)),
        };
        let metadata = file.metadata().map_err(|source| StoreError::Io { path: path.clone(), source })?;
        // Checked on the handle, not the path: what is checked is what is read.
        if !metadata.is_file() || metadata.nlink() > 1 {
            return Err(StoreError::NotAFile { path });
        }
        ours(&path, &metadata)?;
        if metadata.mode() & 0o077 != 0 {
            return Err(StoreError::Loose { path, mode: metadata.mode() & 0o7777, wanted: 0o600 });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(metadata.len().min(FILE_MAX_BYTES)).unwrap_or(0) + 1);
        file.take(FILE_MAX_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(|source| StoreError::Io { path: path.clone(), source })?;
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
        let temporary = format!("{name}.{:016x}", random_u64());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(&self.handle, &temporary, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| Self::io(self.path.join(&temporary), errno))?;
        let written = write_all(File::from(handle), bytes, durable)
            .and_then(|()| rustix::fs::renameat(&self.handle, &temporary, &self.handle, name).map_err(io::Error::from));
        written.map_err(|source| {
            let _best_effort = rustix::fs::unlinkat(&self.handle, &temporary, AtFlags::empty());
            StoreError::Io { path: self.path.join(name), source }
        })?;
        if durable {
            // The new name is in the directory, and that is written separately. The file is already good to be read, so a file
            // system that syncs no directories (some FUSE ones) is no failure.
            let _best_effort = rustix::fs::fsync(&self.handle);
        }
        Ok(())
    }

    /// Makes a file unless there is one of that name. Whether we made it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn make(&self, name: &str, bytes: &[u8]) -> Result<bool, StoreError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.handle, name, flags, Mode::RUSR | Mode::WUSR) {
            Ok(handle) => {
                let written = write_all(File::from(handle), bytes, false);
                written.map_err(|source| StoreError::Io { path: self.path.join(name), source })?;
                Ok(true)
            }
            Err(Errno::EXIST) => Ok(false),
            Err(errno) => Err(Self::io(self.path.join(name), errno)),
        }
    }

    /// Writes a short note over the old one, in place: several times cheaper than a rename, which makes some file systems
    /// (ext4) put the data on the disk first. A note is lost or half written without harm.
    ///
    /// # Errors
    /// When the file is not ours, or cannot be written.
    pub(crate) fn note(&self, name: &str, text: &str) -> Result<(), StoreError> {
        let path = || self.path.join(name);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(&self.handle, name, flags, Mode::RUSR | Mode::WUSR);
        let mut file = handle.map(File::from).map_err(|errno| Self::io(path(), errno))?;
        let metadata = file.metadata().map_err(|source| StoreError::Io { path: path(), source })?;
        if !metadata.is_file() || metadata.nlink() > 1 {
            return Err(StoreError::NotAFile { path: path() });
        }
        ours(&path(), &metadata)?;
        // All of one length, so that nothing of the old one remains behind.
        let padded = format!("{text:<NOTE_BYTES$}");
        file.write_all(padded.as_bytes()).map_err(|source| StoreError::Io { path: path(), source })
    }

    /// Removes a file; one that is not there is removed already.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub(crate) fn remove(&self, name: &str) -> Result<(), StoreError> {
        match rustix::fs::unlinkat(&self.handle, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(Self::io(self.path.join(name), errno)),
        }
    }

    /// A file to lock, made if need be and never removed: whoever removed it would leave others with a lock on nothing.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) fn lock_file(&self, name: &str) -> Result<File, StoreError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        rustix::fs::openat(&self.handle, name, flags, Mode::RUSR | Mode::WUSR)
            .map(File::from)
            .map_err(|errno| Self::io(self.path.join(name), errno))
    }

    /// Where a file of this name stands, for messages.
    pub(crate) fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Names in the directory, at most `max` of them, in no order.
    pub(crate) fn names(&self, max: usize) -> Vec<String> {
        let Ok(entries) = rustix::fs::Dir::read_from(&self.handle) else { return Vec::new() };
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name != "." && name != "..").take(max).collect()
    }

    /// Removes a few files of `these` names that nobody has written since `before` (seconds since the epoch).
    pub(crate) fn sweep(&self, before: i64, these: impl Fn(&str) -> bool) {
        let Ok(entries) = rustix::fs::Dir::read_from(&self.handle) else { return };
        let old = entries.flatten().take(SWEEP_MAX_ENTRIES).filter(|entry| {
            these(&entry.file_name().to_string_lossy())
                && rustix::fs::statat(&self.handle, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| {
                    rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file() && stat.st_mtime < before
                })
        });
        for entry in old.take(SWEEP_MAX_REMOVALS) {
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            let _best_effort = rustix::fs::unlinkat(&self.handle, name, AtFlags::empty());
        }
    }

    fn io(path: PathBuf, errno: Errno) -> StoreError {
        StoreError::Io { path, source: errno.into() }
    }
}

fn write_all(mut file: File, bytes: &[u8], durable: bool) -> io::Result<()> {
    file.write_all(bytes)?;
    if durable { file.sync_all() } else { Ok(()) }
}

fn ours(path: &Path, metadata: &Metadata) -> Result<(), StoreError> {
    let us = rustix::process::geteuid().as_raw();
    if metadata.uid() == us {
        Ok(())
    } else {
        Err(StoreError::Foreign { path: path.to_owned(), owner: metadata.uid(), us })
    }
}

/// A name that nobody can guess, from the standard library's hash keys, which the operating system gives.
///
/// Not from aws-lc, whose generator spends 25 ms on collecting entropy when it is first used: ten times the warm path.
fn random_u64() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;
    use crate::cache::test_directory;

    fn kind<T: std::fmt::Debug>(result: Result<T, StoreError>) -> &'static str {
        match result.expect_err("expected a refusal") {
            StoreError::Foreign { .. } => "foreign",
            StoreError::Io { .. } => "io",
            StoreError::Loose { .. } => "loose",
            StoreError::NotAFile { .. } => "not a file",
            StoreError::TooLarge { .. } => "too large",
        }
    }

    #[test]
    fn written_files_are_private_and_whole() {
        let place = test_directory();
        let dir = Dir::create(&place.path().join("a/b")).unwrap();
        for bytes in [b"one".as_slice(), b"two, longer", b""] {
            dir.replace("entry", bytes, true).unwrap();
            assert_eq!(dir.read("entry").unwrap().as_deref(), Some(bytes));
        }
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&place.path().join("a/b")), 0o700);
        assert_eq!(mode(&place.path().join("a/b/entry")), 0o600);
        assert_eq!(fs::read_dir(place.path().join("a/b")).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn refuses_links_pipes_directories_and_second_names() {
        let place = test_directory();
        let dir = Dir::create(&place.path().join("d")).unwrap();
        let at = |name: &str| place.path().join("d").join(name);
        dir.replace("real", b"secret", false).unwrap();
        symlink("real", at("link")).unwrap();
        fs::create_dir(at("directory")).unwrap();
        rustix::fs::mknodat(&dir.handle, "pipe", rustix::fs::FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        assert_eq!(kind(dir.read("link")), "not a file");
        assert_eq!(kind(dir.read("directory")), "not a file");
        assert_eq!(kind(dir.read("pipe")), "not a file");
        fs::hard_link(at("real"), at("second")).unwrap();
        assert_eq!(kind(dir.read("second")), "not a file");
    }

    #[test]
    fn refuses_loose_permissions() {
        let place = test_directory();
        let path = place.path().join("d");
        let dir = Dir::create(&path).unwrap();
        dir.replace("entry", b"secret", false).unwrap();
        fs::set_permissions(path.join("entry"), fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(kind(dir.read("entry")), "loose");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(kind(Dir::open(&path)), "loose");
    }

    #[test]
    fn refuses_what_is_too_large_to_be_ours() {
        let place = test_directory();
        let dir = Dir::create(&place.path().join("d")).unwrap();
        dir.replace("entry", &vec![b' '; 3 * 1024 * 1024 + 1], false).unwrap();
        assert_eq!(kind(dir.read("entry")), "too large");
    }

    #[test]
    fn replacing_a_link_leaves_its_target_alone() {
        let place = test_directory();
        let dir = Dir::create(&place.path().join("d")).unwrap();
        let target = place.path().join("target");
        fs::write(&target, "untouched").unwrap();
        symlink(&target, place.path().join("d/entry")).unwrap();
        dir.replace("entry", b"ours", false).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "untouched");
        assert_eq!(dir.read("entry").unwrap().as_deref(), Some(b"ours".as_slice()));
    }

    #[test]
    fn what_is_missing_is_no_error() {
        let place = test_directory();
        assert!(Dir::open(&place.path().join("none")).unwrap().is_none());
        let dir = Dir::create(&place.path().join("d")).unwrap();
        assert!(dir.read("none").unwrap().is_none());
        dir.remove("none").unwrap();
    }

    #[test]
    fn a_note_is_written_over_and_never_through_a_link() {
        let place = test_directory();
        let dir = Dir::create(&place.path().join("d")).unwrap();
        for text in ["a longer note", "note"] {
            dir.note("n", text).unwrap();
            assert_eq!(String::from_utf8(dir.read("n").unwrap().unwrap()).unwrap().trim_end(), text);
        }
        let target = place.path().join("target");
        fs::write(&target, "untouched").unwrap();
        symlink(&target, place.path().join("d/link")).unwrap();
        assert_eq!(kind(dir.note("link", "note")), "io");
        fs::hard_link(&target, place.path().join("d/second")).unwrap();
        assert_eq!(kind(dir.note("second", "note")), "not a file");
        assert_eq!(fs::read_to_string(&target).unwrap(), "untouched");
    }

    #[test]
    fn sweep_removes_only_the_old() {
        let place = test_directory();
        let dir = Dir::create(&place.path().join("d")).unwrap();
        dir.replace("old", b"", false).unwrap();
        dir.replace("new", b"", false).unwrap();
        let old = File::options().write(true).open(place.path().join("d/old")).unwrap();
        old.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1000)).unwrap();
        dir.sweep(2000, |name| name != "old");
        assert!(dir.read("old").unwrap().is_some());
        dir.sweep(2000, |_| true);
        assert!(dir.read("old").unwrap().is_none());
        assert!(dir.read("new").unwrap().is_some());
    }
}
