//! Asks the clusters, each by a kubectl of its own, several at a time, none for long.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use latchkey_crds::groups::GroupSuffix;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::Gathered;
use super::cluster::{Cluster, Origin, Part, Read, Unread};
use super::finding::{Code, Finding, Seen};
use crate::args::{FleetArgs, KubectlFlags, Whom};
use crate::environment::Environment;
use crate::failure::{Failure, Status};
use crate::kubeconfig_files::KubeconfigFiles;
use crate::kubectl::{Kubectl, KubectlError, Quietly};

/// kubectl processes at once: a laptop has this many cores, and each reads a cluster in some tenths of a second.
const AT_ONCE: usize = 8;
/// For one call: a cluster behind a VPN that is off answers never.
const DEADLINE: Duration = Duration::from_secs(20);

/// What our own command puts before a cluster's name in a kubeconfig.
const OUR_PREFIX: &str = "latchkey-";

/// `kubectl get -o json` of several things.
#[derive(Debug, Default, Deserialize)]
struct List {
    #[serde(default)]
    items: Vec<Value>,
}

/// A server, and the contexts that lead to it.
#[derive(Debug)]
struct Target {
    contexts: Vec<String>,
    /// What the kubeconfig calls the cluster.
    names: Vec<String>,
}

/// What one server said.
#[derive(Debug)]
struct Answer {
    context: String,
    objects: Vec<Value>,
    is_installed: bool,
    /// By part; of all parts with one reason if the whole cluster is silent.
    unread: BTreeMap<Part, Refusal>,
}

/// Why something could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Refusal {
    /// The right to list it is missing.
    Forbidden,
    /// Anything else: in its words.
    Other(String),
}

/// Asks everybody who is meant.
///
/// # Errors
/// When the kubeconfig cannot be read, has no such context, or there is no kubectl.
pub(super) async fn all(args: &FleetArgs, environment: &Environment) -> Result<Gathered, Failure> {
    let files = KubeconfigFiles::read(args.kubeconfig.as_deref(), environment)?;
    let targets = targets(&files, &args.whom)?;
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let mut asked = JoinSet::new();
    for (number, target) in targets.into_iter().enumerate() {
        let kubectls = target.contexts.iter().map(|context| {
            let flags = KubectlFlags {
                context: Some(context.clone()),
                kubeconfig: args.kubeconfig.clone(),
                ..KubectlFlags::default()
            };
            (context.clone(), Kubectl::new(&flags, environment))
        });
        let kubectls: Vec<(String, Kubectl)> = kubectls.collect();
        let (slots, suffix) = (Arc::clone(&slots), args.api_group_suffix.clone());
        asked.spawn(async move {
            // Nobody closes it.
            let _slot = slots.acquire().await;
            (number, target, by_any(&kubectls, &suffix).await)
        });
    }
    let mut answers = asked.join_all().await;
    // In the order of the kubeconfig, whoever was first.
    answers.sort_by_key(|(number, ..)| *number);
    let mut gathered = Gathered::default();
    for (_, target, answer) in answers {
        gathered.add_answer(target, answer?, args);
    }
    gathered.merge_same();
    Ok(gathered)
}

/// Contexts of one server are one cluster; that of the first speaks for it.
fn targets(files: &KubeconfigFiles, whom: &Whom) -> Result<Vec<Target>, Failure> {
    let wanted: Vec<(&str, &str)> = match whom {
        Whom::Contexts(names) => {
            let find = |name: &String| {
                let context = files.contexts().find(|(known, _)| known == name);
                context.map(|(name, context)| (name, context.cluster.as_str())).ok_or_else(|| {
                    Failure::new(Status::Usage, format!("the kubeconfig has no context {name:?}"))
                        .hint("`kubectl config get-contexts` lists them")
                })
            };
            names.iter().map(find).collect::<Result<_, _>>()?
        }
        Whom::AllContexts | Whom::Folder(..) => {
            files.contexts().map(|(name, context)| (name, context.cluster.as_str())).collect()
        }
    };
    if wanted.is_empty() {
        return Err(Failure::new(Status::Usage, "the kubeconfig has no context").hint("set KUBECONFIG or --kubeconfig"));
    }
    let mut targets: Vec<Target> = Vec::new();
    let mut places: BTreeMap<Way<'_>, usize> = BTreeMap::new();
    for (context, cluster) in wanted {
        let place = *places.entry(way(files, context, cluster)).or_insert_with(|| {
            targets.push(Target { contexts: Vec::new(), names: Vec::new() });
            targets.len() - 1
        });
        let target = &mut targets[place];
        target.contexts.push(context.to_owned());
        let names = [cluster, cluster.strip_prefix(OUR_PREFIX).unwrap_or(cluster)];
        target.names.extend(names.map(ToOwned::to_owned));
    }
    Ok(targets)
}

