//! What was found: one calm line for each check, the mend below it, and the count.

use std::fmt::Write as _;

use serde::Serialize;

use crate::output::is_dangerous;

/// How wide the names of checks are.
const CHECK_WIDTH: usize = 13;

/// Whether something has to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// Nothing.
    Ok,
    /// It works, and could work better or stop to.
    Warn,
    /// It does not work.
    Fail,
}

/// One check and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What was looked at: a word or two that never change.
    pub(super) check: &'static str,
    /// Whether something has to be done.
    pub(super) verdict: Verdict,
    /// What was found.
    pub(super) found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mend: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Ok, found: found.into(), mend: None }
    }

    pub(super) fn warn(check: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Warn, found: found.into(), mend: Some(mend.into()) }
    }

    pub(super) fn fail(check: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Fail, found: found.into(), mend: Some(mend.into()) }
    }
}

/// Everything that was found about one subject.
#[derive(Debug, Serialize)]
pub(super) struct Section {
    /// This computer, or a context.
    pub(super) about: String,
    /// In the order in which things go wrong.
    pub(super) checks: Vec<Finding>,
}

/// All sections and their count.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    sections: Vec<Section>,
    ok: usize,
    warnings: usize,
    failed: usize,
}

impl Report {
    pub(super) fn new(sections: Vec<Section>) -> Self {
        let count = |verdict| {
            sections.iter().flat_map(|section| &section.checks).filter(|finding| finding.verdict == verdict).count()
        };
        Self { ok: count(Verdict::Ok), warnings: count(Verdict::Warn), failed: count(Verdict::Fail), sections }
    }

    pub(super) const fn failed(&self) -> usize {
        self.failed
    }

    /// For people; `coloured` where a terminal shows it.
    pub(super) fn text(&self, coloured: bool) -> String {
        let mut text = String::new();
        for section in &self.sections {
            let _cannot_fail = writeln!(text, "{}", safe(&section.about));
            section.checks.iter().for_each(|finding| finding.write(&mut text, coloured));
            text.push('\n');
        }
        let warnings = if self.warnings == 1 { "warning" } else { "warnings" };
        let _cannot_fail = writeln!(text, "{} ok, {} {warnings}, {} failed", self.ok, self.warnings, self.failed);
        text
    }
}

impl Finding {
    fn write(&self, text: &mut String, coloured: bool) {
        let (word, colour) = match self.verdict {
            Verdict::Ok => ("ok  ", "32"),
            Verdict::Warn => ("warn", "33"),
            Verdict::Fail => ("fail", "31"),
        };
        let (on, off) = if coloured { (format!("\u{1b}[{colour}m"), "\u{1b}[0m") } else { (String::new(), "") };
        let indent = " ".repeat(CHECK_WIDTH + 9);
        let mut lines = self.found.lines();
        let first = safe(lines.next().unwrap_or_default());
        let _cannot_fail = writeln!(text, "  {on}{word}{off}  {:CHECK_WIDTH$} {first}", self.check);
        for line in lines.chain(self.mend.iter().flat_map(|mend| mend.lines())) {
            let _cannot_fail = writeln!(text, "{indent}{}", safe(line));
        }
    }
}

/// The last guard: foreign text is made safe and short where it is quoted.
fn safe(text: &str) -> String {
    let escape = |character: char| character.escape_unicode().to_string();
    text.chars()
        .map(|character| if is_dangerous(character) { escape(character) } else { character.to_string() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report::new(vec![Section {
            about: "This computer".to_owned(),
            checks: vec![
                Finding::ok("kubectl", "v1.36.3"),
                Finding::warn("plugin", "two of them", "remove one:\n  rm it"),
                Finding::fail("kuberc", "evil\u{1b}[2J", "allow it"),
            ],
        }])
    }

    #[test]
    fn verdicts_stand_in_a_column_with_the_mend_below() {
        assert_eq!(
            report().text(false),
            "This computer\n  \
             ok    kubectl       v1.36.3\n  \
             warn  plugin        two of them\n                      remove one:\n                        rm it\n  \
             fail  kuberc        evil\\u{1b}[2J\n                      allow it\n\n\
             1 ok, 1 warning, 1 failed\n"
        );
    }

    #[test]
    fn colours_are_only_around_the_verdict() {
        let coloured = report().text(true);
        assert!(coloured.contains("  \u{1b}[31mfail\u{1b}[0m  kuberc"), "{coloured:?}");
        assert_eq!(
            coloured
                .replace("\u{1b}[31m", "")
                .replace("\u{1b}[32m", "")
                .replace("\u{1b}[33m", "")
                .replace("\u{1b}[0m", ""),
            report().text(false)
        );
    }
}
