//! The platform's keyring: small secrets by service and account, asked with a deadline and never relied on.
//!
//! Where it is and whether it answers is a matter of luck: no session bus over SSH, in a container or under cron, a
//! collection that is locked, a dialog that nobody sees. So each question is asked in a thread of its own, which does not
//! keep the process alive, and whoever asks says how long to wait and whether a person may be disturbed.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use thiserror::Error;

#[cfg(target_os = "macos")]
use super::macos::keychain::Backend;
#[cfg(all(unix, not(target_os = "macos")))]
use super::unix::secret_service::Backend;
#[cfg(windows)]
use super::windows::credential_manager::Backend;
use crate::environment::Environment;
use crate::secret::Secret;

/// A keyring that is there answers in a few milliseconds; nobody waits longer for one that is not.
pub(crate) const QUIET_MAX: Duration = Duration::from_millis(500);

/// How long to wait, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// For a person, who may be asked to unlock the keyring.
    Person(Duration),
    /// For the keyring alone: one that would have to ask somebody counts as locked.
    Quiet(Duration),
}

/// Why the keyring has not done it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum KeyringError {
    /// Nothing here is one.
    #[error("there is no keyring here")]
    Absent,
    /// A person would have to unlock it, or did not want to.
    #[error("the keyring is locked")]
    Locked,
    /// It said something else. Fit for a terminal.
    #[error("the keyring says: {0}")]
    Refused(String),
    /// Nothing came in time.
    #[error("the keyring did not answer within {} ms", .0.as_millis())]
    Silent(Duration),
}

/// The keyring of this login session, if it has one. Nothing is asked before it is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keyring {
    backend: Option<Backend>,
}

impl Keyring {
    /// The one that the environment leads to.
    pub(crate) fn new(environment: &Environment) -> Self {
        Self { backend: Backend::find(environment) }
    }

    /// No keyring, wherever this runs.
    #[cfg(test)]
    pub(crate) const fn absent() -> Self {
        Self { backend: None }
    }

    /// What tells this keyring from others that the same person may meet; none where there is none for sure.
    pub(crate) fn address(&self) -> Option<&str> {
        self.backend.as_ref().map(Backend::address)
    }

    /// The secret kept for `account` at `service`, if there is one.
    ///
    /// # Errors
    /// When the keyring cannot say.
    pub(crate) fn get(
        &self,
        service: &'static str,
        account: &str,
        patience: Patience,
    ) -> Result<Option<Secret>, KeyringError> {
        let account = account.to_owned();
        self.ask(patience, move |backend, may_prompt| backend.get(service, &account, may_prompt))
    }

    /// Keeps a secret in place of the one that was there.
    ///
    /// # Errors
    /// When the keyring has not kept it, or has not said so in time.
    pub(crate) fn set(
        &self,
        service: &'static str,
        account: &str,
        secret: &Secret,
        patience: Patience,
    ) -> Result<(), KeyringError> {
        let (account, secret) = (account.to_owned(), secret.clone());
        self.ask(patience, move |backend, may_prompt| backend.set(service, &account, &secret, may_prompt))
    }

    /// Removes a secret; one that is not there is removed already.
    ///
    /// # Errors
    /// When the keyring has not removed it, or has not said so in time.
    pub(crate) fn delete(&self, service: &'static str, account: &str, patience: Patience) -> Result<(), KeyringError> {
        let account = account.to_owned();
        self.ask(patience, move |backend, may_prompt| backend.delete(service, &account, may_prompt))
    }

    fn ask<T: Send + 'static>(
        &self,
        patience: Patience,
        question: impl FnOnce(&Backend, bool) -> Result<T, KeyringError> + Send + 'static,
    ) -> Result<T, KeyringError> {
        let Some(backend) = self.backend.clone() else { return Err(KeyringError::Absent) };
        let (limit, may_prompt) = match patience {
            Patience::Person(limit) => (limit, true),
            Patience::Quiet(limit) => (limit, false),
        };
        let (give, take) = mpsc::sync_channel(1);
        // Not joined: a keyring that never answers must not hold us, and the thread ends with the process.
        thread::Builder::new()
            .name("keyring".to_owned())
            .spawn(move || {
                let _nobody_waits_any_more = give.send(question(&backend, may_prompt));
            })
            .map_err(|error| KeyringError::Refused(error.to_string()))?;
        take.recv_timeout(limit).unwrap_or_else(|error| {
            Err(match error {
                RecvTimeoutError::Timeout => KeyringError::Silent(limit),
                RecvTimeoutError::Disconnected => KeyringError::Refused("the question could not be asked".to_owned()),
            })
        })
    }
}
