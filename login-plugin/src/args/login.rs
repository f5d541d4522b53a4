//! The options of `login` as typed, and those by which every verb is told whose login is meant.

use lexopt::{Arg, Parser};

use super::{Command, CredentialArgs, KubectlFlags, Topic, UsageError, credential};

/// How the person says which logins are meant.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Choice {
    /// `--all-contexts`.
    pub(crate) all_contexts: bool,
    /// `--context` and its relatives.
    pub(crate) kubectl: KubectlFlags,
    /// Options of `credential`: they win over those of the context, and with an issuer among them they stand alone.
    pub(crate) credential: CredentialArgs,
}

/// Options of `login`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct LoginArgs {
    /// For whom and where.
    pub(crate) choice: Choice,
    /// `--force`: a new login even where the old one is good.
    pub(crate) force: bool,
    /// `--set-client-secret`: no login, only the client's secret into the keyring.
    pub(crate) set_client_secret: bool,
}

pub(super) fn login(parser: &mut Parser) -> Result<Command, UsageError> {
    let mut args = LoginArgs::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("force") => args.force = true,
            Arg::Long("set-client-secret") => {
                args.set_client_secret = true;
                args.choice.credential.client_secret_keyring = Some(true);
            }
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help(Topic::Login)),
            Arg::Long(name) => {
                let name = name.to_owned();
                choice(&mut args.choice, &name, parser)?;
            }
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Command::Login(Box::new(args)))
}

/// Takes an option that says whose login is meant.
pub(super) fn choice(choice: &mut Choice, name: &str, parser: &mut Parser) -> Result<(), UsageError> {
    match name {
        "all-contexts" => choice.all_contexts = true,
        "cluster" | "context" | "kubeconfig" | "user" => choice.kubectl.option(name, parser)?,
        _ => credential::option(&mut choice.credential, name, parser)?,
    }
    let KubectlFlags { context, cluster, user, kubeconfig: _ } = &choice.kubectl;
    if choice.all_contexts && (context.is_some() || cluster.is_some() || user.is_some()) {
        return Err(UsageError::Value {
            option: "all-contexts",
            expected: "either all contexts or one of them",
            found: format!("--{name} beside the other"),
        });
    }
    Ok(())
}
