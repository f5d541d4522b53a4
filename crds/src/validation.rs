//! The rules of the schemas: what the API server refuses at `kubectl apply`, and in which words.
//!
//! A rule stands here only if the object can never work, whatever the rest of the world does; everything else is for a
//! condition to tell. Each message names the mend. CEL's cost is bounded by the `maxLength` and `maxItems` of what a
//! rule touches: kube-apiserver refuses a CRD whose rules could cost more than its budget. Only functions of Kubernetes
//! 1.31, the oldest release that we run on, are used.

use serde_json::{Map, Value};

/// One entry of `x-kubernetes-validations`.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// The CEL expression; `self` is the value that carries the rule. True accepts.
    pub rule: &'static str,
    /// What the user reads otherwise, after the field's path and value.
    pub message: &'static str,
    /// The field below `self` that is to blame, such as `.claims.username`; empty blames `self`.
    pub field_path: &'static str,
}

/// The rules as `x-kubernetes-validations` has them.
#[must_use]
pub fn rules(rules: &[Rule]) -> Value {
    let entry = |rule: &Rule| {
        let mut entry = Map::new();
        entry.insert("rule".to_owned(), rule.rule.into());
        entry.insert("message".to_owned(), rule.message.into());
        if !rule.field_path.is_empty() {
            entry.insert("fieldPath".to_owned(), rule.field_path.into());
        }
        Value::Object(entry)
    };
    Value::Array(rules.iter().map(entry).collect())
}

const fn rule(rule: &'static str, message: &'static str) -> Rule {
    Rule { rule, message, field_path: "" }
}

const fn rule_at(field_path: &'static str, rule: &'static str, message: &'static str) -> Rule {
    Rule { rule, message, field_path }
}

// === URLs ===

/// A URL that can be called: absolute, https, with a host.
const HTTPS_URL: &str = "isURL(self) && url(self).getScheme() == 'https' && url(self).getHostname() != ''";
const NO_WHITE_SPACE: Rule =
    rule(r"!self.matches('\\s')", "must not contain white space: remove blanks and line breaks");
const NO_USER: Rule = rule(
    "!self.matches('^[^/]*//[^/?#]*@')",
    "must not contain a user name or password: remove what stands before the @",
);
const NO_FRAGMENT: Rule = rule("!self.contains('#')", "must not have a fragment: remove the # and what follows it");

/// `JWTAuthenticator.spec.issuer`. `OpenID` Connect Discovery 3: https, no query, no fragment.
pub const ISSUER: &[Rule] = &[
    rule(HTTPS_URL, "must be an https URL with a host, such as https://idp.example.com/realms/main"),
    NO_WHITE_SPACE,
    NO_USER,
    NO_FRAGMENT,
    rule("!self.contains('?')", "must not have a query: remove the ? and what follows it"),
    rule(
        r"!self.matches('/\\.well-known/openid-configuration/?$')",
        "must be the issuer itself: remove /.well-known/openid-configuration, which is appended when the keys are fetched",
    ),
];

/// `WebhookAuthenticator.spec.endpoint`. A query is allowed: it is part of what is called.
pub const ENDPOINT: &[Rule] = &[
    rule(HTTPS_URL, "must be an https URL with a host, such as https://tokens.example.com/review"),
    NO_WHITE_SPACE,
    NO_USER,
    NO_FRAGMENT,
];

// === JWTAuthenticator ===

/// `JWTAuthenticator.spec.audience`.
pub const AUDIENCE: &[Rule] = &[rule(
    "self.trim() == self && self != ''",
    "must not be blank, nor begin or end with white space: write the client ID exactly as the issuer shows it",
)];

/// `JWTAuthenticator.spec`. Kubernetes demands that whoever maps an e-mail address looks at `email_verified`. The
/// syntax tree is judged later; here only an expression whose use of `claims.email` comes before any quotation mark is
/// refused, which cannot be text.
pub const JWT_AUTHENTICATOR: &[Rule] = &[rule_at(
    ".claims.usernameExpression",
    r#"!has(self.claims) || !has(self.claims.usernameExpression)
|| !self.claims.usernameExpression.matches('^([^\'"/]*[^\'"/A-Za-z0-9_.])?claims[.][?]?email([^A-Za-z0-9_]|$)')
|| self.claims.usernameExpression.contains('email_verified')
|| (has(self.claims.extra) && self.claims.extra.exists(e, e.valueExpression.contains('email_verified')))
|| (has(self.claimValidationRules) && self.claimValidationRules.exists(r, has(r.expression) && r.expression.contains('email_verified')))"#,
    "uses claims.email, so an expression must look at claims.email_verified: add the claimValidationRule claims.?email_verified.orValue(true) == true",
)];

/// `JWTAuthenticator.spec.claims`.
pub const CLAIMS: &[Rule] = &[
    rule_at(
        ".usernameExpression",
        "!(has(self.username) && self.username != '' && has(self.usernameExpression) && self.usernameExpression != '')",
        "username and usernameExpression exclude each other: remove one of them",
    ),
    rule_at(
        ".groupsExpression",
        "!(has(self.groups) && self.groups != '' && has(self.groupsExpression) && self.groupsExpression != '')",
        "groups and groupsExpression exclude each other: remove one of them",
    ),
    rule_at(
        ".username",
        "!has(self.username) || self.username.trim() == self.username",
        "must be the name of a claim, without white space around it",
    ),
    rule_at(
        ".groups",
        "!has(self.groups) || self.groups.trim() == self.groups",
        "must be the name of a claim, without white space around it",
    ),
];

