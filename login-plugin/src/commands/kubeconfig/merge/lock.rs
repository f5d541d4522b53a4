//! kubectl's own lock on a kubeconfig: a file `<kubeconfig>.lock`, made by whoever writes and removed afterwards.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::failure::{Failure, Status};

/// kubectl holds it for some milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// The locks held; given back when dropped.
#[derive(Debug)]
pub(super) struct Locks {
    held: Vec<PathBuf>,
}

impl Locks {
    /// Locks all of the files, always in the same order so that two writers cannot wait for each other.
    ///
    /// A linked kubeconfig is locked under both its names: another program may know either.
    ///
    /// # Errors
    /// When one stays locked, or its directory takes no lock.
    pub(super) fn take(files: impl IntoIterator<Item = PathBuf>) -> Result<Self, Failure> {
        Self::take_within(files, PATIENCE)
    }

    fn take_within(files: impl IntoIterator<Item = PathBuf>, patience: Duration) -> Result<Self, Failure> {
        let names: BTreeSet<PathBuf> = files
            .into_iter()
            .flat_map(|file| {
                let resolved = fs::canonicalize(&file).ok();
                // `./config` and its full name are one file as long as no link is between them.
                let linked = fs::symlink_metadata(&file).is_ok_and(|metadata| metadata.is_symlink());
                let other = resolved.filter(|_| linked);
                [Some(file), other].into_iter().flatten()
            })
            .map(|file| lock_name(&file))
            .collect();
        let mut locks = Self { held: Vec::new() };
        for name in names {
            wait_for(&name, patience)?;
            locks.held.push(name);
        }
        Ok(locks)
    }
}

impl Drop for Locks {
    fn drop(&mut self) {
        for name in &self.held {
            let _best_effort = fs::remove_file(name);
        }
    }
}

fn lock_name(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

fn wait_for(name: &Path, patience: Duration) -> Result<(), Failure> {
    if let Some(directory) = name.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(directory).map_err(|error| refused(name, &error))?;
    }
    for look in 0..=patience.as_millis() / PAUSE.as_millis() {
        if look > 0 {
            thread::sleep(PAUSE);
        }
        match OpenOptions::new().write(true).create_new(true).open(name) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(refused(name, &error)),
        }
    }
    Err(Failure::new(
        Status::General,
        format!("the kubeconfig is locked: {} is there for more than {patience:?}", name.display()),
    )
    .hint(format!("nothing was written; if no kubectl is at work, its last one was killed: rm {}", name.display())))
}

fn refused(name: &Path, error: &io::Error) -> Failure {
    Failure::new(Status::General, format!("cannot make the lock {}: {error}", name.display()))
        .hint("nothing was written; choose a file that you may write with --output FILE")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::cache::test_directory;

    #[test]
    fn a_lock_is_waited_for_and_given_back() {
        let place = test_directory();
        let file = place.path().join("config");
        let lock = place.path().join("config.lock");
        fs::write(&lock, "").unwrap();
        let failure = Locks::take_within([file.clone()], PAUSE).unwrap_err();
        assert!(failure.message.contains("config.lock"), "{failure}");
        assert!(failure.hint.unwrap().contains("rm "));
        assert!(lock.exists(), "it is somebody else's");
        let releasing = thread::spawn({
            let lock = lock.clone();
            move || fs::remove_file(lock).unwrap()
        });
        let locks = Locks::take([file]).unwrap();
        releasing.join().unwrap();
        assert!(lock.exists());
        drop(locks);
        assert!(!lock.exists());
    }

    #[test]
    fn a_linked_file_is_locked_under_both_names() {
        let place = test_directory();
        let [real, link] = ["real", "link"].map(|name| place.path().join(name));
        fs::write(&real, "").unwrap();
        symlink(&real, &link).unwrap();
        let locks = Locks::take([link]).unwrap();
        assert!(place.path().join("real.lock").exists() && place.path().join("link.lock").exists());
        drop(locks);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 2);
    }
}
