//! What is kept between runs: logins, credentials, failed attempts. Losing any of it is never a failed login.
//!
//! Logins can last for months, so they are sealed where the platform has a keyring for the key. Credentials for a cluster
//! stay in plain files that only their owner can read: a keyring would cost more than the whole of a call and might want a
//! person. They live minutes to a day, and a program that can read them could ask us, or the keyring, for one as well.

mod elsewhere;
mod entries;
mod key;
mod lease;
mod lock;
mod rooms;
mod seal;
mod sessions;
mod unanswered;
mod vault;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub(crate) use self::elsewhere::Elsewhere;
pub(crate) use self::entries::{
    Documents, FailedAttempt, HeldCredential, KnownServer, LastRefusal, Session, SessionLabel,
};
pub(crate) use self::key::{EntryName, Keys, roots_fingerprint};
pub(crate) use self::lock::{Lock, Waited};
use self::rooms::{Room, Rooms, parse, version};
use self::seal::{Clear, Sealed};
pub(crate) use self::sessions::{Kept, KeptSession};
pub(crate) use self::unanswered::Unanswered;
use self::vault::{Purpose, Vault};
use crate::args::Store;
use crate::config::Places;
use crate::expiry;
use crate::failure::Failure;
use crate::output::{Output, Printable};
use crate::platform::keyring::KeyringError;
use crate::platform::process::ProcessIdentity;
use crate::time::{Clock, UnixTime};

/// A certificate lives a day at most; a day later nobody can want its file.
const SWEEP_AFTER_SECONDS: i64 = 2 * 24 * 3600;

/// Who got the credential last.
#[derive(Debug, Serialize, Deserialize)]
struct Asked {
    at: UnixTime,
    parent: ProcessIdentity,
}

/// That a person let a client's secret be shown.
#[derive(Debug, Serialize, Deserialize)]
struct ShownSecret {
    since: UnixTime,
}

/// What is kept, by the names of its entries.
#[derive(Debug)]
pub(crate) struct Cache<'a> {
    places: &'a Places,
    store: Store,
    clock: &'a dyn Clock,
    output: &'a Output,
    vault: Vault,
    elsewhere: Option<&'a dyn Elsewhere>,
    rooms: Rooms<'a>,
}

/// A login in its file.
enum Found {
    Plain(Session),
    Sealed(Sealed),
}

impl<'a> Cache<'a> {
    /// Nothing is opened or made before it is needed.
    pub(crate) fn new(places: &'a Places, store: Store, clock: &'a dyn Clock, output: &'a Output) -> Self {
        Self {
            places,
            store,
            clock,
            output,
            vault: Vault::default(),
            elsewhere: None,
            rooms: Rooms::new(places, output),
        }
    }

    /// Login and credential stand in another program's files; locks, notes and documents stay where ours are.
    ///
    /// That program lets one login go to several servers, so which server came first means nothing.
    pub(crate) const fn elsewhere(mut self, elsewhere: &'a dyn Elsewhere) -> Self {
        self.elsewhere = Some(elsewhere);
        self
    }

    /// Whether the person wants something to be kept.
    const fn keeps(&self) -> bool {
        !matches!(self.store, Store::None)
    }

    /// The credential, if there is one to use now. One file is read; nothing is locked.
    pub(crate) fn credential(&self, name: &EntryName, now: UnixTime) -> Option<HeldCredential> {
        if !self.keeps() {
            return None;
        }
        let held = match self.elsewhere {
            Some(elsewhere) => elsewhere.credential()?,
            None => self.rooms.read::<HeldCredential>(Room::Cache, &name.file("json"))?,
        };
        expiry::is_usable(held.received_at, held.usable_until, now).then_some(held)
    }

    /// Keeps a credential, and throws away what is long past.
    pub(crate) fn keep_credential(&self, name: &EntryName, held: &HeldCredential, now: UnixTime) {
        if let Some(elsewhere) = self.elsewhere {
            return elsewhere.keep_credential(held);
        }
        if !self.keeps() {
            return;
        }
        self.rooms.write(Room::Cache, &name.file("json"), held, false);
        if let Some(dir) = self.rooms.opened(Room::Cache) {
            dir.sweep(now.plus(-SWEEP_AFTER_SECONDS).as_secs(), |_| true);
        }
    }

