//! The watches of the authenticators' task, as one stream: both kinds whole, Secrets and `ConfigMap`s of our namespace by
//! their metadata only.

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

/// Something happened in the API.
pub(super) enum Seen {
    Object(Kind, watcher::Result<Event<DynamicObject>>),
    Secret(watcher::Result<Event<PartialObjectMeta<Secret>>>),
    ConfigMap(watcher::Result<Event<PartialObjectMeta<ConfigMap>>>),
}

/// All watches as one stream. One that fails waits and starts anew; none ever ends.
pub(super) fn all(client: &kube::Client, kinds: &Kinds<ApiResource>, namespace: &str) -> BoxStream<'static, Seen> {
    let objects = |resource: &ApiResource| {
        let api = Api::<DynamicObject>::all_with(client.clone(), resource);
        watcher(api, watcher::Config::default()).default_backoff()
    };
    let secrets = Api::<PartialObjectMeta<Secret>>::namespaced(client.clone(), namespace);
    let config_maps = Api::<PartialObjectMeta<ConfigMap>>::namespaced(client.clone(), namespace);
    stream::select_all([
        objects(&kinds.jwt).map(|event| Seen::Object(Kind::Jwt, event)).boxed(),
        objects(&kinds.webhook).map(|event| Seen::Object(Kind::Webhook, event)).boxed(),
        watcher(secrets, watcher::Config::default()).default_backoff().map(Seen::Secret).boxed(),
        watcher(config_maps, watcher::Config::default()).default_backoff().map(Seen::ConfigMap).boxed(),
    ])
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
