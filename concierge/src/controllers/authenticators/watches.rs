//! What the authenticators' task sees, as streams that never end: authenticators of both kinds and the fleet list whole,
//! from the API or a folder; Secrets and `ConfigMap`s of our namespace by their metadata only. A watch that fails waits and starts anew.

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{
    Api,
    core::{ApiResource, DynamicObject, PartialObjectMeta},
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};

use super::files::{Folder, Listing};

/// One of each kind.
#[derive(Debug)]
pub(super) struct Kinds<T> {
    pub(super) jwt: T,
    pub(super) webhook: T,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Jwt,
    Webhook,
}

/// Something happened in the API, or in the folder.
pub(super) enum Seen {
    Fleet(watcher::Result<Event<DynamicObject>>),
    Folder(Listing),
    Object(Kind, watcher::Result<Event<DynamicObject>>),
    Secret(watcher::Result<Event<PartialObjectMeta<Secret>>>),
    ConfigMap(watcher::Result<Event<PartialObjectMeta<ConfigMap>>>),
}

/// The authenticators and the fleet list as they are in the API.
pub(super) fn objects(
    client: &kube::Client,
    kinds: &Kinds<ApiResource>,
    fleet: &ApiResource,
) -> BoxStream<'static, Seen> {
    let objects = |resource: &ApiResource| {
        let api = Api::<DynamicObject>::all_with(client.clone(), resource);
        watcher(api, watcher::Config::default()).default_backoff()
    };
    stream::select_all([
        objects(&kinds.jwt).map(|event| Seen::Object(Kind::Jwt, event)).boxed(),
        objects(&kinds.webhook).map(|event| Seen::Object(Kind::Webhook, event)).boxed(),
        objects(fleet).map(Seen::Fleet).boxed(),
    ])
    .boxed()
}

/// The authenticators as they are in a folder.
pub(super) fn folder(folder: Folder) -> BoxStream<'static, Seen> {
    folder.listings().map(Seen::Folder).boxed()
}

/// The Secrets and `ConfigMap`s that may hold CA bundles.
pub(super) fn bundles(client: &kube::Client, namespace: &str) -> BoxStream<'static, Seen> {
    let secrets = Api::<PartialObjectMeta<Secret>>::namespaced(client.clone(), namespace);
    let config_maps = Api::<PartialObjectMeta<ConfigMap>>::namespaced(client.clone(), namespace);
    stream::select(
        watcher(secrets, watcher::Config::default()).default_backoff().map(Seen::Secret),
        watcher(config_maps, watcher::Config::default()).default_backoff().map(Seen::ConfigMap),
    )
    .boxed()
}

// === impl Kinds ===

impl<T> Kinds<T> {
    pub(super) const fn of(&self, kind: Kind) -> &T {
        match kind {
            Kind::Jwt => &self.jwt,
            Kind::Webhook => &self.webhook,
        }
    }

    pub(super) const fn of_mut(&mut self, kind: Kind) -> &mut T {
        match kind {
            Kind::Jwt => &mut self.jwt,
            Kind::Webhook => &mut self.webhook,
        }
    }
}

// === impl Kind ===

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Jwt => "JWTAuthenticator",
            Self::Webhook => "WebhookAuthenticator",
        }
    }
}
