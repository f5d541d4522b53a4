//! What the demo says: to the person who watches, and into the transcript that `--out` keeps.

use std::{
    fs,
    io::{self, IsTerminal as _, Write as _},
    path::Path,
    time::Instant,
};

use anyhow::{Result, bail};

/// Tells the story and counts what was seen to be true.
pub(crate) struct Narrator {
    transcript: String,
    began: Instant,
    seen: usize,
    colour: bool,
}

impl Narrator {
    pub(crate) fn new() -> Self {
        let colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { transcript: String::new(), began: Instant::now(), seen: 0, colour }
    }

    /// A chapter begins.
    pub(crate) fn chapter(&mut self, number: usize, title: &str) {
        let elapsed = self.began.elapsed().as_secs();
        self.line("");
        self.painted("1", &format!("{number}. {title}"), &format!("   ({elapsed} s)"));
    }

    /// A sentence of the story.
    pub(crate) fn say(&mut self, words: &str) {
        for line in words.lines() {
            self.line(&format!("   {line}"));
        }
    }

    /// A command as a person would type it, and what it answered.
    pub(crate) fn command(&mut self, typed: &str, answer: &str) {
        self.line("");
        self.painted("36", &format!("   $ {typed}"), "");
        for line in answer.trim_end().lines() {
            self.line(&format!("   {line}"));
        }
        self.line("");
    }

    /// Notes that something was seen to be true; the story ends here if it was not.
    pub(crate) fn seen(&mut self, what: &str, is_true: bool) -> Result<()> {
        if !is_true {
            self.painted("31", &format!("   ✗ {what}"), "");
            bail!("not seen: {what}");
        }
        self.seen += 1;
        self.painted("32", "   ✓ ", what);
        Ok(())
    }

    /// How many things were seen to be true.
    pub(crate) const fn count(&self) -> usize {
        self.seen
    }

    /// Keeps what was said.
    pub(crate) fn write_transcript(&self, file: &Path) -> Result<()> {
        Ok(fs::write(file, &self.transcript)?)
    }

    fn line(&mut self, text: &str) {
        self.emit(text);
        self.transcript.push_str(text);
        self.transcript.push('\n');
    }

    /// `text` in a colour (an SGR number), then `rest` plain; the transcript has no colours.
    fn painted(&mut self, colour: &str, text: &str, rest: &str) {
        if self.colour {
            self.emit(&format!("\u{1b}[{colour}m{text}\u{1b}[0m{rest}"));
        } else {
            self.emit(&format!("{text}{rest}"));
        }
        self.transcript.push_str(text);
        self.transcript.push_str(rest);
        self.transcript.push('\n');
    }

    #[expect(clippy::unused_self, reason = "the one way to the person who watches")]
    fn emit(&self, text: &str) {
        // A closed terminal must not end the story with a panic.
        let _ = writeln!(io::stdout(), "{text}");
    }
}
