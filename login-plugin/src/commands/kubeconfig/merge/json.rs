//! Kubeconfigs that are JSON stay JSON: kubectl reads both, and what wrote it may read only this.

use serde::Serialize as _;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};
use serde_norway::Value;

/// Whether the text is JSON rather than any other YAML.
pub(super) fn is_json(text: &str) -> bool {
    text.trim_start_matches('\u{feff}').trim_start().starts_with('{')
        && serde_json::from_str::<serde::de::IgnoredAny>(text.trim_start_matches('\u{feff}')).is_ok()
}

/// The value as JSON in the manner of `before`: its indentation, its line endings, its order of keys.
pub(super) fn write(before: &str, value: &Value) -> Option<String> {
    let inside = before.split_once('{').map_or("", |(_, inside)| inside);
    let blanks = inside.trim_start_matches(['\r', '\n']);
    let indent = &blanks[..blanks.len() - blanks.trim_start_matches([' ', '\t']).len()];
    let mut text = if inside.starts_with(['\r', '\n']) {
        serialize(value, PrettyFormatter::with_indent(indent.as_bytes()))?
    } else {
        serialize(value, CompactFormatter)?
    };
    if before.ends_with('\n') {
        text.push('\n');
    }
    Some(if before.contains("\r\n") { text.replace('\n', "\r\n") } else { text })
}

fn serialize(value: &Value, formatter: impl Formatter) -> Option<String> {
    let mut bytes = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut bytes, formatter)).ok()?;
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_indentation_and_endings_stay() {
        for text in [
            "{\n    \"kind\": \"Config\",\n    \"apiVersion\": \"v1\",\n    \"n\": [\n        1,\n        true\n    ]\n}\n",
            "{\n\t\"z\": null,\n\t\"a\": {}\n}",
            "{\r\n  \"z\": \"ä\"\r\n}\r\n",
            "{\"kind\":\"Config\",\"clusters\":[]}\n",
        ] {
            assert!(is_json(text), "{text}");
            assert_eq!(write(text, &serde_norway::from_str(text).unwrap()).as_deref(), Some(text));
        }
        for text in ["{kind: Config}\n", "kind: Config\n", "", "[]"] {
            assert!(!is_json(text), "{text}");
        }
    }
}
