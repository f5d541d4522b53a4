//! `spec.audience`, `spec.claims`, the validation rules and `spec.credential`: the checks of pinniped-wire 2.2.
//!
//! What this version does not evaluate is never passed over: a rule that were ignored would admit whom it should stop.

use std::{collections::HashSet, fmt, sync::Arc, time::Duration};

use latchkey_crds::authentication::{
    ClaimValidationRule, Claims, DEFAULT_GROUPS_CLAIM, DEFAULT_USERNAME_CLAIM, ExtraMapping, JWTAuthenticatorSpec,
    MAX_CREDENTIAL_LIFETIME_SECONDS, MIN_CREDENTIAL_LIFETIME_SECONDS, UserValidationRule,
};

use super::Judge;
use crate::{
    jwt::Audience,
    mapping::{ClaimRule, Rules},
};

/// Everything that is wrong with a spec, each with its field and its mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct InvalidSpec(Vec<String>);

/// Says of a CEL expression that it is not evaluated. (KEP-3331's expressions come with a later version.)
const NO_CEL: &str = "this version does not evaluate CEL expressions yet, and does not ignore them";

/// Converts what is left of the spec once issuer and TLS are looked at. `unknown` are the fields that the type does
/// not have.
pub(super) fn judge(spec: &JWTAuthenticatorSpec, unknown: &[String]) -> Result<Judge, InvalidSpec> {
    let mut problems = Problems(Vec::new());
    for field in unknown {
        problems.add(field, "this version does not know this field yet, and does not ignore it: remove it");
    }
    let audience = spec.audience.clone().unwrap_or_default();
    if audience.is_empty() {
        problems.add("audience", "is empty: name the audience that tokens for this cluster carry");
    }
    for (field, given) in not_yet(spec) {
        if given {
            problems.add(field, "this version does not judge by this field yet, and does not ignore it: remove it");
        }
    }
    let no_claims = Claims::default();
    let claims = spec.claims.as_ref().unwrap_or(&no_claims);
    let username = problems.claim("username", claims.username.as_ref(), claims.username_expression.as_ref());
    let groups = problems.claim("groups", claims.groups.as_ref(), claims.groups_expression.as_ref());
    problems.extra(&claims.extra);
    let claim_rules = problems.claim_rules(&spec.claim_validation_rules);
    problems.user_rules(&spec.user_validation_rules);
    let lifetime = spec.credential.as_ref().and_then(|credential| credential.lifetime_seconds);
    let allowed = MIN_CREDENTIAL_LIFETIME_SECONDS..=MAX_CREDENTIAL_LIFETIME_SECONDS;
    if let Some(seconds) = lifetime.filter(|seconds| !allowed.contains(seconds)) {
        let (least, most) = allowed.into_inner();
        problems.add("credential.lifetimeSeconds", &format!("is {seconds}, expected {least} to {most}"));
    }

    if !problems.0.is_empty() {
        return Err(InvalidSpec(problems.0));
    }
    let mut rules =
        Rules::of_claims(username.unwrap_or(DEFAULT_USERNAME_CLAIM), groups.unwrap_or(DEFAULT_GROUPS_CLAIM));
    rules.claim_rules = claim_rules;
    Ok(Judge {
        audience: Audience::new(audience),
        rules: Arc::new(rules),
        credential_lifetime: lifetime.map(|seconds| Duration::from_secs(seconds.into())),
    })
}

