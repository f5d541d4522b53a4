//! What an authenticator may demand beside issuer and audience: parties, kinds, ceilings.

use std::time::Duration;

use latchkey_concierge::{
    index::Authenticator,
    jwt::{AdditionalAudiences, Issuer, Profile, TokenType, TokenTypes},
};
use serde_json::{Value, json};

use crate::issuer::{AUDIENCE, NOW, audiences, claims, judged, key, rs256, token, with_profile};

fn code(authenticator: &Authenticator, token: &str) -> &'static str {
    judged(token, authenticator, NOW).map_or_else(|reason| reason.code(), |_| "allowed")
}

fn table(change: impl FnOnce(&mut Profile), rows: &[(Value, &str)]) {
    let authenticator = with_profile(change);
    for (changes, expected) in rows {
        assert_eq!(code(&authenticator, &rs256(changes)), *expected, "{changes}");
    }
}

#[test]
fn while_a_client_is_moved_either_audience_is_ours() {
    table(
        |profile| profile.audiences = audiences(&[AUDIENCE, "k8s-staging-2"]),
        &[
            (json!({"aud": AUDIENCE}), "allowed"),
            (json!({"aud": "k8s-staging-2"}), "allowed"),
            (json!({"aud": [AUDIENCE, "k8s-staging-2"]}), "allowed"),
            (json!({"aud": ["k8s-staging-2", "other"]}), "audience-shared"),
            (json!({"aud": ["other"]}), "audience-mismatch"),
            (json!({"aud": "k8s-staging-"}), "audience-mismatch"),
        ],
    );
}

/// The matrix of aud × azp (threats C3).
#[test]
fn strangers_are_admitted_only_on_purpose_and_then_the_token_was_made_for_us() {
    let stranger = json!([AUDIENCE, "account"]);
    table(
        |profile| profile.additional_audiences = AdditionalAudiences::Allow,
        &[
            (json!({"aud": stranger}), "allowed"),
            (json!({"aud": stranger, "azp": AUDIENCE}), "allowed"),
            (json!({"aud": stranger, "azp": "account"}), "authorized-party-mismatch"),
            (json!({"aud": stranger, "azp": "spa"}), "authorized-party-mismatch"),
            (json!({"aud": stranger, "azp": ""}), "authorized-party-mismatch"),
            (json!({"aud": stranger, "azp": [AUDIENCE]}), "claim-wrong-type"),
            (json!({"aud": AUDIENCE, "azp": "spa"}), "allowed"),
            (json!({"aud": "account", "azp": AUDIENCE}), "audience-mismatch"),
        ],
    );
    table(
        |_| (),
        &[(json!({"aud": stranger, "azp": AUDIENCE}), "audience-shared"), (json!({"azp": "anybody"}), "allowed")],
    );
}

#[test]
fn listed_parties_are_the_only_ones_that_may_bring_a_token() {
    let parties = |profile: &mut Profile| profile.authorized_parties = vec!["cli".to_owned(), "web".to_owned()];
    let rows = [
        (json!({"azp": "cli"}), "allowed"),
        (json!({"azp": "web"}), "allowed"),
        (json!({}), "authorized-party-mismatch"),
        (json!({"azp": "CLI"}), "authorized-party-mismatch"),
        (json!({"azp": AUDIENCE}), "authorized-party-mismatch"),
        (json!({"azp": ""}), "authorized-party-mismatch"),
        (json!({"azp": ["cli"]}), "claim-wrong-type"),
    ];
    table(parties, &rows);
    // With strangers in the token, the list still decides: the administrator named whom to trust.
    let stranger = json!([AUDIENCE, "account"]);
    table(
        |profile| {
            parties(profile);
            profile.additional_audiences = AdditionalAudiences::Allow;
        },
        &[
            (json!({"aud": stranger, "azp": "cli"}), "allowed"),
            (json!({"aud": stranger, "azp": AUDIENCE}), "authorized-party-mismatch"),
            (json!({"aud": stranger}), "authorized-party-mismatch"),
        ],
    );
}

