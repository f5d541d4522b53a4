//! The options of `whoami` as typed.

use latchkey_crds::groups::GroupSuffix;
use lexopt::{Arg, Parser, ValueExt};

use super::{Command, KubectlFlags, Topic, UsageError, suffix};

/// Options of `whoami`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct WhoamiArgs {
    /// As whom, and where.
    pub(crate) kubectl: KubectlFlags,
    /// `--api-group-suffix`.
    pub(crate) api_group_suffix: GroupSuffix,
    /// `-o`.
    pub(crate) format: Format,
}

/// How `whoami` answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// For programs.
    Json,
    /// For people.
    #[default]
    Text,
}

pub(super) fn whoami(parser: &mut Parser) -> Result<Command, UsageError> {
    let mut args = WhoamiArgs::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("api-group-suffix") => args.api_group_suffix = suffix(parser)?,
            Arg::Long("cluster") => args.kubectl.cluster = Some(parser.value()?.string()?),
            Arg::Long("context") => args.kubectl.context = Some(parser.value()?.string()?),
            Arg::Long("kubeconfig") => args.kubectl.kubeconfig = Some(parser.value()?.into()),
            Arg::Short('o') | Arg::Long("output") => {
                let value = parser.value()?.string()?;
                args.format = match value.as_str() {
                    "json" => Format::Json,
                    "text" => Format::Text,
                    _ => {
                        return Err(UsageError::Value {
                            option: "output",
                            expected: "\"text\" or \"json\"",
                            found: value,
                        });
                    }
                };
            }
            Arg::Long("user") => args.kubectl.user = Some(parser.value()?.string()?),
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help(Topic::Whoami)),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Command::Whoami(args))
}
