//! What places pods and gives Services their addresses: kube-scheduler and kube-proxy.

use std::{fs, path::Path};

use anyhow::Result;
use serde_json::json;

use super::{programs::NodePrograms, room::Room};
use crate::{child::Child, cluster::Cluster};

/// Starts kube-scheduler.
pub(super) fn scheduler(room: &Room, programs: &NodePrograms, cluster: &Cluster, folder: &Path) -> Result<Child> {
    let kubeconfig = cluster.part_kubeconfig("kube-scheduler", "system:kube-scheduler", None)?;
    let mut command = room.place().command(&programs.kube_scheduler);
    for flag in ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"] {
        command.arg(format!("--{flag}={}", kubeconfig.display()));
    }
    command.args(["--leader-elect=false", "--bind-address=127.0.0.1"]);
    command.arg(format!("--cert-dir={}", folder.join("kube-scheduler").display()));
    Child::spawn("kube-scheduler", command, folder)
}

/// Starts kube-proxy, which turns Services' addresses to pods by nftables.
pub(super) fn proxy(
    room: &Room,
    programs: &NodePrograms,
    cluster: &Cluster,
    folder: &Path,
    node: &str,
    pods: &str,
) -> Result<Child> {
    let kubeconfig = cluster.part_kubeconfig("kube-proxy", "system:kube-proxy", None)?;
    let configuration = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": kubeconfig},
        "clusterCIDR": pods,
        // Zeros: it leaves the machine's settings alone.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpCloseWaitTimeout": "0s", "tcpEstablishedTimeout": "0s"},
        "healthzBindAddress": "127.0.0.1:10256",
        "hostnameOverride": node,
        "metricsBindAddress": "127.0.0.1:10249",
        "mode": "nftables",
    });
    let file = folder.join("kube-proxy.json");
    fs::write(&file, configuration.to_string())?;
    let mut command = room.place().command(&programs.kube_proxy);
    command.arg(format!("--config={}", file.display()));
    Child::spawn("kube-proxy", command, folder)
}
