//! The task that keeps the authenticators in force: it watches both kinds and the fleet list, in the API or in a folder,
//! and the CA bundles they name, runs a keeper of keys for each source of keys, owns the index's one writer, and, if it leads, writes their
//! status.
//!
//! Its loop is observe, plan, act. Everything that takes time (reads, writes, fetches) runs beside the loop, so nothing
//! that one authenticator waits for delays another or the data path.

mod bundles;
mod claims;
mod conditions;
pub mod files;
mod fleet;
mod jwt;
mod members;
pub mod notices;
mod objects;
mod observe;
mod records;
mod twins;
mod watches;
mod webhook;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::{
    StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream, FuturesUnordered},
};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    core::{ApiResource, DynamicObject},
};
use latchkey_crds::{
    authentication::{self, AuthenticatorStatus},
    config,
    groups::GroupSuffix,
};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::JoinError,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

pub use self::conditions::{Conditions, ConditionsSender, conditions};
use self::{
    bundles::{Bundles, Loaded},
    claims::Claims,
    files::Folder,
    fleet::FleetList,
    members::{Members, Writing},
    notices::{Audience, Notices},
    objects::Objects,
    records::{Read, Records, Wrote},
    twins::TwinTable,
    watches::{Kind, Kinds, Seen},
    webhook::Webhooks,
};
use super::{
    jwt_authenticator::keeper::{ATTEMPTS_AT_ONCE, Jitter, KeeperReport, Surroundings},
    status::{self, Target, WriteError},
};
use crate::{
    idp::proxy::Proxies,
    index::{self, AuthenticatorRef, RefreshRequests},
    runtime::{lease::Leadership, metrics::Metrics},
    time::Clock,
};

/// Reports of keepers that may wait for the loop: each keeper has one at most, and the loop does nothing slow.
const REPORTS: usize = 64;

/// Status writes under way at once: the API server is everybody's.
const WRITES_AT_ONCE: usize = 4;

/// Readiness waits this long for first answers of issuers once the lists are there. A replica that takes part in a
/// rollout should know its keys before it is sent people; an issuer that is down must not hold the rollout up.
const FIRST_ANSWERS: Duration = Duration::from_secs(3);

/// Where the authenticators come from.
pub enum Source {
    /// The API. What is found of them is written into their status, and their keys are kept in Secrets.
    Api(kube::Client),
    /// Files. They have no status to write, and nothing could own a Secret of theirs.
    Folder {
        /// The files.
        folder: Folder,
        /// Where what is found of them is shown.
        conditions: ConditionsSender,
        /// The API server that has the CA bundles, if there is one.
        client: Option<kube::Client>,
    },
}

/// What the task is made of.
#[derive(Debug)]
pub struct Settings {
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// This cluster's name, by which the fleet list knows it.
    pub cluster_name: String,
    /// The way into the index.
    pub index: index::Writer,
    /// Chance, to spread refreshes out.
    pub jitter: Jitter,
    /// Whether this replica writes.
    pub leadership: Leadership,
    /// Counts fetches and shows the age of keys.
    pub metrics: Metrics,
    /// Our own namespace: CA bundles are read from there, and from nowhere else.
    pub namespace: String,
    /// Whom changes are told to: the audit log.
    pub notices: Audience,
    /// The proxy through which issuers are asked.
    pub proxies: Proxies,
    /// Requests for keys that a token named and the index lacks.
    pub refreshes: RefreshRequests,
    /// The ending of the API groups.
    pub suffix: GroupSuffix,
}

/// Whether the index knows all authenticators there are, for readiness. Once true it stays so.
#[derive(Clone, Debug)]
pub struct Synced(watch::Receiver<bool>);

/// Why the task ended though nobody asked it to.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticatorsError {
    /// A keeper panicked: a bug. Its authenticator would stand still without a word.
    #[error("a keeper of keys, or a prober of webhooks, ended")]
    Keeper(#[source] JoinError),
    /// Everybody who could ask for keys is gone.
    #[error("the request layer is gone")]
    Requests,
    /// The watches of the API, or of the folder, ended, which they never should.
    #[error("the watches ended")]
    Watches,
}

