//! `JWTAuthenticator`: one issuer, this cluster's audience, and how their tokens become users.

mod claims;
pub mod limits;
mod rules;
mod tokens;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    claims::{Claims, DEFAULT_GROUPS_CLAIM, DEFAULT_USERNAME_CLAIM, DistributedClaims, ExtraMapping},
    rules::{ClaimValidationRule, ReservedIdentities, ReservedIdentityPolicy, UserValidationRule},
    tokens::{
        AdditionalAudiences, CredentialSettings, Jwks, MAX_CREDENTIAL_LIFETIME_SECONDS, MAX_INLINE_KEY_SET_CHARS,
        MAX_TOKEN_CEILING_SECONDS, MIN_CREDENTIAL_LIFETIME_SECONDS, SigningAlgorithm, TokenType,
    },
};
use super::{AuthenticatorStatus, Tls};
use crate::validation::{jwt_authenticator as validation, rules, text};

/// What you want: whose tokens to believe, for which audience, and whom they stand for.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "authentication.concierge.latchkey.dev",
    version = "v1alpha1",
    kind = "JWTAuthenticator",
    plural = "jwtauthenticators",
    singular = "jwtauthenticator",
    doc = "JWTAuthenticator lets people in with a token (JWT) of one OIDC issuer, made for one audience. \
           Give each cluster an audience of its own: then a token made for staging is worthless in production. \
           Whoever may write a JWTAuthenticator can become anybody in this cluster; treat it like cluster-admin.",
    status = "AuthenticatorStatus",
    derive = "PartialEq",
    category = "latchkey",
    category = "latchkey-authenticators",
    selectable = ".spec.issuer",
    printcolumn = r#"{"name":"Issuer","type":"string","jsonPath":".spec.issuer"}"#,
    printcolumn = r#"{"name":"Audience","type":"string","jsonPath":".spec['audience','audiences']"}"#,
    printcolumn = r#"{"name":"Status","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Keys","type":"integer","priority":1,"jsonPath":".status.keys.usable","description":"How many keys of the issuer are in use."}"#,
    printcolumn = r#"{"name":"Fetched","type":"date","priority":1,"jsonPath":".status.keys.lastFetchTime","description":"When the keys were last fetched."}"#,
    printcolumn = r#"{"name":"Reason","type":"string","priority":1,"jsonPath":".status.conditions[?(@.status!=\"True\")].reason"}"#,
    printcolumn = r#"{"name":"Message","type":"string","priority":1,"jsonPath":".status.conditions[?(@.status!=\"True\")].message"}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules(validation::SPEC)))]
