//! Properties of every spec that can be written: printing and reading it changes nothing, and no field that this
//! version does not know is passed over, wherever it stands.

#![expect(clippy::unwrap_used, reason = "a value that does not serialize has failed the test")]

use latchkey_concierge::convert;
use latchkey_crds::authentication::{
    AdditionalAudiences, CertificateAuthorityDataSource, CertificateAuthorityDataSourceKind, ClaimValidationRule,
    Claims, CredentialSettings, DistributedClaims, ExtraMapping, JWTAuthenticatorSpec, Jwks, ReservedIdentities,
    ReservedIdentityPolicy, SigningAlgorithm, Tls, TokenType, UserValidationRule,
};
use proptest::{collection::vec, option, prelude::*, sample::select, test_runner::Config};
use serde_json::Value;

fn text() -> impl Strategy<Value = String> {
    // What YAML and JSON are most likely to mangle, and anything at all.
    prop_oneof![
        select(vec![
            "", " ", "null", "true", "~", "0x1F", "1e3", "- a", "a: b", "'", "\"", "#", "\u{feff}", "a\nb", "\t"
        ])
        .prop_map(str::to_owned),
        "\\PC{0,12}",
        any::<String>(),
    ]
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    vec(text(), 0..3)
}

fn maybe() -> impl Strategy<Value = Option<String>> {
    option::of(text())
}

fn claims() -> impl Strategy<Value = Claims> {
    let extra = (text(), text()).prop_map(|(key, value_expression)| ExtraMapping { key, value_expression });
    let distributed = texts().prop_map(|allowed_origins| DistributedClaims { allowed_origins });
    let names = (maybe(), maybe(), maybe(), maybe(), maybe(), maybe(), maybe(), maybe());
    (names, vec(extra, 0..3), option::of(distributed)).prop_map(|(names, extra, distributed)| {
        let (
            username,
            username_prefix,
            username_expression,
            groups,
            groups_prefix,
            groups_expression,
            uid,
            uid_expression,
        ) = names;
        Claims {
            username,
            username_prefix,
            username_expression,
            groups,
            groups_prefix,
            groups_expression,
            uid,
            uid_expression,
            extra,
            distributed,
        }
    })
}

fn claim_rule() -> impl Strategy<Value = ClaimValidationRule> {
    (maybe(), maybe(), maybe(), maybe()).prop_map(|(claim, required_value, expression, message)| ClaimValidationRule {
        claim,
        required_value,
        expression,
        message,
    })
}

fn tls() -> impl Strategy<Value = Tls> {
    let kind = select(vec![CertificateAuthorityDataSourceKind::Secret, CertificateAuthorityDataSourceKind::ConfigMap]);
    let source =
        (kind, text(), text()).prop_map(|(kind, name, key)| CertificateAuthorityDataSource { kind, name, key });
    (maybe(), option::of(source)).prop_map(|(certificate_authority_data, certificate_authority_data_source)| Tls {
        certificate_authority_data,
        certificate_authority_data_source,
    })
}

fn spec() -> impl Strategy<Value = JWTAuthenticatorSpec> {
    let jwks = (maybe(), maybe()).prop_map(|(url, inline)| Jwks { url, inline });
    let user_rule = (text(), maybe()).prop_map(|(expression, message)| UserValidationRule { expression, message });
    let policy = select(vec![ReservedIdentityPolicy::Refuse, ReservedIdentityPolicy::Allow]);
    let reserved = (option::of(policy), texts()).prop_map(|(policy, allowed)| ReservedIdentities { policy, allowed });
    let credential = option::of(any::<u32>()).prop_map(|lifetime_seconds| CredentialSettings { lifetime_seconds });
    let additional = select(vec![AdditionalAudiences::Refuse, AdditionalAudiences::Allow]);
    let source = (text(), maybe(), option::of(jwks), option::of(tls()));
    let demands = (
        maybe(),
        texts(),
        option::of(additional),
        texts(),
        vec(select(vec![TokenType::Jwt, TokenType::AccessToken]), 0..3),
        vec(select(SigningAlgorithm::ALL.to_vec()), 0..3),
        option::of(any::<u32>()),
        option::of(any::<u32>()),
    );
    let rules = (option::of(claims()), vec(claim_rule(), 0..3), vec(user_rule, 0..3), option::of(reserved));
    (source, demands, rules, option::of(credential)).prop_map(|(source, demands, rules, credential)| {
        let (issuer, discovery_url, jwks, tls) = source;
        let (
            audience,
            audiences,
            additional_audiences,
            authorized_parties,
            token_types,
            signing_algorithms,
            max_token_lifetime_seconds,
            max_token_age_seconds,
        ) = demands;
        let (claims, claim_validation_rules, user_validation_rules, reserved_identities) = rules;
        JWTAuthenticatorSpec {
            issuer,
            discovery_url,
            jwks,
            audience,
            audiences,
            additional_audiences,
            authorized_parties,
            token_types,
            signing_algorithms,
            max_token_lifetime_seconds,
            max_token_age_seconds,
            claims,
            claim_validation_rules,
            user_validation_rules,
            reserved_identities,
            tls,
            credential,
        }
    })
}

