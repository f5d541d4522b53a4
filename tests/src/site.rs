//! One cluster with Latchkey in it: its control plane, its concierge, its authenticator, and a kubeconfig for people.

use std::path::{Path, PathBuf};

use crate::{
    cluster::{Cluster, ClusterOptions},
    concierge::{Concierge, ConciergeOptions},
    issuer::{Client, Issuer, IssuerOptions, User},
    person::{Answer, Person},
    programs::Programs,
    wait::eventually,
};
use anyhow::{Context as _, Result, ensure};
use latchkey_crds::groups::{GroupSuffix, VERSION};
use serde_json::Value;
use tokio::process::Command;

/// The name of the authenticator, the same in every cluster: only its audience differs.
pub const AUTHENTICATOR: &str = "corp";

/// What people may do, as a user would apply it.
const DEVELOPERS_VIEW: &str = include_str!("../../deploy/examples/rbac/developers-view.yaml");

/// The overlays of the clusters that the examples are about.
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/examples");

/// How long a status may take: discovery, keys and a probe of each strategy take a second or two.
const STATUS_LIMIT: std::time::Duration = std::time::Duration::from_secs(90);

/// The sink writes within milliseconds; the rest is for two busy cores.
const RECORD_LIMIT: std::time::Duration = std::time::Duration::from_secs(30);

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
    /// For reading objects: kubectl costs a tenth of a second of CPU, too much for looking every 25 ms.
    client: kube::Client,
}

/// An issuer with a client for each of these clusters, and with one person: `ann`, of the group `developers`.
///
/// # Errors
/// If it cannot listen.
pub async fn issuer_for(clusters: &[&str]) -> Result<Issuer> {
    let clients = clusters.iter().map(|name| Client::native(&Site::audience(name))).collect();
    let users = vec![User::new("ann", "ann-password").groups(&["developers"])];
    Issuer::start(IssuerOptions { clients, users, ..IssuerOptions::default() }).await
}

/// Two clusters of one fleet, `staging` and `production`, each of which trusts `issuer` for its own audience.
///
/// # Errors
/// If one of them does not come up.
pub async fn fleet_of_two(work: &Path, issuer: &Issuer) -> Result<[Site; 2]> {
    // Boxed: two starts side by side are 20 KB, and would be that in every test.
    let start = |name| Box::pin(Site::start(name, work));
    let (staging, production) = tokio::try_join!(start("staging"), start("production"))?;
    let audiences = [&staging, &production].map(|site| (site.name, Site::audience(site.name)));
    for site in [&staging, &production] {
        site.fleet(&audiences.each_ref().map(|(name, audience)| (*name, audience.as_str()))).await?;
        site.trust(issuer).await?;
    }
    Ok([staging, production])
}