pub struct JWTAuthenticatorSpec {
    /// The issuer's URL: https, without query or fragment. Example: <https://idp.example.com/realms/main>. A token's iss
    /// must be this text, byte for byte: a trailing slash more or less refuses every token. The keys are found at
    /// `<issuer>/.well-known/openid-configuration`, unless discoveryURL or jwks says otherwise.
    #[schemars(
        length(min = 1, max = limits::URL_CHARS),
        regex(pattern = "^https://"),
        extend("x-kubernetes-validations" = rules(validation::ISSUER))
    )]
    pub issuer: String,

    /// The discovery document's whole URL, where it is another than `<issuer>/.well-known/openid-configuration`: for an
    /// issuer that is reached by another name from inside the cluster. The document must still name the issuer as it
    /// stands in issuer. Example: <https://keycloak.idp.svc/realms/main/.well-known/openid-configuration>. Default: none.
    /// Excludes jwks.
    #[serde(default, rename = "discoveryURL", skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = limits::URL_CHARS),
        regex(pattern = "^https://"),
        extend("x-kubernetes-validations" = rules(validation::FETCHED_URL))
    )]
    pub discovery_url: Option<String>,

    /// Where the issuer's keys come from without discovery. Default: from the discovery document. Excludes discoveryURL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Jwks>,

    /// The audience that a token must be made for; must be in its aud. Usually the client ID of this cluster's own
    /// client at the issuer. Example: kubernetes-staging. Two clusters with the same audience accept each other's
    /// tokens: never share one. Excludes audiences; one of the two is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = limits::AUDIENCE_CHARS),
        extend("x-kubernetes-validations" = rules(validation::AUDIENCE))
    )]
    pub audience: Option<String>,

    /// Several audiences, of which a token must be made for at least one: to move from one client at the issuer to the
    /// next without locking anybody out. Kubeconfigs are made for the first one; remove the old one when nobody uses it.
    /// All of them must belong to this cluster alone. Excludes audience. Example: [kubernetes-next, kubernetes-staging].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "audiences")]
    pub audiences: Vec<String>,

    /// What becomes of a token that is made for this cluster and for somebody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub additional_audiences: Option<AdditionalAudiences>,

    /// The clients that tokens may be issued to: a token must then carry one of them as its azp. Default: azp is not
    /// looked at, except where a token has further audiences. Example: [kubernetes-staging-cli].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "authorized_parties")]
    pub authorized_parties: Vec<String>,

    /// The kinds of tokens that are accepted, by their header typ. Default: JWT alone, which means ID tokens and admits a
    /// header without typ. at+jwt means access tokens of RFC 9068, which must then carry `iat`, `jti`, `sub` and
    /// `client_id` too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 2), extend("x-kubernetes-list-type" = "set"))]
    pub token_types: Vec<TokenType>,

    /// The algorithms that a token may be signed with. Default: all of them. What the issuer's discovery document
    /// announces narrows the list further. Example: [ES256, `EdDSA`]. Symmetric algorithms and none are never accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 10), extend("x-kubernetes-list-type" = "set"))]
    pub signing_algorithms: Vec<SigningAlgorithm>,

    /// How long a token may be good for at most, in seconds from its iat to its exp; a longer one is refused, and so is
    /// one without iat. From 1 to 31536000 (a year). Default: no ceiling. Example: 3600. Needed where an issuer hands
    /// out tokens that live for days, since a stolen one works as long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 1, max = MAX_TOKEN_CEILING_SECONDS))]
    pub max_token_lifetime_seconds: Option<u32>,

    /// How long ago a token may have been issued at most, in seconds since its iat, whatever its exp says; one without
    /// iat is refused. From 1 to 31536000 (a year). Default: no ceiling. Example: 900.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 1, max = MAX_TOKEN_CEILING_SECONDS))]
    pub max_token_age_seconds: Option<u32>,

    /// How the claims of a token become a Kubernetes user. Default: name from the claim username, groups from the claim
    /// groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<Claims>,

    /// Rules that the claims of a token must satisfy, all of them; otherwise it is refused. Default: none.
    /// Example: {claim: hd, requiredValue: example.com}.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = limits::RULES),
        extend(
            "x-kubernetes-list-type" = "atomic",
            "x-kubernetes-validations" = rules(validation::CLAIM_RULE_LIST)
        )
    )]
    pub claim_validation_rules: Vec<ClaimValidationRule>,

    /// Rules that the resulting user must satisfy, all of them; otherwise the token is refused. Default: none.
    /// Names that begin with system: are refused without any rule, see reservedIdentities.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = limits::RULES),
        extend(
            "x-kubernetes-list-type" = "atomic",
            "x-kubernetes-validations" = rules(validation::USER_RULE_LIST)
        )
    )]
    pub user_validation_rules: Vec<UserValidationRule>,

    /// Whether a token may give names that Kubernetes keeps for itself. Default: no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved_identities: Option<ReservedIdentities>,

    /// How the TLS certificate of the issuer is checked, and of whoever else keys or claims are fetched from. Default:
    /// the certificate authorities that the concierge's image trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,

    /// What is handed out for a good token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialSettings>,
}

fn audiences(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    text::set(1, limits::AUDIENCES, limits::AUDIENCE_CHARS, validation::AUDIENCE)
}

fn authorized_parties(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    text::set(1, limits::PARTIES, limits::AUDIENCE_CHARS, validation::PARTY)
}
