//! The options of `token` as typed.

use lexopt::{Arg, Parser};

use super::{Command, KubectlFlags, Topic, UsageError};

/// Options of `token`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct TokenArgs {
    /// Whose token.
    pub(crate) kubectl: KubectlFlags,
    /// `--stdin`: a token that is piped in, in place of the kept one.
    pub(crate) stdin: bool,
}

pub(super) fn token(parser: &mut Parser) -> Result<Command, UsageError> {
    let mut args = TokenArgs::default();
    let mut decode = false;
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("decode") => decode = true,
            Arg::Long("stdin") => args.stdin = true,
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help(Topic::Token)),
            Arg::Long(name) => {
                let name = name.to_owned();
                args.kubectl.option(&name, parser)?;
            }
            other => return Err(other.unexpected().into()),
        }
    }
    if decode {
        Ok(Command::Token(args))
    } else {
        Err(UsageError::Missing { command: "token", expected: "--decode: what the token says, never the token itself" })
    }
}
