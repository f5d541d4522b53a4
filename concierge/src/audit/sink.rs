//! Where records go: numbered once, then into every sink by a queue, a task and a hash chain of its own.
//!
//! A grant is written to every required sink before it is answered; a refusal never waits, so that a flood of bad tokens
//! cannot hold up a good one. What is lost is counted, and the log itself says that something is missing. A sink that
//! fails is tried again for as long as the process lives: it stops no other sink, and the process only ends when asked.

mod file;
mod otlp;
mod output;
mod recorder;
mod ring;
mod stdout;
mod writer;

use std::{
    fmt,
    fs::{self, OpenOptions},
    io,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::watch,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use self::{
    file::{FileOutput, Predecessor},
    otlp::OtlpOutput,
    output::Output,
    recorder::Recorder,
    stdout::Stream,
    writer::{CHECKPOINT_EVERY, Seal, Writer},
};
pub use self::{
    file::{FileSettings, Keep},
    otlp::{Endpoint, EndpointError, OtlpSettings},
    writer::Fsync,
};
use super::{
    chain::{Chain, Identity},
    checkpoint::Keys,
    event::{Event, OtherHead, Privacy},
};
use crate::{
    runtime::metrics::Metrics,
    time::{Clock, UnixTime},
};

/// How often the windows of repeats are looked at.
const FOLD_EVERY: Duration = Duration::from_secs(1);

/// By how much the clock must go back to be worth a word.
const SET_BACK: Duration = Duration::from_secs(2);

/// Where the lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Standard output, for a cluster's log collector.
    Stdout,
    /// A file of our own; one that is no regular file is written to as a stream.
    File(FileSettings),
    /// An OpenTelemetry collector.
    Otlp(OtlpSettings),
}

/// One place where the log is written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkSettings {
    /// Where.
    pub destination: Destination,
    /// Whether nothing may be granted that it has not written.
    pub required: bool,
}

/// What a log is made of.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who writes: which cluster and replica, and since when.
    pub identity: Identity,
    /// Where to. With none, nothing is recorded and everything granted.
    pub sinks: Vec<SinkSettings>,
    /// When lines are made to outlast a power cut.
    pub fsync: Fsync,
    /// After how long a checkpoint is due if there is anything new; after 1,000 lines it is in any case.
    pub checkpoint_every: Duration,
    /// How people are named.
    pub privacy: watch::Receiver<Privacy>,
    /// What signs the checkpoints, if there is anything yet.
    pub keys: watch::Receiver<Option<Arc<Keys>>>,
    /// The heads of other replicas' logs.
    pub others: watch::Receiver<Arc<[OtherHead]>>,
    /// Who counts.
    pub metrics: Metrics,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// A handle to the log: cheap to clone. When the last one is gone the log is closed.
#[derive(Clone)]
pub struct AuditLog(Arc<Handle>);

struct Handle {
    recorder: Arc<Recorder>,
    closed: CancellationToken,
}

/// The writers; [`Sinks::run`] is their task.
pub struct Sinks {
    recorder: Open,
    closed: CancellationToken,
    writers: Vec<Pin<Box<dyn Future<Output = io::Result<()>> + Send>>>,
    notes: Vec<(&'static str, watch::Receiver<Option<String>>)>,
}

/// A log that somebody writes: once that is over, whether it was ever begun or not, it takes nothing any more.
struct Open(Arc<Recorder>);

/// The life of a process that begins `now` (in Unix milliseconds) and writes to these places: the time, unless a file's
/// folder holds a life that calls itself as late or later, as after a clock was set back. A file's pieces are ordered by
/// their lives, and what is deleted first is the oldest of them.
///
/// # Errors
///
/// When a file's folder, or what is left in the file, cannot be read.
pub async fn next_life(sinks: &[SinkSettings], now: u64) -> io::Result<u64> {
    let mut life = now;
    for sink in sinks {
        if let Destination::File(file) = &sink.destination
            && stream(file)?.is_none()
            && let Some(last) = FileOutput::last_life(file).await?
        {
            if last > life {
                tracing::warn!(now, last, "The clock stands before the last life in the folder of the audit log");
            }
            life = life.max(last.saturating_add(1));
        }
    }
    Ok(life)
}

/// The record could not be written in time, so what it records must not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit log cannot be written")]
pub struct AuditUnavailable;

// === impl AuditUnavailable ===

impl AuditUnavailable {
    /// What metrics and the log call what was withheld for want of a record. No record has this code.
    pub const CODE: &str = "audit-unavailable";
}

// === impl Destination ===

impl Destination {
    /// The name of a collector as a sink.
    pub const OTLP: &str = otlp::NAME;

    /// The sink's name in metrics, in flags and in the names of its checkpoints.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::File(_) => "file",
            Self::Otlp(_) => Self::OTLP,
        }
    }
}

// === impl Settings ===

impl Settings {
    /// A log in these places, all of them required, that names people as they are and signs nothing.
    #[must_use]
    pub fn new(identity: Identity, destinations: Vec<Destination>, clock: Arc<dyn Clock>) -> Self {
        let required = |destination| SinkSettings { destination, required: true };
        Self {
            identity,
            sinks: destinations.into_iter().map(required).collect(),
            fsync: Fsync::default(),
            checkpoint_every: CHECKPOINT_EVERY,
            privacy: watch::channel(Privacy::default()).1,
            keys: watch::channel(None).1,
            others: watch::channel(Arc::default()).1,
            metrics: Metrics::new(),
            clock,
        }
    }
}

// === impl AuditLog ===

