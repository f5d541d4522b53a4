//! What the concierge says of an authenticator; shared by both kinds.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// What the concierge found. Only the concierge writes here; edits are overwritten.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthenticatorStatus {
    /// Ready when logins work; Error when a condition is not True; Pending until the concierge has looked at it.
    #[serde(default)]
    pub phase: Phase,

    /// One condition for each thing that was checked, by type. Ready sums them up; the others say what is wrong and
    /// where.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,
}

/// The state of an authenticator in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// Nothing was checked yet.
    #[default]
    Pending,
    /// Every condition is `True`.
    Ready,
    /// Some condition is not `True`; nobody is admitted.
    Error,
}

/// The list of `metav1.Condition`, a map by type, with the limits that `types.go` of apimachinery gives its fields.
/// (k8s-openapi's own schema carries no limits, and a list that is no map is overwritten whole by server-side apply.)
fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["lastTransitionTime", "message", "reason", "status", "type"],
            "properties": {
                "type": {
                    "description": "What was checked. Example: DiscoveryURLValid.",
                    "type": "string", "maxLength": 316,
                    "pattern": r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
                },
                "status": {
                    "description": "True, False, or Unknown when an earlier check failed.",
                    "type": "string", "enum": ["True", "False", "Unknown"],
                },
                "reason": {
                    "description": "The outcome in one word, for programs. Example: InvalidDiscoveryProbe.",
                    "type": "string", "minLength": 1, "maxLength": 1024,
                    "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
                },
                "message": {
                    "description": "The outcome in a sentence, for people.",
                    "type": "string", "maxLength": 32_768,
                },
                "lastTransitionTime": {
                    "description": "When the status last changed from one value to another.",
                    "type": "string", "format": "date-time",
                },
                "observedGeneration": {
                    "description": "The metadata.generation that was checked. Smaller than metadata.generation: not yet looked at again.",
                    "type": "integer", "format": "int64", "minimum": 0,
                },
            },
        },
    })
}
