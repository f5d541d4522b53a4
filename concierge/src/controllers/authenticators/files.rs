//! Authenticators from a folder of files, in place of the API: looked at again and again, and told whole when it changed.
//!
//! What a file says counts once two looks in a row found the same: a manifest that is just being written may lack the
//! very rule that keeps somebody out, and still be well formed. A file that cannot be used admits nobody by what it held
//! before, for nobody knows what its author wants; the other files go on as if nothing had happened.

mod ledger;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::Duration,
};

use futures::stream::{self, BoxStream, StreamExt as _};
use tokio::time::{sleep, timeout};

use self::ledger::Ledger;
pub(super) use self::ledger::{Declared, Listing, Wrong};
use crate::convert::{MAX_MANIFEST_BYTES, MAX_MANIFESTS, ManifestKind};

/// How long the first looks may differ from each other: nobody writes manifests for longer.
const FIRST_LIMIT: Duration = Duration::from_secs(10);

/// Most files. One for each object is the usual way, and of those there may be as many.
const MAX_FILES: usize = MAX_MANIFESTS;

/// Most names in the folder, whatever they are: beyond this it is not a folder of manifests.
const MAX_NAMES: usize = 4_096;

/// Most bytes of all files together. A fleet's authenticators have some hundred KiB.
const MAX_FOLDER_BYTES: usize = 4 * MAX_MANIFEST_BYTES;

/// Kustomize's own file may stand beside the manifests that it lists; these are its names.
const KUSTOMIZATIONS: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// A folder that was read once, and holds an authenticator at least.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    pace: Pace,
    contents: Contents,
    ledger: Ledger,
    listing: Listing,
}

/// How often the folder is looked at. There is no better way than to look: a mounted `ConfigMap` changes by a swapped
/// link, and a network's file system tells of nothing.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Between two looks.
    pub look: Duration,
    /// Between the look that found a change and the one that must find the same.
    pub settle: Duration,
}

/// Why nobody could log in by such a folder.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// No manifest in it.
    #[error("{0} holds no file that ends in .yaml, .yml or .json: put JWTAuthenticator manifests there")]
    Empty(PathBuf),
    /// It was never the same twice.
    #[error("{0} keeps changing: expected that its files are written, not being written")]
    Restless(PathBuf),
    /// It cannot be listed.
    #[error("{folder} cannot be read: {why}")]
    Unreadable {
        /// The folder.
        folder: PathBuf,
        /// Why.
        why: String,
    },
    /// No file has an authenticator; those that are wrong are told.
    #[error("{folder} holds no authenticator that can be read{}", list(.wrong))]
    Unusable {
        /// The folder.
        folder: PathBuf,
        /// What is wrong.
        wrong: Vec<Wrong>,
    },
}

/// What one look found: each file's bytes or what is wrong with it; or why there is no list of files.
type Contents = Result<BTreeMap<String, Result<Vec<u8>, FileProblem>>, String>;

/// Why a file cannot be used, before anybody has looked into it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum FileProblem {
    #[error("more than {MAX_FOLDER_BYTES} bytes in all files of the folder together: move some elsewhere")]
    FolderFull,
    #[error("is no file: expected a file, or a link to one")]
    NoFile,
    #[error("more than {MAX_MANIFEST_BYTES} bytes: split it")]
    TooLarge,
    #[error("more than {MAX_FILES} files in the folder: put several objects into one file")]
    TooManyFiles,
    #[error("cannot be read: {0}")]
    Unreadable(String),
}

// === impl Folder ===

impl Folder {
    /// Reads `path` for the first time.
    ///
    /// # Errors
    /// When there is no such folder, or nothing in it that could ever admit anybody. A file that is wrong beside others
    /// that are right is logged, and no reason to lock everybody out.
    pub async fn open(path: PathBuf, pace: Pace) -> Result<Self, FolderError> {
        let nothing = Err(String::new());
        let contents = timeout(FIRST_LIMIT, settled(|| look(path.clone()), pace, &nothing)).await;
        let contents = contents.map_err(|_| FolderError::Restless(path.clone()))?;
        match &contents {
            Err(why) => return Err(FolderError::Unreadable { folder: path, why: why.clone() }),
            Ok(files) if files.is_empty() => return Err(FolderError::Empty(path)),
            Ok(_) => {}
        }
        let mut ledger = Ledger::default();
        let listing = ledger.take(&contents);
        if listing.declared.iter().all(|declared| declared.kind == ManifestKind::Fleet) {
            return Err(FolderError::Unusable { folder: path, wrong: listing.wrong });
        }
        Ok(Self { path, pace, contents, ledger, listing })
    }

