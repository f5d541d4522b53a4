//! Pinniped's CLI in our place: kubeconfigs that name it, and its commands that people type, go on working.

mod completion;
mod oidc;
mod static_token;
mod version;
mod whoami;

use std::cell::Cell;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::{World, print};
use crate::args::CredentialArgs;
use crate::exec_credential::{Credential, EXEC_INFO};
use crate::expiry;
use crate::failure::{Failure, Status};
use crate::output::Output;
use crate::pinniped::{self, By, Command, Concierge, CredentialFile, CredentialKey, Expires, FlagError, Kept, Login};
use crate::time::UnixTime;

/// Whether the program's name, or the words behind it, are those of Pinniped's CLI.
pub(super) fn is_meant(program: &OsStr, arguments: &[OsString]) -> bool {
    let name = Path::new(program).file_stem();
    let is =
        |place: usize, words: &[&str]| arguments.get(place).is_some_and(|word| words.iter().any(|one| word == one));
    name.is_some_and(|name| name == "pinniped") || (is(0, &["login"]) && is(1, &["oidc", "static"]))
}

/// Does what Pinniped's CLI would.
///
/// # Errors
/// The one reason why it could not be done.
pub(super) fn run(arguments: &[OsString], world: World<'_>) -> Result<(), Failure> {
    let arguments: Vec<String> = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    match pinniped::parse(&arguments, world.environment)? {
        Command::Completion(shell) => print(&completion::script(shell.as_deref())?),
        Command::GetKubeconfig => Err(Failure::new(
            Status::Usage,
            "`pinniped get kubeconfig` is not served here; existing kubeconfigs of it are",
        )
        .hint("`kubectl latchkey kubeconfig` writes one for this cluster, for a concierge of Pinniped's too")),
        Command::Help => print(include_str!("help/pinniped.txt")),
        Command::Login(login) => log_in(&login, &arguments, world),
        Command::Version(output) => print(&version::text(output)),
        Command::Whoami(args) => whoami::run(&args, world),
    }
}

fn log_in(login: &Login, arguments: &[String], world: World<'_>) -> Result<(), Failure> {
    login.remarks.iter().for_each(|line| Output::remark(line));
    match &login.by {
        By::Oidc(by) => oidc::run(login, by, arguments, world),
        By::Static(by) => static_token::run(login, by, arguments, world),
    }
}

/// Where this command line keeps its credential.
fn kept<'a>(login: &Login, key: &CredentialKey, world: World<'a>) -> Kept<'a> {
    Kept {
        credentials: login.credential_cache.as_ref().map(|path| (CredentialFile::new(path.clone()), key.clone())),
        sessions: None,
        clock: world.clock,
        output: world.output,
        debug: false,
        warned: Cell::new(false),
    }
}

/// What the client said of its cluster.
fn exec_info(world: World<'_>) -> Option<String> {
    world.environment.text(EXEC_INFO)
}

/// The flags of the concierge as our own options.
fn concierge_args(concierge: &Concierge) -> CredentialArgs {
    CredentialArgs {
        api_group_suffix: Some(concierge.suffix.clone()),
        authenticator: Some(concierge.authenticator_name.clone()),
        authenticator_kind: Some(concierge.authenticator_kind.to_owned()),
        concierge_ca_data: concierge.ca_data.clone(),
        concierge_endpoint: Some(concierge.endpoint.clone()),
        ..CredentialArgs::default()
    }
}

/// The one line; says whether it holds an end.
fn hand_over(
    login: &Login,
    credential: &Credential,
    usable_until: Option<UnixTime>,
    now: UnixTime,
) -> Result<bool, Failure> {
    let expires = match usable_until {
        None if login.concierge.is_some() => Expires::Unknown,
        // So near that a client would loop: as good as unsaid.
        until => until.and_then(|until| expiry::announced(until, now)).map_or(Expires::Unsaid, Expires::At),
    };
    print(pinniped::answer(credential, expires).expose())?;
    Ok(matches!(expires, Expires::At(_)))
}

impl From<FlagError> for Failure {
    fn from(error: FlagError) -> Self {
        Self::new(Status::Usage, error.to_string())
    }
}
