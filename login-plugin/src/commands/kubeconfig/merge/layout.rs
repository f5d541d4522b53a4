//! Where things stand in a YAML kubeconfig: the lines of the three lists' items, and of `current-context`.
//!
//! A reading of lines, not of YAML: it understands block style, which every tool writes, and gives up on the rest. That it
//! understood rightly is proved afterwards, by parsing the edited text (`edit`).

use std::collections::BTreeMap;
use std::ops::Range;

use thiserror::Error;

use super::super::entries::Kind;

/// Why the lines cannot be edited.
#[derive(Debug, PartialEq, Eq, Error)]
pub(super) enum LayoutError {
    /// Flow style, an anchor, a tag, a tab: rare, and not to be guessed at.
    #[error("{list} (line {line}) is not a plain block list, which is all that can be edited without losing comments")]
    NotABlockList {
        /// The list's key.
        list: &'static str,
        /// Counted from one.
        line: usize,
    },
    /// More than one line.
    #[error("current-context (line {0}) is not a plain value on one line")]
    NotAScalar(usize),
}

/// One list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListLines {
    /// The line with the key.
    pub(super) key: usize,
    /// Whether the key's line says `[]` or `null`, which has to go before items can follow.
    pub(super) says_empty: bool,
    /// Blanks before each item's dash.
    pub(super) indent: Option<usize>,
    /// The items' lines. Comments between items, not deeper than the dash, belong to no item.
    pub(super) items: Vec<Range<usize>>,
}

/// The text by lines, each with its ending.
#[derive(Debug)]
pub(super) struct Layout<'a> {
    pub(super) lines: Vec<&'a str>,
    pub(super) lists: BTreeMap<Kind, ListLines>,
    pub(super) current: Option<usize>,
    /// Where something new at the end goes: before the end-of-document mark, if there is one.
    pub(super) end: usize,
}

impl<'a> Layout<'a> {
    /// Reads the lines.
    ///
    /// # Errors
    /// When a list is written in a way that cannot be edited by lines.
    pub(super) fn of(text: &'a str) -> Result<Self, LayoutError> {
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let end = lines.iter().position(|line| is_document_end(line)).unwrap_or(lines.len());
        let keys: Vec<(usize, &str)> = lines
            .iter()
            .enumerate()
            .take(end)
            .filter_map(|(number, line)| top_level_key(content(line)).map(|key| (number, key)))
            .collect();
        let mut layout = Self { lines, lists: BTreeMap::new(), current: None, end };
        for (position, (line, key)) in keys.iter().enumerate() {
            let end = keys.get(position + 1).map_or(layout.end, |(next, _)| *next);
            if *key == "current-context" {
                layout.expect_scalar(*line, end)?;
                layout.current = Some(*line);
            }
            if let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.list() == *key) {
                let list = layout.list(kind, *line, end)?;
                layout.lists.insert(kind, list);
            }
        }
        Ok(layout)
    }

    /// Blanks before a dash where a list has no item to copy from.
    pub(super) fn indent(&self, kind: Kind) -> usize {
        let own = self.lists.get(&kind).and_then(|list| list.indent);
        own.or_else(|| self.lists.values().find_map(|list| list.indent)).unwrap_or_default()
    }

    /// The line ending in use.
    pub(super) fn ending(&self) -> &'static str {
        if self.lines.first().is_some_and(|line| line.ends_with("\r\n")) { "\r\n" } else { "\n" }
    }

    fn list(&self, kind: Kind, key: usize, end: usize) -> Result<ListLines, LayoutError> {
        let refuse = |line: usize| LayoutError::NotABlockList { list: kind.list(), line: line + 1 };
        let (_, value) = split_key(content(self.lines[key])).ok_or_else(|| refuse(key))?;
        let says_empty = match value_alone(value) {
            "" => false,
            "[]" | "null" | "~" => true,
            _ => return Err(refuse(key)),
        };
        let mut list = ListLines { key, says_empty, indent: None, items: Vec::new() };
        for number in key + 1..end {
            let line = content(self.lines[number]);
            let text = line.trim_start_matches(' ');
            let depth = line.len() - text.len();
            if text.trim().is_empty() {
                continue;
            }
            let deeper = list.indent.is_some_and(|indent| depth > indent);
            if text.starts_with('#') && !deeper {
                continue;
            }
            let is_item = (text == "-" || text.starts_with("- ")) && list.indent.is_none_or(|indent| indent == depth);
            match list.items.last_mut() {
                _ if says_empty => return Err(refuse(number)),
                _ if is_item => {
                    list.indent = Some(depth);
                    list.items.push(number..number + 1);
                }
                Some(item) if deeper => item.end = number + 1,
                _ => return Err(refuse(number)),
            }
        }
        Ok(list)
    }

    fn expect_scalar(&self, key: usize, end: usize) -> Result<(), LayoutError> {
        let value = split_key(content(self.lines[key])).map(|(_, value)| value_alone(value)).unwrap_or_default();
        let plain = !value.starts_with(['|', '>', '&', '*', '!', '[', '{']);
        let alone = self.lines[key + 1..end].iter().all(|line| {
            let text = line.trim();
            text.is_empty() || text.starts_with('#')
        });
        if plain && alone { Ok(()) } else { Err(LayoutError::NotAScalar(key + 1)) }
    }
}

