//! `WebhookAuthenticator`: a server of yours that judges tokens by the `TokenReview` API.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CredentialSettings, ReservedIdentities, Tls, WebhookAuthenticatorStatus};
use crate::validation::{self, rules};

/// How long a webhook may take where `timeoutSeconds` is absent. A person waits, and the cluster's signer may need ten of
/// the fifteen seconds that a whole exchange has.
pub const DEFAULT_WEBHOOK_TIMEOUT_SECONDS: u32 = 5;

/// The longest time that may be given to a webhook.
pub const MAX_WEBHOOK_TIMEOUT_SECONDS: u32 = 10;

/// What you want: the server to ask, and how to trust it.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "authentication.concierge.latchkey.dev",
    version = "v1alpha1",
    kind = "WebhookAuthenticator",
    plural = "webhookauthenticators",
    singular = "webhookauthenticator",
    doc = "WebhookAuthenticator lets people in with a token that a server of yours judges, by the TokenReview API. \
           Whoever may write a WebhookAuthenticator can become anybody in this cluster; treat it like cluster-admin.",
    status = "WebhookAuthenticatorStatus",
    derive = "PartialEq",
    category = "latchkey",
    category = "latchkey-authenticators",
    printcolumn = r#"{"name":"Endpoint","type":"string","jsonPath":".spec.endpoint"}"#,
    printcolumn = r#"{"name":"Status","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","priority":1,"jsonPath":".status.conditions[?(@.status!=\"True\")].reason"}"#,
    printcolumn = r#"{"name":"Message","type":"string","priority":1,"jsonPath":".status.conditions[?(@.status!=\"True\")].message"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct WebhookAuthenticatorSpec {
    /// The URL that a `TokenReview` is posted to, exactly as written here: https, without user or fragment.
    /// Example: <https://tokens.example.com/review>. Every token that names this authenticator is sent there.
    #[schemars(
        length(min = 1, max = 2048),
        regex(pattern = "^https://"),
        extend("x-kubernetes-validations" = rules(validation::ENDPOINT))
    )]
    pub endpoint: String,

    /// How the server's TLS certificate is checked. Default: the certificate authorities that the concierge's image
    /// trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,

    /// The version of authentication.k8s.io that the server is asked in, and must answer in: v1 or v1beta1. Default: it
    /// is found out, by asking in v1 first and in v1beta1 when the server does not know v1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_review_version: Option<TokenReviewVersion>,

    /// How long the server may take for one answer, connection included, in seconds, from 1 to 10. Default: 5. After
    /// that the login is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    // `with`: Kubernetes knows the formats int32 and int64 only, and warns at every other.
    #[schemars(with = "Option<i32>", range(min = 1, max = MAX_WEBHOOK_TIMEOUT_SECONDS))]
    pub timeout_seconds: Option<u32>,

    /// Which names the server may give although Kubernetes keeps them for itself. Default: none; a user or group whose name
    /// begins with system: is refused, also a service account's. The group system:authenticated, which says nothing, is
    /// left out instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved_identities: Option<ReservedIdentities>,

    /// What is handed out for a good token. A webhook does not say when its token ends: the credential's lifetime is the
    /// only bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialSettings>,
}

/// A version of the `TokenReview` API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TokenReviewVersion {
    /// `authentication.k8s.io/v1`.
    #[serde(rename = "v1")]
    V1,
    /// `authentication.k8s.io/v1beta1`, which Pinniped speaks.
    #[serde(rename = "v1beta1")]
    V1Beta1,
}
