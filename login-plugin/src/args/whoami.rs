//! The options of `whoami` as typed.

use latchkey_crds::groups::GroupSuffix;
use lexopt::{Arg, Parser, ValueExt};

use super::{Command, Format, KubectlFlags, Topic, UsageError, format, suffix};

/// Options of `whoami`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct WhoamiArgs {
    /// As whom, and where.
    pub(crate) kubectl: KubectlFlags,
    /// `--as`: for whom kubectl is to act.
    pub(crate) act_as: Option<String>,
    /// `--as-group`: with which groups.
    pub(crate) act_as_groups: Vec<String>,
    /// `--api-group-suffix`; else what the stanza says.
    pub(crate) api_group_suffix: Option<GroupSuffix>,
    /// `-o`.
    pub(crate) format: Format,
}

impl WhoamiArgs {
    /// The options by which kubectl acts for somebody else.
    pub(crate) fn impersonation(&self) -> Vec<String> {
        let name = self.act_as.iter().map(|name| format!("--as={name}"));
        name.chain(self.act_as_groups.iter().map(|group| format!("--as-group={group}"))).collect()
    }
}

pub(super) fn whoami(parser: &mut Parser) -> Result<Command, UsageError> {
    let mut args = WhoamiArgs::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("as") => args.act_as = Some(parser.value()?.string()?),
            Arg::Long("as-group") => args.act_as_groups.push(parser.value()?.string()?),
            Arg::Long("api-group-suffix") => args.api_group_suffix = Some(suffix(parser)?),
            Arg::Short('o') | Arg::Long("output") => args.format = format(parser)?,
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help(Topic::Whoami)),
            Arg::Long(name) => {
                let name = name.to_owned();
                args.kubectl.option(&name, parser)?;
            }
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Command::Whoami(args))
}
