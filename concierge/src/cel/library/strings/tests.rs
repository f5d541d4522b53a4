//! Each function by examples and by properties, and what it costs.

use proptest::prelude::*;

use super::*;
use crate::cel::library::examples::{call, call_within, check, integers, spent, texts};

fn arguments(text: &str, others: &[Value]) -> Vec<Value> {
    [&[Value::from(text)], others].concat()
}

#[track_caller]
fn gives(function: &str, text: &str, others: &[Value], expected: impl Into<Value>) {
    check(&overloads(), function, &arguments(text, others), &Ok(expected.into()));
}

#[track_caller]
fn fails(function: &str, text: &str, others: &[Value], expected: EvaluationError) {
    check(&overloads(), function, &arguments(text, others), &Err(expected));
}

#[test]
fn characters_are_found_by_their_number() {
    gives("charAt", "tacocat", &[3.into()], "o");
    gives("charAt", "tacocat", &[7.into()], "");
    gives("charAt", "éü", &[1.into()], "ü");
    fails("charAt", "tacocat", &[8.into()], IndexOutOfRange);
    fails("charAt", "tacocat", &[(-1).into()], IndexOutOfRange);
    fails("charAt", "tacocat", &[i64::MIN.into()], IndexOutOfRange);
    check(&overloads(), "charAt", &[1.into(), 1.into()], &Err(NoSuchOverload("charAt")));
}

#[test]
fn texts_are_sought_from_the_front() {
    for (text, wanted, expected) in [
        ("tacocat", "", 0),
        ("tacocat", "ac", 1),
        ("tacocat", "none", -1),
        ("éaéb", "éb", 2),
        ("", "a", -1),
        ("a", "ab", -1),
    ] {
        gives("indexOf", text, &[wanted.into()], expected);
    }
    for (text, wanted, offset, expected) in [
        ("tacocat", "", 3, 3),
        ("tacocat", "", -3, -3),
        ("tacocat", "", 300, 300),
        ("tacocat", "a", 3, 5),
        ("tacocat", "a", 7, -1),
        ("tacocat", "a", 70, -1),
        ("éaéb", "é", 1, 2),
        ("", "a", 0, -1),
    ] {
        gives("indexOf", text, &[wanted.into(), offset.into()], expected);
    }
    fails("indexOf", "tacocat", &["a".into(), (-1).into()], IndexOutOfRange);
}

#[test]
fn texts_are_sought_from_the_back() {
    for (text, wanted, expected) in [
        ("tacocat", "", 7),
        ("tacocat", "at", 5),
        ("tacocat", "none", -1),
        ("éé", "éé", 0),
        ("é", "ab", -1),
        ("", "a", -1),
    ] {
        gives("lastIndexOf", text, &[wanted.into()], expected);
    }
    for (text, wanted, offset, expected) in [
        ("tacocat", "", 3, 3),
        ("tacocat", "", -3, -3),
        ("tacocat", "a", 3, 1),
        ("tacocat", "a", 5, 5),
        ("tacocat", "a", 6, 5),
        ("tacocat", "at", 5, 5),
        ("tacocat", "a", 7, -1),
        ("éaéa", "a", 2, 1),
        // The search must not end in the middle of a character.
        ("aaé", "aa", 1, 0),
        ("aé", "aa", 0, -1),
        ("a", "ab", 0, -1),
        ("", "a", 0, -1),
    ] {
        gives("lastIndexOf", text, &[wanted.into(), offset.into()], expected);
    }
    fails("lastIndexOf", "tacocat", &["a".into(), (-1).into()], IndexOutOfRange);
}

#[test]
fn only_ascii_letters_change_their_case() {
    gives("lowerAscii", "TacÖ É", &[], "tacÖ É");
    gives("upperAscii", "tacoÉé", &[], "TACOÉé");
}

#[test]
fn texts_are_replaced() {
    for (text, old, new, expected) in [
        ("hello hello", "he", "we", "wello wello"),
        ("hello hello", "", "_", "_h_e_l_l_o_ _h_e_l_l_o_"),
        ("héé", "", "_", "_h_é_é_"),
        ("", "", "_", "_"),
        ("hello", "h", "", "ello"),
        ("aaa", "aa", "b", "ba"),
    ] {
        gives("replace", text, &[old.into(), new.into()], expected);
    }
    for (text, old, most, expected) in [
        ("hello hello", "he", -1, "_llo _llo"),
        ("hello hello", "he", 1, "_llo hello"),
        ("hello hello", "he", 0, "hello hello"),
        ("héé", "", 2, "_h_éé"),
        ("héé", "", 100, "_h_é_é_"),
        ("", "", 1, "_"),
        ("", "", 0, ""),
    ] {
        gives("replace", text, &[old.into(), "_".into(), most.into()], expected);
    }
}

#[test]
fn texts_are_split() {
    for (text, separator, expected) in
        [("a,b", ",", &["a", "b"][..]), ("", ",", &[""]), ("", "", &[]), ("éa", "", &["é", "a"]), (",", ",", &["", ""])]
    {
        gives("split", text, &[separator.into()], texts(expected));
    }
    for (text, separator, most, expected) in [
        ("a,b,c", ",", 0, &[][..]),
        ("a,b,c", ",", 1, &["a,b,c"]),
        ("a,b,c", ",", 2, &["a", "b,c"]),
        ("a,b,c", ",", -1, &["a", "b", "c"]),
        ("a,b,c", ",", 100, &["a", "b", "c"]),
        ("abc", "", 2, &["a", "bc"]),
        ("abc", "", 1, &["abc"]),
        ("éüa", "", 2, &["é", "üa"]),
        ("abc", "", 0, &[]),
        ("", "", 1, &[]),
        ("", ",", 1, &[""]),
    ] {
        gives("split", text, &[separator.into(), most.into()], texts(expected));
    }
}

