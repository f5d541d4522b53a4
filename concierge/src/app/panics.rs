//! What is said of a panic: where it happened, and its text only if that cannot quote data.

use std::panic::{self, PanicHookInfo};

use crate::runtime::metrics::Metrics;

/// From now on panics are logged as JSON and counted.
///
/// The text of `panic!("literal")` is part of the program and is shown. A formatted text may quote a token or a key
/// (`expect` on a `Result` prints the error's `Debug`) and is not.
pub(super) fn install(metrics: Metrics) {
    panic::set_hook(Box::new(move |panic| {
        metrics.panic();
        let (file, line) = panic.location().map_or(("unknown", 0), |place| (place.file(), place.line()));
        tracing::error!(file, line, text = text(panic), "Panic: a bug");
    }));
}

fn text(panic: &PanicHookInfo<'_>) -> &'static str {
    panic.payload().downcast_ref::<&'static str>().copied().unwrap_or("withheld, it may quote data")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn a_formatted_text_is_withheld() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let seen_by_hook = Arc::clone(&seen);
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| seen_by_hook.lock().unwrap().push(text(panic))));
        let secret = String::from("eyJhbGciOi");
        let _ = std::thread::spawn(move || panic!("cannot use {secret}")).join();
        let _ = std::thread::spawn(|| panic!("queue is closed")).join();
        panic::set_hook(before);
        let seen = seen.lock().unwrap();
        assert!(seen.contains(&"withheld, it may quote data") && seen.contains(&"queue is closed"), "{seen:?}");
    }
}
