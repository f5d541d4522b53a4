//! `WebhookAuthenticator`: a server of yours that judges tokens by the `TokenReview` API.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AuthenticatorStatus, Tls};
use crate::validation::{self, rules};

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
    status = "AuthenticatorStatus",
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
}
