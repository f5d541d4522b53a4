//! One file per verb. Each takes its arguments and the world, and leaves with success or one failure.

mod chosen;
mod completion;
mod credential;
mod data;
mod doctor;
mod explain;
mod fleet;
mod help;
mod kubeconfig;
mod login;
mod logout;
mod man;
mod pinniped;
mod rejections;
mod runtime;
mod status;
mod table;
mod token;
mod typed;
mod version;
mod whoami;

use std::ffi::{OsStr, OsString};
use std::path::Path;

use self::runtime::Runtime;
use crate::args::{self, Command};
use crate::environment::Environment;
use crate::failure::{Failure, Status};
use crate::output::Output;
use crate::time::Clock;

/// What `main` hands in: everything that is not an argument.
#[derive(Clone, Copy, Debug)]
pub(crate) struct World<'a> {
    /// The machine's clock.
    pub(crate) clock: &'a dyn Clock,
    /// The process's environment.
    pub(crate) environment: &'a Environment,
    /// Standard output and error.
    pub(crate) output: &'a Output,
}

/// Does what the command line says. `program` is the name we were started by.
///
/// # Errors
/// The one reason why it could not be done.
pub(crate) fn run(
    program: &OsStr,
    arguments: impl IntoIterator<Item = OsString>,
    world: World<'_>,
) -> Result<(), Failure> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if pinniped::is_meant(program, &arguments) {
        return as_pinniped(&arguments, world);
    }
    match args::parse(arguments)? {
        Command::Credential(args) => credential::run(*args, world),
        command => for_people(command, world),
    }
}

/// Out of line, that `credential` need not touch the pages of this one's frame.
#[inline(never)]
fn as_pinniped(arguments: &[OsString], world: World<'_>) -> Result<(), Failure> {
    pinniped::run(arguments, world)
}

/// The verbs that a person types. Out of line for the same reason.
#[inline(never)]
fn for_people(command: Command, world: World<'_>) -> Result<(), Failure> {
    match command {
        Command::Completion(args) => completion::run(&args, world),
        Command::Credential(args) => credential::run(*args, world),
        Command::Doctor(args) => doctor::run(&args, world),
        Command::Explain(args) => explain::run(&args, world),
        Command::FleetCheck(args) => fleet::run(&args, world),
        Command::Help(topic) => print(help::text(topic)),
        Command::Kubeconfig(args) => kubeconfig::run(*args, world),
        Command::Login(args) => login::run(&args, world),
        Command::Logout(args) => logout::run(&args, world),
        Command::Man => man::run(),
        Command::Rejections(args) => rejections::run(&args, world),
        Command::Status(args) => status::run(&args, world),
        Command::Token(args) => token::run(&args, world),
        Command::Version(format) => version::run(format),
        Command::Whoami(args) => whoami::run(&args, world),
    }
}

/// Whether the program was started under the name by which kubectl asks for completions.
pub(crate) fn completes_for_kubectl(program: &OsStr) -> bool {
    Path::new(program).file_stem().is_some_and(|name| name == completion::KUBECTL_NAME)
}

/// Completes the last of the words behind `kubectl latchkey`.
///
/// # Errors
/// When nobody takes the answer.
pub(crate) fn complete(words: impl IntoIterator<Item = OsString>, world: World<'_>) -> Result<(), Failure> {
    match args::words(words) {
        Command::Completion(args) => completion::run(&args, world),
        _ => Ok(()),
    }
}

/// Data for standard output.
fn print(text: &str) -> Result<(), Failure> {
    Output::data(text).map_err(|error| Failure::new(Status::General, format!("standard output took no more: {error}")))
}

/// The runtime of the cold paths.
fn runtime() -> Result<Runtime, Failure> {
    Runtime::new()
}
