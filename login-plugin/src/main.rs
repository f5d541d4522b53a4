//! Entry point: hands in clock, environment and arguments, and turns the outcome into words and an exit status.

mod advice;
mod args;
mod authorization_response;
mod browser;
mod cache;
mod client_secret;
mod commands;
mod config;
mod environment;
mod exchange;
mod exec_credential;
mod expiry;
mod failure;
mod flows;
mod kubeconfig_files;
mod kubectl;
mod loopback;
mod notification;
mod oidc;
mod output;
mod pinniped;
mod platform;
mod printable;
mod providers;
mod result_page;
mod secret;
mod session;
mod stanza;
mod system_clock;
mod time;
mod transport;
mod unverified_claims;

use std::env;
use std::process::ExitCode;

use crate::{commands::World, environment::Environment, output::Output, output::Talk, system_clock::SystemClock};

fn main() -> ExitCode {
    let output = Output::new(Talk::Freely);
    let world = World { clock: &SystemClock, environment: &Environment::Process, output: &output };
    let mut arguments = env::args_os();
    let program = arguments.next().unwrap_or_default();
    let done = if commands::completes_for_kubectl(&program) {
        commands::complete(arguments, world)
    } else {
        commands::run(&program, arguments, world)
    };
    done.map_or_else(|failure| Output::fail(&failure), |()| ExitCode::SUCCESS)
}
