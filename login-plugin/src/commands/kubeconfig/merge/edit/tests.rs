//! Random kubeconfigs, edited: everything outside our entries stays byte for byte, and the result is what was meant.

use proptest::prelude::*;

use super::*;

const TYPICAL: &str = "\
# my clusters
apiVersion: v1
clusters:
- cluster:
    server: https://a
  name: a
# ours
- cluster:
    server: https://old
  name: latchkey-b
contexts: []
current-context: a # for now
kind: Config
users: null
";

fn parsed(text: &str) -> Value {
    serde_norway::from_str(text).unwrap()
}

fn item(kind: Kind, name: &str, server: &str) -> Value {
    parsed(&format!("name: {name}\n{}:\n  server: {server}\n", kind.word()))
}

fn edits(items: Vec<(Kind, Option<usize>, Value)>) -> Edits {
    Edits { items, current: None }
}

#[test]
fn only_what_changes_is_touched() {
    let edits = Edits {
        items: vec![
            (Kind::Cluster, Some(1), item(Kind::Cluster, "latchkey-b", "https://new")),
            (Kind::Cluster, None, item(Kind::Cluster, "latchkey-c", "https://c")),
            (Kind::User, None, item(Kind::User, "u", "x")),
            (Kind::Context, None, item(Kind::Context, "c", "x")),
        ],
        current: Some("c d".to_owned()),
    };
    let expected = "\
# my clusters
apiVersion: v1
clusters:
- cluster:
    server: https://a
  name: a
# ours
- name: latchkey-b
  cluster:
    server: https://new
- name: latchkey-c
  cluster:
    server: https://c
contexts:
- name: c
  context:
    server: x
current-context: c d # for now
kind: Config
users:
- name: u
  user:
    server: x
";
    assert_eq!(edits.apply(TYPICAL, &parsed(TYPICAL)).unwrap(), expected);
    let windows = TYPICAL.replace('\n', "\r\n");
    assert_eq!(edits.apply(&windows, &parsed(&windows)).unwrap(), expected.replace('\n', "\r\n"));
    let marked = format!("\u{feff}{TYPICAL}");
    assert_eq!(edits.apply(&marked, &parsed(&marked)).unwrap(), format!("\u{feff}{expected}"));
}

#[test]
fn a_missing_list_a_missing_end_of_line_and_an_empty_file_are_no_obstacle() {
    let edits = Edits { items: vec![(Kind::User, None, item(Kind::User, "u", "x"))], current: Some("yes".to_owned()) };
    let added = "users:\n- name: u\n  user:\n    server: x\ncurrent-context: 'yes'\n";
    let cases = [
        ("kind: Config", format!("kind: Config\n{added}")),
        ("kind: Config\n...\n", format!("kind: Config\n{added}...\n")),
        ("", format!("apiVersion: v1\nkind: Config\n{added}")),
        ("# nothing yet", format!("# nothing yet\napiVersion: v1\nkind: Config\n{added}")),
    ];
    for (text, expected) in cases {
        assert_eq!(edits.apply(text, &parsed(text)).unwrap(), expected);
    }
}

#[test]
fn json_is_edited_as_json() {
    let text = "{\n  \"kind\": \"Config\",\n  \"users\": [],\n  \"x\": 1.5\n}\n";
    let after = edits(vec![(Kind::User, None, item(Kind::User, "u", "x"))]).apply(text, &parsed(text)).unwrap();
    assert!(after.starts_with("{\n  \"kind\": \"Config\",\n  \"users\": [\n    {\n      \"name\": \"u\""), "{after}");
    assert!(after.ends_with("\n  \"x\": 1.5\n}\n"), "{after}");
}

#[test]
fn what_cannot_be_proved_is_refused() {
    // An anchor in the item that goes; a list in a string of several lines; flow style; a root that is indented.
    let cases = [
        "users:\n- name: u\n  user: &same {a: 1}\nx: *same\n",
        "x: \"\nusers:\n- name: v\n\"\nusers:\n- name: u\n",
        "users: [{name: u}]\n",
        "  users:\n  - name: u\n",
        "{users: [{name: u}]}\n",
    ];
    for text in cases {
        let edits = edits(vec![(Kind::User, Some(0), item(Kind::User, "u", "x"))]);
        assert!(edits.apply(text, &parsed(text)).is_err(), "{text}");
    }
}

/// A piece of a list as somebody may have written it.
#[derive(Clone, Debug)]
enum Piece {
    /// Belongs to no item.
    Between(String),
    Foreign(String),
    Ours(String),
}

/// A comment or an empty line, not deeper than a dash.
fn between() -> impl Strategy<Value = Piece> {
    prop_oneof![Just(String::new()), "#[ -~]{0,20}"].prop_map(Piece::Between)
}

