//! Where records go: one writer task, a bounded queue before it, and a count of what found no room.
//!
//! A grant is written before it is answered; a refusal never waits, so that a flood of bad tokens cannot hold up a good
//! one. What is lost is counted, and the log itself says that something is missing.

use std::{
    io,
    os::fd::AsFd as _,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    fs::OpenOptions,
    io::{AsyncWrite, AsyncWriteExt as _},
    sync::{mpsc, oneshot},
};

use super::event::{BySeverity, Event, Gap, GapReason, Privacy, SCHEMA_VERSION, Severity, Started, Totals};
use crate::time::{Clock, UnixTime};

/// Records that may wait for the writer: at 1 KiB each a few MiB, and several seconds of a busy cluster's logins.
const QUEUE: usize = 4_096;

/// How long a grant waits for its record to be written before the exchange is refused.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where the lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Standard output, for a cluster's log collector.
    Stdout,
    /// A file, appended to, readable by its owner only.
    File(PathBuf),
}

/// A handle to the log: cheap to clone.
#[derive(Clone, Debug)]
pub struct AuditLog {
    queue: mpsc::Sender<Entry>,
    lost: Arc<AtomicU64>,
}

/// The writer; [`Sink::run`] is its task.
pub struct Sink {
    queue: mpsc::Receiver<Entry>,
    lost: Arc<AtomicU64>,
    output: Box<dyn AsyncWrite + Send + Unpin>,
    cluster: String,
    replica: String,
    clock: Arc<dyn Clock>,
    /// The number of the last record.
    seq: u64,
    /// Lines of the batch at hand, at most [`QUEUE`] of a few KiB.
    lines: Vec<u8>,
}

/// The record could not be written in time, so what it records must not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit log cannot be written")]
pub struct AuditUnavailable;

#[derive(Debug)]
struct Entry {
    event: Event,
    /// Told once the line is out.
    written: Option<oneshot::Sender<()>>,
}

// === impl AuditLog ===

impl AuditLog {
    /// Records a grant and waits until its line is out.
    ///
    /// # Errors
    ///
    /// [`AuditUnavailable`] when that takes longer than five seconds or the writer is gone: then nothing may be granted.
    pub async fn record(&self, event: Event) -> Result<(), AuditUnavailable> {
        let (written, done) = oneshot::channel();
        let entry = Entry { event, written: Some(written) };
        let recorded = async {
            self.queue.send(entry).await.map_err(|_| AuditUnavailable)?;
            done.await.map_err(|_| AuditUnavailable)
        };
        tokio::time::timeout(PATIENCE, recorded).await.unwrap_or(Err(AuditUnavailable))
    }

    /// Records a refusal without waiting. Where there is no room it is counted, the log will say so, and the answer is
    /// `false`.
    #[must_use = "a record that found no room must be counted"]
    pub fn record_refusal(&self, event: Event) -> bool {
        let queued = self.queue.try_send(Entry { event, written: None }).is_ok();
        if !queued {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        queued
    }

    /// Records what happened to us rather than to a request (a key, an authenticator, a setting) without waiting. Where
    /// there is no room the log itself will say so.
    pub fn notice(&self, event: Event) {
        // A lost one is counted with the refusals, and told by the next `audit.gap`.
        let _counted = self.record_refusal(event);
    }
}

// === impl Sink ===

impl Sink {
    /// Opens the log.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened for appending.
    pub async fn open(
        destination: &Destination,
        cluster: String,
        replica: String,
        clock: Arc<dyn Clock>,
    ) -> io::Result<(AuditLog, Self)> {
        let output: Box<dyn AsyncWrite + Send + Unpin> = match destination {
            Destination::Stdout => {
                // The descriptor itself: no lock is shared with anything else that prints, and no line is split.
                let descriptor = io::stdout().as_fd().try_clone_to_owned()?;
                Box::new(tokio::fs::File::from_std(descriptor.into()))
            }
            Destination::File(path) => {
                let mut options = OpenOptions::new();
                options.append(true).create(true);
                #[cfg(unix)]
                options.mode(0o600);
                Box::new(options.open(path).await?)
            }
        };
        Ok(Self::new(output, cluster, replica, clock))
    }

    fn new(
        output: Box<dyn AsyncWrite + Send + Unpin>,
        cluster: String,
        replica: String,
        clock: Arc<dyn Clock>,
    ) -> (AuditLog, Self) {
        let (sender, queue) = mpsc::channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let log = AuditLog { queue: sender, lost: Arc::clone(&lost) };
        (log, Self { queue, lost, output, cluster, replica, clock, seq: 0, lines: Vec::new() })
    }

