//! Why a token is refused: a closed list with one stable word each.

use super::{Algorithm, AlgorithmSet, JsonError, KeyId};

/// The first check that a token failed. The display text is for the operator: it may quote claims of a token whose
/// signature holds, never the token. What the sender learns is the business of `api::respond` alone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Larger than [`super::MAX_TOKEN_BYTES`].
    #[error("token of {bytes} bytes, at most {limit} are accepted")]
    TokenTooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Not three non-empty segments of strict base64url (RFC 7515 7.1, RFC 4648 5).
    #[error("{0}")]
    MalformedToken(&'static str),
    /// The header is not strict JSON or holds members of a wrong type (RFC 7515 4).
    #[error("{0}")]
    MalformedHeader(&'static str),
    /// `alg` is none of ours, or not allowed for this authenticator (RFC 8725 3.1).
    #[error("algorithm {found:?} is not among the accepted ones ({accepted})")]
    AlgorithmNotAllowed {
        /// What the header says.
        found: String,
        /// What this authenticator accepts.
        accepted: AlgorithmSet,
    },
    /// The header has `crit` (RFC 7515 4.1.11): we understand no extension.
    #[error("the header lists critical extensions, none is supported")]
    CriticalHeader,
    /// No key of the issuer has this id. A refresh of the keys may cure it.
    #[error("{}", key_unknown(.key_id.as_ref()))]
    KeyUnknown {
        /// The id asked for; absent when the header names none and no key fits.
        key_id: Option<KeyId>,
    },
    /// More than one key fits; keys are never tried in turn.
    #[error("{fitting} keys fit, expected exactly one")]
    KeyAmbiguous {
        /// How many fit.
        fitting: usize,
    },
    /// The key with that id is of another kind or for another algorithm (RFC 7517 4.4).
    #[error("the key cannot verify {algorithm}")]
    KeyUnsuitable {
        /// What the header says.
        algorithm: Algorithm,
    },
    /// The signature does not verify.
    #[error("the signature does not verify")]
    SignatureInvalid,
    /// `typ` says that this is another kind of token (RFC 8725 3.11).
    #[error("token type {0:?} is not accepted, expected \"JWT\" or none")]
    TypeNotAccepted(String),
    /// The claims are not strict JSON, or an object is larger than any real token.
    #[error("claims: {0}")]
    MalformedClaims(JsonError),
    /// A member name appears twice, in the header or in the claims.
    #[error("a member name appears twice in one object")]
    DuplicateMember,
    /// Signed by a configured issuer's key, but `iss` says somebody else.
    #[error("issuer {found:?}, expected {expected:?}")]
    IssuerUnknown {
        /// The `iss` claim.
        found: String,
        /// The configured issuer.
        expected: String,
    },
    /// No `aud`, or an empty list.
    #[error("the token names no audience")]
    AudienceMissing,
    /// Really signed by our issuer, but for somebody else.
    #[error("audience {found:?} is not ours, expected {expected:?}")]
    AudienceMismatch {
        /// The `aud` claim.
        found: Vec<String>,
        /// The configured audience.
        expected: String,
    },
    /// For us and for others: such a token opens more than one door.
    #[error("audience {found:?} names others beside {expected:?}")]
    AudienceShared {
        /// The `aud` claim.
        found: Vec<String>,
        /// The configured audience.
        expected: String,
    },
    /// `exp` has passed. No leeway.
    #[error("expired {seconds_ago} s ago")]
    Expired {
        /// Seconds since `exp`.
        seconds_ago: i64,
    },
    /// `nbf` lies more than the leeway ahead.
    #[error("not valid for another {seconds_ahead} s")]
    NotYetValid {
        /// Seconds until `nbf`.
        seconds_ahead: i64,
    },
    /// `iat` lies more than the leeway ahead.
    #[error("issued {seconds_ahead} s in the future")]
    IssuedInFuture {
        /// Seconds until `iat`.
        seconds_ahead: i64,
    },
    /// A claim that is needed is absent.
    #[error("claim {0:?} is missing")]
    ClaimMissing(String),
    /// A claim is there with a type that cannot be used.
    #[error("claim {claim:?} is {found}, expected {expected}")]
    ClaimWrongType {
        /// The claim's name.
        claim: String,
        /// What it is.
        found: &'static str,
        /// What it should be.
        expected: &'static str,
    },
}

impl Rejection {
    /// The stable word for records, metrics and Events: kebab-case, never changed.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TokenTooLarge { .. } => "token-too-large",
            Self::MalformedToken(_) => "malformed-token",
            Self::MalformedHeader(_) => "malformed-header",
            Self::AlgorithmNotAllowed { .. } => "alg-not-allowed",
            Self::CriticalHeader => "critical-header",
            Self::KeyUnknown { .. } => "key-unknown",
            Self::KeyAmbiguous { .. } => "key-ambiguous",
            Self::KeyUnsuitable { .. } => "key-unsuitable",
            Self::SignatureInvalid => "signature-invalid",
            Self::TypeNotAccepted(_) => "type-not-accepted",
            Self::MalformedClaims(_) => "malformed-claims",
            Self::DuplicateMember => "duplicate-member",
            Self::IssuerUnknown { .. } => "issuer-unknown",
            Self::AudienceMissing => "audience-missing",
            Self::AudienceMismatch { .. } => "audience-mismatch",
            Self::AudienceShared { .. } => "audience-shared",
            Self::Expired { .. } => "expired",
            Self::NotYetValid { .. } => "not-yet-valid",
            Self::IssuedInFuture { .. } => "issued-in-future",
            Self::ClaimMissing(_) => "claim-missing",
            Self::ClaimWrongType { .. } => "claim-wrong-type",
        }
    }

    /// Every code, for tests that hold the list against the vectors.
    pub const CODES: [&'static str; 21] = [
        "token-too-large",
        "malformed-token",
        "malformed-header",
        "alg-not-allowed",
        "critical-header",
        "key-unknown",
        "key-ambiguous",
        "key-unsuitable",
        "signature-invalid",
        "type-not-accepted",
        "malformed-claims",
        "duplicate-member",
        "issuer-unknown",
        "audience-missing",
        "audience-mismatch",
        "audience-shared",
        "expired",
        "not-yet-valid",
        "issued-in-future",
        "claim-missing",
        "claim-wrong-type",
    ];
}

fn key_unknown(key_id: Option<&KeyId>) -> String {
    match key_id {
        Some(id) => format!("the issuer has no key {id}"),
        None => "the header names no key and none fits".to_owned(),
    }
}
