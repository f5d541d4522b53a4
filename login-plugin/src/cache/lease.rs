//! What stands in for a lock on file systems that have none (some network file systems): a file that only one can make.
//!
//! Weaker than a lock, which the kernel takes back when its holder dies: a lease says who holds it, and ends by itself.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::rooms::{parse, written};
use crate::platform::dir::{Dir, StoreError};
use crate::platform::process::{self, ProcessIdentity};
use crate::time::{Clock, UnixTime};

/// Longer than anybody holds it: five minutes for a person, and the cluster's answer.
const STALE_SECONDS: i64 = 10 * 60;

/// Two may find the same lease stale, and the slower remove the quicker one's new one: so long it has to last to count. Also
/// far more than writing it takes.
const SETTLES: Duration = Duration::from_millis(200);

/// Held until dropped.
#[derive(Debug)]
pub(super) struct Lease {
    place: PathBuf,
    file: String,
    text: Vec<u8>,
}

/// How a try to get it ended.
#[derive(Debug)]
pub(super) enum Claimed {
    /// By somebody else, with that process id.
    Held(Option<String>),
    /// It is ours.
    Ours(Lease),
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Holder {
    process: ProcessIdentity,
    /// Where that process runs: nobody else can say whether it still does.
    machine: Option<String>,
    at: UnixTime,
}

impl Lease {
    /// Tries once.
    ///
    /// # Errors
    /// When no file can be made here.
    pub(super) async fn claim(dir: &Dir, file: &str, clock: &dyn Clock) -> Result<Claimed, StoreError> {
        let ours = Holder { process: ProcessIdentity::own(), machine: process::machine(), at: clock.now() };
        let text = written(&ours);
        let lease = |text| Claimed::Ours(Self { place: dir.path_of(""), file: file.to_owned(), text });
        if dir.make(file, &text)? {
            return Ok(lease(text));
        }
        let found = dir.read(file)?;
        match found.as_deref().map(parse::<Holder>) {
            // Given back this moment.
            None => return Ok(Claimed::Held(None)),
            Some(Some(holder)) if !holder.is_stale(&ours) => {
                return Ok(Claimed::Held(Some(holder.process.pid().to_string())));
            }
            Some(Some(_stale)) => {}
            // Half a lease: being written, or its writer was killed.
            Some(None) => {
                sleep(SETTLES).await;
                if dir.read(file)? != found {
                    return Ok(Claimed::Held(None));
                }
            }
        }
        dir.remove(file)?;
        if !dir.make(file, &text)? {
            return Ok(Claimed::Held(None));
        }
        sleep(SETTLES).await;
        Ok(if dir.read(file)?.as_deref() == Some(&text) { lease(text) } else { Claimed::Held(None) })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Only ours: it may have been taken for stale.
        if let Ok(Some(dir)) = Dir::open(&self.place)
            && dir.read(&self.file).is_ok_and(|text| text.as_ref() == Some(&self.text))
        {
            let _stale_soon = dir.remove(&self.file);
        }
    }
}

impl Holder {
    fn is_stale(&self, seen_by: &Self) -> bool {
        // A clock set back must not keep it for ever.
        let is_old = !(0..STALE_SECONDS).contains(&seen_by.at.since(self.at));
        let same_machine = self.machine.is_some() && self.machine == seen_by.machine;
        // Here it is known, and a long `--login-timeout` is longer than the limit.
        if same_machine && self.process.is_known() { !self.process.is_running() } else { is_old }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::test_directory;
    use crate::cache::tests::StoppedClock;

    fn holder(process: ProcessIdentity, machine: Option<&str>, at: i64) -> Holder {
        Holder { process, machine: machine.map(ToOwned::to_owned), at: UnixTime::from_secs(at) }
    }

    #[test]
    fn a_lease_ends_with_its_holder_or_after_ten_minutes() {
        let here = Some("here");
        let us = |at| holder(ProcessIdentity::own(), here, at);
        let dead = ProcessIdentity::for_test(i32::MAX, 1);
        let cases = [
            (us(1000), 1000, false),
            (us(1000), 1599, false),
            (us(1000), 3000, false),
            (us(1000), 999, false),
            (holder(dead, here, 1000), 1001, true),
            (holder(dead, Some("elsewhere"), 1000), 1001, false),
            (holder(dead, Some("elsewhere"), 1000), 1600, true),
            (holder(dead, Some("elsewhere"), 1000), 999, true),
            (holder(dead, None, 1000), 1001, false),
        ];
        for (lease, now, expected) in cases {
            assert_eq!(lease.is_stale(&us(now)), expected, "{lease:?} at {now}");
        }
    }

    #[tokio::test]
    async fn only_one_holds_it_until_it_is_dropped() {
        let place = test_directory();
        let dir = Dir::create(&place.path().join("d")).unwrap();
        let claim = async |now| Lease::claim(&dir, "entry.lease", &StoppedClock(now)).await.unwrap();
        let Claimed::Ours(first) = claim(1000).await else { panic!("nobody else is here") };
        let Claimed::Held(Some(pid)) = claim(1700).await else { panic!("it is held, however long it takes") };
        assert_eq!(pid, std::process::id().to_string());
        drop(first);
        let elsewhere = holder(ProcessIdentity::own(), Some("elsewhere"), 1000);
        let text = written(&elsewhere);
        dir.replace("entry.lease", &text, false).unwrap();
        let theirs = Lease { place: dir.path_of(""), file: "entry.lease".to_owned(), text };
        assert!(matches!(claim(1599).await, Claimed::Held(_)));
        let Claimed::Ours(second) = claim(1600).await else { panic!("theirs is stale") };
        drop(theirs);
        assert!(matches!(claim(1601).await, Claimed::Held(_)), "the first takes nothing of the second's along");
        drop(second);
        dir.replace("entry.lease", b"{\"version\":1,\"pro", false).unwrap();
        assert!(matches!(claim(1602).await, Claimed::Ours(_)), "its writer was killed");
    }
}