/// A kubeconfig with one context, `nowhere`: a cluster whose machine is off.
pub const NOWHERE: &str = "\
apiVersion: v1
kind: Config
clusters: [{name: nowhere, cluster: {server: 'https://127.0.0.1:9'}}]
contexts: [{name: nowhere, context: {cluster: nowhere, user: nowhere}}]
users: [{name: nowhere, user: {token: none}}]
";

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
        let client = cluster.client().await?;
        Ok(Self { name, cluster, concierge, kubeconfig: work.join(format!("kubeconfig-{name}.yaml")), client })
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
        self.trust_with(&self.authenticator(AUTHENTICATOR, issuer)).await
    }

    /// The same for any authenticator of the usual name: for an identity provider that is not ours.
    ///
    /// # Errors
    /// If an object is refused or the authenticator does not become ready.
    pub async fn trust_with(&self, authenticator: &Value) -> Result<()> {
        self.cluster.apply(&authenticator.to_string()).await?;
        // Authenticators of tests give groups as they stand in the token.
        self.cluster.apply(&DEVELOPERS_VIEW.replace("oidc:developers", "developers")).await?;
        self.ready(AUTHENTICATOR).await
    }

    /// Applies the fleet list: each cluster with its audience, for tokens of every issuer. It changes and adds, and takes
    /// nobody out; see [`Site::leave_fleet`].
    ///
    /// # Errors
    /// If an object is refused.
    pub async fn fleet(&self, members: &[(&str, &str)]) -> Result<()> {
        let items: Vec<Value> = members.iter().map(|(name, audience)| self.fleet_cluster(name, &[*audience])).collect();
        let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": items});
        self.cluster.apply(&list.to_string()).await.map(drop)
    }

    /// Has kube-apiserver refuse what the example policies are about: those of the overlay of the cluster's name.
    ///
    /// # Errors
    /// If there is no such overlay, or a policy is refused.
    pub async fn refuse_at_apply(&self) -> Result<()> {
        let overlay = format!("{EXAMPLES}/{}", self.name);
        let rendered = self.cluster.kubectl_ok(&["kustomize", &overlay]).await?;
        let is_policy = |object: &&str| object.contains("\nkind: ValidatingAdmissionPolicy");
        let policies: Vec<_> = rendered.split("\n---\n").filter(is_policy).collect();
        ensure!(!policies.is_empty(), "no policies in {overlay}");
        self.cluster.apply(&policies.join("\n---\n")).await.map(drop)
    }

    /// Takes a cluster out of the fleet list.
    ///
    /// # Errors
    /// If it is not in it.
    pub async fn leave_fleet(&self, name: &str) -> Result<()> {
        let kind = format!("fleetclusters.{}", self.concierge.suffix().config());
        self.cluster.kubectl_ok(&["delete", &kind, name]).await.map(drop)
    }

    /// One cluster of the fleet list, to be changed and applied.
    #[must_use]
    pub fn fleet_cluster(&self, name: &str, audiences: &[&str]) -> Value {
        serde_json::json!({
            "apiVersion": GroupSuffix::api_version(&self.concierge.suffix().config()),
            "kind": "FleetCluster",
            "metadata": {"name": name},
            "spec": {"audiences": audiences},
        })
    }

    /// An authenticator for this cluster's audience, to be changed and applied.
    #[must_use]
    pub fn authenticator(&self, name: &str, issuer: &Issuer) -> Value {
        self.authenticator_at(name, issuer.url(), &issuer.ca_pem())
    }

    /// The same for an identity provider that is not ours: its address and the CA of its certificate.
    #[must_use]
    pub fn authenticator_at(&self, name: &str, issuer: &str, ca_pem: &str) -> Value {
        serde_json::json!({
            "apiVersion": GroupSuffix::api_version(&self.concierge.suffix().authentication()),
            "kind": "JWTAuthenticator",
            "metadata": {"name": name},
            "spec": {
                "issuer": issuer,
                "audience": Self::audience(self.name),
                "claims": {"username": "preferred_username", "groups": "groups"},
                "tls": {"certificateAuthorityData": base64(ca_pem)},
            },
        })
    }

    /// Waits until an authenticator is ready, in its newest generation.
    ///
    /// # Errors
    /// If it is not in time: with its status.
    pub async fn ready(&self, authenticator: &str) -> Result<()> {
        let what = format!("JWTAuthenticator {authenticator} on {} to be Ready", self.name);
        eventually(&what, STATUS_LIMIT, async || {
            let ready = self.condition(authenticator, "Ready").await?;
            ensure!(ready["status"] == "True", "{ready}");
            Ok(())
        })
        .await
    }

    /// A condition of an authenticator, once it speaks of the newest generation.
    ///
    /// # Errors
    /// If there is none yet.
    pub async fn condition(&self, authenticator: &str, kind: &str) -> Result<Value> {
        let object = self.authenticator_object(authenticator).await?;
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions.into_iter().find(|condition| {
            condition["type"] == kind && condition["observedGeneration"] == object["metadata"]["generation"]
        });
        found.with_context(|| format!("no {kind} of this generation in {}", object["status"]))
    }

    /// What `CredentialIssuer` says of a strategy.
    ///
    /// # Errors
    /// If it says nothing yet.
    pub async fn strategy(&self, kind: &str) -> Result<Value> {
        let found = self.strategies().await?.into_iter().find(|strategy| strategy["type"] == kind);
        found.with_context(|| format!("the status says nothing of {kind}"))
    }

    /// Waits until credentials are made by `strategy` and no other.
    ///
    /// # Errors
    /// If it does not in time: with the status.
    pub async fn offers(&self, strategy: &str) -> Result<()> {
        eventually(&format!("{} to offer {strategy}", self.name), STATUS_LIMIT, async || {
            let strategies = self.strategies().await?;
            let offered = strategies.iter().find(|entry| entry["status"] == "Success");
            ensure!(offered.is_some_and(|entry| entry["type"] == strategy), "{}", Value::from(strategies.clone()));
            Ok(())
        })
        .await
    }

    /// Ann at a laptop with an empty cache, in a folder `home` that is made, before a browser that logs her in at `issuer` by
    /// itself.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub async fn ann(&self, home: &Path, issuer: &Issuer) -> Result<Person> {
        std::fs::create_dir(home).with_context(|| format!("making {}", home.display()))?;
        let mut ann = Person::new(home, self.cluster.kubectl_program(), Programs::find().await?)?;
        ann.script_browser(&issuer.ca_pem(), "ann", "ann-password")?;
        Ok(ann)
    }

    /// The same, and each run of her plugin is noted.
    ///
    /// # Errors
    /// If the folder or the script that notes cannot be made.
    pub async fn ann_noted(&self, home: &Path, issuer: &Issuer) -> Result<Person> {
        let mut ann = self.ann(home, issuer).await?;
        ann.note_runs()?;
        Ok(ann)
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

    /// How many credentials were handed out.
    ///
    /// # Errors
    /// If a record is not JSON.
    pub fn granted(&self) -> Result<usize> {
        Ok(self.exchanges()?.iter().filter(|record| record["code"] == "granted").count())
    }

    /// What was recorded of the exchange that was answered under this audit id. A refusal is answered without waiting for
    /// its record.
    ///
    /// # Errors
    /// If the record is not written in time, or there are two.
    pub async fn record_of(&self, audit_id: &str) -> Result<Value> {
        eventually(&format!("the audit record of {audit_id}"), RECORD_LIMIT, async || {
            let mut records = self.exchanges()?;
            records.retain(|record| record["auditID"] == audit_id);
            ensure!(records.len() == 1, "{} records", records.len());
            Ok(records.remove(0))
        })
        .await
    }

    /// What this replica has recorded of the authenticator itself rather than of a request, in order.
    ///
    /// # Errors
    /// If a record is not JSON.
    pub fn changes(&self, authenticator: &str) -> Result<Vec<Value>> {
        let mut records = self.concierge.audit_lines()?;
        records.retain(|record| {
            let is_change = record["kind"] == "authenticator.changed" || record["kind"] == "keys.changed";
            is_change && record["authenticator"]["name"] == authenticator
        });
        Ok(records)
    }

    /// The last exchange that ended with this code.
    ///
    /// # Errors
    /// If none is written in time.
    pub async fn last_record(&self, code: &str) -> Result<Value> {
        eventually(&format!("an audit record with code {code}"), RECORD_LIMIT, async || {
            let record = self.exchanges()?.into_iter().rfind(|record| record["code"] == code);
            anyhow::Ok(record.context("none yet")?)
        })
        .await
    }

    /// Any object as JSON, by its path in the API.
    ///
    /// # Errors
    /// If there is none.
    pub async fn get(&self, path: &str) -> Result<Value> {
        let request = http::Request::get(path).body(Vec::new())?;
        self.client.request(request).await.with_context(|| format!("reading {path}"))
    }

    /// A `JWTAuthenticator` as it stands.
    ///
    /// # Errors
    /// If there is none.
    pub async fn authenticator_object(&self, name: &str) -> Result<Value> {
        let group = self.concierge.suffix().authentication();
        self.get(&format!("/apis/{group}/{VERSION}/jwtauthenticators/{name}")).await
    }

    /// The tokens that were refused, one object for many of the same kind.
    ///
    /// # Errors
    /// If they cannot be listed.
    pub async fn rejections(&self) -> Result<Vec<Value>> {
        let group = self.concierge.suffix().audit();
        let list = self.get(&format!("/apis/{group}/{VERSION}/tokenrejections")).await?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    async fn strategies(&self) -> Result<Vec<Value>> {
        let group = self.concierge.suffix().config();
        let object = self.get(&format!("/apis/{group}/{VERSION}/credentialissuers/latchkey")).await?;
        Ok(object["status"]["strategies"].as_array().cloned().unwrap_or_default())
    }
}

fn base64(text: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.encode(text)
}
