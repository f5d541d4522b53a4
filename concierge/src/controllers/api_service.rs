//! Puts the serving authority's bundle into `caBundle` of our API services, and keeps it there.
//!
//! The API services come from the installation without a `caBundle`, and `GitOps` tools own the rest of them: one field by
//! server-side apply, under a field manager of its own, is all we touch.

use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::{ByteString, kube_aggregator::pkg::apis::apiregistration::v1::APIService};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    runtime::{WatchStreamExt as _, watcher::watch_object},
};
use serde_json::json;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::runtime::lease::Leadership;

const FIELD_MANAGER: &str = "latchkey-concierge-ca-bundle";
const RETRY: Duration = Duration::from_secs(5);
/// The watch tells of every change; this is for a change that was made while another was being made.
const REVIEW: Duration = Duration::from_mins(10);
const REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// What this controller needs.
pub struct Settings {
    /// For the API services.
    pub client: Client,
    /// Names of the API services, `<version>.<group>`.
    pub names: Vec<String>,
    /// Whether this replica writes.
    pub leadership: Leadership,
    /// From [`super::serving_cert`].
    pub bundle: watch::Receiver<Option<String>>,
}

/// Keeps every `caBundle` until `stop`.
pub async fn run(settings: Settings, stop: CancellationToken) {
    let Settings { client, names, leadership, bundle } = settings;
    let each = names.iter().map(|name| keep(client.clone(), name, leadership.clone(), bundle.clone(), stop.clone()));
    futures::future::join_all(each).await;
}

async fn keep(
    client: Client,
    name: &str,
    mut leadership: Leadership,
    mut bundle: watch::Receiver<Option<String>>,
    stop: CancellationToken,
) {
    let services: Api<APIService> = Api::all(client);
    let mut events = std::pin::pin!(watch_object(services.clone(), name).default_backoff());
    let mut known: Option<Option<APIService>> = None;
    let mut wait = REVIEW;
    let mut led = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            event = events.next() => match event {
                Some(Ok(service)) => {
                    if service.is_none() {
                        tracing::warn!(name, "API service not found; the aggregated API cannot be reached without it");
                    }
                    known = Some(service);
                }
                Some(Err(error)) => {
                    tracing::warn!(name, error = &error as &dyn std::error::Error, "API service not watched");
                    continue;
                }
                None => return,
            },
            () = leadership.switched(led) => {}
            Ok(()) = bundle.changed() => {}
            () = sleep(wait) => {}
        }
        led = leadership.is_leader();
        wait = REVIEW;
        let (Some(Some(service)), Some(wanted)) = (&known, bundle.borrow_and_update().clone()) else { continue };
        if !led || !differs(service, &wanted) {
            continue;
        }
        match timeout(REQUEST_LIMIT, apply(&services, name, &wanted)).await {
            Ok(Ok(())) => tracing::info!(name, "CA bundle of the API service written"),
            Ok(Err(error)) => {
                tracing::warn!(name, error = &error as &dyn std::error::Error, "CA bundle not written");
                wait = RETRY;
            }
            Err(_) => wait = RETRY,
        }
    }
}

/// Whether the API service trusts anything else than `bundle`.
fn differs(service: &APIService, bundle: &str) -> bool {
    service.spec.as_ref().and_then(|spec| spec.ca_bundle.as_ref()).is_none_or(|known| known.0 != bundle.as_bytes())
}

async fn apply(services: &Api<APIService>, name: &str, bundle: &str) -> kube::Result<()> {
    // By hand and not from the type, which would also claim the priorities that the installation sets.
    let patch = json!({
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": { "name": name },
        "spec": { "caBundle": ByteString(bundle.as_bytes().to_vec()) },
    });
    services.patch(name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&patch)).await.map(drop)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIServiceSpec;

    use super::*;

    #[test]
    fn only_another_bundle_is_a_difference() {
        let with = |bundle: Option<&str>| APIService {
            spec: Some(APIServiceSpec {
                ca_bundle: bundle.map(|bundle| ByteString(bundle.as_bytes().to_vec())),
                ..APIServiceSpec::default()
            }),
            ..APIService::default()
        };
        assert!(differs(&APIService::default(), "pem"));
        assert!(differs(&with(None), "pem"));
        assert!(differs(&with(Some("other")), "pem"));
        assert!(!differs(&with(Some("pem")), "pem"));
    }
}
