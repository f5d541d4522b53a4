//! What a token's claims and the user made of them must satisfy.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::limits;
use crate::validation::{jwt_authenticator as validation, rules, text};

/// A rule on the claims of a token: either claim with requiredValue, or expression with message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules(validation::CLAIM_RULE)))]
pub struct ClaimValidationRule {
    /// The name of a claim that must be a string equal to requiredValue. Example: hd. Excludes expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::NAME_CHARS))]
    pub claim: Option<String>,

    /// The value that the claim must have. Example: example.com. Goes with claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::TEXT_CHARS))]
    pub required_value: Option<String>,

    /// A CEL expression over claims that must give true. Example: claims.hd == 'example.com'. Excludes claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::EXPRESSION_CHARS))]
    pub expression: Option<String>,

    /// What the audit record says when the expression does not give true. Goes with expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::TEXT_CHARS))]
    pub message: Option<String>,
}

/// A rule on the user that a token gives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserValidationRule {
    /// A CEL expression over user that must give true. Example: user.groups.exists(g, g == 'employees').
    #[schemars(length(min = 1, max = limits::EXPRESSION_CHARS))]
    pub expression: String,

    /// What the audit record says when the expression does not give true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = limits::TEXT_CHARS))]
    pub message: Option<String>,
}

/// Whether a token may give names of users and groups that begin with `system:`, which Kubernetes keeps for itself:
/// system:masters may do everything, whatever RBAC says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules(validation::RESERVED_IDENTITIES)))]
pub struct ReservedIdentities {
    /// What becomes of a token that gives such a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<ReservedIdentityPolicy>,

    /// Names that are let through all the same, each in full as it comes out of the mapping. Default: none. Example:
    /// [system:image-puller]. Goes with the policy Refuse.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "reserved_names")]
    pub allowed: Vec<String>,
}

// The schema's description of a field of an enum is the enum's own: what people are to read stands here.
/// Refuse (the default): a token that gives such a name is refused, unless allowed lists the name. Allow: the issuer may
/// make anybody cluster-admin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ReservedIdentityPolicy {
    /// It is refused, unless the name is on the list of exceptions.
    #[default]
    Refuse,
    /// The name is given.
    Allow,
}

fn reserved_names(_: &mut SchemaGenerator) -> Schema {
    text::set(1, limits::RESERVED_NAMES, limits::LONG_NAME_CHARS, validation::RESERVED_NAME)
}
