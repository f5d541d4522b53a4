//! One file per verb. Each takes its arguments and the world, and leaves with success or one failure.

mod credential;
mod help;
mod kubeconfig;
mod rejections;
mod version;
mod whoami;

use std::ffi::OsString;

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

/// Does what the command line says.
///
/// # Errors
/// The one reason why it could not be done.
pub(crate) fn run(arguments: impl IntoIterator<Item = OsString>, world: World<'_>) -> Result<(), Failure> {
    match args::parse(arguments)? {
        Command::Credential(args) => credential::run(*args, world),
        Command::Help(topic) => print(&help::text(topic)),
        Command::Kubeconfig(args) => kubeconfig::run(&args, world),
        Command::Rejections(args) => rejections::run(&args, world),
        Command::Version => print(&version::text()),
        Command::Whoami(args) => whoami::run(&args, world),
    }
}

/// Data for standard output.
fn print(text: &str) -> Result<(), Failure> {
    Output::data(text).map_err(|error| Failure::new(Status::General, format!("standard output took no more: {error}")))
}

/// The runtime of the cold paths: one thread is enough for one login.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Status::General, format!("the operating system gives no event queue: {error}")))
}
