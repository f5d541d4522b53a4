//! The environment variables we look at, readable from the process or from a table in tests.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

/// Where variables come from.
#[derive(Debug)]
pub(crate) enum Environment {
    /// The process's own.
    Process,
    /// The process's own under some that win over it.
    Overlaid(BTreeMap<String, String>),
    /// A fixed table.
    #[cfg(test)]
    Table(BTreeMap<&'static str, &'static str>),
}

impl Environment {
    /// The variable's value, if it is set, not empty and valid Unicode.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.value(name)?.into_string().ok()
    }

    /// The paths of a list such as `PATH` or `KUBECONFIG`; empty ones are left out.
    pub(crate) fn paths(&self, name: &str) -> Vec<PathBuf> {
        let Some(list) = self.value(name) else { return Vec::new() };
        env::split_paths(&list).filter(|path| !path.as_os_str().is_empty()).collect()
    }

    /// The variable as a path, if it is an absolute one.
    ///
    /// The XDG base directory specification wants relative values ignored, and so do we for our own.
    pub(crate) fn absolute_path(&self, name: &str) -> Option<PathBuf> {
        self.value(name).map(PathBuf::from).filter(|path| path.is_absolute())
    }

    fn value(&self, name: &str) -> Option<OsString> {
        match self {
            Self::Process => env::var_os(name),
            Self::Overlaid(own) => own.get(name).map(OsString::from).or_else(|| env::var_os(name)),
            #[cfg(test)]
            Self::Table(table) => table.get(name).map(OsString::from),
        }
        .filter(|value| !value.is_empty())
    }

    /// The names of all variables that begin so, sorted.
    pub(crate) fn names_beginning_with(&self, prefix: &str) -> Vec<String> {
        let of_process = || env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        let mut names: Vec<String> = match self {
            Self::Process => of_process().collect(),
            Self::Overlaid(own) => own.keys().cloned().chain(of_process()).collect(),
            #[cfg(test)]
            Self::Table(table) => table.keys().map(|name| (*name).to_owned()).collect(),
        };
        names.retain(|name| name.starts_with(prefix));
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The person's own directory.
    pub(crate) fn home(&self) -> Option<PathBuf> {
        self.absolute_path(if cfg!(windows) { "USERPROFILE" } else { "HOME" })
    }

    /// Whether a switch is on: set to anything but the empty text, `0` or `false`.
    pub(crate) fn switch(&self, name: &str) -> bool {
        self.text(name).is_some_and(|value| value != "0" && !value.eq_ignore_ascii_case("false"))
    }
}

#[cfg(test)]
mod tests {
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
