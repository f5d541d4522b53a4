//! Plumbing without domain words: readiness, stopping, lease, logs, metrics, probes, and serving HTTP within limits.

pub mod admin;
pub mod http_server;
pub mod lease;
pub mod metrics;
pub mod readiness;
pub mod shutdown;
pub mod telemetry;
