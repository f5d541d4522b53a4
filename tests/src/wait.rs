//! Waiting for a condition, with a limit and a last observation: the only poll in the harness.

use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::time::{Instant, sleep, timeout_at};

/// How long to rest between two looks. Short beside what is awaited (a process start, a controller's reaction:
/// hundreds of milliseconds), long enough that twenty waiting tests leave the two cores to those they wait for.
const TICK: Duration = Duration::from_millis(25);

/// What one look at the world showed.
#[derive(Debug)]
pub enum Observation<T> {
    /// The condition holds.
    Holds(T),
    /// Not yet; the text says what was seen instead.
    NotYet(String),
    /// It never will (the process died, the answer is final): waiting on would only hide why.
    Hopeless(anyhow::Error),
}

impl<T> From<Option<T>> for Observation<T> {
    fn from(seen: Option<T>) -> Self {
        seen.map_or_else(|| Self::NotYet("nothing yet".to_owned()), Self::Holds)
    }
}

/// An error is "not yet": most things that start up answer with errors first.
impl<T> From<Result<T>> for Observation<T> {
    fn from(seen: Result<T>) -> Self {
        seen.map_or_else(|error| Self::NotYet(format!("{error:#}")), Self::Holds)
    }
}

impl From<bool> for Observation<()> {
    fn from(seen: bool) -> Self {
        if seen { Self::Holds(()) } else { Self::NotYet("false".to_owned()) }
    }
}

/// Looks until the condition holds and returns what was seen.
///
/// The closure may return an `Option`, a `Result` (an error means "not yet"), a `bool` or an [`Observation`].
///
/// # Errors
/// After `limit`, naming what was awaited and the last observation; at once when an observation is
/// [`Observation::Hopeless`]. A look that does not return is cut off at the limit as well.
pub async fn eventually<T, O: Into<Observation<T>>>(
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> O,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    let mut last = "no look was finished".to_owned();
    loop {
        match timeout_at(deadline, look()).await.map(Into::into) {
            Ok(Observation::Holds(value)) => return Ok(value),
            Ok(Observation::Hopeless(error)) => {
                return Err(error.context(format!("waiting for {what}")));
            }
            Ok(Observation::NotYet(seen)) => last = seen,
            Err(_) => {
                return Err(anyhow!("waited {limit:?} for {what}; the last look did not return; seen before: {last}"));
            }
        }
        if Instant::now() + TICK >= deadline {
            return Err(anyhow!("waited {limit:?} for {what}; last seen: {last}"));
        }
        sleep(TICK).await;
    }
}

/// The same for a `drop`, which cannot be async: blocks its thread between two looks.
pub(crate) fn eventually_blocking(what: &str, limit: Duration, mut look: impl FnMut() -> Result<()>) -> Result<()> {
    let start = std::time::Instant::now();
    loop {
        match look() {
            Ok(()) => return Ok(()),
            Err(error) if start.elapsed() >= limit => {
                return Err(error.context(format!("waited {limit:?} for {what}")));
            }
            Err(_) => std::thread::sleep(TICK),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_secs(2);

    #[tokio::test(start_paused = true)]
    async fn returns_what_was_seen_once_it_holds() {
        let mut looks = 0;
        let seen = eventually("the third look", SHORT, async || {
            looks += 1;
            (looks == 3).then_some(looks)
        })
        .await;
        assert_eq!(seen.expect("holds at the third look"), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn names_what_was_awaited_and_the_last_observation() {
        let error = eventually("rain", SHORT, async || -> Result<()> { Err(anyhow!("sunshine")) })
            .await
            .expect_err("it never rains");
        let text = error.to_string();
        assert!(text.contains("rain") && text.contains("sunshine"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn gives_up_at_once_when_it_is_hopeless() {
        let start = Instant::now();
        let error = eventually("a dead process", SHORT, async || -> Observation<()> {
            Observation::Hopeless(anyhow!("exit status: 1"))
        })
        .await
        .expect_err("hopeless");
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert!(format!("{error:#}").contains("exit status: 1"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_hangs_is_cut_off_at_the_limit() {
        let start = Instant::now();
        let error = eventually("a stalled answer", SHORT, async || -> bool { std::future::pending().await })
            .await
            .expect_err("never returns");
        assert_eq!(start.elapsed(), SHORT);
        assert!(error.to_string().contains("did not return"));
    }
}
