//! What is kept and for how long, and a place to keep it in for tests of other rooms too.

use std::fs;
use std::path::Path;
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

pub(super) fn held() -> HeldCredential {
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
    let dir = cache.rooms.created(Room::State).unwrap();
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
