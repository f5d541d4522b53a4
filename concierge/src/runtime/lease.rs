//! Leadership by a `coordination.k8s.io/v1` Lease: which replica writes shared objects.
//!
//! As client-go does it: others' clocks are never believed. A follower takes a lease over when it has *seen no change*
//! of it for the lease's duration on its own monotonic clock; a leader trusts its own leadership only for a part of that
//! time after the request that renewed it was sent. The data path needs no leader.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, api::PostParams};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::metrics::Metrics;
use crate::time::Clock;

/// How long a silent holder keeps the lease: client-go's default.
const LEASE_DURATION: Duration = Duration::from_secs(15);
/// How long after sending a successful renewal the holder believes in it: client-go's renew deadline. The 5 s between
/// are for writes still under way when it stops believing.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// How often the lease is looked at, and renewed by its holder. Three tries fit before the deadline.
const RETRY_PERIOD: Duration = Duration::from_secs(3);
/// Longest wait for one answer, so that a hung request does not cost the lease.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether this replica leads. Cheap to clone and to ask.
#[derive(Clone, Debug)]
pub struct Leadership(watch::Receiver<Option<Instant>>);

/// Holds the lease; one task for the life of the process.
pub struct Candidate {
    leases: Api<Lease>,
    name: String,
    identity: String,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    until: watch::Sender<Option<Instant>>,
}

/// What is known of the lease: what it said when it last changed, and when this replica saw that.
#[derive(Clone, Debug, PartialEq)]
struct Observation {
    spec: LeaseSpec,
    resource_version: Option<String>,
    /// On the monotonic clock, since this candidate started.
    changed_at: Duration,
}

/// What to do about the lease now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Move {
    /// There is none.
    Create,
    /// It is ours.
    Renew,
    /// It was given up, or its holder is silent for too long.
    Take,
    /// It is somebody else's.
    Wait,
}

/// The lease could not be read or written; the next try comes soon.
#[derive(Debug, thiserror::Error)]
enum LeaseError {
    #[error("lease request failed")]
    Request(#[from] kube::Error),
    #[error("no answer to a lease request within {} s", REQUEST_TIMEOUT.as_secs())]
    TimedOut,
}

/// A candidate for the lease `namespace/name`, known by `identity` (the pod's name), and the view of its success.
#[must_use]
pub fn candidate(
    client: Client,
    namespace: &str,
    name: &str,
    identity: &str,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
) -> (Candidate, Leadership) {
    let (until, receiver) = watch::channel(None);
    let candidate = Candidate {
        leases: Api::namespaced(client, namespace),
        name: name.to_owned(),
        identity: identity.to_owned(),
        clock,
        metrics,
        until,
    };
    (candidate, Leadership(receiver))
}

// === impl Leadership ===

impl Leadership {
    /// Whether this replica leads at this moment, even if the task that renews the lease hangs.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.0.borrow().is_some_and(|until| Instant::now() < until)
    }

    /// Waits until leadership is won, lost or renewed. Never returns once the candidate has ended: there is nothing more
    /// to learn then.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until this replica leads though it did not (`led` false), or the other way round. Renewals do not wake it: a
    /// timer beside it in a `select!` would be set anew every few seconds and never ring.
    pub async fn switched(&mut self, led: bool) {
        while self.is_leader() == led {
            self.changed().await;
        }
    }

    /// Waits until this replica leads.
    pub async fn won(&mut self) {
        while !self.is_leader() {
            self.changed().await;
        }
    }

    /// A leadership that never ends, for a process that is alone by construction (tests, the offline mode).
    #[must_use]
    pub fn alone() -> Self {
        let far_away = Duration::from_hours(24 * 365 * 30);
        Self(watch::channel(Some(Instant::now() + far_away)).1)
    }
}

// === impl Candidate ===

impl Candidate {
    /// Holds the lease or waits for it until `stop`, then gives it up so that the next need not wait.
    pub async fn hold(self, stop: CancellationToken) {
        let start = Instant::now();
        let mut seen = None;
        while !stop.is_cancelled() {
            let sent = Instant::now();
            match self.attempt(&mut seen, start).await {
                Ok(true) => self.publish(Some(sent + RENEW_DEADLINE)),
                Ok(false) => self.publish(None),
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "Lease not reached");
                    if self.until.borrow().is_some_and(|until| until <= Instant::now()) {
                        self.publish(None);
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = sleep(self.jittered(RETRY_PERIOD)) => {}
            }
        }
        let led = self.until.borrow().is_some();
        self.publish(None);
        if led {
            self.release(seen).await;
        }
    }

