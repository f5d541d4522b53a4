//! Everything that is counted, behind typed methods, so that no label can ever be filled from a token or a header.

mod keys;

use std::{fmt, sync::Arc, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};

use self::keys::KeySeries;
pub use self::keys::KeysState;
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
    keys: KeySeries,
    webhook_asked: Family<Fetch, Counter>,
    webhook_seconds: Histogram,
    reviews_foreign: Counter,
    audit_dropped: Counter,
    authenticator_files_wrong: Gauge,
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
            keys: KeySeries::default(),
            webhook_asked: Family::default(),
            webhook_seconds: Histogram::new(EXCHANGE_BUCKETS),
            reviews_foreign: Counter::default(),
            audit_dropped: Counter::default(),
            authenticator_files_wrong: Gauge::default(),
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
        inner.keys.register(&mut registry);
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
            "reviews_foreign",
            "Tokens of no issuer of ours that the API server asked about; nothing else is known of them",
            inner.reviews_foreign.clone(),
        );
        registry.register(
            "audit_dropped",
            "Audit records of refusals that the sink could not take",
            inner.audit_dropped.clone(),
        );
        registry.register(
            "authenticator_files_wrong",
            "Problems with the files of --authenticators; what they held admits nobody",
            inner.authenticator_files_wrong.clone(),
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

    /// How the keys of `authenticator` stand. Their age is worked out whenever the metrics are read.
    pub fn keys(&self, authenticator: &str, state: KeysState) {
        self.0.keys.stand(authenticator, state);
    }

    /// A fetch for `authenticator` ended in `result`, a word of a closed list.
    pub fn keys_fetch(&self, authenticator: &str, result: &'static str) {
        self.0.keys.fetch.get_or_create(&Fetch { authenticator: authenticator.to_owned(), result }).inc();
    }

    /// A fetch for an unknown key id was not made, because one was made just before.
    pub fn keys_fetch_suppressed(&self) {
        self.0.keys.fetch_suppressed.inc();
    }

    /// `authenticator` is gone, and nothing is told of its keys any more.
    pub fn forget_authenticator(&self, authenticator: &str) {
        self.0.keys.forget(authenticator);
    }

    /// A token was judged for the API server: `code` is `accepted` or the reason code of its refusal. `authenticator` as
    /// with [`Self::exchange`].
    pub fn review(&self, code: &'static str, authenticator: &str) {
        let labels = Verdict { surface: "review", authenticator: authenticator.to_owned(), code };
        self.0.verdicts.get_or_create(&labels).inc();
    }

    /// The API server asked about a token of no issuer of ours.
    pub fn review_foreign(&self) {
        self.0.reviews_foreign.inc();
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

    /// So many things are wrong with the files that authenticators are read from.
    pub fn authenticator_files_wrong(&self, count: usize) {
        self.0.authenticator_files_wrong.set(i64::try_from(count).unwrap_or(i64::MAX));
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
        self.0.keys.grow_old(now);
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = text::encode(&mut text, &self.0.registry);
        text
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
