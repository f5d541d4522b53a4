//! The keyring of Windows: generic credentials in the Credential Manager, which no dialog guards.

use std::collections::HashMap;

use keyring_core::{CredentialStore, Entry};
use windows_native_keyring_store::Store;

use crate::environment::Environment;
use crate::platform::keyring::KeyringError;
use crate::printable::Printable;
use crate::secret::Secret;

/// The credentials of this user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Backend(());

impl Backend {
    /// Every user has one.
    #[expect(clippy::unnecessary_wraps, reason = "other platforms may have none")]
    pub(crate) const fn find(_environment: &Environment) -> Option<Self> {
        Some(Self(()))
    }

    /// There is only one.
    #[expect(clippy::unused_self, reason = "other platforms have several")]
    pub(crate) const fn address(&self) -> &'static str {
        "credential-manager"
    }

    #[expect(clippy::unused_self, reason = "other platforms have several")]
    pub(crate) fn get(
        &self,
        service: &'static str,
        account: &str,
        _may_prompt: bool,
    ) -> Result<Option<Secret>, KeyringError> {
        match entry(service, account)?.get_password() {
            Ok(text) => Ok(Some(Secret::from(text))),
            Err(keyring_core::Error::NoEntry) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    #[expect(clippy::unused_self, reason = "other platforms have several")]
    pub(crate) fn set(
        &self,
        service: &'static str,
        account: &str,
        secret: &Secret,
        _may_prompt: bool,
    ) -> Result<(), KeyringError> {
        Ok(entry(service, account)?.set_password(secret.expose())?)
    }

    #[expect(clippy::unused_self, reason = "other platforms have several")]
    pub(crate) fn delete(&self, service: &'static str, account: &str, _may_prompt: bool) -> Result<(), KeyringError> {
        match entry(service, account)?.delete_credential() {
            Ok(()) | Err(keyring_core::Error::NoEntry) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn entry(service: &str, account: &str) -> Result<Entry, KeyringError> {
    // Of this machine: with the default, "Enterprise", a roaming profile would carry the secret to others.
    let here = HashMap::from([("persistence", "LocalMachine")]);
    let store: std::sync::Arc<CredentialStore> = Store::new()?;
    Ok(store.build(service, account, Some(&here))?)
}

impl From<keyring_core::Error> for KeyringError {
    fn from(error: keyring_core::Error) -> Self {
        match error {
            // `ERROR_NO_SUCH_LOGON_SESSION`: a service or a network login without a credential set.
            keyring_core::Error::NoStorageAccess(_) => Self::Absent,
            other => Self::Refused(Printable(&other.to_string()).to_string()),
        }
    }
}
