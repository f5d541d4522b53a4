//! A second opinion: what we admit, `jsonwebtoken` set as strictly as it can be admits too. Only the other direction may
//! differ: we refuse more.

#![expect(clippy::unwrap_used, reason = "what the tests make themselves must be there")]

#[path = "judging/issuer.rs"]
#[expect(dead_code, reason = "shared with the table of tokens, which uses more of it")]
mod issuer;

use std::sync::OnceLock;

use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::Jwk};
use latchkey_concierge::{authn, index::AuthenticatorRef, index::Reader, time::UnixTime};
use proptest::prelude::*;
use serde_json::{Value, json};

use self::issuer::{AUDIENCE, ISSUER, NOW, bearer, claims, key, token};

fn we_admit(token: &str) -> Option<String> {
    static INDEX: OnceLock<Reader> = OnceLock::new();
    let snapshot = INDEX.get_or_init(issuer::index).snapshot();
    let now = UnixTime::from_secs(NOW);
    let verdict = authn::authenticate(&bearer(token), &AuthenticatorRef::jwt("staging"), &snapshot, now);
    verdict.outcome.ok().map(|admitted| admitted.user.username().as_str().to_owned())
}

#[expect(clippy::disallowed_methods, reason = "this is the second opinion, not the product")]
fn they_admit(token: &str, kid: &str, algorithm: Algorithm) -> bool {
    let jwk: Jwk = serde_json::from_value(key(kid).jwk.clone()).unwrap();
    let mut validation = Validation::new(algorithm);
    // It reads the machine's clock, so time is left to our own table.
    validation.validate_exp = false;
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    jsonwebtoken::decode::<Value>(token, &DecodingKey::from_jwk(&jwk).unwrap(), &validation).is_ok()
}

const KINDS: [(&str, &str, Algorithm); 5] = [
    ("rsa", "RS256", Algorithm::RS256),
    ("rsa", "PS512", Algorithm::PS512),
    ("p256", "ES256", Algorithm::ES256),
    ("p384", "ES384", Algorithm::ES384),
    ("ed25519", "EdDSA", Algorithm::EdDSA),
];

fn good(index: usize) -> String {
    let (kid, alg, _) = KINDS[index];
    token(key(kid), &json!({"alg": alg, "kid": kid}).to_string(), &claims(&json!({})))
}

#[test]
fn both_admit_what_is_good() {
    for (kind, (kid, _, algorithm)) in KINDS.into_iter().enumerate() {
        let token = good(kind);
        assert_eq!(we_admit(&token).as_deref(), Some("ada"));
        assert!(they_admit(&token, kid, algorithm));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// One byte changed anywhere: refused by us, or (the ECDSA twin) the same identity and admitted by both.
    #[test]
    fn one_changed_byte_never_makes_another_user(kind in 0..KINDS.len(), place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = good(kind).into_bytes();
        let place = place.index(bytes.len());
        bytes[place] = byte & 0x7f;
        let token = String::from_utf8(bytes).unwrap();
        if let Some(user) = we_admit(&token) {
            prop_assert_eq!(user, "ada");
            prop_assert!(they_admit(&token, KINDS[kind].0, KINDS[kind].2));
        }
    }

    /// Any audience, really signed: we admit only our own, alone.
    #[test]
    fn only_our_own_audience_alone_is_admitted(audiences in prop::collection::vec(prop::sample::select(vec![AUDIENCE, "k8s-production", "", "K8S-staging"]), 0..4)) {
        let ours = !audiences.is_empty() && audiences.iter().all(|audience| *audience == AUDIENCE);
        let token = token(key("ed25519"), r#"{"alg":"EdDSA","kid":"ed25519"}"#, &claims(&json!({"aud": audiences})));
        prop_assert_eq!(we_admit(&token).is_some(), ours);
        if ours {
            prop_assert!(they_admit(&token, "ed25519", Algorithm::EdDSA));
        }
    }
}
