//! Makes every part and starts every task, in the order of dependence.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use tokio_util::task::TaskTracker;

use super::{
    cluster::{Cluster, Names},
    connection,
    ground::{Ground, listen},
    judges, records, refusals, reviews,
    seals::Seals,
    system_clock::SystemClock,
};
use crate::{
    config::Config,
    runtime::{
        lease::Leadership,
        metrics::Metrics,
        readiness::Readiness,
        shutdown::{Stop, Tasks},
    },
    time::Clock as _,
};

/// What every part is told by. The tasks are those that end with the drain, and those that run to the very end.
pub(super) async fn start(
    config: Config,
    metrics: Metrics,
    stop: &Stop,
    work: &TaskTracker,
    tasks: &mut Tasks,
    last: &mut Tasks,
) -> Result<Readiness, anyhow::Error> {
    let way = connection::way(&config);
    let Config {
        cluster_name,
        api_group_suffix: suffix,
        namespace,
        replica,
        aggregated_api_address,
        aggregated_api_certificate,
        admin_address,
        review,
        audit,
        audit_keys,
        authenticators,
        credential_issuer,
        api_service_name: api_service,
        kubeconfig: _,
        proxies,
        log: _,
        shutdown_grace: _,
        token_rejection_lifetime,
    } = config;
    let readiness = Readiness::new();
    let clock = Arc::new(SystemClock);
    metrics.started(clock.now());
    let mut ground = Ground { clock, metrics, readiness: readiness.clone(), stop, tasks, last };
    if way.is_none() {
        reviews::check_standalone(review.as_ref())?;
        ensure!(
            aggregated_api_certificate.is_none(),
            "--aggregated-api-tls-cert-file: without an API server there is no aggregated API; give the certificate by \
             --review-tls-cert-file, or reach an API server by --kubeconfig"
        );
        tracing::info!(
            "No API server: neither --kubeconfig nor a service account. Only TokenReviews are answered, no certificate is \
             given, no status is written and no key is kept"
        );
    }

    // Listen first: a port that is taken should be the first thing that is said.
    let admin_listener = listen(admin_address, "admin").await?;
    let api_listener = match way {
        Some(_) => Some(listen(aggregated_api_address, "aggregated API").await?),
        None => None,
    };
    let certificate = match aggregated_api_certificate {
        Some(files) => {
            let loaded = files.load(Arc::clone(&ground.clock), ground.metrics.clone()).await;
            Some(loaded.context("reading the files of the aggregated API's certificate")?)
        }
        None => None,
    };
    let review = reviews::prepare(review, &ground.metrics).await?;
    let (files, conditions) = judges::folder(authenticators).await?;
    let cluster = cluster_name.to_string();
    let seals = Seals::open(&audit_keys, way.is_some()).await?;
    let (audit, heads) = records::audit(&mut ground, audit, &seals, cluster.clone(), replica.clone()).await?;
    records::admin(&mut ground, admin_listener, conditions);

    let names = Names {
        api_service,
        cluster,
        credential_issuer,
        namespace: namespace.clone(),
        replica: replica.clone(),
        suffix: suffix.clone(),
    };
    let privacy = seals.privacy.subscribe();
    let cluster = match way {
        Some(way) => Some(Cluster::start(&mut ground, way, names, certificate, seals, heads).await?),
        None => None,
    };
    let manner = refusals::Manner { lifetime: token_rejection_lifetime, privacy, replica, suffix: suffix.clone() };
    let rejections = refusals::start(&mut ground, cluster.as_ref(), manner);
    let settings = judges::Settings {
        audit: audit.clone(),
        client: cluster.as_ref().map(|cluster| cluster.client.clone()),
        cluster_name: cluster_name.to_string(),
        files,
        // Without a cluster there is nobody else who could lead.
        leadership: cluster.as_ref().map_or_else(Leadership::alone, |cluster| cluster.leadership.clone()),
        namespace,
        proxies,
        suffix,
    };
    let judges = judges::start(&mut ground, settings)?;
    if let Some(review) = review {
        let certificate = cluster.as_ref().map(|cluster| cluster.certificate.clone());
        reviews::serve(&mut ground, review, certificate, &judges, &audit, rejections.clone())?;
    }
    if let Some((cluster, listener)) = cluster.zip(api_listener) {
        cluster.serve(&mut ground, listener, judges, audit, rejections, work)?;
    }
    Ok(readiness)
}
