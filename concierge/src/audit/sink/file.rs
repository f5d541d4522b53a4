//! The log in a file: one writer, appended to, cut back when a batch fails, rotated, compressed and in the end deleted.
//!
//! Everything here waits for the disk, so all of it runs on threads that may wait; the sink's task only hands over. A life
//! begins a file of its own: what an earlier one left, torn tail and all, is moved away whole before the first line.

mod archive;
mod disk;
mod names;
mod reading;
mod retention;
mod segment;

use std::{io, path::PathBuf, sync::Arc, time::Duration};

pub(super) use self::segment::Predecessor;
use self::{
    archive::Archive,
    disk::{Disk, RealDisk},
    segment::{Segment, Whereabouts},
};
use super::output::{Batch, Output};
use crate::{
    audit::{chain::Identity, event::Gap},
    time::Clock,
};

/// How a file is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSettings {
    /// Where the lines of this life go.
    pub path: PathBuf,
    /// Size in bytes at which the file is closed and moved away.
    pub rotate_bytes: u64,
    /// Age at which it is.
    pub rotate_age: Duration,
    /// How long what was moved away is kept.
    pub keep: Keep,
}

/// How much is kept of what was moved away; what exceeds any of the limits goes, the oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Most files; `None`: any number.
    pub files: Option<usize>,
    /// Greatest age since a file was closed; `None`: any.
    pub age: Option<Duration>,
    /// Most bytes in all, as they lie on the disk.
    pub bytes: u64,
}

/// The file sink's output.
pub(super) struct FileOutput<D = RealDisk> {
    /// Absent only while a thread works on it.
    segment: Option<Segment<D>>,
    archive: Archive,
    settings: FileSettings,
}

// === impl FileSettings ===

impl FileSettings {
    /// This file, kept as is usual (audit.md 7).
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self {
            path,
            rotate_bytes: 100 << 20,
            rotate_age: Duration::from_hours(24),
            keep: Keep { files: None, age: None, bytes: 10 << 30 },
        }
    }
}

// === impl FileOutput ===

impl FileOutput {
    /// Takes the file for this process alone, moves away what another life left there, and begins anew.
    ///
    /// # Errors
    /// When another process writes there, or the file cannot be made.
    pub(super) async fn open(
        settings: FileSettings,
        identity: &Identity,
        clock: Arc<dyn Clock>,
    ) -> io::Result<(Self, Predecessor)> {
        Self::open_on(settings, identity, clock, RealDisk).await
    }

    /// The latest life that wrote what lies there; `None` if nothing does.
    ///
    /// # Errors
    /// When the folder or the file cannot be read.
    pub(super) async fn last_life(settings: &FileSettings) -> io::Result<Option<u64>> {
        let path = settings.path.clone();
        tokio::task::spawn_blocking(move || segment::last_life(&path)).await.map_err(io::Error::other)?
    }
}

impl<D: Disk> FileOutput<D> {
    async fn open_on(
        settings: FileSettings,
        identity: &Identity,
        clock: Arc<dyn Clock>,
        disk: D,
    ) -> io::Result<(Self, Predecessor)> {
        let (path, identity, for_archive) = (settings.path.clone(), identity.clone(), Arc::clone(&clock));
        let opened = tokio::task::spawn_blocking(move || Segment::open(&path, &identity, clock, disk)).await;
        let (segment, predecessor) = opened.map_err(io::Error::other)??;
        let archive = Archive::start(segment.naming().clone(), segment.lock(), settings.keep, for_archive)?;
        Ok((Self { segment: Some(segment), archive, settings }, predecessor))
    }

    async fn work<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Segment<D>) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let mut segment = self.segment.take().ok_or_else(|| io::Error::other("the thread that wrote has panicked"))?;
        let done = tokio::task::spawn_blocking(move || {
            let outcome = work(&mut segment);
            (segment, outcome)
        });
        let (segment, outcome) = done.await.map_err(io::Error::other)?;
        self.segment = Some(segment);
        outcome
    }
}

impl<D: Disk> Output for FileOutput<D> {
    async fn write(&mut self, batch: &Batch, sync: bool) -> io::Result<()> {
        let batch = batch.clone();
        let whereabouts = self.work(move |segment| segment.write(&batch, sync)).await?;
        if whereabouts == Whereabouts::New {
            self.archive.look();
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        let Self { segment, settings, .. } = self;
        segment.as_ref().is_some_and(|segment| {
            segment.bytes() >= settings.rotate_bytes || segment.bytes() > 0 && segment.age() >= settings.rotate_age
        })
    }

    async fn rotate(&mut self) -> io::Result<()> {
        self.work(Segment::rotate).await?;
        self.archive.look();
        Ok(())
    }

    fn gaps(&mut self) -> Vec<Gap> {
        let lost = self.segment.as_mut().map(Segment::lost).unwrap_or_default();
        lost.iter().cloned().chain(self.archive.gaps()).collect()
    }

    fn gaps_written(&mut self) {
        if let Some(segment) = &mut self.segment {
            segment.told();
        }
        self.archive.gaps_written();
    }
}

#[cfg(test)]
mod tests;
