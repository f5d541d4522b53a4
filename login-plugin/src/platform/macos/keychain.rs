//! The keyring of macOS: generic passwords in the login keychain.

use security_framework::os::macos::keychain::SecKeychain;
use security_framework::passwords::{delete_generic_password, get_generic_password, set_generic_password};

use crate::environment::Environment;
use crate::platform::keyring::KeyringError;
use crate::printable::Printable;
use crate::secret::Secret;

/// `errSecItemNotFound` (Security framework result codes).
const ITEM_NOT_FOUND: i32 = -25300;

/// `errSecInteractionNotAllowed`: a dialog would be needed, and was forbidden or has no screen.
const INTERACTION_NOT_ALLOWED: i32 = -25308;

/// `errSecAuthFailed`: wrong password, or none.
const AUTHENTICATION_FAILED: i32 = -25293;

/// `userCanceledErr`.
const CANCELED: i32 = -128;

/// `errSecNoDefaultKeychain`: this user has never logged in to a desktop.
const NO_DEFAULT_KEYCHAIN: i32 = -25307;

/// `errSecNotAvailable`.
const NOT_AVAILABLE: i32 = -25291;

/// The keychain of this user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Backend(());

impl Backend {
    /// Every user has one; whether it can be had is seen when it is asked.
    #[expect(clippy::unnecessary_wraps, reason = "other platforms may have none")]
    pub(crate) const fn find(_environment: &Environment) -> Option<Self> {
        Some(Self(()))
    }

    /// There is only one.
    #[expect(clippy::unused_self, reason = "other platforms have several")]
    pub(crate) const fn address(&self) -> &'static str {
        "keychain"
    }

    #[expect(clippy::unused_self, reason = "other platforms have several")]
    pub(crate) fn get(
        &self,
        service: &'static str,
        account: &str,
        may_prompt: bool,
    ) -> Result<Option<Secret>, KeyringError> {
        let _quiet = quiet_unless(may_prompt)?;
        match get_generic_password(service, account) {
            Ok(value) => {
                let text = String::from_utf8(value);
                let text = text.map_err(|_| KeyringError::Refused("that secret is no text".to_owned()))?;
                Ok(Some(Secret::from(text)))
            }
            Err(error) if error.code() == ITEM_NOT_FOUND => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    #[expect(clippy::unused_self, reason = "other platforms have several")]
    pub(crate) fn set(
        &self,
        service: &'static str,
        account: &str,
        secret: &Secret,
        may_prompt: bool,
    ) -> Result<(), KeyringError> {
        let _quiet = quiet_unless(may_prompt)?;
        Ok(set_generic_password(service, account, secret.expose().as_bytes())?)
    }

    #[expect(clippy::unused_self, reason = "other platforms have several")]
    pub(crate) fn delete(&self, service: &'static str, account: &str, may_prompt: bool) -> Result<(), KeyringError> {
        let _quiet = quiet_unless(may_prompt)?;
        match delete_generic_password(service, account) {
            Err(error) if error.code() != ITEM_NOT_FOUND => Err(error.into()),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// Forbids dialogs until dropped: macOS asks again after each change of our code signature, and a dialog would stand there
/// long after we have gone.
fn quiet_unless(may_prompt: bool) -> Result<Option<impl Drop>, KeyringError> {
    if may_prompt { Ok(None) } else { Ok(Some(SecKeychain::disable_user_interaction()?)) }
}

impl From<security_framework::base::Error> for KeyringError {
    fn from(error: security_framework::base::Error) -> Self {
        match error.code() {
            INTERACTION_NOT_ALLOWED | AUTHENTICATION_FAILED | CANCELED => Self::Locked,
            NO_DEFAULT_KEYCHAIN | NOT_AVAILABLE => Self::Absent,
            _ => Self::Refused(Printable(&error.to_string()).to_string()),
        }
    }
}
