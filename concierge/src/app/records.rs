//! The parts that start first and end last: the audit log, and the listener of probes and metrics.

use std::sync::Arc;

use anyhow::Context as _;
use axum::routing::get;
use http::header;
use tokio::net::TcpListener;

use super::ground::Ground;
use crate::{
    audit::sink::{AuditLog, Destination, Sink},
    controllers::authenticators::Conditions,
    runtime::{
        admin::{self, Admin},
        http_server::{self, Limits, Plain},
    },
};

/// Opens the audit log.
pub(super) async fn audit(
    ground: &mut Ground<'_>,
    destination: &Destination,
    cluster: String,
    replica: String,
) -> Result<AuditLog, anyhow::Error> {
    let (audit, sink) = Sink::open(destination, cluster, replica, Arc::clone(&ground.clock))
        .await
        .with_context(|| format!("opening the audit log {destination:?}"))?;
    ground.last.spawn("audit", async move { sink.run().await.context("writing the audit log") });
    Ok(audit)
}

/// Serves probes, metrics and, of authenticators that have no status in the API, their conditions.
pub(super) fn admin(ground: &mut Ground<'_>, listener: TcpListener, conditions: Option<Conditions>) {
    let admin = Admin {
        readiness: ground.readiness.clone(),
        metrics: ground.metrics.clone(),
        clock: Arc::clone(&ground.clock),
    };
    let mut router = admin::router(admin);
    if let Some(conditions) = conditions {
        let page = async move || ([(header::CONTENT_TYPE, "application/json")], conditions.to_string());
        router = router.route("/authenticators", get(page));
    }
    let (limits, metrics, end) = (Limits::default(), ground.metrics.clone(), ground.stop.finishing());
    ground.last.spawn("admin", async move {
        http_server::serve(listener, Plain, router, limits, metrics, end).await;
        Ok(())
    });
}
