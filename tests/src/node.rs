//! A cluster with a node: a [`Cluster`] in namespaces of its own, beside a scheduler, containerd, a kubelet and kube-proxy.
//!
//! Containers run, pods have addresses, Services work, logs, exec and port-forward too. There is no DNS, no registry and no
//! way out: images are [imported](NodeCluster::import_image), names come by `hostAliases`.
//!
//! **Who reaches whom.** This machine reaches the node's address ([`Place::address`] of [`NodeCluster::place`]), where
//! kube-apiserver listens, and its pods' addresses; Services' addresses are the node's alone. Pods reach the node's address. So what pods and
//! people both need, an identity provider for example, listens there: [`Issuer::start_in`](crate::issuer::Issuer::start_in)
//! with [`NodeCluster::place`] has `https://<node's address>:<port>` as its issuer, a serving certificate for that address, and
//! nothing outside of this machine reaches it. A program of somebody else's is started there by [`Place::networked`].
//!
//! It needs root, and the right to make namespaces, mounts and control groups of version 1.
//! [`NodeCluster::start_or_say`] says on standard error when a machine does not permit it; with `LATCHKEY_REQUIRE_NODE=1` that
//! is a failure.

mod cgroups;
mod image;
mod kubelet;
mod permission;
mod programs;
mod room;
mod runtime;
mod services;
mod slot;

