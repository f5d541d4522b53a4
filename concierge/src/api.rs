//! The aggregated API server: who asks, may they, what did they send, what is the answer. Handlers are thin; what they
//! decide is decided in the rooms below.

pub mod authorize;
pub mod body;
pub mod caller;
pub mod create;
pub mod discovery;
pub mod exchange;
pub mod front_proxy_config;
mod listing;
pub mod negotiation;
pub mod openapi;
pub mod options;
pub mod request_header;
pub mod respond;
pub mod router;
pub mod sealed;
pub mod status;
pub mod table;
mod token_credential_request;
pub mod token_review;
mod who_am_i_request;

use std::{fmt, sync::Arc};

use kube::Client;
use latchkey_crds::{groups::GroupSuffix, openapi as schemas};
use serde_json::Value;
use tokio_util::task::TaskTracker;

use self::{
    authorize::AccessReviews,
    discovery::{Discovery, Resource},
    exchange::Exchange,
    openapi::OpenApi,
    request_header::CurrentConfig,
    router::Slots,
    token_review::TokenReviews,
};
use crate::runtime::readiness::Readiness;

/// What the server needs from outside.
pub struct Settings {
    /// The ending of our API groups.
    pub suffix: GroupSuffix,
    /// How to recognise the front proxy and client certificates.
    pub front_proxy: CurrentConfig,
    /// The exchange and everything that it needs.
    pub exchange: Exchange,
    /// For `/readyz`.
    pub readiness: Readiness,
    /// Work that outlives its request; the composition root waits for it before it closes the audit log.
    pub work: TaskTracker,
}

/// The server's state, shared by all requests.
pub struct Api {
    suffix: GroupSuffix,
    resources: [Resource; 2],
    schemas: Schemas,
    discovery: Discovery,
    openapi: OpenApi,
    front_proxy: CurrentConfig,
    token_reviews: TokenReviews,
    access_reviews: AccessReviews,
    exchange: Exchange,
    readiness: Readiness,
    slots: Slots,
    work: TaskTracker,
}

/// What bodies are compared with.
struct Schemas {
    token_credential_request: Value,
    who_am_i_request: Value,
}

impl Api {
    /// A server that asks `client` about callers.
    #[must_use]
    pub fn new(client: Client, settings: Settings) -> Arc<Self> {
        let Settings { suffix, front_proxy, exchange, readiness, work } = settings;
        let resources = Resource::all(&suffix);
        Arc::new(Self {
            discovery: Discovery::new(&resources),
            openapi: OpenApi::new(&suffix),
            resources,
            schemas: Schemas {
                token_credential_request: schemas::token_credential_request(),
                who_am_i_request: schemas::who_am_i_request(),
            },
            suffix,
            front_proxy,
            token_reviews: TokenReviews::new(client.clone()),
            access_reviews: AccessReviews::new(client),
            exchange,
            readiness,
            slots: Slots::default(),
            work,
        })
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("suffix", &self.suffix).finish_non_exhaustive()
    }
}
