//! The cluster's kube-controller-manager: service accounts, certificate signers, namespaces, garbage.

use std::path::Path;

use anyhow::Result;
use rustix::process::Signal;

use super::certificates::Certificates;
use crate::{child::Child, folder::TempFolder, place::Place};

/// What a cluster without nodes needs: no scheduler's food, no cloud, no volumes.
const CONTROLLERS: [&str; 9] = [
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "root-ca-certificate-publisher-controller",
    "certificatesigningrequest-approving-controller",
    "certificatesigningrequest-signing-controller",
    "certificatesigningrequest-cleaner-controller",
    "clusterrole-aggregation-controller",
    "namespace-controller",
    "garbage-collector-controller",
];

/// What a Deployment needs to become pods, and a drain to be slowed.
const WORKLOADS: [&str; 3] = ["deployment-controller", "replicaset-controller", "disruption-controller"];

pub(super) struct ControllerManager {
    child: Child,
}

impl ControllerManager {
    pub(super) fn start(
        program: &Path,
        folder: &TempFolder,
        certificates: &Certificates,
        kubeconfig: &Path,
        place: &Place,
        workloads: bool,
    ) -> Result<Self> {
        let controllers = match (place.is_node(), workloads) {
            (true, _) => "*".to_owned(),
            (false, true) => [&CONTROLLERS[..], &WORKLOADS].concat().join(","),
            (false, false) => CONTROLLERS.join(","),
        };
        let mut command = place.command(program);
        for flag in ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"] {
            command.arg(format!("--{flag}={}", kubeconfig.display()));
        }
        for (flag, path) in [
            ("service-account-private-key-file", &certificates.service_account_key),
            ("root-ca-file", &certificates.ca),
            ("cluster-signing-cert-file", &certificates.ca),
            ("cluster-signing-key-file", &certificates.ca_key),
        ] {
            command.arg(format!("--{flag}={}", path.display()));
        }
        command
            .arg(format!("--controllers={controllers}"))
            // Without it nearly everything is forbidden to this identity, and kube-root-ca.crt never appears.
            .arg("--use-service-account-credentials=true")
            // The defaults throttle its own start: 5 s to the root CA's config map in place of 1 s.
            .args(["--kube-api-qps=200", "--kube-api-burst=400"])
            // No port: nobody asks it anything, and two of them would quarrel about the default.
            .args(["--leader-elect=false", "--secure-port=0"]);
        Ok(Self { child: Child::spawn("kube-controller-manager", command, folder.path())? })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.pid()
    }

    pub(super) fn signal(&self, signal: Signal) -> Result<()> {
        self.child.signal(signal)
    }

    pub(super) fn check_alive(&mut self) -> Result<()> {
        self.child.check_alive()
    }

    pub(super) fn last_words(&self) -> String {
        self.child.last_words()
    }
}
