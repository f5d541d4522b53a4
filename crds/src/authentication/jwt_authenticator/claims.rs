//! How the claims of a token become a Kubernetes user.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::limits;
use crate::validation::{jwt_authenticator as validation, rules, text};

/// The username claim where none is named and there is no expression.
pub const DEFAULT_USERNAME_CLAIM: &str = "username";

/// The groups claim where none is named and there is no expression.
pub const DEFAULT_GROUPS_CLAIM: &str = "groups";

/// How the claims of a token become a Kubernetes user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules(validation::CLAIMS)))]
pub struct Claims {
    /// The claim that holds the user's name. Default: username, unless usernameExpression is set. Example: email; then
    /// a token whose `email_verified` is false is refused. Choose a claim that the issuer never gives to somebody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::NAME_CHARS))]
    pub username: Option<String>,

    /// What is put in front of the username claim, to tell these users from those of another issuer. Example: 'oidc:'.
    /// Default: nothing. Excludes usernameExpression, which writes its own prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::NAME_CHARS))]
    pub username_prefix: Option<String>,

    /// A CEL expression over claims that gives the user's name, a non-empty string. Excludes username and
    /// usernamePrefix. Example: 'oidc:' + claims.sub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::EXPRESSION_CHARS))]
    pub username_expression: Option<String>,

    /// The claim that holds the user's groups, a string or a list of strings. Default: groups, unless groupsExpression
    /// is set. A token without it gives a user without groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::NAME_CHARS))]
    pub groups: Option<String>,

    /// What is put in front of each group of the groups claim. Example: 'oidc:'. Default: nothing. Excludes
    /// groupsExpression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::NAME_CHARS))]
    pub groups_prefix: Option<String>,

    /// A CEL expression over claims that gives the user's groups: a string, a list of strings, or null. Excludes
    /// groups and groupsPrefix. Example: dyn(claims.roles).map(r, 'role:' + r).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::EXPRESSION_CHARS))]
    pub groups_expression: Option<String>,

    /// The claim that holds the user's uid, a string; a token without it is refused. Example: sub. Default: none, the
    /// user has no uid. Excludes uidExpression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::NAME_CHARS))]
    pub uid: Option<String>,

    /// A CEL expression over claims that gives the user's uid, a string. Excludes uid. Example: claims.tid + '/' +
    /// claims.oid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::EXPRESSION_CHARS))]
    pub uid_expression: Option<String>,

    /// Further attributes of the user, which authorizers and admission policies can read. Default: none, save the one
    /// that Kubernetes itself makes of a token's jti.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = limits::EXTRA),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["key"])
    )]
    pub extra: Vec<ExtraMapping>,

    /// Lets the groups claim be fetched from another server that the token names (distributed claims, `OpenID` Connect
    /// Core 5.6.2). Default: a token that only refers to its groups is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distributed: Option<DistributedClaims>,
}

/// One further attribute of the user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExtraMapping {
    /// The attribute's name: a lower-case path with a domain before it, unique in the list. Example:
    /// example.com/department.
    #[schemars(
        length(min = 1, max = limits::LONG_NAME_CHARS),
        extend("x-kubernetes-validations" = rules(validation::EXTRA_KEY))
    )]
    pub key: String,

    /// A CEL expression over claims that gives the value: a string, a list of strings, or null, which leaves the
    /// attribute out. Example: claims.department.
    #[schemars(length(min = 1, max = limits::EXPRESSION_CHARS))]
    pub value_expression: String,
}

/// From where claims may be fetched that a token only refers to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DistributedClaims {
    /// The servers that may be asked, as https origins without a path. A token that names another server is refused:
    /// otherwise whoever can make the issuer sign a reference could make the concierge call anybody. What they give must
    /// be a JWT for one of the audiences, signed by the issuer or by another issuer on one of these origins. Example:
    /// [<https://graph.example.com>].
    #[schemars(schema_with = "origins")]
    pub allowed_origins: Vec<String>,
}

fn origins(_: &mut SchemaGenerator) -> Schema {
    text::set(1, limits::ORIGINS, limits::LONG_NAME_CHARS, validation::ORIGIN)
}
