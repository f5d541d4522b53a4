//! What was refused, for people to see in the cluster: `TokenRejection` objects and Events on the authenticator.
//!
//! Only a token that an issuer of ours really signed gets here, so nobody without one can fill anything. The request that
//! was refused never waits for this: it leaves a note in a bounded table, and one task brings it into the cluster at its own
//! pace. It is a view; the record is the audit log. What a killed process had not written in its last ten seconds is there
//! and not here.

mod events;
mod merge;
mod series;
mod shelf;
mod sighting;
mod store;
mod table;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::StreamExt as _;
use kube::{
    Api, Client,
    core::ApiResource,
    runtime::{WatchStreamExt as _, watcher},
};
use latchkey_crds::audit::{TokenRejection, TokenRejectionStatus};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use self::{
    events::{Teller, Told},
    series::{Deed, Series},
    sighting::Sighting,
    store::{Outcome, Store},
    table::Table,
};
use crate::{
    audit::event::{Exchange, Privacy, Severity},
    runtime::{lease::Leadership, metrics::Metrics},
    time::Clock,
};

/// Time between two rounds of writing, however much there is to write.
const ROUND: Duration = Duration::from_secs(1);
/// Objects that one round writes, and Events: together a small part of what one client of an API server may ask for.
const WRITES_A_ROUND: usize = 10;
/// Events that one round writes.
const EVENTS_A_ROUND: usize = 5;
/// Objects that the leader takes away in one round: twice of what a replica makes.
const REMOVALS_A_ROUND: usize = 20;
/// Longest time between two rounds: for leadership that changes hands while nothing else happens.
const LONGEST_REVIEW: Duration = Duration::from_mins(1);
/// How long the end of the process waits for what is not yet written, and how many objects that may be.
const LAST_ROUND: Duration = Duration::from_secs(3);
const LAST_WRITES: usize = 100;
/// How often it is said that there was no room.
const COMPLAINT: Duration = Duration::from_mins(1);

/// Where refusals are noted. Cheap to clone; without an API server nobody listens, and noting costs nothing.
#[derive(Clone, Default)]
pub struct Rejections(Option<Arc<Desk>>);

/// Brings what is noted into the cluster; [`Keeper::run`] is its task.
pub struct Keeper {
    desk: Arc<Desk>,
    store: Store,
    api: Api<TokenRejection>,
    teller: Teller,
    clock: Arc<dyn Clock>,
    leadership: Leadership,
    metrics: Metrics,
}

/// What the keeper needs.
pub struct Settings {
    /// For objects and Events.
    pub client: Client,
    /// `TokenRejection` in this installation.
    pub rejections: ApiResource,
    /// `JWTAuthenticator` in this installation.
    pub authenticators: ApiResource,
    /// Which replica this is.
    pub replica: String,
    /// How long an object is kept after its last token.
    pub lifetime: Duration,
    /// How people are named.
    pub privacy: watch::Receiver<Privacy>,
    /// Whether this replica takes objects away.
    pub leadership: Leadership,
    /// Who counts.
    pub metrics: Metrics,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// What requests and the task share.
struct Desk {
    table: Mutex<Table>,
    series: Mutex<Series>,
    noted: Notify,
    replica: String,
    privacy: watch::Receiver<Privacy>,
    metrics: Metrics,
    clock: Arc<dyn Clock>,
}

/// A place for notes, and who brings them into the cluster.
#[must_use]
pub fn rejections(settings: Settings) -> (Rejections, Keeper) {
    let Settings { client, rejections, authenticators, replica, lifetime, privacy, leadership, metrics, clock } =
        settings;
    let api = Api::all_with(client.clone(), &rejections);
    let teller = Teller::new(client, authenticators, &replica, metrics.clone());
    let desk = Arc::new(Desk {
        table: Mutex::default(),
        series: Mutex::default(),
        noted: Notify::new(),
        replica,
        privacy,
        metrics: metrics.clone(),
        clock: Arc::clone(&clock),
    });
    let store = Store::new(api.clone(), rejections, lifetime);
    let keeper = Keeper { desk: Arc::clone(&desk), store, api, teller, clock, leadership, metrics };
    (Rejections(Some(desk)), keeper)
}

// === impl Rejections ===

impl Rejections {
    /// Notes how an exchange or a review ended, if it was refused for a token that its issuer had signed. Never waits.
    pub fn note(&self, exchange: &Exchange<'_>, severity: Severity) {
        let Some(desk) = &self.0 else { return };
        let now = desk.clock.now();
        let sighting = Sighting::of(now, exchange, severity, &desk.privacy.borrow(), &desk.replica);
        let Some(sighting) = sighting else { return };
        let Sighting { name, status, alarm } = sighting;
        desk.table().see(name, status);
        if let Some(alarm) = alarm
            && !desk.series().see(alarm, now)
        {
            desk.metrics.kube_event("no-room");
        }
        desk.noted.notify_one();
    }
}

impl fmt::Debug for Rejections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Rejections(noted)" } else { "Rejections(nobody listens)" })
    }
}

