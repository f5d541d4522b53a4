//! The options of `completion` as typed, and the words that a shell wants completed.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt};

use super::{Command, Topic, UsageError};

/// What `completion` is to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CompletionArgs {
    /// Make the link by which kubectl finds us.
    Install {
        /// `--directory`: where; by default beside the program or in `PATH`.
        directory: Option<PathBuf>,
    },
    /// Print a shell's script.
    Script(Shell),
    /// Complete the last of these words.
    Words(Vec<String>),
}

/// A shell that we know how to speak to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shell {
    /// GNU Bash, with or without the bash-completion package.
    Bash,
    /// fish 3 and later.
    Fish,
    /// Nushell.
    Nushell,
    /// `PowerShell` 5 and later.
    Powershell,
    /// Zsh.
    Zsh,
}

/// What may stand behind `completion`.
pub(crate) const COMPLETION_WORDS: [&str; 6] = ["bash", "zsh", "fish", "powershell", "nushell", "install"];

pub(super) fn completion(parser: &mut Parser) -> Result<Command, UsageError> {
    let expected = "bash, zsh, fish, powershell, nushell or install";
    let what = match parser.next()? {
        None => return Err(UsageError::Missing { command: "completion", expected }),
        Some(Arg::Short('h') | Arg::Long("help")) => return Ok(Command::Help(Topic::Completion)),
        Some(Arg::Value(what)) => what.string()?,
        Some(other) => return Err(other.unexpected().into()),
    };
    let shell = match what.as_str() {
        "bash" => Shell::Bash,
        "fish" => Shell::Fish,
        "install" => return install(parser),
        "nushell" => Shell::Nushell,
        "powershell" => Shell::Powershell,
        "zsh" => Shell::Zsh,
        _ => return Err(UsageError::Word { command: "completion", expected, found: what }),
    };
    match parser.next()? {
        None => Ok(Command::Completion(CompletionArgs::Script(shell))),
        Some(Arg::Short('h') | Arg::Long("help")) => Ok(Command::Help(Topic::Completion)),
        Some(other) => Err(other.unexpected().into()),
    }
}

fn install(parser: &mut Parser) -> Result<Command, UsageError> {
    let mut directory = None;
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("directory") => directory = Some(parser.value()?.into()),
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help(Topic::Completion)),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Command::Completion(CompletionArgs::Install { directory }))
}

/// The words as they are: they are what somebody is in the middle of typing, not options of ours.
pub(crate) fn words(typed: impl IntoIterator<Item = OsString>) -> Command {
    let words = typed.into_iter().map(|word| word.to_string_lossy().into_owned()).collect();
    Command::Completion(CompletionArgs::Words(words))
}