/// The paths of all objects in a value, the value itself first, in the words of the report.
fn objects(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            found.push(path.to_owned());
            for (name, member) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                objects(member, &path, found);
            }
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(position, item)| objects(item, &format!("{path}[{position}]"), found));
        }
        _ => {}
    }
}

/// The object at one of those paths.
fn at<'a>(value: &'a mut Value, path: &str) -> &'a mut Value {
    let parts = path.split(['.', '[', ']']).filter(|part| !part.is_empty());
    let pointer = parts.fold(String::new(), |pointer, part| pointer + "/" + part);
    value.pointer_mut(&pointer).unwrap()
}

proptest! {
    #![proptest_config(Config { cases: 512, ..Config::default() })]

    #[test]
    fn printing_and_reading_changes_nothing(spec in spec()) {
        let json = serde_json::to_value(&spec).unwrap();
        let (read, unknown) = convert::read::<JWTAuthenticatorSpec>(&json).unwrap();
        prop_assert_eq!((&read, unknown), (&spec, vec![]));
        let text = serde_json::to_string(&spec).unwrap();
        prop_assert_eq!(&serde_json::from_str::<JWTAuthenticatorSpec>(&text).unwrap(), &spec);
        let yaml = serde_norway::to_string(&spec).unwrap();
        prop_assert_eq!(&serde_norway::from_str::<JWTAuthenticatorSpec>(&yaml).unwrap(), &spec);
    }

    #[test]
    fn a_field_that_is_not_known_is_reported_wherever_it_stands(
        spec in spec(),
        place in any::<prop::sample::Index>(),
        value in prop_oneof![
            Just(Value::Bool(false)), Just(Value::from(0)), Just(Value::from("")), Just(serde_json::json!({"deep": [1]})),
        ],
    ) {
        let mut json = serde_json::to_value(&spec).unwrap();
        let mut found = Vec::new();
        objects(&json, "", &mut found);
        let path = place.get(&found);
        at(&mut json, path).as_object_mut().unwrap().insert("notAField".to_owned(), value);
        let (read, unknown) = convert::read::<JWTAuthenticatorSpec>(&json).unwrap();
        prop_assert_eq!(read, spec);
        let expected = if path.is_empty() { "notAField".to_owned() } else { format!("{path}.notAField") };
        prop_assert_eq!(&unknown, &vec![expected.clone()]);
        // And whatever else is wrong with it, nobody is admitted by what is left.
        let invalid = convert::jwt_authenticator(&json).unwrap().judge.unwrap_err();
        prop_assert!(invalid.problems().any(|problem| problem.starts_with(&format!("{expected}: "))), "{}", invalid);
    }

    #[test]
    fn converting_is_deterministic(spec in spec()) {
        let json = serde_json::to_value(&spec).unwrap();
        let [one, other] = [(); 2].map(|()| convert::jwt_authenticator(&json).unwrap());
        prop_assert_eq!(one.issuer, other.issuer);
        prop_assert_eq!(one.keys, other.keys);
        prop_assert_eq!(one.trust, other.trust);
        prop_assert_eq!(one.judge, other.judge);
    }
}
