//! Keeps one Secret as it should be: everybody reads it, the leader writes it.
//!
//! Observe (a watch of one object), plan (pure, by the keeper), act (create or replace, under the version that was read,
//! so that two replicas that both believe they lead cannot overwrite each other).

use std::{pin::pin, sync::Arc, time::Duration};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::{WatchStreamExt as _, watcher::watch_object};
use kube::{
    Api, Client,
    api::{DeleteParams, PostParams, Preconditions},
};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    credential::SignError,
    runtime::lease::Leadership,
    time::{Clock, UnixTime},
};

/// The wall clock may jump; a plan is never older than this.
const REVIEW: Duration = Duration::from_mins(10);
/// Pause after a failed write. Conflicts end sooner: the watch brings what the other one wrote.
const RETRY: Duration = Duration::from_secs(5);
const REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// What to do about the Secret.
#[derive(Debug)]
pub(super) enum Plan {
    /// Nothing, until then at the latest.
    Wait(UnixTime),
    /// Write this. A version in it means replace, none means create.
    Write(Box<Secret>),
}

/// The one who knows what the Secret should be.
pub(super) trait Keeper: Send {
    /// The Secret's name.
    fn name(&self) -> &'static str;

    /// Whether a Secret that refuses to be changed (another type, immutable) is deleted and made anew.
    const REPLACES_STUBBORN: bool;

    /// Takes note of what there is: every replica, every change.
    fn publish(&mut self, secret: Option<&Secret>);

    /// What the leader should do.
    fn plan(&mut self, secret: Option<&Secret>, now: UnixTime) -> Result<Plan, SignError>;

    /// Returns when something outside the Secret asks for a new plan.
    fn nudged(&mut self) -> impl Future<Output = ()> + Send;
}

/// Keeps the Secret until `stop`.
pub(super) async fn keep(
    client: Client,
    namespace: &str,
    mut keeper: impl Keeper,
    mut leadership: Leadership,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) {
    let secrets: Api<Secret> = Api::namespaced(client, namespace);
    let mut events = pin!(watch_object(secrets.clone(), keeper.name()).default_backoff());
    // Outer: whether anything was read yet. Inner: whether the Secret exists.
    let mut known: Option<Option<Secret>> = None;
    let mut led = false;
    let mut wait = REVIEW;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            event = events.next() => match event {
                Some(Ok(secret)) => {
                    keeper.publish(secret.as_ref());
                    known = Some(secret);
                }
                Some(Err(error)) => {
                    tracing::warn!(secret = keeper.name(), error = &error as &dyn std::error::Error, "Secret not watched");
                    continue;
                }
                None => return,
            },
            () = leadership.switched(led) => {}
            () = keeper.nudged() => {}
            () = sleep(wait) => {}
        }
        led = leadership.is_leader();
        let Some(secret) = known.as_ref().filter(|_| led) else {
            wait = REVIEW;
            continue;
        };
        let now = clock.now();
        wait = match keeper.plan(secret.as_ref(), now) {
            Ok(Plan::Wait(until)) => until.since(now).clamp(Duration::from_secs(1), REVIEW),
            Ok(Plan::Write(wanted)) => match write(&secrets, &wanted, &keeper).await {
                Some(written) => {
                    keeper.publish(Some(&written));
                    known = Some(Some(written));
                    Duration::ZERO
                }
                None => RETRY,
            },
            Err(error) => {
                tracing::error!(secret = keeper.name(), error = &error as &dyn std::error::Error, "Secret not planned");
                RETRY
            }
        };
    }
}

async fn write<K: Keeper>(secrets: &Api<Secret>, wanted: &Secret, keeper: &K) -> Option<Secret> {
    let name = keeper.name();
    let params = PostParams::default();
    let version = wanted.metadata.resource_version.as_deref();
    let written = if version.is_some() {
        timeout(REQUEST_LIMIT, secrets.replace(name, &params, wanted)).await
    } else {
        timeout(REQUEST_LIMIT, secrets.create(&params, wanted)).await
    };
    match written {
        Ok(Ok(secret)) => {
            tracing::info!(secret = name, "Secret written");
            return Some(secret);
        }
        Ok(Err(kube::Error::Api(status))) if status.code == 409 => {
            tracing::debug!(secret = name, "Secret changed meanwhile");
        }
        Ok(Err(kube::Error::Api(status))) if status.code == 422 && K::REPLACES_STUBBORN && version.is_some() => {
            tracing::warn!(secret = name, "Secret of another kind stands in the way, deleting it");
            let only_this =
                Preconditions { uid: wanted.metadata.uid.clone(), resource_version: version.map(str::to_owned) };
            let deleted =
                timeout(REQUEST_LIMIT, secrets.delete(name, &DeleteParams::default().preconditions(only_this))).await;
            if !matches!(deleted, Ok(Ok(_))) {
                tracing::warn!(secret = name, "Secret not deleted");
            }
        }
        Ok(Err(error)) => {
            tracing::warn!(secret = name, error = &error as &dyn std::error::Error, "Secret not written");
        }
        Err(_) => tracing::warn!(secret = name, "Secret not written in time"),
    }
    None
}
