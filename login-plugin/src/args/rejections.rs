//! The options of `rejections` as typed.

use std::path::PathBuf;

use latchkey_crds::groups::GroupSuffix;
use lexopt::{Arg, Parser, ValueExt};

use super::{Command, Topic, UsageError, list, suffix};

/// Options of `rejections`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct RejectionsArgs {
    /// `--context` and `--all-contexts`: which clusters to ask.
    pub(crate) contexts: Contexts,
    /// `--kubeconfig`.
    pub(crate) kubeconfig: Option<PathBuf>,
    /// `--api-group-suffix`: only where several installations share a cluster; otherwise the cluster knows.
    pub(crate) api_group_suffix: Option<GroupSuffix>,
    /// `--code`: only these reasons; none: all.
    pub(crate) codes: Vec<String>,
    /// `--since`: only what was seen in the last so many seconds.
    pub(crate) since_seconds: Option<i64>,
    /// `-o`.
    pub(crate) format: RejectionsFormat,
}

/// Whom to ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Contexts {
    /// The cluster of every context.
    All,
    /// The context in use.
    #[default]
    Current,
    /// Those named.
    Named(Vec<String>),
}

/// How `rejections` answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum RejectionsFormat {
    /// For programs.
    Json,
    /// For people.
    #[default]
    Table,
    /// For people with a wide screen.
    Wide,
    /// For programs and people.
    Yaml,
}

pub(super) fn rejections(parser: &mut Parser) -> Result<Command, UsageError> {
    let mut args = RejectionsArgs::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("all-contexts") if args.contexts == Contexts::Current => args.contexts = Contexts::All,
            Arg::Long("all-contexts") => return Err(both("all-contexts")),
            Arg::Long("api-group-suffix") => args.api_group_suffix = Some(suffix(parser)?),
            Arg::Long("code") => args.codes = list(parser)?,
            Arg::Long("context") if args.contexts == Contexts::All => return Err(both("context")),
            Arg::Long("context") => args.contexts = Contexts::Named(list(parser)?),
            Arg::Long("kubeconfig") => args.kubeconfig = Some(parser.value()?.into()),
            Arg::Short('o') | Arg::Long("output") => args.format = format(parser)?,
            Arg::Long("since") => args.since_seconds = Some(seconds(parser)?),
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help(Topic::Rejections)),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Command::Rejections(Box::new(args)))
}

fn both(option: &'static str) -> UsageError {
    let expected = "either --context or --all-contexts, not both";
    UsageError::Value { option, expected, found: format!("--{option} beside the other") }
}

fn format(parser: &mut Parser) -> Result<RejectionsFormat, UsageError> {
    let found = parser.value()?.string()?;
    match found.as_str() {
        "json" => Ok(RejectionsFormat::Json),
        "table" => Ok(RejectionsFormat::Table),
        "wide" => Ok(RejectionsFormat::Wide),
        "yaml" => Ok(RejectionsFormat::Yaml),
        _ => Err(UsageError::Value { option: "output", expected: "\"table\", \"wide\", \"json\" or \"yaml\"", found }),
    }
}

/// A span as kubectl takes it for `--since`: whole numbers with units, the largest first.
fn seconds(parser: &mut Parser) -> Result<i64, UsageError> {
    let found = parser.value()?.string()?;
    span(&found).ok_or(UsageError::Value {
        option: "since",
        expected: "a time such as \"30m\", \"24h\", \"7d\" or \"1h30m\"",
        found,
    })
}

fn span(text: &str) -> Option<i64> {
    let mut total: i64 = 0;
    let mut number: Option<i64> = None;
    for character in text.chars() {
        if let Some(digit) = character.to_digit(10) {
            number = Some(number.unwrap_or(0).checked_mul(10)?.checked_add(digit.into())?);
            continue;
        }
        let unit = match character {
            's' => 1,
            'm' => 60,
            'h' => 60 * 60,
            'd' => 24 * 60 * 60,
            _ => return None,
        };
        total = total.checked_add(number.take()?.checked_mul(unit)?)?;
    }
    // A number without a unit would be seconds for one reader and minutes for another.
    if number.is_some() || total == 0 { None } else { Some(total) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_units() {
        for (text, seconds) in [("45s", 45), ("30m", 1_800), ("24h", 86_400), ("7d", 604_800), ("1h30m", 5_400)] {
            assert_eq!(span(text), Some(seconds), "{text}");
        }
        for wrong in ["", "24", "h", "-1h", "1.5h", "0s", "1w", "99999999999999999999d", "1h 2m"] {
            assert_eq!(span(wrong), None, "{wrong}");
        }
    }
}
