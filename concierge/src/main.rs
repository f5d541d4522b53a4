//! Entry point: the crypto library, the flags, the run, the exit code.

use std::process::ExitCode;

use clap::Parser as _;
use latchkey_concierge::{app, args::Args, config::Config};

/// 0 after a stop that was asked for, 1 when something ended that should not have, 2 for flags that cannot be.
fn main() -> ExitCode {
    let config = Config::from(Args::parse());
    // One crypto library for all of rustls' users; whoever installed one before us would have installed the same.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match app::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            app::report(&error);
            ExitCode::FAILURE
        }
    }
}
