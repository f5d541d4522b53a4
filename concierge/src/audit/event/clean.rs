//! Makes an attacker's text fit for a line: bounded, and without characters that move a cursor or turn text around.

/// `text` with every control, bidi and zero-width character replaced, cut at a character boundary to at most `limit`
/// bytes (the mark that it was cut included).
pub(super) fn clean(text: &str, limit: usize) -> String {
    const CUT: char = '…';
    let mut cleaned = String::with_capacity(text.len().min(limit));
    for character in text.chars() {
        let shown = if is_dangerous(character) { char::REPLACEMENT_CHARACTER } else { character };
        if cleaned.len() + shown.len_utf8() > limit {
            while cleaned.len() + CUT.len_utf8() > limit && cleaned.pop().is_some() {}
            cleaned.push(CUT);
            break;
        }
        cleaned.push(shown);
    }
    cleaned
}

/// The first `count` of `list`, each cleaned.
pub(super) fn clean_list(list: &[String], count: usize, limit: usize) -> Vec<String> {
    list.iter().take(count).map(|text| clean(text, limit)).collect()
}

fn is_dangerous(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_at_a_character_and_says_so() {
        assert_eq!(clean("abc", 3), "abc");
        assert_eq!(clean("abcdefgh", 6), "abc…");
        assert_eq!(clean("ääää", 7), "ää…");
    }
}
