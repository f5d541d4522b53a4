//! The environment variables we look at, readable from the process or from a table in tests.

use std::env;
use std::path::PathBuf;

/// Where variables come from.
#[derive(Debug)]
pub(crate) enum Environment {
    /// The process's own.
    Process,
    /// A fixed table.
    #[cfg(test)]
    Table(std::collections::BTreeMap<&'static str, &'static str>),
}

impl Environment {
    /// The variable's value, if it is set, not empty and valid Unicode.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        match self {
            Self::Process => env::var(name).ok(),
            #[cfg(test)]
            Self::Table(table) => table.get(name).map(|value| (*value).to_owned()),
        }
        .filter(|value| !value.is_empty())
    }

    /// The variable as a path, if it is an absolute one.
    ///
    /// The XDG base directory specification wants relative values ignored, and so do we for our own.
    pub(crate) fn absolute_path(&self, name: &str) -> Option<PathBuf> {
        match self {
            Self::Process => env::var_os(name).map(PathBuf::from),
            #[cfg(test)]
            Self::Table(table) => table.get(name).map(PathBuf::from),
        }
        .filter(|path| path.is_absolute())
    }

    /// Whether a switch is on: set to anything but the empty text, `0` or `false`.
    pub(crate) fn switch(&self, name: &str) -> bool {
        self.text(name).is_some_and(|value| value != "0" && !value.eq_ignore_ascii_case("false"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn empty_relative_and_switched_off_count_as_absent() {
        let environment = Environment::Table(BTreeMap::from([
            ("EMPTY", ""),
            ("RELATIVE", "cache"),
            ("ABSOLUTE", "/cache"),
            ("CI", "false"),
            ("ON", "1"),
        ]));
        assert_eq!(environment.text("EMPTY"), None);
        assert_eq!(environment.absolute_path("RELATIVE"), None);
        assert_eq!(environment.absolute_path("ABSOLUTE"), Some(PathBuf::from("/cache")));
        assert!(!environment.switch("CI"));
        assert!(environment.switch("ON"));
    }
}
