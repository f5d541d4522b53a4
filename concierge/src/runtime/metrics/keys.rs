//! How the keys of issuers stand: one set of series for each authenticator.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::{Metrics, series::Series};
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
    fetch: Series<Fetch, Counter>,
    fetch_suppressed: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfAuthenticator {
    authenticator: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct Fetch {
    authenticator: String,
    result: &'static str,
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
        self.fetch.retain(|labels| labels.authenticator != authenticator);
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

impl Metrics {
    /// How the keys of `authenticator` stand. Their age is worked out whenever the metrics are read.
    pub fn keys(&self, authenticator: &str, state: KeysState) {
        self.0.keys.stand(authenticator, state);
    }

    /// A fetch for `authenticator` ended in `result`, a word of a closed list.
    pub fn keys_fetch(&self, authenticator: &str, result: &'static str) {
        self.0.keys.fetch.with(&Fetch { authenticator: authenticator.to_owned(), result }, Counter::inc);
    }

    /// A fetch for an unknown key id was not made, because one was made just before.
    pub fn keys_fetch_suppressed(&self) {
        self.0.keys.fetch_suppressed.inc();
    }
}

/// A series that does not apply is absent, not zero.
fn set(gauges: &Family<OfAuthenticator, Gauge>, of: &OfAuthenticator, value: Option<i64>) {
    match value {
        Some(value) => drop(gauges.get_or_create(of).set(value)),
        None => drop(gauges.remove(of)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_how_keys_stand_as_of_now_and_forgets_them() {
        let metrics = Metrics::new();
        let at = UnixTime::from_secs;
        let working = KeysState {
            usable: 2,
            fetched_at: Some(at(1_000)),
            next_fetch_at: Some(at(1_240)),
            ..KeysState::default()
        };
        metrics.keys("staff", working);
        let has = |now: i64, line: &str| metrics.encode(at(now)).lines().any(|found| found == line);
        assert!(has(1_030, r#"latchkey_keys_age_seconds{authenticator="staff"} 30"#));
        assert!(has(1_090, r#"latchkey_keys_age_seconds{authenticator="staff"} 90"#));
        assert!(has(1_090, r#"latchkey_keys_next_fetch_timestamp_seconds{authenticator="staff"} 1240"#));
        assert!(has(1_090, r#"latchkey_keys_usable{authenticator="staff"} 2"#));
        assert!(has(1_090, r#"latchkey_keys_exposed{authenticator="staff"} 0"#));
        let failing = r#"latchkey_keys_failing_since_timestamp_seconds{authenticator="staff"} 1250"#;
        assert!(!metrics.encode(at(0)).contains("keys_failing_since_timestamp_seconds{"));
        metrics.keys("staff", KeysState { failing_since: Some(at(1_250)), ..working });
        assert!(has(1_300, failing));
        metrics.keys("staff", KeysState { usable: 0, fetched_at: None, ..working });
        assert!(!has(1_300, failing));
        assert!(!metrics.encode(at(0)).contains("keys_age_seconds{"), "no keys, no age");
        metrics.forget_authenticator("staff");
        assert!(!metrics.encode(at(1_090)).contains("staff"));
    }
}