    /// Forgets a credential that the cluster would not take.
    pub(crate) fn drop_credential(&self, name: &EntryName) {
        if let Some(elsewhere) = self.elsewhere {
            return elsewhere.drop_credential();
        }
        self.rooms.remove(Room::Cache, &name.file("json"));
    }

    /// Notes who was given the credential.
    pub(crate) fn note_asked(&self, name: &EntryName, parent: ProcessIdentity, now: UnixTime) {
        if !self.keeps() {
            return;
        }
        self.rooms.note(Room::Cache, &name.file("asked"), &Asked { at: now, parent });
    }

    /// Whether the last to get this credential was the same process: client-go asks again, without a word, when the
    /// server answered 401.
    pub(crate) fn was_asked_by(&self, name: &EntryName, parent: ProcessIdentity) -> bool {
        let asked: Option<Asked> = self.rooms.noted(Room::Cache, &name.file("asked"));
        asked.is_some_and(|asked| asked.parent == parent)
    }

    /// The login, whether or not its ID token is still good.
    pub(crate) fn session(&self, name: &EntryName) -> Option<Session> {
        if let Some(elsewhere) = self.elsewhere {
            return elsewhere.session();
        }
        if !self.keeps() {
            return None;
        }
        match self.found(name)? {
            Found::Plain(session) => Some(session),
            Found::Sealed(sealed) => {
                let why = match self.sealing_key(Purpose::Open) {
                    Ok(key) => match key.open(&sealed) {
                        Ok(session) => return Some(session),
                        Err(error) => error.to_string(),
                    },
                    Err(None) => "its key is no longer in the keyring".to_owned(),
                    Err(Some(error)) => error.to_string(),
                };
                let Clear { identity, label, .. } = &sealed.clear;
                // No link: nobody is to open it.
                let issuer = label.issuer.trim_start_matches("https://");
                let (identity, issuer) = (Printable(identity), Printable(issuer));
                self.rooms.warn(&format!("the kept login of {identity} at {issuer} cannot be opened: {why}"));
                None
            }
        }
    }

    /// Keeps the login, so that it survives a power cut.
    pub(crate) fn keep_session(&self, name: &EntryName, session: &Session) {
        if let Some(elsewhere) = self.elsewhere {
            return elsewhere.keep_session(session);
        }
        let sealing = match self.store {
            Store::None => return,
            Store::File => None,
            Store::Auto => self.sealing_key(Purpose::Seal).ok(),
            Store::Keyring => match self.sealing_key(Purpose::Seal) {
                Ok(key) => Some(key),
                Err(error) => {
                    let why = error.unwrap_or(KeyringError::Absent);
                    self.rooms.warn(&format!("the login is not kept, as the store is `keyring` and {why}"));
                    // A plain one is older than what could not be kept, and may hold a token that is spent.
                    if matches!(self.found(name), Some(Found::Plain(_))) {
                        self.drop_session(name);
                    }
                    return;
                }
            },
        };
        self.sweep_sessions();
        match sealing {
            None => self.rooms.write(Room::State, &name.file("json"), session, true),
            Some(key) => self.rooms.write_bytes(Room::State, &name.file("json"), &key.seal(name, session), true),
        }
    }

    /// Forgets the login.
    pub(crate) fn drop_session(&self, name: &EntryName) {
        if let Some(elsewhere) = self.elsewhere {
            return elsewhere.drop_session();
        }
        self.rooms.remove(Room::State, &name.file("json"));
    }

    /// Where the login is kept, for messages.
    pub(crate) fn session_path(&self, name: &EntryName) -> Option<PathBuf> {
        if let Some(elsewhere) = self.elsewhere {
            return elsewhere.session_path();
        }
        Some(self.rooms.place(Room::State)?.join(name.file("json")))
    }

    /// The last attempt, if it failed.
    pub(crate) fn failed_attempt(&self, name: &EntryName) -> Option<FailedAttempt> {
        self.rooms.read(Room::State, &name.file("failed"))
    }

    /// Remembers that an attempt failed.
    pub(crate) fn keep_failed_attempt(&self, name: &EntryName, attempt: &FailedAttempt) {
        self.rooms.write(Room::State, &name.file("failed"), attempt, false);
    }

    /// Forgets failed attempts: one has succeeded.
    pub(crate) fn drop_failed_attempt(&self, name: &EntryName) {
        self.rooms.remove(Room::State, &name.file("failed"));
    }

    /// The last login of this person that nobody has answered.
    pub(crate) fn unanswered(&self, name: &EntryName) -> Option<Unanswered> {
        self.rooms.read(Room::State, &name.file("unanswered"))
    }

