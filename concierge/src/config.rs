//! The flags as they are meant: nothing optional that means a default, nothing left to parse.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use latchkey_crds::groups::GroupSuffix;

pub use crate::{
    audit::{
        event::Names,
        sink::{Destination, Endpoint, FileSettings, Fsync, Keep, OtlpSettings, SinkSettings},
    },
    idp::proxy::{HttpsProxy, Proxies},
    runtime::telemetry::LogFilter,
    tls::serving_files::ServingFiles,
};

/// What one concierge was told to be.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which cluster this is.
    pub cluster_name: ClusterName,
    /// The ending of the API groups.
    pub api_group_suffix: GroupSuffix,
    /// Our namespace.
    pub namespace: String,
    /// Which replica this is.
    pub replica: String,
    /// The aggregated API's listener.
    pub aggregated_api_address: SocketAddr,
    /// The files of the aggregated API's certificate; `None`: the concierge makes and renews it.
    pub aggregated_api_certificate: Option<ServingFiles>,
    /// The probes' listener.
    pub admin_address: SocketAddr,
    /// The `TokenReview` listener, if there is to be one.
    pub review: Option<Review>,
    /// Where audit records go.
    pub audit: Audit,
    /// By what they are sealed, and how people are named in them.
    pub audit_keys: AuditKeys,
    /// The folder that authenticators are read from; `None`: the API.
    pub authenticators: Option<PathBuf>,
    /// Name of our `CredentialIssuer`.
    pub credential_issuer: String,
    /// Name of the Service in front of the aggregated API.
    pub api_service_name: String,
    /// How to reach the API server; `None` is the pod's service account or, if authenticators come from a folder and the
    /// pod has none, not at all.
    pub kubeconfig: Option<PathBuf>,
    /// The proxy through which issuers are asked.
    pub proxies: Proxies,
    /// How long a `TokenRejection` is kept after its last token.
    pub token_rejection_lifetime: Duration,
    /// What is logged.
    pub log: LogFilter,
    /// How long requests are still taken after SIGTERM.
    pub shutdown_grace: Duration,
}

/// By what the audit log is sealed, and how people are named in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditKeys {
    /// How people are named.
    pub names: Names,
    /// The file of the key by which names are hashed; `None`: the Secret's, if there is an API server.
    pub names_key: Option<PathBuf>,
    /// The file of the key that signs; `None`: the Secret's, if there is an API server.
    pub signing_key: Option<PathBuf>,
}

/// Where audit records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// The places.
    pub sinks: Vec<SinkSettings>,
    /// When what was written to files is made to outlast a power cut.
    pub fsync: Fsync,
    /// After how long a checkpoint is written if there is anything new.
    pub checkpoint_every: Duration,
}

/// The listener that kube-apiserver asks about tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    /// Where it listens.
    pub address: SocketAddr,
    /// Authorities of the API server's client certificate, PEM.
    pub client_ca_file: PathBuf,
    /// Common names of those who may ask; none: whomever the authorities vouch for.
    pub client_names: Vec<String>,
    /// Files of the serving certificate and its key; `None`: the certificate of the aggregated API.
    pub serving: Option<(PathBuf, PathBuf)>,
}

/// The name of a cluster: a DNS-1123 subdomain, as the name of any Kubernetes object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterName(String);

/// A text is no cluster name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected lower-case letters, digits, hyphens and dots, at most 253 characters, beginning and ending with a letter or digit"
)]
pub struct ClusterNameError;

/// Longest name of a Kubernetes object (RFC 1123 2.1).
const MAX_NAME: usize = 253;

// === impl ClusterName ===

impl ClusterName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClusterName {
    type Err = ClusterNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let is_label = |label: &str| {
            let bytes = label.as_bytes();
            bytes.iter().all(|byte| alphanumeric(*byte) || *byte == b'-')
                && bytes.first().is_some_and(|byte| alphanumeric(*byte))
                && bytes.last().is_some_and(|byte| alphanumeric(*byte))
        };
        let fits = text.len() <= MAX_NAME && text.split('.').all(is_label);
        if fits { Ok(Self(text.to_owned())) } else { Err(ClusterNameError) }
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cluster_names_are_names_of_objects() {
        for right in ["staging", "eu-1.production", "1"] {
            assert_eq!(right.parse::<ClusterName>().unwrap().as_str(), right);
        }
        for wrong in ["", "Staging", "a b", "-a", "a.", "a..b", &"a".repeat(254)] {
            assert_eq!(wrong.parse::<ClusterName>(), Err(ClusterNameError), "{wrong:?}");
        }
    }
}
