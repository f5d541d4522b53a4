//! Merges entries into the reader's kubeconfig: each where its name stands already, new ones where kubectl would put them.

mod edit;
mod files;
mod json;
mod layout;
mod lock;
mod plan;

use std::path::PathBuf;

pub(super) use self::files::{Files, home};
use self::lock::Locks;
pub(super) use self::plan::{EXEC_EXTENSION, Guard, Wish, Wishes};
use super::file;
use crate::failure::{Failure, Status};

/// Another writer may come between looking and locking, but not for ever.
const ATTEMPTS: usize = 3;

/// Merges. Says what changed, a line for each entry; nothing if everything was there.
///
/// # Errors
/// When an entry is somebody else's, a file cannot be understood, locked or written. Files not yet written stay.
pub(super) fn merge(files: &Files, wishes: &Wishes) -> Result<Vec<String>, Failure> {
    let mut planned = plan::plan(&files.read()?, files.target(), wishes)?;
    let mut done = Vec::new();
    'attempts: for _ in 0..ATTEMPTS {
        if planned.is_empty() {
            return Ok(done);
        }
        let locked: Vec<PathBuf> = planned.iter().map(|change| change.path.clone()).collect();
        let _locks = Locks::take(locked.iter().cloned())?;
        // What was read before the lock may be old.
        planned = plan::plan(&files.read()?, files.target(), wishes)?;
        if planned.iter().all(|change| locked.contains(&change.path)) {
            for change in &mut planned {
                if !file::replace(&change.path, &change.text, change.before.as_deref())? {
                    continue 'attempts;
                }
                done.append(&mut change.words);
            }
            return Ok(done);
        }
    }
    Err(Failure::new(Status::General, "the kubeconfig files change faster than they can be read").hint("try again"))
}

/// Says what a merge would change, and writes nothing.
///
/// # Errors
/// As `merge`, but for locks and writing.
pub(super) fn rehearse(files: &Files, wishes: &Wishes) -> Result<Vec<String>, Failure> {
    Ok(plan::plan(&files.read()?, files.target(), wishes)?.into_iter().flat_map(|change| change.words).collect())
}

/// Names of contexts that this command did not write.
///
/// # Errors
/// When a file cannot be understood.
pub(super) fn foreign_contexts(files: &Files) -> Result<Vec<String>, Failure> {
    Ok(plan::foreign_contexts(&files.read()?))
}
