//! Writing a kubeconfig: whole or not at all, private, through a symbolic link to what it means, never over a stranger's.

use std::fs::{self, File, Metadata};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Status};
use crate::platform::files;

/// The first line of every file of ours, by which we know that we may replace it.
pub(super) const MARK: &str = "# Written by `kubectl latchkey kubeconfig`.";

/// Writes a file that is wholly ours. Says whether that changed anything, and where it really is.
///
/// # Errors
/// When a file is there that is not ours and `force` is not given, or the directory cannot be written.
pub(super) fn write(path: &Path, yaml: &str, force: bool) -> Result<(PathBuf, bool), Failure> {
    let target = resolved(path)?;
    if !force && target.exists() && !is_ours(&target) {
        return Err(Failure::new(
            Status::Usage,
            format!("{} exists and was not written by this command", target.display()),
        )
        .hint("choose another file, add to this one with --merge, or replace it with --force"));
    }
    if fs::read(&target).is_ok_and(|old| old == yaml.as_bytes()) {
        return Ok((target, false));
    }
    atomically(&target, yaml, None, || true).map_err(|error| refuse(path, &error))?;
    Ok((target, true))
}

/// Replaces the text of the reader's own file, or makes it. Mode and owner stay; so does a symbolic link to it. Not done, and
/// false, if the file no longer says `before`: kubectx and editors write without kubectl's lock.
///
/// # Errors
/// When the file or its directory may not be written. The old text is still there then.
pub(super) fn replace(path: &Path, text: &str, before: Option<&str>) -> Result<bool, Failure> {
    let target = resolved(path)?;
    let old = match fs::metadata(&target) {
        Ok(old) => Some(old),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(refuse(path, &error)),
    };
    // A rename would replace it all the same: it asks for the directory's permission only.
    if old.as_ref().is_some_and(|old| old.permissions().readonly()) {
        return Err(refuse(path, &"it is read-only")
            .hint(format!("chmod u+w {}, or name another file with --output FILE", target.display())));
    }
    if old.is_some() {
        File::options().append(true).open(&target).map_err(|error| refuse(path, &error))?;
    }
    let is_as_before = || fs::read(&target).ok().as_deref() == before.map(str::as_bytes);
    atomically(&target, text, old.as_ref(), is_as_before).map_err(|error| refuse(path, &error))
}

/// Many people keep their kubeconfig elsewhere and link it: the link stays. It may also lead to a file that is not there yet.
fn resolved(path: &Path) -> Result<PathBuf, Failure> {
    match fs::canonicalize(path) {
        // A rename onto a device or a pipe would put a file in its place: for root, /dev/null would be gone.
        Ok(target) if fs::metadata(&target).is_ok_and(|target| !target.is_file()) => {
            Err(refuse(path, &"it is not a plain file").hint("leave --output out to print it, or name a file"))
        }
        Ok(target) => Ok(target),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(match fs::read_link(path) {
            Ok(target) => path.parent().unwrap_or(Path::new("")).join(target),
            Err(_) => path.to_owned(),
        }),
        Err(error) => Err(refuse(path, &error)),
    }
}

/// The old text or the new one is there at any moment, and after a power cut too. `may` is asked at the last moment.
fn atomically(target: &Path, text: &str, old: Option<&Metadata>, may: impl FnOnce() -> bool) -> io::Result<bool> {
    let directory = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let mut name = [0; 8];
    aws_lc_rs::rand::fill(&mut name).expect("the operating system gives random bytes");
    let temporary = directory.join(format!(".latchkey-{:016x}", u64::from_be_bytes(name)));
    let written = files::create_private(&temporary).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        if let Some(old) = old {
            files::keep_owner(&file, old)?;
            file.set_permissions(old.permissions())?;
        }
        file.sync_all()?;
        let may = may();
        if may {
            fs::rename(&temporary, target)?;
        }
        Ok(may)
    });
    if !matches!(written, Ok(true)) {
        let _best_effort = fs::remove_file(&temporary);
    }
    written
}

fn refuse(path: &Path, why: &dyn std::fmt::Display) -> Failure {
    Failure::new(Status::General, format!("cannot write {}: {why}", path.display())).hint("nothing was changed")
}

fn is_ours(path: &Path) -> bool {
    let mut line = String::new();
    File::open(path)
        .and_then(|file| BufReader::new(file.take(MARK.len() as u64 + 64)).read_line(&mut line))
        .is_ok_and(|_| line.starts_with(MARK))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;
    use crate::cache::test_directory;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_device_stays_one_even_for_root() {
        for write in [|path: &Path| write(path, "x", true).map(drop), |path: &Path| replace(path, "x", None).map(drop)]
        {
            let refusal = write(Path::new("/dev/null")).unwrap_err();
            assert!(refusal.message.contains("not a plain file"), "{refusal}");
        }
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    #[test]
    fn ours_is_replaced_a_strangers_is_not() {
        let place = test_directory();
        let path = place.path().join("new/config.yaml");
        let ours = format!("{MARK} x\nkind: Config\n");
        assert!(write(&path, &ours, false).unwrap().1);
        assert!(!write(&path, &ours, false).unwrap().1, "it says so already");
        assert_eq!(mode(&path), 0o600);
        fs::write(&path, "kind: Config\n").unwrap();
        assert_eq!(write(&path, &ours, false).unwrap_err().status, Status::Usage);
        assert_eq!(fs::read_to_string(&path).unwrap(), "kind: Config\n");
        write(&path, &ours, true).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), ours);
        assert_eq!(fs::read_dir(place.path().join("new")).unwrap().count(), 1);
    }

    #[test]
    fn a_symbolic_link_stays_one() {
        let place = test_directory();
        let target = place.path().join("real.yaml");
        let link = place.path().join("link.yaml");
        symlink("real.yaml", &link).unwrap();
        for text in [format!("{MARK}\n"), format!("{MARK} new\n")] {
            write(&link, &text, false).unwrap();
            assert_eq!(fs::read_to_string(&target).unwrap(), text);
        }
        assert!(replace(&link, "x", Some(&format!("{MARK} new\n"))).unwrap());
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&target).unwrap(), "x");
    }

    #[test]
    fn the_readers_file_keeps_its_mode_and_a_read_only_one_its_text() {
        let place = test_directory();
        let path = place.path().join("config");
        assert!(replace(&path, "one", None).unwrap());
        assert_eq!(mode(&path), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(replace(&path, "two", Some("one")).unwrap());
        assert_eq!((mode(&path), fs::read_to_string(&path).unwrap().as_str()), (0o640, "two"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        let failure = replace(&path, "three", Some("two")).unwrap_err();
        assert!(failure.message.contains("read-only"), "{failure}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_somebody_else_wrote_meanwhile_stays() {
        let place = test_directory();
        let path = place.path().join("config");
        fs::write(&path, "theirs").unwrap();
        for before in [Some("read earlier"), None] {
            assert!(!replace(&path, "ours", before).unwrap());
            assert_eq!(fs::read_to_string(&path).unwrap(), "theirs");
        }
        fs::remove_file(&path).unwrap();
        assert!(!replace(&path, "ours", Some("theirs")).unwrap(), "removed meanwhile");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }
}