use std::{
    ffi::OsStr,
    ops::Deref,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::Node;
use kube::Api;

use self::{cgroups::Cgroups, programs::NodePrograms, room::Room, runtime::Runtime, slot::Slot};
use crate::{
    child::Child,
    cluster::{Cluster, ClusterOptions},
    folder::TempFolder,
    not_run::not_run,
    place::Place,
    tools::Tool,
    wait::{self, Observation},
};

/// Set to anything but `0` or nothing, a machine that does not permit a node fails the test.
pub const REQUIRE: &str = "LATCHKEY_REQUIRE_NODE";

/// The image that every node has: one static program that waits, or does what its first argument says
/// (`tests/control-plane/pod/main.go`).
pub const POD_IMAGE: &str = "latchkey.test/pod:1";

/// From the kubelet's start to a ready node: 3 s on an idle machine.
const READY_LIMIT: Duration = Duration::from_secs(90);

/// `helm install --wait` starts pods.
const HELM_LIMIT: Duration = Duration::from_mins(5);

/// What a test wants from its cluster.
pub type NodeOptions = ClusterOptions;

/// A running cluster with one node; dropping it ends all of its processes and leaves nothing behind.
///
/// It is a [`Cluster`] in everything else. (kube-apiserver can be stopped and started; the pods go on meanwhile.)
pub struct NodeCluster {
    // Dropped in this order, after everything in the room was ended.
    _proxy: Child,
    kubelet: Child,
    _scheduler: Child,
    runtime: Runtime,
    room: Room,
    cluster: Cluster,
    _cgroups: Cgroups,
    slot: Slot,
}

impl NodeCluster {
    /// Why this machine permits no node, in one sentence, if so.
    #[must_use]
    pub fn refusal() -> Option<String> {
        permission::refusal()
    }

    /// Starts a cluster, or says that the test did not run and why. `test` is what the sentence calls it.
    ///
    /// # Errors
    /// If a part does not come up; if the machine does not permit it and [`REQUIRE`] is set.
    pub async fn start_or_say(test: &str, options: NodeOptions) -> Result<Option<Self>> {
        let Some(reason) = Self::refusal() else {
            return Self::start(options).await.map(Some);
        };
        if std::env::var(REQUIRE).is_ok_and(|value| !value.is_empty() && value != "0") {
            bail!("{REQUIRE} is set, but {reason}");
        }
        not_run(test, &reason);
        Ok(None)
    }

    /// Starts a cluster and waits until its node is ready.
    ///
    /// # Errors
    /// If the machine does not permit it, or a part does not come up: with the end of its log.
    pub async fn start(options: NodeOptions) -> Result<Self> {
        if let Some(reason) = Self::refusal() {
            bail!("this machine permits no node: {reason}");
        }
        let name = options.name.clone();
        Self::start_inner(options).await.with_context(|| format!("starting the test cluster {name} with a node"))
    }

    async fn start_inner(options: NodeOptions) -> Result<Self> {
        ensure!(options.controllers_running, "a node needs kube-controller-manager");
        let programs = NodePrograms::find().await?;
        let slot = Slot::take()?;
        let (node, pods) = (slot.name(), slot.pods());
        let temporary = TempFolder::new(&format!("{}-{}", slot.folder(), options.name))?;
        let folder = temporary.path().join("node");
        let cgroups = Cgroups::make(&node)?;
        let room = Room::make(&slot, &folder).await?;
        let (cluster, runtime) = tokio::try_join!(
            Cluster::start_in(options, room.place().clone(), temporary),
            Runtime::start(&room, programs, &folder, &pods),
        )?;
        let pause = image::write(&folder, &programs.pod, &[POD_IMAGE, runtime::PAUSE])?;
        runtime.import(&pause).await?;
        let scheduler = services::scheduler(&room, programs, &cluster, &folder)?;
        let kubelet = kubelet::start(&room, programs, &cluster, &folder, &node)?;
        let proxy = services::proxy(&room, programs, &cluster, &folder, &node, &pods)?;
        let mut started =
            Self { _proxy: proxy, kubelet, _scheduler: scheduler, runtime, room, cluster, _cgroups: cgroups, slot };
        started.ready().await?;
        Ok(started)
    }

    /// The node's network: where something listens that pods and this machine reach.
    #[must_use]
    pub fn place(&self) -> &Place {
        self.room.place()
    }

    /// The node's name.
    #[must_use]
    pub fn node(&self) -> String {
        self.slot.name()
    }

    /// The first process of the cluster's namespaces, for a test that looks at them from outside.
    #[must_use]
    pub fn init_pid(&self) -> u32 {
        self.room.init()
    }

    /// This machine's end of the cable to the node.
    #[must_use]
    pub fn link(&self) -> String {
        self.slot.link()
    }

    /// The kubeconfig of a member of `system:masters`; it works outside of the node too.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        self.cluster.admin_kubeconfig()
    }

    /// Loads an image archive (`docker save`'s form or OCI's): pods then name it by its reference, which must carry a host and a
    /// tag other than `latest`.
    ///
    /// # Errors
    /// If containerd does not take it.
    pub async fn import_image(&self, archive: &Path) -> Result<()> {
        self.runtime.import(archive).await
    }

    /// Gives an image another name in place of the one that it has: pods that name the old one do not start any more.
    ///
    /// # Errors
    /// If there is no image of that name.
    pub async fn rename_image(&self, from: &str, to: &str) -> Result<()> {
        self.runtime.rename(from, to).await
    }

    /// Helm as the administrator, with a home of this cluster's own.
    ///
    /// # Errors
    /// If Helm cannot be built.
    pub async fn helm_command(&self) -> Result<Command> {
        let home = self.folder().join("helm");
        let mut command = Command::new(Tool::Helm.find().await?);
        command
            .env("KUBECONFIG", self.kubeconfig())
            .env("HOME", self.folder())
            .env("HELM_CACHE_HOME", home.join("cache"))
            .env("HELM_CONFIG_HOME", home.join("config"))
            .env("HELM_DATA_HOME", home.join("data"))
            .env("KUBECACHEDIR", self.folder().join("kubectl-cache"))
            .env_remove("KUBERNETES_SERVICE_HOST")
            .env_remove("KUBERNETES_SERVICE_PORT")
            .stdin(Stdio::null());
        Ok(command)
    }

    /// Runs Helm and returns whatever came out of it.
    ///
    /// # Errors
    /// If Helm cannot be started or does not end in five minutes.
    pub async fn helm<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<Output> {
        let mut command = self.helm_command().await?;
        command.args(arguments);
        let output = tokio::process::Command::from(command).kill_on_drop(true).output();
        tokio::time::timeout(HELM_LIMIT, output)
            .await
            .with_context(|| format!("helm did not end within {HELM_LIMIT:?}"))?
            .context("starting helm")
    }

    /// Runs Helm, demands success, and returns its standard output.
    ///
    /// # Errors
    /// If Helm fails: with what it wrote, and with what happened in the cluster.
    pub async fn helm_ok<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<String> {
        let output = self.helm(arguments).await?;
        if !output.status.success() {
            let words: Vec<_> = arguments.iter().map(|word| word.as_ref().to_string_lossy()).collect();
            bail!(
                "helm {}: {}\n{}{}\n{}",
                words.join(" "),
                output.status,
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr),
                self.events().await
            );
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Pods and events of all namespaces: why a pod did not start.
    pub async fn events(&self) -> String {
        let pods = self.kubectl_ok(&["get", "pods", "--all-namespaces", "-o", "wide"]).await;
        let events = self.kubectl_ok(&["get", "events", "--all-namespaces", "--sort-by=.lastTimestamp"]).await;
        [pods, events].map(|words| words.unwrap_or_else(|error| format!("{error:#}"))).join("\n")
    }

    /// Where the logs of the node's own programs are.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.folder().join("node")
    }

    async fn ready(&mut self) -> Result<()> {
        let nodes: Api<Node> = Api::all(self.cluster.client().await?);
        let name = self.slot.name();
        let kubelet = &mut self.kubelet;
        wait::eventually("the node to be ready", READY_LIMIT, async || {
            if let Err(error) = kubelet.check_alive() {
                return Observation::Hopeless(error);
            }
            let seen = async {
                let status = nodes.get(&name).await?.status.context("the node has no status")?;
                let conditions = status.conditions.unwrap_or_default();
                let ready =
                    conditions.iter().find(|condition| condition.type_ == "Ready").context("it says nothing")?;
                ensure!(ready.status == "True", "{}", ready.message.as_deref().unwrap_or_default());
                Ok(())
            };
            seen.await.into()
        })
        .await
        .with_context(|| format!("{}\n{}", kubelet.last_words(), self.runtime.last_words()))
    }
}

impl Deref for NodeCluster {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

impl Drop for NodeCluster {
    fn drop(&mut self) {
        if let Err(error) = self.room.end() {
            eprintln!("the end of {}: {error:#}", self.slot.name());
        }
    }
}

/// Runs a command and demands success.
fn succeed(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("starting {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
