//! One trip to an issuer: what is to be fetched, the fetching, and what came of it.

use std::sync::Arc;

use super::KeysFrom;
use crate::idp::{
    discovery::{self, Discovered, DiscoveryError},
    http::{HttpsUrl, IssuerClient},
    jwks::{self, FetchedKeys, JwksAnswer, JwksError},
};

/// What one attempt is to do.
#[derive(Debug, Clone)]
pub struct Errand {
    /// The configured issuer.
    pub(super) issuer: Arc<str>,
    /// Where to look.
    pub(super) from: KeysFrom,
    /// Whether discovery is due.
    pub(super) discover: bool,
    /// Where the keys were found before.
    pub(super) jwks_uri: Option<HttpsUrl>,
    /// The keys held, for a conditional request.
    pub(super) held: Option<Arc<FetchedKeys>>,
}

/// What came of an errand.
#[derive(Debug)]
pub struct Attempt {
    /// `None`: discovery was not due.
    pub(super) discovery: Option<Result<Discovered, DiscoveryError>>,
    /// `None`: there was no URL to fetch keys from.
    pub(super) keys: Option<Result<JwksAnswer, JwksError>>,
}

/// Does `errand`. Takes at most the time limits of two fetches.
pub async fn run(client: &IssuerClient, errand: Errand) -> Attempt {
    let discovery = match (&errand.from, errand.discover) {
        (KeysFrom::Discovery, true) => Some(discovery::discover(client, &errand.issuer).await),
        (KeysFrom::DiscoveryAt(url), true) => Some(discovery::discover_at(client, &errand.issuer, url).await),
        (KeysFrom::Jwks(_), _) | (_, false) => None,
    };
    let announced = discovery.as_ref().and_then(|found| found.as_ref().ok()?.jwks_uri.as_ref().ok().cloned());
    let keys = match announced.or(errand.jwks_uri) {
        Some(url) => Some(jwks::fetch(client, &url, errand.held.as_deref()).await),
        None => None,
    };
    Attempt { discovery, keys }
}
