//! One sink at work: takes what waits, chains it, writes it in one piece, seals it by checkpoints, and survives failure.
//!
//! A failing output costs no record that the ring can hold: the chain goes back to where it stood before the batch, the
//! records go back into the ring, and it is tried again, ever more rarely. What the ring could not hold is told by the
//! first line that can be written again.

use std::{io, pin::pin, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    output::{Batch, Draft, Output},
    recorder::{PATIENCE, Progress, Recorder},
    ring::{Entry, Loss},
};
use crate::audit::{
    chain::{Chain, Identity},
    checkpoint::{Keys, origin, sign},
    event::{BySeverity, CheckpointFacts, Class, Event, Gap, GapReason, OtherHead, Severity, Started, Totals},
};

/// Most records of one write: a burst costs few system calls, and what fails is not too much to try again.
const BATCH_RECORDS: usize = 1_024;
/// Most bytes of one write.
const BATCH_BYTES: usize = 1 << 20;

/// Lines after which a checkpoint is due (audit.md 8).
const CHECKPOINT_LINES: u64 = 1_000;
/// Time after which a checkpoint is usually due if there is anything new (audit.md 8).
pub(super) const CHECKPOINT_EVERY: Duration = Duration::from_mins(1);

/// How long lines that nobody waits for may stay unsynced.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// How often the output is asked for news when nothing else happens.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The first pause after a failure; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest: a volume that has room again is used within this time.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// When what was written is made to outlast a power cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fsync {
    /// Before a grant is answered; everything else within a second.
    #[default]
    Grants,
    /// Everything within a second.
    Interval,
    /// When the operating system likes.
    Off,
}

/// What seals the log.
#[derive(Clone, Debug)]
pub(super) struct Seal {
    pub(super) identity: Identity,
    /// Time after which a checkpoint is due if there is anything new.
    pub(super) every: Duration,
    /// Without keys there are no checkpoints.
    pub(super) keys: watch::Receiver<Option<Arc<Keys>>>,
    /// What other replicas last published.
    pub(super) others: watch::Receiver<Arc<[OtherHead]>>,
    /// Where each note goes once it is written.
    pub(super) notes: watch::Sender<Option<String>>,
}

/// One sink.
pub(super) struct Writer<O> {
    recorder: Arc<Recorder>,
    /// Which of the recorder's ports this is.
    sink: usize,
    output: O,
    fsync: Fsync,
    seal: Seal,
    chain: Chain,
    /// The number of the last event written.
    seq: u64,
    /// Lines that the last checkpoint covers, itself included.
    sealed: u64,
    /// When the next checkpoint is due if there is anything new.
    seal_at: Instant,
    /// Not before this is it tried again to close what is full.
    rotate_at: Instant,
    /// Since when there are lines that are not synced.
    unsynced: Option<Instant>,
    /// Whether the output failed since it last took what waited.
    failed: bool,
    dropped: BySeverity,
}

/// What is to be written in one piece.
#[derive(Default)]
struct Work {
    /// What the log says of itself, first.
    about: Vec<Event>,
    loss: Option<Loss>,
    entries: Vec<Entry>,
}

impl<O: Output> Writer<O> {
    /// `chain` is empty, and follows the life before if that is known.
    pub(super) fn new(recorder: Arc<Recorder>, sink: usize, output: O, fsync: Fsync, seal: Seal, chain: Chain) -> Self {
        Self {
            recorder,
            sink,
            output,
            fsync,
            chain,
            seq: 0,
            sealed: 0,
            // The first as soon as there are keys: a life of a minute is a signed one too.
            seal_at: Instant::now(),
            seal,
            rotate_at: Instant::now(),
            unsynced: None,
            failed: false,
            dropped: BySeverity::default(),
        }
    }

    /// Writes until the log is closed and nothing waits, then the last lines.
    ///
    /// # Errors
    /// When the last lines could not be written.
    pub(super) async fn run(mut self, started: Started) -> io::Result<()> {
        let started = Started { sink: self.recorder.port(self.sink).name, ..started };
        let begin = Event::started(self.recorder.clock().now(), &started);
        self.insist(Work { about: vec![begin], ..Work::default() }).await?;
        self.recorder.metrics().audit_sink_up(self.recorder.port(self.sink).name, true);
        loop {
            let work = self.gather();
            if !work.is_empty() {
                self.insist(work).await?;
                self.seal_if_due().await;
                // Where there is always more, nothing else would.
                self.sync_if_due().await;
                continue;
            }
            if self.recorder.is_finished(self.sink) {
                return self.end().await;
            }
            self.seal_if_due().await;
            self.sync_if_due().await;
            let wake = self.next_look();
            tokio::select! {
                () = self.recorder.port(self.sink).bell.notified() => {}
                () = sleep_until(wake) => {}
            }
        }
    }