fn not_yet(spec: &JWTAuthenticatorSpec) -> [(&'static str, bool); 12] {
    let claims = spec.claims.as_ref();
    [
        ("audiences", !spec.audiences.is_empty()),
        ("additionalAudiences", spec.additional_audiences.is_some()),
        ("authorizedParties", !spec.authorized_parties.is_empty()),
        ("tokenTypes", !spec.token_types.is_empty()),
        ("signingAlgorithms", !spec.signing_algorithms.is_empty()),
        ("maxTokenLifetimeSeconds", spec.max_token_lifetime_seconds.is_some()),
        ("maxTokenAgeSeconds", spec.max_token_age_seconds.is_some()),
        ("reservedIdentities", spec.reserved_identities.is_some()),
        ("claims.usernamePrefix", claims.is_some_and(|claims| claims.username_prefix.is_some())),
        ("claims.groupsPrefix", claims.is_some_and(|claims| claims.groups_prefix.is_some())),
        ("claims.uid", claims.is_some_and(|claims| claims.uid.is_some() || claims.uid_expression.is_some())),
        ("claims.distributed", claims.is_some_and(|claims| claims.distributed.is_some())),
    ]
}

struct Problems(Vec<String>);

// === impl Problems ===

impl Problems {
    fn add(&mut self, field: &str, problem: &str) {
        self.0.push(format!("{field}: {problem}"));
    }

    /// A claim name, unless there is an expression. An empty string counts as absent, as with Pinniped.
    fn claim<'a>(&mut self, field: &str, claim: Option<&'a String>, expression: Option<&String>) -> Option<&'a str> {
        let claim = claim.map(String::as_str).filter(|claim| !claim.is_empty());
        if expression.is_some_and(|expression| !expression.is_empty()) {
            if claim.is_some() {
                let mend = format!("claim and expression can't both be set: remove {field} or {field}Expression");
                self.add(&format!("claims.{field}"), &mend);
            }
            let mend = format!("{NO_CEL}: name a claim in claims.{field} instead");
            self.add(&format!("claims.{field}Expression"), &mend);
        }
        claim
    }

    fn extra(&mut self, mappings: &[ExtraMapping]) {
        let mut keys = HashSet::new();
        for (position, mapping) in mappings.iter().enumerate() {
            let field = format!("claims.extra[{position}]");
            if let Some(problem) = key_problem(&mapping.key) {
                self.add(&format!("{field}.key"), &format!("{:?} {problem}", mapping.key));
            }
            if !keys.insert(&mapping.key) {
                self.add(
                    &format!("{field}.key"),
                    &format!("{:?} is a duplicate: each key may stand once", mapping.key),
                );
            }
            if mapping.value_expression.is_empty() {
                self.add(&format!("{field}.valueExpression"), "is empty: write an expression or remove the mapping");
            } else {
                self.add(&format!("{field}.valueExpression"), &format!("{NO_CEL}: remove the mapping"));
            }
        }
    }

    fn claim_rules(&mut self, rules: &[ClaimValidationRule]) -> Vec<ClaimRule> {
        let (mut claims, mut expressions) = (HashSet::new(), HashSet::new());
        let mut required = Vec::new();
        for (position, rule) in rules.iter().enumerate() {
            let field = format!("claimValidationRules[{position}]");
            let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
            let (claim, expression) = (given(&rule.claim), given(&rule.expression));
            match (claim, expression) {
                (None, None) => self.add(&field, "claim or expression is required"),
                (Some(_), Some(_)) => self.add(&field, "claim and expression can't both be set: make two rules"),
                (Some(claim), None) => {
                    if given(&rule.message).is_some() {
                        self.add(&format!("{field}.message"), "goes with an expression only: remove it");
                    }
                    if claims.insert(claim.clone()) {
                        // An absent value is the empty string, as with kube-apiserver: the claim must be "".
                        let value = rule.required_value.clone().unwrap_or_default();
                        required.push(ClaimRule::Required { claim, value });
                    } else {
                        self.add(
                            &format!("{field}.claim"),
                            &format!("{claim:?} is a duplicate: no claim has two values"),
                        );
                    }
                }
                (None, Some(expression)) => {
                    if given(&rule.required_value).is_some() {
                        self.add(&format!("{field}.requiredValue"), "goes with a claim only: remove it");
                    }
                    if !expressions.insert(expression) {
                        self.add(&format!("{field}.expression"), "is a duplicate: remove it");
                    }
                    let mend = format!("{NO_CEL}: use claim and requiredValue instead");
                    self.add(&format!("{field}.expression"), &mend);
                }
            }
        }
        required
    }

    fn user_rules(&mut self, rules: &[UserValidationRule]) {
        let mut expressions = HashSet::new();
        for (position, rule) in rules.iter().enumerate() {
            let field = format!("userValidationRules[{position}].expression");
            if rule.expression.is_empty() {
                self.add(&field, "is empty: write an expression or remove the rule");
                continue;
            }
            if !expressions.insert(&rule.expression) {
                self.add(&field, "is a duplicate: remove it");
            }
            self.add(&field, &format!("{NO_CEL}: remove the rule"));
        }
    }
}

