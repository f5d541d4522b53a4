//! How often the judge is asked, and when a remembered yes ends.

use std::{
    collections::BTreeMap,
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;

use super::*;
use crate::{
    authn::Reason,
    index::AuthenticatorName,
    jwt::{AlgorithmSet, Audience, Audiences, Issuer, KeySet, Profile, VerifiedFacts, Verifier},
    mapping::{self, Rules},
    token_review::Vouched,
};

const NOW: i64 = 1_795_233_600;
const KEY: Key = Key([7; 32]);

fn at(seconds: i64) -> UnixTime {
    UnixTime::from_secs(NOW + seconds)
}

fn authenticator(max_token_age: Option<Duration>) -> Arc<Authenticator> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = pair.public_key().as_ref();
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let jwk = json!({"kty": "EC", "crv": "P-256", "x": text(&point[1..33]), "y": text(&point[33..])});
    let (keys, _) = KeySet::parse(json!({"keys": [jwk]}).to_string().as_bytes()).unwrap();
    let audiences = Audiences::new(vec![Audience::new("staging".to_owned())]).unwrap();
    let mut profile = Profile::new(Issuer::new("https://idp.example".to_owned()), audiences);
    profile.max_token_age = max_token_age;
    Arc::new(Authenticator {
        name: AuthenticatorName::new("staging"),
        uid: "3e1f".to_owned(),
        generation: 1,
        verifier: Verifier::new(Arc::new(profile), AlgorithmSet::default(), Arc::new(keys)),
        rules: Arc::new(Rules::of_claims("username", "groups")),
        credential_lifetime: None,
        claims: None,
        keys_fetched_at: at(0),
    })
}

/// A yes for a token that was issued now and lives `seconds` longer, for a user in `groups` groups.
fn yes(by: &Arc<Authenticator>, seconds: i64, groups: usize) -> Verdict {
    let vouched = Vouched {
        username: "ada".to_owned(),
        groups: (0..groups).map(|n| format!("{n:0>100}")).collect(),
        extra: BTreeMap::from([("a.b/c".to_owned(), vec!["v".to_owned()])]),
        ..Vouched::default()
    };
    let verified = VerifiedFacts { iat: Some(NOW), ..VerifiedFacts::default() };
    Verdict {
        facts: Arc::new(TokenFacts { verified: Some(verified), ..TokenFacts::default() }),
        authenticator: Some(JudgedBy::Jwt(Arc::clone(by))),
        outcome: Ok(Admitted {
            user: mapping::vouched(vouched, &mapping::ReservedIdentities::default()).unwrap(),
            token_expires_at: Some(at(seconds)),
            credential_lifetime: None,
        }),
    }
}

fn no() -> Verdict {
    Verdict { facts: Arc::default(), authenticator: None, outcome: Err(Reason::AuthenticatorNotReady) }
}

/// A cache and how often its judge was asked.
#[derive(Default)]
struct Asked {
    verdicts: Verdicts,
    times: AtomicUsize,
}

impl Asked {
    /// Asks at `now`, and says how often the judge was asked by then.
    fn ask(&self, by: &Arc<Authenticator>, now: UnixTime, verdict: impl Fn() -> Verdict) -> usize {
        let _ = self.verdicts.remember(KEY, by, now, || {
            self.times.fetch_add(1, Ordering::SeqCst);
            verdict()
        });
        self.times.load(Ordering::SeqCst)
    }
}

#[test]
fn threads_that_bring_one_token_at_once_have_it_judged_once() {
    const THREADS: usize = 8;
    let (asked, by, start) = (Asked::default(), authenticator(None), Barrier::new(THREADS));
    // The judge does not answer before every thread was there to ask: without a single flight each would come here.
    let arrived = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                start.wait();
                arrived.fetch_add(1, Ordering::SeqCst);
                asked.ask(&by, at(0), || {
                    while arrived.load(Ordering::SeqCst) < THREADS {
                        thread::yield_now();
                    }
                    yes(&by, 300, 2)
                });
            });
        }
    });
    assert_eq!(asked.times.load(Ordering::SeqCst), 1);
}

#[test]
fn refusals_are_not_kept() {
    let (asked, by) = (Asked::default(), authenticator(None));
    assert_eq!(asked.ask(&by, at(0), no), 1);
    assert_eq!(asked.ask(&by, at(0), no), 2);
    assert_eq!(asked.ask(&by, at(0), || yes(&by, 300, 2)), 3);
    assert_eq!(asked.ask(&by, at(0), no), 3, "the yes is kept");
}

#[test]
fn a_yes_ends_with_the_token_and_does_not_hold_before_it_was_said() {
    let (asked, by) = (Asked::default(), authenticator(None));
    assert_eq!(asked.ask(&by, at(0), || yes(&by, 200, 2)), 1);
    assert_eq!(asked.ask(&by, at(200), no), 1);
    assert_eq!(asked.ask(&by, at(201), no), 2);
    assert_eq!(asked.ask(&by, at(-1), no), 3, "a clock set back asks the judge");
}

#[test]
fn a_yes_ends_when_the_token_grows_too_old() {
    let (asked, by) = (Asked::default(), authenticator(Some(Duration::from_mins(1))));
    assert_eq!(asked.ask(&by, at(0), || yes(&by, 200, 2)), 1);
    assert_eq!(asked.ask(&by, at(60), no), 1);
    assert_eq!(asked.ask(&by, at(61), no), 2);
}

/// The wall clock stands still, as one that is set back again and again would; the entry goes all the same.
#[test]
fn a_clock_that_does_not_move_on_keeps_no_verdict_alive() {
    let (asked, by) = (Asked::default(), authenticator(None));
    let begun = Instant::now();
    assert_eq!(asked.ask(&by, at(0), || yes(&by, 0, 2)), 1);
    while asked.ask(&by, at(0), || yes(&by, 0, 2)) < 2 {
        assert!(begun.elapsed() < Duration::from_secs(30), "the entry outlives its second");
        thread::yield_now();
    }
    assert!(begun.elapsed() >= Duration::from_secs(1), "a token is good to the end of its last second");
}

#[test]
fn many_groups_weigh_more_and_all_together_stay_within_the_bound() {
    let (verdicts, by) = (Verdicts::default(), authenticator(None));
    let weight = |groups: usize| Kept::of(&yes(&by, 300, groups), &by, at(0)).unwrap().bytes();
    assert!(weight(0) > ENTRY_BYTES);
    assert_eq!(weight(1_000) - weight(0), 1_000 * (100 + size_of::<String>()));
    // Three times as much as fits.
    let entries = 3 * usize::try_from(CAPACITY_BYTES).unwrap() / weight(1_000);
    for n in 0..entries {
        let mut key = KEY;
        key.0[..8].copy_from_slice(&(n as u64).to_be_bytes());
        let _ = verdicts.remember(key, &by, at(0), || yes(&by, 300, 1_000));
    }
    verdicts.0.run_pending_tasks();
    assert!(verdicts.0.weighted_size() <= CAPACITY_BYTES, "{}", verdicts.0.weighted_size());
    assert!(verdicts.0.weighted_size() > CAPACITY_BYTES / 2, "{}", verdicts.0.weighted_size());
}
