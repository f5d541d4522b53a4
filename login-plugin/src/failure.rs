//! What went wrong in one sentence, whose turn it is now, and the exit status that tells scripts.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

/// Exit statuses, distinct so that scripts and people can tell whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Status {
    /// Anything else.
    General = 1,
    /// Wrong arguments or settings.
    Usage = 2,
    /// A person has to log in, and that is not possible here or did not happen in time.
    LoginNeeded = 3,
    /// The identity provider refused, or what it sent must not be used.
    ProviderRefused = 4,
    /// The cluster refused.
    ClusterRefused = 5,
    /// A server could not be reached or is not well; trying again may help.
    Unreachable = 6,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status as u8)
    }
}

/// The reason for stopping, ready to be printed. Holds no token, code or full redirect URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// Whose turn it is.
    pub(crate) status: Status,
    /// Party, what was tried, what happened: lower case, no full stop.
    pub(crate) message: String,
    /// What to do next.
    pub(crate) hint: Option<String>,
}

impl Failure {
    /// A failure without advice.
    pub(crate) fn new(status: Status, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), hint: None }
    }

    /// The same with advice.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// An error and its causes on one line, each said once: HTTP libraries repeat themselves.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}
