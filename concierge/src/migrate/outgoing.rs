//! Specs of ours to entries of an `AuthenticationConfiguration`.

use std::collections::HashMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use latchkey_crds::authentication::{
    Claims, DEFAULT_GROUPS_CLAIM, DEFAULT_USERNAME_CLAIM, JWTAuthenticatorSpec, SigningAlgorithm, Tls,
};

use super::{
    configuration::{ClaimRule, Entry, Extra, Issuer, MAX_ENTRIES, Mapping, Mappings, UserRule, given},
    guards,
    incoming::NO_GROUPS,
    remarks::Remarks,
};

/// What is said of several audiences, and must be.
const MATCH_ANY: &str = "MatchAny";

/// The entry of one spec, which works here. `ca` takes the place of certificate authorities that stand in an object.
pub(super) fn entry(place: &str, spec: &JWTAuthenticatorSpec, ca: Option<&str>, remarks: &mut Remarks) -> Entry {
    // Every field is named, so that one which is added does not get lost.
    let JWTAuthenticatorSpec {
        issuer,
        discovery_url,
        jwks,
        audience: _,
        audiences: _,
        additional_audiences: _,
        authorized_parties: _,
        token_types,
        signing_algorithms,
        max_token_lifetime_seconds: _,
        max_token_age_seconds,
        claims,
        claim_validation_rules,
        user_validation_rules,
        reserved_identities: _,
        tls,
        credential,
    } = spec;
    let mut loss = |field: &str, words: &str| remarks.loss(&format!("{place}: spec.{field}"), words);
    if jwks.is_some() {
        loss("jwks", "kube-apiserver finds keys by discovery alone: at the issuer, or at issuer.discoveryURL");
    }
    if !token_types.is_empty() {
        loss("tokenTypes", "kube-apiserver does not look at typ: it takes every kind of token");
    }
    if !signing_algorithms.is_empty() && !is_kube_apiservers(signing_algorithms) {
        loss("signingAlgorithms", "kube-apiserver takes every RS, PS and ES algorithm, and never EdDSA");
    }
    if max_token_age_seconds.is_some() {
        loss("maxTokenAgeSeconds", "a rule cannot know what time it is");
    }
    if credential.as_ref().is_some_and(|credential| credential.lifetime_seconds.is_some()) {
        loss("credential.lifetimeSeconds", "nothing is handed out: the token itself is the credential, until its exp");
    }
    if claims.as_ref().is_some_and(|claims| claims.distributed.is_some()) {
        loss("claims.distributed", "kube-apiserver fetches groups from every server that a token names");
    }
    let audiences = guards::audiences(spec);
    let audience_match_policy = (audiences.len() > 1).then(|| MATCH_ANY.to_owned());
    let (claim_guards, user_guards) = guards::of(spec);
    let claim_rules = claim_validation_rules.iter().map(|rule| ClaimRule {
        claim: given(rule.claim.as_ref()).cloned(),
        required_value: rule.required_value.clone(),
        expression: given(rule.expression.as_ref()).cloned(),
        message: given(rule.message.as_ref()).cloned(),
    });
    let user_rules = user_validation_rules
        .iter()
        .map(|rule| UserRule { expression: rule.expression.clone(), message: given(rule.message.as_ref()).cloned() });
    Entry {
        claim_validation_rules: claim_rules.chain(claim_guards).collect(),
        user_validation_rules: user_rules.chain(user_guards).collect(),
        claim_mappings: mappings(claims.as_ref()),
        issuer: Issuer {
            url: issuer.clone(),
            discovery_url: discovery_url.clone(),
            certificate_authority: certificate_authority(tls.as_ref(), ca, &mut loss),
            audiences,
            audience_match_policy,
            egress_selector_type: None,
        },
    }
}

