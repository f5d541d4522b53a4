//! The rules of the schemas: what the API server refuses at `kubectl apply`, and in which words.
//!
//! A rule stands here only if the object can never work, whatever the rest of the world does; everything else is for a
//! condition to tell. Each message names the mend. CEL's cost is bounded by the `maxLength` and `maxItems` of what a
//! rule touches: kube-apiserver refuses a CRD whose rules could cost more than its budget. Only functions of Kubernetes
//! 1.31, the oldest release that we run on, are used.

pub mod fleet_cluster;
pub mod jwt_authenticator;
pub(crate) mod text;

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
const NO_QUERY: Rule = rule("!self.contains('?')", "must not have a query: remove the ? and what follows it");

/// `WebhookAuthenticator.spec.endpoint`. A query is allowed: it is part of what is called.
pub const ENDPOINT: &[Rule] = &[
    rule(HTTPS_URL, "must be an https URL with a host, such as https://tokens.example.com/review"),
    NO_WHITE_SPACE,
    NO_USER,
    NO_FRAGMENT,
];

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
