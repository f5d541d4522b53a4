//! What an installation offers, where, and why it does not offer the rest.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What this installation offers. Only the concierge writes here; edits are overwritten.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CredentialIssuerStatus {
    /// The ways to get a credential, best first: clients take the first that has status Success.
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub strategies: Vec<Strategy>,

    /// The concierge's own certificate authority for client certificates (Latchkey's own field). The strategy
    /// `ClientCertificateAuthority` works once kube-apiserver trusts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate_authority: Option<ClientCertificateAuthority>,

    /// How the audit log's signatures are checked (Latchkey's own field).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<AuditStatus>,

    /// The cluster's name, as the concierge's --cluster-name says (Latchkey's own field). The `FleetCluster` of this name
    /// is this cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub cluster_name: Option<String>,

    /// The version of the concierge that wrote this (Latchkey's own field). While replicas are being replaced it may be
    /// the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub concierge_version: Option<String>,
}

/// One way to get a credential, and whether it works here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Strategy {
    /// Which way: a certificate from the cluster's signer, from our own certificate authority, or from the
    /// impersonation proxy.
    pub r#type: StrategyType,

    /// Success when it works here, else Error.
    pub status: StrategyStatus,

    /// Why, in one word for programs.
    pub reason: StrategyReason,

    /// Why, in a sentence for people.
    #[schemars(length(min = 1))]
    pub message: String,

    /// When anything else of this entry last changed.
    pub last_update_time: Time,

    /// Where clients find it. Set only with status Success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frontend: Option<Frontend>,
}

/// A way to get a credential. The last two are Pinniped's, the first two ours; clients do not compare this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum StrategyType {
    /// A certificate from the cluster's signer `kubernetes.io/kube-apiserver-client`.
    CertificateSigningRequestAPI,
    /// A certificate from our own authority, which kube-apiserver was told to trust.
    ClientCertificateAuthority,
    /// A certificate made with the cluster's own key. Pinniped has it; we never read that key.
    KubeClusterSigningCertificate,
    /// The proxy that impersonates.
    ImpersonationProxy,
}

/// Whether a strategy works here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StrategyStatus {
    /// It does.
    Success,
    /// It does not; the reason says why.
    Error,
}

/// Why a strategy works or does not, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StrategyReason {
    /// Certificates are being issued (ours).
    Issuing,
    /// The proxy accepts connections.
    Listening,
    /// The cluster's key was read (Pinniped only).
    FetchedKey,
    /// Not yet known: being tried, or waiting for something that is on its way.
    Pending,
    /// Switched off by configuration.
    Disabled,
    /// Something else failed; the message says what.
    ErrorDuringSetup,
    /// The cluster's key could not be read (Pinniped only).
    CouldNotFetchKey,
    /// `kube-public/cluster-info` is missing or unreadable.
    CouldNotGetClusterInfo,
    /// An approved request was not signed in time: no signer runs here, as on EKS (ours).
    SignerNeverAnswered,
    /// The concierge may not create or approve certificate signing requests (ours).
    ApprovalForbidden,
    /// The signer refused the request (ours).
    SignerRefused,
    /// kube-apiserver does not accept certificates of our authority: its `--client-ca-file` lacks it (ours).
    NotTrustedByAPIServer,
}

/// Where clients find a strategy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Frontend {
    /// Which of the two places; the field of the same name says more.
    pub r#type: FrontendType,

    /// The API server, which passes the exchange on to the concierge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_credential_request_info: Option<TokenCredentialRequestInfo>,

    /// The impersonation proxy, which takes the exchange and everything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impersonation_proxy_info: Option<ImpersonationProxyInfo>,
}

/// A place to get a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FrontendType {
    /// Through kube-apiserver's aggregation layer.
    TokenCredentialRequestAPI,
    /// Straight to the impersonation proxy.
    ImpersonationProxy,
}

