//! Where logins are kept: may we write there, may nobody else, does the file system know locks, and is there a login.

use std::fs::TryLockError;
use std::path::Path;
use std::time::{Duration, Instant};

use super::report::Finding;
use crate::config::Places;
use crate::output::Printable;
use crate::platform::dir::{Dir, StoreError};
use crate::platform::keyring::{Keyring, KeyringError, Patience, QUIET_MAX};
use crate::secret::Secret;
use crate::time::UnixTime;

/// What is written to see whether it can be.
const PROBE: &[u8] = b"doctor";

/// What came of writing, reading, locking and removing in one directory.
#[derive(Debug)]
pub(super) enum Tried {
    /// There is no such directory to use (no `HOME`, or another person's).
    Nowhere,
    /// All is well; whether locks work.
    Well { locks: bool },
    /// It does not work.
    Failed(StoreError),
}

/// Tries both directories.
pub(super) fn attempt(places: &Places) -> [(&'static str, Tried); 2] {
    [("logins", places.state.as_deref()), ("credentials", places.cache.as_deref())].map(|(what, path)| {
        (
            what,
            path.map_or(Tried::Nowhere, |path| {
                attempt_in(path).map_or_else(Tried::Failed, |locks| Tried::Well { locks })
            }),
        )
    })
}

fn attempt_in(path: &Path) -> Result<bool, StoreError> {
    let dir = Dir::create(path)?;
    let name = format!("doctor-{}", std::process::id());
    let (file, lock) = (format!("{name}.json"), format!("{name}.lock"));
    let tried = (|| {
        dir.replace(&file, PROBE, true)?;
        dir.read(&file)?;
        let locked = dir.lock_file(&lock)?;
        Ok(!matches!(locked.try_lock(), Err(TryLockError::Error(_))))
    })();
    let _tidy = (dir.remove(&file), dir.remove(&lock));
    tried
}

/// Judges one directory.
pub(super) fn judge(what: &str, path: Option<&Path>, tried: &Tried, sudo_caller: Option<&str>) -> Finding {
    const CHECK: &str = "cache";
    match (tried, sudo_caller) {
        (Tried::Nowhere, Some(caller)) => Finding::warn(
            CHECK,
            format!("{what} are not kept: this is root in the home of {}", Printable(caller)),
            "run kubectl without sudo",
        ),
        (Tried::Nowhere, None) => {
            Finding::warn(CHECK, format!("{what} are not kept: HOME is not set"), "set HOME or LATCHKEY_CACHE_DIR")
        }
        (Tried::Well { locks: true }, _) => {
            Finding::ok(CHECK, format!("{what} are kept in {}, for you alone", path.unwrap_or(Path::new("")).display()))
        }
        (Tried::Well { locks: false }, _) => Finding::warn(
            CHECK,
            format!(
                "the file system of {} knows no locks: two logins at once may disturb each other",
                path.unwrap_or(Path::new("")).display()
            ),
            "set LATCHKEY_CACHE_DIR to a local directory",
        ),
        (Tried::Failed(error), _) => Finding::fail(CHECK, format!("{what} cannot be kept: {error}"), mend(error)),
    }
}

fn mend(error: &StoreError) -> String {
    use std::io::ErrorKind;
    match error {
        StoreError::Io { source, path } => match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                format!("free some space on the disk of {}", path.display())
            }
            ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => {
                "set LATCHKEY_CACHE_DIR to a directory that you may write to".to_owned()
            }
            _ => format!("remove {}, or set LATCHKEY_CACHE_DIR to another directory", path.display()),
        },
        // Its words say what to do. Windows has no modes to be loose.
        #[cfg(unix)]
        StoreError::Loose { path, wanted, .. } => format!("chmod {wanted:o} {}", path.display()),
        _ => "until then each login lasts for one call".to_owned(),
    }
}

/// Keeps something in the keyring, reads it and removes it. Nobody is asked to unlock anything. How long it took.
///
/// # Errors
/// When the keyring does not do it.
pub(super) fn attempt_keyring(keyring: &Keyring) -> Result<Duration, KeyringError> {
    const SERVICE: &str = "latchkey-doctor";
    let account = std::process::id().to_string();
    let (patience, secret) = (Patience::Quiet(QUIET_MAX), Secret::from("probe"));
    let began = Instant::now();
    keyring.set(SERVICE, &account, &secret, patience)?;
    let read = keyring.get(SERVICE, &account, patience);
    keyring.delete(SERVICE, &account, patience)?;
    if read? != Some(secret) {
        return Err(KeyringError::Refused("something else than was kept".to_owned()));
    }
    Ok(began.elapsed())
}