/// By what a server is reached: its URL, the name it is asked for by, and the proxy. Behind another proxy the same address,
/// such as that of a tunnel's end, is another cluster; and so it is for a gateway that goes by the name.
type Way<'a> = (&'a str, Option<&'a str>, Option<&'a str>);

fn way<'a>(files: &'a KubeconfigFiles, context: &'a str, cluster: &str) -> Way<'a> {
    // Without a server kubectl says what is wrong.
    files.cluster(cluster).map_or((context, None, None), |cluster| {
        let server = cluster.server.trim_end_matches('/');
        (server, cluster.tls_server_name.as_deref(), cluster.proxy_url.as_deref())
    })
}

/// The first context that may read everything speaks for its cluster, else the one that may read most.
async fn by_any(kubectls: &[(String, Kubectl)], suffix: &GroupSuffix) -> Result<Answer, KubectlError> {
    let mut best: Option<Answer> = None;
    for (context, kubectl) in kubectls {
        let answer = ask(context, kubectl, suffix).await?;
        let is_better = best.as_ref().is_none_or(|best| answer.unread.len() < best.unread.len());
        if is_better {
            best = Some(answer);
        }
        if best.as_ref().is_some_and(|best| best.unread.is_empty()) {
            break;
        }
    }
    Ok(best.expect("every target has a context"))
}

/// One call for everything. Where that fails, one for each kind, so that what is missing can be told by name.
async fn ask(context: &str, kubectl: &Kubectl, suffix: &GroupSuffix) -> Result<Answer, KubectlError> {
    let mut answer =
        Answer { context: context.to_owned(), objects: Vec::new(), is_installed: true, unread: BTreeMap::new() };
    let resources = Part::ALL.map(|part| resource(part, suffix));
    match get(kubectl, &resources.join(",")).await? {
        Ok(objects) => answer.objects = objects,
        Err(words) if is_forbidden(&words) || is_unknown(&words) => {
            for (part, resource) in Part::ALL.into_iter().zip(resources) {
                match get(kubectl, &resource).await? {
                    Ok(objects) => answer.objects.extend(objects),
                    // An older installation, or none: it has none of these.
                    Err(words) if is_unknown(&words) => answer.is_installed &= part != Part::JwtAuthenticators,
                    Err(words) if is_forbidden(&words) => drop(answer.unread.insert(part, Refusal::Forbidden)),
                    Err(words) => drop(answer.unread.insert(part, Refusal::Other(words))),
                }
            }
        }
        Err(words) => answer.unread.extend(Part::ALL.map(|part| (part, Refusal::Other(words.clone())))),
    }
    Ok(answer)
}

fn resource(part: Part, suffix: &GroupSuffix) -> String {
    let group = part.group(suffix);
    if group.is_empty() { part.resource().to_owned() } else { format!("{}.{group}", part.resource()) }
}

/// The objects, or why there are none. Without kubectl nobody can be asked.
async fn get(kubectl: &Kubectl, resources: &str) -> Result<Result<Vec<Value>, String>, KubectlError> {
    let arguments = ["get", resources, "--all-namespaces", "-o", "json"];
    match kubectl.quiet_json::<List>(&arguments, Quietly::WithoutLogin, DEADLINE).await {
        Ok(list) => Ok(Ok(list.items)),
        Err(error @ KubectlError::NotFound(_)) => Err(error),
        Err(KubectlError::TimedOut { limit, .. }) => Ok(Err(format!("no answer within {} s", limit.as_secs()))),
        Err(error) => Ok(Err(error.to_string())),
    }
}

