//! Fetches an issuer's JSON Web Key Set (RFC 7517) and says for how long it is fresh.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, header};
use serde_json::{Map, Value, json};

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
    /// The usable keys as a key set again, of public members alone: what may be kept.
    pub document: Arc<[u8]>,
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
            let mut fetched = FetchedKeys::parse(&bytes, url.clone())
                .map_err(|source| JwksError::KeySet { url: url.clone(), source })?;
            fetched.entity_tag = EntityTag::of(&headers);
            Ok(JwksAnswer::Keys { fetched, freshness: caching::freshness(&headers) })
        }
    }
}

// === impl FetchedKeys ===

impl FetchedKeys {
    /// Reads a key set that was fetched at `url`.
    ///
    /// # Errors
    /// As [`KeySet::parse`].
    pub fn parse(bytes: &[u8], url: HttpsUrl) -> Result<Self, KeySetError> {
        let (keys, dropped) = KeySet::parse(bytes)?;
        let document = public_document(bytes).into();
        Ok(Self { keys: Arc::new(keys), dropped: dropped.into(), document, entity_tag: None, url })
    }
}

/// The members of a JWK that tell a public key (RFC 7517 4, RFC 7518 6, RFC 8037 2). Whatever else an issuer publishes,
/// above all a private member, is not kept anywhere.
const PUBLIC_MEMBERS: [&str; 10] = ["kty", "kid", "use", "key_ops", "alg", "crv", "n", "e", "x", "y"];

/// The usable keys of a set that was parsed before, with their public members alone. A key that was left out is left out
/// here too, not mended: without its private part it would look usable.
fn public_document(bytes: &[u8]) -> Vec<u8> {
    let document: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let entries = document.get("keys").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let usable = |entry: &&Value| {
        let alone = json!({ "keys": [entry] });
        KeySet::parse(alone.to_string().as_bytes()).is_ok()
    };
    let public = |entry: &Value| -> Map<String, Value> {
        let members = entry.as_object().into_iter().flatten();
        members
            .filter(|(name, _)| PUBLIC_MEMBERS.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    };
    let keys: Vec<_> = entries.iter().filter(usable).map(public).collect();
    json!({ "keys": keys }).to_string().into_bytes()
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

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::*;

    fn key(id: &str) -> Value {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let point = pair.public_key().as_ref();
        let [x, y] = [&point[1..33], &point[33..]].map(|half| URL_SAFE_NO_PAD.encode(half));
        json!({"kty": "EC", "crv": "P-256", "kid": id, "use": "sig", "alg": "ES256", "x": x, "y": y})
    }

    #[test]
    fn what_is_kept_is_the_same_set_and_holds_nothing_private() {
        let mut private = key("private");
        private["d"] = json!("c2VjcmV0");
        let mut certified = key("certified");
        (certified["x5c"], certified["x5t"]) = (json!(["MIIB"]), json!("thumb"));
        let (plain, twin) = (key("twice"), key("twice"));
        let oct = json!({"kty": "oct", "kid": "shared", "k": "c2VjcmV0"});
        let set = json!({"keys": [private, certified, plain, twin, oct, 7], "more": "words"}).to_string();
        let url: HttpsUrl = "https://idp.example.com/keys".parse().unwrap();
        let fetched = FetchedKeys::parse(set.as_bytes(), url.clone()).unwrap();
        assert_eq!((fetched.keys.len(), fetched.dropped.len()), (3, 3));

        let again = FetchedKeys::parse(&fetched.document, url).unwrap();
        assert_eq!(again.keys.digest(), fetched.keys.digest());
        assert!(again.dropped.is_empty(), "{:?}", again.dropped);
        assert_eq!(again.document, fetched.document);
        let text = String::from_utf8(fetched.document.to_vec()).unwrap();
        for word in ["private", "shared", "c2VjcmV0", "\"d\"", "x5c", "thumb", "more"] {
            assert!(!text.contains(word), "{word} is kept: {text}");
        }
    }
}
