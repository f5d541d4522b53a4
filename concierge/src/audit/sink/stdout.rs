//! Lines into a descriptor that only takes: standard output, or a file that is no regular one.
//!
//! What went into a pipe cannot be taken back. So once the first byte of a batch is out this does not return before the
//! last one is, however often it fails in between: a reader sees every line whole, and each once. Only where nobody reads
//! any more the batch has failed: whoever opens a named pipe after that is another reader.

use std::{
    fs::File,
    io::{self, Write as _},
    os::fd::AsFd as _,
    sync::Arc,
    thread,
    time::Duration,
};

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::output::{Batch, Output};

/// What a pipe that says it can be written to takes without blocking: `PIPE_BUF` of pipe(7).
const UNBLOCKED: usize = 4_096;

/// Between two tries to finish a batch.
const PAUSE: Duration = Duration::from_millis(100);

/// A descriptor that only takes.
#[derive(Debug)]
pub(super) struct Stream {
    descriptor: Arc<File>,
    /// The last byte out is none that ends a line.
    is_torn: bool,
}

impl Stream {
    /// The process's standard output: the descriptor itself, so that no lock is shared with anything else that prints and
    /// no buffer holds a line back.
    pub(super) fn stdout() -> io::Result<Self> {
        Ok(Self::new(io::stdout().as_fd().try_clone_to_owned()?.into()))
    }

    pub(super) fn new(descriptor: File) -> Self {
        Self { descriptor: Arc::new(descriptor), is_torn: false }
    }
}

impl Output for Stream {
    async fn write(&mut self, batch: &Batch, _sync: bool) -> io::Result<()> {
        let mut written = 0;
        if !self.is_torn && batch.text().len() <= UNBLOCKED && is_ready(&self.descriptor, Duration::ZERO) {
            // One record at a time is the usual case, and two changes of thread would cost more than writing it.
            written = write_some(&self.descriptor, batch.text())?;
            if written == batch.text().len() {
                return Ok(());
            }
        }
        let (descriptor, text) = (Arc::clone(&self.descriptor), batch.text().clone());
        let mut is_torn = self.is_torn;
        let writing = tokio::task::spawn_blocking(move || {
            if is_torn && let Err(error) = write_some(&descriptor, b"\n") {
                return (Err(error), is_torn);
            }
            let outcome = write_all(&descriptor, &text, &mut written);
            is_torn = text[..written].last().is_some_and(|last| *last != b'\n');
            (outcome, is_torn)
        });
        let (outcome, is_torn) = writing.await.map_err(io::Error::other)?;
        self.is_torn = is_torn;
        outcome
    }
}

/// Writes from `written` on; fails only as long as nothing is out, or when nobody is left to read the rest.
fn write_all(descriptor: &File, text: &Bytes, written: &mut usize) -> io::Result<()> {
    while *written < text.len() {
        match write_some(descriptor, &text[*written..]) {
            Ok(count) => *written += count,
            Err(error) if *written == 0 || error.kind() == io::ErrorKind::BrokenPipe => return Err(error),
            Err(_) => thread::sleep(PAUSE),
        }
    }
    Ok(())
}

/// One write. Where a descriptor that does not block is full, that of whoever started us, this waits until it is not.
fn write_some(mut descriptor: &File, text: &[u8]) -> io::Result<usize> {
    loop {
        match descriptor.write(text) {
            Ok(0) if !text.is_empty() => return Err(io::ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                is_ready(descriptor, Duration::from_secs(1));
            }
            outcome => return outcome,
        }
    }
}

fn is_ready(descriptor: &File, patience: Duration) -> bool {
    let patience = Timespec::try_from(patience).ok();
    let mut polled = [PollFd::new(&descriptor, PollFlags::OUT)];
    matches!(poll(&mut polled, patience.as_ref()), Ok(1)) && polled[0].revents().contains(PollFlags::OUT)
}

#[cfg(test)]
mod tests {
    use std::{io::Read as _, os::fd::OwnedFd};

    use super::*;
    use crate::audit::{
        chain::{Chain, Identity},
        event::{Kind, Severity},
        sink::output::Draft,
    };

