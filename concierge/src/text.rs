//! Makes an attacker's text fit to be shown: bounded, and without characters that move a cursor, turn text around or
//! stand there unseen.
//!
//! One cleaner for all: the record, the log, status messages, Events and `TokenRejection` objects. Whatever was written by
//! somebody else than this cluster's administrators passes through it before a person or a terminal can see it.

use std::borrow::Cow;

/// The mark that a text was cut.
const CUT: char = '…';

/// Text that was cleaned, and whether some of it is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Text {
    text: String,
    cut: bool,
}

/// `text` with every dangerous character replaced by U+FFFD, cut at a character boundary to at most `limit` bytes (the
/// mark that it was cut included). Cleaning twice changes nothing more.
#[must_use]
pub fn clean(text: &str, limit: usize) -> String {
    Text::new(text, limit).text
}

/// The same for bytes that need not be UTF-8: what is not, is replaced too.
#[must_use]
pub fn clean_bytes(bytes: &[u8], limit: usize) -> String {
    // A replacement is never shorter than what it replaces by more than one byte for three, so this much is enough to
    // fill the limit, and a mebibyte of header costs no more than it.
    let (head, is_cut) =
        if bytes.len() > limit.saturating_add(4) { (&bytes[..limit + 4], true) } else { (bytes, false) };
    let lossy = String::from_utf8_lossy(head);
    let cleaned = clean(&lossy, limit);
    // The head alone may have fitted: then nothing tells yet that more was there.
    if is_cut && !cleaned.ends_with(CUT) { cut_to(cleaned, limit) } else { cleaned }
}

/// Whether `character` must not be shown: it moves the cursor, turns the writing around, or cannot be seen and so makes two
/// texts look like one (UTS 39, UAX 9): bidi controls, line and paragraph separators, and Unicode's default ignorable
/// characters, fillers among them. Variation selectors are left alone, since emoji are written with them.
///
/// `mapping` admits no name that holds any of them, so a user stands in a record exactly as the cluster knows him.
#[must_use]
pub fn is_dangerous(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e00ff}'
                | '\u{e01f0}'..='\u{e0fff}'
        )
}

// === impl Text ===

impl Text {
    /// `text`, cleaned and of at most `limit` bytes.
    #[must_use]
    pub fn new(text: &str, limit: usize) -> Self {
        if text.len() <= limit && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return Self { text: text.to_owned(), cut: false };
        }
        let mut cleaned = String::with_capacity(text.len().min(limit));
        for character in text.chars() {
            let shown = if is_dangerous(character) { char::REPLACEMENT_CHARACTER } else { character };
            if cleaned.len() + shown.len_utf8() > limit {
                return Self { text: cut_to(cleaned, limit), cut: true };
            }
            cleaned.push(shown);
        }
        Self { text: cleaned, cut: false }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Whether some of it is missing.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.cut
    }

    /// The text in at most `limit` bytes, and whether anything of the original is missing.
    #[must_use]
    pub fn within(&self, limit: usize) -> (Cow<'_, str>, bool) {
        if self.text.len() <= limit {
            return (Cow::Borrowed(&self.text), self.cut);
        }
        (Cow::Owned(clean(&self.text, limit)), true)
    }
}

/// Makes room for the mark at the end of `text`, which is clean.
fn cut_to(mut text: String, limit: usize) -> String {
    while text.len() + CUT.len_utf8() > limit && text.pop().is_some() {}
    if CUT.len_utf8() <= limit {
        text.push(CUT);
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cuts_at_a_character_and_says_so() {
        assert_eq!(clean("abc", 3), "abc");
        assert_eq!(clean("abcdefgh", 6), "abc…");
        assert_eq!(clean("ääää", 7), "ää…");
        assert_eq!(clean("abc", 2), "");
        assert!(Text::new("abcdefgh", 6).is_cut());
        assert_eq!(Text::new("abcdef", 6).within(5), ("ab…".into(), true));
        assert_eq!(Text::new("abcdef", 6).within(6), ("abcdef".into(), false));
    }

    #[test]
    fn replaces_what_moves_turns_or_hides() {
        for hostile in [
            "\u{0}",
            "\u{7}",
            "\u{1b}",
            "\u{7f}",
            "\u{85}",
            "\u{9b}",
            "\n",
            "\r",
            "\t",
            "\u{ad}",
            "\u{61c}",
            "\u{200b}",
            "\u{200d}",
            "\u{200f}",
            "\u{2028}",
            "\u{2029}",
            "\u{202a}",
            "\u{202e}",
            "\u{2060}",
            "\u{2066}",
            "\u{2069}",
            "\u{feff}",
            "\u{fff9}",
            "\u{e0041}",
            "\u{3164}",
        ] {
            assert_eq!(clean(&format!("a{hostile}b"), 64), "a\u{fffd}b", "{hostile:?}");
        }
        assert_eq!(clean("Ångström 漢字 «λ» 🦀", 64), "Ångström 漢字 «λ» 🦀");
        assert_eq!(clean(r#"{"a":"\ud800"}"#, 64), r#"{"a":"\ud800"}"#, "an escape is text like any other");
    }

    #[test]
    fn bytes_that_are_not_text_are_replaced() {
        assert_eq!(clean_bytes(b"a\xff\xfe\xc3(", 64), "a\u{fffd}\u{fffd}\u{fffd}(");
        assert_eq!(clean_bytes(b"a\xed\xa0\x80b", 64), "a\u{fffd}\u{fffd}\u{fffd}b", "a lone surrogate");
        assert_eq!(clean_bytes(&vec![b'x'; 1 << 20], 8), "xxxxx…");
        assert_eq!(clean_bytes(&[b'x'; 8], 8), "xxxxxxxx");
    }

    proptest! {
        #[test]
        fn is_bounded_clean_and_stable(text in "\\PC*|.*|[\u{0}-\u{10ffff}]*", limit in 0_usize..64) {
            let cleaned = clean(&text, limit);
            prop_assert!(cleaned.len() <= limit);
            prop_assert!(!cleaned.chars().any(is_dangerous));
            prop_assert_eq!(clean(&cleaned, limit), cleaned);
        }

        #[test]
        fn any_bytes_are_bounded_and_clean(bytes in proptest::collection::vec(any::<u8>(), 0..96), limit in 0_usize..64) {
            let cleaned = clean_bytes(&bytes, limit);
            prop_assert!(cleaned.len() <= limit);
            prop_assert!(!cleaned.chars().any(is_dangerous));
        }
    }
}
