//! Where Chromium and its driver are on this machine.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

/// The two programs; a distribution gives both in one version.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) chromium: PathBuf,
    pub(super) chromedriver: PathBuf,
}

impl Programs {
    /// From `PATH`.
    pub(super) fn find() -> Result<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        Self::find_in(&std::env::split_paths(&path).collect::<Vec<_>>())
    }

    fn find_in(folders: &[PathBuf]) -> Result<Self> {
        let find = |program: &str, package: &str| {
            folders.iter().map(|folder| folder.join(program)).find(|path| path.is_file()).with_context(|| {
                format!(
                    "{program} is not on PATH: install the Debian package {package} \
                     (apt-get install chromium chromium-driver) or its like"
                )
            })
        };
        Ok(Self { chromium: find("chromium", "chromium")?, chromedriver: find("chromedriver", "chromium-driver")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::TempFolder;

    #[test]
    fn names_the_debian_package_of_a_missing_program() {
        let folder = TempFolder::new("programs").expect("a folder");
        let folders = [folder.path().to_owned()];
        let error = Programs::find_in(&folders).expect_err("an empty folder").to_string();
        assert!(error.starts_with("chromium is not on PATH: install the Debian package chromium "), "{error}");

        let chromium = folder.write("chromium", "").expect("written");
        let error = Programs::find_in(&folders).expect_err("no driver").to_string();
        assert!(error.contains("the Debian package chromium-driver "), "{error}");

        folder.write("chromedriver", "").expect("written");
        assert_eq!(Programs::find_in(&folders).expect("both").chromium, chromium);
    }
}