/// The task.
pub struct Authenticators {
    /// The API server, if there is one.
    client: Option<kube::Client>,
    clock: Arc<dyn Clock>,
    leadership: Leadership,
    metrics: Metrics,
    namespace: String,
    kinds: Kinds<ApiResource>,
    objects: Kinds<Objects>,
    fleet: FleetList,
    twins: TwinTable,
    bundles: Bundles,
    members: Members,
    notices: Notices,
    records: Records,
    /// Shows what is found of authenticators from files.
    conditions: Option<ConditionsSender>,
    seen: BoxStream<'static, Seen>,
    webhooks: Webhooks,
    claims: Claims,
    index: index::Writer,
    reports: mpsc::Receiver<KeeperReport>,
    refreshes: RefreshRequests,
    synced: watch::Sender<bool>,
    listed_at: Option<Instant>,
    dirty: BTreeSet<(Kind, String)>,
    loads: FuturesUnordered<BoxFuture<'static, Loaded>>,
    writes: FuturesUnordered<BoxFuture<'static, Written>>,
    record_reads: FuturesUnordered<BoxFuture<'static, Read>>,
    record_writes: FuturesUnordered<BoxFuture<'static, Wrote>>,
    write_permits: Arc<Semaphore>,
    /// Something was not written because this replica did not lead at that moment.
    unwritten: bool,
}

struct Written {
    kind: Kind,
    name: String,
    outcome: Result<Option<DynamicObject>, WriteError>,
}

/// The task, ready to run, and its word for readiness.
#[must_use]
pub fn authenticators(source: Source, settings: Settings) -> (Authenticators, Synced) {
    let Settings {
        clock,
        cluster_name,
        index,
        jitter,
        leadership,
        metrics,
        namespace,
        notices,
        proxies,
        refreshes,
        suffix,
    } = settings;
    let (reporter, reports) = mpsc::channel(REPORTS);
    let (synced, receiver) = watch::channel(false);
    let around = Surroundings {
        clock: Arc::clone(&clock),
        jitter,
        attempts: Arc::new(Semaphore::new(ATTEMPTS_AT_ONCE)),
        metrics: metrics.clone(),
        reports: reporter,
    };
    let claims = Claims::new(Arc::clone(&clock), proxies.clone());
    let webhooks = Webhooks::new(Arc::clone(&clock), proxies.clone(), metrics.clone());
    let kinds = Kinds {
        jwt: authentication::jwt_authenticator(&suffix),
        webhook: authentication::webhook_authenticator(&suffix),
    };
    let (client, conditions, objects) = match source {
        Source::Api(client) => {
            let objects = watches::objects(&client, &kinds, &config::fleet_cluster(&suffix));
            (Some(client), None, objects)
        }
        Source::Folder { folder, conditions, client } => (client, Some(conditions), watches::folder(folder)),
    };
    let bundles = client.as_ref().map(|client| watches::bundles(client, &namespace));
    let seen = stream::select_all([Some(objects), bundles].into_iter().flatten()).boxed();
    let task = Authenticators {
        clock,
        leadership,
        metrics,
        objects: Kinds { jwt: Objects::default(), webhook: Objects::default() },
        fleet: FleetList::new(cluster_name),
        twins: TwinTable::default(),
        bundles: Bundles::new(&namespace, client.is_some()),
        members: Members::new(around, proxies),
        notices: Notices::new(notices),
        records: Records::new(conditions.is_none().then(|| kinds.jwt.clone())),
        kinds,
        conditions,
        seen,
        webhooks,
        claims,
        index,
        reports,
        refreshes,
        synced,
        listed_at: None,
        dirty: BTreeSet::new(),
        loads: FuturesUnordered::new(),
        writes: FuturesUnordered::new(),
        record_reads: FuturesUnordered::new(),
        record_writes: FuturesUnordered::new(),
        write_permits: Arc::new(Semaphore::new(WRITES_AT_ONCE)),
        unwritten: false,
        namespace,
        client,
    };
    (task, Synced(receiver))
}

// === impl Synced ===

impl Synced {
    /// Whether it is so.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        *self.0.borrow()
    }
}

// === impl Authenticators ===

