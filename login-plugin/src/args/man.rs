//! The options of `man` as typed: none.

use lexopt::{Arg, Parser};

use super::{Command, Topic, UsageError};

pub(super) fn man(parser: &mut Parser) -> Result<Command, UsageError> {
    match parser.next()? {
        None => Ok(Command::Man),
        Some(Arg::Short('h') | Arg::Long("help")) => Ok(Command::Help(Topic::Man)),
        Some(other) => Err(other.unexpected().into()),
    }
}
