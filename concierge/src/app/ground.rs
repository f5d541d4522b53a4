//! What every part of the process stands on, and how a part starts its tasks.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context as _;
use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    runtime::{
        http_server::{self, Limits},
        metrics::Metrics,
        readiness::Readiness,
        shutdown::{Stop, Tasks},
    },
    time::Clock,
    tls::server::{ServingCertificate, Tls},
};

/// The ground.
pub(super) struct Ground<'a> {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Metrics,
    pub(super) readiness: Readiness,
    pub(super) stop: &'a Stop,
    /// Tasks that end when the process takes no new work.
    pub(super) tasks: &'a mut Tasks,
    /// Tasks that run to the very end.
    pub(super) last: &'a mut Tasks,
}

impl Ground<'_> {
    /// Starts a task that ends only when it is told to.
    pub(super) fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(name, async move {
            task.await;
            Ok(())
        });
    }

    /// Serves `router` over TLS until the process drains; `served` is cancelled when the last connection has ended.
    pub(super) fn serve(
        &mut self,
        name: &'static str,
        listener: TcpListener,
        certificate: ServingCertificate,
        router: Router,
        served: CancellationToken,
    ) -> Result<(), anyhow::Error> {
        let tls = Tls::new(certificate).context("preparing TLS")?;
        let (metrics, end) = (self.metrics.clone(), self.stop.draining());
        let served = served.drop_guard();
        self.spawn(name, async move {
            http_server::serve(listener, tls, router, Limits::default(), metrics, end).await;
            drop(served);
        });
        Ok(())
    }
}

/// Takes a port.
pub(super) async fn listen(address: SocketAddr, name: &'static str) -> Result<TcpListener, anyhow::Error> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("listening for {name} on {address}"))?;
    let address = listener.local_addr().with_context(|| format!("reading the address of {name}"))?;
    tracing::info!(%address, listener = name, "Listening");
    Ok(listener)
}

/// A condition of readiness: what is missing, unless it `holds`.
pub(super) fn said(holds: bool, missing: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(missing.to_owned()) }
}
