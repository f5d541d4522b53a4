//! What holds for all tokens and all authenticators, not only for those in the tables.

use std::sync::Arc;

use latchkey_concierge::{
    index::{AuthenticatorRef, Reader},
    jwt::AdditionalAudiences,
    time::UnixTime,
    verdicts::Verdicts,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::issuer::{self, NOW, audiences, bearer, claims, judged, key, token, with_profile};

const AUDIENCES: [&str; 4] = ["a", "b", "c", "d"];

fn signed(changes: &Value) -> String {
    token(key("ed25519"), r#"{"alg":"EdDSA","kid":"ed25519"}"#, &claims(changes))
}

/// A value of any JSON type that is not a string.
fn no_text() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        Just(json!([[]])),
        Just(json!([1])),
        Just(json!({"a": "b"})),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// No token opens two doors: whatever audiences it names, of two authenticators of one issuer without an audience in
    /// common at most one admits it, unless one of them asked for strangers.
    #[test]
    fn no_token_is_good_at_two_authenticators(named in prop::sample::subsequence(&AUDIENCES[..], 0..=4), ours in prop::sample::subsequence(&AUDIENCES[..], 1..4)) {
        let theirs: Vec<&str> = AUDIENCES.into_iter().filter(|audience| !ours.contains(audience)).collect();
        let token = signed(&json!({"aud": named}));
        let admits = |names: &[&str]| judged(&token, &with_profile(|profile| profile.audiences = audiences(names)), NOW).is_ok();
        prop_assert!(!(admits(&ours) && admits(&theirs)));
        prop_assert_eq!(admits(&ours), !named.is_empty() && named.iter().all(|name| ours.contains(name)));
    }

    /// Strangers or not: without one of our audiences nobody is admitted.
    #[test]
    fn nobody_is_admitted_without_our_audience(named in prop::sample::subsequence(&AUDIENCES[..], 0..=4), ours in prop::sample::select(&AUDIENCES[..])) {
        let authenticator = with_profile(|profile| {
            profile.audiences = audiences(&[ours]);
            profile.additional_audiences = AdditionalAudiences::Allow;
        });
        prop_assert_eq!(judged(&signed(&json!({"aud": named})), &authenticator, NOW).is_ok(), named.contains(&ours));
    }

    /// A wrong type is never taken for an absent claim.
    #[test]
    fn a_wrong_type_is_never_absent(claim in prop::sample::select(&["iss", "aud", "exp", "nbf", "iat", "azp", "jti", "sid", "username", "groups"][..]), value in no_text()) {
        // Numbers are what times are made of.
        prop_assume!(!(value.is_number() && ["exp", "nbf", "iat"].contains(&claim)));
        let refused = judged(&signed(&json!({claim: value})), &with_profile(|_| ()), NOW).unwrap_err();
        prop_assert_eq!(refused.code(), "claim-wrong-type");
    }

    /// One token, one user, however often and in whatever order its claims are written.
    #[test]
    fn mapping_is_deterministic(groups in prop::collection::vec("[a-z:]{0,6}", 0..6), username in "\\PC{0,8}") {
        let authenticator = with_profile(|_| ());
        let changes = json!({"groups": groups, "username": username});
        let first = judged(&signed(&changes), &authenticator, NOW);
        prop_assert_eq!(&judged(&signed(&changes), &authenticator, NOW), &first);
        let members: Value = serde_json::from_str(&claims(&changes)).unwrap();
        let turned: Vec<String> = members.as_object().unwrap().iter().rev().map(|(name, value)| format!("{}:{value}", json!(name))).collect();
        let turned = token(key("ed25519"), r#"{"alg":"EdDSA","kid":"ed25519"}"#, &format!("{{{}}}", turned.join(",")));
        prop_assert_eq!(judged(&turned, &authenticator, NOW), first);
    }

    /// The cache never changes a verdict, whatever the clock does between two uses.
    #[test]
    fn with_and_without_the_cache_the_verdict_is_the_same(offsets in prop::collection::vec(-100_i64..400, 1..8), nbf in -50_i64..150, age in prop::option::of(1_u64..300)) {
        let mut authenticator = with_profile(|profile| profile.max_token_age = age.map(std::time::Duration::from_secs));
        authenticator.generation = 7;
        let (_writer, reader): (_, Reader) = issuer::index_of(authenticator);
        let (verdicts, staging) = (Verdicts::default(), AuthenticatorRef::jwt("staging"));
        let token = signed(&json!({"nbf": NOW + nbf}));
        for offset in offsets {
            let now = UnixTime::from_secs(NOW + offset);
            let snapshot = Arc::clone(&reader.snapshot());
            let cached = verdicts.authenticate(&bearer(&token), &staging, &snapshot, now);
            let fresh = latchkey_concierge::authn::authenticate(&bearer(&token), &staging, &snapshot, now);
            prop_assert_eq!(cached.outcome, fresh.outcome);
            prop_assert_eq!(cached.facts, fresh.facts);
        }
    }
}
