//! The cache of verified tokens: kubectl repeats itself, and a signature that held a moment ago still holds.
//!
//! Only yeses are kept. An entry names the token, the authenticator's generation and the keys that verified it, so a
//! changed spec, a withdrawn key or a re-created object finds nothing; and each use asks the clock again.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::digest;
use moka::sync::Cache;

use crate::{
    authn::{self, Admitted, JudgedBy, Verdict},
    index::{Authenticator, AuthenticatorRef, Entry, Snapshot},
    jwt::TokenFacts,
    secret::BearerToken,
    time::UnixTime,
};

/// Verdicts kept: about 2 KiB each, so some 16 MiB at most, for as many people as log in at once.
const CAPACITY: u64 = 8_192;

/// Longest time that a verdict is kept without the token being seen in full again.
const TIME_TO_LIVE: Duration = Duration::from_mins(5);

/// Judges tokens, remembering the good ones.
#[derive(Clone, Debug)]
pub struct Verdicts(Cache<Key, Arc<Kept>>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key([u8; 32]);

#[derive(Debug)]
struct Kept {
    facts: Arc<TokenFacts>,
    admitted: Admitted,
}

impl Default for Verdicts {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(CAPACITY).time_to_live(TIME_TO_LIVE).build())
    }
}

impl Verdicts {
    /// [`authn::authenticate`], at the price of one hash for a token that was admitted before.
    pub fn authenticate(
        &self,
        token: &BearerToken,
        authenticator: &AuthenticatorRef,
        snapshot: &Snapshot,
        now: UnixTime,
    ) -> Verdict {
        let Some(Entry::Ready(by)) = snapshot.entry(authenticator) else {
            return authn::authenticate(token, authenticator, snapshot, now);
        };
        let key = Key::of(token, by);
        if let Some(kept) = self.0.get(&key) {
            // As time goes on `nbf` and `iat` hold all the more; `exp` is the one bound that it breaks.
            if kept.admitted.token_expires_at.is_some_and(|end| now <= end) {
                return Verdict {
                    facts: Arc::clone(&kept.facts),
                    authenticator: Some(JudgedBy::Jwt(Arc::clone(by))),
                    outcome: Ok(kept.admitted.clone()),
                };
            }
            self.0.invalidate(&key);
        }
        let verdict = authn::authenticate(token, authenticator, snapshot, now);
        if let Ok(admitted) = &verdict.outcome {
            let kept = Kept { facts: Arc::clone(&verdict.facts), admitted: admitted.clone() };
            self.0.insert(key, Arc::new(kept));
        }
        verdict
    }
}

impl Key {
    /// SHA-256 over everything that the verdict depends on. Fixed-length parts stand first, so no two inputs run together.
    fn of(token: &BearerToken, by: &Authenticator) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&by.verifier.keys().digest());
        // What the issuer announces narrows the algorithms without a new generation or a new key.
        context.update(&by.verifier.algorithms().to_bits().to_be_bytes());
        context.update(&by.generation.to_be_bytes());
        context.update(&(by.uid.len() as u64).to_be_bytes());
        context.update(by.uid.as_bytes());
        context.update(token.as_str().as_bytes());
        let mut key = [0; 32];
        key.copy_from_slice(context.finish().as_ref());
        Self(key)
    }
}
