//! The reader's own kubeconfig, as `kubectl config view --minify` shows it: only what says where the cluster is.

use serde::{Deserialize, Serialize};

/// The part without users. Fields that are not named here, secrets among them, are not kept.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::commands) struct View {
    #[serde(deserialize_with = "null_is_empty")]
    clusters: Vec<NamedCluster>,
    #[serde(deserialize_with = "null_is_empty")]
    contexts: Vec<NamedContext>,
}

#[derive(Debug, Deserialize)]
struct NamedCluster {
    name: String,
    cluster: Cluster,
}

#[derive(Debug, Deserialize)]
struct NamedContext {
    name: String,
    #[serde(default)]
    context: Context,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Context {
    namespace: Option<String>,
}

/// How a server is reached and trusted, in a kubeconfig's words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(in crate::commands) struct Cluster {
    /// URL.
    pub(in crate::commands) server: String,
    /// Base64 of PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::commands) certificate_authority_data: Option<String>,
    /// Name to expect in the certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::commands) tls_server_name: Option<String>,
    /// Proxy to go by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::commands) proxy_url: Option<String>,
    /// Never written: never true in what we write.
    #[serde(skip_serializing)]
    pub(in crate::commands) insecure_skip_tls_verify: bool,
}

impl View {
    /// Name and address of the one cluster that `--minify` leaves.
    pub(in crate::commands) fn cluster(&self) -> Option<(&str, &Cluster)> {
        self.clusters.first().map(|named| (named.name.as_str(), &named.cluster))
    }

    /// The context's namespace.
    pub(in crate::commands) fn namespace(&self) -> Option<&str> {
        self.contexts.first()?.context.namespace.as_deref().filter(|namespace| !namespace.is_empty())
    }

    /// Whether the context in use has this name.
    pub(in crate::commands) fn has_context(&self, name: &str) -> bool {
        self.contexts.iter().any(|context| context.name == name)
    }
}

impl Cluster {
    /// The impersonation proxy.
    pub(in crate::commands) fn of_proxy(endpoint: String, roots: String) -> Self {
        Self { server: endpoint, certificate_authority_data: Some(roots), ..Self::default() }
    }
}

/// kubectl writes `null` for an empty list.
fn null_is_empty<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
