//! One cluster with Latchkey in it: its control plane, its concierge, its authenticator, and a kubeconfig for people.

use std::path::{Path, PathBuf};

use crate::{
    cluster::{Cluster, ClusterOptions},
    concierge::{Concierge, ConciergeOptions},
    issuer::Issuer,
    person::{Answer, Person},
    programs::Programs,
    wait::eventually,
};
use anyhow::{Context as _, Result, ensure};
use latchkey_crds::groups::GroupSuffix;
use serde_json::Value;
use tokio::process::Command;

/// The name of the authenticator, the same in every cluster: only its audience differs.
pub const AUTHENTICATOR: &str = "corp";

/// What people may do, as a user would apply it.
const DEVELOPERS_VIEW: &str = include_str!("../../deploy/examples/developers-view.yaml");

/// How long a status may take: discovery, keys and a probe of each strategy take a second or two.
const STATUS_LIMIT: std::time::Duration = std::time::Duration::from_secs(90);

/// A cluster with Latchkey in it.
pub struct Site {
    /// `staging`, `production`, ...: the cluster's name, and the context's in the kubeconfig.
    pub name: &'static str,
    /// The control plane.
    pub cluster: Cluster,
    /// What runs in it.
    pub concierge: Concierge,
    /// Where [`Site::write_kubeconfig`] puts the kubeconfig for people.
    pub kubeconfig: PathBuf,
}

impl Site {
    /// This cluster's audience: the id of its own client at the identity provider.
    #[must_use]
    pub fn audience(name: &str) -> String {
        format!("kubernetes-{name}")
    }

    /// Starts a control plane and installs Latchkey from `deploy/`.
    ///
    /// # Errors
    /// If one of the programs does not come up.
    pub async fn start(name: &'static str, work: &Path) -> Result<Self> {
        Self::start_on(ClusterOptions::named(name), name, work).await
    }

    /// The same on a control plane of other options.
    ///
    /// # Errors
    /// If one of the programs does not come up.
    pub async fn start_on(options: ClusterOptions, name: &'static str, work: &Path) -> Result<Self> {
        Self::start_with(options, ConciergeOptions::default(), name, work).await
    }

    /// The same with a concierge of other options; its cluster name is `name`.
    ///
    /// # Errors
    /// If one of the programs does not come up.
    pub async fn start_with(
        cluster: ClusterOptions,
        concierge: ConciergeOptions,
        name: &'static str,
        work: &Path,
    ) -> Result<Self> {
        let cluster = Cluster::start(cluster).await?;
        let options = ConciergeOptions { cluster_name: name.to_owned(), ..concierge };
        let concierge = Concierge::install(&cluster, options).await?;
        Ok(Self { name, cluster, concierge, kubeconfig: work.join(format!("kubeconfig-{name}.yaml")) })
    }

    /// What an admin does where API server flags can be set: append Latchkey's own CA to `--client-ca-file`.
    ///
    /// # Errors
    /// If nothing is published, or the API server does not take it over.
    pub async fn trust_own_authority(&self) -> Result<()> {
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
    ///
    /// # Errors
    /// If an object is refused or the authenticator does not become ready.
    pub async fn trust(&self, issuer: &Issuer) -> Result<()> {
        self.trust_at(issuer.url(), &issuer.ca_pem(), "preferred_username").await
    }

    /// The same for any identity provider: its address, the CA of its certificate, and the claim that names people.
    ///
    /// # Errors
    /// If an object is refused or the authenticator does not become ready.
    pub async fn trust_at(&self, issuer: &str, ca_pem: &str, username_claim: &str) -> Result<()> {
        let authenticator = serde_json::json!({
            "apiVersion": GroupSuffix::api_version(&self.concierge.suffix().authentication()),
            "kind": "JWTAuthenticator",
            "metadata": {"name": AUTHENTICATOR},
            "spec": {
                "issuer": issuer,
                "audience": Self::audience(self.name),
                "claims": {"username": username_claim, "groups": "groups"},
                "tls": {"certificateAuthorityData": base64(ca_pem)},
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
    ///
    /// # Errors
    /// If it does not in time: with the status.
    pub async fn offers(&self, strategy: &str) -> Result<()> {
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
    ///
    /// # Errors
    /// If the plugin fails: with its words.
    pub async fn write_kubeconfig(&self, admin: &Person) -> Result<Answer> {
        let mut command = Command::new(&Programs::find().await?.plugin);
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
    ///
    /// # Errors
    /// If a record is not JSON.
    pub fn exchanges(&self) -> Result<Vec<Value>> {
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
