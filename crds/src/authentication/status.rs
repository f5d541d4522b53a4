//! What the concierge says of an authenticator; shared by both kinds.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// What the concierge found. Only the concierge writes here; edits are overwritten.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthenticatorStatus {
    /// Ready when logins work; Error when a condition that counts is not True; Pending until the concierge has looked at
    /// it.
    #[serde(default)]
    pub phase: Phase,

    /// The metadata.generation that all of this is about. -1: the concierge has not looked at the object yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// One condition for each thing that was checked, by type. Ready sums them up; the others say what is wrong and
    /// where. What is said of the freshness and secrecy of keys stands beside the sum: logins work all the same. While
    /// it is not Ready, either Reconciling says what is being tried again, or Stalled what somebody has to change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,

    /// The issuer's keys: where they are from, how fresh they are, and what of them is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<KeysStatus>,
}

// As `AuthenticatorStatus` without keys, which a webhook has none of. It is there for the schema: what is written and
// read is the other one.
/// What the concierge found. Only the concierge writes here; edits are overwritten.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookAuthenticatorStatus {
    /// Ready when logins work; Error when a condition that counts is not True; Pending until the concierge has looked at
    /// it.
    #[serde(default)]
    pub phase: Phase,

    /// The metadata.generation that all of this is about. -1: the concierge has not looked at the object yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// One condition for each thing that was checked, by type. Ready sums them up; the others say what is wrong and
    /// where.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,
}

/// The state of an issuer's keys. A time that does not apply is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeysStatus {
    /// Where the keys in use are from: the URL they were fetched at, or spec.jwks.inline.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 2048))]
    pub source: String,

    /// How many keys are in use. 0: nobody can be admitted.
    #[serde(default)]
    #[schemars(with = "i32", range(min = 0))]
    pub usable: u32,

    /// Keys that the issuer publishes and that are not used, each with the reason: a private key, a symmetric one, one
    /// too short, one for encryption. The first 16 of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "dropped")]
    pub dropped: Vec<String>,

    /// When the keys in use were last fetched, or found unchanged. A status is not written at each fetch: this time may
    /// be up to 15 minutes behind, as long as nothing else changes. The metric of their age is exact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_fetch_time: Option<Time>,

    /// When they are fetched again, if nothing happens before; as of the same moment as lastFetchTime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_fetch_time: Option<Time>,

    /// Since when every attempt to fetch them has failed. Absent while fetching works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Time>,
}

/// Most keys that [`KeysStatus::dropped`] names: enough to see what is wrong, and a hostile set fills no status.
pub const MAX_DROPPED_KEYS_TOLD: usize = 16;

/// Most characters of a name and reason in [`KeysStatus::dropped`].
pub const MAX_DROPPED_KEY_CHARS: usize = 512;

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

fn dropped(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array", "maxItems": MAX_DROPPED_KEYS_TOLD, "x-kubernetes-list-type": "atomic",
        "items": {"type": "string", "maxLength": MAX_DROPPED_KEY_CHARS},
    })
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
