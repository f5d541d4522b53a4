//! `metav1.Status`, the one shape of every error that Kubernetes clients understand.

use serde::Serialize;

/// A failure as clients read it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    kind: &'static str,
    api_version: &'static str,
    metadata: Empty,
    #[serde(rename = "status")]
    outcome: &'static str,
    message: String,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details>,
    code: u16,
}

/// What the failure is about.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Details {
    /// API group of the object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Kind of the object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// One entry a field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    /// When to try again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u64>,
}

/// One field that is wrong.
#[derive(Clone, Debug, Serialize)]
pub struct Cause {
    /// A `CauseType` of Kubernetes, such as `FieldValueRequired`.
    pub reason: &'static str,
    /// In words.
    pub message: String,
    /// Its path.
    pub field: String,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Empty {}

// === impl Status ===

impl Status {
    /// A failure with HTTP status `code` and one of Kubernetes' machine-readable reasons.
    #[must_use]
    pub fn failure(code: u16, reason: &'static str, message: String, details: Option<Details>) -> Self {
        Self {
            kind: "Status",
            api_version: "v1",
            metadata: Empty {},
            outcome: "Failure",
            message,
            reason,
            details,
            code,
        }
    }
}
