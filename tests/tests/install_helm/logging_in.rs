//! Chapter 2: whom to trust, by the examples' overlay of this cluster; a person who logs in; and a token of another cluster.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use latchkey_e2e::{
    exchange::Exchanger, folder::TempFolder, installed::Installed, issuer::Issuer, node::NodeCluster, person::Person,
    programs::Programs,
};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{CLUSTER, REPOSITORY};

/// The authenticator of the examples.
pub(crate) const AUTHENTICATOR: &str = "main";

/// Ann, her kubeconfig, and nobody else.
pub(crate) struct People {
    pub(crate) ann: Person,
    pub(crate) kubeconfig: PathBuf,
}

impl People {
    pub(crate) async fn arrive(cluster: &NodeCluster, issuer: &Issuer, work: &TempFolder) -> Result<Self> {
        let overlay = overlay(work, issuer)?;
        cluster.kubectl_ok(&[Path::new("apply").as_os_str(), "-k".as_ref(), overlay.as_os_str()]).await?;
        let authenticator = format!("jwtauthenticators.authentication.concierge.latchkey.dev/{AUTHENTICATOR}");
        cluster.kubectl_ok(&["wait", "--for=condition=Ready", "--timeout=50s", &authenticator]).await?;

        let home = work.path().join("ann");
        fs::create_dir(&home)?;
        let mut ann = Person::new(&home, cluster.kubectl_program(), Programs::find().await?)?;
        ann.script_browser(&issuer.ca_pem(), "ann", "ann-password")?;
        ann.note_runs()?;
        let kubeconfig = work.path().join("staging.yaml");
        let mut command = Command::new(cluster.kubectl_program());
        command.args(["latchkey", "kubeconfig", "--output"]).arg(&kubeconfig).env("KUBECONFIG", cluster.kubeconfig());
        let answer = ann.run(command).await?;
        ensure!(answer.ok, "kubectl latchkey kubeconfig: {}", answer.seen());

        let people = Self { ann, kubeconfig };
        let answer = people.kubectl(&["get", "pods"]).await?;
        ensure!(answer.contains("No resources found"), "{answer}");
        let user: Value = serde_json::from_str(&people.kubectl(&["auth", "whoami", "-o", "json"]).await?)?;
        let user = &user["status"]["userInfo"];
        ensure!(user["username"] == "oidc:ann@example.com", "{user}");
        ensure!(user["groups"] == json!(["oidc:developers", "system:authenticated"]), "{user}");
        ensure!(people.ann.invitations()?.len() == 1, "one login");
        Ok(people)
    }

    /// Ann's kubectl, which must succeed.
    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let answer = self.ann.kubectl(&self.kubeconfig, arguments).await?;
        ensure!(answer.ok, "kubectl {}: {}", arguments.join(" "), answer.seen());
        Ok(answer.seen())
    }

    /// Correctly signed, not expired, and made for another cluster of the fleet.
    pub(crate) async fn bring_a_token_of_production(&self, cluster: &NodeCluster, issuer: &Issuer) -> Result<()> {
        let token = issuer.id_token("ann", "kubernetes-production")?;
        let answer = Exchanger::through(cluster)?.exchange_at(AUTHENTICATOR, &token).await?;
        answer.refused()?;
        let record = Installed::of(cluster).record_of(answer.audit_id()?).await?;
        ensure!(record["kind"] == "token.refused" && record["code"] == "audience-other-cluster", "{record}");
        ensure!(record["cluster"] == CLUSTER && record["claimedCluster"] == "production", "{record}");
        let pods = Installed::of(cluster).pods().await?;
        ensure!(pods.iter().any(|pod| record["replica"] == pod.name), "{record} of none of {pods:?}");
        let rejections = ["get", "tokenrejections", "-o", "wide"];
        let listed = cluster.kubectl_ok(&rejections).await?;
        let line = listed.lines().find(|line| line.contains("audience-other-cluster"));
        ensure!(line.context("no rejection")?.contains("production"), "{listed}");
        Ok(())
    }
}

/// The examples' own, with this test's issuer wherever theirs stands.
fn overlay(work: &TempFolder, issuer: &Issuer) -> Result<PathBuf> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let overlay = work.path().join("access");
    fs::create_dir(&overlay)?;
    // kustomize takes a base by relative path only.
    let up = "../".repeat(overlay.canonicalize()?.components().count() - 1);
    let base = Path::new(REPOSITORY).join("deploy/examples").join(CLUSTER).join("access").canonicalize()?;
    let base = format!("{up}{}", base.display().to_string().trim_start_matches('/'));
    let patch = |target: Value, operations: Value| json!({"target": target, "patch": operations.to_string()});
    let authority = json!({"certificateAuthorityData": STANDARD.encode(issuer.ca_pem())});
    let kustomization = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [base],
        "patches": [
            patch(
                json!({"kind": "JWTAuthenticator"}),
                json!([
                    {"op": "replace", "path": "/spec/issuer", "value": issuer.url()},
                    {"op": "add", "path": "/spec/tls", "value": authority},
                ]),
            ),
            patch(
                json!({"kind": "FleetCluster"}),
                json!([{"op": "replace", "path": "/spec/issuers", "value": [issuer.url()]}]),
            ),
        ],
    });
    fs::write(overlay.join("kustomization.yaml"), kustomization.to_string())?;
    Ok(overlay)
}
