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
        Self::of(get_current_pid().ok().and_then(look).and_then(|(parent, _)| parent))
    }

    /// We ourselves.
    pub(crate) fn own() -> Self {
        Self::of(get_current_pid().ok())
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
        self.started.is_none() || Self::of(u32::try_from(self.pid).ok().map(Pid::from_u32)) == self
    }

    fn of(process: Option<Pid>) -> Self {
        let started = process.and_then(look).map(|(_, started)| started);
        let pid = process.and_then(|pid| i32::try_from(pid.as_u32()).ok());
        Self { pid: pid.unwrap_or_default(), started }
    }
}

/// The process's parent and start.
fn look(pid: Pid) -> Option<(Option<Pid>, u64)> {
    let mut system = System::new();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, ProcessRefreshKind::nothing());
    system.process(pid).map(|process| (process.parent(), process.start_time()))
}

/// Names this computer since its last start: where process ids mean the same as they do to us.
#[expect(clippy::unnecessary_wraps, reason = "other platforms may not know")]
pub(crate) fn machine() -> Option<String> {
    Some(format!("{:?} {}", System::host_name(), System::boot_time()))
}

#[cfg(test)]
impl ProcessIdentity {
    /// Any process.
    pub(crate) const fn for_test(pid: i32, started: u64) -> Self {
        Self { pid, started: Some(started) }
    }
}
