//! What a person is told of a conversion: what cannot be said, what is lost, and what should be known.

use std::io::{self, Write};

use crate::text::clean;

/// Longest remark, in bytes: a dozen problems of a spec.
const SHOWN: usize = 4_096;

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
        self.add(Weight::Impossible, place, words);
    }

    /// What the other side cannot say.
    pub(super) fn loss(&mut self, place: &str, words: &str) {
        self.add(Weight::Loss, place, words);
    }

    /// What should be known.
    pub(super) fn note(&mut self, place: &str, words: &str) {
        self.add(Weight::Note, place, words);
    }

    /// Names in the input are a stranger's: none of them moves the cursor of whoever converts.
    fn add(&mut self, weight: Weight, place: &str, words: &str) {
        self.0.push((weight, clean(&format!("{place}: {words}"), SHOWN)));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_stands_in_the_input_moves_the_cursor() {
        let mut remarks = Remarks::default();
        remarks.note("CredentialIssuer a\u{1b}[2J", "is left out\u{202e}");
        remarks.loss("b\r", &"long ".repeat(SHOWN));
        let mut notes = Vec::new();
        remarks.write(&mut notes).unwrap();
        remarks.write_refusals(&mut notes).unwrap();
        let notes = String::from_utf8(notes).unwrap();
        assert!(notes.starts_with("note: CredentialIssuer a\u{fffd}[2J: is left out\u{fffd}\n"), "{notes}");
        assert!(!notes.contains('\r') && notes.lines().all(|line| line.len() < SHOWN + 32));
    }
}