// === impl Desk ===

impl Desk {
    fn table(&self) -> MutexGuard<'_, Table> {
        // Whoever panicked in it left whole rows behind: each change is of one row.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn series(&self) -> MutexGuard<'_, Series> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Keeper ===

impl Keeper {
    /// Writes until `stop`, then what is left.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut objects = std::pin::pin!(watcher(self.api.clone(), watcher::Config::default()).default_backoff());
        // The earliest moment of the next round; after it, the next moment at which something is due.
        let (mut earliest, mut due) = (Instant::now(), Instant::now());
        let mut complained: Option<Instant> = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(event) = objects.next() => {
                    self.observe(event);
                    due = earliest;
                    continue;
                }
                () = self.desk.noted.notified() => {
                    due = earliest;
                    continue;
                }
                () = sleep_until(due.max(earliest)) => {}
            }
            let wait = tokio::select! {
                () = stop.cancelled() => break,
                wait = self.round() => wait,
            };
            earliest = Instant::now() + ROUND;
            due = Instant::now() + wait;
            if complained.is_none_or(|at| at.elapsed() >= COMPLAINT) {
                let lost = self.desk.table().take_lost();
                if lost > 0 {
                    complained = Some(Instant::now());
                    tracing::warn!(
                        lost,
                        "Refused tokens told by no TokenRejection for want of room; the audit log has them"
                    );
                }
            }
        }
        if timeout(LAST_ROUND, self.last_round()).await.is_err() {
            tracing::warn!("TokenRejections not all written in time; the audit log has what is missing");
        }
    }

    fn observe(&mut self, event: watcher::Result<watcher::Event<TokenRejection>>) {
        match event {
            Ok(event) => {
                self.store.observe(event);
                self.metrics.token_rejections(self.store.len());
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "TokenRejections not watched, trying again");
            }
        }
    }

    /// One round; how long until something is due again.
    async fn round(&mut self) -> Duration {
        self.tell().await;
        if self.store.is_listed() {
            let waiting = self.desk.table().take(self.clock.now(), WRITES_A_ROUND);
            self.write(waiting).await;
            if self.leadership.is_leader() {
                self.store.prune(self.clock.now(), REMOVALS_A_ROUND).await;
            }
            self.metrics.token_rejections(self.store.len());
        }
        let now = self.clock.now();
        let expiry = if self.leadership.is_leader() { self.store.next_expiry(now) } else { None };
        let waits = [self.desk.table().wait(now), self.desk.series().wait(now), expiry];
        waits.into_iter().flatten().fold(LONGEST_REVIEW, Duration::min)
    }

    async fn last_round(&mut self) {
        self.tell().await;
        if self.store.is_listed() {
            let waiting = self.desk.table().take_all(LAST_WRITES);
            self.write(waiting).await;
        }
    }

    async fn write(&mut self, waiting: Vec<(String, TokenRejectionStatus)>) {
        for (name, mut seen) in waiting {
            let outcome = self.store.write(&name, &mut seen).await;
            let now = self.clock.now();
            let mut table = self.desk.table();
            match outcome {
                Ok(Outcome::Written) => table.wrote(&name, now),
                Ok(Outcome::TurnedAway) => table.turned_away(&name, &seen, now),
                Ok(Outcome::Later) => table.failed(&name, seen, now),
                Err(error) => {
                    let reason = &error as &dyn std::error::Error;
                    tracing::warn!(name, error = reason, "TokenRejection not written, trying again");
                    table.failed(&name, seen, now);
                }
            }
        }
    }

    async fn tell(&self) {
        let due = self.desk.series().due(self.clock.now(), EVENTS_A_ROUND);
        for deed in due {
            let told = self.teller.tell(&deed).await;
            let now = self.clock.now();
            let (Deed::Create { alarm, so_far, .. } | Deed::Count { alarm, so_far, .. }) = &deed;
            let mut series = self.desk.series();
            match told {
                Told::Written(name) => series.wrote(alarm, name, *so_far, now),
                Told::Gone => series.gone(alarm),
                Told::Failed => series.failed(alarm, now),
            }
        }
    }
}
