//! What the commands leave behind: files, and a line on standard output for each that matters.

use std::{
    fs::{self, TryLockError},
    io,
    path::Path,
};

use anyhow::{Context as _, Result};

use crate::layer::Files;

/// Keeps all others who ask for the same folder waiting until the file is dropped, also when this program is killed: two
/// commands at a time would take each other's half-written files away.
///
/// # Errors
/// If the folder cannot be made or locked.
pub fn lock(folder: &Path) -> Result<fs::File> {
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let path = folder.join(".lock");
    let file = fs::File::create(&path).with_context(|| format!("making {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => eprintln!("waiting for another command that writes to {}", folder.display()),
        Err(TryLockError::Error(error)) => return Err(error).with_context(|| format!("locking {}", path.display())),
    }
    file.lock().with_context(|| format!("locking {}", path.display()))?;
    Ok(file)
}

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

#[cfg(test)]
mod tests {
    use std::{env, process, sync::mpsc, thread};

    use super::*;

    #[test]
    fn a_second_command_waits_for_the_first() -> Result<()> {
        let folder = env::temp_dir().join(format!("latchkey-lock-{}", process::id()));
        let first = lock(&folder)?;
        let (said, heard) = mpsc::channel();
        let second = thread::spawn({
            let (folder, said) = (folder.clone(), said.clone());
            move || -> Result<()> {
                let _lock = lock(&folder)?;
                said.send("second").context("the test has gone")
            }
        });
        said.send("first")?;
        drop(first);
        second.join().map_err(|_| anyhow::anyhow!("the second has panicked"))??;
        drop(said);
        assert_eq!(heard.iter().collect::<Vec<_>>(), ["first", "second"]);
        fs::remove_dir_all(folder).context("tidying up")
    }
}
