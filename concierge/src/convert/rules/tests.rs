//! Tests of how claims, rules and reserved names are read, and of what is said of mistakes.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::{
    cel::{Scope, Target},
    convert::{self, Judge},
    mapping::{GroupsMapping, Origin, ReservedIdentities, UidMapping, UserRule},
};

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
fn expressions_are_compiled_each_for_its_place() {
    let judge = judged(&json!({
        "claims": {
            "usernameExpression": "'oidc:' + claims.sub", "groupsExpression": "claims.roles",
            "uidExpression": "claims.oid",
            "extra": [{"key": "a.b/c", "valueExpression": "claims.c"}, {"key": "a.b/d", "valueExpression": "null"}],
        },
        "claimValidationRules": [
            {"expression": "claims.hd == 'example.com'", "message": "staff only"},
            {"claim": "a", "requiredValue": "b"},
            {"expression": "has(claims.c)", "message": ""},
        ],
        "userValidationRules": [{"expression": "user.username != ''"}],
    }))
    .unwrap();
    let mapping = |target, source| Expression::mapping(target, source).unwrap();
    let claims = |source| Expression::rule(Scope::Claims, source).unwrap();
    let expected = Rules {
        claim_rules: vec![
            ClaimRule::Expression {
                expression: claims("claims.hd == 'example.com'"),
                message: Some("staff only".to_owned()),
            },
            ClaimRule::Required { claim: "a".to_owned(), value: "b".to_owned() },
            ClaimRule::Expression { expression: claims("has(claims.c)"), message: None },
        ],
        uid: UidMapping::Expression(mapping(Target::Uid, "claims.oid")),
        extra: vec![
            ("a.b/c".to_owned(), mapping(Target::Extra, "claims.c")),
            ("a.b/d".to_owned(), mapping(Target::Extra, "null")),
        ],
        user_rules: vec![UserRule {
            expression: Expression::rule(Scope::User, "user.username != ''").unwrap(),
            message: None,
        }],
        ..Rules::new(
            UsernameMapping::Expression(mapping(Target::Username, "'oidc:' + claims.sub")),
            GroupsMapping::Expression(mapping(Target::Groups, "claims.roles")),
        )
    };
    assert_eq!(*judge.rules, expected);
}

#[test]
fn an_expression_that_cannot_be_used_is_told_with_its_place_in_the_text() {
    let rules = |expression: &str| json!({"claimValidationRules": [{"expression": expression}]});
    let users = |expression: &str| json!({"userValidationRules": [{"expression": expression}]});
    for (fields, begins) in [
        (json!({"claims": {"usernameExpression": "'a' +"}}), "claims.usernameExpression: 1:"),
        (json!({"claims": {"usernameExpression": "claims.a ==\n  nobody"}}), "claims.usernameExpression: 2:3: "),
        (json!({"claims": {"groupsExpression": "{'a': 'b'}"}}), "claims.groupsExpression: 1:1: "),
        (json!({"claims": {"uidExpression": "1 + 1"}}), "claims.uidExpression: 1:1: "),
        (
            json!({"claims": {"extra": [{"key": "a.b/c", "valueExpression": "user.uid"}]}}),
            "claims.extra[0].valueExpression: 1:1: ",
        ),
        (rules("claims.admin"), "claimValidationRules[0].expression: 1:1: "),
        (rules("user.uid == ''"), "claimValidationRules[0].expression: 1:1: "),
        (users("claims.a == ''"), "userValidationRules[0].expression: 1:1: "),
        (users("user.name == ''"), "userValidationRules[0].expression: 1:"),
        (users("'yes'"), "userValidationRules[0].expression: 1:1: "),
    ] {
        let problems = judged(&fields).unwrap_err();
        assert!(problems.len() == 1 && problems[0].starts_with(begins), "{fields}: {problems:?}");
    }
    let long = format!("'{}' == ''", "x".repeat(4096));
    let expected = "claimValidationRules[0].expression: has 4104 characters, at most 4096 are read";
    assert_eq!(judged(&rules(&long)).unwrap_err(), [expected]);
}