impl Authenticators {
    /// Runs until `stop`.
    ///
    /// # Errors
    /// When it cannot go on: a keeper panicked, or one of the ends it works between is gone.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), AuthenticatorsError> {
        loop {
            self.settle();
            let wake = self.next_wake().unwrap_or_else(|| Instant::now() + Duration::from_hours(1));
            tokio::select! {
                // In this order: a stop before the ends of channels that it brings about, and requests that forged tokens
                // cause after everything else.
                biased;
                () = stop.cancelled() => return Ok(()),
                event = self.seen.next() => self.observe(event.ok_or(AuthenticatorsError::Watches)?),
                Some(loaded) = self.loads.next(), if !self.loads.is_empty() => {
                    self.bundles.loaded(loaded, Instant::now());
                    self.touch_all();
                }
                Some(written) = self.writes.next(), if !self.writes.is_empty() => self.written(written),
                Some(read) = self.record_reads.next(), if !self.record_reads.is_empty() => self.record_read(read),
                Some(wrote) = self.record_writes.next(), if !self.record_writes.is_empty() => {
                    self.records.wrote(wrote, Instant::now());
                }
                Some(report) = self.reports.recv() => self.reported(report),
                Some(ended) = self.members.join_next() => ended.map_err(AuthenticatorsError::Keeper)?,
                heard = self.webhooks.next() => {
                    let heard = heard.map_err(AuthenticatorsError::Keeper)?;
                    self.dirty.extend(heard.map(|name| (Kind::Webhook, name)));
                }
                () = self.leadership.changed() => {
                    // It also changes at every renewal; only what nobody wrote meanwhile has to be looked at again.
                    if self.leadership.is_leader() && std::mem::take(&mut self.unwritten) {
                        self.touch_all();
                    }
                }
                () = tokio::time::sleep_until(wake) => {}
                request = self.refreshes.recv() => self.forward(request.ok_or(AuthenticatorsError::Requests)?),
            }
        }
    }

    /// Brings everything that changed, or whose time has come, to where it should be.
    fn settle(&mut self) {
        let now = Instant::now();
        self.dirty.extend(self.members.due(now));
        self.dirty.extend(self.records.due(now).into_iter().map(|name| (Kind::Jwt, name)));
        if !self.dirty.is_empty() {
            self.bundles.want(&self.wanted_bundles());
        }
        while let Some((kind, name)) = self.dirty.pop_first() {
            self.settle_one(kind, &name);
        }
        // Without an API server nothing is ever due.
        if let Some((client, secrets)) = self.client.clone().zip(self.secrets()) {
            for object in self.bundles.due(now) {
                self.loads.push(Box::pin(bundles::load(client.clone(), self.namespace.clone(), object)));
            }
            for record in self.records.take_reads(now) {
                self.record_reads.push(Box::pin(records::read(secrets.clone(), record)));
            }
        }
        self.tell_synced(now);
    }

    /// The Secrets of our own namespace, if there is an API server.
    fn secrets(&self) -> Option<Api<Secret>> {
        Some(Api::namespaced(self.client.clone()?, &self.namespace))
    }

    fn settle_one(&mut self, kind: Kind, name: &str) {
        if self.objects.of(kind).get(name).is_none() {
            self.forget(kind, name);
            return;
        }
        match kind {
            Kind::Jwt => self.settle_jwt(name),
            Kind::Webhook => self.settle_webhook(name),
        }
    }

    fn write(&mut self, kind: Kind, name: &str, uid: String, status: Option<AuthenticatorStatus>) {
        let Some(status) = status else { return };
        if let Some(conditions) = &self.conditions {
            let before = self.objects.of_mut(kind).found(name, &status);
            conditions.found(kind, name, &before, status);
            return;
        }
        let Some(client) = self.client.clone() else { return };
        if !self.leadership.is_leader() {
            self.unwritten = true;
            return;
        }
        if self.members.may_write(kind, name, Instant::now()) == Writing::NotNow {
            return;
        }
        let target = Target { resource: self.kinds.of(kind).clone(), name: name.to_owned(), uid };
        let permits = Arc::clone(&self.write_permits);
        tracing::debug!(kind = kind.name(), object = name, phase = ?status.phase, "Writing status");
        self.writes.push(Box::pin(async move {
            // The semaphore is never closed.
            let _permit = permits.acquire().await;
            let outcome = status::write(client, &target, &status).await;
            Written { kind, name: target.name, outcome }
        }));
    }

    fn forget(&mut self, kind: Kind, name: &str) {
        self.members.forget(kind, name);
        self.notices.gone(kind, name, self.clock.now());
        if let Some(conditions) = &self.conditions {
            conditions.forget(kind, name);
        }
        match kind {
            Kind::Jwt => {
                self.metrics.forget_authenticator(name);
                self.records.forget(name);
                self.claims.forget(name);
                let news = self.twins.set(name, BTreeMap::new());
                self.dirty.extend(news.into_iter().map(|twin| (Kind::Jwt, twin)));
                self.index.remove(&AuthenticatorRef::jwt(name));
            }
            Kind::Webhook => {
                self.metrics.forget_authenticator(&format!("webhook/{name}"));
                self.webhooks.forget(name);
                self.index.remove(&AuthenticatorRef::webhook(name));
            }
        }
        tracing::info!(kind = kind.name(), object = name, "Authenticator gone");
    }

    fn tell_synced(&self, now: Instant) {
        let answered = || self.members.all_answered();
        if self.listed_at.is_some_and(|at| now >= at + FIRST_ANSWERS || answered()) {
            self.synced.send_if_modified(|synced| !std::mem::replace(synced, true));
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        let first_answers = self.listed_at.map(|at| at + FIRST_ANSWERS).filter(|_| !*self.synced.borrow());
        [self.members.next_due(), self.bundles.next_due(), self.records.next_due(), first_answers]
            .into_iter()
            .flatten()
            .min()
    }
}