/// What kube-apiserver says of several entries in one file.
pub(super) fn together(entries: &[(String, Entry)], remarks: &mut Remarks) {
    if entries.len() > MAX_ENTRIES {
        let words = format!("has {} entries, kube-apiserver takes {MAX_ENTRIES}", entries.len());
        remarks.impossible("jwt", &words);
    }
    let (mut issuers, mut documents) = (HashMap::new(), HashMap::new());
    for (place, Entry { issuer, .. }) in entries {
        if let Some(other) = issuers.insert(issuer.url.as_str(), place) {
            let words = format!("is that of {other} too, and kube-apiserver takes each issuer once: make one of them");
            remarks.impossible(&format!("{place}: spec.issuer"), &words);
        }
        let Some(document) = issuer.discovery_url.as_deref() else { continue };
        if let Some(other) = documents.insert(document, place) {
            let words = format!("is that of {other} too, and kube-apiserver takes each once");
            remarks.impossible(&format!("{place}: spec.discoveryURL"), &words);
        }
    }
    if entries.is_empty() {
        remarks.impossible("jwt", "there is no JWTAuthenticator to be said");
    }
}

fn mappings(claims: Option<&Claims>) -> Mappings {
    let absent = Claims::default();
    let claims = claims.unwrap_or(&absent);
    let no_groups = claims.groups_expression.as_deref().is_some_and(|expression| expression.trim() == NO_GROUPS);
    let username = (&claims.username, &claims.username_prefix, &claims.username_expression);
    let groups = (&claims.groups, &claims.groups_prefix, &claims.groups_expression);
    let uid = match (given(claims.uid.as_ref()), given(claims.uid_expression.as_ref())) {
        (Some(claim), _) => Mapping { claim: Some(claim.clone()), ..Mapping::default() },
        (None, Some(expression)) => Mapping { expression: Some(expression.clone()), ..Mapping::default() },
        (None, None) => Mapping::default(),
    };
    Mappings {
        username: mapping(username, DEFAULT_USERNAME_CLAIM),
        groups: if no_groups { Mapping::default() } else { mapping(groups, DEFAULT_GROUPS_CLAIM) },
        uid,
        extra: claims
            .extra
            .iter()
            .map(|extra| Extra { key: extra.key.clone(), value_expression: extra.value_expression.clone() })
            .collect(),
    }
}

/// A claim, our default one where none is named, with its prefix, which must be there; or an expression.
fn mapping((claim, prefix, expression): (&Option<String>, &Option<String>, &Option<String>), default: &str) -> Mapping {
    match given(expression.as_ref()) {
        Some(expression) => Mapping { expression: Some(expression.clone()), ..Mapping::default() },
        None => Mapping {
            claim: Some(given(claim.as_ref()).map_or(default, String::as_str).to_owned()),
            prefix: Some(prefix.clone().unwrap_or_default()),
            expression: None,
        },
    }
}

fn certificate_authority(tls: Option<&Tls>, ca: Option<&str>, loss: &mut impl FnMut(&str, &str)) -> Option<String> {
    let Tls { certificate_authority_data: data, certificate_authority_data_source: object } = tls?;
    if let Some(data) = given(data.as_ref()) {
        // As where it is read: line breaks inside base64 mean nothing. That it is base64 was looked at before.
        let data: String = data.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
        return STANDARD.decode(data).ok().map(|pem| String::from_utf8_lossy(&pem).into_owned());
    }
    object.as_ref()?;
    if ca.is_none() {
        let words = "kube-apiserver reads no object of the cluster: give the bundle by --ca-file";
        loss("tls.certificateAuthorityDataSource", words);
    }
    ca.map(str::to_owned)
}

/// Whether these are the algorithms that kube-apiserver takes.
fn is_kube_apiservers(algorithms: &[SigningAlgorithm]) -> bool {
    let takes = |algorithm: &SigningAlgorithm| *algorithm != SigningAlgorithm::EdDSA;
    SigningAlgorithm::ALL.iter().all(|algorithm| algorithms.contains(algorithm) == takes(algorithm))
}
