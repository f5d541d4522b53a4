//! Where keys come from, which tokens are looked at, and what is handed out for a good one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::limits;
use crate::validation::{jwt_authenticator as validation, rules};

/// Shortest credential: below a minute the exchange would run as often as kubectl.
pub const MIN_CREDENTIAL_LIFETIME_SECONDS: u32 = 60;

/// Longest credential: a certificate cannot be taken back, so a day is the most that a lost one may live.
pub const MAX_CREDENTIAL_LIFETIME_SECONDS: u32 = 24 * 60 * 60;

/// Largest ceiling on a token's lifetime or age. A year: whoever writes more wants no ceiling, and says so by none.
pub const MAX_TOKEN_CEILING_SECONDS: u32 = 365 * 24 * 60 * 60;

/// Largest inline key set. kubectl's client-side apply keeps the whole object in an annotation of 262,144 bytes; half
/// of that holds a hundred keys of RSA 4096.
pub const MAX_INLINE_KEY_SET_CHARS: u32 = 131_072;

/// Where the issuer's keys come from without discovery: a URL, or the keys themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules(validation::JWKS)))]
pub struct Jwks {
    /// The URL of the issuer's key set (RFC 7517), for an issuer without a discovery document. It is fetched again and
    /// again, so that rotated keys are followed. Example: <https://idp.example.com/keys>. Excludes inline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = limits::URL_CHARS),
        regex(pattern = "^https://"),
        extend("x-kubernetes-validations" = rules(validation::FETCHED_URL))
    )]
    pub url: Option<String>,

    /// The issuer's key set itself, as JSON text, for an issuer that the cluster cannot reach. Nothing is ever fetched:
    /// when the issuer rotates its keys, write the new ones here first. Example: {"keys":[{"kty":"EC",...}]}. Public
    /// keys only. Excludes url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = MAX_INLINE_KEY_SET_CHARS),
        extend("x-kubernetes-validations" = rules(validation::INLINE_KEY_SET))
    )]
    pub inline: Option<String>,
}

// The schema's description of a field of an enum is the enum's own: what people are to read stands here.
/// What becomes of a token that is made for this cluster and for somebody else: Refuse (the default), because it opens two
/// doors, and whoever holds the other one can use it here; or Allow. Where it is allowed, an azp in such a token must still
/// be one of this cluster's audiences or of authorizedParties, and an audience of another cluster of the fleet is refused
/// all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AdditionalAudiences {
    /// It is refused.
    #[default]
    Refuse,
    /// It is accepted, unless the other audience belongs to another cluster of the fleet.
    Allow,
}

/// A kind of token, by its header typ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TokenType {
    /// An ID token: typ is JWT, or there is none.
    #[serde(rename = "JWT")]
    Jwt,
    /// An access token of RFC 9068.
    #[serde(rename = "at+jwt")]
    AccessToken,
}

/// An algorithm that a token may be signed with, by its name in RFC 7518 and RFC 8037.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SigningAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RS384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RS512,
    /// RSASSA-PSS with SHA-256.
    PS256,
    /// RSASSA-PSS with SHA-384.
    PS384,
    /// RSASSA-PSS with SHA-512.
    PS512,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// ECDSA on P-521 with SHA-512.
    ES512,
    /// Ed25519; a token that names it Ed25519, as RFC 9864 does, means the same.
    EdDSA,
}

/// What is handed out for a good token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CredentialSettings {
    /// How long a credential lives, in seconds, from 60 to 86400 (a day). Default: 300 where the concierge signs with
    /// its own certificate authority. The cluster's signer gives 600 at least. A certificate cannot be taken back:
    /// whoever leaves keeps access for this long. A short life has its price too: with each new
    /// certificate a client closes its connections, so watches and followed logs break once in this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    // `with`: Kubernetes knows the formats int32 and int64 only, and warns at every other.
    #[schemars(with = "Option<i32>", range(min = MIN_CREDENTIAL_LIFETIME_SECONDS, max = MAX_CREDENTIAL_LIFETIME_SECONDS))]
    pub lifetime_seconds: Option<u32>,
}

// === impl SigningAlgorithm ===

impl SigningAlgorithm {
    /// Every algorithm, in the standard's order.
    pub const ALL: [Self; 10] = [
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::ES512,
        Self::EdDSA,
    ];

    /// The name in a token's header.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::ES512 => "ES512",
            Self::EdDSA => "EdDSA",
        }
    }
}
