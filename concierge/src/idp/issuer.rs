//! All that is known of one issuer: its discovery document, its keys, its schedule and its trouble.
//!
//! [`IssuerState`] is a pure state machine. It hands out an [`Errand`], [`run`] does that errand over the network, and
//! the [`Attempt`] that comes back is applied. What was good once stays in use until something better was fetched or
//! its hard age is reached; that holds across restarts too, by [`LastGood`].

use std::{sync::Arc, time::Duration};

use super::{
    discovery::{self, Discovered, DiscoveryError, JwksUriError},
    http::{HttpsUrl, IssuerClient},
    jwks::{self, FetchedKeys, JwksAnswer, JwksError},
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

/// What one attempt is to do.
#[derive(Debug, Clone)]
pub struct Errand {
    /// The configured issuer.
    issuer: Arc<str>,
    /// Where to look.
    from: KeysFrom,
    /// Whether discovery is due.
    discover: bool,
    /// Where the keys were found before.
    jwks_uri: Option<HttpsUrl>,
    /// The keys held, for a conditional request.
    held: Option<Arc<FetchedKeys>>,
}

/// What came of an errand.
#[derive(Debug)]
pub struct Attempt {
    /// `None`: discovery was not due.
    discovery: Option<Result<Discovered, DiscoveryError>>,
    /// `None`: there was no URL to fetch keys from.
    keys: Option<Result<JwksAnswer, JwksError>>,
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
mod tests {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use serde_json::json;

    use super::*;
    use crate::{idp::http::FetchError, jwt::KeySet};

    const START: UnixTime = UnixTime::from_secs(1_795_233_600);
    const ISSUER: &str = "https://idp.example.com";
    const FRESH: Duration = Duration::from_mins(5);

    fn url(path: &str) -> HttpsUrl {
        format!("{ISSUER}{path}").parse().unwrap()
    }

    fn keys(ids: &[&str], path: &str) -> FetchedKeys {
        let jwks: Vec<_> = ids
            .iter()
            .map(|id| {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
                let point = pair.public_key().as_ref();
                let [x, y] = [&point[1..33], &point[33..]].map(|half| URL_SAFE_NO_PAD.encode(half));
                json!({"kty": "EC", "crv": "P-256", "kid": id, "x": x, "y": y})
            })
            .collect();
        let (keys, _) = KeySet::parse(json!({ "keys": jwks }).to_string().as_bytes()).unwrap();
        FetchedKeys {
            keys: Arc::new(keys),
            dropped: Arc::new([]),
            document: Arc::new([]),
            entity_tag: None,
            url: url(path),
        }
    }

    fn found(path: &str) -> Discovered {
        Discovered { jwks_uri: Ok(url(path)), signing_algorithms: None }
    }

    fn fetched(keys: &FetchedKeys) -> JwksAnswer {
        JwksAnswer::Keys { fetched: keys.clone(), freshness: FRESH }
    }

    fn no_discovery() -> DiscoveryError {
        DiscoveryError::Fetch { url: url("/d"), source: FetchError::Connect("refused".to_owned()) }
    }

    fn no_keys() -> JwksError {
        JwksError::Fetch { url: url("/keys"), source: FetchError::Timeout(Duration::from_secs(10)) }
    }

    /// An issuer whose keys were fetched at [`START`].
    fn working(first: &FetchedKeys) -> IssuerState {
        let mut state = IssuerState::new(ISSUER, KeysFrom::Discovery, START);
        let attempt = Attempt { discovery: Some(Ok(found("/keys"))), keys: Some(Ok(fetched(first))) };
        let applied = state.apply(attempt, START, 0.0);
        assert_eq!(applied, Applied { changed: true, results: vec!["changed"] });
        state
    }

    #[test]
    fn an_issuer_down_at_the_start_has_trouble_at_once_and_works_when_it_comes_back() {
        let mut state = IssuerState::new(ISSUER, KeysFrom::Discovery, START);
        assert!(state.errand(START).discover);
        let applied = state.apply(Attempt { discovery: Some(Err(no_discovery())), keys: None }, START, 1.0);
        assert_eq!(applied, Applied { changed: false, results: vec!["connect"] });
        let trouble = state.report().trouble.unwrap();
        assert_eq!((trouble.step, trouble.result, trouble.since), (Step::Discovery, "connect", START));
        assert_eq!(state.wait(START), Duration::from_secs(1));

        let later = START.plus(Duration::from_secs(1));
        let back = Attempt { discovery: Some(Ok(found("/keys"))), keys: Some(Ok(fetched(&keys(&["a"], "/keys")))) };
        assert!(state.apply(back, later, 0.0).changed);
        let report = state.report();
        assert_eq!((report.trouble, report.keys_fetched_at), (None, Some(later)));
        assert!(!state.errand(later).discover);
    }

    #[test]
    fn last_good_keys_stay_through_an_outage_until_their_hard_age() {
        let mut state = working(&keys(&["a"], "/keys"));
        let mut now = START;
        for failures in 1..=5 {
            now = now.plus(FRESH);
            let discovery = state.errand(now).discover.then(|| Err(no_discovery()));
            assert_eq!(discovery.is_some(), failures > 1, "discovery is asked again once the keys fail");
            state.apply(Attempt { discovery, keys: Some(Err(no_keys())) }, now, 0.5);
            let report = state.report();
            assert!(report.keys.is_some());
            assert_eq!(report.trouble.is_some(), failures >= TELL_AFTER, "{failures}");
        }
        assert_eq!(state.report().trouble.unwrap().since, START.plus(FRESH));
        assert_eq!(state.report().keys_dropped_at, Some(START.plus(HARD_AGE)));

        let almost = START.plus(HARD_AGE).minus(Duration::from_secs(1));
        state.apply(Attempt { discovery: Some(Err(no_discovery())), keys: Some(Err(no_keys())) }, almost, 0.5);
        assert!(state.report().keys.is_some());
        let applied = state.apply(
            Attempt { discovery: Some(Err(no_discovery())), keys: Some(Err(no_keys())) },
            START.plus(HARD_AGE),
            0.5,
        );
        assert!(applied.changed);
        assert!(state.report().keys.is_none());
        assert!(state.report().trouble.is_some());
    }

    fn last_good(ids: &[&str], fetched_at: UnixTime) -> LastGood {
        LastGood { keys: Arc::new(keys(ids, "/keys")), discovered: Some(Arc::new(found("/keys"))), fetched_at }
    }

    fn down() -> Attempt {
        Attempt { discovery: Some(Err(no_discovery())), keys: None }
    }

    #[test]
    fn keys_of_an_earlier_process_wait_for_the_first_attempt_and_serve_when_it_fails() {
        let mut state = IssuerState::new(ISSUER, KeysFrom::Discovery, START);
        let fetched_at = START.minus(Duration::from_hours(3));
        assert!(!state.remember(last_good(&["a"], fetched_at), START));
        assert!(state.report().keys.is_none() && state.remembers(), "the issuer has the first word");
        assert!(state.apply(down(), START, 0.0).changed);
        let report = state.report();
        assert!(state.knows(&KeyId::new("a").unwrap()));
        assert!(report.keys_restored && report.keys_failing, "told at once, not after three failures");
        assert_eq!(report.keys_fetched_at, Some(fetched_at));
        assert_eq!(report.keys_dropped_at, Some(fetched_at.plus(HARD_AGE)), "the restart gives no day more");
        assert_eq!(report.trouble.map(|trouble| trouble.since), Some(START));
        assert_eq!(state.errand(START).jwks_uri, Some(url("/keys")), "what discovery said then is in use too");

        // It serves through the outage, to the very second.
        let end = fetched_at.plus(HARD_AGE);
        state.apply(down(), end.minus(Duration::from_secs(1)), 0.0);
        assert!(state.report().keys.is_some());
        assert!(state.apply(down(), end, 0.0).changed);
        assert!(state.report().keys.is_none());
    }

    #[test]
    fn keys_of_an_earlier_process_come_too_late_once_the_issuer_has_answered() {
        let mut state = working(&keys(&["new"], "/keys"));
        assert!(!state.remember(last_good(&["withdrawn"], START), START.plus(FRESH)));
        state.apply(down(), START.plus(FRESH), 0.0);
        assert!(!state.knows(&KeyId::new("withdrawn").unwrap()));

        // And they go with its first answer.
        let mut state = IssuerState::new(ISSUER, KeysFrom::Discovery, START);
        state.apply(down(), START, 0.0);
        assert!(state.remember(last_good(&["withdrawn"], START.minus(FRESH)), START), "an attempt has failed already");
        let back = Attempt { discovery: Some(Ok(found("/keys"))), keys: Some(Ok(fetched(&keys(&["new"], "/keys")))) };
        assert!(state.apply(back, START.plus(FRESH), 0.0).changed);
        let report = state.report();
        assert!(!state.knows(&KeyId::new("withdrawn").unwrap()) && !report.keys_restored);
        assert_eq!(report.keys_fetched_at, Some(START.plus(FRESH)));
    }

    #[test]
    fn of_several_records_the_newest_serves_and_one_beyond_the_hard_age_never() {
        let mut state = IssuerState::new(ISSUER, KeysFrom::Discovery, START);
        let hours = |hours| START.minus(Duration::from_hours(hours));
        state.remember(last_good(&["older"], hours(5)), START);
        state.remember(last_good(&["newest"], hours(1)), START);
        state.remember(last_good(&["old"], hours(3)), START);
        assert!(state.adopt(START));
        assert!(state.knows(&KeyId::new("newest").unwrap()));
        assert!(!state.remember(last_good(&["older"], hours(5)), START) && !state.remembers());

        let mut state = IssuerState::new(ISSUER, KeysFrom::Discovery, START);
        state.remember(last_good(&["dead"], START.minus(HARD_AGE)), START);
        state.apply(down(), START, 0.0);
        assert!(state.report().keys.is_none() && !state.remembers());
    }

    #[test]
    fn keys_at_a_given_address_need_no_discovery() {
        let from = KeysFrom::Jwks(url("/given"));
        let mut state = IssuerState::new(ISSUER, from, START);
        let errand = state.errand(START);
        assert_eq!(errand.jwks_uri, Some(url("/given")));
        let attempt = Attempt { discovery: None, keys: Some(Ok(fetched(&keys(&["a"], "/given")))) };
        assert!(state.apply(attempt, START, 0.0).changed);
        let report = state.report();
        assert!(report.discovered.is_none() && report.trouble.is_none() && report.keys.is_some());
    }

    #[test]
    fn a_withdrawn_key_is_gone_with_the_next_fetch() {
        let (both, one) = (keys(&["old", "new"], "/keys"), keys(&["new"], "/keys"));
        let mut state = working(&both);
        let old = KeyId::new("old").unwrap();
        assert!(state.knows(&old));
        let applied = state.apply(Attempt { discovery: None, keys: Some(Ok(fetched(&one))) }, START.plus(FRESH), 0.0);
        assert_eq!(applied, Applied { changed: true, results: vec!["changed"] });
        assert!(!state.knows(&old));
    }

    #[test]
    fn however_long_a_key_set_may_be_cached_a_withdrawn_key_dies_within_five_minutes() {
        let (both, one) = (keys(&["old", "new"], "/keys"), keys(&["new"], "/keys"));
        let old = KeyId::new("old").unwrap();
        for fraction in [0.0, 0.5, 0.999] {
            let mut state = IssuerState::new(ISSUER, KeysFrom::Discovery, START);
            let keys = Some(Ok(JwksAnswer::Keys { fetched: both.clone(), freshness: FRESH }));
            state.apply(Attempt { discovery: Some(Ok(found("/keys"))), keys }, START, fraction);
            // Withdrawn the moment after, and nobody asks for an unknown key.
            let next = START.plus(state.wait(START));
            assert!(next <= START.plus(FRESH), "{fraction}");
            state.apply(Attempt { discovery: None, keys: Some(Ok(fetched(&one))) }, next, fraction);
            assert!(!state.knows(&old));
        }
    }

    #[test]
    fn an_issuer_that_rotates_twice_a_second_is_followed_without_being_asked_more_often() {
        let mut state = working(&keys(&["0"], "/keys"));
        let mut fetches = 0_u32;
        for half_second in 1..=240_u64 {
            let now = START.plus(Duration::from_millis(500 * half_second));
            let id = KeyId::new(&half_second.to_string()).unwrap();
            // Each key's first token comes at once.
            if state.unknown_key(Some(&id), now) == UnknownKey::Fetch {
                fetches += 1;
                let published = keys(&[id.as_str()], "/keys");
                state.apply(Attempt { discovery: None, keys: Some(Ok(fetched(&published))) }, now, 0.0);
                assert!(state.knows(&id));
            }
        }
        // Two minutes: a burst of three, and one more every ten seconds.
        assert!((10..=15).contains(&fetches), "{fetches}");
    }

    #[test]
    fn the_same_keys_and_304_renew_their_age_and_change_nothing() {
        let first = keys(&["a"], "/keys");
        let mut state = working(&first);
        for (minutes, answer) in [(5, fetched(&first)), (10, JwksAnswer::Unchanged { freshness: FRESH })] {
            let now = START.plus(Duration::from_mins(minutes));
            let applied = state.apply(Attempt { discovery: None, keys: Some(Ok(answer)) }, now, 0.0);
            assert_eq!(applied, Applied { changed: false, results: vec!["unchanged"] });
            assert_eq!(state.report().keys_fetched_at, Some(now));
        }
    }

    #[test]
    fn a_changed_jwks_uri_counts_only_once_its_keys_were_fetched() {
        let mut state = working(&keys(&["a"], "/keys"));
        let hour = START.plus(REDISCOVER);
        assert!(state.errand(hour).discover);
        state.apply(Attempt { discovery: Some(Ok(found("/moved"))), keys: Some(Err(no_keys())) }, hour, 0.0);
        assert_eq!(state.errand(hour).jwks_uri, Some(url("/keys")));
        let attempt =
            Attempt { discovery: Some(Ok(found("/moved"))), keys: Some(Ok(fetched(&keys(&["b"], "/moved")))) };
        assert!(state.apply(attempt, hour, 0.0).changed);
        assert_eq!(state.errand(hour).jwks_uri, Some(url("/moved")));
    }

    #[test]
    fn a_document_that_turns_bad_is_told_and_the_keys_go_on_being_refreshed() {
        let first = keys(&["a"], "/keys");
        let mut state = working(&first);
        let hour = START.plus(REDISCOVER);
        let mismatch = DiscoveryError::IssuerMismatch {
            url: url("/d"),
            expected: ISSUER.to_owned(),
            found: "https://evil.example.com".to_owned(),
        };
        let attempt = Attempt { discovery: Some(Err(mismatch)), keys: Some(Ok(fetched(&first))) };
        assert_eq!(state.apply(attempt, hour, 0.0).results, ["issuer-mismatch", "unchanged"]);
        let report = state.report();
        assert_eq!(report.trouble.map(|trouble| trouble.step), Some(Step::Discovery));
        assert_eq!(report.keys_fetched_at, Some(hour));

        let bad_uri = Discovered { jwks_uri: "http://idp/k".parse().map_err(scheme_error), signing_algorithms: None };
        state.apply(Attempt { discovery: Some(Ok(bad_uri)), keys: Some(Ok(fetched(&first))) }, hour, 0.0);
        assert_eq!(state.report().trouble.map(|trouble| trouble.step), Some(Step::JwksUri { scheme: true }));
        assert_eq!(state.errand(hour).jwks_uri, Some(url("/keys")));
    }

    fn scheme_error(source: crate::idp::http::UrlError) -> JwksUriError {
        JwksUriError::Unusable { found: "http://idp/k".to_owned(), source }
    }

    #[test]
    fn a_document_without_keys_is_shown_as_it_is() {
        let mut state = IssuerState::new(ISSUER, KeysFrom::Discovery, START);
        let document = Discovered { jwks_uri: Err(JwksUriError::Absent), signing_algorithms: None };
        let applied = state.apply(Attempt { discovery: Some(Ok(document)), keys: None }, START, 0.0);
        assert_eq!(applied.results, ["jwks-uri"]);
        let report = state.report();
        assert!(report.discovered.is_some() && report.keys.is_none());
        assert_eq!(report.trouble.map(|trouble| trouble.step), Some(Step::JwksUri { scheme: false }));
    }

    #[test]
    fn trouble_keeps_its_first_words_while_it_is_the_same_trouble() {
        let mut state = IssuerState::new(ISSUER, KeysFrom::Discovery, START);
        let refused = |words: &str| {
            let source = FetchError::Connect(words.to_owned());
            Attempt { discovery: Some(Err(DiscoveryError::Fetch { url: url("/d"), source })), keys: None }
        };
        state.apply(refused("first"), START, 0.0);
        state.apply(refused("second"), START.plus(FRESH), 0.0);
        let trouble = state.report().trouble.unwrap();
        assert!(trouble.sentence.contains("first"), "{trouble:?}");
        let stalled = DiscoveryError::Fetch { url: url("/d"), source: FetchError::Timeout(FRESH) };
        state.apply(Attempt { discovery: Some(Err(stalled)), keys: None }, START.plus(FRESH), 0.0);
        let trouble = state.report().trouble.unwrap();
        assert_eq!((trouble.result, trouble.since), ("timeout", START));
    }
}
