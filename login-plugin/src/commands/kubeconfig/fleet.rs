//! Many clusters at once: each is asked on its own, several at a time, and one that fails spoils no other.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at};

use super::discover::{Found, Reader};
use super::reader::{NamedContext, View};
use crate::args::{Contexts, KubeconfigArgs, KubectlFlags};
use crate::environment::Environment;
use crate::failure::{Failure, Status};
use crate::kubectl::Kubectl;
use crate::output::{Output, Printable};

/// kubectl processes at once: a laptop has this many cores, and each reads a cluster in a tenth of a second.
const AT_ONCE: usize = 8;

/// A fleet has at most 200 clusters, some with several contexts.
const MAX_CONTEXTS: usize = 1_000;

/// Whoever waits longer than this wants to know for what.
const NEWS: Duration = Duration::from_secs(4);

/// Clusters named in one line of news.
const NEWS_NAMES: usize = 5;

/// What the clusters said.
#[derive(Debug, Default)]
pub(super) struct Answers {
    pub(super) found: Vec<Found>,
    /// By context.
    pub(super) failures: Vec<(String, Failure)>,
}

/// Asks the cluster in use, or all that were named.
///
/// # Errors
/// When the one cluster fails, or the kubeconfig has no such context.
pub(super) async fn ask(
    args: &Arc<KubeconfigArgs>,
    environment: &Environment,
    output: &Output,
) -> Result<Answers, Failure> {
    if !args.contexts.are_many() {
        let kubectl = Kubectl::new(&args.kubectl_of(args.contexts.only()), environment);
        let found = Reader { kubectl: &kubectl, is_one_of_many: false }.ask(args).await?;
        return Ok(Answers { found: vec![found], failures: Vec::new() });
    }
    let view: View = Kubectl::new(&args.kubectl_of(None), environment).json(&["config", "view", "-o", "json"]).await?;
    let wanted = clusters(&view, &args.contexts)?;
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let mut asked = JoinSet::new();
    let mut waiting: BTreeMap<usize, String> = BTreeMap::new();
    for (number, contexts) in wanted.into_iter().enumerate() {
        waiting.insert(number, contexts.first().cloned().unwrap_or_default());
        let kubectls = contexts.into_iter().map(|name| {
            let kubectl = Kubectl::new(&args.kubectl_of(Some(&name)), environment);
            (name, kubectl)
        });
        let kubectls: Vec<(String, Kubectl)> = kubectls.collect();
        let (args, slots) = (Arc::clone(args), Arc::clone(&slots));
        asked.spawn(async move {
            // Nobody closes it.
            let _slot = slots.acquire().await;
            (number, by_any(&args, &kubectls).await)
        });
    }
    let count = waiting.len();
    let mut answers = BTreeMap::new();
    let mut news = interval_at(Instant::now() + NEWS, NEWS);
    while answers.len() < count {
        tokio::select! {
            Some(answer) = asked.join_next() => {
                let (number, answer) = answer.map_err(|error| Failure::new(Status::General, error.to_string()))?;
                let context = waiting.remove(&number).unwrap_or_default();
                answers.insert(number, (context, answer));
            }
            _ = news.tick() => output.say(&waiting_for(answers.len(), count, waiting.values())),
        }
    }
    let mut all = Answers::default();
    for (context, answer) in answers.into_values() {
        match answer {
            Ok(found) => all.found.push(found),
            Err(failure) => all.failures.push((context, failure)),
        }
    }
    Ok(all)
}

/// The first context that may read it speaks for its cluster.
async fn by_any(args: &KubeconfigArgs, kubectls: &[(String, Kubectl)]) -> Result<Found, Failure> {
    let mut first = None;
    for (_, kubectl) in kubectls {
        match (Reader { kubectl, is_one_of_many: true }).ask(args).await {
            Ok(found) => return Ok(found),
            Err(failure) => {
                first.get_or_insert(failure);
            }
        }
    }
    Err(first.unwrap_or_else(|| Failure::new(Status::Usage, "no context leads to this cluster")))
}

