//! One login at a time: an advisory lock, or what stands in for one, that is waited for with a deadline and a word about who holds it.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::EntryName;
use super::lease::{Claimed, Lease};
use crate::output::{Output, Printable};
use crate::platform::dir::{Dir, StoreError};
use crate::time::Clock;

/// Between two attempts: not noticed by a person, nothing for the processor.
const RETRY: Duration = Duration::from_millis(50);

/// Waiting is worth a word only when it takes longer than a silent refresh usually does.
const SILENT_WAIT: Duration = Duration::from_millis(700);

/// A process id in decimal is shorter.
const HOLDER_MAX_BYTES: u64 = 20;

/// The lock; released when dropped. A lock of the kernel's also ends when we die.
#[derive(Debug)]
pub(crate) struct Lock {
    _held: Held,
}

#[derive(Debug)]
enum Held {
    File { _locked: File },
    Lease { _lease: Lease },
}

/// How waiting for the lock ended.
#[derive(Debug)]
pub(crate) enum Waited {
    /// We hold it. `waited` says whether somebody else held it before: the world may have changed.
    Locked {
        /// Keeps it locked.
        lock: Lock,
        /// Whether it was held by another process.
        waited: bool,
    },
    /// The deadline has passed; the holder's process id, if it said so.
    TimedOut(Option<String>),
}

/// What one try brought.
enum Tried {
    Got(Held),
    HeldBy(Option<String>),
}

/// Waits for the entry's lock at most until `patience` is over.
///
/// # Errors
/// When neither a lock nor a lease can be had in this directory.
pub(super) async fn acquire(
    dir: &Dir,
    name: &EntryName,
    patience: Duration,
    clock: &dyn Clock,
    output: &Output,
) -> Result<Waited, StoreError> {
    let started = Instant::now();
    let mut told = false;
    let mut waited = false;
    loop {
        let holder = match attempt(dir, name, clock).await? {
            Tried::Got(held) => return Ok(Waited::Locked { lock: Lock { _held: held }, waited }),
            Tried::HeldBy(holder) => holder,
        };
        waited = true;
        if started.elapsed() >= patience {
            return Ok(Waited::TimedOut(holder));
        }
        if !told && started.elapsed() >= SILENT_WAIT {
            told = true;
            let pid = holder.unwrap_or_else(|| "unknown".to_owned());
            output.say(&format!("Waiting for another login of yours to finish (process {})", Printable(&pid)));
        }
        sleep(RETRY).await;
    }
}

async fn attempt(dir: &Dir, name: &EntryName, clock: &dyn Clock) -> Result<Tried, StoreError> {
    let mut file = dir.lock_file(&name.file("lock"))?;
    match file.try_lock() {
        Ok(()) => {
            let _only_for_messages = write_holder(&mut file);
            Ok(Tried::Got(Held::File { _locked: file }))
        }
        Err(TryLockError::WouldBlock) => Ok(Tried::HeldBy(holder(&mut file))),
        // No locks on this file system.
        Err(TryLockError::Error(_)) => Ok(match Lease::claim(dir, &name.file("lease"), clock).await? {
            Claimed::Ours(lease) => Tried::Got(Held::Lease { _lease: lease }),
            Claimed::Held(holder) => Tried::HeldBy(holder),
        }),
    }
}

fn write_holder(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "{}", std::process::id())
}

fn holder(file: &mut File) -> Option<String> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(HOLDER_MAX_BYTES).read_to_string(&mut text).ok()?;
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::test_directory;
    use crate::cache::tests::StoppedClock;
    use crate::output::Talk;

    #[tokio::test]
    async fn the_second_waits_and_is_told_who_holds_it() {
        let place = test_directory();
        let dir = Dir::create(&place.path().join("d")).unwrap();
        let (name, output) = (EntryName::for_test("entry"), Output::new(Talk::Not));
        let acquire = async |patience| acquire(&dir, &name, patience, &StoppedClock(1000), &output).await.unwrap();
        let first = acquire(Duration::from_secs(1)).await;
        let Waited::Locked { lock, waited: false } = first else { panic!("nobody else is here: {first:?}") };
        let second = acquire(Duration::ZERO).await;
        let Waited::TimedOut(Some(pid)) = second else { panic!("it is held: {second:?}") };
        assert_eq!(pid, std::process::id().to_string());
        drop(lock);
        let third = acquire(Duration::from_secs(1)).await;
        assert!(matches!(third, Waited::Locked { waited: false, .. }), "{third:?}");
    }
}
