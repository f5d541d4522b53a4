//! The cache of verified tokens: kubectl repeats itself, and a signature that held a moment ago still holds.
//!
//! Only yeses are kept. An entry names the token, the authenticator's generation, the keys that verified it and the fleet
//! it was held against, so a changed spec, a withdrawn key, a new sibling or a re-created object finds nothing; and each use asks the clock again. Reading takes no
//! lock that another reader could hold: moka's table is read without one, and only those who ask for the same token at
//! its first sight wait for each other.

use std::{
    mem::size_of,
    sync::Arc,
    time::{Duration, Instant},
};

use aws_lc_rs::digest;
use moka::{Expiry, sync::Cache};

use crate::{
    authn::{self, Admitted, JudgedBy, Verdict},
    index::{Authenticator, AuthenticatorRef, Entry, Snapshot},
    jwt::{SuppliedClaim, TokenFacts},
    secret::BearerToken,
    time::UnixTime,
};

/// What all verdicts together may weigh, in bytes. A person in twenty groups weighs about 2 KiB, so some 8,000 people
/// fit; whoever brings tokens of a thousand groups fills the same 16 MiB with fewer.
const CAPACITY_BYTES: u64 = 16 * 1024 * 1024;

/// What an entry costs beside what it holds: the key, moka's two queue nodes and hash slot, and the allocator's rounding.
const ENTRY_BYTES: usize = 512;

/// Longest time that a verdict is kept without the token being seen in full again.
const TIME_TO_LIVE: Duration = Duration::from_mins(5);

/// Longest time that a verdict is kept which took a claim from elsewhere: groups are kept there because they change, and
/// whoever is taken out of one should not have to wait.
const SUPPLIED_TIME_TO_LIVE: Duration = Duration::from_mins(1);