/// How to reach the API server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenCredentialRequestInfo {
    /// The API server's URL, from kube-public/cluster-info.
    #[schemars(length(min = 1), regex(pattern = "^https://|^http://"))]
    pub server: String,

    /// The certificate authorities of the API server, base64 of a PEM bundle.
    #[schemars(length(min = 1))]
    pub certificate_authority_data: String,
}

/// How to reach the impersonation proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImpersonationProxyInfo {
    /// The proxy's URL.
    #[schemars(length(min = 1), regex(pattern = "^https://"))]
    pub endpoint: String,

    /// The certificate authorities of the proxy, base64 of a PEM bundle.
    #[schemars(length(min = 1))]
    pub certificate_authority_data: String,
}

/// Our own certificate authority, for those who run kube-apiserver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientCertificateAuthority {
    /// The certificates to append to the file that kube-apiserver names in --client-ca-file, base64 of a PEM bundle.
    /// Two certificates while one replaces the other: append both.
    #[schemars(length(min = 1))]
    pub certificate_authority_data: String,
}

/// How the audit log's signatures are checked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditStatus {
    /// The keys that sign or signed checkpoints, newest first, at most 16. Copy them to where the log is kept: who can
    /// change this object could also change its status.
    #[serde(default)]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub public_keys: Vec<AuditPublicKey>,

    /// What is wrong with the Secret that holds the signing key, in a sentence for people; absent when nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// A key that signs or signed checkpoints of the audit log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditPublicKey {
    /// The Ed25519 key, base64 of its 32 bytes. For: latchkey-concierge audit verify --key.
    #[schemars(length(min = 44, max = 44))]
    pub public_key: String,

    /// Since when it signs.
    pub since: Time,

    /// Until when it signs or signed. Absent for the key in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_strategy_has_the_json_names_that_the_stock_cli_reads() {
        let strategy = json!({
            "type": "CertificateSigningRequestAPI", "status": "Success", "reason": "Issuing", "message": "ready",
            "lastUpdateTime": "2026-07-23T12:05:00Z",
            "frontend": {"type": "TokenCredentialRequestAPI",
                "tokenCredentialRequestInfo": {"server": "https://10.0.0.1:6443", "certificateAuthorityData": "LS0t"}},
        });
        let read: Strategy = serde_json::from_value(strategy.clone()).unwrap();
        assert_eq!(read.frontend.as_ref().unwrap().r#type, FrontendType::TokenCredentialRequestAPI);
        assert_eq!(serde_json::to_value(read).unwrap(), strategy);
    }

    #[test]
    fn the_keys_of_the_audit_log_have_their_json_names() {
        let audit = json!({
            "publicKeys": [
                {"publicKey": "bmV3", "since": "2026-07-23T12:05:00Z"},
                {"publicKey": "b2xk", "since": "2026-04-23T12:05:00Z", "until": "2026-07-30T12:05:00Z"},
            ],
            "problem": "p",
        });
        let read: AuditStatus = serde_json::from_value(audit.clone()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), audit);
        assert_eq!(serde_json::from_value::<AuditStatus>(json!({})).unwrap(), AuditStatus::default());
    }

    #[test]
    fn what_pinniped_writes_can_be_read() {
        let status: CredentialIssuerStatus = serde_json::from_value(json!({"strategies": [
            {"type": "KubeClusterSigningCertificate", "status": "Error", "reason": "CouldNotFetchKey", "message": "m",
                "lastUpdateTime": "2026-07-23T12:05:00Z"},
            {"type": "ImpersonationProxy", "status": "Success", "reason": "Listening", "message": "m",
                "lastUpdateTime": "2026-07-23T12:05:00Z", "frontend": {"type": "ImpersonationProxy",
                    "impersonationProxyInfo": {"endpoint": "https://proxy", "certificateAuthorityData": "LS0t"}}},
        ]}))
        .unwrap();
        assert_eq!(status.strategies[1].reason, StrategyReason::Listening);
        assert_eq!((status.client_certificate_authority, status.cluster_name), (None, None));
    }
}
