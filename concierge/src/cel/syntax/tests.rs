//! What parses, held against the `cel` crate's grammar (ANTLR, the language's own), and that no text exhausts anything.

use proptest::prelude::*;

use super::*;

/// Sources and whether they are expressions.
const SOURCES: &[(&str, bool)] = &[
    ("a.b.c[0].d('x', 1u)", true),
    ("a.?b[?0].?c", true),
    ("[?a, b,]", true),
    ("{?'a': b, 'c': 1.5e3,}", true),
    ("[,]", true),
    ("{,}", true),
    ("!-2", true),
    ("!-2u", false),
    ("!-'a'", false),
    ("a ? b : c ? d : e", true),
    ("a ? b ? 1 : 2 : 3", false),
    ("a || b && c || d", true),
    ("a < b == c", true),
    ("a in b in c", true),
    ("!!a && --b", true),
    ("-1.abs()", true),
    ("!-1", true),
    ("-!a", false),
    ("!-a", false),
    ("1-1", true),
    ("0x1F + -0x1f + 0xFu", true),
    ("1.5 .5 1", false),
    ("1.", false),
    ("1.e3", true),
    ("1e", false),
    ("r'\\d' + R\"\\\" + b'\\x41' + BR'\\'", true),
    ("'''a\nb''' + \"\"\"a\"b\"\"\"", true),
    ("'\\u00e9\\U0001F431\\x41\\101\\a\\?\\`'", true),
    ("'\\q'", false),
    ("'\\ud800'", false),
    ("'\\477'", false),
    ("b'\\u0041'", false),
    ("'a\nb'", false),
    ("'a", false),
    ("a // comment", true),
    ("// comment", false),
    ("if", false),
    ("a.if.namespace", true),
    ("a.in", false),
    ("in", false),
    (".a.b()", true),
    ("has(a.b)", true),
    ("has(a)", false),
    ("has(a[b])", false),
    ("f(1,)", false),
    ("(1", false),
    ("1)", false),
    ("a b", false),
    ("a.", false),
    ("a.1", false),
    ("9223372036854775807", true),
    ("9223372036854775808", false),
    ("-9223372036854775808", true),
    ("18446744073709551616u", false),
    ("@", false),
    ("", false),
];

/// Whether the crate's parser takes it.
fn grammar(source: &str) -> bool {
    cel::parser::Parser::default().enable_optional_syntax(true).parse(source).is_ok()
}

#[test]
fn expressions_are_those_of_the_grammar() {
    for (source, expected) in SOURCES {
        assert_eq!(parse(source).is_ok(), *expected, "{source}");
        assert_eq!(grammar(source), *expected, "{source} by the grammar");
    }
}

#[test]
fn signs_bind_as_in_the_grammar() {
    for (source, same) in [
        ("1 + 2 * 3", "1 + (2 * 3)"),
        ("1 - 2 - 3", "(1 - 2) - 3"),
        ("a || b && c", "a || (b && c)"),
        ("a && b == c", "a && (b == c)"),
        ("a < b + 1", "a < (b + 1)"),
        ("!a.b", "!(a.b)"),
        ("-a.b", "-(a.b)"),
        ("a ? b : c ? d : e", "a ? b : (c ? d : e)"),
        ("--a", "a"),
    ] {
        assert_eq!(shape(&parse(source).unwrap()), shape(&parse(same).unwrap()), "{source}");
    }
}

/// A tree without its places.
fn shape(expression: &Expr) -> String {
    let text = format!("{:?}", expression.kind);
    let mut parts = text.split("at: ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |shape, part| shape + part.trim_start_matches(|digit: char| digit.is_ascii_digit()))
}

#[test]
fn what_grows_high_is_refused_and_not_followed() {
    for (open, middle, close) in [
        ("(", "1", ")"),
        ("[", "1", "]"),
        ("f(", "1", ")"),
        ("{1: ", "1", "}"),
        ("true ? 1 : ", "1", ""),
        ("a[", "1", "]"),
        ("", "a", ".b"),
        ("", "a", ".f()"),
        ("", "a", "[0]"),
        ("", "1", " + 1"),
        ("1 == ", "1", " == 1"),
    ] {
        let deep = format!("{}{middle}{}", open.repeat(300), close.repeat(300));
        assert!(parse(&deep).is_err(), "{deep}");
    }
    // Many parts side by side are no depth.
    assert!(parse(&vec!["a == 'b'"; 300].join(" || ")).is_ok());
    assert!(parse(&format!("{}true", "!".repeat(4000))).is_ok());
    assert!(parse(&format!("'{}'", "a".repeat(MAX_SOURCE - 2))).is_ok());
    assert!(parse(&format!("'{}'", "a".repeat(MAX_SOURCE - 1))).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_text_breaks_the_parser(source in ".{0,60}") {
        let _ = parse(&source);
    }

    #[test]
    fn parts_of_the_language_in_any_order_are_what_the_grammar_says(
        parts in proptest::collection::vec(proptest::sample::select(PARTS.to_vec()), 1..9),
    ) {
        let source = parts.join(" ");
        let parsed = parse(&source);
        // The grammar has messages, `a.b {}`; we read none.
        let message = parsed.as_ref().is_err_and(|fault| fault.message.starts_with("messages cannot be built"));
        prop_assert!(message || parsed.is_ok() == grammar(&source), "{}", source);
    }
}

/// Words and signs, alone and in small groups.
const PARTS: [&str; 34] = [
    "a",
    "b",
    ".",
    "?",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "!",
    "-",
    "+",
    "*",
    "/",
    "%",
    "==",
    "<",
    "in",
    "&&",
    "||",
    "1",
    "2u",
    "1.5",
    "'t'",
    "b'o'",
    "true",
    "null",
    "a.b",
    "f(a)",
    "[1]",
    "a ? b : 1",
];
