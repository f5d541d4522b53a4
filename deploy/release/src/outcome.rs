//! What the commands leave behind: files, and a line on standard output for each that matters.

use std::{fs, io, path::Path};

use anyhow::{Context as _, Result};

use crate::layer::Files;

/// Writes a file under another name first, so that whoever reads it never sees half of it.
///
/// # Errors
/// If it cannot be written.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().context("a file is in a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let half = path.with_added_extension("half");
    fs::write(&half, bytes).with_context(|| format!("writing {}", half.display()))?;
    fs::rename(&half, path).with_context(|| format!("renaming {}", half.display()))
}

/// Writes files into a folder in place of whatever was there.
///
/// # Errors
/// If one of them cannot be written.
pub fn write_tree(folder: &Path, files: &Files) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    for (path, file) in files {
        let path = folder.join(path);
        write(&path, &file.contents)?;
        if file.executable {
            executable(&path).with_context(|| format!("making {} a program", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(unix)]
fn executable(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn executable(_: &Path) -> io::Result<()> {
    Ok(())
}

/// A line for people and programs: what it is for, its digest, where it is. Blanks can be in the last column only.
#[expect(clippy::print_stdout, reason = "this is the commands' answer")]
pub fn say(subject: &str, digest: &str, path: &Path) {
    println!("{subject} {digest} {}", path.display());
}
