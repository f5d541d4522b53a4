//! The options of `fleet check` as typed.

use std::path::PathBuf;

use latchkey_crds::groups::GroupSuffix;
use lexopt::{Arg, Parser, ValueExt};

use super::{Command, Format, Topic, UsageError, format, list, suffix};

/// What may stand behind `fleet`, and what it does.
pub(crate) const FLEET_WORDS: [(&str, &str); 1] = [("check", "Say where the clusters differ that should be alike")];

/// Options of `fleet check`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct FleetArgs {
    /// Whom to compare.
    pub(crate) whom: Whom,
    /// `--kubeconfig`.
    pub(crate) kubeconfig: Option<PathBuf>,
    /// `--api-group-suffix`.
    pub(crate) api_group_suffix: GroupSuffix,
    /// `--ignore`: bindings that may differ, with `*` for any text.
    pub(crate) ignored: Vec<String>,
    /// `-o`.
    pub(crate) format: Format,
}

/// Whom to compare.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Whom {
    /// The cluster of every context: a cluster that nobody thinks of is the one that differs.
    #[default]
    AllContexts,
    /// Those of these contexts.
    Contexts(Vec<String>),
    /// `--dir`: no cluster; files, a folder of this one for each cluster; of these names, or all if there are none.
    Folder(PathBuf, Vec<String>),
}

pub(super) fn fleet(parser: &mut Parser) -> Result<Command, UsageError> {
    const EXPECTED: &str = "check";
    match parser.next()? {
        None => Err(UsageError::Missing { command: "fleet", expected: EXPECTED }),
        Some(Arg::Short('h') | Arg::Long("help")) => Ok(Command::Help(Topic::Fleet)),
        Some(Arg::Value(word)) if word == "check" => check(parser),
        Some(Arg::Value(word)) => Err(UsageError::Word { command: "fleet", expected: EXPECTED, found: word.string()? }),
        Some(other) => Err(other.unexpected().into()),
    }
}

fn check(parser: &mut Parser) -> Result<Command, UsageError> {
    let mut args = FleetArgs::default();
    let (mut all, mut folder) = (false, None);
    let mut names: Option<Vec<String>> = None;
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("all-contexts") => all = true,
            // Each adds: a cluster that was named is compared.
            Arg::Long("context") => names.get_or_insert_default().extend(named("context", parser)?),
            Arg::Long("contexts") => names.get_or_insert_default().extend(named("contexts", parser)?),
            Arg::Long("dir") => folder = Some(parser.value()?.into()),
            Arg::Long("api-group-suffix") => args.api_group_suffix = suffix(parser)?,
            Arg::Long("ignore") => args.ignored.extend(list(parser)?),
            Arg::Long("kubeconfig") => args.kubeconfig = Some(parser.value()?.into()),
            Arg::Short('o') | Arg::Long("output") => args.format = format(parser)?,
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help(Topic::Fleet)),
            other => return Err(other.unexpected().into()),
        }
    }
    args.whom = match (all, names, folder) {
        (false, names, Some(folder)) => Whom::Folder(folder, names.unwrap_or_default()),
        (false, Some(names), None) => Whom::Contexts(names),
        (_, None, None) => Whom::AllContexts,
        (true, ..) => {
            return Err(UsageError::Value {
                option: "all-contexts",
                expected: "neither --contexts nor --dir beside it",
                found: "--all-contexts beside another".to_owned(),
            });
        }
    };
    Ok(Command::FleetCheck(Box::new(args)))
}

/// At least one: an empty list, as of a variable that is not set, would be nobody or everybody.
fn named(option: &'static str, parser: &mut Parser) -> Result<Vec<String>, UsageError> {
    let names = list(parser)?;
    if names.is_empty() {
        let expected = "names separated by commas";
        return Err(UsageError::Value { option, expected, found: String::new() });
    }
    Ok(names)
}
