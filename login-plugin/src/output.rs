//! The only way to standard output (data) and standard error (words).

use std::cell::Cell;
use std::io::{self, IsTerminal, Write as _};
use std::process::ExitCode;

use crate::environment::Environment;
use crate::failure::Failure;
use crate::platform::terminal;
use crate::printable::Lines;
pub(crate) use crate::printable::{Printable, is_dangerous};

/// How much is said on standard error while things go well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Talk {
    /// A person reads along.
    Freely,
    /// Standard error may be the screen of a full-screen program: where to log in, and one line besides.
    Little,
    /// The same, and the one line is spent.
    Least,
    /// `LATCHKEY_QUIET`: nothing.
    Not,
}

/// Standard output and standard error of this process.
#[derive(Debug)]
pub(crate) struct Output {
    talk: Cell<Talk>,
    /// Whether a program reads standard output and takes all of it for the answer.
    answers_a_program: Cell<bool>,
}

impl Output {
    /// Speaks as `talk` says; errors are always said.
    pub(crate) const fn new(talk: Talk) -> Self {
        Self { talk: Cell::new(talk), answers_a_program: Cell::new(false) }
    }

    /// Before words that would stand before an answer in one stream, there will be none: fabric8's Java client reads
    /// standard output and standard error by one pipe, and a word before the answer costs the whole answer.
    pub(crate) fn keep_the_answer_alone(&self) {
        self.answers_a_program.set(true);
    }

    /// Decides how much to say once it is known whether a person sits at the terminal.
    pub(crate) fn settle(&self, quiet: bool, interactive: bool) {
        self.talk.set(if quiet {
            Talk::Not
        } else if !interactive && io::stderr().is_terminal() {
            Talk::Little
        } else {
            Talk::Freely
        });
    }

    /// Whether the person wants no words but errors.
    pub(crate) fn is_quiet(&self) -> bool {
        self.talk.get() == Talk::Not
    }

    /// Standard error, to be asked what it is. Nobody else writes to it.
    pub(crate) fn standard_error() -> io::Stderr {
        io::stderr()
    }

    /// Whether colours would be seen on standard output and are wanted (<https://no-color.org>).
    pub(crate) fn is_coloured(environment: &Environment) -> bool {
        let wanted =
            environment.text("NO_COLOR").is_none() && environment.text("TERM").is_none_or(|term| term != "dumb");
        wanted && io::stdout().is_terminal()
    }

    /// Writes data to standard output and flushes it.
    ///
    /// # Errors
    /// When the reader has closed its end.
    pub(crate) fn data(text: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    }

    /// One line for the person. Nobody listening is no reason to fail.
    pub(crate) fn say(&self, line: &str) {
        self.mind_the_answer();
        match self.talk.get() {
            Talk::Least | Talk::Not => return,
            Talk::Little => self.talk.set(Talk::Least),
            Talk::Freely => {}
        }
        Self::words(line);
    }

    /// Where to log in: said whatever was said before.
    pub(crate) fn invite(&self, line: &str) {
        self.mind_the_answer();
        if self.talk.get() != Talk::Not {
            Self::words(line);
        }
    }

    /// One line about something odd that did not stop us.
    pub(crate) fn warn(&self, line: &str) {
        self.mind_the_answer();
        if self.talk.get() == Talk::Freely {
            Self::words(&format!("warning: {line}"));
        }
    }

    /// Looks at the two streams only when there is something to say: the warm path has nothing to say.
    fn mind_the_answer(&self) {
        if self.answers_a_program.take() && terminal::is_one_pipe(&io::stdout(), &io::stderr()) {
            self.talk.set(Talk::Not);
        }
    }

    /// One line about what is missing from the answer. Always said: an answer that is silently short is a wrong one.
    pub(crate) fn remark(line: &str) {
        Self::words(line);
    }

    /// Why we stop, and what to do about it. Always said.
    pub(crate) fn fail(failure: &Failure) -> ExitCode {
        let hint = failure.hint.as_ref().map(|hint| format!("\n\nhint: {hint}")).unwrap_or_default();
        Self::words(&format!("error: {failure}{hint}"));
        failure.status.into()
    }

    fn words(text: &str) {
        // `eprintln!` would panic when standard error is closed.
        // In one piece: others write there too.
        let _nobody_listens = io::stderr().lock().write_all(format!("{}\n", Lines(text)).as_bytes());
    }
}