    fn publish(&self, until: Option<Instant>) {
        let led = self.until.borrow().is_some();
        if led != until.is_some() {
            tracing::info!(lease = %self.name, leader = until.is_some(), "Leadership changed");
            self.metrics.leader(until.is_some());
        }
        self.until.send_replace(until);
    }

    /// One look at the lease and one move; whether it is ours afterwards.
    async fn attempt(&self, seen: &mut Option<Observation>, start: Instant) -> Result<bool, LeaseError> {
        let found = bounded(self.leases.get_opt(&self.name)).await?;
        let now = start.elapsed();
        *seen = found.map(|lease| observe(seen.take(), lease, now));
        let wanted = decide(&self.identity, seen.as_ref(), now);
        let written = match wanted {
            Move::Wait => return Ok(false),
            Move::Create => {
                let lease = self.lease(None);
                bounded(self.leases.create(&PostParams::default(), &lease)).await
            }
            Move::Renew | Move::Take => {
                let lease = self.lease(seen.as_ref());
                bounded(self.leases.replace(&self.name, &PostParams::default(), &lease)).await
            }
        };
        match written {
            Ok(lease) => {
                *seen = Some(observe(None, lease, start.elapsed()));
                Ok(true)
            }
            // Somebody else was quicker.
            Err(LeaseError::Request(kube::Error::Api(status))) if status.code == 409 => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The lease as this candidate would hold it, built on what was last seen.
    fn lease(&self, seen: Option<&Observation>) -> Lease {
        let now = self.wall_clock();
        let before = seen.map(|seen| seen.spec.clone()).unwrap_or_default();
        let ours_already = before.holder_identity.as_deref() == Some(&self.identity);
        let transitions = before.lease_transitions.unwrap_or(0);
        Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                resource_version: seen.and_then(|seen| seen.resource_version.clone()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                acquire_time: if ours_already { before.acquire_time } else { Some(MicroTime(now)) },
                holder_identity: Some(self.identity.clone()),
                lease_duration_seconds: LEASE_DURATION.as_secs().try_into().ok(),
                lease_transitions: Some(if seen.is_some() && !ours_already { transitions + 1 } else { transitions }),
                renew_time: Some(MicroTime(now)),
                ..LeaseSpec::default()
            }),
        }
    }

    /// Empties the lease. Best effort: who misses it only waits the lease's duration.
    async fn release(&self, seen: Option<Observation>) {
        let mut lease = self.lease(seen.as_ref());
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
        }
        if let Err(error) = bounded(self.leases.replace(&self.name, &PostParams::default(), &lease)).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "Lease not released");
        }
    }

    fn wall_clock(&self) -> Timestamp {
        Timestamp::from_microsecond(self.clock.now().as_micros()).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Up to a fifth more, from the identity and the time, so that replicas started together do not ask together.
    fn jittered(&self, period: Duration) -> Duration {
        let seed = self.identity.bytes().fold(self.clock.now().as_micros().unsigned_abs(), |seed, byte| {
            seed.wrapping_mul(31).wrapping_add(u64::from(byte))
        });
        period + period / 5 * u32::try_from(seed % 100).unwrap_or(0) / 100
    }
}

async fn bounded<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, LeaseError> {
    timeout(REQUEST_TIMEOUT, request).await.map_err(|_| LeaseError::TimedOut)?.map_err(LeaseError::from)
}

/// What is known after reading `lease` at `now`: the change is dated when the content differs from what was seen before.
fn observe(before: Option<Observation>, lease: Lease, now: Duration) -> Observation {
    let spec = lease.spec.unwrap_or_default();
    let changed_at = before.filter(|before| before.spec == spec).map_or(now, |before| before.changed_at);
    Observation { spec, resource_version: lease.metadata.resource_version, changed_at }
}

