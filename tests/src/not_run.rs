//! What a test says that cannot run here, or only with `tests/run --long`: nothing passes silently that did not run.

use std::io::Write as _;

/// Set, tests that take longer than a person waits run too (`tests/run --long`).
const LONG: &str = "LATCHKEY_LONG";

/// Says that `test` did not run, and why, in words that `tests/run` counts: it takes such a test out of those that passed.
pub fn not_run(test: &str, why: &str) {
    // Past the test harness, which swallows the words of a test that passes. Nobody can be told that standard error is gone.
    let _ = writeln!(std::io::stderr(), "not run: {test}: {why}");
}

/// Whether `test`, which takes long for the reason `why`, is wanted; if not, it is said.
#[must_use]
pub fn long_wanted(test: &str, why: &str) -> bool {
    let wanted = std::env::var_os(LONG).is_some_and(|value| !value.is_empty());
    if !wanted {
        not_run(test, &format!("{why}; {LONG}=1 runs it"));
    }
    wanted
}
