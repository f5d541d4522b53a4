//! Tokens good and bad, each with the one code that it must get. The rows are named after the attack.

#![expect(clippy::unwrap_used, reason = "what the tests make themselves must be there")]

#[path = "judging/issuer.rs"]
mod issuer;
#[path = "judging/mapping.rs"]
mod mapping;
#[path = "judging/profile.rs"]
mod profile;
#[path = "judging/properties.rs"]
mod properties;
#[path = "judging/routing.rs"]
mod routing;

use std::{collections::BTreeSet, sync::Arc};

use aws_lc_rs::{hmac, rsa::KeySize};
use latchkey_concierge::{
    authn::{self, Verdict},
    index::{AuthenticatorRef, Entry, Reader},
    jwt::{AlgorithmSet, KeySet, Rejection, Verifier},
    mapping::{ClaimRule, GroupName, Refusal, Rules},
    policy,
    time::UnixTime,
    verdicts::Verdicts,
};
use serde_json::{Value, json};

use self::issuer::{AUDIENCE, ISSUER, Key, NOW, bearer, claims, encode, index, key, key_set, keys, rs256, token};

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
fn a_key_for_one_algorithm_verifies_no_other() {
    let mut jwk = key("rsa").jwk.clone();
    jwk["alg"] = json!("RS256");
    let (_writer, index) = issuer::index_of(issuer::authenticator(&key_set([&jwk])));
    for (alg, expected) in [("RS256", "allowed"), ("RS384", "key-unsuitable"), ("PS256", "key-unsuitable")] {
        let header = json!({"alg": alg, "kid": "rsa"}).to_string();
        let token = token(key("rsa"), &header, &claims(&json!({})));
        assert_eq!(code_of(&judge_at(&index, &token, NOW)), expected, "{alg}");
    }
}