    fn gather(&mut self) -> Work {
        let mut work = Work::default();
        work.loss = self.recorder.take(self.sink, BATCH_RECORDS, BATCH_BYTES, &mut work.entries);
        let now = self.recorder.clock().now();
        work.about.extend(self.output.gaps().iter().map(|gap| Event::gap(now, gap)));
        work
    }

    /// Tries until it is written; between two tries the records wait in the ring, with those that have come since.
    async fn insist(&mut self, mut work: Work) -> io::Result<()> {
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match self.write(&work).await {
                Ok(()) => {
                    self.written(&mut work);
                    return Ok(());
                }
                Err(error) => error,
            };
            self.went_down(&error);
            self.recorder.restore(self.sink, &mut work.entries, work.loss.take());
            let end = *self.recorder.end().borrow();
            if end.is_some_and(|end| Instant::now() + pause > end) {
                return Err(error);
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            work.loss = self.recorder.take(self.sink, BATCH_RECORDS, BATCH_BYTES, &mut work.entries);
        }
    }

    /// One try. The chain moves on only if it succeeds.
    async fn write(&mut self, work: &Work) -> io::Result<()> {
        let gap = work.loss.as_ref().map(|loss| self.gap(loss));
        let about: Vec<_> = work.about.iter().chain(&gap).map(|event| (event, self.recorder.body(event))).collect();
        let about = about.iter().map(|(event, body)| Draft {
            seq: self.seq,
            kind: event.kind(),
            severity: event.severity(),
            body,
        });
        let entries = work.entries.iter().map(|entry| Draft {
            seq: entry.seq,
            kind: entry.kind,
            severity: entry.severity,
            body: &entry.body,
        });
        let mut chain = self.chain.clone();
        let batch = Batch::compose(&mut chain, about.chain(entries));
        let grants = batch.lines().iter().any(|line| line.kind.class() == Class::Grant);
        let sync = grants && self.fsync == Fsync::Grants;
        self.hand_over(&batch, sync).await?;
        self.chain = chain;
        Ok(())
    }

    /// The output may take its time, and no one may cut it short; but after a while those who wait should know.
    async fn hand_over(&mut self, batch: &Batch, sync: bool) -> io::Result<()> {
        let mut writing = pin!(self.output.write(batch, sync));
        let outcome = if let Ok(outcome) = timeout(PATIENCE, &mut writing).await {
            outcome
        } else {
            let port = self.recorder.port(self.sink);
            tell(&self.recorder, self.sink, true);
            tracing::error!(sink = port.name, "The audit log is stuck: what is written to it does not get through");
            writing.await
        };
        outcome?;
        let count = batch.lines().len() as u64;
        if sync {
            self.unsynced = None;
        } else if count > 0 && self.fsync != Fsync::Off {
            self.unsynced.get_or_insert_with(Instant::now);
        }
        let (port, now) = (self.recorder.port(self.sink), self.recorder.clock().now());
        if tell(&self.recorder, self.sink, false) {
            tracing::info!(sink = port.name, "The audit log can be written again");
        }
        if count > 0 {
            self.recorder.metrics().audit_written(port.name, count, now);
        }
        Ok(())
    }

    fn written(&mut self, work: &mut Work) {
        let has_lost = self.output.lost_some();
        if let Some(last) = work.entries.last() {
            self.seq = last.seq;
            let advance = |progress: &mut Progress| {
                progress.written = last.seq;
                if has_lost {
                    progress.lost = last.seq;
                }
            };
            self.recorder.port(self.sink).progress.send_modify(advance);
        }
        if has_lost {
            // What it told of other losses may be lost with it.
            return self.recorder.restore(self.sink, &mut Vec::new(), work.loss.take());
        }
        // What was lost by failing is told by now; what is lost from here on finds no room, and nothing else.
        self.failed = false;
        if let Some(loss) = &work.loss {
            for severity in Severity::ALL {
                self.dropped.add(severity, loss.dropped.of(severity));
            }
        }
        if !work.about.is_empty() {
            self.output.gaps_written();
        }
    }

    fn gap(&self, loss: &Loss) -> Event {
        let gap = Gap {
            reason: if self.failed { GapReason::SinkFailed } else { GapReason::Overflow },
            from: loss.from,
            to: loss.to,
            seq_first: loss.seq_first,
            seq_last: loss.seq_last,
            dropped: loss.dropped,
            head: None,
        };
        Event::gap(self.recorder.clock().now(), &gap)
    }