/// The contexts to try for each cluster. Of all contexts, those that this command wrote are left out; a person who names one
/// means it.
fn clusters(view: &View, contexts: &Contexts) -> Result<Vec<Vec<String>>, Failure> {
    if let Contexts::Named(names) = contexts {
        return Ok(named(view, names)?.into_iter().map(|context| vec![context.name.clone()]).collect());
    }
    let mut clusters: Vec<Vec<String>> = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for context in view.contexts().iter().take(MAX_CONTEXTS).filter(|context| !view.is_ours(context)) {
        match places.entry(&context.context.cluster) {
            Entry::Occupied(place) => clusters[*place.get()].push(context.name.clone()),
            Entry::Vacant(place) => {
                place.insert(clusters.len());
                clusters.push(vec![context.name.clone()]);
            }
        }
    }
    if clusters.is_empty() {
        return Err(Failure::new(Status::Usage, "your kubeconfig has no context of a cluster to ask")
            .hint("contexts that this command wrote are asked again only by name: --context NAME"));
    }
    Ok(clusters)
}

/// The contexts of these names.
///
/// # Errors
/// When there is no such context.
pub(super) fn named<'a>(view: &'a View, names: &[String]) -> Result<Vec<&'a NamedContext>, Failure> {
    names
        .iter()
        .map(|name| {
            view.contexts().iter().find(|context| context.name == *name).ok_or_else(|| {
                Failure::new(Status::Usage, format!("your kubeconfig has no context {name:?}"))
                    .hint("`kubectl config get-contexts` lists them")
            })
        })
        .collect()
}

fn waiting_for<'a>(done: usize, count: usize, waiting: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<String> = waiting.map(|name| Printable(name).to_string()).collect();
    let more = if names.len() > NEWS_NAMES { format!(" and {} more", names.len() - NEWS_NAMES) } else { String::new() };
    format!(
        "{done} of {count} clusters have answered; waiting for {}{more}",
        names[..names.len().min(NEWS_NAMES)].join(", ")
    )
}

impl KubeconfigArgs {
    /// kubectl's flags for one of the contexts.
    pub(super) fn kubectl_of(&self, context: Option<&str>) -> KubectlFlags {
        KubectlFlags { context: context.map(ToOwned::to_owned), ..self.kubectl.clone() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn view() -> View {
        let exec = |command: &str, verb: &str| json!({"exec": {"command": command, "args": [verb]}});
        serde_json::from_value(json!({
            "contexts": [
                {"name": "admin@a", "context": {"cluster": "a", "user": "admin"}},
                {"name": "b", "context": {"cluster": "b", "user": "sso"}},
                {"name": "dev@a", "context": {"cluster": "a", "user": "dev"}},
                {"name": "a", "context": {"cluster": "latchkey-a", "user": "latchkey-a"}}],
            "clusters": null,
            "users": [
                {"name": "latchkey-a", "user": exec("kubectl-latchkey", "credential")},
                {"name": "sso", "user": exec("kubectl", "oidc-login")},
                {"name": "admin", "user": null}],
        }))
        .unwrap()
    }

    #[test]
    fn each_cluster_is_asked_once_and_ours_not_at_all() {
        assert_eq!(clusters(&view(), &Contexts::All).unwrap(), [vec!["admin@a", "dev@a"], vec!["b"]]);
    }

    #[test]
    fn who_is_named_is_asked() {
        let named = Contexts::Named(vec!["dev@a".to_owned(), "a".to_owned()]);
        assert_eq!(clusters(&view(), &named).unwrap(), [["dev@a"], ["a"]]);
        let failure = clusters(&view(), &Contexts::Named(vec!["c".to_owned()])).unwrap_err();
        assert_eq!(failure.message, "your kubeconfig has no context \"c\"");
    }

    #[test]
    fn an_entry_of_ours_is_called_as_its_cluster() {
        let view = view();
        let names: Vec<&str> = view.contexts().iter().map(|context| view.plain_cluster_name(context)).collect();
        assert_eq!(names, ["a", "b", "a", "a"]);
    }

    #[test]
    fn news_name_a_few() {
        let waiting: Vec<String> = (0..7).map(|number| format!("c{number}")).collect();
        let line = waiting_for(2, 9, waiting.iter());
        assert_eq!(line, "2 of 9 clusters have answered; waiting for c0, c1, c2, c3, c4 and 2 more");
    }
}
