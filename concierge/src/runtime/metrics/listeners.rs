//! What comes in by the listeners: connections, handshakes, requests.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

use super::{Metrics, series::Series};

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

/// The series.
#[derive(Default)]
pub(super) struct ListenerSeries {
    requests: Series<Request, Counter>,
    requests_shed: Counter,
    connections: Gauge,
    accept_errors: Counter,
    handshake_failures: Series<Cause, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct Request {
    route: &'static str,
    status: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct Cause {
    cause: &'static str,
}

impl ListenerSeries {
    /// Names every series.
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("requests", "Requests to the aggregated API, by route and status", self.requests.clone());
        registry.register(
            "requests_shed",
            "Requests answered 429 because too many were in flight",
            self.requests_shed.clone(),
        );
        registry.register("connections", "Open connections, all listeners together", self.connections.clone());
        registry.register(
            "accept_errors",
            "Times the operating system refused to hand over a connection",
            self.accept_errors.clone(),
        );
        registry.register(
            "tls_handshake_failures",
            "TLS handshakes that came to nothing, by cause",
            self.handshake_failures.clone(),
        );
    }
}

impl Metrics {
    /// One request was answered. `route` is a template of the router, never a path as sent.
    pub fn request(&self, route: &'static str, status: u16) {
        self.0.listeners.requests.with(&Request { route, status: u32::from(status) }, Counter::inc);
    }

    /// One request was answered 429.
    pub fn request_shed(&self) {
        self.0.listeners.requests_shed.inc();
    }

    /// One more (`+1`) or one less (`-1`) open connection.
    pub fn connections(&self, change: i64) {
        self.0.listeners.connections.inc_by(change);
    }

    /// The operating system refused to hand over a connection.
    pub fn accept_error(&self) {
        self.0.listeners.accept_errors.inc();
    }

    /// A TLS handshake came to nothing.
    pub fn handshake_failure(&self, failure: HandshakeFailure) {
        let cause = match failure {
            HandshakeFailure::NoCertificate => "no-certificate",
            HandshakeFailure::Protocol => "protocol",
            HandshakeFailure::TimedOut => "timed-out",
        };
        self.0.listeners.handshake_failures.with(&Cause { cause }, Counter::inc);
    }
}