#[test]
fn who_uses_an_email_must_look_at_whether_it_was_verified() {
    const RULE: &str = "claims.?email_verified.orValue(true) == true";
    let spec = |username: &str, extra: &str, rule: &str, groups: &str| {
        judged(&json!({
            "claims": {
                "usernameExpression": username, "groupsExpression": groups,
                "extra": [{"key": "a.b/c", "valueExpression": extra}],
            },
            "claimValidationRules": [{"expression": rule}],
        }))
    };
    for username in [
        "claims.email",
        "'x:' + claims.email.lowerAscii()",
        "claims.?email.orValue(claims.sub)",
        "has(claims.email) ? claims.sub : 'nobody'",
        "claims[\"email\"]",
        "claims[?'email'].orValue('nobody')",
        "[claims.email][0]",
        "[1].map(x, string(claims.email))[0]",
    ] {
        let problems = spec(username, "claims.c", "true", "claims.email_verified").unwrap_err();
        assert!(
            problems.len() == 1 && problems[0].starts_with("claims.usernameExpression: uses claims.email"),
            "{username}"
        );
        assert!(spec(username, "claims.c", RULE, "null").is_ok(), "{username}");
        assert!(spec(username, "string(claims.email_verified)", "true", "null").is_ok(), "{username}");
    }
    let within = "claims.email_verified == true ? string(claims.email) : 'nobody'";
    for username in
        [within, "claims.sub", "'claims.email'", "claims.profile.email", "claims.other.claims.email", "claims.email2"]
    {
        assert!(spec(username, "claims.c", "true", "claims.email").is_ok(), "{username}");
    }
}

#[test]
fn each_mistake_in_claims_and_rules_names_its_field_and_its_mend() {
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
            json!({"claims": {"groups": "g", "groupsExpression": "claims.g", "uid": "u", "uidExpression": "claims.u"}}),
            vec![
                "claims.groups: claim and expression can't both be set: remove groups or groupsExpression",
                "claims.uid: claim and expression can't both be set: remove uid or uidExpression",
            ],
        ),
        (
            json!({"claims": {"usernameExpression": "claims.sub", "usernamePrefix": "", "groupsExpression": "claims.g", "groupsPrefix": "x"}}),
            vec![
                "claims.usernamePrefix: goes with username, not with usernameExpression, even when it is empty: write the prefix into the expression",
                "claims.groupsPrefix: goes with groups, not with groupsExpression, even when it is empty: write the prefix into the expression",
            ],
        ),
        (
            json!({"claims": {"extra": [
                {"key": "a.b/c", "valueExpression": "claims.c"}, {"key": "a.b/c", "valueExpression": ""},
                {"key": "c", "valueExpression": "'c'"},
            ]}}),
            vec![
                "claims.extra[1].key: \"a.b/c\" is a duplicate: each key may stand once",
                "claims.extra[1].valueExpression: is empty: write an expression or remove the mapping",
                "claims.extra[2].key: \"c\" must be a path with a domain before it, such as example.com/department",
            ],
        ),
        (
            json!({"claimValidationRules": [{"expression": "true", "requiredValue": "b"}, {"expression": "true"}]}),
            vec![
                "claimValidationRules[0].requiredValue: goes with a claim only: remove it",
                "claimValidationRules[1].expression: is a duplicate: remove it",
            ],
        ),
        (
            json!({"userValidationRules": [{"expression": ""}, {"expression": "true"}, {"expression": "true"}]}),
            vec![
                "userValidationRules[0].expression: is empty: write an expression or remove the rule",
                "userValidationRules[2].expression: is a duplicate: remove it",
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
    ];
    for (fields, expected) in cases {
        assert_eq!(judged(&fields).unwrap_err(), expected, "{fields}");
    }
}

#[test]
fn each_mistake_in_names_lifetimes_and_fields_names_its_field_and_its_mend() {
    const UNKNOWN: &str = "this version does not know this field yet, and does not ignore it: remove it";
    let cases = [
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
fn claims_are_fetched_from_origins_and_for_a_groups_claim_only() {
    let elsewhere = json!({"claims": {"distributed": {"allowedOrigins": ["https://graph.example.com:443"]}}});
    let origin = Origin::of("https://graph.example.com/any").unwrap();
    assert_eq!(judged(&elsewhere).unwrap().rules.distributed, Some(vec![origin]));
    let mistaken = json!({"claims": {
        "groupsExpression": "claims.g", "distributed": {"allowedOrigins": ["https://a", "https://a/b"]},
    }});
    assert_eq!(
        judged(&mistaken).unwrap_err(),
        [
            "claims.distributed.allowedOrigins[1]: \"https://a/b\" must be an https origin, a host and perhaps a port \
             with nothing after it, such as https://graph.example.com",
            "claims.distributed: goes with groups, not with groupsExpression: an expression sees only what stands in the \
             token itself",
        ]
    );
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
