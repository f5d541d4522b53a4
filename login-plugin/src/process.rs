//! Who started us: the parent's process id and start time, which together are never reused.

use std::fs;

use serde::{Deserialize, Serialize};

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
        let pid = rustix::process::getppid().map_or(0, rustix::process::Pid::as_raw_pid);
        let started = fs::read_to_string(format!("/proc/{pid}/stat")).ok().as_deref().and_then(start_time);
        Self { pid, started }
    }
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
