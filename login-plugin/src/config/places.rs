//! Where things are kept: the keyring, and two directories, one worth backing up and one that may be lost at any time.

use std::path::PathBuf;

use crate::environment::Environment;
use crate::platform::keyring::Keyring;
use crate::platform::sudo;

/// The two directories, and the keyring.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Places {
    /// Sessions: refresh tokens, worth keeping.
    pub(crate) state: Option<PathBuf>,
    /// Credentials and discovery documents: may be lost at any time.
    pub(crate) cache: Option<PathBuf>,
    /// The key to sealed sessions.
    pub(crate) keyring: Keyring,
}

impl Places {
    /// `LATCHKEY_CACHE_DIR`, else what the XDG base directory specification says, on macOS what Apple says.
    pub(crate) fn new(environment: &Environment) -> Self {
        let keyring = Keyring::new(environment);
        if let Some(base) = environment.absolute_path("LATCHKEY_CACHE_DIR") {
            return Self { state: Some(base.join("sessions")), cache: Some(base.join("credentials")), keyring };
        }
        let home = environment.absolute_path("HOME");
        let place = |variable: &str, unix: &str, macos: &str| {
            if cfg!(target_os = "macos") {
                return home.as_ref().map(|home| home.join(macos).join("latchkey"));
            }
            environment
                .absolute_path(variable)
                .or_else(|| home.as_ref().map(|home| home.join(unix)))
                .map(|base| base.join("latchkey"))
        };
        // Under `sudo` the home may be the caller's still: files of root's in it would only be in the way.
        let spare = |path: &PathBuf| sudo::caller(environment).is_none() || !sudo::is_anothers(path);
        Self {
            state: place("XDG_STATE_HOME", ".local/state", "Library/Application Support").filter(spare),
            cache: place("XDG_CACHE_HOME", ".cache", "Library/Caches").filter(spare),
            keyring,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn places_follow_our_variable_then_xdg_then_home() {
        let places = |table: &[(&'static str, &'static str)]| {
            Places::new(&Environment::Table(table.iter().copied().collect::<BTreeMap<_, _>>()))
        };
        let ours = places(&[("LATCHKEY_CACHE_DIR", "/l"), ("HOME", "/h")]);
        assert_eq!(
            ours,
            Places {
                state: Some("/l/sessions".into()),
                cache: Some("/l/credentials".into()),
                keyring: Keyring::absent()
            }
        );
        assert_eq!(places(&[]), Places { state: None, cache: None, keyring: Keyring::absent() });
        if !cfg!(target_os = "macos") {
            let mixed = places(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/c"), ("XDG_STATE_HOME", "relative")]);
            assert_eq!(
                mixed,
                Places {
                    state: Some("/h/.local/state/latchkey".into()),
                    cache: Some("/c/latchkey".into()),
                    keyring: Keyring::absent()
                }
            );
        }
    }
}
