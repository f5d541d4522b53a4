//! Where every record gets its number: one short lock, and a queue of its own for each sink behind it.
//!
//! An event becomes bytes in the task of whoever recorded it, before the lock. Under the lock it gets the next number and
//! takes its place in every sink's ring, so the numbers are the same everywhere and in order everywhere.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout_at},
};

use super::{
    AuditUnavailable,
    ring::{Entry, Loss, Ring},
};
use crate::{
    audit::{
        event::{BySeverity, Event, FoldKey, Kind, Privacy, Severity},
        folding::{Admitted, Folded, Folding},
    },
    runtime::metrics::Metrics,
    time::{Clock, UnixTime},
};

/// How long a grant waits for room in a full ring (audit.md 7).
const ROOM_PATIENCE: Duration = Duration::from_secs(2);

/// How long a grant waits for its record to be written before the exchange is refused.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How long the last lines are tried once the log is closed: shorter than the process waits for them.
const LAST_PATIENCE: Duration = Duration::from_secs(8);

/// What numbers, folds and queues.
pub(super) struct Recorder {
    /// `None` once the log is closed.
    folding: Mutex<Option<Folding<FoldKey, Event>>>,
    central: Mutex<Central>,
    ports: Box<[Port]>,
    end: watch::Sender<Option<Instant>>,
    privacy: watch::Receiver<Privacy>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
}

/// A sink as the recorder sees it.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) name: &'static str,
    pub(super) required: bool,
    /// Rung when there is something in the ring, or when the log closes.
    pub(super) bell: Notify,
    /// How far the sink has come.
    pub(super) progress: watch::Sender<Progress>,
}

/// How far a sink has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// Every record up to this number has been written, or was dropped and will be told.
    pub(super) written: u64,
    /// Of the records up to this number some were handed over and did not arrive. Whoever waits for one of them looks at
    /// this at once; who comes late may be refused for the loss of a later one, and never granted on a lost one.
    pub(super) lost: u64,
    /// It cannot write, or has not come to an end of writing for too long.
    pub(super) is_down: bool,
}

struct Central {
    seq: u64,
    rings: Vec<Ring>,
    closed: bool,
}

/// An event as bytes, not yet numbered.
struct Unnumbered {
    kind: Kind,
    severity: Severity,
    body: Bytes,
}

/// Why a grant was not taken.
enum NotTaken {
    Closed,
    /// This required sink's ring holds nothing but grants.
    Full(usize),
}

// === impl Recorder ===

