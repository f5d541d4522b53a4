//! `CredentialIssuer`: one per installation; the wishes for the impersonation proxy.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::CredentialIssuerStatus;
use crate::validation::{self, rules};

/// What you want of this installation.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "config.concierge.latchkey.dev",
    version = "v1alpha1",
    kind = "CredentialIssuer",
    plural = "credentialissuers",
    singular = "credentialissuer",
    doc = "CredentialIssuer says how this installation hands out credentials, and tells clients where to get them. \
           There is one per installation. Where nobody brings one the concierge makes it, without a proxy; it never \
           changes one that is there, only fills its status.",
    status = "CredentialIssuerStatus",
    derive = "PartialEq",
    category = "latchkey",
    printcolumn = r#"{"name":"ProxyMode","type":"string","jsonPath":".spec.impersonationProxy.mode"}"#,
    printcolumn = r#"{"name":"DefaultStrategy","type":"string","jsonPath":".status.strategies[?(@.status == \"Success\")].type"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct CredentialIssuerSpec {
    /// The impersonation proxy: a way into clusters whose API server cannot be given a certificate of ours.
    pub impersonation_proxy: ImpersonationProxy,
}

/// Wishes for the impersonation proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules(validation::IMPERSONATION_PROXY)))]
pub struct ImpersonationProxy {
    /// Whether the proxy runs: auto (where no other strategy works), enabled, or disabled. With disabled the other
    /// fields are not looked at.
    pub mode: ImpersonationProxyMode,

    /// The Service in front of the proxy. Default: a `LoadBalancer`.
    #[serde(default)]
    pub service: ImpersonationProxyService,

    /// The address that clients are told to use, without a scheme: host, host:port, an IPv4 address, an IPv6 address,
    /// or `[IPv6]:port`. The port is 443 by default. Example: kubernetes.example.com:8443. Needed when service.type is
    /// None; otherwise the Service's own address is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub external_endpoint: Option<String>,

    /// A serving certificate of your own. Default: the concierge makes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ImpersonationProxyTls>,
}

/// Whether the proxy runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ImpersonationProxyMode {
    /// Only where no other strategy works.
    #[default]
    Auto,
    /// Always.
    Enabled,
    /// Never.
    Disabled,
}

/// The Service in front of the proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImpersonationProxyService {
    /// `LoadBalancer` (the default), `ClusterIP`, or None when you make the Service yourself; then externalEndpoint is
    /// needed.
    #[serde(default)]
    pub r#type: ImpersonationProxyServiceType,

    /// The IP address to ask the load balancer for, copied to the Service. Example: 203.0.113.7.
    #[serde(default, rename = "loadBalancerIP", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub load_balancer_ip: Option<String>,

    /// Annotations added to the Service. Example: service.beta.kubernetes.io/aws-load-balancer-connection-idle-timeout:
    /// "4000", without which AWS cuts a quiet kubectl logs -f after a minute.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What Service stands in front of the proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ImpersonationProxyServiceType {
    /// One with an address outside the cluster.
    #[default]
    LoadBalancer,
    /// One inside the cluster only.
    ClusterIP,
    /// None: the administrator makes it.
    None,
}

/// A serving certificate of the administrator's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImpersonationProxyTls {
    /// The certificate authorities that clients are told to trust, base64 of a PEM bundle. Default: ca.crt of the
    /// Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 262_144),
        extend("x-kubernetes-validations" = rules(validation::CA_DATA))
    )]
    pub certificate_authority_data: Option<String>,

    /// A Secret of type kubernetes.io/tls in the concierge's namespace, with the certificate to serve. Needed whenever
    /// tls is set. Example: proxy-serving-certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: Option<String>,
}