/// A line without its ending; the first may begin with a byte order mark.
pub(super) fn content(line: &str) -> &str {
    line.trim_end_matches(['\n', '\r']).trim_start_matches('\u{feff}')
}

/// A top-level line as what stands up to and with the colon, and the rest.
pub(super) fn split_key(line: &str) -> Option<(&str, &str)> {
    let colon = match line.chars().next()? {
        quote @ ('"' | '\'') => {
            let close = line[1..].find(quote)? + 2;
            let blanks = line[close..].len() - line[close..].trim_start_matches(' ').len();
            line[close + blanks..].starts_with(':').then_some(close + blanks)?
        }
        _ => line.find(": ").or_else(|| line.find(":\t")).or_else(|| line.ends_with(':').then(|| line.len() - 1))?,
    };
    let rest = &line[colon + 1..];
    (rest.is_empty() || rest.starts_with([' ', '\t'])).then_some((&line[..=colon], rest))
}

/// A value without the comment behind it.
pub(super) fn value_alone(rest: &str) -> &str {
    let value = rest.trim();
    if value.starts_with('#') {
        return "";
    }
    let from = match value.chars().next() {
        Some(quote @ ('"' | '\'')) => value[1..].find(quote).map_or(value.len(), |close| close + 2),
        _ => 0,
    };
    value[from..].find(" #").map_or(value, |comment| value[..from + comment].trim_end())
}

fn top_level_key(line: &str) -> Option<&str> {
    if line.starts_with([' ', '\t', '#', '-', '%', '[', '{', '&', '*', '!', '|', '>']) {
        return None;
    }
    let (key, _) = split_key(line)?;
    Some(key.trim_end_matches(':').trim_end().trim_matches(['"', '\'']))
}

fn is_document_end(line: &str) -> bool {
    let line = content(line);
    line == "..." || line.starts_with("... ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_end_where_their_last_line_ends() {
        let text = "\
apiVersion: v1
clusters: # all of them
# first
- cluster:
    server: https://a

    # inside
    proxy-url: x
  name: a
# before b
- name: b
  cluster: {}

# after all
contexts: []
users:
  - name: u
    user:
      exec:
        installHint: |
          # not a comment

current-context: \"a\" # mine
";
        let layout = Layout::of(text).unwrap();
        let items = |kind| layout.lists[&kind].items.clone();
        assert_eq!(items(Kind::Cluster), [3..9, 10..12]);
        assert!(layout.lists[&Kind::Context].says_empty);
        assert!(matches!(items(Kind::User).as_slice(), [lines] if *lines == (16..21)));
        assert_eq!((layout.indent(Kind::User), layout.indent(Kind::Cluster), layout.indent(Kind::Context)), (2, 0, 0));
        assert_eq!(layout.current, Some(22));
    }

    #[test]
    fn what_is_not_block_style_is_refused() {
        for text in [
            "clusters: [{name: a}]\n",
            "clusters: &all\n- name: a\n",
            "clusters:\n\t- name: a\n",
            "clusters:\n  name: a\n",
            "clusters:\n  - name: a\n - name: b\n",
            "current-context: |\n  a\n",
            "current-context:\n  a\n",
        ] {
            assert!(Layout::of(text).is_err(), "{text}");
        }
    }

    #[test]
    fn keys_and_values_are_told_apart_from_quotes_and_comments() {
        let cases = [
            ("a: b # c", "b"),
            ("a:", ""),
            ("a: 'b # c' # d", "'b # c'"),
            ("\"a\" : b#c", "b#c"),
            ("a: # only words", ""),
        ];
        for (line, expected) in cases {
            let (_, rest) = split_key(line).unwrap();
            assert_eq!(value_alone(rest), expected, "{line}");
            assert_eq!(top_level_key(line), Some("a"), "{line}");
        }
        assert_eq!(split_key("https://x"), None);
    }
}
