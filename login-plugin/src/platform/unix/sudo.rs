//! `sudo`: one person's programs with another's rights, often in the first one's home.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::environment::Environment;

/// Who called `sudo`, if this process runs as root because of it.
pub(crate) fn caller(environment: &Environment) -> Option<String> {
    environment.text("SUDO_USER").filter(|caller| caller != "root" && rustix::process::geteuid().is_root())
}

/// Whether what we wrote at `path` would lie among another user's files: theirs is the directory, or the nearest one above
/// it that exists. They could not read or remove it afterwards.
pub(crate) fn is_anothers(path: &Path) -> bool {
    let us = rustix::process::geteuid().as_raw();
    path.ancestors().find_map(|place| std::fs::metadata(place).ok()).is_some_and(|place| place.uid() != us)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::test_directory;

    #[test]
    fn what_lies_in_our_own_directory_is_ours() {
        let place = test_directory();
        assert!(!is_anothers(&place.path().join("not/yet/there")));
    }

    #[test]
    fn root_in_another_home_is_told_from_root_at_home() {
        let place = test_directory();
        // Only root can give a directory away.
        if std::os::unix::fs::chown(place.path(), Some(12_345), None).is_ok() {
            assert!(is_anothers(&place.path().join("not/yet/there")));
        }
    }
}