impl Recorder {
    pub(super) fn new(
        sinks: &[(&'static str, bool)],
        privacy: watch::Receiver<Privacy>,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
    ) -> Self {
        let port = |&(name, required): &(&'static str, bool)| Port {
            name,
            required,
            bell: Notify::new(),
            progress: watch::Sender::default(),
        };
        Self {
            folding: Mutex::new(Some(Folding::new())),
            central: Mutex::new(Central {
                seq: 0,
                rings: sinks.iter().map(|(_, required)| Ring::new(*required)).collect(),
                closed: false,
            }),
            ports: sinks.iter().map(port).collect(),
            end: watch::Sender::default(),
            privacy,
            clock,
            metrics,
        }
    }

    /// Queues a grant's record and waits until every required sink has written it.
    pub(super) async fn grant(&self, event: Event) -> Result<(), AuditUnavailable> {
        let begun = Instant::now();
        if self.required().any(|port| port.progress.borrow().is_down) {
            // It may come back within the patience, but a queue of those who wait for that helps nobody.
            return Err(AuditUnavailable);
        }
        let record = self.serialise(&event);
        let seq =
            timeout_at(begun + ROOM_PATIENCE, self.number_grant(&record)).await.map_err(|_| AuditUnavailable)??;
        for port in self.required() {
            let mut progress = port.progress.subscribe();
            let written = progress.wait_for(|progress| progress.written >= seq);
            let written = timeout_at(begun + PATIENCE, written).await.map_err(|_| AuditUnavailable)?;
            if written.map_err(|_| AuditUnavailable)?.lost >= seq {
                return Err(AuditUnavailable);
            }
        }
        Ok(())
    }

    /// Counts a refusal, and queues its record unless it repeats an earlier one.
    pub(super) fn refusal(&self, event: Event) {
        let Some(key) = event.fold_key() else {
            return self.notice(&event);
        };
        let now = self.clock.now();
        let admitted = {
            let mut folding = lock(&self.folding);
            match folding.as_mut() {
                Some(folding) => folding.admit(key, event, now),
                None => Admitted::First(event),
            }
        };
        match admitted {
            Admitted::First(event) => self.notice(&event),
            // What it took the place of is dropped here, outside of the lock.
            Admitted::Counted(_) => self.metrics.audit_folded(1),
            Admitted::Full(folded) => {
                self.metrics.audit_folded(1);
                self.repeats(folded);
            }
        }
    }

    /// Queues a record that nobody waits for.
    pub(super) fn notice(&self, event: &Event) {
        self.number(&self.serialise(event));
    }

    /// Tells the repeats whose time is over.
    pub(super) fn close_windows(&self) {
        let now = self.clock.now();
        let told = lock(&self.folding).as_mut().map(|folding| folding.close(now));
        told.into_iter().flatten().for_each(|folded| self.repeats(folded));
    }

    /// Takes nothing any more: what was counted is told, and the sinks end once they have written what waits.
    pub(super) fn close(&self) {
        let told = lock(&self.folding).take().map(|mut folding| folding.flush());
        told.into_iter().flatten().for_each(|folded| self.repeats(folded));
        lock(&self.central).closed = true;
        self.end.send_if_modified(|end| {
            let is_first = end.is_none();
            end.get_or_insert_with(|| Instant::now() + LAST_PATIENCE);
            is_first
        });
        self.ring_bells();
    }

    /// What waits for a sink, at most so much of it, with what was lost before.
    pub(super) fn take(&self, sink: usize, records: usize, bytes: usize, out: &mut Vec<Entry>) -> Option<Loss> {
        let mut central = lock(&self.central);
        let ring = &mut central.rings[sink];
        ring.take(records, bytes, out);
        ring.take_loss()
    }

    /// Takes back what a sink could not write.
    pub(super) fn restore(&self, sink: usize, entries: &mut Vec<Entry>, loss: Option<Loss>) {
        let now = self.clock.now();
        let gone = {
            let mut central = lock(&self.central);
            let ring = &mut central.rings[sink];
            if let Some(loss) = loss {
                ring.restore_loss(loss);
            }
            ring.restore(entries, now)
        };
        self.count_dropped(sink, gone);
    }

    /// Whether nothing waits for a sink, and nothing will.
    pub(super) fn is_finished(&self, sink: usize) -> bool {
        let central = lock(&self.central);
        central.closed && central.rings[sink].is_idle()
    }

    /// When every sink has to have come to an end, once the log is closed.
    pub(super) fn end(&self) -> watch::Receiver<Option<Instant>> {
        self.end.subscribe()
    }

    /// Whether the log takes nothing any more.
    pub(super) fn is_closed(&self) -> bool {
        lock(&self.central).closed
    }

    pub(super) fn port(&self, sink: usize) -> &Port {
        &self.ports[sink]
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    pub(super) const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// An event's members, names shown as is set at the moment.
    pub(super) fn body(&self, event: &Event) -> Bytes {
        event.body(&self.privacy.borrow()).into()
    }

    fn required(&self) -> impl Iterator<Item = &Port> {
        self.ports.iter().filter(|port| port.required)
    }

    fn serialise(&self, event: &Event) -> Unnumbered {
        Unnumbered { kind: event.kind(), severity: event.severity(), body: self.body(event) }
    }

    fn repeats(&self, folded: Folded<Event>) {
        let Folded { event, count, first, last, is_merged } = folded;
        let event = if is_merged { event.merged() } else { event };
        self.notice(&event.folded(count, first, last));
    }

    async fn number_grant(&self, record: &Unnumbered) -> Result<u64, AuditUnavailable> {
        loop {
            let full = match self.try_number_grant(record) {
                Ok(seq) => return Ok(seq),
                Err(NotTaken::Closed) => return Err(AuditUnavailable),
                Err(NotTaken::Full(sink)) => sink,
            };
            let mut progress = self.ports[full].progress.subscribe();
            // Room may have been made between the two.
            match self.try_number_grant(record) {
                Ok(seq) => return Ok(seq),
                Err(NotTaken::Closed) => return Err(AuditUnavailable),
                Err(NotTaken::Full(_)) => progress.changed().await.map_err(|_| AuditUnavailable)?,
            }
        }
    }

    fn try_number_grant(&self, record: &Unnumbered) -> Result<u64, NotTaken> {
        let now = self.clock.now();
        let central = lock(&self.central);
        if central.closed {
            return Err(NotTaken::Closed);
        }
        if let Some(full) = central.rings.iter().position(|ring| !ring.takes_grant(record.body.len())) {
            return Err(NotTaken::Full(full));
        }
        Ok(self.queue(central, record, now))
    }

    fn number(&self, record: &Unnumbered) {
        let now = self.clock.now();
        let central = lock(&self.central);
        if central.closed {
            drop(central);
            let mut one = BySeverity::default();
            one.add(record.severity, 1);
            (0..self.ports.len()).for_each(|sink| self.count_dropped(sink, one));
            return;
        }
        self.queue(central, record, now);
    }

    fn queue(&self, mut central: MutexGuard<'_, Central>, record: &Unnumbered, now: UnixTime) -> u64 {
        central.seq += 1;
        let seq = central.seq;
        let mut gone = Vec::new();
        for (sink, ring) in central.rings.iter_mut().enumerate() {
            let &Unnumbered { kind, severity, ref body } = record;
            let dropped = ring.push(Entry { seq, kind, severity, body: body.clone() }, now);
            if dropped.total() > 0 {
                gone.push((sink, dropped));
            }
        }
        drop(central);
        for (sink, dropped) in gone {
            self.count_dropped(sink, dropped);
        }
        self.ring_bells();
        seq
    }

    fn ring_bells(&self) {
        for port in &self.ports {
            port.bell.notify_one();
        }
    }

    /// At once, not when the sink is well again: the alert is for now.
    fn count_dropped(&self, sink: usize, dropped: BySeverity) {
        for severity in Severity::ALL {
            let count = dropped.of(severity);
            if count > 0 {
                self.metrics.audit_dropped(self.ports[sink].name, severity.as_str(), count);
            }
        }
    }
}

/// A panic while a lock was held left numbers and queues whole: each change under it is one call that cannot fail.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