    /// Remembers that nobody has answered.
    pub(crate) fn keep_unanswered(&self, name: &EntryName, unanswered: &Unanswered) {
        self.rooms.write(Room::State, &name.file("unanswered"), unanswered, false);
    }

    /// Forgets it: somebody is there again.
    pub(crate) fn drop_unanswered(&self, name: &EntryName) {
        self.rooms.remove(Room::State, &name.file("unanswered"));
    }

    /// The server that this login belongs to.
    pub(crate) fn known_server(&self, name: &EntryName) -> Option<KnownServer> {
        if self.elsewhere.is_some() {
            return None;
        }
        self.rooms.read(Room::State, &name.file("server"))
    }

    /// Remembers the server that this login belongs to.
    pub(crate) fn keep_known_server(&self, name: &EntryName, server: &KnownServer) {
        if self.elsewhere.is_some() {
            return;
        }
        self.rooms.write(Room::State, &name.file("server"), server, false);
    }

    /// Whether a person let a secret be shown as this client's.
    pub(crate) fn may_show_secret(&self, client: &EntryName) -> bool {
        self.rooms.read::<ShownSecret>(Room::State, &client.file("client")).is_some()
    }

    /// Remembers that a person let a secret be shown as this client's. The note says nothing of the secret, and is kept even
    /// where no login is.
    pub(crate) fn let_show_secret(&self, client: &EntryName) {
        self.rooms.write(Room::State, &client.file("client"), &ShownSecret { since: self.clock.now() }, true);
    }

    /// Where the known server is kept, for messages.
    pub(crate) fn known_server_path(&self, name: &EntryName) -> Option<PathBuf> {
        Some(self.rooms.place(Room::State)?.join(name.file("server")))
    }

    /// The last time that the cluster refused what this credential is made of.
    pub(crate) fn last_refusal(&self, name: &EntryName) -> Option<LastRefusal> {
        self.rooms.read(Room::Cache, &name.file("refused"))
    }

    /// What `parent` was told when the cluster refused this seconds ago, or those who waited (since `waiting_since`) for
    /// somebody else's try: the cluster would only say it again.
    pub(crate) fn refused_just_now(
        &self,
        name: &EntryName,
        parent: ProcessIdentity,
        waiting_since: Option<UnixTime>,
    ) -> Option<Failure> {
        let attempt = self.last_refusal(name)?.attempt?;
        attempt.still_speaks(parent, waiting_since, self.clock.now()).then_some(attempt.failure)
    }

    /// Remembers that the cluster refused.
    pub(crate) fn keep_last_refusal(&self, name: &EntryName, refusal: &LastRefusal) {
        if self.keeps() {
            self.rooms.write(Room::Cache, &name.file("refused"), refusal, false);
        }
    }

    /// The provider's documents, however old.
    pub(crate) fn documents(&self, name: &EntryName) -> Option<Documents> {
        self.rooms.read(Room::Cache, &name.file("idp"))
    }

    /// Keeps the provider's documents.
    pub(crate) fn keep_documents(&self, name: &EntryName, documents: &Documents) {
        self.rooms.write(Room::Cache, &name.file("idp"), documents, false);
    }

    /// Waits until no other process logs in to the same session. `None` where there is no place for a lock.
    pub(crate) async fn lock(&self, name: &EntryName, patience: Duration) -> Option<Waited> {
        let dir = self.rooms.created(Room::State)?;
        self.rooms.lived_with(lock::acquire(dir, name, patience, self.clock, self.output).await)
    }

    /// A login as it stands in its file.
    fn found(&self, name: &EntryName) -> Option<Found> {
        let (dir, file) = (self.rooms.opened(Room::State)?, name.file("json"));
        let bytes = Zeroizing::new(self.rooms.lived_with(dir.read(&file))??);
        let found = match version(&bytes) {
            Some(seal::VERSION) => Sealed::read(name, &bytes).map(Found::Sealed),
            _ => parse(&bytes).map(Found::Plain),
        };
        if found.is_none() {
            self.rooms.warn(&format!("{} is damaged and not used", dir.path_of(&file).display()));
        }
        found
    }
}

/// A directory that is gone when the test ends.
#[cfg(test)]
pub(crate) fn test_directory() -> tests::TestDirectory {
    tests::TestDirectory::new()
}

#[cfg(test)]
mod tests;
