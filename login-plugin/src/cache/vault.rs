//! The key to sealed sessions: fetched from the keyring or made, asked for at most once a run, and an unwilling keyring is
//! remembered.

use std::cell::{Cell, OnceCell};
use std::fs::File;
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::seal::SealingKey;
use super::{Cache, Room};
use crate::args::Store;
use crate::platform::keyring::{KeyringError, Patience, QUIET_MAX};
use crate::platform::process;
use crate::time::UnixTime;

/// Where the key is in the keyring.
const SERVICE: &str = "latchkey-session-key";

/// One key for all sessions of this person.
const ACCOUNT: &str = "sessions";

/// What the keyring said last. Not `.json`: those are sessions.
const MEMORY: &str = "keyring.asked";

/// Held while a key is made: two made at once would leave one session without its key.
const MAKING: &str = "keyring.lock";

/// Making a key takes two questions to the keyring.
const MAKING_PATIENCE: Duration = Duration::from_secs(2);

const MAKING_RETRY: Duration = Duration::from_millis(20);

/// A login is at stake: a busy computer may take longer than one decides whether to seal the next.
const OPEN_MAX: Duration = Duration::from_secs(2);

/// `LATCHKEY_STORE=keyring`: the person wanted it, and may be asked for the password.
const PERSON_PATIENCE: Duration = Duration::from_secs(30);

/// A keyring that would not is asked again the next day, or by the next `login`.
const MEMORY_SECONDS: i64 = 24 * 3600;

/// One that would not open a login is asked again much sooner: each login that stays closed costs the person one, and a
/// computer that has just woken up is slow only for a moment.
const OPEN_AGAIN_SECONDS: i64 = 60;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// There is a sealed session. No key is made.
    Open,
    /// A session is to be sealed.
    Seal,
}

/// What this run has learnt of the keyring.
#[derive(Debug, Default)]
pub(super) struct Vault {
    key: OnceCell<SealingKey>,
    failure: OnceCell<KeyringError>,
    no_key: Cell<bool>,
}

/// What the keyring said last, where it would cost something to ask again. One that is not there costs nothing.
#[derive(Debug, Serialize, Deserialize)]
struct Memory {
    asked_at: UnixTime,
    /// Which keyring.
    address: String,
    /// On which computer, and since when it runs: a home may be on several, and after a restart all is new.
    machine: Option<String>,
    problem: Problem,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Problem {
    Locked,
    Refused,
    Silent,
}

impl Problem {
    const fn of(error: &KeyringError) -> Option<Self> {
        match error {
            KeyringError::Absent => None,
            KeyringError::Locked => Some(Self::Locked),
            KeyringError::Refused(_) => Some(Self::Refused),
            KeyringError::Silent(_) => Some(Self::Silent),
        }
    }
}

impl Cache<'_> {
    /// The key.
    ///
    /// # Errors
    /// Why there is none; `None` where the keyring is well and simply has none.
    pub(super) fn sealing_key(&self, purpose: Purpose) -> Result<&SealingKey, Option<KeyringError>> {
        let Vault { key, failure, no_key } = &self.vault;
        if let Some(key) = key.get() {
            return Ok(key);
        }
        if let Some(failure) = failure.get() {
            return Err(Some(failure.clone()));
        }
        if purpose == Purpose::Open && no_key.get() {
            return Err(None);
        }
        match self.ask_keyring(purpose) {
            Ok(Some(found)) => {
                self.rooms.remove(Room::State, MEMORY);
                Ok(key.get_or_init(|| found))
            }
            Ok(None) => {
                no_key.set(true);
                Err(None)
            }
            Err(error) => Err(Some(failure.get_or_init(|| error).clone())),
        }
    }

    /// Lets the next session be offered to the keyring again, whatever it said last: for `login`, where a person is.
    pub(crate) fn ask_keyring_again(&self) {
        self.rooms.remove(Room::State, MEMORY);
    }

    fn ask_keyring(&self, purpose: Purpose) -> Result<Option<SealingKey>, KeyringError> {
        let keyring = &self.places.keyring;
        let Some(address) = keyring.address() else { return Err(KeyringError::Absent) };
        let remembered = self.remembered_problem(address, purpose);
        let limit = match purpose {
            Purpose::Open => OPEN_MAX,
            Purpose::Seal => QUIET_MAX,
        };
        let patience = match (self.store, remembered, purpose) {
            (_, Some(Problem::Silent), _) => return Err(KeyringError::Silent(limit)),
            // Whether it would open again is worth no second try before a day is over; whether it opens now is.
            (Store::Auto, Some(_), Purpose::Seal) => return Err(KeyringError::Locked),
            (Store::Keyring, None, _) => Patience::Person(PERSON_PATIENCE),
            _ => Patience::Quiet(limit),
        };
        let answer = match purpose {
            Purpose::Open => self.stored_key(patience),
            Purpose::Seal => self.stored_or_new_key(patience).map(Some),
        };
        if let Err(error) = &answer
            && let Some(problem) = Problem::of(error)
        {
            let (asked_at, address) = (self.clock.now(), address.to_owned());
            let memory = Memory { asked_at, address, machine: process::machine(), problem };
            self.rooms.write(Room::State, MEMORY, &memory, false);
        }
        answer
    }

    fn remembered_problem(&self, address: &str, purpose: Purpose) -> Option<Problem> {
        let memory: Memory = self.rooms.read(Room::State, MEMORY)?;
        let age = self.clock.now().since(memory.asked_at);
        let same = memory.address == address && memory.machine == process::machine();
        let limit = match purpose {
            Purpose::Open => OPEN_AGAIN_SECONDS,
            Purpose::Seal => MEMORY_SECONDS,
        };
        (same && (0..limit).contains(&age)).then_some(memory.problem)
    }

    fn stored_key(&self, patience: Patience) -> Result<Option<SealingKey>, KeyringError> {
        let text = self.places.keyring.get(SERVICE, ACCOUNT, patience)?;
        Ok(text.as_ref().and_then(SealingKey::from_text))
    }

    fn stored_or_new_key(&self, patience: Patience) -> Result<SealingKey, KeyringError> {
        if let Some(key) = self.stored_key(patience)? {
            return Ok(key);
        }
        let _making = self.only_maker();
        if let Some(key) = self.stored_key(patience)? {
            return Ok(key);
        }
        let no_randomness = || KeyringError::Refused("the operating system gives no random bytes".to_owned());
        let new = SealingKey::generate().ok_or_else(no_randomness)?;
        self.places.keyring.set(SERVICE, ACCOUNT, new.text(), patience)?;
        // What counts is what is there: somebody with another cache directory may have been faster.
        self.stored_key(patience)?.ok_or_else(|| KeyringError::Refused("it did not keep the key".to_owned()))
    }

    fn only_maker(&self) -> Option<File> {
        let file = self.rooms.lived_with(self.rooms.created(Room::State)?.lock_file(MAKING))?;
        let tries = MAKING_PATIENCE.as_millis() / MAKING_RETRY.as_millis();
        for _ in 0..tries {
            match file.try_lock() {
                Ok(()) => return Some(file),
                Err(std::fs::TryLockError::WouldBlock) => thread::sleep(MAKING_RETRY),
                Err(std::fs::TryLockError::Error(_)) => return None,
            }
        }
        None
    }
}
