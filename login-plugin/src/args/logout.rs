//! The options of `logout` as typed.

use lexopt::{Arg, Parser};

use super::login::choice;
use super::{Choice, Command, Topic, UsageError};

/// Options of `logout`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct LogoutArgs {
    /// `--all`: every login that is kept, with or without a context.
    pub(crate) all: bool,
    /// For whom and where.
    pub(crate) choice: Choice,
    /// `--end-session`: at the provider too, in the browser.
    pub(crate) end_session: bool,
    /// `--no-revoke`: without a word to the provider.
    pub(crate) no_revoke: bool,
}

pub(super) fn logout(parser: &mut Parser) -> Result<Command, UsageError> {
    let mut args = LogoutArgs::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("all") => args.all = true,
            Arg::Long("end-session") => args.end_session = true,
            Arg::Long("no-revoke") => args.no_revoke = true,
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help(Topic::Logout)),
            Arg::Long(name) => {
                let name = name.to_owned();
                choice(&mut args.choice, &name, parser)?;
            }
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Command::Logout(Box::new(args)))
}
