//! Judges one token against one verifier: `verify` is the sentence, and each step is a file of its own.
//!
//! Every step consumes the type before it and holds the only constructor of the type after it, so no step can be
//! forgotten and none can be done out of order:
//!
//! ```text
//! BearerToken -> raw::RawJwt -> signature::SignedPayload -> claims::VerifiedClaims
//! ```
//!
//! Nobody else can make verified claims:
//!
//! ```compile_fail
//! use latchkey_concierge::jwt::VerifiedClaims;
//! fn forge(members: latchkey_concierge::jwt::Object, now: latchkey_concierge::time::UnixTime) -> VerifiedClaims {
//!     VerifiedClaims { members, expires_at: now }
//! }
//! ```

mod algorithm;
mod claimed;
mod claims;
mod facts;
mod header;
mod json;
mod keys;
mod names;
mod peek;
mod profile;
mod raw;
mod rejection;
mod signature;
mod step;

use std::sync::Arc;

pub use self::{
    algorithm::{Algorithm, AlgorithmSet},
    claims::{SuppliedClaim, VerifiedClaims},
    facts::{ClaimedFacts, HeaderFacts, TokenFacts, VerifiedFacts},
    json::{Json, JsonError, Limits, Object},
    keys::{DropReason, DroppedKey, KeySet, KeySetError, MAX_KEY_SET_BYTES},
    names::{Audience, Issuer, KeyId},
    peek::{ClaimedIssuer, peek_claims_issuer, peek_issuer},
    profile::{AdditionalAudiences, Audiences, Profile, TokenType, TokenTypes},
    raw::{MAX_CLAIMS_BYTES, MAX_TOKEN_BYTES},
    rejection::Rejection,
    step::{Step, Trace},
};
use self::{raw::RawJwt, signature::SignedPayload};
use crate::{secret::BearerToken, time::UnixTime};

/// What a token is held against: an authenticator's profile, the algorithms allowed and the issuer's keys.
#[derive(Clone, Debug)]
pub struct Verifier {
    profile: Arc<Profile>,
    algorithms: AlgorithmSet,
    keys: Arc<KeySet>,
}

impl Verifier {
    /// A verifier for tokens that fit `profile`, signed by one of `keys` with one of `algorithms`.
    #[must_use]
    pub const fn new(profile: Arc<Profile>, algorithms: AlgorithmSet, keys: Arc<KeySet>) -> Self {
        Self { profile, algorithms, keys }
    }

    /// What is demanded beside algorithm and key.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The keys that tokens are verified with.
    #[must_use]
    pub fn keys(&self) -> &KeySet {
        &self.keys
    }

    /// The algorithms that are accepted.
    #[must_use]
    pub const fn algorithms(&self) -> AlgorithmSet {
        self.algorithms
    }

    /// The same verifier for JWTs that another issuer signs with `keys`: same audiences, same algorithms.
    #[must_use]
    pub fn of_issuer(&self, issuer: &str, keys: Arc<KeySet>) -> Self {
        let issuer = Issuer::new(issuer.to_owned());
        let profile = Profile { issuer, ..Profile::clone(&self.profile) };
        Self { profile: Arc::new(profile), algorithms: self.algorithms, keys }
    }

    /// The issuer whose tokens are accepted.
    #[must_use]
    pub fn issuer(&self) -> &Issuer {
        &self.profile.issuer
    }
}

/// Judges `token` at the time `now`, and writes into `facts` what a record may say of it, accepted or not.
///
/// The order is fixed (design: "How a token is judged"): size, three segments, strict base64url, header, algorithm
/// allow-list, key, **signature**, strict JSON, `typ`, issuer, audience, `azp`, times. The signature comes before the
/// audience, because only a token that its issuer really signed can be called a token for another cluster; the rest is
/// noise. `trace` hears of each step in turn; `()` is the silent one.
///
/// # Errors
///
/// The first check that fails, as a [`Rejection`].
pub fn verify(
    token: &BearerToken,
    verifier: &Verifier,
    now: UnixTime,
    facts: &mut TokenFacts,
    trace: &mut impl Trace,
) -> Result<VerifiedClaims, Rejection> {
    let raw = RawJwt::parse(token, MAX_TOKEN_BYTES, facts, trace)?;
    let payload = SignedPayload::verify(raw, verifier, facts, trace)?;
    VerifiedClaims::judge(&payload, &verifier.profile, now, facts, trace)
}

/// Judges a JWT of claims that a token refers to (OIDC Core 5.6.2): the same steps with the same keys, for an issuer and an
/// audience of ours and not over. It may be larger, and is no token that a person was given: to which party, of which type
/// and for how long a *token* may be made is not asked of it.
///
/// # Errors
///
/// The first check that fails, as a [`Rejection`].
pub fn verify_claims(token: &BearerToken, verifier: &Verifier, now: UnixTime) -> Result<VerifiedClaims, Rejection> {
    let profile = Profile {
        additional_audiences: verifier.profile.additional_audiences,
        siblings: verifier.profile.siblings.clone(),
        ..Profile::new(verifier.profile.issuer.clone(), verifier.profile.audiences.clone())
    };
    let (mut facts, trace) = (TokenFacts::default(), &mut ());
    let raw = RawJwt::parse(token, MAX_CLAIMS_BYTES, &mut facts, trace)?;
    let payload = SignedPayload::verify(raw, verifier, &mut facts, trace)?;
    VerifiedClaims::judge(&payload, &profile, now, &mut facts, trace)
}
