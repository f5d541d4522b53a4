//! The person's kubeconfig files, merged as kubectl merges them: which contexts there are, and what stands behind one.
//! Nothing secret is kept, and no program is run.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::args::KubectlFlags;
use crate::environment::Environment;
use crate::exec_credential::Cluster;

/// A fleet of 200 clusters with their certificates is a few MiB.
const FILE_MAX_BYTES: u64 = 16 * 1024 * 1024;

/// Entries of each kind: a fleet has at most 200 clusters (design.md section 1), some with several contexts.
const ENTRIES_MAX: usize = 1_000;

/// All files together. Of two entries with one name the first counts, whole.
#[derive(Debug, Default)]
pub(crate) struct KubeconfigFiles {
    clusters: Vec<Named<Cluster>>,
    contexts: Vec<Named<Context>>,
    users: Vec<Named<User>>,
    current: Option<String>,
}

/// Something with a name.
#[derive(Debug)]
struct Named<T> {
    name: String,
    entry: T,
}

/// What a context puts together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Context {
    /// Name of the cluster.
    pub(crate) cluster: String,
    /// Name of the user.
    pub(crate) user: String,
}

/// How a user proves who they are: what of it we can see.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct User {
    exec: Option<Exec>,
    token: Present,
    #[serde(rename = "tokenFile")]
    token_file: Present,
    username: Present,
    client_certificate: Present,
    client_certificate_data: Present,
    #[serde(rename = "as")]
    impersonate: Option<String>,
    #[serde(rename = "as-groups")]
    impersonate_groups: Option<Vec<String>>,
}

/// Whether something is set; what it is set to is not kept.
#[derive(Clone, Copy, Debug, Default)]
struct Present(bool);

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::<IgnoredAny>::deserialize(deserializer).map(|value| Self(value.is_some()))
    }
}

impl User {
    /// What stands beside the stanza, by its name in the file: with any of these client-go never runs a plugin.
    fn silencers(&self) -> Vec<&'static str> {
        let all = [
            ("token", self.token),
            ("tokenFile", self.token_file),
            ("username", self.username),
            ("client-certificate", self.client_certificate),
            ("client-certificate-data", self.client_certificate_data),
        ];
        all.into_iter().filter(|(_, present)| present.0).map(|(name, _)| name).collect()
    }
}

/// The stanza of an exec credential plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Exec {
    /// The program.
    pub(crate) command: String,
    /// Its arguments.
    #[serde(deserialize_with = "null_is_empty")]
    pub(crate) args: Vec<String>,
    /// Further variables for it.
    #[serde(deserialize_with = "null_is_empty")]
    pub(crate) env: Vec<Variable>,
    /// Whether the plugin is told which cluster it is for.
    pub(crate) provide_cluster_info: bool,
}

/// A variable for the plugin.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Variable {
    /// Its name.
    pub(crate) name: String,
    /// Its value.
    pub(crate) value: String,
}

/// What kubectl would work with.
#[derive(Debug)]
pub(crate) struct Target {
    /// The context, if one is chosen.
    pub(crate) context: Option<String>,
    /// The name of the cluster's entry.
    pub(crate) cluster_name: String,
    /// The cluster.
    pub(crate) cluster: Cluster,
    /// The name of the user's entry.
    pub(crate) user_name: String,
    /// How the user proves who they are, if a plugin does it.
    pub(crate) exec: Option<Exec>,
    /// What stands beside the plugin and silences it: clients use that and never run it.
    pub(crate) silencers: Vec<&'static str>,
    /// Whom the user's entry wants to be taken for (`as`), if for somebody else.
    pub(crate) impersonate: Option<String>,
    /// The groups it wants to be taken for (`as-groups`).
    pub(crate) impersonate_groups: Vec<String>,
}

/// Why the files say nothing.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum FilesError {
    /// A name that no file defines.
    #[error("the kubeconfig has no {kind} {name:?}")]
    Missing {
        /// Context, cluster or user.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// No context is chosen.
    #[error("the kubeconfig has no context in use")]
    NoContext,
    /// A file that is no kubeconfig. kubectl stops there too.
    #[error("{path} is no kubeconfig ({what})")]
    Malformed {
        /// The file.
        path: String,
        /// Where; never what stands there.
        what: String,
    },
    /// A file that cannot be read.
    #[error("cannot read {path}: {what}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        what: String,
    },
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Document {
    #[serde(deserialize_with = "null_is_empty")]
    clusters: Vec<ClusterEntry>,
    #[serde(deserialize_with = "null_is_empty")]
    contexts: Vec<ContextEntry>,
    #[serde(deserialize_with = "null_is_empty")]
    users: Vec<UserEntry>,
    #[serde(rename = "current-context")]
    current: Option<String>,
}

