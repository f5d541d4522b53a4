//! Tests of how claims, rules and reserved names are read, and of what is said of mistakes.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::convert::{self, Judge};

/// Judges a spec of the fields given, beside issuer and audience.
fn judged(fields: &Value) -> Result<Judge, Vec<String>> {
    let mut spec = json!({"issuer": "https://idp.example.com", "audience": "staging"});
    for (name, value) in fields.as_object().unwrap() {
        spec[name] = value.clone();
    }
    let judge = convert::jwt_authenticator(&spec).unwrap().judge;
    judge.map_err(|invalid| invalid.problems().map(str::to_owned).collect())
}

fn claim(claim: &str, prefix: &str) -> (String, String) {
    (claim.to_owned(), prefix.to_owned())
}

#[test]
fn claims_default_to_username_and_groups() {
    for fields in [
        json!({}),
        json!({"claims": {}}),
        json!({"claims": {"username": "", "groups": "", "uid": "", "usernameExpression": "", "uidExpression": ""}}),
        json!({"reservedIdentities": {}}),
        json!({"reservedIdentities": {"policy": "Refuse"}}),
    ] {
        let judge = judged(&fields).unwrap();
        assert_eq!(*judge.rules, Rules::of_claims("username", "groups"), "{fields}");
        assert_eq!(judge.credential_lifetime, None);
    }
}

#[test]
fn claims_prefixes_rules_and_exceptions_are_taken_over() {
    let judge = judged(&json!({
        "claims": {"username": "email", "usernamePrefix": "oidc:", "groupsPrefix": "g:", "uid": "sub"},
        "claimValidationRules": [{"claim": "hd", "requiredValue": "example.com"}, {"claim": "empty"}],
        "reservedIdentities": {"allowed": ["system:a", "SYSTEM:b"]},
        "credential": {"lifetimeSeconds": 900},
    }))
    .unwrap();
    let required = |claim: &str, value: &str| ClaimRule::Required { claim: claim.to_owned(), value: value.to_owned() };
    let ((username, oidc), (groups, g)) = (claim("email", "oidc:"), claim("groups", "g:"));
    let expected = Rules {
        claim_rules: vec![required("hd", "example.com"), required("empty", "")],
        uid: UidMapping::Claim("sub".to_owned()),
        reserved: ReservedIdentities::Refuse { allowed: ["system:a", "SYSTEM:b"].map(str::to_owned).into() },
        ..Rules::new(
            UsernameMapping::Claim { claim: username, prefix: oidc },
            GroupsMapping::Claim { claim: groups, prefix: g },
        )
    };
    assert_eq!(*judge.rules, expected);
    assert_eq!(judge.credential_lifetime, Some(Duration::from_mins(15)));
    let all = judged(&json!({"reservedIdentities": {"policy": "Allow"}})).unwrap();
    assert_eq!(all.rules.reserved, ReservedIdentities::Allow);
}

#[test]
fn each_mistake_names_its_field_and_its_mend() {
    const UNKNOWN: &str = "this version does not know this field yet, and does not ignore it: remove it";
    let cases = [
        (
            json!({"claims": {"username": "sub", "usernamePrefix": "\u{a0}x", "groupsPrefix": " ", "uid": "sub "}}),
            vec![
                "claims.usernamePrefix: must not begin with white space: no name that begins so is ever accepted",
                "claims.groupsPrefix: must not begin with white space: no name that begins so is ever accepted",
                "claims.uid: must be the name of a claim, without white space around it",
            ],
        ),
        (
            json!({"claimValidationRules": [{"message": "m"}]}),
            vec!["claimValidationRules[0]: claim or expression is required"],
        ),
        (
            json!({"claimValidationRules": [{"claim": "a", "expression": "true"}]}),
            vec!["claimValidationRules[0]: claim and expression can't both be set: make two rules"],
        ),
        (
            json!({"claimValidationRules": [{"claim": "a", "requiredValue": "b", "message": "m"}]}),
            vec!["claimValidationRules[0].message: goes with an expression only: remove it"],
        ),
        (
            json!({"claimValidationRules": [
                {"claim": "a", "requiredValue": "b"}, {"claim": "a", "requiredValue": "c"}
            ]}),
            vec!["claimValidationRules[1].claim: \"a\" is a duplicate: no claim has two values"],
        ),
        (
            json!({"reservedIdentities": {"allowed": ["system:a", "developers", "system:a", "system:b "]}}),
            vec![
                "reservedIdentities.allowed[1]: \"developers\" must be a whole name that begins with system:; other names need no exception",
                "reservedIdentities.allowed[2]: \"system:a\" is a duplicate: remove it",
                "reservedIdentities.allowed[3]: \"system:b \" must be a whole name that begins with system:; other names need no exception",
            ],
        ),
        (
            json!({"reservedIdentities": {"policy": "Allow", "allowed": ["system:a"]}}),
            vec![
                "reservedIdentities.allowed: goes with the policy Refuse, whose exceptions it lists: remove it or the policy Allow",
            ],
        ),
        (
            json!({"credential": {"lifetimeSeconds": 59}}),
            vec!["credential.lifetimeSeconds: is 59, expected 60 to 86400"],
        ),
        (
            json!({"credential": {"lifetimeSeconds": 86401}}),
            vec!["credential.lifetimeSeconds: is 86401, expected 60 to 86400"],
        ),
    ];
    for (fields, expected) in cases {
        assert_eq!(judged(&fields).unwrap_err(), expected, "{fields}");
    }
    let unknown = judged(&json!({"maxTokens": 60, "claims": {"uidPrefix": "sub"}})).unwrap_err();
    assert_eq!(unknown, [format!("claims.uidPrefix: {UNKNOWN}"), format!("maxTokens: {UNKNOWN}")]);
}