    fn batch(lines: usize) -> Batch {
        let identity = Identity { cluster: "staging".into(), replica: "one".into(), life: 1 };
        let body = [b'"'; 700];
        let draft = |seq| Draft { seq, kind: Kind::TokenRefused, severity: Severity::Info, body: &body };
        Batch::compose(&mut Chain::new(&identity, None), (0..lines as u64).map(draft))
    }

    fn pipe() -> (File, File) {
        let (reader, writer) = io::pipe().unwrap();
        (OwnedFd::from(reader).into(), OwnedFd::from(writer).into())
    }

    #[tokio::test]
    async fn what_is_larger_than_the_pipe_comes_through_whole() {
        for lines in [1, 3, 1_000] {
            let (mut reader, writer) = pipe();
            let (mut stream, batch) = (Stream::new(writer), batch(lines));
            let text = batch.text().clone();
            let reading = thread::spawn(move || {
                let mut read = Vec::new();
                reader.read_to_end(&mut read).unwrap();
                read
            });
            stream.write(&batch, true).await.unwrap();
            drop(stream);
            assert!(reading.join().unwrap() == text);
        }
    }

    #[tokio::test]
    async fn a_reader_that_is_gone_and_a_full_disk_are_failures() {
        let (reader, writer) = pipe();
        drop(reader);
        let error = Stream::new(writer).write(&batch(1), false).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        let full = File::options().write(true).open("/dev/full").unwrap();
        let error = Stream::new(full).write(&batch(1), false).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn a_reader_that_goes_in_the_middle_of_a_batch_is_not_waited_for() {
        let (mut reader, writer) = pipe();
        let text = batch(1_000).text().clone();
        let (ended, end) = std::sync::mpsc::channel();
        thread::spawn(move || {
            let mut written = 0;
            let outcome = write_all(&writer, &text, &mut written);
            ended.send((outcome, written)).unwrap();
        });
        reader.read_exact(&mut [0; 10_000]).unwrap();
        drop(reader);
        let (outcome, written) = end.recv_timeout(Duration::from_mins(1)).expect("it gives up");
        assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert!(written >= 10_000, "{written}");
    }

    #[tokio::test]
    async fn the_next_reader_of_a_named_pipe_gets_whole_lines() {
        let path = std::env::temp_dir().join(format!("latchkey-pipe-{}", uuid::Uuid::new_v4()));
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        let first = File::options().read(true).write(true).open(&path).unwrap();
        let mut stream = Stream::new(File::options().write(true).open(&path).unwrap());
        let large = batch(1_000);
        let writing = tokio::spawn(async move {
            let outcome = stream.write(&large, false).await;
            (stream, outcome)
        });
        let reading = tokio::task::spawn_blocking(move || (&first).read_exact(&mut [0; 10_000]));
        reading.await.unwrap().unwrap();
        let (mut stream, outcome) = writing.await.unwrap();
        assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::BrokenPipe);

        let second = File::options().read(true).write(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        rustix::fs::fcntl_setfl(&second, rustix::fs::OFlags::NONBLOCK).unwrap();
        let small = batch(1);
        let mut left = Vec::new();
        // What the first one left in the pipe.
        let _ = (&second).read_to_end(&mut left);
        stream.write(&small, false).await.unwrap();
        let _ = (&second).read_to_end(&mut left);
        let lines: Vec<_> = left.split(|byte| *byte == b'\n').collect();
        assert_eq!(lines[lines.len() - 2], small.text().strip_suffix(b"\n").unwrap());
    }

    #[tokio::test]
    async fn a_full_pipe_of_somebody_who_does_not_block_is_waited_for() {
        let (mut reader, writer) = pipe();
        rustix::fs::fcntl_setfl(&writer, rustix::fs::OFlags::NONBLOCK).unwrap();
        let (mut stream, batch) = (Stream::new(writer), batch(300));
        let size = batch.text().len();
        let writing = tokio::spawn(async move { stream.write(&batch, false).await });
        let read = tokio::task::spawn_blocking(move || {
            let mut read = vec![0; size];
            reader.read_exact(&mut read).map(|()| read)
        });
        assert_eq!(read.await.unwrap().unwrap().last(), Some(&b'\n'));
        writing.await.unwrap().unwrap();
    }
}
