//! The judge: every file of the hostile corpus, and what no file can say.

#![expect(clippy::unwrap_used, reason = "what the tests make themselves must be there")]

#[path = "judging/corpus.rs"]
mod corpus;
#[path = "judging/issuer.rs"]
mod issuer;
#[path = "judging/mapping.rs"]
mod mapping;
#[path = "judging/properties.rs"]
mod properties;
#[path = "judging/routing.rs"]
mod routing;

use std::sync::Arc;

use latchkey_concierge::{
    authn::{self, ReplayState, Verdict},
    fleet::{Fleet, Member, SiblingName},
    index::{AuthenticatorRef, Entry, Reader, Unready},
    jwt::{AdditionalAudiences, AlgorithmSet, KeySet, Verifier},
    mapping::{GroupName, Rules},
    policy,
    time::UnixTime,
    verdicts::Verdicts,
};
use serde_json::{Value, json};

use self::issuer::{AUDIENCE, ISSUER, NOW, bearer, claims, index, key, key_set, keys, rs256, token};

fn judge_at(index: &Reader, token: &str, now: i64) -> Verdict {
    let (staging, snapshot) = (AuthenticatorRef::jwt("staging"), index.snapshot());
    let verdict = authn::authenticate(&bearer(token), &staging, &snapshot, UnixTime::from_secs(now));
    if let Some(Entry::Ready(by)) = snapshot.entry(&staging) {
        assert_eq!(issuer::judged(token, by, now), verdict.outcome, "one judge");
    }
    verdict
}

fn code_of(verdict: &Verdict) -> &'static str {
    verdict.outcome.as_ref().map_or_else(authn::Reason::code, |_| "allowed")
}

fn code(token: &str) -> &'static str {
    code_of(&judge_at(&index(), token, NOW))
}

#[test]
fn a_good_token_becomes_its_user() {
    let verdict = judge_at(&index(), &rs256(&json!({"jti": "AT.1"})), NOW);
    let user = verdict.outcome.unwrap().user;
    assert_eq!(user.username().as_str(), "ada");
    assert_eq!(user.groups().iter().map(GroupName::as_str).collect::<Vec<_>>(), ["developers", "oncall"]);
    assert_eq!(user.extra()["authentication.kubernetes.io/credential-id"], ["JTI=AT.1"]);
    let verified = verdict.facts.verified.clone().unwrap();
    assert_eq!((verified.iss.as_deref(), verified.aud), (Some(ISSUER), vec![AUDIENCE.to_owned()]));
}

#[test]
fn every_algorithm_verifies_with_its_key_and_only_with_its_key() {
    let algorithms = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"];
    let family = |alg: &str| match alg {
        "ES256" => "p256",
        "ES384" => "p384",
        "ES512" => "p521",
        "EdDSA" => "ed25519",
        _ => "rsa",
    };
    for alg in algorithms {
        for signer in keys() {
            let kid = signer.jwk["kid"].as_str().unwrap();
            let header = json!({"alg": alg, "kid": kid}).to_string();
            let expected = if family(alg) == kid { "allowed" } else { "key-unsuitable" };
            assert_eq!(code(&token(signer, &header, &claims(&json!({})))), expected, "{alg} with {kid}");
        }
    }
}

#[test]
fn only_an_authenticator_that_is_ready_judges() {
    let (mut writer, index) = issuer::index_of(issuer::authenticator(&key_set([&key("rsa").jwk])));
    let good = rs256(&json!({}));
    assert_eq!(code_of(&judge_at(&index, &good, NOW)), "allowed");
    writer.set_not_ready(Unready::new(AuthenticatorRef::jwt("staging"), "uid", 1), None);
    assert_eq!(code_of(&judge_at(&index, &good, NOW)), "authenticator-not-ready");
    writer.remove(&AuthenticatorRef::jwt("staging"));
    assert_eq!(code_of(&judge_at(&index, &good, NOW)), "authenticator-unknown");
    assert_eq!(AuthenticatorRef::parse(Some("g"), "JWTAuthenticator", "a", "g"), Some(AuthenticatorRef::jwt("a")));
    for (group, kind) in
        [(None, "JWTAuthenticator"), (Some("g/v1alpha1"), "JWTAuthenticator"), (Some("g"), "jwtauthenticator")]
    {
        assert_eq!(AuthenticatorRef::parse(group, kind, "a", "g"), None);
    }
}

