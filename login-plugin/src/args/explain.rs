//! The options of `explain` as typed.

use lexopt::{Arg, Parser, ValueExt};

use super::{Command, KubectlFlags, Topic, UsageError};

/// Options of `explain`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ExplainArgs {
    /// A reason's code; none: the refusals of a context.
    pub(crate) code: Option<String>,
    /// Which context.
    pub(crate) kubectl: KubectlFlags,
}

pub(super) fn explain(parser: &mut Parser) -> Result<Command, UsageError> {
    let mut args = ExplainArgs::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Value(code) if args.code.is_none() => args.code = Some(code.string()?),
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help(Topic::Explain)),
            Arg::Long(name) => {
                let name = name.to_owned();
                args.kubectl.option(&name, parser)?;
            }
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Command::Explain(args))
}
