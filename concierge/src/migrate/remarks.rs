//! What a person is told of a conversion: what cannot be said, what is lost, and what should be known.

use std::io::{self, Write};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weight {
    /// There is no result, whatever is allowed.
    Impossible,
    /// The result lacks something.
    Loss,
    /// Nothing is lost; somebody should know.
    Note,
}

/// Everything there is to tell, in the order in which it was found.
#[derive(Debug, Default)]
pub(super) struct Remarks(Vec<(Weight, String)>);

impl Remarks {
    /// What leaves no result at all.
    pub(super) fn impossible(&mut self, place: &str, words: &str) {
        self.0.push((Weight::Impossible, format!("{place}: {words}")));
    }

    /// What the other side cannot say.
    pub(super) fn loss(&mut self, place: &str, words: &str) {
        self.0.push((Weight::Loss, format!("{place}: {words}")));
    }

    /// What should be known.
    pub(super) fn note(&mut self, place: &str, words: &str) {
        self.0.push((Weight::Note, format!("{place}: {words}")));
    }

    /// Whether there is to be no result.
    pub(super) fn refuse(&self, allow_loss: bool) -> bool {
        self.0.iter().any(|(weight, _)| match weight {
            Weight::Impossible => true,
            Weight::Loss => !allow_loss,
            Weight::Note => false,
        })
    }

    /// Why there is no result.
    pub(super) fn write_refusals(&self, notes: &mut impl Write) -> io::Result<()> {
        for (weight, words) in &self.0 {
            match weight {
                Weight::Impossible => writeln!(notes, "cannot be converted: {words}")?,
                Weight::Loss => writeln!(notes, "cannot be said: {words}")?,
                Weight::Note => {}
            }
        }
        if self.0.iter().all(|(weight, _)| *weight != Weight::Impossible) {
            writeln!(notes, "nothing was written; with --allow-loss the rest is, without what cannot be said")?;
        }
        Ok(())
    }

    /// What goes with a result.
    pub(super) fn write(&self, notes: &mut impl Write) -> io::Result<()> {
        self.lines().try_for_each(|line| writeln!(notes, "{line}"))
    }

    /// The same, line by line.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(weight, words)| match weight {
            Weight::Impossible | Weight::Loss => format!("lost: {words}"),
            Weight::Note => format!("note: {words}"),
        })
    }
}
