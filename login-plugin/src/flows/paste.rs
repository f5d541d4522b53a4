//! The way out when the browser cannot reach us: the redirect, pasted into the terminal.

use crate::authorization_response::{Expected, ResponseError, judge_pasted};
use crate::output::Output;
use crate::platform::terminal::{Paste, PasteError};
use crate::secret::Secret;

/// How pasting ended.
#[derive(Debug)]
pub(super) enum Pasted {
    /// Our answer, good or bad.
    Answered(Result<Secret, ResponseError>),
    /// The person wants to stop.
    Interrupted,
}

/// Reads lines until one is our answer. Never ends when the terminal gives nothing: the browser may still answer.
pub(super) async fn read(expected: &Expected, output: &Output) -> Pasted {
    let mut paste = match Paste::start() {
        Ok(paste) => paste,
        Err(PasteError::Interrupted) => return Pasted::Interrupted,
        Err(PasteError::Closed | PasteError::Io(_)) => return std::future::pending().await,
    };
    loop {
        match paste.line().await {
            Ok(line) if line.expose().trim().is_empty() => {}
            Ok(line) => match judge_pasted(line.expose(), expected) {
                Err(noise) if noise.is_noise() => {
                    output
                        .say("That is not the address of this login. Paste the whole address that begins with http://");
                }
                answered => return Pasted::Answered(answered),
            },
            Err(PasteError::Interrupted) => return Pasted::Interrupted,
            Err(PasteError::Closed | PasteError::Io(_)) => {
                // The terminal is given back before the wait goes on.
                drop(paste);
                return std::future::pending().await;
            }
        }
    }
}
