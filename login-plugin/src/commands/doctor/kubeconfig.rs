//! The contexts of the reader's kubeconfig, as kubectl merges them. Of secrets only that they are there.

use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use crate::args::KubectlFlags;
use crate::exec_credential::Cluster;

/// A fleet has at most 200 clusters (design.md section 1), some with several contexts.
const CONTEXTS_MAX: usize = 1_000;

/// A bundle of roots is far smaller.
const AUTHORITY_MAX_BYTES: u64 = 1024 * 1024;

/// What `kubectl config view --raw -o json` shows.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct View {
    #[serde(rename = "current-context")]
    current: String,
    clusters: Option<Vec<NamedCluster>>,
    contexts: Option<Vec<NamedContext>>,
    users: Option<Vec<NamedUser>>,
}

#[derive(Debug, Deserialize)]
struct NamedCluster {
    name: String,
    #[serde(default)]
    cluster: Value,
}

#[derive(Debug, Deserialize)]
struct NamedContext {
    name: String,
    #[serde(default)]
    context: Names,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Names {
    cluster: String,
    user: String,
}

#[derive(Debug, Deserialize)]
struct NamedUser {
    name: String,
    #[serde(default)]
    user: User,
}

/// A user, as far as logging in goes.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct User {
    pub(super) exec: Option<Exec>,
    token: Present,
    #[serde(rename = "tokenFile")]
    token_file: Present,
    username: Present,
    client_certificate: Present,
    client_certificate_data: Present,
    auth_provider: Present,
}

/// The stanza.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Exec {
    pub(super) api_version: String,
    pub(super) command: String,
    pub(super) args: Option<Vec<String>>,
    pub(super) env: Option<Vec<Variable>>,
    pub(super) interactive_mode: String,
    pub(super) provide_cluster_info: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Variable {
    pub(super) name: String,
    #[serde(default)]
    pub(super) value: String,
}

/// Whether something is set; what it is set to is not kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Present(bool);

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::<IgnoredAny>::deserialize(deserializer).map(|value| Self(value.is_some()))
    }
}

/// One context with what it leads to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Context {
    pub(super) name: String,
    pub(super) cluster_name: String,
    pub(super) user_name: String,
    /// As it stands there; absent if it is not defined.
    pub(super) cluster: Option<Value>,
    /// Absent if it is not defined.
    pub(super) user: Option<User>,
}

impl User {
    /// What silences the stanza: with any of these client-go never runs a plugin.
    pub(super) fn silencers(&self) -> Vec<&'static str> {
        let all = [
            ("token", self.token),
            ("tokenFile", self.token_file),
            ("username", self.username),
            ("client-certificate", self.client_certificate),
            ("client-certificate-data", self.client_certificate_data),
            ("auth-provider", self.auth_provider),
        ];
        all.into_iter().filter(|(_, present)| present.0).map(|(name, _)| name).collect()
    }
}

impl View {
    /// The contexts to look at.
    ///
    /// # Errors
    /// In words, when there is none.
    pub(super) fn contexts(self, flags: &KubectlFlags, all: bool) -> Result<Vec<Context>, String> {
        let Self { current, clusters, contexts, users } = self;
        let (clusters, users) = (clusters.unwrap_or_default(), users.unwrap_or_default());
        let contexts = contexts.unwrap_or_default();
        let wanted = flags.context.as_deref().unwrap_or(&current);
        let found: Vec<Context> = contexts
            .into_iter()
            .filter(|context| all || context.name == wanted)
            .take(CONTEXTS_MAX)
            .map(|NamedContext { name, context }| {
                let cluster_name = flags.cluster.clone().unwrap_or(context.cluster);
                let user_name = flags.user.clone().unwrap_or(context.user);
                let cluster = clusters.iter().find(|cluster| cluster.name == cluster_name);
                let user = users.iter().find(|user| user.name == user_name);
                Context {
                    cluster: cluster.map(|cluster| cluster.cluster.clone()),
                    user: user.map(|user| user.user.clone()),
                    name,
                    cluster_name,
                    user_name,
                }
            })
            .collect();
        match (found.is_empty(), wanted) {
            (false, _) => Ok(found),
            (true, "") => Err("the kubeconfig has no context in use".to_owned()),
            (true, wanted) => Err(format!("the kubeconfig has no context {wanted:?}")),
        }
    }
}

impl Context {
    /// The cluster as the plugin knows clusters.
    pub(super) fn cluster(&self) -> Cluster {
        self.cluster.clone().and_then(|cluster| serde_json::from_value(cluster).ok()).unwrap_or_default()
    }

