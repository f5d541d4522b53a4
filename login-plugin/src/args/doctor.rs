//! The options of `doctor` as typed.

use lexopt::{Arg, Parser, ValueExt};

use super::{Command, Format, KubectlFlags, Topic, UsageError, format};

/// Options of `doctor`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct DoctorArgs {
    /// As whom, and where.
    pub(crate) kubectl: KubectlFlags,
    /// `--all-contexts`: every context of the kubeconfig.
    pub(crate) all_contexts: bool,
    /// `-o`.
    pub(crate) format: Format,
    /// What stands behind `--`: options of `credential` to try without a kubeconfig.
    pub(crate) typed: Option<Vec<String>>,
}

pub(super) fn doctor(parser: &mut Parser) -> Result<Command, UsageError> {
    let mut args = DoctorArgs::default();
    // lexopt takes everything behind `--` for words; nothing else here is one.
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("all-contexts") => args.all_contexts = true,
            Arg::Short('o') | Arg::Long("output") => args.format = format(parser)?,
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help(Topic::Doctor)),
            Arg::Long(name) => {
                let name = name.to_owned();
                args.kubectl.option(&name, parser)?;
            }
            Arg::Value(word) => {
                let word = word.string()?;
                if !word.starts_with('-') && args.typed.is_none() {
                    return Err(lexopt::Error::UnexpectedArgument(word.into()).into());
                }
                args.typed.get_or_insert_default().push(word);
            }
            other @ Arg::Short(_) => return Err(other.unexpected().into()),
        }
    }
    if args.all_contexts && args.kubectl.context.is_some() {
        return Err(UsageError::Value {
            option: "all-contexts",
            expected: "no --context beside it",
            found: args.kubectl.context.unwrap_or_default(),
        });
    }
    Ok(Command::Doctor(Box::new(args)))
}
