//! All that is known of one issuer: its discovery document, its keys, its schedule and its trouble.
//!
//! [`IssuerState`] is a pure state machine. It hands out an [`Errand`], [`run`] does that errand over the network, and
//! the [`Attempt`] that comes back is applied. What was good once stays in use until something better was fetched or
//! its hard age is reached; that holds across restarts too, by [`LastGood`].

mod errand;

use std::{sync::Arc, time::Duration};

pub use self::errand::{Attempt, Errand, run};
use super::{
    discovery::{Discovered, JwksUriError},
    http::HttpsUrl,
    jwks::{FetchedKeys, JwksAnswer},
    key_schedule::{HARD_AGE, KeySchedule, UnknownKey},
};
use crate::{jwt::KeyId, time::UnixTime};

/// The discovery document is fetched anew after this long, and whenever the keys cannot be fetched (jwt-profile 8).
const REDISCOVER: Duration = Duration::from_hours(1);

/// While good keys are held, this many failures in a row are a trouble worth telling; one alone is a hiccup.
const TELL_AFTER: u32 = 3;

/// Where an issuer's keys are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeysFrom {
    /// By the discovery document at the issuer's well-known address.
    Discovery,
    /// By the discovery document at this very address; it must be the configured issuer's all the same.
    DiscoveryAt(HttpsUrl),
    /// At this address, without discovery.
    Jwks(HttpsUrl),
}

/// The last good keys of an issuer, as an earlier process fetched them. They are used only until the issuer answers, and
/// not beyond the hard age that counts from their fetch.
#[derive(Debug, Clone)]
pub struct LastGood {
    /// The keys.
    pub keys: Arc<FetchedKeys>,
    /// What the discovery document said then; `None` without discovery.
    pub discovered: Option<Arc<Discovered>>,
    /// When they were fetched.
    pub fetched_at: UnixTime,
}

/// What applying an attempt did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Whether the keys are others than before.
    pub changed: bool,
    /// The words for the metrics, one for each fetch that was tried.
    pub results: Vec<&'static str>,
}

/// The state of one issuer.
#[derive(Debug)]
pub struct IssuerState {
    issuer: Arc<str>,
    from: KeysFrom,
    schedule: KeySchedule,
    discovered: Option<(Arc<Discovered>, UnixTime)>,
    keys: Option<Arc<FetchedKeys>>,
    keys_fetched_at: UnixTime,
    /// Whether the keys are those of an earlier process.
    restored: bool,
    /// An earlier process's keys, which are not in use (yet).
    kept: Option<LastGood>,
    trouble: Option<Trouble>,
}

/// What the rest of the house is told: a copy, whole, and never half a change.
#[derive(Debug, Clone, Default)]
pub struct IssuerReport {
    /// What discovery brought, the last time it succeeded.
    pub discovered: Option<Arc<Discovered>>,
    /// The keys to use.
    pub keys: Option<Arc<FetchedKeys>>,
    /// When they were last fetched with success; only meaningful while there are keys.
    pub keys_fetched_at: Option<UnixTime>,
    /// When they will be dropped, if no fetch succeeds before.
    pub keys_dropped_at: Option<UnixTime>,
    /// Whether the keys grow old because they cannot be fetched anew.
    pub keys_failing: bool,
    /// Whether the keys are those of an earlier process: this one has not fetched any yet.
    pub keys_restored: bool,
    /// When the next fetch is due.
    pub next_fetch_at: Option<UnixTime>,
    /// Since when fetches fail, hiccups included; `None` when the last one succeeded.
    pub failing_since: Option<UnixTime>,
    /// What goes wrong now.
    pub trouble: Option<Trouble>,
}

/// A failure that lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Which step fails.
    pub step: Step,
    /// The stable word for it.
    pub result: &'static str,
    /// The sentence for people. It keeps the words of the first failure of its kind, so that a status does not change
    /// at every retry.
    pub sentence: String,
    /// Since when.
    pub since: UnixTime,
}

