//! `JWTAuthenticator`: one issuer, one audience, and how their tokens become users.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AuthenticatorStatus, Tls};
use crate::validation::{self, rules};

/// The username claim where none is named and there is no expression.
pub const DEFAULT_USERNAME_CLAIM: &str = "username";

/// The groups claim where none is named and there is no expression.
pub const DEFAULT_GROUPS_CLAIM: &str = "groups";

/// Shortest credential: below a minute the exchange would run as often as kubectl.
pub const MIN_CREDENTIAL_LIFETIME_SECONDS: u32 = 60;

/// Longest credential: a certificate cannot be taken back, so a day is the most that a lost one may live.
pub const MAX_CREDENTIAL_LIFETIME_SECONDS: u32 = 24 * 60 * 60;

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
    printcolumn = r#"{"name":"Audience","type":"string","jsonPath":".spec.audience"}"#,
    printcolumn = r#"{"name":"Status","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","priority":1,"jsonPath":".status.conditions[?(@.status!=\"True\")].reason"}"#,
    printcolumn = r#"{"name":"Message","type":"string","priority":1,"jsonPath":".status.conditions[?(@.status!=\"True\")].message"}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules(validation::JWT_AUTHENTICATOR)))]
pub struct JWTAuthenticatorSpec {
    /// The issuer's URL: https, without query or fragment. Example: <https://idp.example.com/realms/main>. The keys are
    /// found at `<issuer>/.well-known/openid-configuration`, and a token's iss must be this text, byte for byte: a
    /// trailing slash more or less refuses every token.
    #[schemars(
        length(min = 1, max = 2048),
        regex(pattern = "^https://"),
        extend("x-kubernetes-validations" = rules(validation::ISSUER))
    )]
    pub issuer: String,

    /// The audience that a token must be made for; must be in its aud. Usually the client ID of this cluster's own
    /// client at the issuer. Example: kubernetes-staging. Two clusters with the same audience accept each other's
    /// tokens: never share one.
    #[schemars(
        length(min = 1, max = 1024),
        extend("x-kubernetes-validations" = rules(validation::AUDIENCE))
    )]
    pub audience: String,

    /// How the claims of a token become a Kubernetes user. Default: name from the claim username, groups from the claim
    /// groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<Claims>,

    /// Rules that the claims of a token must satisfy, all of them; otherwise it is refused. Default: none.
    /// Example: {claim: hd, requiredValue: example.com}.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 32),
        extend(
            "x-kubernetes-list-type" = "atomic",
            "x-kubernetes-validations" = rules(validation::CLAIM_RULE_LIST)
        )
    )]
    pub claim_validation_rules: Vec<ClaimValidationRule>,

    /// Rules that the resulting user must satisfy, all of them; otherwise the token is refused. Default: none.
    /// Names that begin with system: are refused without any rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 32),
        extend(
            "x-kubernetes-list-type" = "atomic",
            "x-kubernetes-validations" = rules(validation::USER_RULE_LIST)
        )
    )]
    pub user_validation_rules: Vec<UserValidationRule>,

    /// How the issuer's TLS certificate is checked. Default: the certificate authorities that the concierge's image
    /// trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,

    /// What is handed out for a good token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialSettings>,
}

/// How the claims of a token become a Kubernetes user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules(validation::CLAIMS)))]
pub struct Claims {
    /// The claim that holds the user's name. Default: username, unless usernameExpression is set. Example: email; then
    /// a token whose `email_verified` is false is refused. Choose a claim that the issuer never gives to somebody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub username: Option<String>,

    /// A CEL expression over claims that gives the user's name, a non-empty string. Excludes username.
    /// Example: 'oidc:' + claims.sub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub username_expression: Option<String>,

    /// The claim that holds the user's groups, a string or a list of strings. Default: groups, unless groupsExpression
    /// is set. A token without it gives a user without groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub groups: Option<String>,

    /// A CEL expression over claims that gives the user's groups: a string, a list of strings, or null. Excludes
    /// groups. Example: claims.roles.split(',').
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub groups_expression: Option<String>,

    /// Further attributes of the user, which authorizers and admission policies can read. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 32),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["key"])
    )]
    pub extra: Vec<ExtraMapping>,
}

/// One further attribute of the user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExtraMapping {
    /// The attribute's name: a lower-case path with a domain before it, unique in the list. Example:
    /// example.com/department.
    #[schemars(
        length(min = 1, max = 512),
        extend("x-kubernetes-validations" = rules(validation::EXTRA_KEY))
    )]
    pub key: String,

    /// A CEL expression over claims that gives the value: a string, a list of strings, or null. Example:
    /// claims.department.
    #[schemars(length(min = 1, max = 4096))]
    pub value_expression: String,
}

/// A rule on the claims of a token: either claim with requiredValue, or expression with message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules(validation::CLAIM_RULE)))]
pub struct ClaimValidationRule {
    /// The name of a claim that must be a string equal to requiredValue. Example: hd. Excludes expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub claim: Option<String>,

    /// The value that the claim must have. Example: example.com. Goes with claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub required_value: Option<String>,

    /// A CEL expression over claims that must give true. Example: claims.hd == 'example.com'. Excludes claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub expression: Option<String>,

    /// What the audit record says when the expression does not give true. Goes with expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

/// A rule on the user that a token gives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserValidationRule {
    /// A CEL expression over user that must give true. Example: user.groups.exists(g, g == 'employees').
    #[schemars(length(min = 1, max = 4096))]
    pub expression: String,

    /// What the audit record says when the expression does not give true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

/// What is handed out for a good token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CredentialSettings {
    /// How long a credential lives, in seconds, from 60 to 86400 (a day). Default: 300 where the concierge signs with
    /// its own certificate authority. The cluster's signer gives 600 at least. A certificate cannot be taken back:
    /// whoever leaves keeps access for this long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    // `with`: Kubernetes knows the formats int32 and int64 only, and warns at every other.
    #[schemars(with = "Option<i32>", range(min = MIN_CREDENTIAL_LIFETIME_SECONDS, max = MAX_CREDENTIAL_LIFETIME_SECONDS))]
    pub lifetime_seconds: Option<u32>,
}
