//! A key set (RFC 7517): parsed once into keys that can only verify, and the choice of the one key for a token.

mod jwk;
mod weakness;
#[cfg(test)]
mod wycheproof;

use std::fmt;

use aws_lc_rs::{digest, signature::ParsedPublicKey};

pub use self::jwk::DropReason;
use super::{Algorithm, Json, KeyId, Limits, Object, Rejection};

/// Largest key set document. Providers publish 2 to 10 keys of 0.4 to 3 KiB.
pub const MAX_KEY_SET_BYTES: usize = 512 * 1024;

/// Most keys in a set. No provider rotates over more than a handful; each costs a parse and a comparison.
const MAX_KEYS: usize = 64;

/// The verification keys of one issuer.
pub struct KeySet {
    keys: Vec<Key>,
    digest: [u8; 32],
}

/// A key that was left out, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DroppedKey {
    /// Its `kid`, if it has one that can be shown.
    pub key_id: Option<KeyId>,
    /// Why.
    pub reason: DropReason,
}

/// Why a whole set is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Larger than [`MAX_KEY_SET_BYTES`].
    #[error("key set of {bytes} bytes, at most {MAX_KEY_SET_BYTES} are read")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Not a JSON object with a list `keys`.
    #[error("key set is not a JSON object with a list \"keys\"")]
    NotAKeySet,
    /// More keys than any provider has.
    #[error("key set of {keys} keys, at most {MAX_KEYS} are read")]
    TooManyKeys {
        /// How many.
        keys: usize,
    },
    /// Nothing in it can verify a token.
    #[error("key set has no usable key{}", dropped_list(.dropped))]
    NoUsableKey {
        /// What was in it.
        dropped: Vec<DroppedKey>,
    },
}

/// One key: it knows which algorithms it may verify and can do nothing else.
pub(super) struct Key {
    id: Option<KeyId>,
    /// A verifier for each algorithm, parsed ahead so that judging a token costs one signature check and no parsing.
    verifiers: Vec<(Algorithm, ParsedPublicKey)>,
    /// The public key's bytes, to know twins by.
    material: Vec<u8>,
}

// === impl KeySet ===

impl KeySet {
    /// Reads a JWK Set. A key that cannot be used is left out and reported; the rest of the set works (RFC 7517 5).
    ///
    /// # Errors
    ///
    /// [`KeySetError`] when the document is no key set, or nothing in it can be used.
    pub fn parse(bytes: &[u8]) -> Result<(Self, Vec<DroppedKey>), KeySetError> {
        if bytes.len() > MAX_KEY_SET_BYTES {
            return Err(KeySetError::TooLarge { bytes: bytes.len() });
        }
        let document = Object::parse(bytes, Limits::KEY_SET).map_err(|_| KeySetError::NotAKeySet)?;
        let Some(Json::Array(entries)) = document.get("keys") else { return Err(KeySetError::NotAKeySet) };
        if entries.len() > MAX_KEYS {
            return Err(KeySetError::TooManyKeys { keys: entries.len() });
        }
        let mut keys: Vec<Key> = Vec::new();
        let mut dropped = Vec::new();
        for entry in entries {
            match jwk::parse(entry) {
                // The same key listed twice is one key, not an ambiguity.
                Ok(key) if keys.iter().any(|known| known.is_twin(&key)) => {}
                Ok(key) => keys.push(key),
                Err(key) => dropped.push(key),
            }
        }
        if keys.is_empty() {
            return Err(KeySetError::NoUsableKey { dropped });
        }
        let digest = digest_of(&keys);
        Ok((Self { keys, digest }, dropped))
    }

    /// How many keys there are; never zero.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a set is never empty")]
    pub const fn len(&self) -> usize {
        self.keys.len()
    }

    /// The ids, in the set's order; keys without one are left out.
    pub fn key_ids(&self) -> impl Iterator<Item = &KeyId> {
        self.keys.iter().filter_map(|key| key.id.as_ref())
    }

    /// Whether a key has this id.
    #[must_use]
    pub fn contains(&self, id: &KeyId) -> bool {
        self.key_ids().any(|known| known == id)
    }

    /// Equal sets have equal digests, whatever order the issuer listed them in.
    #[must_use]
    pub const fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The one key for a token (design 14.7 and 14.8): by `kid` if the header names one, else the only one that fits.
    /// Keys are never tried in turn: each forged token would cost a verification per key.
    pub(super) fn select(&self, id: Option<&KeyId>, algorithm: Algorithm) -> Result<&Key, Rejection> {
        let named = |key: &&Key| key.id.as_ref() == id;
        if id.is_some() && !self.keys.iter().any(|key| named(&key)) {
            return Err(Rejection::KeyUnknown { key_id: id.cloned() });
        }
        // A key without an id answers only to a header without one; a header without one may mean any key.
        let mut fitting = self.keys.iter().filter(|key| id.is_none() || named(key)).filter(|key| key.fits(algorithm));
        match (fitting.next(), fitting.count()) {
            (Some(key), 0) => Ok(key),
            (Some(_), others) => Err(Rejection::KeyAmbiguous { fitting: others + 1 }),
            (None, _) if id.is_some() => Err(Rejection::KeyUnsuitable { algorithm }),
            (None, _) => Err(Rejection::KeyUnknown { key_id: None }),
        }
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| &key.id)).finish()
    }
}

fn digest_of(keys: &[Key]) -> [u8; 32] {
    let mut parts: Vec<Vec<u8>> = keys.iter().map(Key::fingerprint).collect();
    parts.sort();
    let mut digest = [0; 32];
    digest.copy_from_slice(digest::digest(&digest::SHA256, &parts.concat()).as_ref());
    digest
}

// === impl Key ===

impl Key {
    /// Whether the key may verify `algorithm`: its kind and its own `alg` agree (RFC 7517 4.4).
    fn fits(&self, algorithm: Algorithm) -> bool {
        self.verifiers.iter().any(|(known, _)| *known == algorithm)
    }

    /// Whether `signature` is this key's over `message`.
    pub(super) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        self.verifiers
            .iter()
            .find(|(known, _)| *known == algorithm)
            .is_some_and(|(_, key)| key.verify_sig(message, signature).is_ok())
    }

    fn is_twin(&self, other: &Self) -> bool {
        self.fingerprint() == other.fingerprint()
    }

    /// Everything that tells two keys apart, with lengths so that no two keys run together.
    fn fingerprint(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let id = self.id.as_ref().map_or("", KeyId::as_str);
        bytes.push(u8::from(self.id.is_some()));
        bytes.extend((id.len() as u64).to_be_bytes());
        bytes.extend(id.as_bytes());
        bytes.extend(self.verifiers.iter().map(|(algorithm, _)| *algorithm as u8));
        bytes.push(u8::MAX);
        bytes.extend((self.material.len() as u64).to_be_bytes());
        bytes.extend(&self.material);
        bytes
    }
}

// === impl DroppedKey ===

impl fmt::Display for DroppedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key_id {
            Some(id) => write!(f, "key {id}: {}", self.reason),
            None => write!(f, "a key without id: {}", self.reason),
        }
    }
}

/// The first few: a hostile set must not fill a condition.
fn dropped_list(dropped: &[DroppedKey]) -> String {
    const SHOWN: usize = 3;
    let mut text = String::new();
    for key in dropped.iter().take(SHOWN) {
        text.push_str("; ");
        text.push_str(&key.to_string());
    }
    text
}
