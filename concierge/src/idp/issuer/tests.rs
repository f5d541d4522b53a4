//! An issuer through outages, rotations, restarts and mistakes, by given attempts and times.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;

use super::*;
use crate::{
    idp::{discovery::DiscoveryError, http::FetchError, jwks::JwksError},
    jwt::KeySet,
};

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
    let attempt = Attempt { discovery: Some(Ok(found("/moved"))), keys: Some(Ok(fetched(&keys(&["b"], "/moved")))) };
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
