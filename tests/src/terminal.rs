//! What may be printed at a person's terminal: words, and nothing that the terminal obeys.

use anyhow::{Result, ensure};

/// Demands that a text neither moves a terminal's cursor nor turns the order in which it is read.
///
/// # Errors
/// If it has a control character other than the end of a line, or one that changes the direction of writing (UAX #9, section
/// 2), or a line separator.
pub fn harmless(text: &str) -> Result<()> {
    let dangerous = |character: &char| {
        (character.is_control() && *character != '\n') || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2028}')
    };
    let found = text.chars().find(dangerous);
    ensure!(found.is_none(), "{found:?} in {text:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_may_pass_and_orders_may_not() {
        harmless("NAME  AGE\nann   3m\n").expect("a table");
        for order in ["\u{1b}[2J", "\r", "\t", "\u{7}", "\u{9b}1m", "\u{202e}", "\u{2028}"] {
            harmless(&format!("ann{order}")).expect_err("an order");
        }
    }
}
