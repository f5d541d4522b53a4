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
mod seal;
mod sessions;
mod unanswered;
mod vault;

use std::cell::{Cell, OnceCell};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub(crate) use self::elsewhere::Elsewhere;
pub(crate) use self::entries::{
    Documents, FailedAttempt, HeldCredential, KnownServer, LastRefusal, Session, SessionLabel,
};
pub(crate) use self::key::{EntryName, Keys, roots_fingerprint};
pub(crate) use self::lock::{Lock, Waited};
use self::seal::{Clear, Sealed};
pub(crate) use self::sessions::{Kept, KeptSession};
pub(crate) use self::unanswered::Unanswered;
use self::vault::{Purpose, Vault};
use crate::args::Store;
use crate::config::Places;
use crate::expiry;
use crate::output::{Output, Printable};
use crate::platform::dir::{Dir, StoreError};
use crate::platform::keyring::KeyringError;
use crate::platform::process::ProcessIdentity;
use crate::time::{Clock, UnixTime};

/// Files of another version were written by another release, and are not there for us.
const VERSION: u32 = 1;

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

#[derive(Serialize)]
struct Versioned<'a, T> {
    version: u32,
    #[serde(flatten)]
    entry: &'a T,
}

/// The two directories. Each failure is said once and then lived with.
#[derive(Debug)]
pub(crate) struct Cache<'a> {
    places: &'a Places,
    store: Store,
    clock: &'a dyn Clock,
    output: &'a Output,
    vault: Vault,
    elsewhere: Option<&'a dyn Elsewhere>,
    warned: Cell<bool>,
    state_dir: OnceCell<Dir>,
    credential_dir: OnceCell<Dir>,
}

/// A login in its file.
enum Found {
    Plain(Session),
    Sealed(Sealed),
}