/// Judges tokens, remembering the good ones.
#[derive(Clone, Debug)]
pub struct Verdicts(Cache<Key, Arc<Kept>>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key([u8; 32]);

/// A yes and for how long it is one.
#[derive(Debug)]
struct Kept {
    facts: Arc<TokenFacts>,
    admitted: Admitted,
    /// When it was said. A clock that was set back before this asks for a new judging.
    judged_at: UnixTime,
    /// The last second at which the judge would say the same.
    until: UnixTime,
}

impl Default for Verdicts {
    fn default() -> Self {
        let weigh = |_: &Key, kept: &Arc<Kept>| u32::try_from(kept.bytes()).unwrap_or(u32::MAX);
        Self(Cache::builder().max_capacity(CAPACITY_BYTES).weigher(weigh).expire_after(Deadline).build())
    }
}

impl Verdicts {
    /// [`authn::authenticate`], at the price of one hash for a token that was admitted before. Threads that bring one new
    /// token at the same time have it judged once.
    pub fn authenticate(
        &self,
        token: &BearerToken,
        authenticator: &AuthenticatorRef,
        snapshot: &Snapshot,
        now: UnixTime,
    ) -> Verdict {
        let judge = || authn::authenticate(token, authenticator, snapshot, now);
        match snapshot.entry(authenticator) {
            Some(Entry::Ready(by)) => self.remember(Key::of(token, by), by, now, judge),
            Some(Entry::Webhook(_) | Entry::NotReady(_)) | None => judge(),
        }
    }

    /// [`authn::complete`], remembered for as long as the claim is good, and a minute at most.
    pub fn complete(
        &self,
        token: &BearerToken,
        by: &Arc<Authenticator>,
        supplied: &SuppliedClaim,
        now: UnixTime,
    ) -> Verdict {
        let verdict = authn::complete(token, by, supplied, now);
        if let Some(mut kept) = Kept::of(&verdict, by, now) {
            kept.until = kept.until.min(supplied.until()).min(now.plus(SUPPLIED_TIME_TO_LIVE));
            self.0.insert(Key::of(token, by), Arc::new(kept));
        }
        verdict
    }

    /// What `judge` says, or said before. Refusals are not kept: they cost the sender as much as us, and one that is
    /// made up each time would push the good out.
    fn remember(&self, key: Key, by: &Arc<Authenticator>, now: UnixTime, judge: impl Fn() -> Verdict) -> Verdict {
        let known = self.0.get(&key).map_or_else(
            || {
                self.0.try_get_with(key, || {
                    let verdict = judge();
                    Kept::of(&verdict, by, now).map(Arc::new).ok_or(verdict)
                })
            },
            Ok,
        );
        match known {
            Ok(kept) if kept.holds_at(now) => kept.verdict(by),
            // Too late, or before its time: the judge has the reason. The entry goes by its own deadline.
            Ok(_) => judge(),
            Err(refused) => Arc::unwrap_or_clone(refused),
        }
    }
}

// === impl Kept ===

impl Kept {
    fn of(verdict: &Verdict, by: &Authenticator, now: UnixTime) -> Option<Self> {
        let admitted = verdict.outcome.as_ref().ok()?.clone();
        // As time goes on `nbf`, `iat` and every rule hold all the more; two bounds break: `exp` and the ceiling on age.
        let expires = admitted.token_expires_at?;
        let issued = verdict.facts.verified.as_ref().and_then(|claims| claims.iat).map(UnixTime::from_secs);
        let too_old = by.verifier.profile().max_token_age.and_then(|age| Some(issued?.plus(age)));
        let until = too_old.map_or(expires, |too_old| too_old.min(expires));
        Some(Self { facts: Arc::clone(&verdict.facts), admitted, judged_at: now, until })
    }

    fn holds_at(&self, now: UnixTime) -> bool {
        self.judged_at <= now && now.as_secs() <= self.until.as_secs()
    }

    fn verdict(&self, by: &Arc<Authenticator>) -> Verdict {
        Verdict {
            facts: Arc::clone(&self.facts),
            authenticator: Some(JudgedBy::Jwt(Arc::clone(by))),
            outcome: Ok(self.admitted.clone()),
        }
    }

    /// About how much memory it takes: text as long as it is, and each value's own size.
    fn bytes(&self) -> usize {
        const TEXT: usize = size_of::<String>();
        let user = &self.admitted.user;
        let groups: usize = user.groups().iter().map(|name| TEXT + name.as_str().len()).sum();
        let extra: usize = user
            .extra()
            .iter()
            .map(|(key, values)| 2 * TEXT + key.len() + values.iter().map(|value| TEXT + value.len()).sum::<usize>())
            .sum();
        let header = self.facts.header.as_ref().map_or(0, |header| {
            header.alg.len() + [&header.kid, &header.typ].into_iter().flatten().map(String::len).sum::<usize>()
        });
        let claims = self.facts.verified.as_ref().map_or(0, |claims| {
            let texts = [&claims.iss, &claims.sub, &claims.azp, &claims.jti, &claims.sid];
            texts.into_iter().flatten().map(String::len).sum::<usize>()
                + claims.aud.iter().map(|audience| TEXT + audience.len()).sum::<usize>()
        });
        ENTRY_BYTES
            + size_of::<Self>()
            + size_of::<TokenFacts>()
            + user.username().as_str().len()
            + user.uid().map_or(0, str::len)
            + groups
            + extra
            + header
            + claims
    }
}

/// When an entry goes, by the machine's monotonic clock: a wall clock that is set back does not bring a verdict back,
/// nor lengthen its life.
struct Deadline;

impl Expiry<Key, Arc<Kept>> for Deadline {
    fn expire_after_create(&self, _: &Key, kept: &Arc<Kept>, _: Instant) -> Option<Duration> {
        // The last second counts to its end.
        let left = kept.until.plus(Duration::from_secs(1)).since(kept.judged_at);
        Some(left.min(TIME_TO_LIVE))
    }
}

impl Key {
    /// SHA-256 over everything that the verdict depends on. Fixed-length parts stand first, so no two inputs run together.
    fn of(token: &BearerToken, by: &Authenticator) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&by.verifier.keys().digest());
        // What the issuer announces narrows the algorithms without a new generation or a new key.
        context.update(&by.verifier.algorithms().to_bits().to_be_bytes());
        // Another list of the fleet may give a sibling the second audience of a token that was good before.
        context.update(by.verifier.profile().siblings.digest());
        context.update(&by.generation.to_be_bytes());
        context.update(&(by.uid.len() as u64).to_be_bytes());
        context.update(by.uid.as_bytes());
        context.update(token.as_str().as_bytes());
        let mut key = [0; 32];
        key.copy_from_slice(context.finish().as_ref());
        Self(key)
    }
}

#[cfg(test)]
mod tests;
