//! Everything that is counted, behind typed methods, so that no label can ever be filled from a token or a header.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};

use crate::time::UnixTime;

/// The counters of one process. Cheap to clone: all clones count into the same registry.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

/// Why a TLS handshake came to nothing. A closed list, because it is a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeFailure {
    /// No serving certificate has been loaded yet.
    NoCertificate,
    /// The peer broke the protocol, refused our certificate, or spoke no TLS.
    Protocol,
    /// The peer did not finish within the deadline.
    TimedOut,
}

struct Inner {
    registry: Registry,
    verdicts: Family<Verdict, Counter>,
    exchange_seconds: Histogram,
    keys_age: Family<OfAuthenticator, Gauge>,
    keys_fetched_at: Mutex<HashMap<String, UnixTime>>,
    keys_fetch: Family<Fetch, Counter>,
    keys_fetch_suppressed: Counter,
    webhook_asked: Family<Fetch, Counter>,
    webhook_seconds: Histogram,
    audit_dropped: Counter,
    leader: Gauge,
    csr_in_flight: Gauge,
    requests: Family<Request, Counter>,
    requests_shed: Counter,
    connections: Gauge,
    accept_errors: Counter,
    handshake_failures: Family<Cause, Counter>,
    panics: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Verdict {
    surface: &'static str,
    authenticator: String,
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfAuthenticator {
    authenticator: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Fetch {
    authenticator: String,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    route: &'static str,
    status: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Cause {
    cause: &'static str,
}

/// Seconds. An exchange with our own CA takes well under a millisecond; one by the cluster's signer tens to hundreds;
/// the last bounds stand around the request deadline.
const EXCHANGE_BUCKETS: [f64; 14] =
    [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0];

// === impl Metrics ===

impl Metrics {
    /// A registry in which every series of ours stands at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("latchkey");
        let inner = Inner {
            verdicts: Family::default(),
            exchange_seconds: Histogram::new(EXCHANGE_BUCKETS),
            keys_age: Family::default(),
            keys_fetched_at: Mutex::default(),
            keys_fetch: Family::default(),
            keys_fetch_suppressed: Counter::default(),
            webhook_asked: Family::default(),
            webhook_seconds: Histogram::new(EXCHANGE_BUCKETS),
            audit_dropped: Counter::default(),
            leader: Gauge::default(),
            csr_in_flight: Gauge::default(),
            requests: Family::default(),
            requests_shed: Counter::default(),
            connections: Gauge::default(),
            accept_errors: Counter::default(),
            handshake_failures: Family::default(),
            panics: Counter::default(),
            registry: Registry::default(),
        };
        registry.register(
            "build",
            "Which version of the concierge this is",
            Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]),
        );
        registry.register(
            "token_verdicts",
            "Tokens judged, by surface, authenticator and reason code (granted, or why not)",
            inner.verdicts.clone(),
        );
        registry.register(
            "exchange_seconds",
            "Time from the parsed exchange request to its recorded answer",
            inner.exchange_seconds.clone(),
        );
        registry.register(
            "keys_age_seconds",
            "Time since the key set of an authenticator was last fetched from its issuer",
            inner.keys_age.clone(),
        );
        registry.register("keys_fetch", "Fetches of key sets, by authenticator and result", inner.keys_fetch.clone());
        registry.register(
            "keys_fetch_suppressed",
            "Fetches for an unknown key id that were not made because one was made just before",
            inner.keys_fetch_suppressed.clone(),
        );
        registry.register(
            "webhook_asked",
            "Questions to the servers of WebhookAuthenticators, by authenticator and result",
            inner.webhook_asked.clone(),
        );
        registry.register(
            "webhook_seconds",
            "Time that the servers of WebhookAuthenticators took to answer, tries included",
            inner.webhook_seconds.clone(),
        );
        registry.register(
            "audit_dropped",
            "Audit records of refusals that the sink could not take",
            inner.audit_dropped.clone(),
        );
        registry.register("leader", "1 while this replica holds the lease of the writers", inner.leader.clone());
        registry.register(
            "csr_in_flight",
            "CertificateSigningRequests that wait for the cluster's signer",
            inner.csr_in_flight.clone(),
        );
        registry.register("requests", "Requests to the aggregated API, by route and status", inner.requests.clone());
        registry.register(
            "requests_shed",
            "Requests answered 429 because too many were in flight",
            inner.requests_shed.clone(),
        );
        registry.register("connections", "Open connections, all listeners together", inner.connections.clone());
        registry.register(
            "accept_errors",
            "Times the operating system refused to hand over a connection",
            inner.accept_errors.clone(),
        );
        registry.register(
            "tls_handshake_failures",
            "TLS handshakes that came to nothing, by cause",
            inner.handshake_failures.clone(),
        );
        registry.register("panics", "Bugs: panics that were caught", inner.panics.clone());
        Self(Arc::new(Inner { registry, ..inner }))
    }

    /// One exchange was decided: `code` is `granted` or the reason code of its refusal. `authenticator` must be the
    /// name of an existing authenticator (`webhook/` and the name, for that kind), else empty: a made-up name would be a series of its own.
    pub fn exchange(&self, code: &'static str, authenticator: &str, latency: Duration) {
        let labels = Verdict { surface: "exchange", authenticator: authenticator.to_owned(), code };
        self.0.verdicts.get_or_create(&labels).inc();
        self.0.exchange_seconds.observe(latency.as_secs_f64());
    }

    /// The key set of `authenticator` was fetched at `at`. Its age is worked out whenever the metrics are read.
    pub fn keys_fetched(&self, authenticator: &str, at: UnixTime) {
        self.fetched_at().insert(authenticator.to_owned(), at);
    }

    /// A fetch for `authenticator` ended in `result`, a word of a closed list.
    pub fn keys_fetch(&self, authenticator: &str, result: &'static str) {
        self.0.keys_fetch.get_or_create(&Fetch { authenticator: authenticator.to_owned(), result }).inc();
    }

    /// A fetch for an unknown key id was not made, because one was made just before.
    pub fn keys_fetch_suppressed(&self) {
        self.0.keys_fetch_suppressed.inc();
    }

    /// `authenticator` has no keys, so they have no age.
    pub fn no_keys(&self, authenticator: &str) {
        self.fetched_at().remove(authenticator);
        self.0.keys_age.remove(&OfAuthenticator { authenticator: authenticator.to_owned() });
    }

    /// The server of the `WebhookAuthenticator` named `authenticator` was asked, with `result`, a word of a closed list.
    pub fn webhook_asked(&self, authenticator: &str, result: &'static str, latency: Duration) {
        self.0.webhook_asked.get_or_create(&Fetch { authenticator: authenticator.to_owned(), result }).inc();
        self.0.webhook_seconds.observe(latency.as_secs_f64());
    }

    /// `count` audit records of refusals were lost.
    pub fn audit_dropped(&self, count: u64) {
        self.0.audit_dropped.inc_by(count);
    }

    /// Whether this replica holds the lease of the writers.
    pub fn leader(&self, leads: bool) {
        self.0.leader.set(i64::from(leads));
    }

    /// One more (`+1`) or one less (`-1`) `CertificateSigningRequest` waits for the cluster's signer.
    pub fn csr_in_flight(&self, change: i64) {
        self.0.csr_in_flight.inc_by(change);
    }

    /// One request was answered. `route` is a template of the router, never a path as sent.
    pub fn request(&self, route: &'static str, status: u16) {
        self.0.requests.get_or_create(&Request { route, status: u32::from(status) }).inc();
    }

    /// One request was answered 429.
    pub fn request_shed(&self) {
        self.0.requests_shed.inc();
    }

    /// One more (`+1`) or one less (`-1`) open connection.
    pub fn connections(&self, change: i64) {
        self.0.connections.inc_by(change);
    }

    /// The operating system refused to hand over a connection.
    pub fn accept_error(&self) {
        self.0.accept_errors.inc();
    }

    /// A TLS handshake came to nothing.
    pub fn handshake_failure(&self, failure: HandshakeFailure) {
        let cause = match failure {
            HandshakeFailure::NoCertificate => "no-certificate",
            HandshakeFailure::Protocol => "protocol",
            HandshakeFailure::TimedOut => "timed-out",
        };
        self.0.handshake_failures.get_or_create(&Cause { cause }).inc();
    }

    /// A panic was caught.
    pub fn panic(&self) {
        self.0.panics.inc();
    }

    /// All series in the `OpenMetrics` text format, ages as of `now`.
    #[must_use]
    pub fn encode(&self, now: UnixTime) -> String {
        for (authenticator, at) in self.fetched_at().iter() {
            let seconds = i64::try_from(now.since(*at).as_secs()).unwrap_or(i64::MAX);
            self.0.keys_age.get_or_create(&OfAuthenticator { authenticator: authenticator.clone() }).set(seconds);
        }
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = text::encode(&mut text, &self.0.registry);
        text
    }

    fn fetched_at(&self) -> MutexGuard<'_, HashMap<String, UnixTime>> {
        // A poisoned map is still a map of times.
        self.0.keys_fetched_at.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn counts_exchanges_by_code_and_authenticator() {
        let metrics = Metrics::new();
        metrics.exchange("granted", "staff", Duration::from_millis(3));
        metrics.exchange("granted", "staff", Duration::from_millis(3));
        metrics.exchange("audience-mismatch", "staff", Duration::from_millis(1));
        let text = metrics.encode(UnixTime::from_secs(0));
        let series = r#"latchkey_token_verdicts_total{surface="exchange",authenticator="staff",code="#;
        assert!(text.contains(&format!("{series}\"granted\"}} 2\n")), "{text}");
        assert!(text.contains(&format!("{series}\"audience-mismatch\"}} 1\n")), "{text}");
        assert!(text.contains("latchkey_exchange_seconds_count 3\n"), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }

    #[test]
    fn shows_key_ages_as_of_now_and_forgets_them() {
        let metrics = Metrics::new();
        metrics.keys_fetched("staff", UnixTime::from_secs(1_000));
        let series = r#"latchkey_keys_age_seconds{authenticator="staff"} "#;
        assert!(metrics.encode(UnixTime::from_secs(1_030)).contains(&format!("{series}30\n")));
        assert!(metrics.encode(UnixTime::from_secs(1_090)).contains(&format!("{series}90\n")));
        metrics.no_keys("staff");
        assert!(!metrics.encode(UnixTime::from_secs(1_090)).contains(series));
    }
}
