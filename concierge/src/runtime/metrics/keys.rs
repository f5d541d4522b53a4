//! How the keys of issuers stand: one set of series for each authenticator.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::{Fetch, OfAuthenticator};
use crate::time::UnixTime;

/// The keys of one authenticator at one moment. What does not apply is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeysState {
    /// How many are in use.
    pub usable: usize,
    /// How many keys there are in the set whose secret part everybody can read.
    pub exposed: usize,
    /// When they were last fetched with success.
    pub fetched_at: Option<UnixTime>,
    /// When they are fetched next.
    pub next_fetch_at: Option<UnixTime>,
    /// Since when fetches fail.
    pub failing_since: Option<UnixTime>,
}

/// The series, and the states that ages are worked out from.
#[derive(Default)]
pub(super) struct KeySeries {
    age: Family<OfAuthenticator, Gauge>,
    next_fetch: Family<OfAuthenticator, Gauge>,
    failing_since: Family<OfAuthenticator, Gauge>,
    usable: Family<OfAuthenticator, Gauge>,
    exposed: Family<OfAuthenticator, Gauge>,
    known: Mutex<HashMap<String, KeysState>>,
    pub(super) fetch: Family<Fetch, Counter>,
    pub(super) fetch_suppressed: Counter,
}

impl KeySeries {
    /// Names every series.
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "keys_age_seconds",
            "Time since the key set of an authenticator was last fetched from its issuer",
            self.age.clone(),
        );
        registry.register(
            "keys_next_fetch_timestamp_seconds",
            "When the key set of an authenticator is fetched next",
            self.next_fetch.clone(),
        );
        registry.register(
            "keys_failing_since_timestamp_seconds",
            "Since when the key set of an authenticator cannot be fetched; absent while it can",
            self.failing_since.clone(),
        );
        registry.register("keys_usable", "Keys of an authenticator that are in use", self.usable.clone());
        registry.register(
            "keys_exposed",
            "Keys whose secret part the issuer of an authenticator publishes: an alarm",
            self.exposed.clone(),
        );
        registry.register(
            "keys_fetch",
            "Fetches that the keys of an authenticator hung on, by result; one fetch serves all authenticators of its source",
            self.fetch.clone(),
        );
        registry.register(
            "keys_fetch_suppressed",
            "Fetches for an unknown key id that were not made because one was made just before",
            self.fetch_suppressed.clone(),
        );
    }

    /// Shows how the keys of `authenticator` stand.
    pub(super) fn stand(&self, authenticator: &str, state: KeysState) {
        let of = OfAuthenticator { authenticator: authenticator.to_owned() };
        let (mut known, time) = (self.known(), |at: UnixTime| at.as_secs());
        set(&self.next_fetch, &of, state.next_fetch_at.map(time));
        set(&self.failing_since, &of, state.failing_since.map(time));
        set(&self.usable, &of, i64::try_from(state.usable).ok());
        set(&self.exposed, &of, i64::try_from(state.exposed).ok());
        if state.fetched_at.is_none() {
            self.age.remove(&of);
        }
        known.insert(of.authenticator, state);
    }

    /// Shows nothing of `authenticator` any more.
    pub(super) fn forget(&self, authenticator: &str) {
        let of = OfAuthenticator { authenticator: authenticator.to_owned() };
        let mut known = self.known();
        known.remove(authenticator);
        for gauges in [&self.age, &self.next_fetch, &self.failing_since, &self.usable, &self.exposed] {
            gauges.remove(&of);
        }
    }

    /// Shows ages as of `now`.
    pub(super) fn grow_old(&self, now: UnixTime) {
        for (authenticator, state) in self.known().iter() {
            let Some(at) = state.fetched_at else { continue };
            let seconds = i64::try_from(now.since(at).as_secs()).unwrap_or(i64::MAX);
            self.age.get_or_create(&OfAuthenticator { authenticator: authenticator.clone() }).set(seconds);
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, KeysState>> {
        // A poisoned map is still a map of times.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A series that does not apply is absent, not zero.
fn set(gauges: &Family<OfAuthenticator, Gauge>, of: &OfAuthenticator, value: Option<i64>) {
    match value {
        Some(value) => drop(gauges.get_or_create(of).set(value)),
        None => drop(gauges.remove(of)),
    }
}
