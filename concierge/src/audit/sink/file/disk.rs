//! The three calls that a full, broken or vanished disk makes fail, so that tests can make them fail.

use std::{
    fs::File,
    io::{self, Write as _},
};

/// What a segment does to its file.
pub(in crate::audit::sink) trait Disk: Send + 'static {
    /// One write at the end; may take less than all.
    fn append(&mut self, file: &File, text: &[u8]) -> io::Result<usize>;

    /// Makes the contents outlast a power cut (`fdatasync`: the length counts among them).
    fn sync(&mut self, file: &File) -> io::Result<()>;

    /// Cuts back to `length`.
    fn truncate(&mut self, file: &File, length: u64) -> io::Result<()>;
}

/// The one that is there.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::audit::sink) struct RealDisk;

impl Disk for RealDisk {
    fn append(&mut self, mut file: &File, text: &[u8]) -> io::Result<usize> {
        file.write(text)
    }

    fn sync(&mut self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn truncate(&mut self, file: &File, length: u64) -> io::Result<()> {
        file.set_len(length)
    }
}
