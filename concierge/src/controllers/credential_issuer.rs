//! Writes what this installation offers into `CredentialIssuer.status`: for each strategy, why it can or cannot be used.

mod absent;
mod cluster_info;
mod hearsay;
mod plan;

use std::{error::Error, pin::pin, sync::Arc, time::Duration};

use futures::StreamExt as _;
use kube::{
    Api, Client, Config,
    api::{DynamicObject, Patch, PatchParams},
    core::ApiResource,
    runtime::{WatchStreamExt as _, watcher::watch_object},
};
use latchkey_crds::config::CredentialIssuerStatus;
use serde_json::json;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use self::{
    hearsay::contradicted,
    plan::{Offer, bundle, is_settled, plan, signed},
};
use super::audit_key::Published;
use crate::{
    runtime::lease::Leadership,
    strategies::{Authority, Strategies},
    time::Clock,
};

const FIELD_MANAGER: &str = "latchkey-concierge";
/// How often `cluster-info` is read again, and the status compared.
const REVIEW: Duration = Duration::from_mins(5);
const RETRY: Duration = Duration::from_secs(5);
const REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// What this controller needs.
pub struct Settings {
    /// For the object and for `kube-public/cluster-info`.
    pub client: Client,
    /// How we reach the API server ourselves: what clients are told when there is no `cluster-info`.
    pub config: Config,
    /// [`latchkey_crds::config::credential_issuer`] of the installation's suffix.
    pub resource: ApiResource,
    /// The object's name. The leader makes it where nobody else has, and from then on writes nothing of it but the status.
    pub name: String,
    /// The cluster's name, which the status publishes: whoever compares clusters must know which is which.
    pub cluster: String,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Whether this replica writes.
    pub leadership: Leadership,
    /// What is said of; tried again when another replica says something else.
    pub strategies: Strategies,
    /// Our authority, whose certificates the status publishes.
    pub authority: watch::Receiver<Authority>,
    /// The keys of the audit log, which the status publishes.
    pub audit: watch::Receiver<Published>,
}

/// The object, as far as its watch has told.
enum Seen {
    /// The watch has not said anything yet: it may well be there.
    NotYet,
    /// It is not there.
    Absent,
    /// It is there.
    Present(Box<DynamicObject>),
}

/// Keeps the status until `stop`.
pub async fn run(settings: Settings, stop: CancellationToken) {
    let Settings {
        client,
        config,
        resource,
        name,
        cluster,
        clock,
        mut leadership,
        strategies,
        mut authority,
        mut audit,
    } = settings;
    let issuers: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let mut events = pin!(watch_object(issuers.clone(), &name).default_backoff());
    let mut availabilities = strategies.subscribe();
    let mut known = Seen::NotYet;
    let mut wait = REVIEW;
    let mut led = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            event = events.next() => match event {
                Some(Ok(object)) => {
                    // What was written here may come back after what was written next.
                    if object.as_ref().zip(known.object()).is_some_and(|(event, known)| is_older(event, known)) {
                        continue;
                    }
                    if let Some((before, now)) = known.object().zip(object.as_ref()) {
                        let states = availabilities.borrow().clone();
                        for kind in contradicted(&status(before), &status(now), &states) {
                            strategies.doubt(kind);
                        }
                    }
                    known = object.map_or(Seen::Absent, |object| Seen::Present(Box::new(object)));
                }
                Some(Err(error)) => {
                    tracing::warn!(%name, error = &error as &dyn Error, "CredentialIssuer not watched");
                    continue;
                }
                None => return,
            },
            () = leadership.switched(led) => {}
            Ok(()) = availabilities.changed() => {}
            Ok(()) = authority.changed() => {}
            Ok(()) = audit.changed() => {}
            () = sleep(wait) => {}
        }
        led = leadership.is_leader();
        wait = REVIEW;
        let states = availabilities.borrow_and_update().clone();
        let offer = Offer {
            cluster: cluster.clone(),
            bundle: bundle(&authority.borrow_and_update()),
            audit: signed(&audit.borrow_and_update()),
        };
        if led && matches!(known, Seen::Absent) {
            match absent::make(&issuers, &resource, &name).await {
                Some(object) => known = Seen::Present(Box::new(object)),
                None => wait = RETRY,
            }
        }
        let Some(object) = known.object().filter(|_| led && is_settled(&states)) else { continue };
        let info = cluster_info::find(&client, &config).await;
        let before = status(object);
        let wanted = plan(&states, offer, info.as_ref(), &before, clock.now());
        if wanted == before {
            continue;
        }
        let patch = json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": { "name": name },
            "status": wanted,
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        match timeout(REQUEST_LIMIT, issuers.patch_status(&name, &params, &Patch::Apply(&patch))).await {
            Ok(Ok(written)) => {
                tracing::info!(%name, "CredentialIssuer status written");
                known = Seen::Present(Box::new(written));
            }
            Ok(Err(error)) => {
                tracing::warn!(%name, error = &error as &dyn Error, "CredentialIssuer status not written");
                wait = RETRY;
            }
            Err(_) => wait = RETRY,
        }
    }
}

// === impl Seen ===

impl Seen {
    fn object(&self) -> Option<&DynamicObject> {
        match self {
            Self::Present(object) => Some(object),
            Self::NotYet | Self::Absent => None,
        }
    }
}

/// Whether `event` shows a state before `known`. Versions of one object are growing numbers wherever etcd keeps it; where
/// they are not, nothing counts as older, and a status is written once more than needed.
fn is_older(event: &DynamicObject, known: &DynamicObject) -> bool {
    let version = |object: &DynamicObject| object.metadata.resource_version.as_ref()?.parse::<u64>().ok();
    event.metadata.uid == known.metadata.uid
        && version(event).zip(version(known)).is_some_and(|(event, known)| event < known)
}

/// The status as it stands; empty if it is of a shape that this version does not know.
fn status(object: &DynamicObject) -> CredentialIssuerStatus {
    let status = object.data.get("status").cloned().unwrap_or_default();
    serde_json::from_value(status).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_the_past_is_told_from_one_of_the_present() {
        let resource = latchkey_crds::config::credential_issuer(&latchkey_crds::groups::GroupSuffix::default());
        let object = |uid: &str, version: Option<&str>| {
            let mut object = DynamicObject::new("x", &resource);
            object.metadata.uid = Some(uid.to_owned());
            object.metadata.resource_version = version.map(str::to_owned);
            object
        };
        let known = object("a", Some("100"));
        assert!(is_older(&object("a", Some("99")), &known));
        for newer in [
            object("a", Some("100")),
            object("a", Some("101")),
            object("b", Some("99")),
            object("a", Some("x")),
            object("a", None),
        ] {
            assert!(!is_older(&newer, &known));
        }
    }

    #[test]
    fn a_status_from_another_version_is_as_good_as_none() {
        let resource = latchkey_crds::config::credential_issuer(&latchkey_crds::groups::GroupSuffix::default());
        let mut object = DynamicObject::new("x", &resource);
        assert_eq!(status(&object), CredentialIssuerStatus::default());
        object.data = json!({ "status": { "strategies": [{ "type": "FromTheFuture" }] } });
        assert_eq!(status(&object), CredentialIssuerStatus::default());
    }
}
