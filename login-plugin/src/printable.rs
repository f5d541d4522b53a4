//! Text of strangers, made safe to show.

use std::fmt::{self, Write as _};

/// Longer foreign text than this says nothing more and may be an attack on the terminal.
const FOREIGN_TEXT_MAX_CHARS: usize = 200;

/// Foreign text (of a provider, a cluster, a token) made safe for a terminal and short.
///
/// Control characters of both sets and the bidirectional marks are shown as escapes: they could rewrite what stands
/// on the screen (CVE-2021-25743).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printable<'a>(pub(crate) &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, character) in self.0.chars().enumerate() {
            if position == FOREIGN_TEXT_MAX_CHARS {
                return f.write_char('…');
            }
            match character {
                _ if character.is_control() => write!(f, "{}", character.escape_default())?,
                _ if is_dangerous(character) => write!(f, "{}", character.escape_unicode())?,
                _ => f.write_char(character)?,
            }
        }
        Ok(())
    }
}

/// Several lines made safe for a terminal, and nothing else changed: the last gate before standard error, for what names of
/// the kubeconfig and paths bring along.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lines<'a>(pub(crate) &'a str);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            if is_dangerous(character) && character != '\n' {
                write!(f, "{}", character.escape_unicode())?;
            } else {
                f.write_char(character)?;
            }
        }
        Ok(())
    }
}

/// Whether a character could rewrite what stands on the screen, turn a line around, or hide.
pub(crate) fn is_dangerous(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{061C}'
                | '\u{200B}'..='\u{200F}'
                | '\u{2028}'..='\u{202E}'
                | '\u{2066}'..='\u{2069}'
                | '\u{FEFF}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_move_the_cursor_or_turn_the_line_around() {
        let cases = [
            ("plain, with ümläut", "plain, with ümläut"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("a\r\nb", "a\\r\\nb"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("a\u{202e}b", "a\\u{202e}b"),
        ];
        for (text, expected) in cases {
            assert_eq!(Printable(text).to_string(), expected);
        }
    }

    #[test]
    fn lines_stay_lines_and_do_no_harm() {
        assert_eq!(Lines("a\n\n  b\u{1b}[2J\u{202e}c").to_string(), "a\n\n  b\\u{1b}[2J\\u{202e}c");
    }

    #[test]
    fn foreign_text_is_cut() {
        let long = "x".repeat(5000);
        assert_eq!(Printable(&long).to_string().chars().count(), FOREIGN_TEXT_MAX_CHARS + 1);
    }
}
