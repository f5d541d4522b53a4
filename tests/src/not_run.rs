//! What a test says that cannot run here, or only with `tests/run --long`: nothing passes silently that did not run.

use std::io::Write as _;

/// Set, tests that take longer than a person waits run too (`tests/run --long`).
const LONG: &str = "LATCHKEY_LONG";

/// Says that `test` did not run, and why, in words that `tests/count` finds: it takes such a test out of those that passed.
pub fn not_run(test: &str, why: &str) {
    // Past the test harness, which swallows the words of a test that passes, and on a line of its own: where tests run one after
    // the other, the harness has begun one ("test <name> ... "). Nobody can be told that standard error is gone.
    let _ = writeln!(std::io::stderr(), "\nnot run: {test}: {why}");
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

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        process::{Command, Stdio},
    };

    use anyhow::{Context as _, Result, bail, ensure};

    use super::*;

    /// Set, the tests whose names begin with `only_when_asked` are what they are named after.
    const ASKED: &str = "LATCHKEY_TEST_NOT_RUN_ASKED";

    fn is_asked() -> bool {
        std::env::var_os(ASKED).is_some()
    }

    #[test]
    fn only_when_asked_one_that_passes() {}

    #[test]
    fn only_when_asked_one_that_did_not_run_for_two_reasons() {
        if is_asked() {
            not_run("one part", "of the moon");
            not_run("another part", "of the weather");
        }
    }

    #[test]
    fn only_when_asked_one_that_did_not_run_and_fails() -> Result<()> {
        if is_asked() {
            not_run("a part", "of the moon");
            bail!("the rest has failed");
        }
        Ok(())
    }

    /// The real harness, as `tests/end-to-end` runs it.
    #[test]
    fn what_did_not_run_is_counted_once_and_not_among_what_passed() -> Result<()> {
        let harness = std::env::current_exe()?;
        let run = |filter: &str| -> Result<String> {
            let mut command = Command::new("sh");
            command.args(["-c", r#""$0" "$1" --test-threads=1 2>&1; :"#]).arg(&harness).arg(filter).env(ASKED, "1");
            Ok(String::from_utf8(command.output()?.stdout)?)
        };
        let all = run("only_when_asked_one_that")?;
        ensure!(count(&all)? == "1 1 1", "{all}");
        let failing = run("only_when_asked_one_that_did_not_run_and_fails")?;
        ensure!(count(&failing)? == "0 1 0", "{failing}");
        // Several programs one after the other, as in one step of `tests/run`.
        ensure!(count(&format!("{failing}{all}{failing}"))? == "1 3 1");
        ensure!(count("error: could not compile\n")? == "0 0 0");
        Ok(())
    }

    fn count(printed: &str) -> Result<String> {
        let mut count = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/count"));
        let mut count = count.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("starting tests/count")?;
        count.stdin.take().context("its input")?.write_all(printed.as_bytes())?;
        Ok(String::from_utf8(count.wait_with_output()?.stdout)?.trim().to_owned())
    }
}