#[derive(Clone, Copy)]
enum Room {
    State,
    Cache,
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
            warned: Cell::new(false),
            state_dir: OnceCell::new(),
            credential_dir: OnceCell::new(),
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
            None => self.read::<HeldCredential>(Room::Cache, &name.file("json"))?,
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
        self.write(Room::Cache, &name.file("json"), held, false);
        if let Some(dir) = self.opened(Room::Cache) {
            dir.sweep(now.plus(-SWEEP_AFTER_SECONDS).as_secs(), |_| true);
        }
    }

    /// Forgets a credential that the cluster would not take.
    pub(crate) fn drop_credential(&self, name: &EntryName) {
        if let Some(elsewhere) = self.elsewhere {
            return elsewhere.drop_credential();
        }
        self.remove(Room::Cache, &name.file("json"));
    }

    /// Notes who was given the credential.
    pub(crate) fn note_asked(&self, name: &EntryName, parent: ProcessIdentity, now: UnixTime) {
        if !self.keeps() {
            return;
        }
        let note = serde_json::to_string(&Versioned { version: VERSION, entry: &Asked { at: now, parent } });
        let note = note.expect("numbers and options always serialize");
        if let Some(dir) = self.created(Room::Cache) {
            self.lived_with(dir.note(&name.file("asked"), &note));
        }
    }

    /// Whether the last to get this credential was the same process: client-go asks again, without a word, when the
    /// server answered 401.
    pub(crate) fn was_asked_by(&self, name: &EntryName, parent: ProcessIdentity) -> bool {
        let note = self.opened(Room::Cache).and_then(|dir| self.lived_with(dir.read(&name.file("asked")))?);
        // Half a note, caught while another process writes it, is none.
        note.and_then(|note| parse::<Asked>(&note)).is_some_and(|asked| asked.parent == parent)
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
                self.warn(&format!("the kept login of {identity} at {issuer} cannot be opened: {why}"));
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
                    self.warn(&format!("the login is not kept, as the store is `keyring` and {why}"));
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
            None => self.write(Room::State, &name.file("json"), session, true),
            Some(key) => self.write_bytes(Room::State, &name.file("json"), &key.seal(name, session), true),
        }
    }

    /// Forgets the login.
    pub(crate) fn drop_session(&self, name: &EntryName) {
        if let Some(elsewhere) = self.elsewhere {
            return elsewhere.drop_session();
        }
        self.remove(Room::State, &name.file("json"));
    }

    /// Where the login is kept, for messages.
    pub(crate) fn session_path(&self, name: &EntryName) -> Option<PathBuf> {
        if let Some(elsewhere) = self.elsewhere {
            return elsewhere.session_path();
        }
        Some(self.place(Room::State)?.join(name.file("json")))
    }

    /// The last attempt, if it failed.
    pub(crate) fn failed_attempt(&self, name: &EntryName) -> Option<FailedAttempt> {
        self.read(Room::State, &name.file("failed"))
    }

    /// Remembers that an attempt failed.
    pub(crate) fn keep_failed_attempt(&self, name: &EntryName, attempt: &FailedAttempt) {
        self.write(Room::State, &name.file("failed"), attempt, false);
    }

    /// Forgets failed attempts: one has succeeded.
    pub(crate) fn drop_failed_attempt(&self, name: &EntryName) {
        self.remove(Room::State, &name.file("failed"));
    }

    /// The last login of this person that nobody has answered.
    pub(crate) fn unanswered(&self, name: &EntryName) -> Option<Unanswered> {
        self.read(Room::State, &name.file("unanswered"))
    }

    /// Remembers that nobody has answered.
    pub(crate) fn keep_unanswered(&self, name: &EntryName, unanswered: &Unanswered) {
        self.write(Room::State, &name.file("unanswered"), unanswered, false);
    }

    /// Forgets it: somebody is there again.
    pub(crate) fn drop_unanswered(&self, name: &EntryName) {
        self.remove(Room::State, &name.file("unanswered"));
    }

    /// The server that this login belongs to.
    pub(crate) fn known_server(&self, name: &EntryName) -> Option<KnownServer> {
        if self.elsewhere.is_some() {
            return None;
        }
        self.read(Room::State, &name.file("server"))
    }

    /// Remembers the server that this login belongs to.
    pub(crate) fn keep_known_server(&self, name: &EntryName, server: &KnownServer) {
        if self.elsewhere.is_some() {
            return;
        }
        self.write(Room::State, &name.file("server"), server, false);
    }

    /// Whether a person let a secret be shown as this client's.
    pub(crate) fn may_show_secret(&self, client: &EntryName) -> bool {
        self.read::<ShownSecret>(Room::State, &client.file("client")).is_some()
    }

    /// Remembers that a person let a secret be shown as this client's. The note says nothing of the secret, and is kept even
    /// where no login is.
    pub(crate) fn let_show_secret(&self, client: &EntryName) {
        self.write(Room::State, &client.file("client"), &ShownSecret { since: self.clock.now() }, true);
    }

    /// Where the known server is kept, for messages.
    pub(crate) fn known_server_path(&self, name: &EntryName) -> Option<PathBuf> {
        Some(self.place(Room::State)?.join(name.file("server")))
    }

    /// The last time that the cluster refused what this credential is made of.
    pub(crate) fn last_refusal(&self, name: &EntryName) -> Option<LastRefusal> {
        self.read(Room::Cache, &name.file("refused"))
    }

    /// Remembers that the cluster refused.
    pub(crate) fn keep_last_refusal(&self, name: &EntryName, refusal: &LastRefusal) {
        if self.keeps() {
            self.write(Room::Cache, &name.file("refused"), refusal, false);
        }
    }

    /// The provider's documents, however old.
    pub(crate) fn documents(&self, name: &EntryName) -> Option<Documents> {
        self.read(Room::Cache, &name.file("idp"))
    }

    /// Keeps the provider's documents.
    pub(crate) fn keep_documents(&self, name: &EntryName, documents: &Documents) {
        self.write(Room::Cache, &name.file("idp"), documents, false);
    }

    /// Waits until no other process logs in to the same session. `None` where there is no place for a lock.
    pub(crate) async fn lock(&self, name: &EntryName, patience: Duration) -> Option<Waited> {
        let dir = self.created(Room::State)?;
        self.lived_with(lock::acquire(dir, name, patience, self.clock, self.output).await)
    }

    fn place(&self, room: Room) -> Option<&'a Path> {
        match room {
            Room::State => self.places.state.as_deref(),
            Room::Cache => self.places.cache.as_deref(),
        }
    }

    /// A login as it stands in its file.
    fn found(&self, name: &EntryName) -> Option<Found> {
        let (dir, file) = (self.opened(Room::State)?, name.file("json"));
        let bytes = Zeroizing::new(self.lived_with(dir.read(&file))??);
        let found = match version(&bytes) {
            Some(seal::VERSION) => Sealed::read(name, &bytes).map(Found::Sealed),
            _ => parse(&bytes).map(Found::Plain),
        };
        if found.is_none() {
            self.warn(&format!("{} is damaged and not used", dir.path_of(&file).display()));
        }
        found
    }

    fn read<T: DeserializeOwned>(&self, room: Room, name: &str) -> Option<T> {
        let dir = self.opened(room)?;
        let bytes = Zeroizing::new(self.lived_with(dir.read(name))??);
        let entry = parse(&bytes);
        if entry.is_none() {
            self.warn(&format!("{} is damaged and not used", dir.path_of(name).display()));
        }
        entry
    }

    fn write<T: Serialize>(&self, room: Room, name: &str, entry: &T, durable: bool) {
        let bytes = serde_json::to_vec(&Versioned { version: VERSION, entry });
        let bytes = Zeroizing::new(bytes.expect("strings, numbers and options always serialize"));
        self.write_bytes(room, name, &bytes, durable);
    }

    fn write_bytes(&self, room: Room, name: &str, bytes: &[u8], durable: bool) {
        if let Some(dir) = self.created(room) {
            self.lived_with(dir.replace(name, bytes, durable));
        }
    }

    fn remove(&self, room: Room, name: &str) {
        if let Some(dir) = self.opened(room) {
            self.lived_with(dir.remove(name));
        }
    }

    /// The directory, if it is there and ours. Looked at once.
    fn opened(&self, room: Room) -> Option<&Dir> {
        let cell = self.cell(room);
        if cell.get().is_none()
            && let Some(dir) = self.lived_with(Dir::open(self.place(room)?))?
        {
            let _was_empty = cell.set(dir);
        }
        cell.get()
    }

    /// The directory, made if need be.
    fn created(&self, room: Room) -> Option<&Dir> {
        if self.opened(room).is_none() {
            let Some(place) = self.place(room) else {
                self.warn("neither HOME nor LATCHKEY_CACHE_DIR is set, so nothing is kept for the next time");
                return None;
            };
            let _was_empty = self.cell(room).set(self.lived_with(Dir::create(place))?);
        }
        self.cell(room).get()
    }

    const fn cell(&self, room: Room) -> &OnceCell<Dir> {
        match room {
            Room::State => &self.state_dir,
            Room::Cache => &self.credential_dir,
        }
    }

    fn lived_with<T>(&self, result: Result<T, StoreError>) -> Option<T> {
        result.map_err(|error| self.warn(&format!("going on without the cache: {error}"))).ok()
    }

    fn warn(&self, words: &str) {
        if !self.warned.replace(true) {
            self.output.warn(words);
        }
    }
}