/// Somebody's item: with comments, quotes, literal blocks and flow in it; `%` stands for its number.
fn foreign() -> impl Strategy<Value = Piece> {
    let field = prop_oneof![
        "[a-z]{1,8}: [a-z0-9/.]{1,12}",
        "[a-z]{1,8}: [a-z]{1,5} #[ -~]{0,12}",
        "[a-z]{1,8}: '[ a-z#:]{0,12}'",
        "[a-z]{1,8}: \"[ a-z#:-]{0,12}\"",
        "[a-z]{1,8}: \\[[a-z]{1,3}, [a-z]{1,3}\\]",
        "#[ -~]{0,16}",
        Just(String::new()),
        "[a-z]{1,8}: \\|\n    [a-z]{1,8}\n\n      # [a-z: -]{0,8}",
        "[a-z]{1,8}:\n  - [a-z]{1,5}\n  #[a-z]{0,5}\n  - [a-z]{1,5}",
    ];
    prop::collection::vec(field, 0..5).prop_map(|fields| {
        let mut text = "- name: foreign%\n".to_owned();
        for (number, field) in fields.iter().enumerate() {
            for line in field.replacen(':', &format!("{number}:"), usize::from(!field.starts_with('#'))).lines() {
                text.extend([if line.is_empty() { "" } else { "  " }, line, "\n"]);
            }
            if field.is_empty() {
                text.push('\n');
            }
        }
        // Its last line says something, or it would be a line between items.
        Piece::Foreign(text + "  last: 1\n")
    })
}

fn ours() -> impl Strategy<Value = Piece> {
    "(  # [ -~]{0,12}\n|  a: '[a-z# ]{0,9}'\n){0,3}"
        .prop_map(|middle| Piece::Ours(format!("- name: ours%\n{middle}  last: 1\n")))
}

fn list() -> impl Strategy<Value = Vec<Piece>> {
    prop::collection::vec(prop_oneof![2 => between(), 2 => foreign(), 1 => ours()], 0..7)
}

fn shifted(text: &str, indent: usize) -> String {
    let blanks = " ".repeat(indent);
    text.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("{blanks}{line}\n") }).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever stands outside our items stays as it is, byte for byte.
    #[test]
    fn everything_else_is_byte_identical(
        lists in prop::array::uniform3(list()),
        indent in prop_oneof![Just(0_usize), Just(2), Just(4)],
        crlf in any::<bool>(),
        add in any::<bool>(),
    ) {
        let mut text = "# head\napiVersion: v1\n".to_owned();
        let mut others = text.clone();
        let mut all = Vec::new();
        for (kind, pieces) in Kind::ALL.into_iter().zip(lists) {
            let key = format!("{}:\n", kind.list());
            text.push_str(&key);
            others.push_str(&key);
            let mut count = 0;
            for piece in pieces {
                let (piece, is_ours, is_item) = match piece {
                    Piece::Between(piece) => (format!("{piece}\n"), false, false),
                    Piece::Foreign(piece) => (piece, false, true),
                    Piece::Ours(piece) => (piece, true, true),
                };
                let piece = shifted(&piece.replace('%', &count.to_string()), indent);
                text.push_str(&piece);
                if is_ours {
                    all.push((kind, Some(count), item(kind, &format!("new{count}"), "https://new")));
                } else {
                    others.push_str(&piece);
                }
                count += usize::from(is_item);
            }
            if add {
                all.push((kind, None, item(kind, "added", "https://added")));
            }
        }
        for part in [&mut text, &mut others] {
            part.push_str("preferences: {} # tail\n");
        }
        if crlf {
            text = text.replace('\n', "\r\n");
            others = others.replace('\n', "\r\n");
        }
        let before = serde_norway::from_str::<Value>(&text).map_err(|error| TestCaseError::reject(error.to_string()))?;
        let edits = edits(all);
        let after = edits.apply(&text, &before).map_err(|error| TestCaseError::fail(format!("{error}:\n{text}")))?;
        let mut rest = after.clone();
        let ending = if crlf { "\r\n" } else { "\n" };
        for (kind, _, item) in &edits.items {
            let ours = [0, 2, 4].map(|indent| yaml::item(item, indent, ending).unwrap());
            // By the text of the whole item; with its blanks, if it has any.
            let found = ours.iter().rev().find(|ours| rest.contains(ours.as_str()));
            prop_assert!(found.is_some(), "{:?} is missing in:\n{}", kind, after);
            rest = rest.replacen(found.unwrap().as_str(), "", 1);
        }
        prop_assert_eq!(rest, others);
    }
}
