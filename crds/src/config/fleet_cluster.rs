//! `FleetCluster`: one cluster of the fleet, and the audiences that are its own.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    authentication::limits,
    validation::{fleet_cluster as validation, jwt_authenticator, rules, text},
};

/// Most audiences of one cluster: one for each of its authenticators, and a second while people move.
pub const MAX_AUDIENCES: u32 = 32;

/// Most issuers of one cluster.
pub const MAX_ISSUERS: u32 = 16;

/// Most characters of what people call a cluster, and of whom they ask about it.
pub const MAX_LABEL_CHARS: u32 = 256;

/// What belongs to this cluster and to no other.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "config.concierge.latchkey.dev",
    version = "v1alpha1",
    kind = "FleetCluster",
    plural = "fleetclusters",
    singular = "fleetcluster",
    doc = "FleetCluster names one cluster of your fleet and the audiences that are its own. Apply the same list to every \
           cluster, from the same Git folder: then a token of one cluster that is shown to another is told by name, and \
           an authenticator that shares its audience with another cluster admits nobody. The object whose name is a \
           concierge's --cluster-name is that concierge's own cluster.",
    derive = "PartialEq",
    category = "latchkey",
    printcolumn = r#"{"name":"Audiences","type":"string","jsonPath":".spec.audiences"}"#,
    printcolumn = r#"{"name":"Display Name","type":"string","jsonPath":".spec.displayName"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Issuers","type":"string","priority":1,"jsonPath":".spec.issuers"}"#,
    printcolumn = r#"{"name":"Contact","type":"string","priority":1,"jsonPath":".spec.contact"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct FleetClusterSpec {
    /// The audiences of this cluster's `JWTAuthenticators`: the client IDs of its own clients at the issuer. Example:
    /// [kubernetes-production]. No other cluster may have one of them.
    #[schemars(schema_with = "audiences")]
    pub audiences: Vec<String>,

    /// The issuers whose tokens have these audiences, as they stand in `spec.issuer` of the `JWTAuthenticators`. Default:
    /// every issuer. Name them where two identity providers may give out the same client ID.
    /// Example: [<https://idp.example.com/realms/main>].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "issuers")]
    pub issuers: Vec<String>,

    /// What people call this cluster. Example: Production, Frankfurt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = MAX_LABEL_CHARS),
        extend("x-kubernetes-validations" = rules(validation::LABEL))
    )]
    pub display_name: Option<String>,

    /// Whom to ask about this cluster; stands in conditions of other clusters that share an audience with it. Example:
    /// #platform-oncall.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = MAX_LABEL_CHARS),
        extend("x-kubernetes-validations" = rules(validation::LABEL))
    )]
    pub contact: Option<String>,
}

fn audiences(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    text::set(1, MAX_AUDIENCES, limits::AUDIENCE_CHARS, jwt_authenticator::AUDIENCE)
}

fn issuers(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    text::set(0, MAX_ISSUERS, limits::URL_CHARS, jwt_authenticator::ISSUER)
}
