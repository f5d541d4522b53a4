//! What is written: our objects as people keep them in Git, or kube-apiserver's file, with what is to be told above it.

use std::io::{self, Write};

use latchkey_crds::{
    authentication::{JWTAuthenticatorSpec, WebhookAuthenticatorSpec},
    groups::GroupSuffix,
};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Ours, remarks::Remarks};

/// Widest line of a comment.
const COMMENT_COLUMNS: usize = 110;

/// One object.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Object {
    api_version: String,
    kind: &'static str,
    metadata: Map<String, Value>,
    /// What it is about.
    pub(super) spec: Spec,
}

/// Its spec, by its kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Spec {
    Jwt(Box<JWTAuthenticatorSpec>),
    Webhook(Box<WebhookAuthenticatorSpec>),
}

impl Object {
    /// An object without a name.
    pub(super) fn new(ours: &Ours, spec: Spec) -> Self {
        let kind = match spec {
            Spec::Jwt(_) => "JWTAuthenticator",
            Spec::Webhook(_) => "WebhookAuthenticator",
        };
        let api_version = GroupSuffix::api_version(&ours.suffix.authentication());
        Self { api_version, kind, metadata: Map::new(), spec }
    }

    /// The same with labels and annotations.
    pub(super) fn with_metadata(mut self, name: &str, kept: Map<String, Value>) -> Self {
        self.metadata = kept;
        self.rename(name);
        self
    }

    pub(super) fn rename(&mut self, name: &str) {
        self.metadata.insert("name".to_owned(), name.into());
    }

    #[cfg(test)]
    pub(super) fn name(&self) -> &str {
        self.metadata.get("name").and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) const fn kind(&self) -> &'static str {
        self.kind
    }
}

/// Documents, with everything to be known of them as a comment above the first.
pub(super) fn write_yaml<T: Serialize>(
    output: &mut impl Write,
    made: &[T],
    remarks: &Remarks,
    differing: &[&str],
) -> io::Result<()> {
    comment(output, "", "Made by latchkey-concierge convert.")?;
    for line in remarks.lines() {
        comment(output, "- ", &line)?;
    }
    let (head, items) = differing.split_first().unwrap_or((&"", &[]));
    comment(output, "", head)?;
    items.iter().try_for_each(|item| comment(output, "- ", item))?;
    for (number, document) in made.iter().enumerate() {
        if number > 0 {
            writeln!(output, "---")?;
        }
        let text = serde_norway::to_string(document).map_err(io::Error::other)?;
        output.write_all(text.as_bytes())?;
    }
    Ok(())
}

/// One object, or a `List` of them as kubectl prints it.
pub(super) fn write_json<T: Serialize>(output: &mut impl Write, made: &[T]) -> io::Result<()> {
    match made {
        [one] => serde_json::to_writer_pretty(&mut *output, one)?,
        several => {
            let list = json!({ "apiVersion": "v1", "kind": "List", "items": several });
            serde_json::to_writer_pretty(&mut *output, &list)?;
        }
    }
    writeln!(output)
}

/// A comment, broken between words. What it says may be a stranger's: no character of it ends the comment.
fn comment(output: &mut impl Write, bullet: &str, words: &str) -> io::Result<()> {
    let printable =
        |c: char| if c.is_control() || matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}') { '\u{fffd}' } else { c };
    let words: String = words.chars().map(printable).collect();
    let mut line = bullet.to_owned();
    let mut fresh = true;
    for word in words.split(' ') {
        if !fresh && line.chars().count() + word.chars().count() >= COMMENT_COLUMNS {
            writeln!(output, "# {line}")?;
            line = " ".repeat(bullet.len());
            fresh = true;
        }
        if !fresh {
            line.push(' ');
        }
        line.push_str(word);
        fresh = false;
    }
    writeln!(output, "# {line}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_broken_between_words_and_cannot_be_left() {
        let mut written = Vec::new();
        let long = format!("an end\nkind: Evil\u{2028}x {}", "word ".repeat(30));
        comment(&mut written, "- ", &long).unwrap();
        let written = String::from_utf8(written).unwrap();
        assert!(written.starts_with("# - an end\u{fffd}kind: Evil\u{fffd}x word word"), "{written}");
        assert!(written.lines().all(|line| line.starts_with("# ") && line.chars().count() <= COMMENT_COLUMNS + 2));
        assert_eq!(written.lines().count(), 2);
        assert!(written.lines().nth(1).unwrap().starts_with("#   word"), "{written}");
    }
}