/// The steps on the way to keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Fetching the discovery document and judging it.
    Discovery,
    /// Its `jwks_uri`; `scheme` tells whether the scheme is what is wrong.
    JwksUri {
        /// Not https.
        scheme: bool,
    },
    /// Fetching the key set and judging it.
    Keys,
}

// === impl IssuerState ===

impl IssuerState {
    /// An issuer that was never asked.
    #[must_use]
    pub fn new(issuer: &str, from: KeysFrom, now: UnixTime) -> Self {
        Self {
            issuer: issuer.into(),
            from,
            schedule: KeySchedule::new(now),
            discovered: None,
            keys: None,
            keys_fetched_at: now,
            restored: false,
            kept: None,
            trouble: None,
        }
    }

    /// How long to wait for the next attempt.
    #[must_use]
    pub fn wait(&self, now: UnixTime) -> Duration {
        self.schedule.wait(now)
    }

    /// What the next attempt is to do.
    #[must_use]
    pub fn errand(&self, now: UnixTime) -> Errand {
        let discover = match &self.discovered {
            None => true,
            // A clock set back makes it due: its age is not known then.
            Some((_, at)) => now < *at || now.since(*at) >= REDISCOVER || self.trouble.is_some(),
        };
        let jwks_uri = match &self.from {
            KeysFrom::Jwks(url) => Some(url.clone()),
            KeysFrom::Discovery | KeysFrom::DiscoveryAt(_) => {
                self.discovered.as_ref().and_then(|(found, _)| found.jwks_uri.as_ref().ok().cloned())
            }
        };
        let held = self.keys.clone();
        Errand { issuer: Arc::clone(&self.issuer), from: self.from.clone(), discover, jwks_uri, held }
    }

    /// An earlier process's keys were found. They are not used before an attempt has failed or [`Self::adopt`] is
    /// called: while the issuer answers, its answer is the truth, and a key that it withdrew while nobody was running
    /// must not come back. `true`: they are in use now.
    pub fn remember(&mut self, last: LastGood, now: UnixTime) -> bool {
        let newer_than = |at: UnixTime| last.fetched_at > at;
        let fetched_here = self.keys.is_some() && !self.restored;
        let known_newer = self.restored && !newer_than(self.keys_fetched_at)
            || self.kept.as_ref().is_some_and(|kept| !newer_than(kept.fetched_at));
        if fetched_here || known_newer {
            return false;
        }
        self.kept = Some(last);
        self.schedule.failures() > 0 && self.adopt(now)
    }

    /// Whether there are keys that [`Self::adopt`] would use.
    #[must_use]
    pub const fn remembers(&self) -> bool {
        self.kept.is_some()
    }

    /// Uses the keys of an earlier process, unless they are beyond their hard age; `true` if they are in use now.
    pub fn adopt(&mut self, now: UnixTime) -> bool {
        let Some(last) = self.kept.take().filter(|last| now.since(last.fetched_at) < HARD_AGE) else { return false };
        self.discovered = last.discovered.map(|found| (found, last.fetched_at));
        self.keys = Some(last.keys);
        self.keys_fetched_at = last.fetched_at;
        self.restored = true;
        self.schedule.resume(last.fetched_at);
        true
    }

