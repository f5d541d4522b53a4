//! One cluster of the demo: its control plane, its concierge, its authenticator, and a kubeconfig for people.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use latchkey_e2e::{
    cluster::{Cluster, ClusterOptions},
    concierge::{Concierge, ConciergeOptions},
    issuer::Issuer,
    wait::eventually,
};
use serde_json::Value;
use tokio::process::Command;

use super::person::{Answer, Person};

/// The name of the authenticator, the same in every cluster: only its audience differs.
pub(crate) const AUTHENTICATOR: &str = "corp";

/// What people may do, as a user would apply it.
const DEVELOPERS_VIEW: &str = include_str!("../../../../deploy/examples/developers-view.yaml");

/// How long a status may take: discovery, keys and a probe of each strategy take a second or two.
const STATUS_LIMIT: std::time::Duration = std::time::Duration::from_secs(90);

/// A cluster with Latchkey in it.
pub(crate) struct Site {
    pub(crate) name: &'static str,
    pub(crate) cluster: Cluster,
    pub(crate) concierge: Concierge,
    pub(crate) kubeconfig: PathBuf,
}

impl Site {
    /// This cluster's audience: the id of its own client at the identity provider.
    pub(crate) fn audience(name: &str) -> String {
        format!("kubernetes-{name}")
    }

    /// Starts a control plane and installs Latchkey from `deploy/`.
    pub(crate) async fn start(name: &'static str, work: &Path) -> Result<Self> {
        let cluster = Cluster::start(ClusterOptions::named(name)).await?;
        let options = ConciergeOptions { cluster_name: name.to_owned(), ..ConciergeOptions::default() };
        let concierge = Concierge::install(&cluster, options).await?;
        Ok(Self { name, cluster, concierge, kubeconfig: work.join(format!("kubeconfig-{name}.yaml")) })
    }

    /// What an admin does where API server flags can be set: append Latchkey's own CA to `--client-ca-file`.
    pub(crate) async fn trust_own_authority(&self) -> Result<()> {
        let name = "latchkey-client-certificate-authority";
        let bundle = eventually("the published CA of our own", STATUS_LIMIT, async || {
            let output = self
                .cluster
                .kubectl(&["-n", "latchkey", "get", "configmap", name, "-o", r"jsonpath={.data.ca\.crt}"])
                .await?;
            let pem = String::from_utf8_lossy(&output.stdout).into_owned();
            ensure!(pem.contains("BEGIN CERTIFICATE"), "{}", String::from_utf8_lossy(&output.stderr));
            Ok(pem)
        })
        .await?;
        self.cluster.set_client_ca(&bundle).await
    }

    /// Says whom to trust and what developers may do, and waits until the authenticator is ready.
    pub(crate) async fn trust(&self, issuer: &Issuer) -> Result<()> {
        let authenticator = serde_json::json!({
            "apiVersion": "authentication.concierge.latchkey.dev/v1alpha1",
            "kind": "JWTAuthenticator",
            "metadata": {"name": AUTHENTICATOR},
            "spec": {
                "issuer": issuer.url(),
                "audience": Self::audience(self.name),
                "tls": {"certificateAuthorityData": base64(&issuer.ca_pem())},
            },
        });
        self.cluster.apply(&authenticator.to_string()).await?;
        self.cluster.apply(DEVELOPERS_VIEW).await?;
        eventually(
            &format!("JWTAuthenticator {AUTHENTICATOR} on {} to be Ready", self.name),
            STATUS_LIMIT,
            async || {
                let object = self.get(&["jwtauthenticator", AUTHENTICATOR]).await?;
                let phase = object["status"]["phase"].as_str().unwrap_or("without a phase").to_owned();
                ensure!(phase == "Ready", "{}", object["status"]);
                Ok(())
            },
        )
        .await
    }

    /// Waits until credentials are made by `strategy` and no other.
    pub(crate) async fn offers(&self, strategy: &str) -> Result<()> {
        eventually(&format!("{} to offer {strategy}", self.name), STATUS_LIMIT, async || {
            let object = self.get(&["credentialissuer", "latchkey"]).await?;
            let strategies = object["status"]["strategies"].as_array().cloned().unwrap_or_default();
            let offered = strategies.iter().find(|entry| entry["status"] == "Success");
            ensure!(offered.is_some_and(|entry| entry["type"] == strategy), "{}", Value::from(strategies.clone()));
            Ok(())
        })
        .await
    }

    /// Has the plugin write a kubeconfig for people, as the cluster's admin.
    pub(crate) async fn write_kubeconfig(&self, admin: &Person, plugin: &Path) -> Result<Answer> {
        let mut command = Command::new(plugin);
        command
            .args(["kubeconfig", "--name", self.name, "--force", "--output"])
            .arg(&self.kubeconfig)
            .arg("--kubeconfig")
            .arg(self.cluster.admin_kubeconfig());
        let answer = admin.run(command).await?;
        ensure!(answer.ok, "kubectl latchkey kubeconfig: {}", answer.seen());
        Ok(answer)
    }

    /// The audit records of exchanges, in order.
    pub(crate) fn exchanges(&self) -> Result<Vec<Value>> {
        let lines = self.concierge.audit_lines()?;
        Ok(lines.into_iter().filter(|line| line["surface"] == "exchange").collect())
    }

    async fn get(&self, what: &[&str]) -> Result<Value> {
        let text = self.cluster.kubectl_ok(&[&["get", "-o", "json"], what].concat()).await?;
        serde_json::from_str(&text).context("kubectl get -o json")
    }
}

fn base64(text: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.encode(text)
}
