//! Why a token is refused: a closed list with one stable word each.

use super::{Algorithm, AlgorithmSet, Audiences, JsonError, KeyId, Step, TokenTypes};
use crate::fleet::SiblingName;

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
    /// Not three non-empty segments (RFC 7515 7.1).
    #[error("{0}")]
    NotThreeSegments(&'static str),
    /// A segment is not strict base64url (RFC 7515 2, RFC 4648 5).
    #[error("a segment is not unpadded base64url")]
    NotBase64Url,
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
    #[error("{} is not accepted, expected {}", found_type(.found.as_deref()), .accepted.expected())]
    TypeNotAccepted {
        /// What the header says, if anything.
        found: Option<String>,
        /// What this authenticator accepts.
        accepted: TokenTypes,
    },
    /// `events` tells a logout token or a security event even where it carries no `typ` (OIDC Back-Channel Logout 2.6).
    #[error("a token with \"events\" is a message about a session, not proof of a person")]
    EventToken,
    /// The claims are not strict JSON, or an object is larger than any real token.
    #[error("claims: {0}")]
    MalformedClaims(JsonError),
    /// The claims of a token that is only being sent to its judge cannot be read far enough to find one string `iss`.
    #[error("claims: no single issuer can be read from them")]
    NoIssuerToRead,
    /// A member name appears twice, in the header or in the claims.
    #[error("a member name appears twice in one object of the {}", .inside.name())]
    DuplicateMember {
        /// [`Step::Header`] or [`Step::Claims`].
        inside: Step,
    },
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
    /// Really signed by our issuer, but for another cluster of our fleet: a cross-cluster replay.
    #[error("audience {found:?} is of cluster {cluster}, expected {expected}")]
    AudienceOtherCluster {
        /// The `aud` claim.
        found: Vec<String>,
        /// Whose token it is: of several the one that `aud` names first.
        cluster: SiblingName,
        /// The configured audiences.
        expected: Audiences,
    },
    /// Really signed by our issuer, but for somebody else.
    #[error("audience {found:?} is not ours, expected {expected}")]
    AudienceMismatch {
        /// The `aud` claim.
        found: Vec<String>,
        /// The configured audiences.
        expected: Audiences,
    },
    /// For us and for others: such a token opens more than one door.
    #[error("audience {found:?} names {} beside {expected}", others(.cluster.as_ref()))]
    AudienceShared {
        /// The `aud` claim.
        found: Vec<String>,
        /// The configured audiences.
        expected: Audiences,
        /// The cluster of our fleet that it is for too, if it is one: of several the one that `aud` names first.
        cluster: Option<SiblingName>,
    },
    /// `azp` names a party that may not bring tokens here, or is absent where one must be named.
    #[error("{}, expected one of {expected:?}", found_party(.found.as_deref()))]
    AuthorizedPartyMismatch {
        /// The `azp` claim.
        found: Option<String>,
        /// The parties accepted.
        expected: Vec<String>,
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
    /// The token was made to live longer than this authenticator puts up with.
    #[error("made to live {seconds} s, at most {ceiling} s are accepted")]
    LifetimeTooLong {
        /// `exp - iat`.
        seconds: i64,
        /// The ceiling in seconds.
        ceiling: u64,
    },
    /// The token was issued longer ago than this authenticator puts up with.
    #[error("issued {seconds_ago} s ago, at most {ceiling} s are accepted")]
    TokenTooOld {
        /// `now - iat`.
        seconds_ago: i64,
        /// The ceiling in seconds.
        ceiling: u64,
    },
    /// A claim that is needed is absent.
    #[error("claim {claim:?} is missing")]
    ClaimMissing {
        /// The claim's name.
        claim: &'static str,
        /// The step that needs it.
        step: Step,
    },
    /// A claim is there with a type that cannot be used.
    #[error("claim {claim:?} is {found}, expected {expected}")]
    ClaimWrongType {
        /// The claim's name.
        claim: &'static str,
        /// What it is.
        found: &'static str,
        /// What it should be.
        expected: &'static str,
        /// The step that reads it.
        step: Step,
    },
}

impl Rejection {
    /// The stable word for records, metrics and Events: kebab-case, never changed.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TokenTooLarge { .. } => "token-too-large",
            Self::NotThreeSegments(_) | Self::NotBase64Url => "malformed-token",
            Self::MalformedHeader(_) => "malformed-header",
            Self::AlgorithmNotAllowed { .. } => "alg-not-allowed",
            Self::CriticalHeader => "critical-header",
            Self::KeyUnknown { .. } => "key-unknown",
            Self::KeyAmbiguous { .. } => "key-ambiguous",
            Self::KeyUnsuitable { .. } => "key-unsuitable",
            Self::SignatureInvalid => "signature-invalid",
            Self::TypeNotAccepted { .. } | Self::EventToken => "type-not-accepted",
            Self::MalformedClaims(_) | Self::NoIssuerToRead => "malformed-claims",
            Self::DuplicateMember { .. } => "duplicate-member",
            Self::IssuerUnknown { .. } => "issuer-unknown",
            Self::AudienceMissing => "audience-missing",
            Self::AudienceOtherCluster { .. } => "audience-other-cluster",
            Self::AudienceMismatch { .. } => "audience-mismatch",
            Self::AudienceShared { .. } => "audience-shared",
            Self::AuthorizedPartyMismatch { .. } => "authorized-party-mismatch",
            Self::Expired { .. } => "expired",
            Self::NotYetValid { .. } => "not-yet-valid",
            Self::IssuedInFuture { .. } => "issued-in-future",
            Self::LifetimeTooLong { .. } => "lifetime-too-long",
            Self::TokenTooOld { .. } => "token-too-old",
            Self::ClaimMissing { .. } => "claim-missing",
            Self::ClaimWrongType { .. } => "claim-wrong-type",
        }
    }

    /// The sentence without what may name a person, for records that are to name nobody. Issuers, audiences and key ids
    /// are no people; an authorized party is a client, and with some providers a client is somebody's.
    #[must_use]
    pub fn discreet(&self) -> String {
        match self {
            Self::AuthorizedPartyMismatch { found: Some(_), expected } => {
                format!("the authorized party is another, expected one of {expected:?}")
            }
            other => other.to_string(),
        }
    }

    /// The step that the token failed; it passed every one before.
    #[must_use]
    pub const fn step(&self) -> Step {
        match self {
            Self::TokenTooLarge { .. } => Step::Size,
            Self::NotThreeSegments(_) => Step::Segments,
            Self::NotBase64Url => Step::Base64,
            Self::MalformedHeader(_) | Self::CriticalHeader => Step::Header,
            Self::AlgorithmNotAllowed { .. } => Step::Algorithm,
            Self::KeyUnknown { .. } | Self::KeyAmbiguous { .. } | Self::KeyUnsuitable { .. } => Step::Key,
            Self::SignatureInvalid => Step::Signature,
            Self::MalformedClaims(_) | Self::NoIssuerToRead => Step::Claims,
            Self::TypeNotAccepted { .. } | Self::EventToken => Step::Type,
            Self::IssuerUnknown { .. } => Step::Issuer,
            Self::AudienceMissing
            | Self::AudienceOtherCluster { .. }
            | Self::AudienceMismatch { .. }
            | Self::AudienceShared { .. } => Step::Audience,
            Self::AuthorizedPartyMismatch { .. } => Step::AuthorizedParty,
            Self::Expired { .. }
            | Self::NotYetValid { .. }
            | Self::IssuedInFuture { .. }
            | Self::LifetimeTooLong { .. }
            | Self::TokenTooOld { .. } => Step::Times,
            Self::DuplicateMember { inside } => *inside,
            Self::ClaimMissing { step, .. } | Self::ClaimWrongType { step, .. } => *step,
        }
    }

    /// Every code, for tests that hold the list against the vectors.
    pub const CODES: [&'static str; 25] = [
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
        "audience-other-cluster",
        "audience-mismatch",
        "audience-shared",
        "authorized-party-mismatch",
        "expired",
        "not-yet-valid",
        "issued-in-future",
        "lifetime-too-long",
        "token-too-old",
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

fn others(cluster: Option<&SiblingName>) -> String {
    cluster.map_or_else(|| "others".to_owned(), |cluster| format!("cluster {cluster}"))
}

fn found_type(found: Option<&str>) -> String {
    found.map_or_else(|| "a token without type".to_owned(), |typ| format!("token type {typ:?}"))
}

fn found_party(found: Option<&str>) -> String {
    found.map_or_else(|| "the token names no authorized party".to_owned(), |azp| format!("authorized party {azp:?}"))
}
