//! The audit record, held against its published schema and its documentation, and against whatever hostile text may come.
//!
//! `UPDATE_EXAMPLES=1 cargo test -p latchkey-concierge --test record` writes the examples and the tables anew.

#![expect(clippy::unwrap_used, reason = "a file that cannot be read has failed the test")]

#[path = "record/discreet.rs"]
mod discreet;
#[path = "record/events.rs"]
mod events;
#[path = "record/hostile.rs"]
mod hostile;
#[expect(dead_code, reason = "the judge's tests use more of it")]
#[path = "judging/issuer.rs"]
mod issuer;
#[path = "record/page.rs"]
mod page;
#[expect(dead_code, reason = "the tests that have a log in a file need more of it")]
#[path = "record/schema.rs"]
mod schema;

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
};

use latchkey_concierge::audit::event::{GapReason, Kind, Severity, Surface};
use serde_json::{Value, json};

use self::{
    events::{examples, log},
    schema::{assert_records, complaints},
};

/// Where the generated part of the page begins and ends.
const BEGIN: &str = "<!-- from here on written by the test of the record -->\n";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/audit")
}

fn schema_text() -> String {
    fs::read_to_string(folder().join("record.schema.json")).unwrap()
}

fn published() -> Value {
    serde_json::from_str(&schema_text()).unwrap()
}

/// Holds a file against what it should be, or writes it.
fn hold(path: &Path, expected: &str) {
    if env::var_os("UPDATE_EXAMPLES").is_some() {
        fs::write(path, expected).unwrap();
    }
    assert_eq!(fs::read_to_string(path).unwrap_or_default(), expected, "{}", path.display());
}

#[test]
fn every_kind_has_its_example_and_every_example_is_what_the_program_writes() {
    let lines = log(&examples());
    let shown: BTreeSet<&str> = lines.iter().map(|(name, _)| kind_of(name)).collect();
    assert_eq!(shown, Kind::ALL.iter().map(|kind| kind.as_str()).collect());
    for (name, line) in &lines {
        assert_records(line);
        hold(&folder().join(format!("examples/{name}.json")), &format!("{line}\n"));
    }
    let files = fs::read_dir(folder().join("examples")).unwrap().count();
    assert_eq!(files, lines.len(), "an example that nothing makes");
}

#[test]
fn the_page_documents_every_member_and_shows_every_example() {
    let page = folder().join("README.md");
    let text = fs::read_to_string(&page).unwrap();
    let (head, _) = text.split_once(BEGIN).unwrap();
    let members = page::table(&schema_text());
    let shown = log(&examples()).into_iter().map(|(name, line)| page::example(name, &line)).collect::<String>();
    hold(&page, &format!("{head}{BEGIN}{members}{shown}"));
}

#[test]
fn the_schema_lists_the_words_that_the_program_has() {
    let schema = published();
    let words = |member: &str| schema["properties"][member]["enum"].clone();
    assert_eq!(words("kind"), json!(Kind::ALL.map(Kind::as_str)));
    assert_eq!(words("severity"), json!(Severity::ALL.map(Severity::as_str)));
    assert_eq!(words("surface"), json!(Surface::ALL.map(Surface::as_str)));
    assert_eq!(words("reason"), json!(GapReason::ALL.map(GapReason::as_str)));
    assert_eq!(
        words("state"),
        json!(latchkey_concierge::authn::ReplayState::ALL.map(latchkey_concierge::authn::ReplayState::as_str))
    );
}

#[test]
fn members_stand_in_the_order_of_the_schema() {
    let order = page::member_names(&schema_text());
    for (name, line) in log(&examples()) {
        let members = page::names(&line);
        let mut rest = order.iter();
        for member in &members {
            assert!(rest.any(|next| next == member), "{name}: {member} is out of order in {members:?}");
        }
    }
}

#[test]
fn the_schema_refuses_what_is_no_record() {
    let lines = log(&examples());
    let line = |name: &str| -> Value {
        serde_json::from_str(&lines.iter().find(|(other, _)| *other == name).unwrap().1).unwrap()
    };
    let changed = |name: &str, member: &str, value: Value| {
        let mut record = line(name);
        match value {
            Value::Null => drop(record.as_object_mut().unwrap().remove(member)),
            value => record[member] = value,
        }
        record
    };
    for (why, record) in [
        ("a member that nobody knows", changed("token.refused", "password", json!("x"))),
        ("a member of another kind", changed("audit.stopped", "token", json!({"bytes": 1}))),
        ("a member that is null", {
            let mut record = line("token.refused");
            record["detail"] = Value::Null;
            record
        }),
        ("another version", changed("token.refused", "v", json!(2))),
        ("a kind of its own", changed("token.refused", "kind", json!("token.stolen"))),
        ("a severity of its own", changed("token.refused", "severity", json!("fatal"))),
        ("no chain", changed("token.refused", "prev", Value::Null)),
        ("half a hash", changed("token.refused", "prev", json!("AAAA"))),
        ("a time without microseconds", changed("token.refused", "time", json!("2026-11-21T04:00:00Z"))),
        ("a grant without a credential", changed("credential.issued", "credential", Value::Null)),
        ("a grant to nobody", changed("credential.issued", "identity", Value::Null)),
        ("a replay without its cluster", changed("token.refused.replay", "claimedCluster", Value::Null)),
        ("a replay that nobody signed", changed("token.refused.replay", "verified", Value::Null)),
        ("noise that is called a replay", changed("token.refused.forged", "claimedCluster", json!("staging"))),
        ("claims signed and unsigned", changed("token.refused", "claimed", json!({"sub": "ada"}))),
        ("a control character", changed("token.refused", "userAgent", json!("a\u{1b}[31m"))),
        ("a character that turns text around", changed("token.refused", "userAgent", json!("a\u{202e}b"))),
        ("a count without times", changed("token.refused.forged", "firstTime", Value::Null)),
        ("a gap without a reason", changed("audit.gap", "reason", Value::Null)),
    ] {
        assert!(!complaints(&record).is_empty(), "{why}: {record}");
    }
}

fn kind_of(name: &str) -> &str {
    let end = name.match_indices('.').nth(1).map_or(name.len(), |(position, _)| position);
    &name[..end]
}
