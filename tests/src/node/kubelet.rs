//! The node's kubelet.

use std::{fs, path::Path};

use anyhow::Result;
use serde_json::json;

use super::{programs::NodePrograms, room::Room, runtime::SOCKET};
use crate::{child::Child, cluster::Cluster};

/// Starts it; it registers the node by itself.
pub(super) fn start(
    room: &Room,
    programs: &NodePrograms,
    cluster: &Cluster,
    folder: &Path,
    node: &str,
) -> Result<Child> {
    let address = room.place().address().to_string();
    let [certificate, key, authority] = cluster.serving_files("kubelet", &[node, &address])?;
    let kubeconfig = cluster.part_kubeconfig("kubelet", &format!("system:node:{node}"), Some("system:nodes"))?;
    let resolver = folder.join("resolv.conf");
    // There is no cluster DNS: who needs a name gets it by `hostAliases`.
    fs::write(&resolver, format!("nameserver {address}\n"))?;
    let configuration = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": authority},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        // Pods stay below the node's own group, so that it can be removed.
        "cgroupRoot": format!("/{node}"),
        "containerRuntimeEndpoint": format!("unix://{SOCKET}"),
        "enforceNodeAllocatable": [],
        // A rather full disk is the machine's matter, not the tests'.
        "evictionHard": {
            "imagefs.available": "0%",
            "imagefs.inodesFree": "0%",
            "memory.available": "0%",
            "nodefs.available": "0%",
            "nodefs.inodesFree": "0%",
        },
        "failCgroupV1": false,
        "failSwapOn": false,
        // What was imported cannot be pulled again.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "makeIPTablesUtilChains": false,
        "resolvConf": resolver,
        "tlsCertFile": certificate,
        "tlsPrivateKeyFile": key,
        // By default it makes a folder below /usr, which is the machine's.
        "volumePluginDir": folder.join("volume-plugins"),
    });
    let file = folder.join("kubelet.json");
    fs::write(&file, configuration.to_string())?;
    let mut command = room.place().command(&programs.kubelet);
    command.arg(format!("--config={}", file.display())).arg(format!("--kubeconfig={}", kubeconfig.display()));
    command.arg(format!("--hostname-override={node}")).arg(format!("--node-ip={address}"));
    Child::spawn("kubelet", command, folder)
}
