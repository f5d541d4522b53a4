//! A second name for a program.

use std::io;
use std::path::Path;

/// Makes `link` another name of `target`: a hard link, since symbolic ones need a right that few people have.
///
/// # Errors
/// When the directory takes none, or is on another volume.
pub(crate) fn make(target: &Path, link: &Path) -> io::Result<()> {
    std::fs::hard_link(target, link)
}

/// The command that does the same.
pub(crate) fn by_hand(target: &Path, link: &Path) -> String {
    format!("mklink /H \"{}\" \"{}\"", link.display(), target.display())
}
