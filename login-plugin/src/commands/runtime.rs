//! The runtime of the cold paths: one thread is enough for one login, and nothing that hangs keeps the answer back.

use std::future::Future;

use tokio::runtime::{Builder, Runtime as Tokio};

use crate::failure::{Failure, Status};

/// A runtime that does not wait, at its end, for threads that wait for the operating system.
///
/// Names are resolved in such threads, and where the name server is gone a look-up takes half a minute, long after
/// whoever asked has given up and has an answer to print.
#[derive(Debug)]
pub(super) struct Runtime(Option<Tokio>);

impl Runtime {
    /// # Errors
    /// When the operating system gives no event queue.
    pub(super) fn new() -> Result<Self, Failure> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let no_queue =
            |error| Failure::new(Status::General, format!("the operating system gives no event queue: {error}"));
        Ok(Self(Some(runtime.map_err(no_queue)?)))
    }

    /// Runs it to its end.
    pub(super) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0.as_ref().expect("it is there until it is dropped").block_on(future)
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// Far more than it takes; only a hang reaches it.
    const PATIENCE: Duration = Duration::from_secs(30);

    #[test]
    fn its_end_waits_for_nothing_that_hangs() {
        let (never, hangs) = mpsc::channel::<()>();
        let (ended, is_over) = mpsc::channel();
        thread::spawn(move || {
            let runtime = Runtime::new().unwrap();
            runtime.block_on(async {
                tokio::task::spawn_blocking(move || hangs.recv());
            });
            drop(runtime);
            ended.send(()).unwrap();
        });
        let in_time = is_over.recv_timeout(PATIENCE);
        drop(never);
        in_time.expect("dropped while the other thread still hangs");
    }
}
