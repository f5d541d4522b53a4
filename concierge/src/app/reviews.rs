//! The `TokenReview` listener: the only one that a concierge without an API server has.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{
    ground::{Ground, listen},
    judges::Judges,
};
use crate::{
    audit::{rejections::Rejections, sink::AuditLog},
    config::Review,
    review::{
        self, AllowedCallers,
        files::{Files, Loaded},
    },
    runtime::metrics::Metrics,
    tls::server::ServingCertificate,
};

/// The listener, not yet serving.
pub(super) struct Prepared {
    listener: TcpListener,
    loaded: Loaded,
    names: Vec<String>,
}

/// Takes the port and reads the files.
pub(super) async fn prepare(config: Option<Review>, metrics: &Metrics) -> Result<Option<Prepared>, anyhow::Error> {
    let Some(config) = config else {
        tracing::info!("No TokenReview listener: --review-client-ca-file does not say who may ask");
        return Ok(None);
    };
    let listener = listen(config.address, "TokenReview").await?;
    let files = Files { client_ca: config.client_ca_file, serving: config.serving };
    let loaded = files.load(metrics.clone()).await.context("reading the files of the TokenReview listener")?;
    Ok(Some(Prepared { listener, loaded, names: config.client_names }))
}

/// Holds a configuration against what can be had without an API server.
pub(super) fn check_standalone(review: Option<&Review>) -> Result<(), anyhow::Error> {
    let Some(review) = review else {
        anyhow::bail!(
            "without an API server the concierge does nothing but answer TokenReviews: say by --review-client-ca-file \
             who may ask, or give --kubeconfig"
        );
    };
    ensure!(
        review.serving.is_some(),
        "without an API server nothing makes and keeps a certificate for the TokenReview listener: give \
         --review-tls-cert-file and --review-tls-key-file, or --kubeconfig"
    );
    Ok(())
}

/// Serves. `certificate` is what to show where the files hold none.
pub(super) fn serve(
    ground: &mut Ground<'_>,
    prepared: Prepared,
    certificate: Option<ServingCertificate>,
    judges: &Judges,
    audit: &AuditLog,
    rejections: Rejections,
) -> Result<(), anyhow::Error> {
    let Prepared { listener, loaded: Loaded { pool, serving, watcher }, names } = prepared;
    let Judges { index, refresh, verdicts } = judges.clone();
    let settings = review::Settings {
        callers: AllowedCallers::new(pool, names),
        index,
        refresh,
        verdicts,
        audit: audit.clone(),
        rejections,
        metrics: ground.metrics.clone(),
        clock: Arc::clone(&ground.clock),
    };
    let end = ground.stop.draining();
    ground.spawn("review-files", watcher.run(end));
    let certificate = serving.or(certificate).context("there is no certificate for the TokenReview listener")?;
    // Nobody waits for its last connection.
    ground.serve("review", listener, certificate, review::router(settings), CancellationToken::new())
}
