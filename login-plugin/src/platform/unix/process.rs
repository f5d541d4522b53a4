//! Who started us: the parent's process id and start time, which together are never reused.

use std::fs::File;
use std::io::Read as _;

use serde::{Deserialize, Serialize};

/// 52 numbers of at most 20 digits, and a name of at most 64 bytes (proc(5)).
const STAT_MAX_BYTES: usize = 2048;

/// A UUID and the end of the line.
const BOOT_ID_MAX_BYTES: u64 = 37;

/// One run of one program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessIdentity {
    pid: i32,
    /// In clock ticks since boot, from `/proc`; absent where there is no `/proc`.
    started: Option<u64>,
}

impl ProcessIdentity {
    /// Our parent: for an exec plugin, the program that wants to talk to the cluster.
    pub(crate) fn of_parent() -> Self {
        Self::of(rustix::process::getppid().map_or(0, rustix::process::Pid::as_raw_pid))
    }

    /// We ourselves.
    pub(crate) fn own() -> Self {
        Self::of(rustix::process::getpid().as_raw_pid())
    }

    /// Its process id.
    pub(crate) const fn pid(self) -> i32 {
        self.pid
    }

    /// Whether `is_running` can tell.
    pub(crate) const fn is_known(self) -> bool {
        self.started.is_some()
    }

    /// Whether it still runs, on this computer; yes where nobody can say.
    pub(crate) fn is_running(self) -> bool {
        self.started.is_none() || Self::of(self.pid) == self
    }

    fn of(pid: i32) -> Self {
        // One read: the line is shorter, and the kernel gives it whole.
        let mut line = [0; STAT_MAX_BYTES];
        let read = File::open(format!("/proc/{pid}/stat")).and_then(|mut file| file.read(&mut line));
        let started = read.ok().and_then(|length| start_time(&String::from_utf8_lossy(&line[..length])));
        Self { pid, started }
    }
}

/// Names this computer since its last start, and the container we are in: where process ids mean the same as they do to us
/// (random(4), `pid_namespaces(7)`). None where there is no `/proc`.
pub(crate) fn machine() -> Option<String> {
    let mut boot = String::new();
    File::open("/proc/sys/kernel/random/boot_id").ok()?.take(BOOT_ID_MAX_BYTES).read_to_string(&mut boot).ok()?;
    let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim_end(), namespace.display()))
}

#[cfg(test)]
impl ProcessIdentity {
    /// Any process.
    pub(crate) const fn for_test(pid: i32, started: u64) -> Self {
        Self { pid, started: Some(started) }
    }
}

/// Field 22 of `/proc/<pid>/stat` (proc(5)). The second field, the name, may hold blanks and parentheses: count from its end.
fn start_time(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_time_is_found_behind_a_hostile_name() {
        let stat = "42 (a) 1 (b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 987654 20 21";
        assert_eq!(start_time(stat), Some(987_654));
        assert_eq!(start_time("nonsense"), None);
    }
}
