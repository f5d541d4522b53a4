//! A second name for a program.

use std::io;
use std::path::Path;

/// Makes `link` another name of `target`: a symbolic link, so that an upgrade of the program is one of both.
///
/// # Errors
/// When the directory takes none.
pub(crate) fn make(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

/// The command that does the same.
pub(crate) fn by_hand(target: &Path, link: &Path) -> String {
    format!("ln -s {} {}", target.display(), link.display())
}
