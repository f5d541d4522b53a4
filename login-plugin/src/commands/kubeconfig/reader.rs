//! The reader's own kubeconfig, as `kubectl config view` shows it: only what says where clusters are and who logs in how.

use serde::{Deserialize, Serialize};

use super::entries::is_our_program;

/// What the names of our clusters and users begin with, so that they stand beside the reader's own.
pub(super) const OUR_PREFIX: &str = "latchkey-";

/// The part without secrets. Fields that are not named here are not kept.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::commands) struct View {
    #[serde(deserialize_with = "null_is_empty")]
    clusters: Vec<NamedCluster>,
    #[serde(deserialize_with = "null_is_empty")]
    contexts: Vec<NamedContext>,
    #[serde(deserialize_with = "null_is_empty")]
    users: Vec<NamedUser>,
    #[serde(rename = "current-context")]
    current_context: String,
}

#[derive(Debug, Deserialize)]
struct NamedCluster {
    name: String,
    cluster: Cluster,
}

/// A context by its name.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct NamedContext {
    pub(super) name: String,
    #[serde(default)]
    pub(super) context: Context,
}

/// What a context puts together.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Context {
    pub(super) cluster: String,
    pub(super) user: String,
    namespace: Option<String>,
}

#[derive(Debug, Deserialize)]
struct NamedUser {
    name: String,
    #[serde(default)]
    user: Option<User>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct User {
    exec: Option<Exec>,
}

/// A user's credential plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Exec {
    pub(super) command: String,
    #[serde(deserialize_with = "null_is_empty")]
    pub(super) args: Vec<String>,
    #[serde(deserialize_with = "null_is_empty")]
    pub(super) env: Vec<Variable>,
}

/// A variable for the credential plugin.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Variable {
    pub(super) name: String,
    #[serde(default)]
    pub(super) value: String,
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

    /// The one context that `--minify` leaves.
    pub(super) fn context(&self) -> Option<&NamedContext> {
        self.contexts.first()
    }

    /// All contexts.
    pub(super) fn contexts(&self) -> &[NamedContext] {
        &self.contexts
    }

    /// The context in use.
    pub(super) fn current(&self) -> &str {
        &self.current_context
    }

    /// The context's namespace.
    pub(in crate::commands) fn namespace(&self) -> Option<&str> {
        self.contexts.first()?.context.namespace.as_deref().filter(|namespace| !namespace.is_empty())
    }

    /// The credential plugin of a user.
    pub(super) fn exec(&self, user: &str) -> Option<&Exec> {
        self.users.iter().find(|named| named.name == user)?.user.as_ref()?.exec.as_ref()
    }

    /// Whether a context logs in by this program already.
    pub(super) fn is_ours(&self, context: &NamedContext) -> bool {
        self.exec(&context.context.user).is_some_and(|exec| {
            is_our_program(&exec.command) && exec.args.first().is_some_and(|verb| verb == "credential")
        })
    }

    /// What people call the context's cluster: an entry of ours carries a prefix.
    pub(super) fn plain_cluster_name<'a>(&self, context: &'a NamedContext) -> &'a str {
        let name = context.context.cluster.as_str();
        if self.is_ours(context) { name.strip_prefix(OUR_PREFIX).unwrap_or(name) } else { name }
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
