//! Everything that is counted, behind typed methods, so that no label can ever be filled from a token or a header.
//!
//! | file | counts |
//! |---|---|
//! | `tokens` | tokens judged, tokens of other clusters, who is ready to judge |
//! | `keys` | the keys of issuers |
//! | `audit` | what the sinks of the audit log wrote and lost |
//! | `listeners` | connections, handshakes, requests |
//! | `cluster` | leadership, certificates, the fleet list, objects of ours |
//!
//! What alerts and the dashboard read of it: `deploy/monitoring/`. Two rules keep them honest: a counter that somebody
//! waits for stands at zero before it first counts, and what is gone is no longer shown.

mod audit;
mod cluster;
mod exposition;
mod keys;
mod listeners;
mod series;
mod tokens;

use std::{fmt, sync::Arc};

use prometheus_client::{
    encoding::text,
    metrics::{counter::Counter, info::Info},
    registry::Registry,
};

use self::{
    audit::AuditSeries, cluster::ClusterSeries, keys::KeySeries, listeners::ListenerSeries, series::Sometimes,
    tokens::TokenSeries,
};
pub use self::{keys::KeysState, listeners::HandshakeFailure};
use crate::time::UnixTime;

/// The counters of one process. Cheap to clone: all clones count into the same registry.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    tokens: TokenSeries,
    keys: KeySeries,
    audit: AuditSeries,
    listeners: ListenerSeries,
    cluster: ClusterSeries,
    panics: Counter,
    started: Sometimes,
}

// === impl Metrics ===

impl Metrics {
    /// A registry in which every series without labels stands at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut inner = Inner {
            registry: Registry::default(),
            tokens: TokenSeries::default(),
            keys: KeySeries::default(),
            audit: AuditSeries::default(),
            listeners: ListenerSeries::default(),
            cluster: ClusterSeries::default(),
            panics: Counter::default(),
            started: Sometimes::default(),
        };
        // The one name without our prefix, because every dashboard of processes knows it.
        inner.registry.register("process_start_time_seconds", "When this process started", inner.started.clone());
        let ours = inner.registry.sub_registry_with_prefix("latchkey");
        ours.register(
            "build",
            "Which version of the concierge this is",
            Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]),
        );
        inner.tokens.register(ours);
        inner.keys.register(ours);
        inner.audit.register(ours);
        inner.listeners.register(ours);
        inner.cluster.register(ours);
        ours.register("panics", "Bugs: panics that were caught", inner.panics.clone());
        Self(Arc::new(inner))
    }

    /// The process started at `at`. Alerts need it to tell a counter that began at one from one that was at one already.
    pub fn started(&self, at: UnixTime) {
        self.0.started.set(at.as_secs());
    }

    /// `authenticator` (`webhook/` and the name, for that kind) is gone, and nothing is told of it any more.
    pub fn forget_authenticator(&self, authenticator: &str) {
        self.0.keys.forget(authenticator);
        self.0.tokens.forget(authenticator);
    }

    /// A panic was caught.
    pub fn panic(&self) {
        self.0.panics.inc();
    }

    /// All series in the `OpenMetrics` text format, ages as of `now`.
    #[must_use]
    pub fn encode(&self, now: UnixTime) -> String {
        self.0.keys.grow_old(now);
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = text::encode(&mut text, &self.0.registry);
        text
    }

    /// [`Self::encode`] in Prometheus' older text format.
    #[must_use]
    pub fn encode_classic(&self, now: UnixTime) -> String {
        exposition::classic(&self.encode(now))
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speaks_both_formats() {
        let metrics = Metrics::new();
        metrics.started(UnixTime::from_secs(1_795_222_923));
        let text = metrics.encode(UnixTime::from_secs(0));
        assert!(text.ends_with("# EOF\n"), "{text}");
        for text in [text, metrics.encode_classic(UnixTime::from_secs(0))] {
            assert!(text.contains("\nprocess_start_time_seconds 1795222923\n"), "{text}");
            assert!(text.contains("\nlatchkey_panics_total 0\n"), "{text}");
            assert!(text.contains("\nlatchkey_build_info{version="), "{text}");
        }
    }

    /// Names of authenticators and clusters are checked where they are read; should one ever hold more than a name may,
    /// it still cannot begin a line of its own.
    #[test]
    fn a_hostile_name_stays_in_its_label() {
        let metrics = Metrics::new();
        metrics.cross_cluster("staff", "x\"} 1\nlatchkey_panics_total 99\n\\", "live");
        for text in [metrics.encode(UnixTime::from_secs(0)), metrics.encode_classic(UnixTime::from_secs(0))] {
            assert!(
                text.contains(r#"claimed_cluster="x\"} 1\nlatchkey_panics_total 99\n\\",state="live"} 1"#),
                "{text}"
            );
            assert!(!text.lines().any(|line| line == "latchkey_panics_total 99"), "{text}");
        }
    }
}