    /// The path of the roots, where the kubeconfig names a file in place of the data.
    pub(super) fn authority_file(&self) -> Option<PathBuf> {
        let path = self.cluster.as_ref()?.get("certificate-authority")?.as_str()?;
        Some(PathBuf::from(path)).filter(|path| !path.as_os_str().is_empty())
    }

    /// What client-go would put into `KUBERNETES_EXEC_INFO`: always the data of the roots, and the extension as `config`.
    pub(super) fn exec_info(&self, api_version: &str, with_cluster: bool) -> String {
        let mut spec = json!({"interactive": false});
        if with_cluster {
            let own = self.cluster();
            let field = |name: &str| self.cluster.as_ref().and_then(|cluster| cluster.get(name)).cloned();
            let mut block = Map::new();
            for name in
                ["server", "tls-server-name", "insecure-skip-tls-verify", "proxy-url", "certificate-authority-data"]
            {
                if let Some(value) = field(name) {
                    block.insert(name.to_owned(), value);
                }
            }
            if let Some(path) = self.authority_file().filter(|_| !block.contains_key("certificate-authority-data"))
                && let Ok(pem) = read_bounded(&path)
            {
                block.insert("certificate-authority-data".to_owned(), BASE64_STANDARD.encode(pem).into());
            }
            block.insert("config".to_owned(), own.settings().unwrap_or_default());
            spec["cluster"] = Value::Object(block);
        }
        format!("{}\n", json!({"kind": "ExecCredential", "apiVersion": api_version, "spec": spec}))
    }
}

/// A file that should be small.
pub(super) fn read_bounded(path: &std::path::Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    // A pipe would block for ever.
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("not a file"));
    }
    std::fs::File::open(path)?.take(AUTHORITY_MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> View {
        serde_json::from_value(json!({
            "current-context": "b",
            "clusters": [{"name": "one", "cluster": {"server": "https://one", "certificate-authority-data": "QQ==",
                "extensions": [{"name": "client.authentication.k8s.io/exec", "extension": {"latchkey": {}}}]}}],
            "contexts": [{"name": "a", "context": {"cluster": "one", "user": "jane"}},
                {"name": "b", "context": {"cluster": "gone", "user": "gone"}}],
            "users": [{"name": "jane", "user": {"token": "TOP-SECRET", "client-certificate-data": null, "exec":
                {"apiVersion": "client.authentication.k8s.io/v1", "command": "x", "args": null, "env": null}}}],
        }))
        .unwrap()
    }

    fn flags(context: Option<&str>) -> KubectlFlags {
        KubectlFlags { context: context.map(ToOwned::to_owned), ..KubectlFlags::default() }
    }

    #[test]
    fn the_context_is_the_named_one_or_the_current_one() {
        let names = |flags: &KubectlFlags, all| {
            view().contexts(flags, all).map(|found| found.into_iter().map(|context| context.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&flags(None), false), Ok(vec!["b".to_owned()]));
        assert_eq!(names(&flags(Some("a")), false), Ok(vec!["a".to_owned()]));
        assert_eq!(names(&flags(None), true), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert!(names(&flags(Some("c")), false).unwrap_err().contains("\"c\""));
        assert!(View::default().contexts(&flags(None), false).is_err());
    }

    #[test]
    fn secrets_are_seen_and_not_kept() {
        let context = view().contexts(&flags(Some("a")), false).unwrap().remove(0);
        assert_eq!(context.user.as_ref().unwrap().silencers(), ["token"]);
        assert!(!format!("{context:?}").contains("TOP-SECRET"));
        let gone = view().contexts(&flags(None), false).unwrap().remove(0);
        assert_eq!((gone.cluster, gone.user), (None, None));
    }

    #[test]
    fn asks_as_client_go_does() {
        let context = view().contexts(&flags(Some("a")), false).unwrap().remove(0);
        let info: Value = serde_json::from_str(&context.exec_info("client.authentication.k8s.io/v1", true)).unwrap();
        let cluster = &info["spec"]["cluster"];
        assert_eq!(
            *cluster,
            json!({"server": "https://one", "certificate-authority-data": "QQ==", "config": {"latchkey": {}}})
        );
        let without: Value =
            serde_json::from_str(&context.exec_info("client.authentication.k8s.io/v1", false)).unwrap();
        assert_eq!(without["spec"], json!({"interactive": false}));
    }
}
