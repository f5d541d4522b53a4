//! What a test wants from its cluster.

use std::path::PathBuf;

/// How a control plane is started.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// Names the folder, the kubeconfig contexts and the messages.
    pub name: String,
    /// A PEM bundle appended to `--client-ca-file`: certificate authorities whose client certificates are to be admitted.
    pub client_ca_extra: Option<PathBuf>,
    /// Whether kube-apiserver admits requests without credentials (`--anonymous-auth`).
    pub anonymous: bool,
    /// Whether kube-controller-manager is started, and with it the certificate signers.
    pub controllers_running: bool,
    /// Whether its controllers also make Deployments into pods, which then wait for a kubelet, and count what a
    /// disruption budget allows.
    pub workloads: bool,
    /// kube-apiserver's audit policy in place of the usual one (everybody's requests at level Metadata).
    pub audit_policy: Option<String>,
    /// More flags for kube-apiserver.
    pub api_server_args: Vec<String>,
}

impl ClusterOptions {
    /// What most tests want: anonymous requests admitted, controllers running.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            client_ca_extra: None,
            anonymous: true,
            controllers_running: true,
            workloads: false,
            audit_policy: None,
            api_server_args: Vec::new(),
        }
    }
}
