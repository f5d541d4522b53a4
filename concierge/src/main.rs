//! Entry point: the crypto library, the flags, the run, the exit code.

use std::{env, process::ExitCode};

use latchkey_concierge::{app, args::Command};

/// The image's allocator.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `EX_USAGE` of sysexits.h: nothing was done, because of how it was asked for.
const USAGE: u8 = 64;

/// Serving: 0 after a stop that was asked for, 1 when something ended that should not have. Every other verb: as its `--help`
/// says. All: 64 for a command line that cannot be.
fn main() -> ExitCode {
    let command = match Command::parse(env::args_os()) {
        Ok(command) => command,
        Err(error) => {
            // To standard error for a mistake, to standard output for help; if even that fails, there is nobody to tell.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    // One crypto library for all of rustls' users; whoever installed one before us would have installed the same.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match command {
        Command::Check(check) => app::check(&check),
        Command::Convert(convert) => app::convert(&convert),
        Command::Audit(audit) => app::audit(&audit),
        Command::SelfTest(test) => app::self_test(&test),
        Command::Serve(config) => match app::run(*config) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                app::report(&error);
                ExitCode::FAILURE
            }
        },
    }
}