#[derive(Deserialize)]
struct ClusterEntry {
    name: String,
    #[serde(default)]
    cluster: Option<Cluster>,
}

#[derive(Deserialize)]
struct ContextEntry {
    name: String,
    #[serde(default)]
    context: Option<Context>,
}

#[derive(Deserialize)]
struct UserEntry {
    name: String,
    #[serde(default)]
    user: Option<User>,
}

impl KubeconfigFiles {
    /// Reads the file named, else those of `KUBECONFIG`, else `~/.kube/config`. Of a list, files that are not there are
    /// passed over.
    ///
    /// # Errors
    /// When a file cannot be read or understood, or the one that was named is not there.
    pub(crate) fn read(named: Option<&Path>, environment: &Environment) -> Result<Self, FilesError> {
        if let Some(path) = named {
            let mut files = Self::default();
            let text = read(path).map_err(|error| unreadable(path, &error))?;
            files.add(&text, path)?;
            return Ok(files);
        }
        let mut paths = environment.paths("KUBECONFIG");
        if paths.is_empty() {
            paths.extend(environment.home().map(|home| home.join(".kube").join("config")));
        }
        let mut seen = HashSet::new();
        paths.retain(|path| seen.insert(path.clone()));
        let mut files = Self::default();
        for path in paths {
            match read(&path) {
                Ok(text) => files.add(&text, &path)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(unreadable(&path, &error)),
            }
        }
        Ok(files)
    }

    fn add(&mut self, text: &str, path: &Path) -> Result<(), FilesError> {
        if text.trim().is_empty() {
            return Ok(());
        }
        let document: Option<Document> = serde_norway::from_str(text).map_err(|error| FilesError::Malformed {
            path: path.display().to_string(),
            // Only the place: words about it might quote a secret.
            what: error.location().map_or_else(
                || "it has not the form of one".to_owned(),
                |at| format!("line {}, column {}", at.line(), at.column()),
            ),
        })?;
        let Some(Document { clusters, contexts, users, current }) = document else { return Ok(()) };
        let directory = path.parent().unwrap_or(Path::new(""));
        let clusters = clusters.into_iter().map(|ClusterEntry { name, cluster }| {
            let mut cluster = cluster.unwrap_or_default();
            if let Some(roots) = cluster.certificate_authority.take().filter(|roots| !roots.is_empty()) {
                cluster.certificate_authority = Some(directory.join(roots).to_string_lossy().into_owned());
            }
            (name, cluster)
        });
        merge(&mut self.clusters, clusters);
        merge(&mut self.contexts, contexts.into_iter().map(|entry| (entry.name, entry.context.unwrap_or_default())));
        merge(&mut self.users, users.into_iter().map(|entry| (entry.name, entry.user.unwrap_or_default())));
        self.current = self.current.take().or(current.filter(|name| !name.is_empty()));
        Ok(())
    }

    /// Every context, in the order of the files.
    pub(crate) fn contexts(&self) -> impl Iterator<Item = (&str, &Context)> {
        self.contexts.iter().map(|named| (named.name.as_str(), &named.entry))
    }

    /// Every cluster's name, with its server.
    pub(crate) fn clusters(&self) -> impl Iterator<Item = (&str, &str)> {
        self.clusters.iter().map(|named| (named.name.as_str(), named.entry.server.as_str()))
    }

    /// The cluster of this name.
    pub(crate) fn cluster(&self, name: &str) -> Option<&Cluster> {
        self.clusters.iter().find(|named| named.name == name).map(|named| &named.entry)
    }

    /// Every user's name.
    pub(crate) fn users(&self) -> impl Iterator<Item = &str> {
        self.users.iter().map(|named| named.name.as_str())
    }

    /// What kubectl would work with, given these options.
    ///
    /// # Errors
    /// When a name is not defined, or no context is in use and the options do not make up for it.
    pub(crate) fn target(&self, flags: &KubectlFlags) -> Result<Target, FilesError> {
        let name = flags.context.as_ref().or(self.current.as_ref());
        let context = match name {
            Some(name) => self.context(name)?.clone(),
            None if flags.cluster.is_some() && flags.user.is_some() => Context::default(),
            None => return Err(FilesError::NoContext),
        };
        let cluster_name = flags.cluster.clone().unwrap_or(context.cluster);
        let user_name = flags.user.clone().unwrap_or(context.user);
        let cluster = find(&self.clusters, "cluster", &cluster_name)?;
        let user = find(&self.users, "user", &user_name)?;
        Ok(Target {
            context: name.cloned(),
            cluster: cluster.clone(),
            cluster_name,
            user_name,
            exec: user.exec.clone(),
            silencers: user.silencers(),
            impersonate: user.impersonate.clone().filter(|name| !name.is_empty()),
            impersonate_groups: user.impersonate_groups.clone().unwrap_or_default(),
        })
    }