#[test]
fn parts_are_cut_out() {
    gives("substring", "tacocat", &[4.into()], "cat");
    gives("substring", "tacocat", &[7.into()], "");
    gives("substring", "tacocat", &[0.into(), 4.into()], "taco");
    gives("substring", "taéocat", &[2.into(), 3.into()], "é");
    for index in [8, -1] {
        fails("substring", "tacocat", &[index.into()], IndexOutOfRange);
    }
    for (start, end) in [(4, 8), (-1, 3), (9, 10)] {
        fails("substring", "tacocat", &[start.into(), end.into()], IndexOutOfRange);
    }
    let reversed = BadArgument("the start of a substring lies behind its end");
    fails("substring", "tacocat", &[4.into(), 3.into()], reversed);
}

#[test]
fn white_space_is_unicodes() {
    gives("trim", " \t\n\u{a0}x y\u{2003}\u{85}\u{3000}", &[], "x y");
    gives("trim", "\u{200b}x", &[], "\u{200b}x");
}

#[test]
fn lists_are_joined() {
    let check = |arguments: &[Value], expected| check(&overloads(), "join", arguments, &expected);
    check(&[texts(&["a", "b"])], Ok("ab".into()));
    check(&[texts(&["a", "b"]), ", ".into()], Ok("a, b".into()));
    check(&[texts(&[])], Ok("".into()));
    check(&[texts(&[]), "x".into()], Ok("".into()));
    check(&[integers(&[1]), ",".into()], Err(NoSuchOverload("join")));
    check(&[vec!["a".into(), Value::Null].into()], Err(NoSuchOverload("join")));
}

#[test]
fn quotes_escape_what_a_literal_escapes() {
    gives(
        "strings.quote",
        "a\"b\\c\n\t\r\u{7}\u{8}\u{c}\u{b}\u{1}é'",
        &[],
        "\"a\\\"b\\\\c\\n\\t\\r\\a\\b\\f\\v\u{1}é'\"",
    );
    gives("strings.quote", "", &[], "\"\"");
}

#[test]
fn nothing_is_built_that_cannot_be_paid() {
    // A text of 100 KB, each character of which would become 100 KB.
    let large = "a".repeat(100_000);
    let replaced = call(&overloads(), "replace", &[(&*large).into(), "a".into(), (&*large).into()]);
    assert_eq!(replaced.unwrap_err(), EvaluationError::TooLarge);
    let joined = call(&overloads(), "join", &[vec![Value::from(""); 1000].into(), (&*large).into()]);
    assert_eq!(joined.unwrap_err(), EvaluationError::TooLarge);
    let parts = call(&overloads(), "split", &[(&*large).into(), "".into()]);
    assert_eq!(parts.unwrap_err(), EvaluationError::TooLarge);
    for overload in overloads() {
        let example = |parameter: &Type| match parameter {
            Type::Int => 0.into(),
            Type::String => "text".into(),
            _ => texts(&["text"]),
        };
        let arguments = overload.parameters.iter().map(example).collect::<Vec<_>>();
        let found = call_within(std::slice::from_ref(&overload), overload.function, &arguments, &mut spent());
        assert_eq!(found.unwrap_err(), EvaluationError::TooCostly, "{}", overload.function);
    }
}

proptest! {
    #[test]
    fn what_is_split_joins_to_itself(text in "[ab,é]{0,40}", separator in "[,aé]{1,2}") {
        let parts = call(&overloads(), "split", &[(&*text).into(), (&*separator).into()]).unwrap();
        let joined = call(&overloads(), "join", &[parts, (&*separator).into()]).unwrap();
        prop_assert_eq!(joined.as_str(), Some(&*text));
    }

    #[test]
    fn a_found_text_stands_where_it_was_found(text in "[abé]{0,20}", wanted in "[abé]{1,2}", offset in 0..20_i64) {
        for function in ["indexOf", "lastIndexOf"] {
            let found = call(&overloads(), function, &[(&*text).into(), (&*wanted).into(), offset.into()]).unwrap();
            let characters = text.chars().collect::<Vec<_>>();
            let starts = |at: &usize| characters[*at..].iter().collect::<String>().starts_with(&wanted);
            let offset = usize::try_from(offset).unwrap();
            let expected = match function {
                _ if offset >= characters.len() => None,
                "indexOf" => (offset..characters.len()).find(starts),
                _ => (0..=offset).rev().find(starts),
            };
            let expected = expected.map_or(-1, |at| i64::try_from(at).unwrap());
            prop_assert_eq!(found.as_int(), Some(expected), "{}", function);
        }
    }

    #[test]
    fn both_halves_make_the_whole(text in "\\PC{0,20}", at in 0..20_i64) {
        let text = Value::from(text);
        let first = call(&overloads(), "substring", &[text.clone(), 0.into(), at.into()]);
        let rest = call(&overloads(), "substring", &[text.clone(), at.into()]);
        prop_assert_eq!(first.is_ok(), rest.is_ok());
        if let (Ok(first), Ok(rest)) = (first, rest) {
            let joined = call(&overloads(), "join", &[vec![first, rest].into()]).unwrap();
            prop_assert_eq!(joined.as_str(), text.as_str());
        }
    }
}
