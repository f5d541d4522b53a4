//! The judgement of an ID token, before it goes anywhere: signature, issuer, audience, parties, times, nonce, hash.

use chrono::DateTime;
use openidconnect::core::{CoreIdToken, CoreIdTokenVerifier, CoreJwsSigningAlgorithm};
use openidconnect::{
    AccessToken, AccessTokenHash, ClaimsVerificationError, ClientId, Nonce, NonceVerifier, SignatureVerificationError,
};

use super::Identity;
use super::documents::Metadata;
use super::grant::Grant;
use crate::args::TokenKind;
use crate::config::ProviderConfig;
use crate::expiry::Clocks;
use crate::failure;
use crate::output::Printable;
use crate::secret::Secret;
use crate::time::UnixTime;

/// How far in the future a token may say it was made: clocks of servers differ a little.
pub(super) const ISSUED_AHEAD_MAX_SECONDS: i64 = 60;

/// Never `none`, never a shared secret.
pub(super) const ALGORITHMS: [CoreJwsSigningAlgorithm; 10] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EcdsaP521Sha512,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// What the nonce in a token has to be.
#[derive(Clone, Copy, Debug)]
pub(super) enum ExpectedNonce<'a> {
    /// After a login: the one we sent.
    Sent(&'a Nonce),
    /// After a login by device code, and for sessions of earlier releases, there is none to compare with: the token came
    /// over TLS from the token endpoint itself.
    Any,
    /// After a refresh: absent, or the one of the login (OIDC Core 1.0 section 12.2).
    Kept(&'a Nonce),
}

impl NonceVerifier for ExpectedNonce<'_> {
    fn verify(self, nonce: Option<&Nonce>) -> Result<(), String> {
        match self {
            Self::Sent(expected) => expected.verify(nonce),
            Self::Any => Ok(()),
            Self::Kept(expected) => nonce.map_or(Ok(()), |nonce| expected.verify(Some(nonce))),
        }
    }
}

/// Why a token did not pass, and whether fresh keys might help.
#[derive(Debug)]
pub(super) enum Verification {
    Refused(String),
    UnknownKey(String),
}

/// OIDC Core 1.0 section 3.1.3.7, in its order as far as the crate allows.
pub(super) fn verify(
    token: &Secret,
    config: &ProviderConfig,
    metadata: &Metadata,
    grant: &Grant,
    nonce: ExpectedNonce<'_>,
) -> Result<Identity, Verification> {
    let Clocks { local, server } = grant.clocks;
    let token: CoreIdToken = token.expose().parse().map_err(|_| {
        // Words about it might quote it.
        Verification::Refused("the identity provider's ID token is not one that can be read".to_owned())
    })?;
    let verifier = CoreIdTokenVerifier::new_public_client(
        ClientId::new(config.client_id.clone()),
        metadata.issuer().clone(),
        metadata.jwks().clone(),
    )
    .set_allowed_algs(ALGORITHMS)
    // Step 3 is ours, below: it is stricter, and its words are those of the cluster's audit log.
    .require_audience_match(false)
    // The provider's own time, as it came with the token: a laptop an hour wrong can still log in.
    .set_time_fn(move || DateTime::from_timestamp(server.as_secs(), 0).unwrap_or_default())
    .set_issue_time_verifier_fn(move |issued| {
        let ahead = issued.timestamp() - server.as_secs();
        (ahead <= ISSUED_AHEAD_MAX_SECONDS)
            .then_some(())
            .ok_or_else(|| format!("ID token was issued {ahead} seconds in the future"))
    });
    let claims = token.claims(&verifier, nonce).map_err(|error| Verification::of(&error))?;
    let audiences: Vec<&str> = claims.audiences().iter().map(|audience| audience.as_str()).collect();
    check_audience(expected_audience(config), &config.additional_audiences, &audiences)
        .map_err(Verification::Refused)?;
    // Steps 4 and 5.
    match claims.authorized_party() {
        Some(party) if party.as_str() != config.client_id => {
            return Err(Verification::Refused(format!(
                "authorized-party-mismatch: the token was made for client {:?}, we are {:?}",
                Printable(party.as_str()).to_string(),
                config.client_id
            )));
        }
        None if audiences.len() > 1 => {
            return Err(Verification::Refused(
                "authorized-party-mismatch: the token is for several and does not say for which client it was made"
                    .to_owned(),
            ));
        }
        Some(_) | None => {}
    }
    if let Some(hash) = claims.access_token_hash() {
        let access_token = AccessToken::new(grant.access_token.expose().to_owned());
        let actual = token
            .signing_alg()
            .and_then(|algorithm| {
                let key = token.signing_key(&verifier)?;
                AccessTokenHash::from_token(&access_token, algorithm, key)
                    .map_err(|error| SignatureVerificationError::Other(error.to_string()))
            })
            .map_err(|error| Verification::Refused(format!("at_hash cannot be checked: {error}")))?;
        if actual != *hash {
            return Err(Verification::Refused(
                "at_hash of the ID token does not fit the access token that came with it".to_owned(),
            ));
        }
    }
    let name = claims
        .email()
        .map(|email| email.as_str())
        .or_else(|| claims.preferred_username().map(|name| name.as_str()))
        .unwrap_or_else(|| claims.subject().as_str());
    Ok(Identity {
        id_token: Secret::from(token.to_string()),
        received_at: local,
        usable_until: grant.clocks.usable_until(UnixTime::from_secs(claims.expiration().timestamp())),
        subject: claims.subject().to_string(),
        name: name.to_owned(),
        local_ahead: grant.clocks.local_ahead(),
        nonce: claims.nonce().map(|nonce| nonce.secret().to_owned()),
        authenticated_at: claims.auth_time().map(|time| time.timestamp()),
    })
}

