//! A temporary folder that goes away with its owner, unless somebody wants to look into it.

use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

/// Set to anything but `0` or nothing, it keeps the folders of tests for a look afterwards.
pub const KEEP: &str = "LATCHKEY_KEEP";

/// A folder of mode 0700 under the system's temporary folder, removed on drop unless [`KEEP`] is set.
#[derive(Debug)]
pub struct TempFolder {
    path: PathBuf,
}

impl TempFolder {
    /// Makes `latchkey-<name>-<random>`.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn new(name: &str) -> Result<Self> {
        let random = uuid::Uuid::new_v4().simple().to_string();
        let path = std::env::temp_dir().join(format!("latchkey-{name}-{}", &random[..12]));
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("making the temporary folder {}", path.display()))?;
        Ok(Self { path })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file by a temporary name and a rename, so that no reader (kube-apiserver watches some of these) sees half of it.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.path.join(name);
        let file = path.file_name().unwrap_or_default().display();
        // Beside it: `name` may stand in a folder of this one.
        let half = path.with_file_name(format!(".{file}.{}", uuid::Uuid::new_v4().simple()));
        fs::write(&half, content)
            .and_then(|()| fs::rename(&half, &path))
            .with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        if std::env::var(KEEP).is_ok_and(|value| !value.is_empty() && value != "0") {
            eprintln!("{KEEP} is set: left {}", self.path.display());
        } else {
            // Nothing useful can be done about a failure here; the system cleans its temporary folder.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
