//! Writes values as YAML that every reader understands alike: kubectl reads YAML 1.1, where a bare `no` is not a name.

use serde_norway::Value;

/// An item of a list in block style, `indent` blanks deep, with this line ending.
///
/// None: it holds what a kubeconfig cannot (a tag, a key that is not a text).
pub(super) fn item(item: &Value, indent: usize, ending: &str) -> Option<String> {
    let mut text = String::new();
    sequence(&mut text, std::slice::from_ref(item), indent)?;
    Some(if ending == "\n" { text } else { text.replace('\n', ending) })
}

/// A text as a scalar on one line.
pub(super) fn scalar(text: &str) -> String {
    if is_plain(text) {
        text.to_owned()
    } else if text.chars().all(|character| matches!(character, ' '..='~')) {
        format!("'{}'", text.replace('\'', "''"))
    } else {
        // JSON's quoted strings are YAML's; the line breaks that only YAML knows are escaped.
        let quoted = Value::from(text);
        let quoted = serde_json::to_string(&quoted).unwrap_or_default();
        ['\u{7f}', '\u{85}', '\u{2028}', '\u{2029}', '\u{feff}']
            .into_iter()
            .fold(quoted, |quoted, break_| quoted.replace(break_, &format!("\\u{:04x}", u32::from(break_))))
    }
}

fn sequence(out: &mut String, items: &[Value], indent: usize) -> Option<()> {
    for item in items {
        out.push_str(&" ".repeat(indent));
        out.push('-');
        match item {
            Value::Mapping(mapping) if !mapping.is_empty() => {
                let mut inner = String::new();
                fields(&mut inner, mapping, indent + 2)?;
                // The first key stands on the line of the dash.
                out.push(' ');
                out.push_str(&inner[indent + 2..]);
            }
            // A list in a list begins on its own line.
            _ => value(out, item, indent, 2)?,
        }
    }
    Some(())
}

fn fields(out: &mut String, mapping: &serde_norway::Mapping, indent: usize) -> Option<()> {
    for (key, field) in mapping {
        out.push_str(&" ".repeat(indent));
        out.push_str(&scalar(key.as_str()?));
        out.push(':');
        value(out, field, indent, 0)?;
    }
    Some(())
}

/// What follows a key's colon or an item's dash, to the end of its last line. A list under a key is not indented, as kubectl
/// writes it; `deeper` is how much it is elsewhere.
fn value(out: &mut String, value: &Value, indent: usize, deeper: usize) -> Option<()> {
    match value {
        Value::Bool(value) => out.extend([" ", &value.to_string(), "\n"]),
        Value::Mapping(mapping) if mapping.is_empty() => out.push_str(" {}\n"),
        Value::Mapping(mapping) => {
            out.push('\n');
            fields(out, mapping, indent + 2)?;
        }
        Value::Null => out.push_str(" null\n"),
        Value::Number(number) => out.extend([" ", &number.to_string(), "\n"]),
        Value::Sequence(items) if items.is_empty() => out.push_str(" []\n"),
        Value::Sequence(items) => {
            out.push('\n');
            sequence(out, items, indent + deeper)?;
        }
        Value::String(text) if is_literal(text) => {
            out.push_str(" |\n");
            for line in text.lines() {
                if !line.is_empty() {
                    out.push_str(&" ".repeat(indent + 2));
                }
                out.push_str(line);
                out.push('\n');
            }
        }
        Value::String(text) => out.extend([" ", &scalar(text), "\n"]),
        Value::Tagged(_) => return None,
    }
    Some(())
}

/// Whether it can stand as it is, for readers of YAML 1.1 and 1.2: nothing that looks like a number, a truth value or a mark.
fn is_plain(text: &str) -> bool {
    let option = text.strip_prefix("--").unwrap_or(text);
    let words = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    option.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/')
        && text.chars().all(|character| character.is_ascii_alphanumeric() || " ._/@:,=+%~-".contains(character))
        && !text.contains(": ")
        && !text.ends_with([':', ' '])
        && !words.contains(&text.to_ascii_lowercase().as_str())
}

/// Several lines that a literal block says exactly.
fn is_literal(text: &str) -> bool {
    let lines = text.strip_suffix('\n');
    lines.is_some_and(|lines| lines.contains('\n') && !lines.starts_with([' ', '\n']) && !lines.ends_with('\n'))
        && text.chars().all(|character| matches!(character, ' '..='~' | '\n'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_yaml_1_1_takes_for_something_else_is_quoted() {
        for text in
            ["no", "Yes", "y", "off", "NULL", "~", "", "012", "1_000", "1.5", ".5", "+1", "-x", "a: b", "a #b", "a:"]
        {
            assert_eq!(scalar(text), format!("'{text}'"));
        }
        for text in ["none", "latchkey-a", "--issuer=https://a/b", "https://a:6443", "a@b.c", "/bin/x"] {
            assert_eq!(scalar(text), text);
        }
        assert_eq!(scalar("it's"), "'it''s'");
        assert_eq!(scalar("ü\u{85}\n"), "\"ü\\u0085\\n\"");
    }

    #[test]
    fn blocks_look_as_kubectl_writes_them() {
        let value =
            serde_norway::from_str("{a: {b: [x, {c: 1}], d: [], e: {}}, f: \"one\\n\\ntwo\\n\", g: null, h: [[z]]}");
        let expected = "  - a:
      b:
      - x
      - c: 1
      d: []
      e: {}
    f: |
      one

      two
    g: null
    h:
    -
      - z
";
        assert_eq!(item(&value.unwrap(), 2, "\n").unwrap(), expected);
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let text =
            prop_oneof!["[a-z0-9:#' \\-]{0,9}", any::<String>(), "([ a-z#]{0,4}\n){0,4}", "[yYnNoOfF~.0-9_]{1,3}"];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            text.prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Sequence),
                prop::collection::vec(("[a-z ]{0,6}", inner), 0..4).prop_map(|fields| Value::Mapping(
                    fields.into_iter().map(|(key, value)| (key.into(), value)).collect()
                )),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_written_is_read(value in any_value(), indent in 0_usize..5) {
            let text = item(&value, indent, "\n").unwrap();
            let read: Vec<Value> = serde_norway::from_str(&text).map_err(|error| TestCaseError::fail(format!("{error}: {text}")))?;
            prop_assert_eq!(read, vec![value]);
        }
    }
}
