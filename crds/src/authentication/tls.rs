//! Where the certificate authorities of an outside server come from; shared by both authenticators.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::validation::{self, rules};

/// Certificate authorities that replace those of the concierge's image: inline, or from an object in the concierge's
/// namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules(validation::TLS)))]
pub struct Tls {
    /// The certificate authorities, base64 of a PEM bundle (base64 -w0 < ca.pem). Default: those that the concierge's
    /// image trusts. Excludes certificateAuthorityDataSource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 262_144),
        extend("x-kubernetes-validations" = rules(validation::CA_DATA))
    )]
    pub certificate_authority_data: Option<String>,

    /// An object that holds the certificate authorities as a PEM bundle (not base64 of it). It is watched: a new bundle
    /// takes effect within seconds. Excludes certificateAuthorityData.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_authority_data_source: Option<CertificateAuthorityDataSource>,
}

/// One key of a Secret or `ConfigMap` in the concierge's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateAuthorityDataSource {
    /// Secret (of type Opaque or kubernetes.io/tls) or `ConfigMap`.
    pub kind: CertificateAuthorityDataSourceKind,

    /// The object's name, in the namespace of the concierge. Example: idp-ca.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,

    /// The key whose value is the PEM bundle. Example: ca.crt.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// What kind of object holds a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CertificateAuthorityDataSourceKind {
    /// A `ConfigMap`; its `data` is read.
    ConfigMap,
    /// A `Secret` of type `Opaque` or `kubernetes.io/tls`.
    Secret,
}
