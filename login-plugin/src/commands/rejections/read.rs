//! Asks the clusters: kubectl once for each context, several at a time, none for long.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::list::{Context, List};
use crate::args::{Contexts, KubectlFlags, RejectionsArgs};
use crate::environment::Environment;
use crate::failure::{Failure, Status};
use crate::kubectl::{Kubectl, KubectlError, Quietly};

/// kubectl processes at once: a laptop has this many cores, and each reads a cluster in a tenth of a second.
const AT_ONCE: usize = 8;
/// A cluster behind a VPN that is off answers never.
const DEADLINE: Duration = Duration::from_secs(20);
/// A fleet has at most 200 clusters (design.md section 1), some with several contexts.
const MAX_CONTEXTS: usize = 1_000;

/// One context and what its cluster said.
#[derive(Debug)]
pub(super) struct Answer {
    /// Whom was asked.
    pub(super) context: Context,
    /// The objects, or why there are none.
    pub(super) outcome: Result<List, KubectlError>,
}

/// The part of a kubeconfig that says which contexts there are. Nothing secret is kept.
#[derive(Debug, Deserialize)]
struct View {
    contexts: Option<Vec<NamedContext>>,
    #[serde(rename = "current-context", default)]
    current: String,
}

#[derive(Debug, Deserialize)]
struct NamedContext {
    name: String,
    #[serde(default)]
    context: Target,
}

#[derive(Debug, Default, Deserialize)]
struct Target {
    #[serde(default)]
    cluster: String,
}

/// Asks every context that is wanted.
///
/// # Errors
/// When the kubeconfig cannot be read or has no such context.
pub(super) async fn all(args: &RejectionsArgs, environment: &Environment) -> Result<Vec<Answer>, Failure> {
    let flags = KubectlFlags { kubeconfig: args.kubeconfig.clone(), ..KubectlFlags::default() };
    let view: View = Kubectl::new(&flags, environment).json(&["config", "view", "-o", "json"]).await?;
    let wanted = wanted(view, &args.contexts)?;
    let resource = args.api_group_suffix.as_ref().map_or_else(
        // The cluster knows the group by itself.
        || "tokenrejections".to_owned(),
        |suffix| format!("tokenrejections.{}", suffix.audit()),
    );
    // With one cluster a person may be asked to log in. With many that would be as many browser tabs.
    let quietly = if wanted.len() > 1 { Quietly::WithoutLogin } else { Quietly::LoginMayAsk };
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let mut asked = JoinSet::new();
    for context in wanted {
        let flags = KubectlFlags { context: Some(context.name.clone()), ..flags.clone() };
        let kubectl = Kubectl::new(&flags, environment);
        let (slots, resource) = (Arc::clone(&slots), resource.clone());
        asked.spawn(async move {
            // Nobody closes it.
            let _slot = slots.acquire().await;
            let deadline = if quietly == Quietly::LoginMayAsk { Kubectl::LOGIN_DEADLINE } else { DEADLINE };
            let outcome = kubectl.quiet_json(&["get", &resource, "-o", "json"], quietly, deadline).await;
            Answer { context, outcome }
        });
    }
    let mut answers = asked.join_all().await;
    // In the order of the names, whoever was first.
    answers.sort_by(|one, other| one.context.name.cmp(&other.context.name));
    match answers.iter().position(|answer| matches!(answer.outcome, Err(KubectlError::NotFound(_)))) {
        // It is the same for all of them.
        Some(position) => match answers.swap_remove(position).outcome {
            Err(error) => Err(error.into()),
            Ok(_) => Ok(answers),
        },
        None => Ok(answers),
    }
}

fn wanted(view: View, contexts: &Contexts) -> Result<Vec<Context>, Failure> {
    let known = view.contexts.unwrap_or_default().into_iter().take(MAX_CONTEXTS);
    let mut known: Vec<Context> =
        known.map(|named| Context { name: named.name, cluster: named.context.cluster }).collect();
    match contexts {
        Contexts::All if known.is_empty() => {
            Err(Failure::new(Status::Usage, "the kubeconfig has no context").hint("set KUBECONFIG or --kubeconfig"))
        }
        Contexts::All => Ok(known),
        Contexts::Current => {
            known.retain(|context| context.name == view.current);
            if known.is_empty() {
                return Err(Failure::new(Status::Usage, "the kubeconfig has no context in use")
                    .hint("name one by --context, or ask all by --all-contexts"));
            }
            Ok(known)
        }
        Contexts::Named(names) => {
            if let Some(name) = names.iter().find(|name| known.iter().all(|context| context.name != **name)) {
                return Err(Failure::new(Status::Usage, format!("the kubeconfig has no context {name:?}"))
                    .hint("`kubectl config get-contexts` lists them"));
            }
            known.retain(|context| names.contains(&context.name));
            Ok(known)
        }
    }
}
