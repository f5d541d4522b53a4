//! The verdict in words: the answer first, then each log, then what was found where and what to do about it.

use std::io::{self, Write};

use super::super::verify::{End, Finding, Log, Report, Severity, Verdict};
use crate::{text::clean, time::UnixTime};

/// Longest sentence that is shown: the longest of ours with a file name in it.
const SENTENCE: usize = 2_000;

/// Writes a report for people.
pub(super) fn write(report: &Report, color: bool, output: &mut impl Write) -> io::Result<()> {
    let paint = |verdict: Verdict| match (color, verdict) {
        (false, _) => ("", ""),
        (true, Verdict::Intact) => ("\u{1b}[32m", "\u{1b}[0m"),
        (true, Verdict::Incomplete) => ("\u{1b}[33m", "\u{1b}[0m"),
        (true, Verdict::Broken) => ("\u{1b}[1;31m", "\u{1b}[0m"),
    };
    let (on, off) = paint(report.verdict);
    let words = match report.verdict {
        Verdict::Intact => "intact and complete",
        Verdict::Incomplete => "intact but incomplete",
        Verdict::Broken => "NOT INTACT",
    };
    let records: u64 = report.logs.iter().map(|log| log.records).sum();
    let (logs, records, files) =
        (count(report.logs.len() as u64, "log"), count(records, "record"), count(report.files as u64, "file"));
    writeln!(output, "{on}{words}{off}: {logs}, {records}, {files}, {} bytes", report.bytes)?;
    for log in &report.logs {
        let (on, off) = paint(log.verdict);
        self::log(log, on, off, output)?;
    }
    if !report.findings.is_empty() {
        writeln!(output)?;
    }
    findings(&report.findings, report.more_findings, output)
}

fn log(log: &Log, on: &str, off: &str, output: &mut impl Write) -> io::Result<()> {
    let began = UnixTime::from_micros(i64::try_from(log.life).unwrap_or(i64::MAX).saturating_mul(1_000));
    let sink = log.sink.as_deref().unwrap_or("sink unknown");
    let title = format!("cluster {}, replica {}, {sink}, life {} (since {began})", log.cluster, log.replica, log.life);
    writeln!(output, "\n{on}{}{off}", clean(&title, SENTENCE))?;
    let (first, last) = (&log.first, &log.last);
    let span = format!("{} from number {} ({}) to {} ({})", log.records, first.seq, first.time, last.seq, last.time);
    writeln!(output, "  records    {}", clean(&span, SENTENCE))?;
    let integrity = match (log.intact, log.intact_until) {
        (true, _) => format!("intact to number {}", last.seq),
        (false, Some(seq)) => format!("NOT INTACT: intact to number {seq} only"),
        (false, None) => "NOT INTACT".to_owned(),
    };
    writeln!(output, "  integrity  {integrity}")?;
    let end = match log.end {
        End::Stopped => "ended in order",
        End::Unclean => "ended without audit.stopped",
        End::Open => "no audit.stopped at its end: its process may still write",
    };
    writeln!(output, "  complete   {}; {end}", if log.complete { "yes" } else { "no" })?;
    writeln!(output, "  signed     {}", signed(log))?;
    findings(&log.findings, log.more_findings, output)
}

fn signed(log: &Log) -> String {
    let checkpoints = &log.checkpoints;
    let tail = match checkpoints.tail_records {
        0 => "nothing after it".to_owned(),
        records => format!("{} after it ({} s)", count(records, "record"), checkpoints.tail_seconds),
    };
    let mut words = match (&checkpoints.key, checkpoints.signed_until, checkpoints.sealed_until) {
        (Some(key), Some(seq), _) => format!("{}to number {seq} by key {key}; {tail}", from(checkpoints.signed_from)),
        (_, _, Some(seq)) => {
            let from = from(checkpoints.sealed_from);
            format!("{from}to number {seq} by signatures that were not checked (--key) or do not count; {tail}")
        }
        _ if checkpoints.count == 0 => "no checkpoint".to_owned(),
        _ => "by no checkpoint that can be held against the lines".to_owned(),
    };
    if checkpoints.unchecked > 0 {
        let several = count(checkpoints.unchecked, "checkpoint");
        words.push_str("; ");
        words.push_str(&several);
        words.push_str(" could not be held against the lines, as lines before are missing");
    }
    words
}

/// Where what is signed begins, if not with the log.
fn from(number: Option<u64>) -> String {
    number.map_or_else(String::new, |number| format!("from number {number} "))
}

fn findings(findings: &[Finding], more: u64, output: &mut impl Write) -> io::Result<()> {
    for finding in findings {
        let mark = match finding.severity {
            Severity::Broken => "!!",
            Severity::Incomplete => " !",
            Severity::Remark => "  ",
        };
        let place = match (&finding.file, finding.line, finding.offset) {
            (Some(file), Some(line), Some(offset)) => {
                let record = finding.seq.map_or_else(String::new, |seq| format!(", record {seq}"));
                format!("{file}:{line} (byte {offset}{record}): ")
            }
            _ => String::new(),
        };
        let Finding { code, what, advice, .. } = finding;
        writeln!(output, "  {mark} {code}: {}", clean(&format!("{place}{what}"), SENTENCE))?;
        writeln!(output, "       {advice}")?;
    }
    if more > 0 {
        writeln!(output, "     and {} more", count(more, "finding"))?;
    }
    Ok(())
}

fn count(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
