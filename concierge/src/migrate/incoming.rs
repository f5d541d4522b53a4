//! Entries of an `AuthenticationConfiguration` to specs of ours.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use latchkey_crds::authentication::{
    AdditionalAudiences, ClaimValidationRule, Claims, ExtraMapping, JWTAuthenticatorSpec, ReservedIdentities,
    ReservedIdentityPolicy, Tls, UserValidationRule,
};

use super::{
    configuration::{Configuration, Entry, Mapping, given},
    guards,
    remarks::Remarks,
    sources::{HOLDS_KEY, holds_key},
};

/// The expression that gives no groups. We read the claim `groups` where nothing is said, kube-apiserver none.
pub(super) const NO_GROUPS: &str = "null";

/// The spec of each entry, and what to call it.
pub(super) fn specs(
    configuration: &Configuration,
    faithful: bool,
    remarks: &mut Remarks,
) -> Vec<(String, JWTAuthenticatorSpec)> {
    if let Some(anonymous) = &configuration.anonymous {
        let paths: Vec<_> = anonymous.conditions.iter().map(|condition| condition.path.as_str()).collect();
        let whom = match (anonymous.enabled, paths.as_slice()) {
            (false, _) => "admits nobody without credentials".to_owned(),
            (true, []) => "admits requests without credentials".to_owned(),
            (true, paths) => format!("admits requests without credentials to {}", paths.join(", ")),
        };
        let keep = "that stays kube-apiserver's: keep it in its file, or set --anonymous-auth. The exchange of a token \
                    through the API server is such a request, so it must be admitted";
        remarks.note("anonymous", &format!("{whom}; {keep}"));
    }
    let entries = configuration.jwt.iter().enumerate();
    let specs = entries.map(|(number, entry)| {
        let place = format!("jwt[{number}]");
        let spec = spec(&place, entry, faithful, remarks);
        (place, spec)
    });
    specs.collect()
}

/// The spec of one entry, which was held to kube-apiserver's own rules. `faithful`: it admits what kube-apiserver admits.
pub(super) fn spec(place: &str, entry: &Entry, faithful: bool, remarks: &mut Remarks) -> JWTAuthenticatorSpec {
    let Entry { issuer, claim_validation_rules, claim_mappings, user_validation_rules } = entry;
    if let Some(selector) = given(issuer.egress_selector_type.as_ref()) {
        remarks.loss(
            &format!("{place}.issuer.egressSelectorType"),
            &format!(
                "is {selector:?}; the concierge reaches issuers from its pod, by --https-proxy where one is needed"
            ),
        );
    }
    if issuer.certificate_authority.as_deref().is_some_and(holds_key) {
        remarks.impossible(&format!("{place}.issuer.certificateAuthority"), HOLDS_KEY);
    }
    let (mut claim_rules, mut user_rules) = (claim_validation_rules.clone(), user_validation_rules.clone());
    let guarded = guards::take(&issuer.audiences, &mut claim_rules, &mut user_rules);
    let (audience, audiences) = match issuer.audiences.as_slice() {
        [one] => (Some(one.clone()), Vec::new()),
        several => (None, several.to_vec()),
    };
    let (username, groups, uid) = (&claim_mappings.username, &claim_mappings.groups, &claim_mappings.uid);
    let expression = |mapping: &Mapping| given(mapping.expression.as_ref()).cloned();
    let claim = |mapping: &Mapping| given(mapping.claim.as_ref()).cloned();
    let prefix = |mapping: &Mapping| given(mapping.prefix.as_ref()).cloned();
    let no_groups = claim(groups).or(expression(groups)).is_none().then(|| NO_GROUPS.to_owned());
    let claims = Claims {
        username: claim(username),
        username_prefix: prefix(username),
        username_expression: expression(username),
        groups: claim(groups),
        // kube-apiserver takes a prefix without a claim, and makes no groups of it.
        groups_prefix: prefix(groups).filter(|_| no_groups.is_none()),
        groups_expression: expression(groups).or(no_groups),
        uid: claim(uid),
        uid_expression: expression(uid),
        extra: claim_mappings
            .extra
            .iter()
            .map(|extra| ExtraMapping { key: extra.key.clone(), value_expression: extra.value_expression.clone() })
            .collect(),
        distributed: None,
    };
    let allow = ReservedIdentities { policy: Some(ReservedIdentityPolicy::Allow), allowed: Vec::new() };
    JWTAuthenticatorSpec {
        issuer: issuer.url.clone(),
        discovery_url: given(issuer.discovery_url.as_ref()).cloned(),
        audience,
        audiences,
        additional_audiences: match guarded.additional_audiences {
            Some(AdditionalAudiences::Refuse) => None,
            None if !faithful => None,
            None | Some(AdditionalAudiences::Allow) => Some(AdditionalAudiences::Allow),
        },
        authorized_parties: guarded.authorized_parties,
        max_token_lifetime_seconds: guarded.max_token_lifetime_seconds,
        claims: Some(claims),
        claim_validation_rules: claim_rules
            .into_iter()
            .map(|rule| ClaimValidationRule {
                claim: rule.claim,
                required_value: rule.required_value,
                expression: rule.expression,
                message: rule.message,
            })
            .collect(),
        user_validation_rules: user_rules
            .into_iter()
            .map(|rule| UserValidationRule { expression: rule.expression, message: rule.message })
            .collect(),
        reserved_identities: match guarded.reserved_identities {
            Some(guarded) => Some(guarded).filter(|guarded| !guarded.allowed.is_empty()),
            None => faithful.then_some(allow),
        },
        tls: given(issuer.certificate_authority.as_ref()).map(|pem| Tls {
            certificate_authority_data: Some(STANDARD.encode(pem)),
            certificate_authority_data_source: None,
        }),
        ..JWTAuthenticatorSpec::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::configuration::Issuer;

    #[test]
    fn a_key_among_the_authorities_leaves_no_result() {
        let pem = "-----BEGIN EC PRIVATE KEY-----\nSECRET\n-----END EC PRIVATE KEY-----\n".to_owned();
        let issuer = Issuer { certificate_authority: Some(pem), ..Issuer::default() };
        let mut remarks = Remarks::default();
        spec("jwt[0]", &Entry { issuer, ..Entry::default() }, false, &mut remarks);
        assert!(remarks.refuse(true));
        let told: Vec<_> = remarks.lines().collect();
        assert!(told[0].contains("jwt[0].issuer.certificateAuthority: holds a private key"), "{told:?}");
        assert!(!told.concat().contains("SECRET"));
    }
}
