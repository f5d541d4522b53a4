//! Whether this process should be sent requests: a list of named conditions, each asked when a probe asks.

use std::{
    fmt,
    fmt::Write as _,
    sync::{
        Arc, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

/// The conditions of one process. Cheap to clone: all clones see the same list.
#[derive(Clone, Default)]
pub struct Readiness(Arc<Inner>);

/// What the probes are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Whether all conditions hold and nobody has asked the process to stop.
    pub ready: bool,
    /// One line a condition, as kube-apiserver's `?verbose` writes them.
    pub verbose: String,
}

type Check = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

#[derive(Default)]
struct Inner {
    checks: RwLock<Vec<(&'static str, Check)>>,
    stopping: AtomicBool,
}

// === impl Readiness ===

impl Readiness {
    /// No conditions yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a condition: `check` says what is missing, or nothing. It is called at each probe and must not block.
    pub fn require(&self, name: &'static str, check: impl Fn() -> Result<(), String> + Send + Sync + 'static) {
        self.0.checks.write().unwrap_or_else(std::sync::PoisonError::into_inner).push((name, Box::new(check)));
    }

    /// Adds a condition that must have held once: afterwards it is no longer asked.
    ///
    /// For what a process should wait for at its start but whose later loss a restart would not cure, such as a signer
    /// that the whole cluster shares: taking every replica out of service for that would make the aggregated API
    /// unavailable, and with it namespace deletion in the whole cluster.
    pub fn require_once(&self, name: &'static str, check: impl Fn() -> Result<(), String> + Send + Sync + 'static) {
        let held = AtomicBool::new(false);
        self.require(name, move || {
            if held.load(Ordering::Relaxed) {
                return Ok(());
            }
            check()?;
            held.store(true, Ordering::Relaxed);
            Ok(())
        });
    }

    /// From now on the answer is no: endpoints should be taken away from us.
    pub fn stop(&self) {
        self.0.stopping.store(true, Ordering::Release);
    }

    /// Asks every condition.
    #[must_use]
    pub fn report(&self) -> Report {
        let mut report = Report { ready: true, verbose: String::new() };
        for (name, check) in self.0.checks.read().unwrap_or_else(std::sync::PoisonError::into_inner).iter() {
            report.note(name, check());
        }
        let stopping = self.0.stopping.load(Ordering::Acquire);
        report.note("shutdown", if stopping { Err("the process is stopping".to_owned()) } else { Ok(()) });
        let _ = writeln!(report.verbose, "readyz check {}", if report.ready { "passed" } else { "failed" });
        report
    }

    /// Whether all conditions hold.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.report().ready
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.report().verbose)
    }
}

// === impl Report ===

impl Report {
    fn note(&mut self, name: &str, outcome: Result<(), String>) {
        let _ = match outcome {
            Ok(()) => writeln!(self.verbose, "[+]{name} ok"),
            Err(missing) => {
                self.ready = false;
                writeln!(self.verbose, "[-]{name} failed: {missing}")
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_ready_when_every_condition_holds_and_not_after_stop() {
        let readiness = Readiness::new();
        let loaded = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&loaded);
        readiness.require("certificate", move || {
            if seen.load(Ordering::Relaxed) { Ok(()) } else { Err("none loaded".to_owned()) }
        });
        assert_eq!(
            readiness.report(),
            Report {
                ready: false,
                verbose: "[-]certificate failed: none loaded\n[+]shutdown ok\nreadyz check failed\n".to_owned()
            }
        );
        loaded.store(true, Ordering::Relaxed);
        assert!(readiness.is_ready());
        readiness.stop();
        assert!(!readiness.is_ready());
    }

    #[test]
    fn a_condition_required_once_is_not_asked_again() {
        let readiness = Readiness::new();
        let works = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&works);
        readiness.require_once("signer", move || {
            if seen.load(Ordering::Relaxed) { Ok(()) } else { Err("no signer works".to_owned()) }
        });
        assert!(!readiness.is_ready());
        works.store(true, Ordering::Relaxed);
        assert!(readiness.is_ready());
        works.store(false, Ordering::Relaxed);
        assert!(readiness.is_ready());
    }
}
