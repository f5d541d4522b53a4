//! Answers for programs: JSON and YAML in which nothing that a server sent can move a cursor.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use super::print;
use crate::args::Format;
use crate::failure::{Failure, Status};
use crate::output::{Printable, is_dangerous};

/// Prints an answer as it was asked for.
///
/// # Errors
/// When it cannot be written.
pub(super) fn show(answer: &impl Serialize, format: Format, text: impl FnOnce() -> String) -> Result<(), Failure> {
    match format {
        Format::Json => print(&json(answer)),
        Format::Text => print(&text()),
        Format::Yaml => print(&yaml(answer)?),
    }
}

/// JSON. A character that could do something to a terminal stands there as its escape, which means the same.
pub(super) fn json(answer: &impl Serialize) -> String {
    let json = serde_json::to_string_pretty(answer).expect("strings, numbers, lists and maps by text serialize");
    let mut safe = String::with_capacity(json.len() + 1);
    for character in json.chars() {
        if character != '\n' && is_dangerous(character) {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                let _cannot_fail = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(character);
        }
    }
    safe.push('\n');
    safe
}

/// YAML, which has no such escapes in plain text: there they are shown.
///
/// # Errors
/// When it cannot be written as YAML.
pub(super) fn yaml(answer: &impl Serialize) -> Result<String, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new(Status::General, format!("cannot write YAML: {error}"));
    let mut value = serde_json::to_value(answer).map_err(|error| failed(&error))?;
    show_escapes(&mut value);
    serde_norway::to_string(&value).map_err(|error| failed(&error))
}

fn show_escapes(value: &mut Value) {
    match value {
        Value::String(text) if text.chars().any(is_dangerous) => *text = Printable(text).to_string(),
        Value::Array(items) => items.iter_mut().for_each(show_escapes),
        Value::Object(fields) => fields.values_mut().for_each(show_escapes),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_server_sent_moves_no_cursor() {
        let answer = json!({"name": "a\u{1b}[2J\u{202e}b", "list": ["\u{9b}"]});
        let read: Value = serde_json::from_str(&json(&answer)).unwrap();
        assert_eq!(read, answer, "the escapes mean the same");
        for text in [json(&answer), yaml(&answer).unwrap()] {
            assert!(!text.chars().any(|character| character != '\n' && is_dangerous(character)), "{text:?}");
        }
    }
}