fn decide(identity: &str, seen: Option<&Observation>, now: Duration) -> Move {
    let Some(seen) = seen else { return Move::Create };
    match seen.spec.holder_identity.as_deref() {
        None | Some("") => Move::Take,
        Some(holder) if holder == identity => Move::Renew,
        Some(_) => {
            // The holder's word counts, within reason: an absurd number must not lock everybody out.
            let stated = seen.spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
            let silent_for = Duration::from_secs(stated.unwrap_or(0)).clamp(LEASE_DURATION, LEASE_DURATION * 4);
            if now.saturating_sub(seen.changed_at) >= silent_for { Move::Take } else { Move::Wait }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(holder: Option<&str>, duration: Option<i32>, changed_at: u64) -> Observation {
        Observation {
            spec: LeaseSpec {
                holder_identity: holder.map(Into::into),
                lease_duration_seconds: duration,
                ..LeaseSpec::default()
            },
            resource_version: Some("1".into()),
            changed_at: Duration::from_secs(changed_at),
        }
    }

    #[test]
    fn each_situation_has_its_move() {
        for (name, observation, now, expected) in [
            ("no lease", None, 0, Move::Create),
            ("nobody's", Some(seen(None, None, 0)), 0, Move::Take),
            ("released", Some(seen(Some(""), Some(1), 0)), 0, Move::Take),
            ("ours", Some(seen(Some("me"), Some(15), 0)), 1_000, Move::Renew),
            ("another's, just seen", Some(seen(Some("you"), Some(15), 100)), 100, Move::Wait),
            ("another's, silent for 14 s", Some(seen(Some("you"), Some(15), 100)), 114, Move::Wait),
            ("another's, silent for 15 s", Some(seen(Some("you"), Some(15), 100)), 115, Move::Take),
            ("another's with a longer duration", Some(seen(Some("you"), Some(30), 100)), 115, Move::Wait),
            ("another's that claims to be shorter", Some(seen(Some("you"), Some(1), 100)), 105, Move::Wait),
            ("another's without a duration", Some(seen(Some("you"), None, 100)), 115, Move::Take),
            ("an absurd duration", Some(seen(Some("you"), Some(i32::MAX), 100)), 160, Move::Take),
            ("a negative duration", Some(seen(Some("you"), Some(-5), 100)), 114, Move::Wait),
        ] {
            assert_eq!(decide("me", observation.as_ref(), Duration::from_secs(now)), expected, "{name}");
        }
    }

    /// The holder's clock may be a century off: only a change of what it writes counts.
    #[test]
    fn a_renewal_is_a_change_whatever_time_it_names() {
        let lease = |micros| Lease {
            spec: Some(LeaseSpec {
                holder_identity: Some("you".into()),
                renew_time: Some(MicroTime(Timestamp::from_microsecond(micros).unwrap())),
                ..LeaseSpec::default()
            }),
            ..Lease::default()
        };
        let at = Duration::from_secs;
        let first = observe(None, lease(4_000_000_000_000_000), at(1));
        let same = observe(Some(first), lease(4_000_000_000_000_000), at(9));
        assert_eq!(same.changed_at, at(1));
        let backwards = observe(Some(same), lease(1), at(11));
        assert_eq!(backwards.changed_at, at(11));
    }

    #[test]
    fn a_holder_stops_believing_before_others_may_take_over() {
        assert!(RENEW_DEADLINE < LEASE_DURATION);
        assert!(RETRY_PERIOD * 6 / 5 * 2 < RENEW_DEADLINE, "two renewals may fail");
    }

    /// Else a retry in five seconds, beside renewals every three, would never come.
    #[tokio::test(start_paused = true)]
    async fn renewals_do_not_wake_who_waits_for_a_switch() {
        let soon = || Some(Instant::now() + RENEW_DEADLINE);
        let (until, receiver) = watch::channel(soon());
        let mut leadership = Leadership(receiver);
        let mut switched = std::pin::pin!(leadership.switched(true));
        for _ in 0..3 {
            until.send_replace(soon());
            assert!(futures::poll!(switched.as_mut()).is_pending());
        }
        until.send_replace(None);
        switched.await;
    }

    #[tokio::test(start_paused = true)]
    async fn leadership_ends_by_itself_when_nobody_renews_it() {
        let (sender, receiver) = watch::channel(Some(Instant::now() + RENEW_DEADLINE));
        let leadership = Leadership(receiver);
        assert!(leadership.is_leader());
        tokio::time::advance(RENEW_DEADLINE).await;
        assert!(!leadership.is_leader());
        drop(sender);
    }
}
