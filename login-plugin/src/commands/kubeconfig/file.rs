//! Writing the kubeconfig: whole or not at all, private, through a symbolic link to what it means, never over a stranger's.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::stanza::MARK;
use crate::failure::{Failure, Status};
use crate::platform::files;

/// Writes the file and returns where it really is.
///
/// # Errors
/// When a file is there that is not ours and `force` is not given, or the directory cannot be written.
pub(super) fn write(path: &Path, yaml: &str, force: bool) -> Result<PathBuf, Failure> {
    let refuse = |error: io::Error| Failure::new(Status::General, format!("cannot write {}: {error}", path.display()));
    // Many people keep their kubeconfig elsewhere and link it: the link stays.
    let target = match fs::canonicalize(path) {
        Ok(target) => target,
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(refuse(error)),
    };
    if !force && target.exists() && !is_ours(&target) {
        return Err(Failure::new(
            Status::Usage,
            format!("{} exists and was not written by this command", target.display()),
        )
        .hint("choose another file, or replace it with --force"));
    }
    let directory = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(directory).map_err(refuse)?;
    let mut name = [0; 8];
    aws_lc_rs::rand::fill(&mut name).expect("the operating system gives random bytes");
    let temporary = directory.join(format!(".latchkey-{:016x}", u64::from_be_bytes(name)));
    let written = files::create_private(&temporary)
        .and_then(|mut file| file.write_all(yaml.as_bytes()))
        .and_then(|()| fs::rename(&temporary, &target));
    written.map_err(|error| {
        let _best_effort = fs::remove_file(&temporary);
        refuse(error)
    })?;
    Ok(target)
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

    #[test]
    fn ours_is_replaced_a_strangers_is_not() {
        let place = test_directory();
        let path = place.path().join("new/config.yaml");
        let ours = format!("{MARK} x\nkind: Config\n");
        write(&path, &ours, false).unwrap();
        write(&path, &ours, false).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
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
        fs::write(&target, format!("{MARK}\n")).unwrap();
        symlink(&target, &link).unwrap();
        write(&link, &format!("{MARK} new\n"), false).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(fs::read_to_string(&target).unwrap().contains("new"));
    }
}
