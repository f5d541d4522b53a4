//! The two directories and how an entry stands in its file. Each failure is said once and then lived with.

use std::cell::{Cell, OnceCell};
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::config::Places;
use crate::output::Output;
use crate::platform::dir::{Dir, StoreError};

/// Files of another version were written by another release, and are not there for us.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Versioned<'a, T> {
    version: u32,
    #[serde(flatten)]
    entry: &'a T,
}

/// Which of the two.
#[derive(Clone, Copy)]
pub(super) enum Room {
    /// For months: logins, and what guards them.
    State,
    /// For minutes to a day.
    Cache,
}

/// Both, opened or made when they are first needed.
#[derive(Debug)]
pub(super) struct Rooms<'a> {
    places: &'a Places,
    output: &'a Output,
    warned: Cell<bool>,
    state: OnceCell<Dir>,
    cache: OnceCell<Dir>,
}

impl<'a> Rooms<'a> {
    /// Nothing is opened or made before it is needed.
    pub(super) const fn new(places: &'a Places, output: &'a Output) -> Self {
        Self { places, output, warned: Cell::new(false), state: OnceCell::new(), cache: OnceCell::new() }
    }

    /// Where the directory is, or would be.
    pub(super) fn place(&self, room: Room) -> Option<&'a Path> {
        match room {
            Room::State => self.places.state.as_deref(),
            Room::Cache => self.places.cache.as_deref(),
        }
    }

    /// The entry, if it is there and whole.
    pub(super) fn read<T: DeserializeOwned>(&self, room: Room, name: &str) -> Option<T> {
        let dir = self.opened(room)?;
        let bytes = Zeroizing::new(self.lived_with(dir.read(name))??);
        let entry = parse(&bytes);
        if entry.is_none() {
            self.warn(&format!("{} is damaged and not used", dir.path_of(name).display()));
        }
        entry
    }

    /// Puts the entry in the place of what was there.
    pub(super) fn write<T: Serialize>(&self, room: Room, name: &str, entry: &T, durable: bool) {
        self.write_bytes(room, name, &Zeroizing::new(written(entry)), durable);
    }

    /// The same for an entry of another form.
    pub(super) fn write_bytes(&self, room: Room, name: &str, bytes: &[u8], durable: bool) {
        if let Some(dir) = self.created(room) {
            self.lived_with(dir.replace(name, bytes, durable));
        }
    }

    /// Writes over what was there, which is cheaper; another process may read half of it.
    pub(super) fn note<T: Serialize>(&self, room: Room, name: &str, entry: &T) {
        let note = serde_json::to_string(&Versioned { version: VERSION, entry });
        let note = note.expect("numbers and options always serialize");
        if let Some(dir) = self.created(room) {
            self.lived_with(dir.note(name, &note));
        }
    }

    /// What was noted. Half a note, caught while another process writes it, is none.
    pub(super) fn noted<T: DeserializeOwned>(&self, room: Room, name: &str) -> Option<T> {
        parse(&self.lived_with(self.opened(room)?.read(name))??)
    }

    /// Removes the entry, if it is there.
    pub(super) fn remove(&self, room: Room, name: &str) {
        if let Some(dir) = self.opened(room) {
            self.lived_with(dir.remove(name));
        }
    }

    /// The directory, if it is there and ours. Looked at once.
    pub(super) fn opened(&self, room: Room) -> Option<&Dir> {
        let cell = self.cell(room);
        if cell.get().is_none()
            && let Some(dir) = self.lived_with(Dir::open(self.place(room)?))?
        {
            let _was_empty = cell.set(dir);
        }
        cell.get()
    }

    /// The directory, made if need be.
    pub(super) fn created(&self, room: Room) -> Option<&Dir> {
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
            Room::State => &self.state,
            Room::Cache => &self.cache,
        }
    }

    /// What came of it; a failure is said, and is nothing to stop for.
    pub(super) fn lived_with<T>(&self, result: Result<T, StoreError>) -> Option<T> {
        result.map_err(|error| self.warn(&format!("going on without the cache: {error}"))).ok()
    }

    /// The first is said; after it there is nothing new to tell.
    pub(super) fn warn(&self, words: &str) {
        if !self.warned.replace(true) {
            self.output.warn(words);
        }
    }
}

/// As it stands in a file.
pub(super) fn written<T: Serialize>(entry: &T) -> Vec<u8> {
    let bytes = serde_json::to_vec(&Versioned { version: VERSION, entry });
    bytes.expect("strings, numbers and options always serialize")
}

/// Half a file, another release's file or anything else that is not exactly ours is no entry.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    if version(bytes)? == VERSION { serde_json::from_slice(bytes).ok() } else { None }
}

/// The version that a file says it has.
pub(super) fn version(bytes: &[u8]) -> Option<u32> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    serde_json::from_slice(bytes).ok().map(|Version { version }| version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::HeldCredential;
    use crate::cache::tests::held;

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
}
