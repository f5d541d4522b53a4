//! One login at a time: an advisory lock that is waited for with a deadline and a word about who holds it.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::output::{Output, Printable};

/// Between two attempts: not noticed by a person, nothing for the processor.
const RETRY: Duration = Duration::from_millis(50);

/// Waiting is worth a word only when it takes longer than a silent refresh usually does.
const SILENT_WAIT: Duration = Duration::from_millis(700);

/// A process id in decimal is shorter.
const HOLDER_MAX_BYTES: u64 = 20;

/// The lock; released when dropped, and by the kernel when we die.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
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
    /// This file system has no locks (some network file systems): we go on without.
    Unsupported,
}

/// Waits for the lock at most until `patience` is over.
pub(crate) async fn acquire(mut file: File, patience: Duration, output: &Output) -> Waited {
    let started = Instant::now();
    let mut told = false;
    let mut waited = false;
    loop {
        match file.try_lock() {
            Ok(()) => {
                let _only_for_messages = write_holder(&mut file);
                return Waited::Locked { lock: Lock { _file: file }, waited };
            }
            Err(TryLockError::WouldBlock) => waited = true,
            Err(TryLockError::Error(_)) => return Waited::Unsupported,
        }
        if started.elapsed() >= patience {
            return Waited::TimedOut(holder(&mut file));
        }
        if !told && started.elapsed() >= SILENT_WAIT {
            told = true;
            let pid = holder(&mut file).unwrap_or_else(|| "unknown".to_owned());
            output.say(&format!("Waiting for another login of yours to finish (process {})", Printable(&pid)));
        }
        sleep(RETRY).await;
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
    use crate::output::Talk;
    use crate::platform::dir::Dir;

    #[tokio::test]
    async fn the_second_waits_and_is_told_who_holds_it() {
        let place = test_directory();
        let dir = Dir::create(&place.path().join("d")).unwrap();
        let output = Output::new(Talk::Not);
        let open = || dir.lock_file("entry.lock").unwrap();
        let first = acquire(open(), Duration::from_secs(1), &output).await;
        let Waited::Locked { lock, waited: false } = first else { panic!("nobody else is here: {first:?}") };
        let second = acquire(open(), Duration::ZERO, &output).await;
        let Waited::TimedOut(Some(pid)) = second else { panic!("it is held: {second:?}") };
        assert_eq!(pid, std::process::id().to_string());
        drop(lock);
        let third = acquire(open(), Duration::from_secs(1), &output).await;
        assert!(matches!(third, Waited::Locked { waited: false, .. }), "{third:?}");
    }
}