    /// Writes until every [`AuditLog`] is gone, then the last line.
    ///
    /// # Errors
    ///
    /// When the log cannot be written: a concierge without a record must not go on.
    pub async fn run(mut self) -> io::Result<()> {
        let mut batch = Vec::new();
        self.append(&Event::started(self.clock.now(), &Started::default()));
        self.write().await?;
        // One write for all that wait: a burst costs one system call, a single record no delay.
        while self.queue.recv_many(&mut batch, QUEUE).await > 0 {
            let mut told = Vec::new();
            for entry in batch.drain(..) {
                self.append(&entry.event);
                told.extend(entry.written);
            }
            let lost = self.lost.swap(0, Ordering::Relaxed);
            if lost > 0 {
                self.append(&gap(self.clock.now(), lost));
            }
            self.write().await?;
            for written in told {
                // The request may have given up; its line stays, as a credential may have been made.
                let _ = written.send(());
            }
        }
        self.append(&Event::stopped(self.clock.now(), &Totals::default()));
        self.write().await
    }

    /// Numbers an event and puts its line behind those that wait to be written.
    fn append(&mut self, event: &Event) {
        self.seq += 1;
        let Self { seq, cluster, replica, .. } = self;
        let head = format!(r#"{{"v":{SCHEMA_VERSION},"seq":{seq},"cluster":"{cluster}","replica":"{replica}","#);
        self.lines.extend_from_slice(head.as_bytes());
        self.lines.extend(event.body(&Privacy::plain()));
        self.lines.extend_from_slice(b"}\n");
    }

    /// Hands whole lines over, and returns once they are out.
    async fn write(&mut self) -> io::Result<()> {
        self.output.write_all(&self.lines).await?;
        self.lines.clear();
        self.output.flush().await
    }
}

fn gap(now: UnixTime, lost: u64) -> Event {
    let mut dropped = BySeverity::default();
    dropped.add(Severity::Info, lost);
    let reason = GapReason::Overflow;
    Event::gap(now, &Gap { reason, from: now, to: now, seq_first: 0, seq_last: 0, dropped, head: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::ManualClock;

    fn lines(bytes: &[u8]) -> Vec<serde_json::Value> {
        bytes
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }

    fn event() -> Event {
        gap(UnixTime::from_secs(0), 0)
    }

    #[tokio::test]
    async fn a_grant_is_on_disk_before_it_is_answered() {
        let directory = std::env::temp_dir().join(format!("latchkey-audit-{}", uuid::Uuid::new_v4()));
        let clock = Arc::new(ManualClock::new(UnixTime::from_secs(0)));
        let destination = Destination::File(directory.clone());
        let (log, sink) = Sink::open(&destination, "staging".into(), "a".into(), clock).await.unwrap();
        let task = tokio::spawn(sink.run());
        log.record(event()).await.unwrap();
        assert_eq!(lines(&std::fs::read(&directory).unwrap()).len(), 2, "started, and the record");
        drop(log);
        task.await.unwrap().unwrap();
        let records = lines(&std::fs::read(&directory).unwrap());
        assert_eq!(records.iter().map(|r| r["seq"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(records[2]["kind"], "audit.stopped");
        std::fs::remove_file(directory).unwrap();
    }

    #[tokio::test]
    async fn what_finds_no_room_is_counted_and_said() {
        let (client, mut server) = tokio::io::duplex(1 << 20);
        let clock = Arc::new(ManualClock::new(UnixTime::from_secs(0)));
        let (log, sink) = Sink::new(Box::new(client), "staging".into(), "a".into(), clock);
        for _ in 0..QUEUE + 10 {
            let _ = log.record_refusal(event());
        }
        drop(log);
        let mut bytes = Vec::new();
        let (run, read) = tokio::join!(sink.run(), tokio::io::AsyncReadExt::read_to_end(&mut server, &mut bytes));
        read.unwrap();
        run.unwrap();
        let gap = lines(&bytes).into_iter().rev().find(|record| record["kind"] == "audit.gap").unwrap();
        assert_eq!(gap["dropped"]["info"], 10);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_writer_nothing_is_granted() {
        let (client, _server) = tokio::io::duplex(16);
        let clock = Arc::new(ManualClock::new(UnixTime::from_secs(0)));
        let (log, sink) = Sink::new(Box::new(client), "staging".into(), "a".into(), clock);
        let stuck = tokio::spawn(sink.run());
        assert_eq!(log.record(event()).await, Err(AuditUnavailable));
        stuck.abort();
        drop(stuck);
    }
}
