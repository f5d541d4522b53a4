//! `TokenRejection`: tokens that were refused though their issuer had signed them, one object for many of the same kind.

use std::borrow::Cow;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Resource;
use kube::core::schema::{OptionalEnum, StructuralSchemaRewriter};
use kube::core::{ApiResource, DynamicResourceScope, ObjectMeta, TypeMeta};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use schemars::transform::AddNullable;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::groups::{CATEGORY, GroupSuffix, VERSION};

/// Most characters of a subject or a username: Entra's, Okta's and Auth0's subjects fit, and so does a table's line.
pub const MAX_SUBJECT_CHARS: usize = 64;

/// Most characters of an issuer or an audience.
pub const MAX_CLAIM_CHARS: usize = 256;

/// Most characters of a user agent.
pub const MAX_USER_AGENT_CHARS: usize = 128;

/// Most audiences that are shown of one token.
pub const MAX_AUDIENCES: usize = 4;

/// Tokens of one subject that one authenticator refused for one reason: how often, and the last of them.
///
/// Nobody applies such an object. The concierge writes it as one piece, and therefore without a status subresource: an
/// object that exists without its content, because the second write failed, would tell nobody anything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TokenRejection {
    /// `apiVersion` and `kind`.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub types: Option<TypeMeta>,

    /// Name, version, and so on.
    pub metadata: ObjectMeta,

    /// What was seen.
    #[serde(default)]
    pub status: TokenRejectionStatus,
}

/// What was seen: how often a token like this was refused, and the last one. Only the concierge writes here. Text that
/// comes from a token or a client is cut, and characters that could move a cursor are replaced.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenRejectionStatus {
    /// The `JWTAuthenticator` that refused. Example: corp.
    #[serde(default)]
    #[schemars(length(max = 253))]
    pub authenticator: String,

    /// Why, in the word that the audit log, the metrics and latchkey-concierge check use too. Example:
    /// audience-other-cluster, a token of another cluster of the fleet.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub code: String,

    /// How much a person should care, at its highest since this object was made: high is a token that was good in another
    /// cluster at that moment, or opens two; low may be a mistake in a kubeconfig.
    #[serde(default)]
    pub severity: RejectionSeverity,

    /// Of another cluster's token, as of the last one: live (still valid there), expired (for at most a day), stale
    /// (longer), or multi (it names this cluster and another).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<RejectionState>,

    /// Whose token: its sub. A pseudonym (hmac:...) where names are hashed, absent where they are off; see the concierge's
    /// flags about names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_SUBJECT_CHARS))]
    pub subject: Option<String>,

    /// Who signed it: its iss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_CLAIM_CHARS))]
    pub issuer: Option<String>,

    /// Whom it was made for: its aud, the first four.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_AUDIENCES), inner(length(max = MAX_CLAIM_CHARS)))]
    pub audience: Vec<String>,

    /// The cluster of the fleet that it was made for, by the name of its `FleetCluster`. Absent if none knows the
    /// audience.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub claimed_cluster: Option<String>,

    /// The address that the last one came from. Behind the aggregation layer that is the API server's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub source: Option<String>,

    /// What the client called itself, the last time. Anybody can write anything there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_USER_AGENT_CHARS))]
    pub user_agent: Option<String>,

    /// How the last token's fingerprint begins. The audit logs of all clusters have the whole of it: in the log of the
    /// cluster that the token was made for it says who used it there. No token can be made from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub fingerprint: Option<String>,

    /// How many such tokens were refused, by all replicas together, since this object was made.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub count: i64,

    /// When the first was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<Time>,

    /// When the last was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Time>,

    /// The id of the last one's record in the audit log, where all of it stands.
    #[serde(default, rename = "lastAuditID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub last_audit_id: Option<String>,

    /// The replica of the concierge that saw the last one and holds its record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub replica: Option<String>,

    /// When this object is removed, unless another such token comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
}

/// How much a person should care.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RejectionSeverity {
    /// Noise of every day.
    #[default]
    Info,
    /// A look, when there is time.
    Low,
    /// A look today.
    Medium,
    /// Now.
    High,
}

/// What another cluster's token was worth when the last one came: live (still valid there), expired (for at most a day),
/// stale (longer), or multi (it is for this cluster and another at once).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RejectionState {
    /// Valid in its own cluster.
    Live,
    /// Expired, for at most 24 hours.
    Expired,
    /// Expired for longer.
    Stale,
    /// For this cluster and another at once.
    Multi,
}