/// Whom the ID token has to be for: the cluster, unless the cluster gets another token.
fn expected_audience(config: &ProviderConfig) -> &str {
    match config.token_kind {
        TokenKind::Id if config.exchange_audience.is_none() => &config.audience,
        TokenKind::Id | TokenKind::Access => &config.client_id,
    }
}

impl Verification {
    fn of(error: &ClaimsVerificationError) -> Self {
        let why = match error {
            ClaimsVerificationError::InvalidNonce(_) => {
                "it was made for another login than this one (its nonce is not ours)".to_owned()
            }
            ClaimsVerificationError::SignatureVerification(SignatureVerificationError::CryptoError(_)) => {
                "its signature does not fit the key that the identity provider publishes".to_owned()
            }
            ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey) => {
                "it is signed with a key that the identity provider does not publish".to_owned()
            }
            other => failure::chain(other),
        };
        let words = format!("the identity provider's ID token must not be used: {}", Printable(&why));
        match error {
            ClaimsVerificationError::SignatureVerification(
                // The second too: a provider that gives a new key an old name.
                SignatureVerificationError::NoMatchingKey | SignatureVerificationError::CryptoError(_),
            ) => Self::UnknownKey(words),
            _ => Self::Refused(words),
        }
    }
}

/// The token must be for this cluster and nobody else, except for those that somebody has named. The code is the one that
/// stands in the cluster's audit log.
pub(crate) fn check_audience(expected: &str, additional: &[String], found: &[&str]) -> Result<(), String> {
    let list = || found.iter().map(|audience| format!("{:?}", Printable(audience).to_string())).collect::<Vec<_>>();
    let others = || found.iter().filter(|audience| **audience != expected);
    match found {
        [] => Err(format!("audience-missing: the token is for nobody, this cluster takes only {expected:?}")),
        several
            if others().count() + 1 == several.len()
                && others().all(|other| additional.iter().any(|known| known == other)) =>
        {
            Ok(())
        }
        several if several.contains(&expected) => Err(format!(
            "audience-shared: the token is for {}, so it would open other doors too; this cluster takes only {expected:?}",
            list().join(", ")
        )),
        _ => Err(format!(
            "audience-mismatch: the token is for {}, this cluster takes only {expected:?}",
            list().join(", ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_token_for_this_cluster_alone_passes() {
        let code = |found: &[&str]| code_of(&[], found);
        assert_eq!(code(&["staging"]), "passes");
        assert_eq!(code(&[]), "audience-missing");
        assert_eq!(code(&["production"]), "audience-mismatch");
        assert_eq!(code(&["staging", "production"]), "audience-shared");
        assert_eq!(code(&["a", "b"]), "audience-mismatch");
        assert_eq!(code(&["Staging"]), "audience-mismatch");
        assert_eq!(code(&["staging", "staging"]), "audience-shared", "one audience means one entry");
    }

    #[test]
    fn those_who_are_named_may_be_meant_as_well_and_nobody_else() {
        let code = |found: &[&str]| code_of(&["project"], found);
        for found in [&["staging"][..], &["staging", "project"], &["project", "staging"]] {
            assert_eq!(code(found), "passes", "{found:?}");
        }
        assert_eq!(code(&["project"]), "audience-mismatch", "ours has to be there");
        assert_eq!(code(&["staging", "production"]), "audience-shared");
        assert_eq!(code(&["staging", "project", "production"]), "audience-shared");
        assert_eq!(code(&["staging", "staging", "project"]), "audience-shared");
        assert_eq!(code(&[]), "audience-missing");
    }

    fn code_of(additional: &[&str], found: &[&str]) -> String {
        let additional: Vec<String> = additional.iter().map(|&audience| audience.to_owned()).collect();
        match check_audience("staging", &additional, found) {
            Ok(()) => "passes".to_owned(),
            Err(words) => words.split(':').next().unwrap().to_owned(),
        }
    }
}
