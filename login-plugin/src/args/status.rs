//! The options of `status` as typed.

use lexopt::{Arg, Parser};

use super::{Command, Format, KubectlFlags, Topic, UsageError, format};

/// Options of `status`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct StatusArgs {
    /// `--check`: whether the context needs a login.
    pub(crate) check: bool,
    /// `-o`.
    pub(crate) format: Format,
    /// Which context is checked.
    pub(crate) kubectl: KubectlFlags,
}

pub(super) fn status(parser: &mut Parser) -> Result<Command, UsageError> {
    let mut args = StatusArgs::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("check") => args.check = true,
            Arg::Short('o') | Arg::Long("output") => args.format = format(parser)?,
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help(Topic::Status)),
            Arg::Long(name) => {
                let name = name.to_owned();
                args.kubectl.option(&name, parser)?;
            }
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Command::Status(args))
}