impl AuditLog {
    /// Records a grant and waits until its line is out, in every required sink.
    ///
    /// # Errors
    ///
    /// [`AuditUnavailable`] when that takes longer than five seconds, when there is no room for two, or when a required
    /// sink is known to be down: then nothing may be granted.
    pub async fn record(&self, event: Event) -> Result<(), AuditUnavailable> {
        self.0.recorder.grant(event).await
    }

    /// Records a refusal without waiting. Repeats are counted and told together; where there is no room the least important
    /// record is dropped and counted, and the log itself will say so.
    pub fn record_refusal(&self, event: Event) {
        self.0.recorder.refusal(event);
    }

    /// Records what happened to us rather than to a request (a key, an authenticator, a setting) without waiting.
    #[expect(clippy::needless_pass_by_value, reason = "an event is recorded once, like those of the other two")]
    pub fn notice(&self, event: Event) {
        self.0.recorder.notice(&event);
    }
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLog").finish_non_exhaustive()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.closed.cancel();
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.close();
    }
}

// === impl Sinks ===

impl Sinks {
    /// Opens the log.
    ///
    /// # Errors
    ///
    /// When a file cannot be made, or another process writes to it.
    pub async fn open(settings: Settings) -> io::Result<(AuditLog, Self)> {
        let Settings { identity, sinks, fsync, checkpoint_every, privacy, keys, others, metrics, clock } = settings;
        let ports: Vec<_> = sinks.iter().map(|sink| (sink.destination.name(), sink.required)).collect();
        let recorder = Arc::new(Recorder::new(&ports, privacy, Arc::clone(&clock), metrics.clone()));
        let closed = CancellationToken::new();
        let log = AuditLog(Arc::new(Handle { recorder: Arc::clone(&recorder), closed: closed.clone() }));
        let mut opened = Self { recorder: Open(recorder), closed, writers: Vec::new(), notes: Vec::new() };
        for sink in sinks {
            let seal = Seal {
                identity: identity.clone(),
                every: checkpoint_every,
                keys: keys.clone(),
                others: others.clone(),
                notes: watch::Sender::default(),
            };
            let none = Predecessor::default();
            match sink.destination {
                Destination::Stdout => opened.add("stdout", Stream::stdout()?, none, Fsync::Off, seal),
                Destination::Otlp(collector) => {
                    let end = opened.recorder.0.end();
                    let output = OtlpOutput::open(&collector, &identity, Arc::clone(&clock), metrics.clone(), end)?;
                    opened.add(Destination::OTLP, output, none, Fsync::Off, seal);
                }
                Destination::File(file) => {
                    if let Some(stream) = stream(&file)? {
                        opened.add("file", stream, none, Fsync::Off, seal);
                    } else {
                        let (output, before) = FileOutput::open(file, &identity, Arc::clone(&clock)).await?;
                        opened.add("file", output, before, fsync, seal);
                    }
                }
            }
        }
        Ok((log, opened))
    }

    /// Where the signed note of each sink's last checkpoint can be had.
    #[must_use]
    pub fn notes(&self) -> Vec<(&'static str, watch::Receiver<Option<String>>)> {
        self.notes.clone()
    }

    /// Writes until `stop`, or until every [`AuditLog`] is gone; then what still waits, and the last lines.
    ///
    /// # Errors
    ///
    /// When the last lines could not be written. A sink that fails before that is tried again.
    pub async fn run(self, stop: CancellationToken) -> io::Result<()> {
        let Self { recorder: open, closed, writers, notes: _ } = self;
        let recorder = &open.0;
        let mut running = JoinSet::new();
        for writer in writers {
            running.spawn(writer);
        }
        let mut ticks = interval(FOLD_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut latest = recorder.clock().now();
        while !recorder.is_closed() {
            tokio::select! {
                biased;
                () = closed.cancelled() => recorder.close(),
                () = stop.cancelled() => recorder.close(),
                Some(ended) = running.join_next() => return ended.map_err(io::Error::other)?,
                _ = ticks.tick() => {
                    recorder.close_windows();
                    latest = watch_clock(latest, recorder.clock().now());
                }
            }
        }
        let mut outcome = Ok(());
        while let Some(ended) = running.join_next().await {
            outcome = outcome.and(ended.map_err(io::Error::other).flatten());
        }
        outcome
    }

    /// Adds a sink by its name; the ports are in the same order.
    fn add(&mut self, name: &'static str, output: impl Output, before: Predecessor, fsync: Fsync, seal: Seal) {
        let sink = self.writers.len();
        debug_assert_eq!(self.recorder.0.port(sink).name, name, "sinks are opened in their order");
        self.notes.push((name, seal.notes.subscribe()));
        let chain = Chain::new(&seal.identity, before.head);
        let writer = Writer::new(Arc::clone(&self.recorder.0), sink, output, fsync, seal, chain);
        self.writers.push(Box::pin(writer.run(before.started)));
    }
}

/// What lies at the path, if it is there and no regular file: it can only be written to.
fn stream(file: &FileSettings) -> io::Result<Option<Stream>> {
    match fs::metadata(&file.path) {
        Ok(metadata) if metadata.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(metadata) if !metadata.is_file() => {
            OpenOptions::new().append(true).open(&file.path).map(Stream::new).map(Some)
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(_) | Err(_) => Ok(None),
    }
}

/// Numbers and chain do not care; whoever reads the times should know why they go back.
fn watch_clock(latest: UnixTime, now: UnixTime) -> UnixTime {
    let back = latest.since(now);
    if back > SET_BACK {
        tracing::warn!(by = ?back, "The clock was set back; so are the times in the audit log from here on");
        return now;
    }
    latest.max(now)
}

#[cfg(test)]
mod tests;
