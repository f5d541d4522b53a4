//! What tokens are judged by, beside the issuer and its keys: all that is left of the spec, converted or refused whole.

use std::{sync::Arc, time::Duration};

use latchkey_crds::authentication::{
    CredentialSettings, JWTAuthenticatorSpec, MAX_CREDENTIAL_LIFETIME_SECONDS, MIN_CREDENTIAL_LIFETIME_SECONDS,
};

use super::{
    demands::{self, Demands},
    problems::{InvalidSpec, Problems},
    rules,
};
use crate::{
    fleet::Siblings,
    jwt::{AlgorithmSet, Audiences, Issuer, Profile},
    mapping::Rules,
};

/// What tokens are judged by, beside the issuer and its keys.
#[derive(Debug, Clone, PartialEq)]
pub struct Judge {
    demands: Demands,
    /// `spec.signingAlgorithms`: accepted at most; what the issuer announces narrows it.
    pub algorithms: AlgorithmSet,
    /// `spec.claims`, `spec.claimValidationRules`, `spec.userValidationRules` and `spec.reservedIdentities`.
    pub rules: Arc<Rules>,
    /// `spec.credential.lifetimeSeconds`.
    pub credential_lifetime: Option<Duration>,
}

/// Converts what is left of the spec once issuer, keys and TLS are looked at. `unknown` are the fields that the type
/// does not have.
pub(super) fn judge(spec: &JWTAuthenticatorSpec, unknown: &[String]) -> Result<Judge, InvalidSpec> {
    let mut problems = Problems::default();
    problems.unknown(unknown);
    let demands = demands::read(spec, &mut problems);
    let algorithms = demands::algorithms(spec, &mut problems);
    let rules = rules::read(spec, &mut problems);
    let credential_lifetime = credential_lifetime(spec.credential.as_ref(), &mut problems);
    let parts = demands.zip(rules).map(|(demands, rules)| {
        let rules = Arc::new(rules);
        Judge { demands, algorithms, rules, credential_lifetime }
    });
    problems.unless_any(parts)
}

/// `spec.credential.lifetimeSeconds` of either kind.
pub(super) fn credential_lifetime(
    credential: Option<&CredentialSettings>,
    problems: &mut Problems,
) -> Option<Duration> {
    let seconds = credential?.lifetime_seconds?;
    let (least, most) = (MIN_CREDENTIAL_LIFETIME_SECONDS, MAX_CREDENTIAL_LIFETIME_SECONDS);
    if !(least..=most).contains(&seconds) {
        problems.add("credential.lifetimeSeconds", &format!("is {seconds}, expected {least} to {most}"));
    }
    Some(Duration::from_secs(seconds.into()))
}

// === impl Judge ===

impl Judge {
    /// The audiences that are ours by the spec.
    #[must_use]
    pub fn audiences(&self) -> &Audiences {
        self.demands.audiences()
    }

    /// What a token of `issuer` is held against; the issuer is [`super::JwtSpec::issuer`], which may be wrong on its own,
    /// and the other clusters of the fleet no spec can say.
    #[must_use]
    pub fn profile(&self, issuer: Issuer, siblings: Siblings) -> Profile {
        self.demands.profile(issuer, siblings)
    }
}
