//! Which files of a cluster's folder are read, and how much of them.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Folders within a folder: no repository is deeper, and a link that leads back ends here.
const DEPTH_MAX: usize = 16;

/// Files and folders of one cluster. A repository of everything that a cluster runs has a few thousand; a dozen links that
/// each lead to the next folder by three ways make half a million of it.
const FILES_MAX: usize = 10_000;

/// As for a kubeconfig; all CRDs of a large operator together have a few MiB.
const FILE_MAX_BYTES: u64 = 16 * MIB;

/// All files of one cluster together, with what kustomizations make of them; in memory they are several times that. Ten
/// thousand files of a usual size are half of it.
const TOTAL_MAX_BYTES: u64 = 64 * MIB;

const MIB: u64 = 1024 * 1024;

/// By these names kustomize finds its file.
const KUSTOMIZATIONS: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// The files of one cluster, in the order of their names.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// What is applied as it is.
    pub(super) manifests: Vec<PathBuf>,
    /// Folders with a kustomization.
    pub(super) kustomizations: Vec<PathBuf>,
}

/// What may still be read for one cluster.
#[derive(Debug)]
pub(super) struct Budget {
    files: usize,
    bytes: u64,
}

/// The folders in a folder, but for hidden ones.
pub(super) fn folders(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if !is_hidden && fs::metadata(entry.path()).is_ok_and(|kind| kind.is_dir()) {
            found.push(entry.path());
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The file of a folder's kustomization, if it has one.
pub(super) fn kustomization(folder: &Path) -> Option<PathBuf> {
    KUSTOMIZATIONS.iter().map(|name| folder.join(name)).find(|path| path.is_file())
}

impl Files {
    /// All files of a cluster.
    ///
    /// # Errors
    /// In words, when a folder cannot be read, or there is more than anybody has.
    pub(super) fn of(folder: &Path, budget: &mut Budget) -> Result<Self, String> {
        let mut files = Self::default();
        files.find(folder, false, 0, budget)?;
        Ok(files)
    }

    /// What a kustomization makes is what the cluster gets: beside one only other kustomizations count, which something else
    /// may apply. Those on top come first.
    fn find(&mut self, folder: &Path, is_rendered: bool, depth: usize, budget: &mut Budget) -> Result<(), String> {
        if depth > DEPTH_MAX {
            return Err(format!("{} lies deeper than {DEPTH_MAX} folders", folder.display()));
        }
        let kustomization = kustomization(folder);
        let is_rendered = is_rendered || kustomization.is_some();
        let unreadable = |error: io::Error| format!("cannot read {}: {error}", folder.display());
        if let Some(path) = kustomization {
            // A component is a part of others, and nothing by itself.
            if !budget.read(&path)?.lines().any(|line| line.trim_end() == "kind: Component") {
                self.kustomizations.push(folder.to_owned());
            }
        }
        for entry in fs::read_dir(folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let ends = |end: &OsStr| ["yaml", "yml", "json"].iter().any(|known| end == *known);
            if !is_rendered && path.extension().is_some_and(ends) && path.is_file() {
                budget.count()?;
                self.manifests.push(path);
            }
        }
        self.manifests.sort_unstable();
        for folder in folders(folder).map_err(unreadable)? {
            budget.count()?;
            self.find(&folder, is_rendered, depth + 1, budget)?;
        }
        Ok(())
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self { files: FILES_MAX, bytes: TOTAL_MAX_BYTES }
    }
}

impl Budget {
    /// One file or folder more.
    ///
    /// # Errors
    /// In words, when there are too many.
    pub(super) fn count(&mut self) -> Result<(), String> {
        self.files = self.files.checked_sub(1).ok_or_else(|| format!("more than {FILES_MAX} files and folders"))?;
        Ok(())
    }

    /// So much text more.
    ///
    /// # Errors
    /// In words, when it is too much.
    pub(super) fn spend(&mut self, bytes: usize) -> Result<(), String> {
        let left = self.bytes.checked_sub(bytes as u64);
        self.bytes = left.ok_or_else(|| format!("more than {} MiB of manifests", TOTAL_MAX_BYTES / MIB))?;
        Ok(())
    }

    /// The text of a file.
    ///
    /// # Errors
    /// In words, when it cannot be read, is no text, or is too much.
    pub(super) fn read(&mut self, path: &Path) -> Result<String, String> {
        let mut text = String::new();
        let read = fs::File::open(path).and_then(|file| file.take(FILE_MAX_BYTES + 1).read_to_string(&mut text));
        let length = read.map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        if length as u64 > FILE_MAX_BYTES {
            return Err(format!("cannot read {}: larger than {} MiB", path.display(), FILE_MAX_BYTES / MIB));
        }
        self.spend(length)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::test_directory;

    #[test]
    fn what_is_read_of_one_cluster_has_an_end() {
        let place = test_directory();
        fs::create_dir_all(place.path().join("a/b")).unwrap();
        for name in ["1.yaml", "a/2.json", "a/b/3.yml", "words.md"] {
            fs::write(place.path().join(name), "kind: A\n").unwrap();
        }
        let find = |files, bytes| Files::of(place.path(), &mut Budget { files, bytes });
        assert_eq!(find(5, 0).unwrap().manifests.len(), 3, "in two folders");
        assert_eq!(find(4, 0).unwrap_err(), "more than 10000 files and folders");

        let mut budget = Budget { files: 3, bytes: 16 };
        let manifest = place.path().join("1.yaml");
        assert_eq!(budget.read(&manifest).unwrap(), budget.read(&manifest).unwrap());
        assert_eq!(budget.read(&manifest).unwrap_err(), "more than 64 MiB of manifests");

        // A kustomization is read while it is found, and counts too.
        fs::write(place.path().join("a/kustomization.yaml"), "resources: [2.json]").unwrap();
        assert_eq!(find(3, 18).unwrap_err(), "more than 64 MiB of manifests");
        assert_eq!(find(3, 19).unwrap().kustomizations.len(), 1);
    }

    #[test]
    fn one_file_has_an_end_too() {
        let place = test_directory();
        let path = place.path().join("large.yaml");
        // Nothing is written for it: it is a hole.
        fs::File::create(&path).unwrap().set_len(FILE_MAX_BYTES + 1).unwrap();
        let words = Budget::default().read(&path).unwrap_err();
        assert!(words.ends_with("large.yaml: larger than 16 MiB"), "{words}");
        fs::File::create(&path).unwrap().set_len(FILE_MAX_BYTES).unwrap();
        assert_eq!(Budget::default().read(&path).unwrap().len() as u64, FILE_MAX_BYTES);
    }

    #[cfg(unix)]
    #[test]
    fn links_that_multiply_folders_end() {
        let place = test_directory();
        let level = |number: usize| place.path().join(number.to_string());
        for number in 0..12 {
            fs::create_dir_all(level(number)).unwrap();
            for name in ["a", "b", "c"] {
                std::os::unix::fs::symlink(level(number + 1), level(number).join(name)).unwrap();
            }
        }
        fs::create_dir(level(12)).unwrap();
        let words = Files::of(&level(0), &mut Budget::default()).unwrap_err();
        assert_eq!(words, "more than 10000 files and folders", "there are half a million ways");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_leads_back_ends() {
        let place = test_directory();
        std::os::unix::fs::symlink(place.path(), place.path().join("back")).unwrap();
        let words = Files::of(place.path(), &mut Budget::default()).unwrap_err();
        assert!(words.ends_with("lies deeper than 16 folders"), "{words}");
    }
}