    /// What the folder holds now, and from then on whenever it changed. It never ends.
    pub(super) fn listings(self) -> BoxStream<'static, Listing> {
        stream::unfold((self, true), |(mut folder, first)| async move {
            let before = if first { Vec::new() } else { folder.next().await };
            tell(&folder.path, &before, &folder.listing.wrong);
            Some((folder.listing.clone(), (folder, false)))
        })
        .boxed()
    }

    /// Waits until the folder has changed, and returns what was wrong before.
    async fn next(&mut self) -> Vec<Wrong> {
        loop {
            sleep(self.pace.look).await;
            let contents = settled(|| look(self.path.clone()), self.pace, &self.contents).await;
            if contents != self.contents {
                let listing = self.ledger.take(&contents);
                self.contents = contents;
                return std::mem::replace(&mut self.listing, listing).wrong;
            }
        }
    }
}

// === impl Pace ===

impl Default for Pace {
    /// A change is in force within three seconds, and an idle folder costs next to nothing. A tenth of a second is longer
    /// than writing a manifest takes, once it has begun.
    fn default() -> Self {
        Self { look: Duration::from_secs(2), settle: Duration::from_millis(100) }
    }
}

/// What two looks in a row agree on; `known` needs no second look.
async fn settled<L: Future<Output = Contents>>(look: impl Fn() -> L, pace: Pace, known: &Contents) -> Contents {
    let mut seen = look().await;
    while seen != *known {
        sleep(pace.settle).await;
        let again = look().await;
        if again == seen {
            break;
        }
        seen = again;
    }
    seen
}

async fn look(path: PathBuf) -> Contents {
    let looked = tokio::task::spawn_blocking(move || contents(&path)).await;
    // Only if it panicked or the runtime ends.
    looked.unwrap_or_else(|error| Err(error.to_string()))
}

/// One look. Links are followed: a mounted `ConfigMap` is made of them.
fn contents(folder: &Path) -> Contents {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| error.to_string())? {
        names.push(entry.map_err(|error| error.to_string())?.file_name());
        if names.len() > MAX_NAMES {
            return Err(format!("it holds more than {MAX_NAMES} names: give the manifests a folder of their own"));
        }
    }
    // A name that is no text ends in no ending of ours.
    let mut names: Vec<String> = names.into_iter().filter_map(|name| name.into_string().ok()).collect();
    names.retain(|name| is_manifest(name) && !folder.join(name).is_dir());
    names.sort_unstable();
    let mut room = MAX_FOLDER_BYTES;
    let files = names.into_iter().enumerate().map(|(position, name)| {
        let content = if position < MAX_FILES { read(&folder.join(&name)) } else { Err(FileProblem::TooManyFiles) };
        let content = content.and_then(|bytes| {
            room = room.checked_sub(bytes.len()).ok_or(FileProblem::FolderFull)?;
            Ok(bytes)
        });
        (name, content)
    });
    Ok(files.collect())
}

fn is_manifest(name: &str) -> bool {
    let ending = [".yaml", ".yml", ".json"].iter().any(|ending| name.ends_with(ending));
    ending && !name.starts_with('.') && !KUSTOMIZATIONS.contains(&name)
}

fn read(file: &Path) -> Result<Vec<u8>, FileProblem> {
    let unreadable = |error: io::Error| FileProblem::Unreadable(error.to_string());
    // Before it is opened: opening a pipe waits for somebody who writes.
    if !fs::metadata(file).map_err(unreadable)?.is_file() {
        return Err(FileProblem::NoFile);
    }
    let mut bytes = Vec::new();
    let most = MAX_MANIFEST_BYTES as u64;
    File::open(file).map_err(unreadable)?.take(most + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > MAX_MANIFEST_BYTES { Err(FileProblem::TooLarge) } else { Ok(bytes) }
}

/// Logs what has become wrong and what has been mended, each once.
fn tell(folder: &Path, before: &[Wrong], now: &[Wrong]) {
    let folder = folder.display();
    for Wrong { file, problem } in now.iter().filter(|wrong| !before.contains(wrong)) {
        tracing::error!(%folder, file, problem, "Cannot use a file; the authenticators in it admit nobody until it is mended");
    }
    for Wrong { file, .. } in before.iter().filter(|wrong| now.iter().all(|still| still.file != wrong.file)) {
        tracing::info!(%folder, file, "File mended");
    }
}

fn list(wrong: &[Wrong]) -> String {
    let each: Vec<_> = wrong.iter().map(|Wrong { file, problem }| format!("{file}: {problem}")).collect();
    if each.is_empty() { ": put JWTAuthenticator manifests there".to_owned() } else { format!(": {}", each.join("; ")) }
}

#[cfg(test)]
mod tests;
