//! Who started us: the parent's process id and start time, which together are never reused.

use serde::{Deserialize, Serialize};
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System, get_current_pid};

/// One run of one program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessIdentity {
    pid: i32,
    /// In seconds since 1970.
    started: Option<u64>,
}

impl ProcessIdentity {
    /// Our parent: for an exec plugin, the program that wants to talk to the cluster.
    pub(crate) fn of_parent() -> Self {
        let mut system = System::new();
        let mut look = |pid: Pid| {
            system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, ProcessRefreshKind::nothing());
            system.process(pid).map(|process| (process.parent(), process.start_time()))
        };
        let parent = get_current_pid().ok().and_then(&mut look).and_then(|(parent, _)| parent);
        let started = parent.and_then(&mut look).map(|(_, started)| started);
        let pid = parent.and_then(|pid| i32::try_from(pid.as_u32()).ok());
        Self { pid: pid.unwrap_or_default(), started }
    }
}

#[cfg(test)]
impl ProcessIdentity {
    /// Any process.
    pub(crate) const fn for_test(pid: i32, started: u64) -> Self {
        Self { pid, started: Some(started) }
    }
}