/// Judges the keyring. Without one logins are kept all the same.
pub(super) fn judge_keyring(tried: &Result<Duration, KeyringError>) -> Finding {
    const CHECK: &str = "keyring";
    let kept = "logins are kept in files that only you can read";
    match tried {
        Ok(took) => Finding::ok(CHECK, format!("keeps, gives and forgets, in {} ms", took.as_millis())),
        Err(KeyringError::Absent) => Finding::ok(CHECK, format!("there is none here: {kept}")),
        Err(KeyringError::Locked) => Finding::warn(
            CHECK,
            format!("it is locked: until it is not, {kept}"),
            "unlock it (log in to the desktop, or open its password manager), or set LATCHKEY_STORE=file",
        ),
        Err(error) => Finding::warn(
            CHECK,
            format!("{error}; meanwhile {kept}"),
            "mend it, or set LATCHKEY_STORE=file to leave it out",
        ),
    }
}

/// What is known about a login without asking anybody.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) identity: String,
    pub(super) usable_until: UnixTime,
    pub(super) renewable: bool,
}

pub(super) fn judge_login(login: Option<&Login>, now: UnixTime) -> Finding {
    const CHECK: &str = "login";
    match login {
        None => Finding::ok(CHECK, "nobody is logged in; the next kubectl call asks, or: kubectl latchkey login"),
        Some(Login { identity, usable_until, renewable }) => {
            let who = Printable(identity);
            match (usable_until.since(now) > 0, renewable) {
                (true, true) => Finding::ok(CHECK, format!("{who}, until {usable_until} and renewed without asking")),
                (true, false) => Finding::ok(CHECK, format!("{who}, until {usable_until}; then a new login is needed")),
                (false, true) => Finding::ok(CHECK, format!("{who}, to be renewed at the next call")),
                (false, false) => {
                    Finding::ok(CHECK, format!("{who} was logged in until {usable_until}; the next kubectl call asks"))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::super::report::Verdict;
    use super::*;
    use crate::cache::test_directory;

    #[test]
    fn a_good_directory_is_left_as_it_was() {
        let place = test_directory();
        let path = place.path().join("d");
        let places = Places { state: Some(path.clone()), cache: None, keyring: Keyring::absent() };
        let [(_, state), (_, cache)] = attempt(&places);
        assert!(matches!(state, Tried::Well { locks: true }), "{state:?}");
        assert!(matches!(cache, Tried::Nowhere));
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0);
    }

    #[test]
    fn each_trouble_has_its_mend() {
        let io = |kind: io::ErrorKind| Tried::Failed(StoreError::Io { path: "/d".into(), source: kind.into() });
        let loose = Tried::Failed(StoreError::Loose { path: "/d".into(), mode: 0o777, wanted: 0o700 });
        let cases = [
            (io(io::ErrorKind::StorageFull), Verdict::Fail, "free some space"),
            (io(io::ErrorKind::ReadOnlyFilesystem), Verdict::Fail, "LATCHKEY_CACHE_DIR"),
            (io(io::ErrorKind::NotADirectory), Verdict::Fail, "remove /d"),
            (loose, Verdict::Fail, "chmod 700 /d"),
            (Tried::Well { locks: false }, Verdict::Warn, "local directory"),
            (Tried::Nowhere, Verdict::Warn, "set HOME"),
        ];
        for (tried, verdict, words) in cases {
            let finding = judge("logins", Some(Path::new("/d")), &tried, None);
            assert_eq!(finding.verdict, verdict);
            assert!(finding.mend.as_ref().unwrap().contains(words), "{finding:?}");
        }
        assert!(judge("logins", None, &Tried::Nowhere, Some("jane")).found.contains("jane"));
    }

    #[test]
    fn a_keyring_that_does_not_answer_is_no_failure() {
        assert_eq!(attempt_keyring(&Keyring::absent()), Err(KeyringError::Absent));
        let cases = [
            (Ok(Duration::from_millis(3)), Verdict::Ok),
            (Err(KeyringError::Absent), Verdict::Ok),
            (Err(KeyringError::Locked), Verdict::Warn),
            (Err(KeyringError::Silent(QUIET_MAX)), Verdict::Warn),
            (Err(KeyringError::Refused("no".to_owned())), Verdict::Warn),
        ];
        for (tried, verdict) in cases {
            assert_eq!(judge_keyring(&tried).verdict, verdict, "{tried:?}");
        }
    }

    #[test]
    fn a_login_is_told_in_one_line() {
        let now = UnixTime::from_secs(1_782_000_000);
        let login = |seconds, renewable| Login {
            identity: "jane\u{1b}[2J".to_owned(),
            usable_until: now.plus(seconds),
            renewable,
        };
        for (login, words) in [
            (None, "nobody is logged in"),
            (Some(login(60, true)), "renewed without asking"),
            (Some(login(60, false)), "then a new login"),
            (Some(login(-60, true)), "to be renewed"),
            (Some(login(-60, false)), "was logged in"),
        ] {
            let found = judge_login(login.as_ref(), now).found;
            assert!(found.contains(words) && !found.contains('\u{1b}'), "{found}");
        }
    }
}
