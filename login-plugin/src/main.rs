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
mod kubectl;
mod loopback;
mod oidc;
mod output;
mod platform;
mod providers;
mod result_page;
mod secret;
mod session;
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
    commands::run(env::args_os().skip(1), world).map_or_else(|failure| Output::fail(&failure), |()| ExitCode::SUCCESS)
}
