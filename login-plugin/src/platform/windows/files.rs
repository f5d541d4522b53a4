//! Files for one person. What lies in a user's profile inherits that only this user, the system and its administrators may
//! open it; there are no mode bits to set.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::path::Path;

/// A new file; fails where one is already.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// Whether the permissions of a file let somebody run it: here its name decides.
pub(crate) fn may_be_run(metadata: &std::fs::Metadata) -> bool {
    metadata.is_file()
}

/// What replaces a file inherits its directory's owner and rights, as the old one did.
///
/// # Errors
/// None here.
#[expect(clippy::unnecessary_wraps, reason = "the other system's can fail")]
pub(crate) fn keep_owner(_: &File, _: &Metadata) -> io::Result<()> {
    Ok(())
}
