//! Fetches an issuer's JSON Web Key Set (RFC 7517) and says for how long it is fresh.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, header};

use super::{
    caching,
    http::{FetchError, Fetched, HttpsUrl, IssuerClient},
};
use crate::jwt::{DroppedKey, KeySet, KeySetError, MAX_KEY_SET_BYTES};

/// Longest entity tag we send back; a longer one is simply not used.
const ENTITY_TAG_LIMIT: usize = 256;

/// A key set as it was fetched.
#[derive(Debug, Clone)]
pub struct FetchedKeys {
    /// The usable keys; at least one.
    pub keys: Arc<KeySet>,
    /// The keys that were left out, each with its reason.
    pub dropped: Arc<[DroppedKey]>,
    /// The entity tag to ask with next time.
    pub entity_tag: Option<EntityTag>,
    /// Where it was fetched.
    pub url: HttpsUrl,
}

/// An `ETag` as the issuer sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityTag(String);

/// What the issuer answered.
#[derive(Debug)]
pub enum JwksAnswer {
    /// A key set.
    Keys {
        /// The set.
        fetched: FetchedKeys,
        /// How long it is fresh.
        freshness: Duration,
    },
    /// The set we hold is still the set.
    Unchanged {
        /// How long it is fresh from now on.
        freshness: Duration,
    },
}

/// Why there is no new key set. The one in use stays in use.
#[derive(Debug, thiserror::Error)]
pub enum JwksError {
    /// Not fetched.
    #[error("{url}: {source}")]
    Fetch {
        /// What was asked for.
        url: HttpsUrl,
        /// Why it did not come.
        source: FetchError,
    },
    /// Fetched, but there is no key in it that we can use.
    #[error("the key set at {url} is of no use: {source}")]
    KeySet {
        /// What was asked for.
        url: HttpsUrl,
        /// Why.
        source: KeySetError,
    },
}

/// Fetches the key set at `url`. If `held` was fetched there too, the issuer may answer that nothing changed.
///
/// # Errors
/// When it cannot be fetched or has no usable key: a set that shrinks to nothing is a failure, not a new set.
pub async fn fetch(client: &IssuerClient, url: &HttpsUrl, held: Option<&FetchedKeys>) -> Result<JwksAnswer, JwksError> {
    let tag = held.filter(|held| held.url == *url).and_then(|held| held.entity_tag.as_ref());
    let answer = client
        .get(url, MAX_KEY_SET_BYTES, tag.map(|tag| tag.0.as_str()))
        .await
        .map_err(|source| JwksError::Fetch { url: url.clone(), source })?;
    match answer {
        Fetched::NotModified { headers } => Ok(JwksAnswer::Unchanged { freshness: caching::freshness(&headers) }),
        Fetched::Body { bytes, headers } => {
            let (keys, dropped) =
                KeySet::parse(&bytes).map_err(|source| JwksError::KeySet { url: url.clone(), source })?;
            let fetched = FetchedKeys {
                keys: Arc::new(keys),
                dropped: dropped.into(),
                entity_tag: EntityTag::of(&headers),
                url: url.clone(),
            };
            Ok(JwksAnswer::Keys { fetched, freshness: caching::freshness(&headers) })
        }
    }
}

// === impl EntityTag ===

impl EntityTag {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let tag = headers.get(header::ETAG)?.to_str().ok()?;
        (tag.len() <= ENTITY_TAG_LIMIT).then(|| Self(tag.to_owned()))
    }
}

// === impl JwksError ===

impl JwksError {
    /// The stable word for metrics.
    #[must_use]
    pub const fn result(&self) -> &'static str {
        match self {
            Self::Fetch { source, .. } => source.result(),
            Self::KeySet { .. } => "no-usable-key",
        }
    }
}
