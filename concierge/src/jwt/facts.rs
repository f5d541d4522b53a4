//! What a record may say of a token, gathered while it is judged. Never the token, never its third segment.

use crate::secret::TokenFingerprint;

/// Facts of one token; each part is there once the judging got that far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokenFacts {
    /// Size in bytes.
    pub bytes: usize,
    /// The fingerprint, once there were two dots.
    pub fingerprint: Option<TokenFingerprint>,
    /// The header's words: an attacker's until the signature holds.
    pub header: Option<HeaderFacts>,
    /// Whether the signature verified under a configured issuer's key.
    pub signed: bool,
    /// What the token says of itself, read only where the signature did not verify. Nothing is decided by it.
    pub claimed: Option<ClaimedFacts>,
    /// Claims, only after the signature verified under a configured issuer's key.
    pub verified: Option<VerifiedFacts>,
}

/// What the header says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderFacts {
    /// `alg`.
    pub alg: String,
    /// `kid`.
    pub kid: Option<String>,
    /// `typ`.
    pub typ: Option<String>,
}

/// Claims that anybody may have written, for a person to read and nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimedFacts {
    /// `iss`.
    pub iss: Option<String>,
    /// `sub`.
    pub sub: Option<String>,
    /// `aud`, as a list; the first few.
    pub aud: Vec<String>,
}

/// Registered claims of a token that its issuer really signed; those of a wrong type are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifiedFacts {
    /// `iss`.
    pub iss: Option<String>,
    /// `sub`.
    pub sub: Option<String>,
    /// `aud`, as a list.
    pub aud: Vec<String>,
    /// `azp`.
    pub azp: Option<String>,
    /// `jti`.
    pub jti: Option<String>,
    /// `sid`.
    pub sid: Option<String>,
    /// `iat`, seconds.
    pub iat: Option<i64>,
    /// `exp`, seconds.
    pub exp: Option<i64>,
    /// `auth_time`, seconds.
    pub auth_time: Option<i64>,
}
