//! How the process ends: every task by name in one tracker, stopped in three steps, and none may end by itself.

use std::{collections::HashMap, fmt, future::Future, time::Duration};

use tokio::{
    task::{Id, JoinError, JoinSet},
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

/// The steps of a stop, each a token that tasks may wait for. A later step implies the earlier ones.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// Asked to stop: probes fail, everything else goes on, because endpoints still point here.
    asked: CancellationToken,
    /// Take no new work and finish what is in hand: listeners close, controllers end, the lease is given back.
    drain: CancellationToken,
    /// Everything that wrote records is done: the audit sink writes what it holds and ends.
    last: CancellationToken,
}

/// The long-lived tasks of the process.
#[derive(Debug, Default)]
pub struct Tasks {
    set: JoinSet<Result<(), anyhow::Error>>,
    names: HashMap<Id, &'static str>,
}

/// What ended the wait for a task's end.
#[derive(Debug)]
pub enum Ended {
    /// No task was left.
    All,
    /// This one ended although nobody had asked it to; the text says how.
    Unexpectedly(&'static str, String),
}

// === impl Stop ===

impl Stop {
    /// Nobody has asked for anything yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// First step.
    pub fn ask(&self) {
        self.asked.cancel();
    }

    /// Second step.
    pub fn drain(&self) {
        self.asked.cancel();
        self.drain.cancel();
    }

    /// Third step.
    pub fn finish(&self) {
        self.drain();
        self.last.cancel();
    }

    /// The token of the first step.
    #[must_use]
    pub fn asked(&self) -> CancellationToken {
        self.asked.clone()
    }

    /// The token of the second step, the one that most tasks wait for.
    #[must_use]
    pub fn draining(&self) -> CancellationToken {
        self.drain.clone()
    }

    /// The token of the third step.
    #[must_use]
    pub fn finishing(&self) -> CancellationToken {
        self.last.clone()
    }
}

// === impl Tasks ===

impl Tasks {
    /// No task yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts `task`, which shall run until it is told to stop. `name` stands in the logs.
    pub fn spawn<T>(&mut self, name: &'static str, task: T)
    where
        T: Future<Output = Result<(), anyhow::Error>> + Send + 'static,
    {
        let handle = self.set.spawn(task);
        self.names.insert(handle.id(), name);
    }

    /// Waits until a task ends, which none may do before it is asked.
    pub async fn first_end(&mut self) -> Ended {
        match self.set.join_next_with_id().await {
            None => Ended::All,
            Some(joined) => {
                let (name, how) = self.describe(joined);
                Ended::Unexpectedly(name, how)
            }
        }
    }

    /// Waits until all tasks have ended or `limit` is over; then ends the rest and returns their names.
    pub async fn wait(&mut self, limit: Duration) -> Vec<&'static str> {
        let deadline = Instant::now() + limit;
        while let Ok(Some(joined)) = timeout_at(deadline, self.set.join_next_with_id()).await {
            let failed = !matches!(joined, Ok((_, Ok(()))));
            let (name, how) = self.describe(joined);
            if failed {
                tracing::warn!(task = name, how, "Task failed while stopping");
            } else {
                tracing::debug!(task = name, "Task stopped");
            }
        }
        self.set.abort_all();
        let mut left: Vec<_> = self.names.drain().map(|(_, name)| name).collect();
        left.sort_unstable();
        left
    }

    fn describe(&mut self, joined: Result<(Id, Result<(), anyhow::Error>), JoinError>) -> (&'static str, String) {
        let (id, how) = match joined {
            Ok((id, Ok(()))) => (id, "returned".to_owned()),
            Ok((id, Err(error))) => (id, format!("failed: {error:#}")),
            // Not the panic's own text: it may quote data.
            Err(error) => (error.id(), if error.is_panic() { "panicked" } else { "was cancelled" }.to_owned()),
        };
        (self.names.remove(&id).unwrap_or("unnamed"), how)
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("no task is left"),
            Self::Unexpectedly(name, how) => write!(f, "task {name} {how}"),
        }
    }
}

/// Waits for SIGTERM (what a kubelet sends) or SIGINT (what a person types).
///
/// # Errors
/// If the operating system does not let us listen for signals.
pub async fn signal() -> Result<&'static str, std::io::Error> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => Ok("SIGTERM"),
        _ = interrupt.recv() => Ok("SIGINT"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_by_itself_is_named() {
        let mut tasks = Tasks::new();
        tasks.spawn("patient", std::future::pending());
        tasks.spawn("hasty", async { Err(anyhow::anyhow!("lost the watch").context("reading")) });
        assert_eq!(tasks.first_end().await.to_string(), "task hasty failed: reading: lost the watch");
        assert_eq!(tasks.wait(Duration::ZERO).await, ["patient"]);
    }

    #[tokio::test]
    async fn a_panic_is_reported_without_its_text() {
        let mut tasks = Tasks::new();
        tasks.spawn("clumsy", async { panic!("secret {}", 42) });
        assert_eq!(tasks.first_end().await.to_string(), "task clumsy panicked");
    }

    #[tokio::test]
    async fn tasks_that_wait_for_the_drain_end_with_it() {
        let stop = Stop::new();
        let mut tasks = Tasks::new();
        let draining = stop.draining();
        tasks.spawn("listener", async move {
            draining.cancelled().await;
            Ok(())
        });
        stop.ask();
        assert!(!stop.draining().is_cancelled());
        stop.drain();
        assert!(tasks.wait(Duration::from_secs(5)).await.is_empty());
        assert!(stop.asked().is_cancelled() && !stop.finishing().is_cancelled());
    }
}