    fn context(&self, name: &str) -> Result<&Context, FilesError> {
        find(&self.contexts, "context", name)
    }
}

fn read(path: &Path) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    let length = File::open(path)?.take(FILE_MAX_BYTES + 1).read_to_string(&mut text)?;
    if length as u64 > FILE_MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 16 MiB"));
    }
    Ok(text)
}

fn unreadable(path: &Path, error: &io::Error) -> FilesError {
    FilesError::Unreadable { path: path.display().to_string(), what: error.to_string() }
}

fn merge<T>(known: &mut Vec<Named<T>>, new: impl Iterator<Item = (String, T)>) {
    let mut names: HashSet<String> = known.iter().map(|named| named.name.clone()).collect();
    for (name, entry) in new {
        if known.len() < ENTRIES_MAX && names.insert(name.clone()) {
            known.push(Named { name, entry });
        }
    }
}

fn find<'a, T>(entries: &'a [Named<T>], kind: &'static str, name: &str) -> Result<&'a T, FilesError> {
    let found = entries.iter().find(|named| named.name == name);
    found.map(|named| &named.entry).ok_or_else(|| FilesError::Missing { kind, name: name.to_owned() })
}

/// kubectl writes `null` for an empty list.
fn null_is_empty<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "
apiVersion: v1
kind: Config
clusters:
- {name: staging, cluster: {server: 'https://staging', certificate-authority: ca.pem}}
contexts:
- {name: staging, context: {cluster: staging, user: me, namespace: apps}}
- {name: broken, context: {cluster: nowhere, user: me}}
users:
- name: me
  user:
    exec: {apiVersion: client.authentication.k8s.io/v1, command: kubectl-latchkey, args: [credential], env: null}
";
    const SECOND: &str = r#"{"clusters": null, "current-context": "staging",
        "contexts": [{"name": "staging", "context": {"cluster": "hidden", "user": "hidden"}}],
        "users": [{"name": "admin", "user": {"token": "TOP-SECRET", "as": "root", "as-groups": ["masters"]}}]}"#;

    fn files() -> KubeconfigFiles {
        let mut files = KubeconfigFiles::default();
        files.add(FIRST, Path::new("/home/jane/.kube/config")).unwrap();
        files.add(SECOND, Path::new("/tmp/other.json")).unwrap();
        files.add("", Path::new("/tmp/empty")).unwrap();
        files
    }

    #[test]
    fn the_first_definition_counts_and_paths_are_those_of_the_file() {
        let target = files().target(&KubectlFlags::default()).unwrap();
        assert_eq!((target.cluster_name.as_str(), target.user_name.as_str()), ("staging", "me"));
        assert_eq!(target.cluster.server, "https://staging");
        assert_eq!(target.cluster.certificate_authority.as_deref(), Some("/home/jane/.kube/ca.pem"));
        assert_eq!(target.exec.unwrap().args, ["credential"]);
    }

    #[test]
    fn options_mean_what_they_mean_to_kubectl() {
        let flag = |text: &str| Some(text.to_owned());
        let files = files();
        let other = files.target(&KubectlFlags { user: flag("admin"), ..KubectlFlags::default() }).unwrap();
        assert_eq!((other.exec, other.impersonate.as_deref()), (None, Some("root")));
        assert_eq!(other.impersonate_groups, ["masters"]);
        let broken = files.target(&KubectlFlags { context: flag("broken"), ..KubectlFlags::default() }).unwrap_err();
        assert_eq!(broken, FilesError::Missing { kind: "cluster", name: "nowhere".to_owned() });
        let empty = KubeconfigFiles::default();
        assert_eq!(empty.target(&KubectlFlags::default()).unwrap_err(), FilesError::NoContext);
    }

    #[test]
    fn what_stands_in_a_damaged_file_is_not_told() {
        let mut files = KubeconfigFiles::default();
        let error = files.add("users: [{name: a, user: TOP-SECRET}]", Path::new("/k")).unwrap_err();
        assert!(!error.to_string().contains("SECRET"), "{error}");
        assert!(error.to_string().starts_with("/k is no kubeconfig (line 1"), "{error}");
    }
}