/// Header and signature attacks: none of these gets as far as a claim.
#[test]
fn forgeries_are_refused() {
    let good = claims(&json!({}));
    let rsa = key("rsa");
    let unsigned = |header: &str| format!("{}.{}.", encode(header.as_bytes()), encode(good.as_bytes()));
    let with_secret = |secret: &[u8]| {
        let input = format!("{}.{}", encode(br#"{"alg":"HS256","kid":"rsa"}"#), encode(good.as_bytes()));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), input.as_bytes());
        format!("{input}.{}", encode(tag.as_ref()))
    };
    let signed = rs256(&json!({}));
    let (input, signature) = signed.rsplit_once('.').unwrap();
    let own = Key::rsa("own", KeySize::Rsa2048);
    let embedded = json!({"alg": "RS256", "kid": "own", "jwk": own.jwk}).to_string();
    let pointing = json!({"alg": "RS256", "kid": "own", "jku": "https://127.0.0.1:1/keys", "x5u": "https://127.0.0.1:1/", "x5c": ["AAAA"]});
    let flipped = format!("{input}.{}{}", if signature.starts_with('A') { "B" } else { "A" }, &signature[1..]);
    let es = token(key("p256"), r#"{"alg":"ES256","kid":"p256"}"#, &good);
    let (es_input, _) = es.rsplit_once('.').unwrap();

    for (attack, token, expected) in [
        ("alg none", format!("{}AAAA", unsigned(r#"{"alg":"none"}"#)), "alg-not-allowed"),
        ("alg none without a signature", unsigned(r#"{"alg":"none"}"#), "malformed-token"),
        ("alg nOnE", format!("{}AAAA", unsigned(r#"{"alg":"nOnE"}"#)), "alg-not-allowed"),
        ("HS256 with the public key as secret", with_secret(rsa.public_text().as_bytes()), "alg-not-allowed"),
        ("ES256 header on an RSA key", token(rsa, r#"{"alg":"ES256","kid":"rsa"}"#, &good), "key-unsuitable"),
        ("crit", token(rsa, r#"{"alg":"RS256","kid":"rsa","crit":["exp"]}"#, &good), "critical-header"),
        ("b64", token(rsa, r#"{"alg":"RS256","kid":"rsa","b64":false}"#, &good), "malformed-header"),
        ("embedded jwk", token(&own, &embedded, &good), "key-unknown"),
        ("jku, x5u and x5c", token(&own, &pointing.to_string(), &good), "key-unknown"),
        ("unknown kid", token(rsa, r#"{"alg":"RS256","kid":"other"}"#, &good), "key-unknown"),
        ("kid like a path", token(rsa, r#"{"alg":"RS256","kid":"../../rsa"}"#, &good), "key-unknown"),
        ("kid with SQL", token(rsa, r#"{"alg":"RS256","kid":"' or 1=1"}"#, &good), "key-unknown"),
        ("kid of another type", token(rsa, r#"{"alg":"RS256","kid":["rsa"]}"#, &good), "malformed-header"),
        ("another key under a known kid", token(&own, r#"{"alg":"RS256","kid":"rsa"}"#, &good), "signature-invalid"),
        ("one bit of the signature", flipped, "signature-invalid"),
        (
            "another payload under a good signature",
            {
                let header = input.split('.').next().unwrap();
                format!("{header}.{}.{signature}", encode(claims(&json!({"username": "eve"})).as_bytes()))
            },
            "signature-invalid",
        ),
        ("ECDSA r and s zero", format!("{es_input}.{}", encode(&[0; 64])), "signature-invalid"),
        ("ECDSA in DER", format!("{es_input}.{}", encode(&[0x30, 6, 2, 1, 1, 2, 1, 1])), "signature-invalid"),
        ("two segments", input.to_owned(), "malformed-token"),
        ("four segments", format!("{signed}.AAAA"), "malformed-token"),
        ("padding", format!("{signed}="), "malformed-token"),
        ("leading blank", format!(" {signed}"), "malformed-token"),
        ("17 KiB", format!("{signed}{}", "A".repeat(17 * 1024)), "token-too-large"),
        ("1 MiB", "a".repeat(1 << 20), "token-too-large"),
        ("empty", String::new(), "malformed-token"),
        (
            "forged and expired: the gravest counts",
            { token(&own, r#"{"alg":"RS256","kid":"rsa"}"#, &claims(&json!({"exp": 1}))) },
            "signature-invalid",
        ),
    ] {
        assert_eq!(code(&token), expected, "{attack}");
    }
}

#[test]
fn tokens_of_another_kind_are_refused() {
    for (typ, expected) in [
        (json!("JWT"), "allowed"),
        (json!("application/jwt"), "allowed"),
        (json!("at+jwt"), "type-not-accepted"),
        (json!("logout+jwt"), "type-not-accepted"),
        (json!("secevent+jwt"), "type-not-accepted"),
        (json!("dpop+jwt"), "type-not-accepted"),
    ] {
        let header = json!({"alg": "RS256", "kid": "rsa", "typ": typ}).to_string();
        assert_eq!(code(&token(key("rsa"), &header, &claims(&json!({})))), expected, "{typ}");
    }
    assert_eq!(
        code(&rs256(&json!({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}))),
        "type-not-accepted"
    );
}

#[test]
fn claims_are_judged_one_by_one() {
    for (what, changes, expected) in [
        ("iss with a trailing slash", json!({"iss": "https://idp.example/"}), "issuer-unknown"),
        ("iss in upper case", json!({"iss": "HTTPS://idp.example"}), "issuer-unknown"),
        ("iss of somebody else", json!({"iss": "https://evil.example"}), "issuer-unknown"),
        ("iss missing", json!({"iss": null}), "claim-missing"),
        ("iss as a list", json!({"iss": [ISSUER]}), "claim-wrong-type"),
        ("aud missing", json!({"aud": null}), "audience-missing"),
        ("aud empty list", json!({"aud": []}), "audience-missing"),
        ("aud as a list", json!({"aud": [AUDIENCE]}), "allowed"),
        ("aud twice ours", json!({"aud": [AUDIENCE, AUDIENCE]}), "allowed"),
        ("aud an object", json!({"aud": {"a": AUDIENCE}}), "claim-wrong-type"),
        ("aud a number", json!({"aud": 42}), "claim-wrong-type"),
        ("aud a mixed list", json!({"aud": [AUDIENCE, 1]}), "claim-wrong-type"),
        ("aud of production", json!({"aud": "k8s-production"}), "audience-mismatch"),
        ("aud in another case", json!({"aud": "K8S-staging"}), "audience-mismatch"),
        ("aud a prefix of ours", json!({"aud": "k8s-stagin"}), "audience-mismatch"),
        ("aud of both clusters", json!({"aud": [AUDIENCE, "k8s-production"]}), "audience-shared"),
        ("aud of 33", json!({"aud": vec![AUDIENCE; 33]}), "claim-wrong-type"),
        ("azp a number", json!({"azp": 1}), "claim-wrong-type"),
        ("jti a number", json!({"jti": 1}), "claim-wrong-type"),
        ("exp missing", json!({"exp": null}), "claim-missing"),
        ("exp a float", json!({"exp": 1_795_233_900.75}), "allowed"),
        ("exp a string", json!({"exp": "1795233900"}), "claim-wrong-type"),
        ("exp negative", json!({"exp": -1}), "expired"),
        ("exp 1e300", json!({"exp": 1e300}), "claim-wrong-type"),
        ("exp 2^53", json!({"exp": 1_i64 << 53}), "claim-wrong-type"),
        ("exp zero", json!({"exp": 0}), "expired"),
        ("exp a list", json!({"exp": [NOW + 300]}), "claim-wrong-type"),
        ("nbf ahead by less than the leeway", json!({"nbf": NOW + 60}), "allowed"),
        ("nbf ahead by more", json!({"nbf": NOW + 61}), "not-yet-valid"),
        ("nbf a string", json!({"nbf": "0"}), "claim-wrong-type"),
        ("iat ahead by less than the leeway", json!({"iat": NOW + 60}), "allowed"),
        ("iat ahead by more", json!({"iat": NOW + 61}), "issued-in-future"),
        ("iat missing", json!({"iat": null}), "allowed"),
        ("sub missing", json!({"sub": null}), "allowed"),
        ("username claim missing", json!({"username": null}), "claim-missing"),
        ("username claim empty", json!({"username": ""}), "username-empty"),
        ("username claim a number", json!({"username": 7}), "claim-wrong-type"),
        ("username claim a list", json!({"username": ["ada"]}), "claim-wrong-type"),
        ("username with a newline", json!({"username": "a\nb"}), "username-unsafe"),
        ("username with NUL", json!({"username": "a\0b"}), "username-unsafe"),
        ("username with a comma", json!({"username": "Lovelace, Ada"}), "allowed"),
        ("username with a leading blank", json!({"username": " ada"}), "username-unsafe"),
        ("username of 600 characters", json!({"username": "x".repeat(600)}), "username-unsafe"),
        ("username of 10,000 characters", json!({"username": "x".repeat(10_000)}), "malformed-claims"),
        ("username of Kubernetes", json!({"username": "system:admin"}), "identity-reserved"),
        ("groups missing", json!({"groups": null}), "allowed"),
        ("groups as a string", json!({"groups": "a,b"}), "allowed"),
        ("groups as a number", json!({"groups": 5}), "claim-wrong-type"),
        ("groups nested", json!({"groups": [["a"]]}), "claim-wrong-type"),
        ("groups an object", json!({"groups": {"a": true}}), "claim-wrong-type"),
        ("groups with an empty name", json!({"groups": ["", "a"]}), "allowed"),
        ("groups with a newline", json!({"groups": ["a\nb"]}), "group-unsafe"),
        ("a thousand groups", json!({"groups": vec!["g"; 1_000]}), "allowed"),
        ("a thousand and one groups", json!({"groups": vec!["g"; 1_001]}), "too-many-groups"),
        ("5,000 groups", json!({"groups": vec!["group"; 5_000]}), "token-too-large"),
        ("system:masters", json!({"groups": ["developers", "system:masters"]}), "identity-reserved"),
        ("SYSTEM:masters", json!({"groups": ["SYSTEM:masters"]}), "identity-reserved"),
        ("groups elsewhere", json!({"groups": null, "_claim_names": {"groups": "src1"}}), "claim-missing"),
        ("AUD beside aud", json!({"AUD": "k8s-production"}), "allowed"),
    ] {
        assert_eq!(code(&rs256(&changes)), expected, "{what}");
    }
}

#[test]
fn groups_in_one_string_are_one_group() {
    let verdict = judge_at(&index(), &rs256(&json!({"groups": "a,b"})), NOW);
    assert_eq!(verdict.outcome.unwrap().user.groups().len(), 1);
}

#[test]
fn claims_as_they_are_written() {
    let header = r#"{"alg":"RS256","kid":"rsa"}"#;
    let with = |members: &str| {
        format!(r#"{{"iss":"{ISSUER}","aud":"{AUDIENCE}","exp":{},"username":"ada"{members}}}"#, NOW + 300)
    };
    for (what, claims, expected) in [
        ("the plain form", with(""), "allowed"),
        ("aud twice", with(r#","aud":"k8s-production""#), "duplicate-member"),
        ("aud twice, once escaped", with(r#","\u0061ud":"k8s-production""#), "duplicate-member"),
        ("a duplicate deep inside", with(r#","x":{"y":[{"z":1,"z":2}]}"#), "duplicate-member"),
        ("nested 17 deep", with(&format!(r#","x":{}1{}"#, "[".repeat(16), "]".repeat(16))), "malformed-claims"),
        ("exp null", with("").replace(&(NOW + 300).to_string(), "null"), "claim-wrong-type"),
        ("exp 1e400", with("").replace(&(NOW + 300).to_string(), "1e400"), "malformed-claims"),
        ("trailing bytes", format!("{} x", with("")), "malformed-claims"),
        ("a list", "[]".to_owned(), "malformed-claims"),
        ("not JSON", "ada".to_owned(), "malformed-claims"),
        ("a lone surrogate", with(r#","x":"\ud800""#), "malformed-claims"),
    ] {
        assert_eq!(code(&token(key("rsa"), header, &claims)), expected, "{what}");
    }
}

#[test]
fn time_passes_at_the_second() {
    let index = index();
    let token = rs256(&json!({"nbf": NOW, "iat": NOW, "exp": NOW + 300}));
    for (offset, expected) in
        [(-61, "not-yet-valid"), (-60, "allowed"), (0, "allowed"), (300, "allowed"), (301, "expired")]
    {
        assert_eq!(code_of(&judge_at(&index, &token, NOW + offset)), expected, "{offset} s");
    }
}

#[test]
fn a_kid_may_be_left_out_only_where_one_key_fits() {
    let header = r#"{"alg":"RS256"}"#;
    assert_eq!(code(&token(key("rsa"), header, &claims(&json!({})))), "allowed", "one RSA key among other kinds");
    let second = Key::rsa("second", KeySize::Rsa2048);
    let (_writer, index) = issuer::index_of(issuer::authenticator(&key_set([&key("rsa").jwk, &second.jwk])));
    let verdict = judge_at(&index, &token(key("rsa"), header, &claims(&json!({}))), NOW);
    assert_eq!(code_of(&verdict), "key-ambiguous");
    assert_eq!(code(&token(key("rsa"), r#"{"alg":"RS256","kid":""}"#, &claims(&json!({})))), "key-unknown");
}

#[test]
fn two_keys_with_one_kid_are_told_apart_by_kind_or_not_at_all() {
    let twin = |mut jwk: Value| {
        jwk["kid"] = json!("rsa");
        jwk
    };
    let ec = twin(key("p256").jwk.clone());
    let rsa = twin(Key::rsa("x", KeySize::Rsa2048).jwk);
    let header = r#"{"alg":"RS256","kid":"rsa"}"#;
    let good = token(key("rsa"), header, &claims(&json!({})));
    for (others, expected) in
        [(vec![&ec], "allowed"), (vec![&rsa], "key-ambiguous"), (vec![&key("rsa").jwk], "allowed")]
    {
        let set = key_set(others.into_iter().chain([&key("rsa").jwk]));
        let (_writer, index) = issuer::index_of(issuer::authenticator(&set));
        assert_eq!(code_of(&judge_at(&index, &good, NOW)), expected);
    }
}

#[test]
fn only_an_authenticator_that_is_ready_judges() {
    let (mut writer, index) = issuer::index_of(issuer::authenticator(&key_set([&key("rsa").jwk])));
    let good = rs256(&json!({}));
    assert_eq!(code_of(&judge_at(&index, &good, NOW)), "allowed");
    writer.set(AuthenticatorRef::jwt("staging"), Entry::NotReady);
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
fn required_claims_must_have_their_value() {
    let mut authenticator = issuer::authenticator(&key_set([&key("rsa").jwk]));
    let mut rules = Rules::of_claims("email", "groups");
    rules.claim_rules = vec![ClaimRule::Required { claim: "hd".to_owned(), value: "example.org".to_owned() }];
    authenticator.rules = Arc::new(rules);
    let (_writer, index) = issuer::index_of(authenticator);
    for (changes, expected) in [
        (json!({"email": "ada@example.org"}), "claim-rule-failed"),
        (json!({"email": "ada@example.org", "hd": "example.com"}), "claim-rule-failed"),
        (json!({"email": "ada@example.org", "hd": ["example.org"]}), "claim-rule-failed"),
        (json!({"email": "ada@example.org", "hd": "example.org"}), "allowed"),
        (json!({"email": "ada@example.org", "hd": "example.org", "email_verified": true}), "allowed"),
        (json!({"email": "ada@example.org", "hd": "example.org", "email_verified": false}), "email-unverified"),
        (json!({"email": "ada@example.org", "hd": "example.org", "email_verified": "true"}), "email-unverified"),
    ] {
        assert_eq!(code_of(&judge_at(&index, &rs256(&changes), NOW)), expected, "{changes}");
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

    writer.set(AuthenticatorRef::jwt("staging"), Entry::NotReady);
    assert_eq!(at(&index, NOW), "authenticator-not-ready");
}

#[test]
fn keys_that_must_not_verify_are_left_out_and_named() {
    let with = |base: &Value, member: &str, value: Value| {
        let mut jwk = base.clone();
        jwk[member] = value;
        jwk
    };
    let (rsa, ec, ed) = (&key("rsa").jwk, &key("p256").jwk, &key("ed25519").jwk);
    let good = &key("p384").jwk;
    for (what, jwk, expected) in [
        ("private part of RSA", with(rsa, "d", json!("AQAB")), "private part"),
        ("private part of EC", with(ec, "d", json!("AQAB")), "private part"),
        ("symmetric", json!({"kty": "oct", "kid": "s", "k": "AAAA"}), "symmetric"),
        ("use enc", with(rsa, "use", json!("enc")), "not for verifying"),
        ("key_ops sign", with(rsa, "key_ops", json!(["sign"])), "not for verifying"),
        ("alg of another family", with(ec, "alg", json!("RS256")), "\"alg\""),
        ("alg unknown", with(rsa, "alg", json!("RSA-OAEP")), "\"alg\""),
        ("1024 bits", with(rsa, "n", json!(encode(&[0xff; 128]))), "RSA key of 1024 bits"),
        ("2047 bits", with(rsa, "n", json!(encode(&[&[0x7f][..], &[0xff; 255]].concat()))), "RSA key of 2047 bits"),
        ("16384 bits", with(rsa, "n", json!(encode(&[0xff; 2048]))), "RSA key of 16384 bits"),
        ("e = 1", with(rsa, "e", json!("AQ")), "unusable exponent"),
        ("e even", with(rsa, "e", json!("AQAA")), "unusable exponent"),
        ("e of 34 bits", with(rsa, "e", json!(encode(&[3, 0, 0, 0, 1]))), "unusable exponent"),
        ("ROCA", with(rsa, "n", json!(encode(&power_of_65537(128)))), "CVE-2017-15361"),
        (
            "three times a number",
            with(rsa, "n", json!(encode(&[&[0xc0][..], &[0; 254], &[3]].concat()))),
            "small factor",
        ),
        ("key_ops empty", with(rsa, "key_ops", json!([])), "not for verifying"),
        ("key_ops a string", with(rsa, "key_ops", json!("verify")), "\"key_ops\""),
        ("use in upper case", with(rsa, "use", json!("SIG")), "not for verifying"),
        ("a prime beside the modulus", with(rsa, "p", json!("AQAB")), "private part"),
        ("private part of Ed25519", with(ed, "d", json!("AQAB")), "private part"),
        ("off the curve", with(ec, "x", json!(encode(&[1; 32]))), "not a valid point"),
        ("short coordinate", with(ec, "x", json!(encode(&[1; 31]))), "not a valid point"),
        ("small order", with(ed, "x", json!(encode(&[0; 32]))), "not a valid point"),
        ("X25519", json!({"kty": "OKP", "crv": "X25519", "kid": "x", "x": encode(&[9; 32])}), "no accepted algorithm"),
        ("secp256k1", with(ec, "crv", json!("secp256k1")), "no accepted algorithm"),
        ("n padded", with(rsa, "n", json!("AAA=")), "base64url"),
        ("n missing", with(rsa, "n", Value::Null), "must be a string"),
        ("kid a number", with(rsa, "kid", json!(7)), "\"kid\""),
        ("not an object", json!("key"), "not an object"),
    ] {
        let (set, dropped) = KeySet::parse(&key_set([&jwk, good])).unwrap();
        assert_eq!(set.len(), 1, "{what}");
        assert_eq!(dropped.len(), 1, "{what}");
        assert!(dropped[0].to_string().contains(expected), "{what}: {}", dropped[0]);
        assert!(!dropped[0].to_string().contains("AQAB"), "{what}: key material in a message");
    }
}

/// 65537^`exponent`, big-endian: what the moduli of the flawed library are modulo each small prime.
fn power_of_65537(exponent: usize) -> Vec<u8> {
    let mut digits = vec![1_u32];
    for _ in 0..exponent {
        let mut carry = 0;
        for digit in &mut digits {
            let product = *digit * 65_537 + carry;
            *digit = product & 0xff;
            carry = product >> 8;
        }
        while carry > 0 {
            digits.push(carry & 0xff);
            carry >>= 8;
        }
    }
    digits.iter().rev().map(|digit| u8::try_from(*digit).unwrap()).collect()
}

#[test]
fn keys_that_say_they_may_verify_are_taken() {
    let mut rsa = key("rsa").jwk.clone();
    rsa["use"] = json!("sig");
    rsa["key_ops"] = json!(["sign", "verify"]);
    let mut ed = key("ed25519").jwk.clone();
    ed["alg"] = json!("Ed25519");
    let (set, dropped) = KeySet::parse(&key_set([&rsa, &ed])).unwrap();
    assert_eq!((set.len(), dropped), (2, Vec::new()));
}

#[test]
fn a_set_without_a_usable_key_is_no_set() {
    for (what, bytes) in [
        ("empty", b"{\"keys\":[]}".to_vec()),
        ("no keys", b"{}".to_vec()),
        ("not JSON", b"<html>".to_vec()),
        ("a list", b"[]".to_vec()),
        ("only symmetric", key_set([&json!({"kty": "oct", "k": "AAAA"})])),
        ("65 keys", key_set(vec![&key("rsa").jwk; 65])),
        ("too large", [b"{\"keys\":[],\"x\":\"".to_vec(), vec![b'x'; 512 * 1024], b"\"}".to_vec()].concat()),
    ] {
        assert!(KeySet::parse(&bytes).is_err(), "{what}");
    }
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

/// Each word of the closed enums is the answer to some token in this file: a code that nothing can cause is a lie.
#[test]
fn every_code_has_a_token() {
    let file =
        [include_str!("judging.rs"), include_str!("judging/mapping.rs"), include_str!("judging/profile.rs")].concat();
    let codes: BTreeSet<&str> = Rejection::CODES.into_iter().chain(Refusal::CODES).collect();
    for code in codes {
        assert!(file.contains(&format!("\"{code}\"")), "no token is refused with {code}");
    }
}
