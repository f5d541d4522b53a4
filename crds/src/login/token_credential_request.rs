//! `TokenCredentialRequest`, as Pinniped's clients send it, and its two fields of our own.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::groups::GroupSuffix;
use crate::wire::null_as_default;

/// The kind's name.
pub const KIND: &str = "TokenCredentialRequest";
/// The name of its list.
pub const LIST_KIND: &str = "TokenCredentialRequestList";
/// The resource's name in a path.
pub const PLURAL: &str = "tokencredentialrequests";

/// `TokenCredentialRequest` exchanges a token of your identity provider for a short-lived credential of this cluster.
/// It is answered at once and stored nowhere. kubectl latchkey sends it for you.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "crd", derive(schemars::JsonSchema))]
pub struct TokenCredentialRequest {
    /// The kind, `TokenCredentialRequest`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub kind: String,
    /// The group and version, login.concierge.latchkey.dev/v1alpha1 unless the installation has another group suffix.
    #[serde(default, deserialize_with = "null_as_default")]
    pub api_version: String,
    /// Standard object's metadata. Accepted and ignored: nothing is stored.
    #[serde(default, deserialize_with = "null_as_default")]
    pub metadata: Map<String, Value>,
    /// The token and the authenticator that is to judge it. The answer never repeats it.
    #[serde(default, deserialize_with = "null_as_default")]
    pub spec: TokenCredentialRequestSpec,
    /// The answer: a credential, or a message.
    #[serde(default, deserialize_with = "null_as_default")]
    pub status: TokenCredentialRequestStatus,
}

/// What the caller has: a token, and the name of the authenticator that is to judge it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "crd", derive(schemars::JsonSchema))]
pub struct TokenCredentialRequestSpec {
    /// The token: an ID token for a `JWTAuthenticator`, any bearer token for a `WebhookAuthenticator`. Its audience
    /// must be this cluster's own, so a token made for another cluster is refused.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub token: String,
    /// The authenticator that is to judge the token. Example: apiGroup authentication.concierge.latchkey.dev,
    /// kind `JWTAuthenticator`, name staging.
    #[serde(default, deserialize_with = "null_as_default")]
    pub authenticator: TypedLocalObjectReference,
    /// A PKCS#10 certificate request in PEM, signed by a key that stays with the caller (Latchkey's own field). When it
    /// is set, the certificate is made for that key and the answer carries no private key. When it is absent, the
    /// server makes the key, as Pinniped does. P-256, P-384, Ed25519, or RSA of 2048 to 4096 bits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_signing_request: Option<String>,
}

/// Names an authenticator: core/v1's reference to an object by group, kind and name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "crd", derive(schemars::JsonSchema))]
pub struct TypedLocalObjectReference {
    /// The group of the authenticator without a version: authentication.concierge.latchkey.dev. With a version in it,
    /// or absent, no authenticator is found.
    // Pinniped's answer carries `"apiGroup":null` in its empty spec, so `None` is written, not left out.
    #[serde(default)]
    pub api_group: Option<String>,
    /// `JWTAuthenticator` or `WebhookAuthenticator`, in exactly this spelling.
    #[serde(default, deserialize_with = "null_as_default")]
    pub kind: String,
    /// The name of the authenticator object, as kubectl get latchkey-authenticators lists it.
    #[serde(default, deserialize_with = "null_as_default")]
    pub name: String,
}

/// The answer: a credential when the token was good; otherwise a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "crd", derive(schemars::JsonSchema))]
pub struct TokenCredentialRequestStatus {
    /// The credential. Present only when the token was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<ClusterCredential>,
    /// Why there is no credential, in words that tell an attacker nothing: authentication failed. The true reason
    /// stands in the audit record of the concierge, found by the Audit-ID of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Set when the token was good but the certificate request's subject was not the user's (Latchkey's own field).
    /// Sign a new request with exactly this subject and the same key, and send it once more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_subject: Option<ExpectedSubject>,
}

/// A credential for this cluster: a client certificate, or a bearer token from servers that hand out tokens.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "crd", derive(schemars::JsonSchema))]
pub struct ClusterCredential {
    /// When the credential ends, RFC 3339 in UTC with whole seconds, such as 2026-07-23T12:05:00Z. For a certificate it
    /// is its notAfter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration_timestamp: Option<String>,
    /// A bearer token for the API server. Latchkey hands out certificates and leaves this absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The client certificate, PEM text (not base64 of it).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate_data: Option<String>,
    /// The private key of the certificate, PEM text (PKCS#8). Absent when the request brought its own key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_key_data: Option<String>,
}

/// The subject that a certificate request must carry to be signed as it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "crd", derive(schemars::JsonSchema))]
pub struct ExpectedSubject {
    /// The common name: the user's name.
    #[serde(default, deserialize_with = "null_as_default")]
    pub common_name: String,
    /// The organizations: the user's groups, one attribute each, in this order.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub organizations: Vec<String>,
}

/// The answer to `list`: always empty. It exists so that `kubectl get latchkey` gets through every kind of the
/// category.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "crd", derive(schemars::JsonSchema))]
pub struct TokenCredentialRequestList {
    /// The kind, `TokenCredentialRequestList`.
    #[serde(default)]
    pub kind: String,
    /// The group and version.
    #[serde(default)]
    pub api_version: String,
    /// Standard list metadata.
    #[serde(default)]
    pub metadata: ListMeta,
    /// Always empty: requests are not stored.
    #[serde(default, deserialize_with = "null_as_default")]
    pub items: Vec<TokenCredentialRequest>,
}

