//! The answer for people: what was found, by its kind, with the clusters and the mend. Pure.

use std::fmt::Write as _;

use super::Report;
use super::finding::{Finding, Seen, Severity};
use crate::output::Printable;

/// Clusters named in one line.
const NAMES: usize = 12;

/// Findings of one kind that are told one by one; JSON tells all.
const OF_A_KIND: usize = 40;

/// The findings, and who was compared.
pub(super) fn text(report: &Report) -> String {
    let mut text = String::new();
    for findings in report.findings.chunk_by(|one, other| one.code == other.code) {
        group(findings, &mut text);
    }
    let names: Vec<String> = report
        .clusters
        .iter()
        .map(|compared| match &compared.name {
            Some(name) if *name != compared.cluster => format!("{} ({name})", compared.cluster),
            _ => compared.cluster.clone(),
        })
        .collect();
    let is_alike = report.findings.iter().all(|finding| finding.severity == Severity::Note);
    let said = match (names.len(), is_alike, report.unread.is_empty()) {
        (0, ..) => "No cluster compared.".to_owned(),
        (1, true, true) => format!("1 cluster, nothing found: {}", several(&names)),
        (count, true, true) => format!("{count} clusters, no drift: {}", several(&names)),
        (1, ..) => format!("1 cluster compared: {}", several(&names)),
        (count, ..) => format!("{count} clusters compared: {}", several(&names)),
    };
    let _cannot_fail = writeln!(text, "{said}");
    text
}

fn group(findings: &[Finding], text: &mut String) {
    let Some(first) = findings.first() else { return };
    let severity = match first.severity {
        Severity::Critical => "critical",
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let _cannot_fail = writeln!(text, "{severity} {}: {}", first.code.word(), first.code.title());
    for Finding { subject, seen, .. } in findings.iter().take(OF_A_KIND) {
        let _cannot_fail = writeln!(text, "  {}", Printable(subject));
        for Seen { clusters, found } in seen {
            let clusters = if clusters.is_empty() { String::new() } else { format!("{}: ", several(clusters)) };
            let _cannot_fail = writeln!(text, "    {clusters}{}", Printable(found));
        }
    }
    if findings.len() > OF_A_KIND {
        let _cannot_fail = writeln!(text, "  and {} more (-o json tells all)", findings.len() - OF_A_KIND);
    }
    let _cannot_fail = writeln!(text, "  mend: {}\n", first.mend);
}

fn several(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(NAMES).map(|name| Printable(name).to_string()).collect();
    match names.len().checked_sub(NAMES) {
        Some(rest) if rest > 0 => format!("{} and {rest} more", shown.join(", ")),
        _ => shown.join(", "),
    }
}
