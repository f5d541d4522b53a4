//! Lines to an OpenTelemetry collector: OTLP/HTTP in JSON, one export a batch.
//!
//! What a collector may have taken cannot be taken back. So a batch whose fate is unknown is sent again as it is until it is
//! taken, and nothing else is sent meanwhile: a collector may see a line twice, but never two lines in one place of the
//! chain. What it refuses for good, or for longer than [`GIVE_UP`] or than the log has left once it is closed, is passed over
//! as lost: an `audit.gap` says so, and where the collector is required nobody is granted anything on it.

mod collector;

use std::{io, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

use self::collector::{Collector, Told};
pub use self::collector::{Endpoint, EndpointError, OtlpSettings};
use super::output::{Batch, Output};
use crate::{
    audit::{
        chain::Identity,
        event::{BySeverity, Gap, GapReason, Severity},
        otel::{Resource, export},
    },
    runtime::metrics::Metrics,
    time::{Clock, UnixTime},
};

/// The sink's name.
pub(super) const NAME: &str = "otlp";

/// How long a batch of unknown fate is sent again and again. Meanwhile the ring holds what comes; a collector that is
/// restarted or moved is back within minutes.
const GIVE_UP: Duration = Duration::from_mins(5);
/// The first pause between two tries; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest that we choose ourselves.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How long nothing is sent after a refusal: what it refuses is told by a record that it may refuse too.
const AFTER_REFUSAL: Duration = Duration::from_secs(10);
/// Most gaps that wait to be told; beyond that they are told as one.
const GAPS: usize = 16;

/// One collector as a sink.
pub(super) struct OtlpOutput {
    collector: Collector,
    resource: Resource,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    /// When the log has to have come to an end, once it is closed.
    end: watch::Receiver<Option<Instant>>,
    /// It asked not to be asked before.
    not_before: Option<Instant>,
    gaps: Vec<Gap>,
    /// How many of them were handed out to be told.
    told: usize,
    /// Some of the last batch did not arrive.
    has_lost: bool,
}

// === impl OtlpOutput ===

impl OtlpOutput {
    /// Reads what the settings name; connects to nothing yet.
    ///
    /// # Errors
    /// When a file cannot be read, or is not what it should be.
    pub(super) fn open(
        settings: &OtlpSettings,
        identity: &Identity,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
        end: watch::Receiver<Option<Instant>>,
    ) -> io::Result<Self> {
        let resource = Resource { cluster: identity.cluster.clone(), replica: identity.replica.clone() };
        let collector = Collector::open(settings)?;
        let (not_before, gaps) = (None, Vec::new());
        Ok(Self { collector, resource, clock, metrics, end, not_before, gaps, told: 0, has_lost: false })
    }

    /// Sends the batch until its fate is known.
    async fn deliver(&mut self, batch: &Batch, body: Bytes) -> io::Result<()> {
        let mut patience = pin!(patience(self.end.clone()));
        let mut in_doubt = false;
        let mut pause = FIRST_PAUSE;
        loop {
            let told = tokio::select! {
                biased;
                told = self.collector.send(body.clone()) => told,
                () = &mut patience => {
                    self.give_up(batch);
                    return Ok(());
                }
            };
            let (why, asked) = match told {
                Told::Taken => return Ok(()),
                Told::Partly { rejected, reason } => {
                    tracing::error!(sink = NAME, rejected, reason, "The collector refused audit records");
                    self.lose(batch, rejected);
                    return Ok(());
                }
                Told::Refused(why) => {
                    tracing::error!(sink = NAME, why, "The collector refused a batch of audit records");
                    self.lose(batch, u64::MAX);
                    return Ok(());
                }
                Told::Later { why, pause: asked } if !in_doubt => {
                    // Surely not taken, so the sink may go back to before it, and drop what matters least.
                    self.not_before = asked.map(|asked| Instant::now() + asked);
                    return Err(io::Error::other(why));
                }
                Told::Later { why, pause: asked } => (why, asked),
                Told::Unknown(why) => (why, None),
            };
            in_doubt = true;
            let wait = asked.unwrap_or(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
            tracing::warn!(sink = NAME, why, "Audit records may not have arrived, sending them again");
            tokio::select! {
                biased;
                () = sleep(wait) => {}
                () = &mut patience => {
                    self.give_up(batch);
                    return Ok(());
                }
            }
        }
    }

    fn give_up(&mut self, batch: &Batch) {
        tracing::error!(sink = NAME, "Audit records of which it is not known whether they arrived are given up");
        self.lose(batch, u64::MAX);
    }

    /// Notes that at most `count` records of the batch are missing. Which ones nobody says: the gravest are assumed.
    fn lose(&mut self, batch: &Batch, count: u64) {
        let lines = batch.lines();
        let (Some(first), Some(last)) = (lines.first(), lines.last()) else { return };
        self.has_lost = true;
        let mut left = count;
        let mut dropped = BySeverity::default();
        for severity in Severity::ALL.into_iter().rev() {
            let of_it = lines.iter().filter(|line| line.severity == severity).count() as u64;
            let missing = of_it.min(left);
            dropped.add(severity, missing);
            left -= missing;
            if missing > 0 {
                self.metrics.audit_dropped(NAME, severity.as_str(), missing);
            }
        }
        self.not_before = Some(Instant::now() + AFTER_REFUSAL);
        let now = self.clock.now();
        let gap = gap(now, first.seq, last.seq, dropped);
        if self.gaps.len() < GAPS {
            self.gaps.push(gap);
        } else if let Some(before) = self.gaps.last_mut() {
            before.to = now;
            before.seq_last = last.seq;
            for severity in Severity::ALL {
                before.dropped.add(severity, dropped.of(severity));
            }
        }
    }
}

/// Waits as long as a batch of unknown fate may take.
async fn patience(mut end: watch::Receiver<Option<Instant>>) {
    let ends = async {
        match end.wait_for(Option::is_some).await.ok().and_then(|end| *end) {
            Some(end) => sleep_until(end).await,
            // Nobody will say.
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = sleep(GIVE_UP) => {}
        () = ends => {}
    }
}

const fn gap(now: UnixTime, seq_first: u64, seq_last: u64, dropped: BySeverity) -> Gap {
    Gap { reason: GapReason::SinkFailed, from: now, to: now, seq_first, seq_last, dropped, head: None }
}

impl Output for OtlpOutput {
    async fn write(&mut self, batch: &Batch, _sync: bool) -> io::Result<()> {
        self.has_lost = false;
        if batch.lines().is_empty() {
            return Ok(());
        }
        if self.not_before.is_some_and(|time| Instant::now() < time) {
            return Err(io::Error::new(io::ErrorKind::WouldBlock, "the collector asked to be left alone for a while"));
        }
        self.not_before = None;
        let lines = batch.lines().iter().map(|line| &line.text[..]);
        let body = Bytes::from(export(&self.resource, lines, self.clock.now()));
        self.deliver(batch, body).await
    }

    fn lost_some(&self) -> bool {
        self.has_lost
    }

    fn gaps(&mut self) -> Vec<Gap> {
        self.told = self.gaps.len();
        self.gaps.clone()
    }

    fn gaps_written(&mut self) {
        self.gaps.drain(..self.told);
        self.told = 0;
    }
}

#[cfg(test)]
mod tests;