/// Kubernetes' rules for keys of extra user attributes (kubernetes-authn 1.1), and Pinniped's one more: no `=`.
fn key_problem(key: &str) -> Option<&'static str> {
    let Some((domain, path)) = key.split_once('/') else {
        return Some("must be a path with a domain before it, such as example.com/department");
    };
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let path_byte = |b: u8| b.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:@".contains(&b);
    if key.bytes().any(|b| b.is_ascii_uppercase()) {
        Some("must be lower case")
    } else if domain.is_empty() || domain.len() > 253 || !domain.split('.').all(label) {
        Some("must begin with a domain (RFC 1123), such as example.com/department")
    } else if path.is_empty() || !path.bytes().all(path_byte) {
        Some("must have a path after the domain, such as example.com/department")
    } else if path.contains('=') {
        Some("must not contain \"=\"")
    } else if ["k8s.io", "kubernetes.io"]
        .iter()
        .any(|owned| domain == *owned || domain.strip_suffix(owned).is_some_and(|rest| rest.ends_with('.')))
    {
        Some("must not be under k8s.io or kubernetes.io: those belong to Kubernetes")
    } else {
        None
    }
}

// === impl InvalidSpec ===

impl InvalidSpec {
    /// The object is not of this version's type.
    pub(super) fn unreadable(error: &serde_json::Error) -> Self {
        Self(vec![format!("spec: cannot be read by this version: {error}")])
    }
}