#[test]
fn access_tokens_are_another_kind_and_must_be_whole() {
    let of = |types: &[TokenType]| {
        let types = TokenTypes::new(types.iter().copied()).unwrap();
        with_profile(|profile| profile.token_types = types)
    };
    let typed = |typ: &Value, changes: &Value| {
        let mut all = json!({"client_id": "cli", "jti": "a"});
        for (name, value) in changes.as_object().unwrap() {
            all[name] = value.clone();
        }
        let mut header = json!({"alg": "RS256", "kid": "rsa", "typ": typ});
        if typ.is_null() {
            header.as_object_mut().unwrap().remove("typ");
        }
        token(key("rsa"), &header.to_string(), &claims(&all))
    };
    let none = json!({});
    let (id, access) = (of(&[TokenType::IdToken]), of(&[TokenType::AccessToken]));
    let both = of(&[TokenType::IdToken, TokenType::AccessToken]);
    for (typ, as_id, as_access) in [
        (json!("JWT"), "allowed", "type-not-accepted"),
        (json!(null), "allowed", "type-not-accepted"),
        (json!("at+jwt"), "type-not-accepted", "allowed"),
        (json!("application/AT+JWT"), "type-not-accepted", "allowed"),
        (json!("logout+jwt"), "type-not-accepted", "type-not-accepted"),
        (json!(""), "type-not-accepted", "type-not-accepted"),
    ] {
        let token = typed(&typ, &none);
        assert_eq!((code(&id, &token), code(&access, &token)), (as_id, as_access), "{typ}");
        let either = if [as_id, as_access].contains(&"allowed") { "allowed" } else { "type-not-accepted" };
        assert_eq!(code(&both, &token), either, "{typ}");
    }
    for (changes, expected) in [
        (json!({"client_id": null}), "claim-missing"),
        (json!({"jti": null}), "claim-missing"),
        (json!({"sub": null}), "claim-missing"),
        (json!({"iat": null}), "claim-missing"),
        (json!({"exp": null}), "claim-missing"),
        (json!({"iss": null}), "claim-missing"),
        (json!({"aud": null}), "audience-missing"),
        (json!({"client_id": 7}), "claim-wrong-type"),
        (json!({"iat": "now"}), "claim-wrong-type"),
        (json!({"events": {}}), "type-not-accepted"),
    ] {
        assert_eq!(code(&access, &typed(&json!("at+jwt"), &changes)), expected, "{changes}");
    }
    assert_eq!(code(&both, &typed(&json!("JWT"), &json!({"client_id": null, "sub": null}))), "allowed");
}

#[test]
fn ceilings_hold_to_the_second_and_need_to_know_when_a_token_was_made() {
    table(
        |profile| profile.max_token_lifetime = Some(Duration::from_mins(10)),
        &[
            (json!({"iat": NOW, "exp": NOW + 600}), "allowed"),
            (json!({"iat": NOW, "exp": NOW + 601}), "lifetime-too-long"),
            (json!({"iat": NOW - 500, "exp": NOW + 101}), "lifetime-too-long"),
            (json!({"iat": NOW, "exp": 1_795_234_200.9}), "allowed"),
            (json!({"iat": NOW + 60, "exp": NOW + 1}), "allowed"),
            (json!({"iat": null}), "claim-missing"),
            (json!({"iat": "0"}), "claim-wrong-type"),
            (json!({"iat": -9_007_199_254_740_991_i64}), "lifetime-too-long"),
        ],
    );
    table(
        |profile| profile.max_token_age = Some(Duration::from_mins(10)),
        &[
            (json!({"iat": NOW - 600}), "allowed"),
            (json!({"iat": NOW - 601}), "token-too-old"),
            (json!({"iat": NOW + 60}), "allowed"),
            (json!({"iat": NOW - 601, "exp": NOW - 1}), "expired"),
            (json!({"iat": null}), "claim-missing"),
        ],
    );
    table(
        |_| (),
        &[(json!({"iat": 0, "exp": 9_007_199_254_740_991_i64}), "allowed"), (json!({"iat": null}), "allowed")],
    );
}

#[test]
fn google_signs_with_and_without_the_scheme() {
    let with = |issuer: &str, iss: &str| {
        let authenticator = with_profile(|profile| profile.issuer = Issuer::new(issuer.to_owned()));
        code(&authenticator, &rs256(&json!({"iss": iss})))
    };
    assert_eq!(with("https://accounts.google.com", "accounts.google.com"), "allowed");
    assert_eq!(with("https://accounts.google.com", "https://accounts.google.com"), "allowed");
    assert_eq!(with("https://accounts.google.com", "http://accounts.google.com"), "issuer-unknown");
    assert_eq!(with("https://accounts.google.com/", "accounts.google.com"), "issuer-unknown");
    assert_eq!(with("https://idp.example", "idp.example"), "issuer-unknown");
    assert_eq!(with("accounts.google.com", "https://accounts.google.com"), "issuer-unknown");
}
