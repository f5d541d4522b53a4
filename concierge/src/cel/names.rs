//! Words that are no names, and names that are no identifiers: `__dash__` for `-` and its kin (Kubernetes' escapes for CEL).

use std::borrow::Cow;

/// Words that the language keeps for itself: no names of variables or functions, but names of fields.
pub(super) const RESERVED: [&str; 17] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// Words that are not even names of fields: `claims.in` is written `claims.__in__`.
pub(super) const KEYWORDS: [&str; 4] = ["true", "false", "null", "in"];

/// The name that `written` stands for; `None` if it holds an escape that stands for nothing.
pub(super) fn unescape(written: &str) -> Option<Cow<'_, str>> {
    if !written.contains("__") {
        return Some(Cow::Borrowed(written));
    }
    let mut name = String::with_capacity(written.len());
    let mut rest = written;
    while let Some((start, inner)) = escape(rest) {
        name.push_str(&rest[..start]);
        let end = start + inner.len() + 4;
        match inner {
            "underscores" => name.push_str("__"),
            "dot" => name.push('.'),
            "dash" => name.push('-'),
            "slash" => name.push('/'),
            // A word is escaped as a whole name, never inside of one.
            word if is_word(word) && start == 0 && end == written.len() => name.push_str(word),
            _ => return None,
        }
        rest = &rest[end..];
    }
    name.push_str(rest);
    Some(Cow::Owned(name))
}

fn is_word(text: &str) -> bool {
    RESERVED.contains(&text) || KEYWORDS.contains(&text)
}

/// The first `__inner__` of `text` whose inner part has no underscore, and where it starts.
fn escape(text: &str) -> Option<(usize, &str)> {
    let mut from = 0;
    loop {
        let start = from + text[from..].find("__")?;
        let inner = &text[start + 2..];
        let length = inner.find('_')?;
        if length > 0 && inner[length..].starts_with("__") {
            return Some((start, &inner[..length]));
        }
        from = start + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_stand_for_characters_and_words() {
        for (written, name) in [
            ("plain", Some("plain")),
            ("a_b", Some("a_b")),
            ("kubernetes__dot__io", Some("kubernetes.io")),
            ("a__dash__b__slash__c", Some("a-b/c")),
            ("a__underscores__b", Some("a__b")),
            ("__namespace__", Some("namespace")),
            ("__in__", Some("in")),
            ("x__in__", None),
            ("a__x__b", None),
            ("a__b", Some("a__b")),
            ("__", Some("__")),
            ("_____", Some("_____")),
            ("a___dot__", Some("a_.")),
            ("__dot____dot__", Some("..")),
            ("__é__", None),
        ] {
            assert_eq!(unescape(written).as_deref(), name, "{written}");
        }
    }
}
