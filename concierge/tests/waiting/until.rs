//! The one waiter for what tells nobody that it changed: another process's answers, its files, a counter.

use std::time::Duration;

/// For what should happen within seconds; the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Between two looks: a fiftieth of a second more or less decides no test.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks until something is `found`.
pub(crate) async fn until<T>(what: &str, mut found: impl AsyncFnMut() -> Option<T>) -> T {
    let wait = async {
        loop {
            if let Some(found) = found().await {
                return found;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("not seen in time: {what}"))
}
