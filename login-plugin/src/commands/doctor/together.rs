//! Several things at the same time, on one thread and within one deadline: what is not done by then is given up.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

/// Waits for all of them at most until `end`; at most `at_once` run at a time. What was not done is absent.
pub(super) async fn all<T>(
    futures: impl IntoIterator<Item = impl Future<Output = T>>,
    at_once: usize,
    end: Instant,
) -> Vec<Option<T>> {
    let slots = Semaphore::new(at_once);
    let mut waiting: Vec<_> = futures
        .into_iter()
        .map(|future| {
            let slots = &slots;
            Box::pin(async move {
                // Nobody closes it.
                let _slot = slots.acquire().await;
                future.await
            })
        })
        .map(Some)
        .collect();
    let mut done: Vec<Option<T>> = waiting.iter().map(|_| None).collect();
    let every = pin!(poll_fn(|context| {
        for (future, result) in waiting.iter_mut().zip(&mut done) {
            if let Some(pending) = future
                && let Poll::Ready(value) = pending.as_mut().poll(context)
            {
                *result = Some(value);
                *future = None;
            }
        }
        if waiting.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
    }));
    let _in_time_or_not = timeout_at(end, every).await;
    done
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn what_hangs_holds_nobody_up() {
        let hangs = |number: u32| async move {
            if number == 1 {
                std::future::pending::<()>().await;
            }
            number
        };
        let done = all((0..4).map(hangs), 2, Instant::now() + Duration::from_millis(50)).await;
        assert_eq!(done, [Some(0), None, Some(2), Some(3)]);
        assert_eq!(all((0..0).map(hangs), 2, Instant::now()).await, []);
    }
}
