//! The parts that start first and end last: the audit log, and the listener of probes and metrics.

use std::sync::Arc;

use anyhow::Context as _;
use axum::routing::get;
use http::header;
use tokio::net::TcpListener;

use super::{ground::Ground, seals::Seals};
use crate::{
    audit::{
        chain::Identity,
        sink::{AuditLog, Settings, Sinks, next_life},
    },
    config::Audit,
    controllers::{audit_heads::Notes, authenticators::Conditions},
    runtime::{
        admin::{self, Admin},
        http_server::{self, Limits, Plain},
    },
};

/// What is signed of the log, to be shown to other replicas.
pub(super) struct Heads {
    pub(super) identity: Identity,
    pub(super) notes: Vec<Notes>,
}

/// Opens the audit log.
pub(super) async fn audit(
    ground: &mut Ground<'_>,
    audit: Audit,
    seals: &Seals,
    cluster: String,
    replica: String,
) -> Result<(AuditLog, Heads), anyhow::Error> {
    let Audit { sinks, fsync, checkpoint_every } = audit;
    let millis = ground.clock.now().as_micros() / 1_000;
    let millis = u64::try_from(millis).context("the clock stands before 1970")?;
    let life = next_life(&sinks, millis).await.context("looking for what is left of the audit log")?;
    let identity = Identity { cluster, replica, life };
    let settings = Settings {
        sinks,
        fsync,
        checkpoint_every,
        privacy: seals.privacy.subscribe(),
        keys: seals.keys.subscribe(),
        metrics: ground.metrics.clone(),
        others: seals.others.subscribe(),
        ..Settings::new(identity.clone(), Vec::new(), Arc::clone(&ground.clock))
    };
    let (audit, sinks) = Sinks::open(settings).await.context("opening the audit log")?;
    let heads = Heads { identity, notes: sinks.notes() };
    // Every task that records has ended by then; one that has not must not keep the last lines from being written.
    let end = ground.stop.finishing();
    ground.last.spawn("audit", async move { sinks.run(end).await.context("writing the audit log") });
    Ok((audit, heads))
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
