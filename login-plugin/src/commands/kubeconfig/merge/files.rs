//! Which files make up the reader's kubeconfig, in kubectl's order, and which of them kubectl would write to.

use std::collections::BTreeSet;
use std::env;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde_norway::Value;

use super::super::entries::{self, Kind};
use crate::environment::Environment;
use crate::failure::{Failure, Status};

/// Kubeconfigs of fleets with embedded certificates have a megabyte or two.
const FILE_MAX_BYTES: u64 = 16 * 1024 * 1024;

/// The files, the first of which that defines a name wins (client-go's loading rules).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Files {
    pub(super) paths: Vec<PathBuf>,
}

/// One file as it is now.
#[derive(Clone, Debug)]
pub(super) struct Document {
    pub(super) path: PathBuf,
    /// None: there is no such file yet.
    pub(super) text: Option<String>,
    /// What it says; null if it says nothing.
    pub(super) value: Value,
}

impl Files {
    /// One file, named by the person.
    pub(in super::super) fn only(path: &Path) -> Self {
        Self { paths: vec![path.to_owned()] }
    }

    /// `--kubeconfig`, else the list in `KUBECONFIG` without empty and repeated items, else `~/.kube/config`.
    ///
    /// # Errors
    /// When nobody says where the home directory is.
    pub(in super::super) fn of_reader(explicit: Option<&Path>, environment: &Environment) -> Result<Self, Failure> {
        if let Some(path) = explicit {
            return Ok(Self::only(path));
        }
        let mut seen = BTreeSet::new();
        let listed = environment.text("KUBECONFIG").unwrap_or_default();
        let paths: Vec<PathBuf> = env::split_paths(&listed)
            .filter(|path| !path.as_os_str().is_empty() && seen.insert(path.clone()))
            .collect();
        if !paths.is_empty() {
            return Ok(Self { paths });
        }
        Ok(Self::only(&home(environment)?.join(".kube/config")))
    }

    /// Where kubectl would put a new entry: the first file that exists, else the last of the list.
    pub(in super::super) fn target(&self) -> &Path {
        let existing = self.paths.iter().find(|path| path.exists());
        existing.or(self.paths.last()).expect("there is always a path")
    }

    /// The files in their order.
    pub(in super::super) fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Reads them all.
    ///
    /// # Errors
    /// When one cannot be read or is no kubeconfig: nothing is built on what is not understood.
    pub(super) fn read(&self) -> Result<Vec<Document>, Failure> {
        self.paths.iter().map(|path| Document::read(path)).collect()
    }
}

/// The home directory, as kubectl takes it.
///
/// # Errors
/// When no variable says it.
pub(in super::super) fn home(environment: &Environment) -> Result<PathBuf, Failure> {
    ["HOME", "USERPROFILE"].into_iter().find_map(|variable| environment.absolute_path(variable)).ok_or_else(|| {
        Failure::new(Status::Usage, "HOME is not set, so there is no ~/.kube").hint("name the file with --output FILE")
    })
}

impl Document {
    fn read(path: &Path) -> Result<Self, Failure> {
        let refuse = |why: &dyn std::fmt::Display| {
            Failure::new(Status::General, format!("cannot read {}: {why}", path.display())).hint("nothing was written")
        };
        let mut text = String::new();
        match File::open(path).and_then(|file| file.take(FILE_MAX_BYTES + 1).read_to_string(&mut text)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { path: path.to_owned(), text: None, value: Value::Null });
            }
            Err(error) => return Err(refuse(&error)),
            Ok(_) if text.len() as u64 > FILE_MAX_BYTES => return Err(refuse(&"it is too large for a kubeconfig")),
            Ok(_) => {}
        }
        // Only the place: words of the parser might quote a secret.
        let value: Value = serde_norway::from_str(&text).map_err(|error| {
            let place = error.location().map(|at| format!(" (line {})", at.line())).unwrap_or_default();
            refuse(&format!("it is not YAML or JSON{place}"))
        })?;
        let document = Self { path: path.to_owned(), text: Some(text), value };
        document.expect_kubeconfig().map_err(|why| refuse(&why))?;
        Ok(document)
    }

    fn expect_kubeconfig(&self) -> Result<(), String> {
        if self.value.is_null() {
            return Ok(());
        }
        let kind = self.value.get("kind").and_then(Value::as_str);
        if !self.value.is_mapping() || kind.is_some_and(|kind| kind != "Config") {
            return Err("it is no kubeconfig".to_owned());
        }
        for list in Kind::ALL {
            if self.value.get(list.list()).is_some_and(|value| !value.is_sequence() && !value.is_null()) {
                return Err(format!("its {} are no list", list.list()));
            }
            let mut names = BTreeSet::new();
            // kubectl refuses such a file too.
            if let Some(twice) =
                entries::items(&self.value, list).iter().filter_map(entries::name).find(|&name| !names.insert(name))
            {
                return Err(format!("it has two {} named {twice:?}", list.list()));
            }
        }
        Ok(())
    }

    /// Place and item of an entry.
    pub(super) fn find(&self, kind: Kind, name: &str) -> Option<(usize, &Value)> {
        entries::items(&self.value, kind).iter().enumerate().find(|(_, item)| entries::name(item) == Some(name))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use super::*;
    use crate::cache::test_directory;

    #[test]
    fn files_are_those_of_kubectl() {
        let files = |explicit: Option<&str>, list: &'static str| {
            let environment = Environment::Table(BTreeMap::from([("HOME", "/h"), ("KUBECONFIG", list)]));
            Files::of_reader(explicit.map(Path::new), &environment).unwrap().paths
        };
        assert_eq!(files(Some("f"), "/a:/b"), [PathBuf::from("f")]);
        assert_eq!(files(None, "/a::/b:/a"), [PathBuf::from("/a"), PathBuf::from("/b")]);
        assert_eq!(files(None, ""), [PathBuf::from("/h/.kube/config")]);
        assert!(Files::of_reader(None, &Environment::Table(BTreeMap::new())).is_err());
    }

    #[test]
    fn new_entries_go_to_the_first_file_that_exists_or_the_last() {
        let place = test_directory();
        let [one, two, three] = ["1", "2", "3"].map(|name| place.path().join(name));
        let files = Files { paths: vec![one, two.clone(), three.clone()] };
        assert_eq!(files.target(), three);
        fs::write(&two, "").unwrap();
        fs::write(&three, "").unwrap();
        assert_eq!(files.target(), two);
    }

    #[test]
    fn what_is_no_kubeconfig_is_refused_without_quoting_it() {
        let place = test_directory();
        let path = place.path().join("config");
        for text in [
            "users:\n- name: a\n  user: {token: SECRET\n",
            "- a\n",
            "kind: Pod\n",
            "users: x\n",
            "users:\n- name: a\n- name: a\n",
            "a: 1\n---\nb: 2\n",
        ] {
            fs::write(&path, text).unwrap();
            let failure = Document::read(&path).unwrap_err();
            assert!(!failure.message.contains("SECRET") && failure.message.contains("config"), "{failure}");
        }
        for text in ["", "# nothing\n", "{}\n", "users: null\n"] {
            fs::write(&path, text).unwrap();
            Document::read(&path).unwrap();
        }
    }
}