    /// Takes in what an attempt brought. `fraction` is random in `[0, 1)`.
    pub fn apply(&mut self, attempt: Attempt, now: UnixTime, fraction: f64) -> Applied {
        let mut results = Vec::new();
        let mut failure = None;
        let discovered = match attempt.discovery {
            None => None,
            Some(Ok(found)) => {
                if let Err(error) = &found.jwks_uri {
                    results.push(JwksUriError::RESULT);
                    let step = Step::JwksUri { scheme: error.is_scheme() };
                    failure = Some((step, JwksUriError::RESULT, error.to_string()));
                }
                Some(found)
            }
            Some(Err(error)) => {
                results.push(error.result());
                failure = Some((Step::Discovery, error.result(), error.to_string()));
                None
            }
        };

        let before = self.digest();
        match attempt.keys {
            Some(Ok(JwksAnswer::Unchanged { freshness })) => {
                self.fetched(now);
                self.schedule.succeeded(now, freshness, false, fraction);
            }
            Some(Ok(JwksAnswer::Keys { fetched, freshness })) => {
                self.keys = Some(Arc::new(fetched));
                self.fetched(now);
                self.schedule.succeeded(now, freshness, self.digest() != before, fraction);
            }
            Some(Err(error)) => {
                results.push(error.result());
                failure.get_or_insert_with(|| (Step::Keys, error.result(), error.to_string()));
                self.schedule.failed(now, fraction);
            }
            None => self.schedule.failed(now, fraction),
        }
        if self.schedule.failures() == 0 {
            results.push(if self.digest() == before { "unchanged" } else { "changed" });
        }
        if self.schedule.failures() > 0 && self.keys.is_none() {
            self.adopt(now);
        }
        // A document that leads to no keys does not take the place of one that did: its `jwks_uri` counts only once the
        // keys there were fetched.
        if let Some(found) = discovered
            && (self.keys.is_none() || (self.schedule.failures() == 0 && found.jwks_uri.is_ok()))
        {
            self.discovered = Some((Arc::new(found), now));
        }
        self.note(failure, now);
        if self.schedule.too_old(now) {
            self.keys = None;
        }
        Applied { changed: self.digest() != before, results }
    }

    /// Whether an unknown key id is worth an attempt now. See [`KeySchedule::unknown_key`].
    pub fn unknown_key(&mut self, key_id: Option<&KeyId>, now: UnixTime) -> UnknownKey {
        self.schedule.unknown_key(key_id, now)
    }

    /// See [`KeySchedule::asked_in_vain`].
    pub fn asked_in_vain(&mut self, key_id: Option<&KeyId>, now: UnixTime) {
        self.schedule.asked_in_vain(key_id, now);
    }

    /// Whether the keys in use have this id.
    #[must_use]
    pub fn knows(&self, key_id: &KeyId) -> bool {
        self.keys.as_ref().is_some_and(|held| held.keys.contains(key_id))
    }

    /// The state as the others may see it.
    #[must_use]
    pub fn report(&self) -> IssuerReport {
        let held = self.keys.is_some();
        // Of keys that this process never fetched the truth is told at once.
        let hiccup = held && !self.restored && (1..TELL_AFTER).contains(&self.schedule.failures());
        IssuerReport {
            discovered: self.discovered.as_ref().map(|(found, _)| Arc::clone(found)),
            keys: self.keys.clone(),
            keys_fetched_at: held.then_some(self.keys_fetched_at),
            keys_dropped_at: held.then(|| self.keys_fetched_at.plus(HARD_AGE)),
            keys_failing: self.schedule.failures() > 0 && !hiccup,
            keys_restored: held && self.restored,
            next_fetch_at: Some(self.schedule.next()),
            failing_since: self.trouble.as_ref().map(|trouble| trouble.since),
            trouble: self.trouble.clone().filter(|_| !hiccup),
        }
    }

    fn fetched(&mut self, now: UnixTime) {
        self.keys_fetched_at = now;
        self.restored = false;
        self.kept = None;
    }

    fn note(&mut self, failure: Option<(Step, &'static str, String)>, now: UnixTime) {
        self.trouble = failure.map(|(step, result, sentence)| match self.trouble.take() {
            Some(known) if known.step == step && known.result == result => known,
            known => Trouble { step, result, sentence, since: known.map_or(now, |known| known.since) },
        });
    }

    fn digest(&self) -> Option<[u8; 32]> {
        self.keys.as_ref().map(|held| held.keys.digest())
    }
}

#[cfg(test)]
mod tests;