/// `JWTAuthenticator.spec.claims.extra[].key`: Kubernetes' rule for structured authentication, and Pinniped's that
/// forbids `=`.
pub const EXTRA_KEY: &[Rule] = &[
    rule(
        r"self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/[a-z0-9/._~%!$&\'()*+,;:-]+$')",
        "must be a lower-case path with a domain before it and no equals sign, such as example.com/department",
    ),
    rule(
        "!self.matches('^([^/]*[.])?(kubernetes|k8s)[.]io/')",
        "must not be under kubernetes.io or k8s.io, which Kubernetes keeps for itself: use a domain of your own",
    ),
];

/// One item of `JWTAuthenticator.spec.claimValidationRules`.
pub const CLAIM_RULE: &[Rule] = &[
    rule(
        "(has(self.claim) && self.claim != '') != (has(self.expression) && self.expression != '')",
        "must have either claim with requiredValue, or expression with message",
    ),
    rule_at(
        ".requiredValue",
        "!has(self.claim) || self.claim == '' || has(self.requiredValue)",
        "must say which value the claim has to have (write requiredValue: \"\" to demand an empty one); to demand only that the claim is there, use expression: has(claims.NAME)",
    ),
    rule_at(
        ".message",
        "!(has(self.claim) && self.claim != '' && has(self.message) && self.message != '')",
        "goes with expression, not with claim: remove it",
    ),
    rule_at(
        ".requiredValue",
        "!(has(self.expression) && self.expression != '' && has(self.requiredValue) && self.requiredValue != '')",
        "goes with claim, not with expression: remove it",
    ),
];

/// `JWTAuthenticator.spec.claimValidationRules` as a whole.
pub const CLAIM_RULE_LIST: &[Rule] = &[
    rule(
        "self.all(a, !has(a.claim) || a.claim == '' || self.exists_one(b, has(b.claim) && b.claim == a.claim))",
        "a claim can have only one required value: remove the second rule for the same claim",
    ),
    rule(
        "self.all(a, !has(a.expression) || a.expression == '' || self.exists_one(b, has(b.expression) && b.expression == a.expression))",
        "the same expression stands here twice: remove one",
    ),
];

/// `JWTAuthenticator.spec.userValidationRules` as a whole.
pub const USER_RULE_LIST: &[Rule] = &[rule(
    "self.all(a, self.exists_one(b, b.expression == a.expression))",
    "the same expression stands here twice: remove one",
)];

// === TLS ===

/// `spec.tls` of both authenticators.
pub const TLS: &[Rule] = &[rule(
    "!(has(self.certificateAuthorityData) && self.certificateAuthorityData != '' && has(self.certificateAuthorityDataSource))",
    "certificateAuthorityData and certificateAuthorityDataSource exclude each other: remove one of them",
)];

/// A PEM bundle in base64. Known mistakes first: the PEM itself; base64 of base64, as copied out of a Secret; DER.
pub const CA_DATA: &[Rule] = &[
    rule(
        "!self.contains('-----BEGIN')",
        "must be base64 of the PEM bundle, not the PEM text itself: base64 -w0 < ca.pem",
    ),
    rule(
        r"self.contains('-----BEGIN') || self.matches('^[A-Za-z0-9+/\r\n]*={0,2}[\r\n]*$')",
        "must be standard base64 of a PEM bundle: base64 -w0 < ca.pem",
    ),
    rule("!self.startsWith('TFMwdExTMUNS')", "is base64 twice over: decode it once with base64 -d"),
    rule("!self.startsWith('MII')", "is base64 of DER: turn it into PEM first, with openssl x509 -inform der"),
];

// === CredentialIssuer ===

/// `CredentialIssuer.spec.impersonationProxy`. With mode `disabled` nothing else is looked at, as with Pinniped.
pub const IMPERSONATION_PROXY: &[Rule] = &[
    rule_at(
        ".externalEndpoint",
        "self.mode == 'disabled' || self.service.type != 'None' || (has(self.externalEndpoint) && self.externalEndpoint != '')",
        "is needed when service.type is None: name the address that clients are to use, such as kubernetes.example.com:8443",
    ),
    rule_at(
        ".externalEndpoint",
        r"self.mode == 'disabled' || !has(self.externalEndpoint) || self.externalEndpoint == '' || isIP(self.externalEndpoint)
|| self.externalEndpoint.matches('^[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?([.][A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)*(:[1-9][0-9]{0,4})?$')
|| (self.externalEndpoint.matches('^[[][0-9A-Fa-f:.]+[]](:[1-9][0-9]{0,4})?$')
  && isIP(self.externalEndpoint.split(']')[0].substring(1)))",
        "must be host, host:port, an IP address or [IPv6]:port, without a scheme and without a path, such as kubernetes.example.com:8443",
    ),
    rule_at(
        ".externalEndpoint",
        r"self.mode == 'disabled' || !has(self.externalEndpoint) || isIP(self.externalEndpoint)
|| !self.externalEndpoint.matches(':[0-9]{5}$')
|| int(self.externalEndpoint.substring(self.externalEndpoint.lastIndexOf(':') + 1)) <= 65535",
        "must have a port from 1 to 65535",
    ),
    rule_at(
        ".service.loadBalancerIP",
        "self.mode == 'disabled' || !has(self.service.loadBalancerIP) || isIP(self.service.loadBalancerIP)",
        "must be an IP address, such as 203.0.113.7",
    ),
    rule_at(
        ".tls.secretName",
        "self.mode == 'disabled' || !has(self.tls) || has(self.tls.secretName)",
        "is needed when tls is set: name a Secret of type kubernetes.io/tls in the concierge's namespace",
    ),
];
