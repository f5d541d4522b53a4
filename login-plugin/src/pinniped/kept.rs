//! One login and one credential in the stock program's files. A file that cannot be used costs a word, never a login's failure.

use std::cell::Cell;
use std::path::PathBuf;

use super::document::DocumentError;
use super::{CredentialFile, CredentialKey, SessionFile, SessionKey};
use crate::cache::{Elsewhere, HeldCredential, Session};
use crate::output::Output;
use crate::time::Clock;

/// Where one command line keeps what it has.
#[derive(Debug)]
pub(crate) struct Kept<'a> {
    /// The credential; nowhere if the file is switched off.
    pub(crate) credentials: Option<(CredentialFile, CredentialKey)>,
    /// The login; nowhere for a static token.
    pub(crate) sessions: Option<(SessionFile, SessionKey)>,
    /// The time.
    pub(crate) clock: &'a dyn Clock,
    /// Where words go.
    pub(crate) output: &'a Output,
    /// Whether to say why a file is not used each time, whoever listens.
    pub(crate) debug: bool,
    /// Whether a word was said already.
    pub(crate) warned: Cell<bool>,
}

impl Kept<'_> {
    fn lived_with<T: Default>(&self, result: Result<T, DocumentError>) -> T {
        result.unwrap_or_else(|error| {
            if self.debug {
                Output::remark(&format!("debug: {error}"));
            } else if !self.warned.replace(true) {
                self.output.warn(&format!("going on without the cache: {error}"));
            }
            T::default()
        })
    }
}

impl Elsewhere for Kept<'_> {
    fn credential(&self) -> Option<HeldCredential> {
        let (file, key) = self.credentials.as_ref()?;
        self.lived_with(file.read(key, self.clock.now()))
    }

    fn keep_credential(&self, held: &HeldCredential) {
        if let Some((file, key)) = &self.credentials {
            self.lived_with(file.keep(key, held, self.clock.now()));
        }
    }

    fn drop_credential(&self) {
        if let Some((file, key)) = &self.credentials {
            self.lived_with(file.remove(key));
        }
    }

    fn session(&self) -> Option<Session> {
        let (file, key) = self.sessions.as_ref()?;
        self.lived_with(file.read(key, self.clock.now()))
    }

    fn keep_session(&self, session: &Session) {
        if let Some((file, key)) = &self.sessions {
            self.lived_with(file.keep(key, session, self.clock.now()));
        }
    }

    fn drop_session(&self) {
        if let Some((file, key)) = &self.sessions {
            self.lived_with(file.remove(key));
        }
    }

    fn session_path(&self) -> Option<PathBuf> {
        self.sessions.as_ref().map(|(file, _)| file.path().to_owned())
    }
}
