//! The judgement of an access token that goes to the cluster: it has to be a JWT (RFC 9068), for this cluster alone.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use openidconnect::core::{CoreJsonWebKey, CoreJsonWebKeySet, CoreJwsSigningAlgorithm};
use openidconnect::{JsonWebKey as _, JsonWebKeyAlgorithm, JsonWebKeyId, JsonWebKeyUse, JwsSigningAlgorithm as _};
use serde::Deserialize;
use serde_json::Value;

use super::documents::Metadata;
use super::id_token::{ALGORITHMS, ISSUED_AHEAD_MAX_SECONDS, Verification, check_audience};
use crate::config::ProviderConfig;
use crate::expiry::Clocks;
use crate::output::Printable;
use crate::secret::Secret;
use crate::time::UnixTime;
use crate::unverified_claims::UnverifiedClaims;

/// A judged access token.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AccessIdentity {
    /// The last local second in which to use it.
    pub(super) usable_until: UnixTime,
    /// Whose it is, if it says so.
    pub(super) subject: Option<String>,
}

/// RFC 9068 section 4, as far as the one who passes a token on can judge it; `audience` is who it has to be for.
pub(super) fn verify(
    token: &Secret,
    audience: &str,
    config: &ProviderConfig,
    metadata: &Metadata,
    clocks: Clocks,
) -> Result<AccessIdentity, Verification> {
    let refused = |words: &str| Verification::Refused(format!("the identity provider's access token {words}"));
    let claims = UnverifiedClaims::read(token.expose()).ok_or_else(|| {
        refused(
            "is opaque, not a JWT, so a cluster cannot judge it; ask for one with --resource or --request-audience, or let the cluster take the ID token (--token-kind=id)",
        )
    })?;
    check_signature(token.expose(), metadata.jwks())?;
    let issuer = claims.text("iss").unwrap_or_default();
    if issuer != config.issuer {
        return Err(refused(&format!(
            "names issuer {:?}, expected {:?}",
            Printable(issuer).to_string(),
            config.issuer
        )));
    }
    let audiences = claims.audiences();
    let audiences: Vec<&str> = audiences.iter().map(String::as_str).collect();
    check_audience(audience, &config.additional_audiences, &audiences).map_err(Verification::Refused)?;
    // RFC 9068 section 2.2, and the older name of the same. (An exchange may give a token without either.)
    for party in ["client_id", "azp"].into_iter().filter_map(|name| claims.text(name)) {
        if party != config.client_id {
            return Err(Verification::Refused(format!(
                "authorized-party-mismatch: the token was made for client {:?}, we are {:?}",
                Printable(party).to_string(),
                config.client_id
            )));
        }
    }
    let expires = claims.expires().ok_or_else(|| refused("does not say when it expires"))?;
    if expires <= clocks.server {
        return Err(refused("has expired already"));
    }
    for name in ["iat", "nbf"] {
        let begins = claims.all().get(name).and_then(Value::as_i64);
        let ahead = begins.map_or(0, |begins| begins.saturating_sub(clocks.server.as_secs()));
        if ahead > ISSUED_AHEAD_MAX_SECONDS {
            return Err(refused(&format!("begins {ahead} seconds in the future")));
        }
    }
    let subject = claims.text("sub").map(ToOwned::to_owned);
    Ok(AccessIdentity { usable_until: clocks.usable_until(expires), subject })
}

/// RFC 7515 section 5.2 with the issuer's keys, RFC 8725 section 3.1 for the algorithm.
fn check_signature(token: &str, keys: &CoreJsonWebKeySet) -> Result<(), Verification> {
    #[derive(Deserialize)]
    struct Header {
        alg: CoreJwsSigningAlgorithm,
        kid: Option<JsonWebKeyId>,
        crit: Option<Value>,
    }
    let refused = |words: &str| Verification::Refused(format!("the identity provider's access token {words}"));
    let unreadable = || refused("is not one that can be read");
    let (signed, signature) = token.rsplit_once('.').ok_or_else(unreadable)?;
    let (header, _) = signed.split_once('.').ok_or_else(unreadable)?;
    let decoded = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| unreadable());
    let header: Header = serde_json::from_slice(&decoded(header)?).map_err(|_| unreadable())?;
    let signature = decoded(signature)?;
    if !ALGORITHMS.contains(&header.alg) {
        return Err(refused("is signed in a way that proves nothing"));
    }
    if header.crit.is_some() {
        return Err(refused("has critical header fields that we do not know"));
    }
    let fits = |key: &&CoreJsonWebKey| {
        let is_named = header.kid.is_none() || key.key_id() == header.kid.as_ref();
        let is_for_it = match key.signing_alg() {
            JsonWebKeyAlgorithm::Algorithm(alg) => *alg == header.alg,
            JsonWebKeyAlgorithm::Unspecified => header.alg.key_type().as_ref() == Some(key.key_type()),
            JsonWebKeyAlgorithm::Unsupported => false,
        };
        is_named && is_for_it && key.key_use().is_none_or(JsonWebKeyUse::allows_signature)
    };
    let unknown = |words: &str| Verification::UnknownKey(format!("the identity provider's access token {words}"));
    let mut candidates = keys.keys().iter().filter(fits);
    let Some(key) = candidates.next() else {
        return Err(unknown("is signed with a key that the identity provider does not publish"));
    };
    if candidates.next().is_some() {
        return Err(refused("does not say which of several keys it is signed with"));
    }
    // A provider may give a new key an old name: fresh keys might help here too.
    key.verify_signature(&header.alg, signed.as_bytes(), &signature)
        .map_err(|_| unknown("has a signature that does not fit"))
}