/// The part of Kubernetes' list metadata that a list of nothing needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "crd", derive(schemars::JsonSchema))]
pub struct ListMeta {
    /// Always 0: there is no store to have a version.
    #[serde(default, deserialize_with = "null_as_default")]
    pub resource_version: String,
}

// === impl TokenCredentialRequest ===

impl TokenCredentialRequest {
    /// A request as a client sends it to an installation with this suffix.
    #[must_use]
    pub fn new(suffix: &GroupSuffix, spec: TokenCredentialRequestSpec) -> Self {
        Self { spec, ..Self::answer(suffix, TokenCredentialRequestStatus::default()) }
    }

    /// An answer: kind, version and status. Metadata and spec are empty, so the token is never sent back.
    #[must_use]
    pub fn answer(suffix: &GroupSuffix, status: TokenCredentialRequestStatus) -> Self {
        Self {
            kind: KIND.to_owned(),
            api_version: GroupSuffix::api_version(&suffix.login()),
            status,
            ..Self::default()
        }
    }
}

// === impl TokenCredentialRequestSpec ===

impl fmt::Debug for TokenCredentialRequestSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCredentialRequestSpec")
            .field("token", &format_args!("({} bytes)", self.token.len()))
            .field("authenticator", &self.authenticator)
            .field("certificate_signing_request", &self.certificate_signing_request)
            .finish()
    }
}

// === impl ClusterCredential ===

impl fmt::Debug for ClusterCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = |secret: &Option<String>| secret.as_ref().map(|text| format!("({} bytes)", text.len()));
        f.debug_struct("ClusterCredential")
            .field("expiration_timestamp", &self.expiration_timestamp)
            .field("token", &hidden(&self.token))
            .field("client_certificate_data", &self.client_certificate_data)
            .field("client_key_data", &hidden(&self.client_key_data))
            .finish()
    }
}

// === impl TokenCredentialRequestList ===

impl TokenCredentialRequestList {
    /// The list as an installation with this suffix answers it.
    #[must_use]
    pub fn empty(suffix: &GroupSuffix) -> Self {
        Self {
            kind: LIST_KIND.to_owned(),
            api_version: GroupSuffix::api_version(&suffix.login()),
            metadata: ListMeta::of_nothing(),
            items: Vec::new(),
        }
    }
}

// === impl ListMeta ===

impl ListMeta {
    /// The metadata of a list without a store behind it, as the generic API server of Kubernetes writes it.
    #[must_use]
    pub fn of_nothing() -> Self {
        Self { resource_version: "0".to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_what_the_stock_cli_sends() {
        let request: TokenCredentialRequest = serde_json::from_value(json!({
            "kind": "TokenCredentialRequest", "apiVersion": "login.concierge.pinniped.dev/v1alpha1",
            "metadata": {"creationTimestamp": null},
            "spec": {"token": "a.b.c", "authenticator":
                {"apiGroup": "authentication.concierge.pinniped.dev", "kind": "JWTAuthenticator", "name": "my-auth"}},
            "status": {}
        }))
        .unwrap();
        assert_eq!(request.spec.token, "a.b.c");
        assert_eq!(request.spec.authenticator.api_group.as_deref(), Some("authentication.concierge.pinniped.dev"));
        assert_eq!(request.spec.certificate_signing_request, None);
        assert_eq!(request.status, TokenCredentialRequestStatus::default());
    }

    #[test]
    fn reads_nulls_and_absent_fields_as_empty() {
        let bare: TokenCredentialRequest = serde_json::from_value(json!({})).unwrap();
        assert_eq!(bare, TokenCredentialRequest::default());
        let nulls = json!({"kind": null, "apiVersion": null, "metadata": null, "spec": {"token": null, "authenticator": null}, "status": null});
        assert_eq!(serde_json::from_value::<TokenCredentialRequest>(nulls).unwrap(), bare);
    }

    #[test]
    fn answers_a_refusal_in_the_one_shape_of_the_wire() {
        let status =
            TokenCredentialRequestStatus { message: Some("authentication failed".to_owned()), ..Default::default() };
        let suffix = "pinniped.dev".parse().unwrap();
        assert_eq!(
            serde_json::to_string(&TokenCredentialRequest::answer(&suffix, status)).unwrap(),
            concat!(
                r#"{"kind":"TokenCredentialRequest","apiVersion":"login.concierge.pinniped.dev/v1alpha1","metadata":{},"#,
                r#""spec":{"authenticator":{"apiGroup":null,"kind":"","name":""}},"#,
                r#""status":{"message":"authentication failed"}}"#
            )
        );
    }

    #[test]
    fn answers_list_with_an_empty_list_at_version_zero() {
        assert_eq!(
            serde_json::to_value(TokenCredentialRequestList::empty(&GroupSuffix::default())).unwrap(),
            json!({"kind": "TokenCredentialRequestList", "apiVersion": "login.concierge.latchkey.dev/v1alpha1",
                "metadata": {"resourceVersion": "0"}, "items": []})
        );
    }

    #[test]
    fn debug_shows_neither_token_nor_key() {
        let request = TokenCredentialRequest {
            spec: TokenCredentialRequestSpec { token: "tok-3cret".to_owned(), ..Default::default() },
            status: TokenCredentialRequestStatus {
                credential: Some(ClusterCredential {
                    token: Some("bearer-3cret".to_owned()),
                    client_key_data: Some("key-3cret".to_owned()),
                    ..Default::default()
                }),
                ..Default::default()
            },
            ..Default::default()
        };
        let shown = format!("{request:?}");
        assert!(!shown.contains("3cret"), "{shown}");
        assert!(shown.contains("token: (9 bytes)"), "{shown}");
    }
}
