//! The secret of a confidential client, read from where it is kept. Never from an argument: everybody would see it there.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;
use zeroize::Zeroizing;

use crate::config::ClientSecret;
use crate::platform::keyring::{Keyring, KeyringError, Patience, QUIET_MAX};
use crate::secret::Secret;

/// Providers give 32 to 64 characters, Entra ID 40; a file with more than this is another file.
pub(crate) const SECRET_MAX_BYTES: usize = 4096;

/// For a person who has to unlock the keyring, and came to do so.
const UNLOCK_PATIENCE: Duration = Duration::from_mins(1);

/// Under which the platform's keyring shows it.
const SERVICE: &str = "latchkey-client-secret";

/// Why there is no secret.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// Nothing but white space.
    #[error("the client's secret in {0} is empty")]
    Empty(String),
    /// The file.
    #[error("the client's secret cannot be read from {path}: {error}", path = path.display())]
    File {
        /// Its name.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// Longer than a secret can be, or with bytes that no header can carry.
    #[error("what is in {0} is no client secret: expected at most {SECRET_MAX_BYTES} characters on one line")]
    Nonsense(String),
    /// The variable.
    #[error("the client's secret is expected in the variable {0}, which is not set")]
    NotSet(String),
    /// Nothing there.
    #[error("the client's secret is not in {0}")]
    NotKept(String),
    /// The keyring.
    #[error("the client's secret cannot be had: {0}")]
    Keyring(#[from] KeyringError),
}

/// Reads the secret of client `client_id` at `issuer`.
///
/// # Errors
/// When there is none, or what is there cannot be one.
pub(crate) fn read(place: &ClientSecret, issuer: &str, client_id: &str) -> Result<Secret, Error> {
    match place {
        ClientSecret::Environment { name, value } => {
            let value = value.as_ref().ok_or_else(|| Error::NotSet(name.clone()))?;
            checked(value.expose(), || format!("the variable {name}"))
        }
        ClientSecret::File(path) => {
            let failed = |error| Error::File { path: path.clone(), error };
            // A pipe would be waited for as long as nobody writes.
            if !std::fs::metadata(path).map_err(failed)?.is_file() {
                return Err(failed(io::Error::other("it is not a regular file")));
            }
            let mut text = Zeroizing::new(Vec::with_capacity(SECRET_MAX_BYTES + 1));
            let limit = u64::try_from(SECRET_MAX_BYTES).unwrap_or(u64::MAX) + 1;
            File::open(path).map_err(failed)?.take(limit).read_to_end(&mut text).map_err(failed)?;
            let place = || path.display().to_string();
            std::str::from_utf8(&text).map_err(|_| Error::Nonsense(place())).and_then(|text| checked(text, place))
        }
        ClientSecret::Keyring(keyring) => {
            let found = keyring.get(SERVICE, &account(issuer, client_id), Patience::Quiet(QUIET_MAX))?;
            let place = || format!("the keyring (service {SERVICE}, account {:?})", account(issuer, client_id));
            checked(found.ok_or_else(|| Error::NotKept(place()))?.expose(), place)
        }
    }
}

/// Puts the secret of client `client_id` at `issuer` into the keyring, in place of the one that was there.
///
/// # Errors
/// When it cannot be one, or the keyring does not take it.
pub(crate) fn keep(keyring: &Keyring, issuer: &str, client_id: &str, secret: &Secret) -> Result<(), Error> {
    let secret = checked(secret.expose(), || "what was given".to_owned())?;
    Ok(keyring.set(SERVICE, &account(issuer, client_id), &secret, Patience::Person(UNLOCK_PATIENCE))?)
}

/// One secret for each client, whichever clusters it is for.
fn account(issuer: &str, client_id: &str) -> String {
    format!("{client_id} at {issuer}")
}

/// White space around a secret comes from editors and `echo`; within, it cannot be meant.
fn checked(text: &str, place: impl Fn() -> String) -> Result<Secret, Error> {
    match text.trim() {
        "" => Err(Error::Empty(place())),
        secret if secret.len() > SECRET_MAX_BYTES || secret.contains(char::is_control) => Err(Error::Nonsense(place())),
        secret => Ok(Secret::from(secret)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_around_does_not_count_and_nonsense_is_no_secret() {
        let place = || "here".to_owned();
        assert_eq!(checked("  s3cr3t\r\n", place).unwrap().expose(), "s3cr3t");
        assert_eq!(checked("with blank", place).unwrap().expose(), "with blank");
        assert!(matches!(checked(" \n", place), Err(Error::Empty(_))));
        for nonsense in ["two\nlines", "\u{0}x", &"x".repeat(SECRET_MAX_BYTES + 1)] {
            assert!(matches!(checked(nonsense, place), Err(Error::Nonsense(_))));
        }
    }

    #[test]
    fn a_device_or_pipe_is_no_secret() {
        let read = read(&ClientSecret::File("/dev/zero".into()), "https://idp", "staging");
        assert!(matches!(read, Err(Error::File { .. })), "{read:?}");
        let read = super::read(&ClientSecret::File("/nowhere/at/all".into()), "https://idp", "staging");
        assert!(matches!(read, Err(Error::File { .. })), "{read:?}");
    }

    #[test]
    fn without_a_keyring_there_is_a_clear_word() {
        let read = read(&ClientSecret::Keyring(Keyring::absent()), "https://idp", "staging");
        assert_eq!(read.unwrap_err().to_string(), "the client's secret cannot be had: there is no keyring here");
        assert_eq!(account("https://idp", "staging"), "staging at https://idp");
    }
}