#[test]
fn what_is_larger_than_the_schema_allows_is_refused_wherever_it_comes_from() {
    let rules: Vec<_> = (0..33).map(|number| json!({"claim": format!("c{number}"), "requiredValue": ""})).collect();
    let names: Vec<_> = (0..65).map(|number| format!("system:{number}")).collect();
    for (fields, expected) in [
        (json!({"claimValidationRules": rules}), "claimValidationRules: has 33 items, at most 32 are read"),
        (
            json!({"reservedIdentities": {"allowed": names}}),
            "reservedIdentities.allowed: has 65 items, at most 64 are read",
        ),
        (json!({"claims": {"username": "ü".repeat(257)}}), "claims.username: has 257 characters, at most 256 are read"),
        (
            json!({"claims": {"groupsPrefix": "x".repeat(257)}}),
            "claims.groupsPrefix: has 257 characters, at most 256 are read",
        ),
        (
            json!({"claimValidationRules": [{"claim": "a", "requiredValue": "x".repeat(1025)}]}),
            "claimValidationRules[0].requiredValue: has 1025 characters, at most 1024 are read",
        ),
    ] {
        assert_eq!(judged(&fields).unwrap_err(), [expected]);
    }
}

#[test]
fn several_mistakes_are_told_together() {
    let spec = json!({"issuer": "https://a", "audience": "", "credential": {"lifetimeSeconds": 1}});
    let invalid = convert::jwt_authenticator(&spec).unwrap().judge.unwrap_err();
    assert_eq!(
        invalid.to_string(),
        "[audience: is empty: name the audience that tokens for this cluster carry, \
         credential.lifetimeSeconds: is 1, expected 60 to 86400]"
    );
}

#[test]
fn a_spec_of_another_type_is_not_read_at_all_and_the_field_is_named() {
    for (spec, words) in [
        (json!([]), "spec: cannot be read by this version: "),
        (json!(null), "spec: cannot be read by this version: "),
        (json!({"audience": "a"}), "spec: cannot be read by this version: missing field `issuer`"),
        (
            json!({"issuer": 7, "audience": "b"}),
            "spec: cannot be read by this version: issuer: invalid type: integer `7`",
        ),
        (
            json!({"issuer": "https://a", "signingAlgorithms": ["RS256", "HS256"]}),
            "spec: cannot be read by this version: signingAlgorithms[1]: unknown variant `HS256`, expected one of `RS256`",
        ),
        (
            json!({"issuer": "https://a", "claims": {"extra": [{"key": "a.b/c"}]}}),
            "spec: cannot be read by this version: claims.extra[0]: missing field `valueExpression`",
        ),
        (
            json!({"issuer": "https://a", "maxTokenAgeSeconds": -1}),
            "spec: cannot be read by this version: maxTokenAgeSeconds: invalid value: integer `-1`",
        ),
    ] {
        let invalid = convert::jwt_authenticator(&spec).unwrap_err().to_string();
        assert!(invalid.starts_with(words), "{spec}: {invalid}");
    }
}