/// One problem as it is, several as kube-apiserver joins them.
impl fmt::Display for InvalidSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => f.write_str(one),
            several => write!(f, "[{}]", several.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::convert;

    /// Judges a spec of the fields given, beside issuer and audience.
    fn judged(fields: &Value) -> Result<Judge, Vec<String>> {
        let mut spec = json!({"issuer": "https://idp.example.com", "audience": "staging"});
        for (name, value) in fields.as_object().unwrap() {
            spec[name] = value.clone();
        }
        convert::jwt_authenticator(&spec).unwrap().judge.map_err(|invalid| invalid.0)
    }

    #[test]
    fn claims_default_to_username_and_groups() {
        for fields in [
            json!({}),
            json!({"claims": {}}),
            json!({"claims": {"username": "", "groups": "", "usernameExpression": ""}}),
        ] {
            let expected = Judge {
                audience: Audience::new("staging".to_owned()),
                rules: Arc::new(Rules::of_claims("username", "groups")),
                credential_lifetime: None,
            };
            assert_eq!(judged(&fields), Ok(expected));
        }
    }

    #[test]
    fn what_this_version_evaluates_is_taken_over() {
        let judge = judged(&json!({
            "claims": {"username": "email", "groups": "roles"},
            "claimValidationRules": [{"claim": "hd", "requiredValue": "example.com"}, {"claim": "empty"}],
            "credential": {"lifetimeSeconds": 900},
        }))
        .unwrap();
        let required =
            |claim: &str, value: &str| ClaimRule::Required { claim: claim.to_owned(), value: value.to_owned() };
        let mut rules = Rules::of_claims("email", "roles");
        rules.claim_rules = vec![required("hd", "example.com"), required("empty", "")];
        assert_eq!(*judge.rules, rules);
        assert_eq!(judge.credential_lifetime, Some(Duration::from_mins(15)));
    }

    #[test]
    fn each_mistake_names_its_field_and_its_mend() {
        const CEL: &str = "this version does not evaluate CEL expressions yet, and does not ignore them";
        let cases = [
            (
                json!({"audience": ""}),
                vec!["audience: is empty: name the audience that tokens for this cluster carry".to_owned()],
            ),
            (
                json!({"claims": {"usernameExpression": "claims.sub"}}),
                vec![format!("claims.usernameExpression: {CEL}: name a claim in claims.username instead")],
            ),
            (
                json!({"claims": {"groups": "g", "groupsExpression": "claims.g"}}),
                vec![
                    "claims.groups: claim and expression can't both be set: remove groups or groupsExpression"
                        .to_owned(),
                    format!("claims.groupsExpression: {CEL}: name a claim in claims.groups instead"),
                ],
            ),
            (
                json!({"claims": {"extra": [{"key": "example.com/a", "valueExpression": "claims.a"}]}}),
                vec![format!("claims.extra[0].valueExpression: {CEL}: remove the mapping")],
            ),
            (
                json!({"claimValidationRules": [{"message": "m"}]}),
                vec!["claimValidationRules[0]: claim or expression is required".to_owned()],
            ),
            (
                json!({"claimValidationRules": [{"claim": "a", "expression": "true"}]}),
                vec!["claimValidationRules[0]: claim and expression can't both be set: make two rules".to_owned()],
            ),
            (
                json!({"claimValidationRules": [{"claim": "a", "requiredValue": "b", "message": "m"}]}),
                vec!["claimValidationRules[0].message: goes with an expression only: remove it".to_owned()],
            ),
            (
                json!({"claimValidationRules": [{"claim": "a", "requiredValue": "b"}, {"claim": "a", "requiredValue": "c"}]}),
                vec!["claimValidationRules[1].claim: \"a\" is a duplicate: no claim has two values".to_owned()],
            ),
            (
                json!({"claimValidationRules": [{"expression": "true", "requiredValue": "b"}, {"expression": "true"}]}),
                vec![
                    "claimValidationRules[0].requiredValue: goes with a claim only: remove it".to_owned(),
                    format!("claimValidationRules[0].expression: {CEL}: use claim and requiredValue instead"),
                    "claimValidationRules[1].expression: is a duplicate: remove it".to_owned(),
                    format!("claimValidationRules[1].expression: {CEL}: use claim and requiredValue instead"),
                ],
            ),
            (
                json!({"userValidationRules": [{"expression": ""}, {"expression": "true"}, {"expression": "true"}]}),
                vec![
                    "userValidationRules[0].expression: is empty: write an expression or remove the rule".to_owned(),
                    format!("userValidationRules[1].expression: {CEL}: remove the rule"),
                    "userValidationRules[2].expression: is a duplicate: remove it".to_owned(),
                    format!("userValidationRules[2].expression: {CEL}: remove the rule"),
                ],
            ),
            (
                json!({"credential": {"lifetimeSeconds": 59}}),
                vec!["credential.lifetimeSeconds: is 59, expected 60 to 86400".to_owned()],
            ),
            (
                json!({"credential": {"lifetimeSeconds": 86401}}),
                vec!["credential.lifetimeSeconds: is 86401, expected 60 to 86400".to_owned()],
            ),
            (
                json!({"maxTokens": 60, "claims": {"uidPrefix": "sub"}}),
                vec![
                    "claims.uidPrefix: this version does not know this field yet, and does not ignore it: remove it"
                        .to_owned(),
                    "maxTokens: this version does not know this field yet, and does not ignore it: remove it"
                        .to_owned(),
                ],
            ),
        ];
        for (fields, expected) in cases {
            assert_eq!(judged(&fields), Err(expected), "{fields}");
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
    fn a_spec_of_another_type_is_not_read_at_all() {
        for spec in [json!({"audience": "a"}), json!({"issuer": 7, "audience": "b"}), json!([]), json!(null)] {
            let invalid = convert::jwt_authenticator(&spec).unwrap_err();
            assert!(invalid.to_string().starts_with("spec: cannot be read by this version: "), "{invalid}");
        }
    }

    #[test]
    fn extra_keys_are_judged_as_kubernetes_does_and_never_hold_an_equals_sign() {
        for good in ["example.com/a", "a/b", "x-kubernetes.io/a", "ak8s.io/a", "example.com/a/b.c-d_e~f:g@h"] {
            assert_eq!(key_problem(good), None, "{good}");
        }
        for (bad, word) in [
            ("a", "a path with a domain"),
            ("", "a path with a domain"),
            ("/a", "begin with a domain"),
            ("exa_mple.com/a", "begin with a domain"),
            ("-a.com/a", "begin with a domain"),
            ("a..com/a", "begin with a domain"),
            ("example.com/", "a path after"),
            ("example.com/a b", "a path after"),
            ("example.com/ä", "a path after"),
            ("Example.com/a", "lower case"),
            ("example.com/A", "lower case"),
            ("example.com/a=b", "\"=\""),
            ("k8s.io/a", "belong to Kubernetes"),
            ("a.k8s.io/a", "belong to Kubernetes"),
            ("kubernetes.io/a", "belong to Kubernetes"),
            ("authentication.kubernetes.io/a", "belong to Kubernetes"),
        ] {
            let problem = key_problem(bad);
            assert!(problem.is_some_and(|problem| problem.contains(word)), "{bad}: {problem:?}");
        }
        let twice = json!({"claims": {"extra": [
            {"key": "a.b/c", "valueExpression": ""}, {"key": "a.b/c", "valueExpression": ""}
        ]}});
        let problems = judged(&twice).unwrap_err();
        assert!(
            problems.contains(&"claims.extra[1].key: \"a.b/c\" is a duplicate: each key may stand once".to_owned())
        );
    }
}
