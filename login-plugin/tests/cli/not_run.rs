//! What a test says that this machine does not permit: nothing passes silently that did not run.

use std::io::Write as _;

/// Says that something did not run, and why, in words that `tests/count` finds.
pub(crate) fn not_run(what: &str, why: &str) {
    // Past the test harness, which swallows the words of a test that passes. Nobody can be told that standard error is gone.
    let _gone = writeln!(std::io::stderr(), "\nnot run: {what}: {why}");
}