/// Half a file, another release's file or anything else that is not exactly ours is no entry.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    if version(bytes)? == VERSION { serde_json::from_slice(bytes).ok() } else { None }
}

fn version(bytes: &[u8]) -> Option<u32> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    serde_json::from_slice(bytes).ok().map(|Version { version }| version)
}

/// A directory that is gone when the test ends.
#[cfg(test)]
pub(crate) fn test_directory() -> tests::TestDirectory {
    tests::TestDirectory::new()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::exec_credential::Credential;
    use crate::output::Talk;
    use crate::platform::keyring::Keyring;
    use crate::secret::Secret;

    pub(crate) struct TestDirectory(PathBuf);

    impl TestDirectory {
        pub(super) fn new() -> Self {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("latchkey-unit-{}-{number}", std::process::id()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        pub(crate) fn path(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for TestDirectory {
        fn drop(&mut self) {
            let _gone = fs::remove_dir_all(&self.0);
        }
    }

    /// A clock that stands still.
    #[derive(Debug)]
    pub(crate) struct StoppedClock(pub(crate) i64);

    impl Clock for StoppedClock {
        fn now(&self) -> UnixTime {
            UnixTime::from_secs(self.0)
        }
    }

    fn held() -> HeldCredential {
        HeldCredential {
            suspected_at: None,
            received_at: UnixTime::from_secs(1000),
            usable_until: UnixTime::from_secs(1570),
            session: None,
            credential: Credential::Token { token: Secret::from("t") },
        }
    }

    fn at(seconds: i64) -> UnixTime {
        UnixTime::from_secs(seconds)
    }

    #[test]
    fn logins_that_nobody_uses_are_swept_and_known_servers_stay() {
        let directory = test_directory();
        let place = directory.path().join("s");
        let places = Places { state: Some(place.clone()), cache: None, keyring: Keyring::absent() };
        let output = Output::new(Talk::Not);
        let day = 24 * 3600;
        let clock = StoppedClock(100 * day);
        let cache = Cache::new(&places, Store::File, &clock, &output);
        let left_over = format!("{}.0123456789abcdef", sessions::name("b").file("json"));
        let ages = [
            (sessions::name("b").file("json"), 91),
            (sessions::name("b").file("server"), 91),
            (sessions::name("c").file("json"), 89),
            (left_over.clone(), 3),
        ];
        let dir = cache.created(Room::State).unwrap();
        for (name, age) in &ages {
            dir.replace(name, b"{}", false).unwrap();
            let written = std::time::UNIX_EPOCH + Duration::from_secs((100 - age) * 24 * 3600);
            fs::File::options().write(true).open(place.join(name)).unwrap().set_modified(written).unwrap();
        }
        cache.keep_session(&sessions::name("a"), &sessions::session(None, "staging"));
        let left: Vec<bool> = ages.iter().map(|(name, _)| place.join(name).exists()).collect();
        assert_eq!(left, [false, true, true, false]);
    }

    #[test]
    fn cache_file_truncated() {
        let whole = serde_json::to_vec(&Versioned { version: VERSION, entry: &held() }).unwrap();
        assert_eq!(parse::<HeldCredential>(&whole), Some(held()));
        for length in 0..whole.len() {
            assert_eq!(parse::<HeldCredential>(&whole[..length]), None, "cut at {length}");
        }
        let other = serde_json::to_vec(&Versioned { version: VERSION + 1, entry: &held() }).unwrap();
        assert_eq!(parse::<HeldCredential>(&other), None);
    }

    #[test]
    fn a_credential_is_kept_until_its_margin() {
        let directory = test_directory();
        let places = Places { state: None, cache: Some(directory.path().join("c")), keyring: Keyring::absent() };
        let output = Output::new(Talk::Not);
        let cache = Cache::new(&places, Store::Auto, &StoppedClock(1000), &output);
        let name = EntryName::for_test("entry");
        assert_eq!(cache.credential(&name, at(1000)), None);
        cache.keep_credential(&name, &held(), at(1000));
        let cases = [(999, false), (1000, true), (1565, true), (1566, false), (9999, false)];
        for (now, expected) in cases {
            assert_eq!(cache.credential(&name, at(now)).is_some(), expected, "at {now}");
        }
        cache.drop_credential(&name);
        assert_eq!(cache.credential(&name, at(1000)), None);
    }

    #[test]
    fn only_the_same_process_asking_twice_is_suspicious() {
        let directory = test_directory();
        let places = Places { state: None, cache: Some(directory.path().join("c")), keyring: Keyring::absent() };
        let output = Output::new(Talk::Not);
        let cache = Cache::new(&places, Store::Auto, &StoppedClock(1000), &output);
        let name = EntryName::for_test("entry");
        let process = |pid| ProcessIdentity::for_test(pid, 7);
        assert!(!cache.was_asked_by(&name, process(1)));
        cache.note_asked(&name, process(1), at(1000));
        assert!(cache.was_asked_by(&name, process(1)));
        assert!(!cache.was_asked_by(&name, process(2)));
        assert!(!cache.was_asked_by(&name, ProcessIdentity::for_test(1, 8)), "the process id was used again");
    }

    #[test]
    fn no_place_for_a_cache_is_lived_with() {
        let places = Places { state: None, cache: None, keyring: Keyring::absent() };
        let output = Output::new(Talk::Not);
        let cache = Cache::new(&places, Store::Auto, &StoppedClock(1000), &output);
        let name = EntryName::for_test("entry");
        cache.keep_credential(&name, &held(), at(1000));
        assert_eq!(cache.credential(&name, at(1000)), None);
    }
}
