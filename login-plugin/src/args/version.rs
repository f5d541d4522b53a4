//! The options of `version` as typed.

use lexopt::{Arg, Parser};

use super::{Command, Format, Topic, UsageError, format};

pub(super) fn version(parser: &mut Parser) -> Result<Command, UsageError> {
    let mut chosen = Format::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Short('o') | Arg::Long("output") => chosen = format(parser)?,
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help(Topic::Version)),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Command::Version(chosen))
}