fn is_forbidden(words: &str) -> bool {
    words.contains("(Forbidden)")
}

fn is_unknown(words: &str) -> bool {
    words.contains("the server doesn't have a resource type")
}

impl Gathered {
    fn add_answer(&mut self, target: Target, answer: Answer, args: &FleetArgs) {
        let Answer { context, objects, is_installed, unread } = answer;
        let silent = unread
            .values()
            .next()
            .filter(|first| unread.len() == Part::ALL.len() && unread.values().all(|refusal| refusal == *first));
        if let Some(Refusal::Other(reason)) = silent {
            let unread = Unread { cluster: context, what: None, reason: reason.clone(), is_forbidden: false };
            self.unread.push(unread);
            self.silent.extend(target.contexts.into_iter().chain(target.names));
            return;
        }
        for (part, refusal) in &unread {
            let (reason, is_forbidden) = match refusal {
                Refusal::Forbidden => ("you may not list them there".to_owned(), true),
                Refusal::Other(words) => (words.clone(), false),
            };
            let unread = Unread { cluster: context.clone(), what: Some(part.resource()), reason, is_forbidden };
            self.unread.push(unread);
        }
        let read = Read {
            label: context,
            origin: Origin::Live,
            said_name: None,
            also_called: target.contexts.into_iter().chain(target.names).collect(),
            objects,
            missing: unread.into_keys().collect(),
            is_installed,
        };
        self.clusters.push(Cluster::new(read, &args.api_group_suffix, &args.ignored));
    }

    /// Two servers with the very same objects are two ways to one cluster, unless one was restored from the other's backup.
    fn merge_same(&mut self) {
        let mut seen: Vec<(BTreeSet<String>, Vec<String>)> = Vec::new();
        self.clusters.retain(|cluster| {
            let known = seen.iter_mut().find(|(uids, _)| !uids.is_empty() && *uids == cluster.uids);
            let is_new = known.is_none();
            if let Some((_, labels)) = known {
                labels.push(cluster.label.clone());
            } else {
                seen.push((cluster.uids.clone(), vec![cluster.label.clone()]));
            }
            is_new
        });
        for (_, labels) in seen.into_iter().filter(|(_, labels)| labels.len() > 1) {
            let subject = format!("contexts {}", labels.join(", "));
            let found = "the objects there have the same unique ids";
            self.findings.push(Finding::new(
                Code::SameCluster,
                subject,
                [Seen { clusters: labels, found: found.to_owned() }],
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn contexts_are_of_one_cluster_only_where_they_go_the_same_way() {
        let cluster = |name: &str, server: &str, more: &str| {
            format!("- {{name: {name}, cluster: {{server: '{server}'{more}}}}}\n")
        };
        let clusters = [
            ("a", "https://gateway", ""),
            ("b", "https://gateway/", ""),
            ("c", "https://gateway", ", tls-server-name: c.example"),
            ("d", "https://gateway", ", proxy-url: 'socks5://127.0.0.1:1080'"),
            ("e", "https://gateway/clusters/e", ""),
        ];
        let entries: String = clusters.map(|(name, server, more)| cluster(name, server, more)).concat();
        let contexts =
            clusters.map(|(name, ..)| format!("- {{name: at-{name}, context: {{cluster: {name}}}}}\n")).concat();
        let path = std::env::temp_dir().join(format!("latchkey-fleet-{}", std::process::id()));
        fs::write(
            &path,
            format!("clusters:\n{entries}contexts:\n{contexts}- {{name: lost, context: {{cluster: x}}}}\n"),
        )
        .unwrap();
        let files = KubeconfigFiles::read(Some(&path), &Environment::Table(BTreeMap::new()));
        fs::remove_file(&path).unwrap();
        let found = targets(&files.unwrap(), &Whom::AllContexts).unwrap();
        let found: Vec<_> = found.iter().map(|target| target.contexts.join(" ")).collect();
        assert_eq!(found, ["at-a at-b", "at-c", "at-d", "at-e", "lost"]);
    }
}
