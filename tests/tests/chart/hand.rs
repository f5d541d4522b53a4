//! What a scheduler and a kubelet would do, by hand: pods get a node and are said to run. Nothing runs.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use latchkey_e2e::{cluster::Cluster, wait::eventually};
use serde_json::json;

/// Controllers answer within a second; kubectl drain asks again after five.
const LIMIT: Duration = Duration::from_mins(1);

/// The hand.
pub(super) struct Hand {
    pods: Api<Pod>,
    nodes: Api<Node>,
    /// What becomes of pods.
    pub(super) mode: Mode,
    /// The fewest that were ready at once since this was last set.
    pub(super) fewest: usize,
}

/// What becomes of pods.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// They start, and are ready.
    Ready,
    /// Those that are there go on; new ones take their time.
    Slow,
    /// None is ready, neither old nor new.
    Broken,
}

/// A pod as it stands.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) node: String,
    pub(super) ready: bool,
}

// === impl Hand ===

impl Hand {
    /// In a namespace of a cluster with the nodes of these names.
    pub(super) async fn new(cluster: &Cluster, namespace: &str, nodes: &[&str]) -> Result<Self> {
        for name in nodes {
            let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
            cluster.apply(&node.to_string()).await?;
        }
        let client = cluster.client().await?;
        let (pods, nodes) = (Api::namespaced(client.clone(), namespace), Api::all(client));
        Ok(Self { pods, nodes, mode: Mode::Ready, fewest: usize::MAX })
    }

    /// Works until what it sees is as expected.
    pub(super) async fn until(&mut self, what: &str, mut look: impl AsyncFnMut(&[Seen]) -> Result<()>) -> Result<()> {
        eventually(what, LIMIT, async || {
            let seen = self.turn().await?;
            look(&seen).await.with_context(|| format!("{seen:?}"))
        })
        .await
    }

    /// Does for each pod what is next, and says how they stood before.
    async fn turn(&mut self) -> Result<Vec<Seen>> {
        let mut seen = Vec::new();
        for pod in self.pods.list(&kube::api::ListParams::default()).await? {
            let name = pod.name_any();
            let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default();
            if pod.metadata.deletion_timestamp.is_some() {
                // It has ended.
                let now = DeleteParams::default().grace_period(0);
                gone_is_well(self.pods.delete(&name, &now).await.map(drop))?;
                continue;
            }
            let ready = is_ready(&pod);
            if node.is_empty() {
                self.bind(&name).await?;
            } else if let Some(status) = self.next(&pod, ready) {
                let patch = Patch::Merge(json!({ "status": status }));
                gone_is_well(self.pods.patch_status(&name, &PatchParams::default(), &patch).await.map(drop))?;
            }
            if !is_test(&pod) {
                seen.push(Seen { node, ready });
            }
        }
        self.fewest = self.fewest.min(seen.iter().filter(|pod| pod.ready).count());
        Ok(seen)
    }

    fn next(&self, pod: &Pod, ready: bool) -> Option<serde_json::Value> {
        let condition = |ready| json!({"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]});
        match self.mode {
            Mode::Ready if is_test(pod) => Some(json!({"phase": "Succeeded"})),
            Mode::Ready if !ready => Some(condition("True")),
            Mode::Broken if !is_running_unready(pod) => Some(condition("False")),
            Mode::Ready | Mode::Slow | Mode::Broken => None,
        }
    }

    async fn bind(&self, pod: &str) -> Result<()> {
        let nodes = self.nodes.list(&kube::api::ListParams::default()).await?;
        let cordoned = |node: &Node| node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true);
        let Some(node) = nodes.iter().find(|node| !cordoned(node)) else { return Ok(()) };
        let binding = json!({
            "apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node.name_any()},
        });
        let bound: kube::Result<kube::core::Status> =
            self.pods.create_subresource("binding", pod, &PostParams::default(), &binding).await;
        gone_is_well(bound.map(drop))
    }
}

/// Whether it is the one of `helm test`.
fn is_test(pod: &Pod) -> bool {
    pod.labels().get("app.kubernetes.io/component").is_some_and(|component| component == "self-test")
}

fn is_ready(pod: &Pod) -> bool {
    ready_condition(pod) == Some("True")
}

fn is_running_unready(pod: &Pod) -> bool {
    ready_condition(pod) == Some("False")
}

fn ready_condition(pod: &Pod) -> Option<&str> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == "Ready").map(|condition| condition.status.as_str())
}

/// A controller may have been quicker.
fn gone_is_well(outcome: kube::Result<()>) -> Result<()> {
    match outcome {
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        other => Ok(other?),
    }
}

/// Demands this many pods, all of them ready.
pub(super) fn all_ready(pods: &[Seen], count: usize) -> Result<()> {
    ensure!(pods.len() == count && pods.iter().all(|pod| pod.ready), "not {count} ready pods");
    Ok(())
}
