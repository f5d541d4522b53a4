//! Edits the text of a kubeconfig: only entries that change are touched, every other byte stays, and the result is proved.

use std::ops::Range;

use serde_norway::{Mapping, Value};
use thiserror::Error;

use super::super::entries::{Kind, items};
use super::super::yaml;
use super::json;
use super::layout::{Layout, LayoutError, content, split_key, value_alone};

/// What is to change.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Edits {
    /// Items by list; `None` as the place: a new one, at the end.
    pub(super) items: Vec<(Kind, Option<usize>, Value)>,
    /// A new `current-context`.
    pub(super) current: Option<String>,
}

/// Why the text stays as it is.
#[derive(Debug, PartialEq, Eq, Error)]
pub(super) enum EditError {
    /// The lines cannot be told apart.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// It was understood wrongly. The words name no content.
    #[error("it is written in a way that cannot be edited without losing something")]
    Unproved,
}

impl Edits {
    /// Whether there is nothing to do.
    pub(super) const fn is_empty(&self) -> bool {
        self.items.is_empty() && self.current.is_none()
    }

    /// The kubeconfig with the edits made.
    pub(super) fn applied_to(&self, before: &Value) -> Value {
        let mut after = if before.is_null() { Value::Mapping(Mapping::new()) } else { before.clone() };
        let Some(root) = after.as_mapping_mut() else { return after };
        if root.is_empty() {
            root.insert("apiVersion".into(), "v1".into());
            root.insert("kind".into(), "Config".into());
        }
        for (kind, place, item) in &self.items {
            let list = root.entry(kind.list().into()).or_insert(Value::Null);
            if !list.is_sequence() {
                *list = Value::Sequence(Vec::new());
            }
            let Some(list) = list.as_sequence_mut() else { continue };
            match place.and_then(|place| list.get_mut(place)) {
                Some(old) => *old = item.clone(),
                None => list.push(item.clone()),
            }
        }
        if let Some(current) = &self.current {
            root.insert("current-context".into(), current.as_str().into());
        }
        after
    }

    /// The text with the edits made, which means exactly what it should: it was parsed to see.
    ///
    /// # Errors
    /// When the text is not written in a way that can be edited. Nothing is lost then.
    pub(super) fn apply(&self, text: &str, before: &Value) -> Result<String, EditError> {
        let intended = self.applied_to(before);
        let after = if json::is_json(text) { json::write(text, &intended) } else { Some(self.yaml(text, before)?) };
        after
            .filter(|after| serde_norway::from_str::<Value>(after).is_ok_and(|meaning| meaning == intended))
            .ok_or(EditError::Unproved)
    }

    fn yaml(&self, text: &str, before: &Value) -> Result<String, EditError> {
        let layout = Layout::of(text)?;
        let ending = layout.ending();
        let mut patches: Vec<(Range<usize>, String)> = Vec::new();
        if before.as_mapping().is_none_or(Mapping::is_empty) {
            patches.push((layout.end..layout.end, format!("apiVersion: v1{ending}kind: Config{ending}")));
        }
        for kind in Kind::ALL {
            let lines = layout.lists.get(&kind);
            if lines.map_or(0, |lines| lines.items.len()) != items(before, kind).len() {
                return Err(EditError::Unproved);
            }
            let mut new = String::new();
            for (_, place, item) in self.items.iter().filter(|(of, ..)| *of == kind) {
                let text = yaml::item(item, layout.indent(kind), ending).ok_or(EditError::Unproved)?;
                match place.zip(lines) {
                    Some((place, lines)) => patches.push((lines.items[place].clone(), text)),
                    None => new.push_str(&text),
                }
            }
            if new.is_empty() {
                continue;
            }
            match lines {
                None => patches.push((layout.end..layout.end, format!("{}:{ending}{new}", kind.list()))),
                Some(lines) => {
                    if lines.says_empty {
                        patches.push((lines.key..lines.key + 1, without_value(layout.lines[lines.key], ending)));
                    }
                    let after = lines.items.last().map_or(lines.key + 1, |item| item.end);
                    patches.push((after..after, new));
                }
            }
        }
        if let Some(current) = &self.current {
            patches.push(match layout.current {
                None => (layout.end..layout.end, format!("current-context: {}{ending}", yaml::scalar(current))),
                Some(line) => (line..line + 1, with_value(layout.lines[line], &yaml::scalar(current), ending)),
            });
        }
        Ok(patched(&layout.lines, patches, ending))
    }
}

/// Stable: what goes to the same place stays in its order.
fn patched(lines: &[&str], mut patches: Vec<(Range<usize>, String)>, ending: &str) -> String {
    patches.sort_by_key(|(range, _)| (range.start, range.end));
    let mut text = String::new();
    let mut at = 0;
    for (range, new) in patches {
        text.extend(lines[at..range.start.max(at)].iter().copied());
        // The last line of the file may have no ending.
        if !text.is_empty() && !text.ends_with('\n') {
            text.push_str(ending);
        }
        text.push_str(&new);
        at = range.end.max(at);
    }
    text.extend(lines[at..].iter().copied());
    text
}

/// The key's line with another value; the comment stays.
fn with_value(line: &str, value: &str, ending: &str) -> String {
    let mark = if line.starts_with('\u{feff}') { "\u{feff}" } else { "" };
    let Some((key, rest)) = split_key(content(line)) else { return line.to_owned() };
    let old = value_alone(rest);
    let comment = rest.trim().strip_prefix(old).unwrap_or_default().trim_start();
    let words = [value, comment]
        .into_iter()
        .filter(|word| !word.is_empty())
        .fold(String::new(), |words, word| words + " " + word);
    format!("{mark}{key}{words}{ending}")
}

fn without_value(line: &str, ending: &str) -> String {
    with_value(line, "", ending)
}

#[cfg(test)]
mod tests;