#[test]
fn a_remembered_verdict_dies_with_the_token_the_keys_and_the_spec() {
    let verdicts = Verdicts::default();
    let good = rs256(&json!({}));
    let at = |index: &Reader, now: i64| {
        let now = UnixTime::from_secs(now);
        code_of(&verdicts.authenticate(&bearer(&good), &AuthenticatorRef::jwt("staging"), &index.snapshot(), now))
    };
    let (mut writer, index) = issuer::index_of(issuer::authenticator(&key_set([&key("rsa").jwk])));
    assert_eq!((at(&index, NOW), at(&index, NOW + 300), at(&index, NOW + 301)), ("allowed", "allowed", "expired"));

    let withdrawn = issuer::authenticator(&key_set([&key("p256").jwk]));
    writer.set(AuthenticatorRef::jwt("staging"), Entry::Ready(withdrawn.into()));
    assert_eq!(at(&index, NOW), "key-unknown", "the key was withdrawn");

    let mut changed = issuer::authenticator(&key_set([&key("rsa").jwk]));
    changed.generation = 2;
    changed.rules = Arc::new(Rules::of_claims("email", "groups"));
    writer.set(AuthenticatorRef::jwt("staging"), Entry::Ready(changed.into()));
    assert_eq!(at(&index, NOW), "claim-missing", "the spec changed");

    let mut narrowed = issuer::authenticator(&key_set([&key("rsa").jwk]));
    narrowed.verifier = Verifier::new(
        Arc::new(issuer::profile()),
        AlgorithmSet::from_names(["ES256"]),
        Arc::new(KeySet::parse(&key_set([&key("rsa").jwk])).unwrap().0),
    );
    writer.set(AuthenticatorRef::jwt("staging"), Entry::Ready(narrowed.into()));
    assert_eq!(at(&index, NOW), "alg-not-allowed", "the issuer withdrew the algorithm");

    writer.set_not_ready(Unready::new(AuthenticatorRef::jwt("staging"), "uid", 1), None);
    assert_eq!(at(&index, NOW), "authenticator-not-ready");
}

#[test]
fn a_remembered_verdict_dies_when_a_sibling_takes_one_of_the_tokens_audiences() {
    let verdicts = Verdicts::default();
    let both = rs256(&json!({"aud": [AUDIENCE, "tools"]}));
    let (staging, now) = (AuthenticatorRef::jwt("staging"), UnixTime::from_secs(NOW));
    let of_siblings = |members: Vec<Member>| {
        Entry::Ready(Arc::new(issuer::with_profile(|profile| {
            profile.additional_audiences = AdditionalAudiences::Allow;
            profile.siblings = Fleet::new(members).siblings("staging");
        })))
    };
    let tools = Member {
        name: SiblingName::new("tools"),
        audiences: vec!["tools".to_owned()],
        issuers: vec![ISSUER.to_owned()],
        display_name: None,
        contact: None,
    };
    let (mut writer, index) = latchkey_concierge::index::channel();
    let mut at = |members: Vec<Member>| {
        writer.set(staging.clone(), of_siblings(members));
        verdicts.authenticate(&bearer(&both), &staging, &index.snapshot(), now)
    };
    assert_eq!(code_of(&at(vec![])), "allowed");
    let refused = at(vec![tools]);
    assert_eq!(code_of(&refused), "audience-shared");
    let replay = refused.cross_cluster(now).unwrap();
    assert_eq!((replay.cluster.as_str(), replay.state), ("tools", ReplayState::Multi));
    assert_eq!(code_of(&at(vec![])), "allowed");
}

#[test]
fn equal_sets_have_equal_digests() {
    let digest = |keys: &[&Value]| KeySet::parse(&key_set(keys.iter().copied())).unwrap().0.digest();
    let (a, b) = (&key("rsa").jwk, &key("p256").jwk);
    assert_eq!(digest(&[a, b]), digest(&[b, a]));
    assert_eq!(digest(&[a, b]), digest(&[a, b, a]));
    assert_ne!(digest(&[a, b]), digest(&[a]));
    let mut renamed = a.clone();
    renamed["kid"] = json!("other");
    assert_ne!(digest(&[a]), digest(&[&renamed]));
}

#[test]
fn a_permit_is_for_people_and_workloads_not_for_kubernetes() {
    let admitted = judge_at(&index(), &rs256(&json!({})), NOW).outcome.unwrap();
    assert_eq!(policy::may_hold_certificate(admitted.user).unwrap().user().username().as_str(), "ada");
}
