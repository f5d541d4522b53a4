//! The answer for people: a table.

use super::list::{Facts, Fleet};
use crate::commands::table::{age_of, aligned, cell};
use crate::time::UnixTime;

/// A column: its head, and what stands in it.
type Column = (&'static str, fn(&Facts, UnixTime) -> String);

const COLUMNS: [Column; 6] = [
    ("FROM-CLUSTER", |facts, _| facts.claimed_cluster.clone()),
    ("CODE", |facts, _| facts.code.clone()),
    ("SUBJECT", |facts, _| facts.subject.clone()),
    ("SOURCE", |facts, _| facts.source.clone()),
    ("COUNT", |facts, _| facts.count.to_string()),
    ("LAST-SEEN", |facts, now| age_of(&facts.last_seen, now)),
];

const WIDE: [Column; 10] = [
    ("FIRST-SEEN", |facts, now| age_of(&facts.first_seen, now)),
    ("SEVERITY", |facts, _| facts.severity.clone()),
    ("STATE", |facts, _| facts.state.clone()),
    ("AUTHENTICATOR", |facts, _| facts.authenticator.clone()),
    ("ISSUER", |facts, _| facts.issuer.clone()),
    ("AUDIENCE", |facts, _| facts.audience.join(",")),
    ("USER-AGENT", |facts, _| facts.user_agent.clone()),
    ("FINGERPRINT", |facts, _| facts.fingerprint.clone()),
    ("LAST-AUDIT-ID", |facts, _| facts.last_audit_id.clone()),
    ("REPLICA", |facts, _| facts.replica.clone()),
];

/// The table, with a head.
pub(super) fn table(fleet: &Fleet, wide: bool, now: UnixTime) -> String {
    let columns = || COLUMNS.iter().chain(WIDE.iter().filter(move |_| wide));
    let head = ["CLUSTER"].into_iter().chain(columns().map(|(head, _)| *head)).map(str::to_owned).collect();
    let rows = fleet.rejections.iter().map(|rejection| {
        let rest = columns().map(|(_, text)| cell(&text(&rejection.facts, now)));
        [cell(&rejection.context)].into_iter().chain(rest).collect()
    });
    aligned(&[head].into_iter().chain(rows).collect::<Vec<Vec<String>>>())
}
