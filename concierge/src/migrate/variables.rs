//! `$(NAME)` in a container's command line, replaced as the kubelet replaces it, by what its manifest says of its environment
//! (`third_party/forked/golang/expansion` in kubernetes/kubernetes).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Longest word that a program can be given on Linux (`MAX_ARG_STRLEN`, execve(2)). Variables that name others twice over
/// would grow without end.
const MAX_WORD_BYTES: usize = 128 << 10;

/// A word of a command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    /// The variables in it whose value stands elsewhere: `text` has their names as they were written.
    pub(super) unknown: BTreeSet<String>,
}

/// The variables of one container whose values its manifest tells.
#[derive(Debug, Default)]
pub(super) struct Variables(BTreeMap<String, Word>);

// === impl Word ===

impl From<&String> for Word {
    /// A word as a shell has left it: there is nothing to replace any more.
    fn from(text: &String) -> Self {
        Self { text: text.clone(), unknown: BTreeSet::new() }
    }
}

// === impl Variables ===

impl Variables {
    /// Reads `env` in its order: a value may name what stands before it, and the last of one name counts. What comes from
    /// `valueFrom` or `envFrom` is in the cluster alone.
    pub(super) fn of(container: &Value) -> Result<Self, String> {
        let mut variables = Self::default();
        for entry in container["env"].as_array().into_iter().flatten() {
            let Some(name) = entry["name"].as_str() else { continue };
            match &entry["value"] {
                Value::String(value) => {
                    let value = variables.expand(value)?;
                    variables.0.insert(name.to_owned(), value);
                }
                // Neither the one nor the other: an empty value.
                Value::Null if entry["valueFrom"].is_null() => {
                    variables.0.insert(name.to_owned(), Word::default());
                }
                _ => {
                    variables.0.remove(name);
                }
            }
        }
        Ok(variables)
    }

    /// `text` with every `$(NAME)` replaced that is known; `$$` is one `$` that begins nothing. What is not closed stands as
    /// it is.
    pub(super) fn expand(&self, text: &str) -> Result<Word, String> {
        let mut word = Word::default();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            word.text.push_str(before);
            rest = after;
            if let Some(after) = rest.strip_prefix('$') {
                word.text.push('$');
                rest = after;
            } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
                self.put(name, &mut word);
                rest = after;
            } else {
                word.text.push('$');
            }
            if word.text.len() > MAX_WORD_BYTES {
                return Err(format!("a word of the command line has more than {MAX_WORD_BYTES} bytes"));
            }
        }
        word.text.push_str(rest);
        Ok(word)
    }

    fn put(&self, name: &str, word: &mut Word) {
        if let Some(value) = self.0.get(name) {
            word.text.push_str(&value.text);
            word.unknown.extend(value.unknown.iter().cloned());
        } else {
            word.text.extend(["$(", name, ")"]);
            word.unknown.insert(name.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn variables(env: &Value) -> Result<Variables, String> {
        Variables::of(&json!({ "env": env }))
    }

    #[test]
    fn what_the_kubelet_replaces_is_replaced() {
        let env = json!([
            {"name": "A", "value": "a"},
            {"name": "EMPTY"},
            {"name": "NESTED", "value": "<$(A)>"},
            {"name": "SPELT", "value": "$$(A)"},
            {"name": "TWICE", "value": "old"},
            {"name": "TWICE", "value": "new"},
        ]);
        let known = variables(&env).unwrap();
        // Most of these are the table of the kubelet's own test.
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("$(A)", "a"),
            ("x$(A)$(A)y", "xaay"),
            ("$(EMPTY)", ""),
            ("$(NESTED)", "<a>"),
            ("$(SPELT)", "$(A)"),
            ("$(TWICE)", "new"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$a"),
            ("$$$$(A)", "$$(A)"),
            ("$A", "$A"),
            ("${A}", "${A}"),
            ("$(A", "$(A"),
            ("$($(A)", "$($(A)"),
            ("100$", "100$"),
            ("$$", "$"),
            ("é$(A)é", "éaé"),
        ] {
            let word = known.expand(text).unwrap();
            let unknown: BTreeSet<_> = if text == "$($(A)" { ["$(A".to_owned()].into() } else { BTreeSet::new() };
            assert_eq!((word.text.as_str(), word.unknown), (expected, unknown), "{text}");
        }
    }

    #[test]
    fn what_stands_elsewhere_is_named() {
        let env = json!([
            {"name": "FROM_SECRET", "value": "what it was"},
            {"name": "FROM_SECRET", "valueFrom": {"secretKeyRef": {"name": "oidc", "key": "id"}}},
            {"name": "AROUND", "value": "<$(FROM_SECRET)>"},
            {"name": "TOO_EARLY", "value": "$(LATE)"},
            {"name": "LATE", "value": "x"},
            {"name": "NUMBER", "value": 7},
        ]);
        let known = variables(&env).unwrap();
        for (text, expected, names) in [
            ("$(FROM_SECRET)", "$(FROM_SECRET)", &["FROM_SECRET"][..]),
            ("$(AROUND)$(NOWHERE)", "<$(FROM_SECRET)>$(NOWHERE)", &["FROM_SECRET", "NOWHERE"]),
            ("$(TOO_EARLY)", "$(LATE)", &["LATE"]),
            ("$(NUMBER)", "$(NUMBER)", &["NUMBER"]),
            ("$()", "$()", &[""]),
        ] {
            let word = known.expand(text).unwrap();
            assert_eq!(word.text, expected);
            assert_eq!(word.unknown.iter().collect::<Vec<_>>(), names, "{text}");
        }
    }

    #[test]
    fn values_that_double_each_other_are_stopped() {
        let mut env = vec![json!({"name": "V0", "value": "ha"})];
        env.extend((1..64).map(|n| json!({"name": format!("V{n}"), "value": format!("$(V{0})$(V{0})", n - 1)})));
        assert!(variables(&Value::Array(env)).unwrap_err().contains("more than 131072 bytes"));
    }
}