impl Resource for TokenRejection {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&resource.kind)
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&resource.group)
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&resource.version)
    }

    fn api_version(resource: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&resource.api_version)
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&resource.plural)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// The definition, by hand: the derive macro knows only kinds with a spec, and gives a status its subresource.
///
/// # Errors
/// When it is no definition: a fault of this file, found by the tests.
pub(crate) fn definition() -> Result<CustomResourceDefinition, serde_json::Error> {
    let group = GroupSuffix::default().audit();
    serde_json::from_value(json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("tokenrejections.{group}")},
        "spec": {
            "group": group,
            "scope": "Cluster",
            "names": {
                "kind": "TokenRejection", "listKind": "TokenRejectionList",
                "plural": "tokenrejections", "singular": "tokenrejection",
                "shortNames": ["rejections"], "categories": [CATEGORY],
            },
            "versions": [{
                "name": VERSION, "served": true, "storage": true,
                "additionalPrinterColumns": columns(),
                "selectableFields": [{"jsonPath": ".status.authenticator"}, {"jsonPath": ".status.code"}],
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "required": ["status"],
                    "description": "TokenRejection tells of tokens that this cluster refused though their issuer had really \
                        signed them: one object for all of one subject, one reason and one cluster of origin. The concierge \
                        makes, counts and removes them; there are at most 200. The audit log has every single one, and all of it.",
                    "properties": {"status": status_schema()},
                }},
            }],
        },
    }))
}

fn status_schema() -> Value {
    let settings = SchemaSettings::openapi3().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    // As the derive macro of kube does it.
    let settings = settings
        .with_transform(AddNullable::default())
        .with_transform(StructuralSchemaRewriter)
        .with_transform(OptionalEnum);
    settings.into_generator().into_root_schema_for::<TokenRejectionStatus>().to_value()
}

/// Short and in the order in which a person asks: since when, what, from where, who, how often, and whether it goes on.
fn columns() -> Value {
    let column = |name: &str, path: &str, kind: &str, wide: bool, description: &str| {
        json!({
            "name": name, "jsonPath": path, "type": kind, "priority": i32::from(wide), "description": description,
        })
    };
    json!([
        column("Age", ".metadata.creationTimestamp", "date", false, "How long ago the first was refused."),
        column("Code", ".status.code", "string", false, "Why."),
        column("From-Cluster", ".status.claimedCluster", "string", false, "The cluster that the token was made for."),
        column("Subject", ".status.subject", "string", false, "Whose token it was."),
        column("Source", ".status.source", "string", false, "The address that the last one came from."),
        column("Count", ".status.count", "integer", false, "How many were refused."),
        column("Last-Seen", ".status.lastSeen", "date", false, "How long ago the last was refused."),
        column("Severity", ".status.severity", "string", true, "How much a person should care."),
        column("State", ".status.state", "string", true, "What the last one was worth in its own cluster."),
        column("Authenticator", ".status.authenticator", "string", true, "Who refused it."),
        column("Issuer", ".status.issuer", "string", true, "Who signed it."),
        column("Audience", ".status.audience", "string", true, "Whom it was made for."),
        column("User-Agent", ".status.userAgent", "string", true, "What the client called itself."),
        column("Fingerprint", ".status.fingerprint", "string", true, "The same in the audit logs of all clusters."),
        column("Last-Audit-ID", ".status.lastAuditID", "string", true, "The last one's record in the audit log."),
        column("First-Seen", ".status.firstSeen", "date", true, "How long ago the first was refused."),
        column("Replica", ".status.replica", "string", true, "Who saw the last one."),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_of_another_version_is_read_and_written_back() {
        let given = json!({
            "apiVersion": "audit.concierge.latchkey.dev/v1alpha1", "kind": "TokenRejection",
            "metadata": {"name": "corp-9f2c"},
            "status": {"authenticator": "corp", "code": "audience-other-cluster", "severity": "high", "state": "live",
                "count": 3, "lastSeen": "2026-11-21T01:02:03Z", "lastAuditID": "5c1e"},
        });
        let read: TokenRejection = serde_json::from_value(given.clone()).unwrap();
        assert_eq!(read.status.severity, RejectionSeverity::High);
        assert_eq!(serde_json::to_value(&read).unwrap(), given);
        let future = json!({"metadata": {}, "status": {"somethingNew": 1}});
        assert_eq!(serde_json::from_value::<TokenRejection>(future).unwrap(), TokenRejection::default());
    }

    #[test]
    fn a_table_shows_seven_columns_and_the_rest_only_when_asked() {
        let columns = columns();
        let shown = columns.as_array().unwrap().iter().filter(|column| column["priority"] == 0);
        let names: Vec<_> = shown.map(|column| column["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["Age", "Code", "From-Cluster", "Subject", "Source", "Count", "Last-Seen"]);
    }
}
