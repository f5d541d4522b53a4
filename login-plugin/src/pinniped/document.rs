//! A YAML file that the stock program reads and writes too: changed under its own lock, and replaced whole.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::platform::dir::{Dir, StoreError};
use crate::time::UnixTime;

/// The only version there is.
const API_VERSION: &str = "config.supervisor.pinniped.dev/v1alpha1";

/// The stock program holds the lock for one read and one write, and waits for it as long and as often.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// See above.
const LOCK_RETRY: Duration = Duration::from_millis(10);

/// A list of entries in a file.
#[derive(Debug)]
pub(super) struct Document {
    path: PathBuf,
    kind: &'static str,
    list: &'static str,
}

/// Why the file is not used.
#[derive(Debug, Error)]
pub(crate) enum DocumentError {
    /// Something else.
    #[error("{} holds something else and is left alone", .0.display())]
    Foreign(PathBuf),
    /// Somebody keeps it locked.
    #[error("{} stays locked by another process", .0.display())]
    Locked(PathBuf),
    /// A path that leads to no file.
    #[error("{} is no file's name", .0.display())]
    Name(PathBuf),
    /// The file system, or a file that is not ours alone.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Of a release that we do not know: left as it is.
    #[error("{} is of another version and left alone", .0.display())]
    Version(PathBuf),
}

/// Entries as they stand in the file, fields that we do not know included.
pub(super) type Entries = Vec<Map<String, Value>>;

/// What came of a look at the entries.
pub(super) enum Then<T> {
    /// Nothing to write.
    Leave(T),
    /// The entries have changed.
    Write(T),
}

impl Document {
    pub(super) const fn new(path: PathBuf, kind: &'static str, list: &'static str) -> Self {
        Self { path, kind, list }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Looks at the entries, and may change them; the file need not be there.
    ///
    /// # Errors
    /// When it cannot be used.
    pub(super) fn change<T>(&self, look: impl FnOnce(&mut Entries) -> Then<T>) -> Result<T, DocumentError> {
        self.in_directory(Dir::create(self.parent())?, look)
    }

    /// The same for a file that is there, and nothing where none is.
    ///
    /// # Errors
    /// When it cannot be used.
    pub(super) fn change_existing<T>(
        &self,
        look: impl FnOnce(&mut Entries) -> Then<Option<T>>,
    ) -> Result<Option<T>, DocumentError> {
        match Dir::open(self.parent())? {
            Some(dir) if self.path.exists() => self.in_directory(dir, look),
            _ => Ok(None),
        }
    }

    fn in_directory<T>(&self, dir: Dir, look: impl FnOnce(&mut Entries) -> Then<T>) -> Result<T, DocumentError> {
        let name = self.path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| DocumentError::Name(self.path.clone()))?;
        // Where nothing can be written there is nobody to be kept out either.
        let gate = dir.lock_file(&format!("{name}.lock")).ok();
        if let Some(gate) = &gate {
            self.acquire(gate)?;
        }
        // A link to the file (of people who keep their settings in one place) is followed, and stays.
        let linked = fs::canonicalize(&self.path).ok().filter(|real| real.file_name() != self.path.file_name());
        let (dir, name) = match linked.as_deref().map(|real| (real.parent(), real.file_name())) {
            Some((Some(parent), Some(name))) => {
                let missing = || DocumentError::Name(self.path.clone());
                (Dir::open(parent)?.ok_or_else(missing)?, name.to_str().ok_or_else(missing)?.to_owned())
            }
            _ => (dir, name.to_owned()),
        };
        let mut rest = match dir.read(&name)? {
            None => self.empty(),
            Some(bytes) => self.read(&Zeroizing::new(bytes))?,
        };
        let mut entries = match rest.remove(self.list) {
            Some(Value::Array(entries)) => entries
                .into_iter()
                .filter_map(|entry| if let Value::Object(entry) = entry { Some(entry) } else { None })
                .collect(),
            _ => Vec::new(),
        };
        match look(&mut entries) {
            Then::Leave(found) => Ok(found),
            Then::Write(found) => {
                // The oldest first, as the stock program has them.
                entries.sort_by_key(|entry| time(entry, "creationTimestamp"));
                rest.insert(self.list.to_owned(), Value::Array(entries.into_iter().map(Value::Object).collect()));
                let text = serde_norway::to_string(&rest).expect("strings, lists and maps always serialize");
                dir.replace(&name, Zeroizing::new(text).as_bytes(), true)?;
                Ok(found)
            }
        }
    }

    /// Damaged text is as good as none, and so it is to the stock program. But a flag of somebody else's kubeconfig may name
    /// any file of the person's: what was never such a list stays.
    fn read(&self, bytes: &[u8]) -> Result<Map<String, Value>, DocumentError> {
        let Ok(Value::Object(document)) = serde_norway::from_slice(bytes) else {
            let text = String::from_utf8_lossy(bytes);
            let begins = |line: &str| {
                line.strip_prefix(self.list).is_some_and(|rest| rest.starts_with(':'))
                    || line.starts_with("apiVersion: config.supervisor.")
            };
            return if text.trim().is_empty() || text.lines().any(begins) {
                Ok(self.empty())
            } else {
                Err(DocumentError::Foreign(self.path.clone()))
            };
        };
        let is = |member: &str, expected: &str| document.get(member).and_then(Value::as_str) == Some(expected);
        if !is("apiVersion", API_VERSION) || !is("kind", self.kind) {
            return Err(DocumentError::Version(self.path.clone()));
        }
        Ok(document)
    }

    fn empty(&self) -> Map<String, Value> {
        let document = [("apiVersion", json!(API_VERSION)), ("kind", json!(self.kind))];
        document.map(|(member, value)| (member.to_owned(), value)).into_iter().collect()
    }

    fn acquire(&self, gate: &File) -> Result<(), DocumentError> {
        let started = Instant::now();
        loop {
            match gate.try_lock() {
                // Some network file systems have no locks: we go on without.
                Ok(()) | Err(TryLockError::Error(_)) => return Ok(()),
                Err(TryLockError::WouldBlock) if started.elapsed() >= LOCK_PATIENCE => {
                    return Err(DocumentError::Locked(self.path.clone()));
                }
                Err(TryLockError::WouldBlock) => thread::sleep(LOCK_RETRY),
            }
        }
    }

    fn parent(&self) -> &Path {
        self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }
}

/// A timestamp of an entry; none if there is none, which Go writes as `null`.
pub(super) fn time(entry: &Map<String, Value>, member: &str) -> Option<UnixTime> {
    entry.get(member)?.as_str().and_then(UnixTime::parse_rfc3339)
}

/// A text of an entry that is not empty.
pub(super) fn text<'e>(entry: &'e Map<String, Value>, member: &str) -> Option<&'e str> {
    entry.get(member)?.as_str().filter(|text| !text.is_empty())
}