    fn went_down(&mut self, error: &io::Error) {
        self.failed = true;
        if !tell(&self.recorder, self.sink, true) {
            return;
        }
        let port = self.recorder.port(self.sink);
        tracing::error!(
            error = error as &dyn std::error::Error,
            sink = port.name,
            required = port.required,
            "The audit log cannot be written"
        );
    }

    async fn seal_if_due(&mut self) {
        let new = self.chain.size() - self.sealed;
        let full = self.output.is_full() && Instant::now() >= self.rotate_at;
        if new > 0 && (full || new >= CHECKPOINT_LINES || Instant::now() >= self.seal_at) {
            // Others learn of it: after a power cut it must not speak of lines that are gone.
            self.seal(self.fsync != Fsync::Off).await;
        }
        if !full {
            return;
        }
        if let Err(error) = self.output.rotate().await {
            // Until then it grows; a checkpoint behind every batch would only make it grow faster.
            self.rotate_at = Instant::now() + LONGEST_PAUSE;
            let sink = self.recorder.port(self.sink).name;
            tracing::warn!(error = &error as &dyn std::error::Error, sink, "The audit log cannot be rotated");
        }
    }

    /// Writes a checkpoint over all lines so far. One that cannot be written is forgotten: it sealed what is written, so
    /// the next one agrees with it whoever may have seen it.
    async fn seal(&mut self, sync: bool) {
        // Whatever comes of it, the next attempt is for later.
        self.seal_at = Instant::now() + self.seal.every;
        let Some(keys) = self.seal.keys.borrow().clone() else {
            if self.sealed == 0 {
                self.seal_at = Instant::now() + LOOK_EVERY;
            }
            return;
        };
        let (port, now) = (self.recorder.port(self.sink), self.recorder.clock().now());
        let note = sign(&origin(&self.seal.identity, port.name), self.chain.size(), &self.chain.root(), &keys);
        let facts = CheckpointFacts {
            note: note.clone(),
            tree: self.chain.peaks().map(|peak| peak.to_string()).collect(),
            others: self.seal.others.borrow().to_vec(),
        };
        match self.write_about(&Event::checkpoint(now, &facts), sync).await {
            Ok(()) => {
                self.sealed = self.chain.size();
                self.recorder.metrics().audit_checkpoint(self.recorder.port(self.sink).name, now);
                self.seal.notes.send_replace(Some(note));
            }
            Err(error) => {
                self.went_down(&error);
                // While it is down no grant comes that would show that it is well again.
                self.seal_at = Instant::now() + LONGEST_PAUSE;
            }
        }
    }

    async fn write_about(&mut self, event: &Event, sync: bool) -> io::Result<()> {
        let body = self.recorder.body(event);
        let draft = Draft { seq: self.seq, kind: event.kind(), severity: event.severity(), body: &body };
        let mut chain = self.chain.clone();
        let batch = Batch::compose(&mut chain, std::iter::once(draft));
        self.hand_over(&batch, sync).await?;
        self.chain = chain;
        Ok(())
    }

    async fn sync_if_due(&mut self) {
        if self.unsynced.is_none_or(|since| since.elapsed() < SYNC_EVERY) {
            return;
        }
        // Its failure is that of a write; the lines themselves are out.
        if let Err(error) = self.hand_over(&Batch::default(), true).await {
            self.went_down(&error);
            self.unsynced = Some(Instant::now());
        }
    }

    fn next_look(&self) -> Instant {
        let look = Instant::now() + LOOK_EVERY;
        let sync = self.unsynced.map_or(look, |since| since + SYNC_EVERY);
        let seal = if self.chain.size() > self.sealed { self.seal_at } else { look };
        look.min(sync).min(seal)
    }

    /// The last lines: that the log ends, and a checkpoint over that.
    async fn end(&mut self) -> io::Result<()> {
        let totals = Totals { written: self.chain.size(), dropped: self.dropped };
        let end = Event::stopped(self.recorder.clock().now(), &totals);
        self.insist(Work { about: vec![end], ..Work::default() }).await?;
        self.seal(true).await;
        self.hand_over(&Batch::default(), self.fsync != Fsync::Off).await
    }
}

impl Work {
    fn is_empty(&self) -> bool {
        self.about.is_empty() && self.loss.is_none() && self.entries.is_empty()
    }
}

/// Tells all who wait, and the metrics, whether the sink is down; the answer is whether that is news.
fn tell(recorder: &Recorder, sink: usize, is_down: bool) -> bool {
    let port = recorder.port(sink);
    let change = |progress: &mut Progress| std::mem::replace(&mut progress.is_down, is_down) != is_down;
    let news = port.progress.send_if_modified(change);
    if news {
        recorder.metrics().audit_sink_up(port.name, !is_down);
    }
    news
}
