//! What `deploy/examples` does in a cluster with a concierge: applied by kubectl, with a sealed Secret, and by Ansible.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use latchkey_e2e::{
    ansible,
    child::Child,
    cluster::Cluster,
    definitions,
    exchange::Exchanger,
    folder::TempFolder,
    in_cluster,
    issuer::{Issuer, IssuerOptions},
    not_run::long_wanted,
    ports,
    site::Site,
    tools::Tool,
    wait::{Observation, eventually},
};
use serde_json::Value;
use tokio::{io::AsyncWriteExt as _, process::Command};

use crate::tree::{deploy, documents};

/// The authenticator of the examples, and the Secret with its issuer's authority.
const AUTHENTICATOR: &str = "main";
const AUTHORITY: &str = "idp-ca";

/// Seconds; the rest is for two busy cores.
const LIMIT: Duration = Duration::from_mins(2);

/// sealed-secrets makes an RSA key of 4096 bits at its start.
const CONTROLLER_LIMIT: Duration = Duration::from_mins(3);

#[tokio::test]
async fn access_comes_by_kubectl_with_a_sealed_secret_and_by_ansible() -> Result<()> {
    if !long_wanted("a sealed Secret and the Ansible play", "their programs take minutes to build and to fetch") {
        return Ok(());
    }
    let work = TempFolder::new("examples")?;
    let issuer = Issuer::start(IssuerOptions::default()).await?;
    let site = Site::start("staging", work.path()).await?;
    let examples = copied(
        &work,
        &issuer,
        &format!("certificateAuthorityDataSource: {{kind: Secret, name: {AUTHORITY}, key: ca.crt}}"),
    )?;
    let life = site.concierge.pid()?;

    let access = examples.join("staging/access").to_string_lossy().into_owned();
    site.cluster.kubectl_ok(&["apply", "-k", &access]).await?;
    eventually("the status to name the missing Secret", LIMIT, async || {
        let ready = site.condition(AUTHENTICATOR, "Ready").await?;
        let status = ["get", "jwtauthenticator", AUTHENTICATOR, "-o", "jsonpath={.status}"];
        let status = site.cluster.kubectl_ok(&status).await?;
        ensure!(ready["status"] == "False" && status.contains(AUTHORITY), "{status}");
        anyhow::Ok(())
    })
    .await?;

    match Sealer::start(&site.cluster, work.path()).await? {
        Some(sealer) => sealed(&site.cluster, &sealer, work.path(), &issuer).await?,
        // The rest wants the Secret all the same.
        None => site.cluster.apply(&secret(&site.cluster, AUTHORITY, work.path(), &issuer).await?).await.map(drop)?,
    }
    site.ready(AUTHENTICATOR).await?;
    lets_in(&site, &issuer).await?;

    site.cluster.kubectl_ok(&["delete", "-k", &access]).await?;
    let words = play(&site.cluster, &examples, work.path()).await?;
    ensure!(words.contains("failed=0") && !words.contains("changed=0"), "{words}");
    lets_in(&site, &issuer).await?;
    let bound = site.cluster.kubectl_ok(&["get", "clusterrolebinding", "developers-view", "sre-cluster-admin"]).await?;
    ensure!(bound.lines().count() == 3, "{bound}");
    let again = play(&site.cluster, &examples, work.path()).await?;
    ensure!(again.contains("changed=0"), "a second run changes something: {again}");

    ensure!(site.concierge.pid()? == life, "it was started again");
    Ok(())
}

/// The examples with this issuer in them, as a team would write its own.
pub(crate) fn copied(work: &TempFolder, issuer: &Issuer, trust: &str) -> Result<PathBuf> {
    let copy = work.path().join("source/deploy");
    std::fs::create_dir_all(&copy)?;
    let done = std::process::Command::new("cp").arg("-r").arg(deploy().join("examples")).arg(&copy).status()?;
    ensure!(done.success(), "copying the examples: {done}");
    let examples = copy.join("examples");
    for file in ["access/authenticator.yaml", "fleet/staging.yaml", "fleet/production.yaml"] {
        let path = examples.join(file);
        let text = std::fs::read_to_string(&path)?;
        ensure!(text.contains("https://idp.example.com/realms/main"), "{file} names another issuer");
        let text = text.replace("https://idp.example.com/realms/main", issuer.url());
        let text = text.replace("    username: email\n", "    username: preferred_username\n");
        std::fs::write(&path, text.replace("  claims:\n", &format!("  tls:\n    {trust}\n  claims:\n")))?;
    }
    Ok(examples)
}

/// This cluster's tokens open it.
pub(crate) async fn lets_in(site: &Site, issuer: &Issuer) -> Result<()> {
    let token = issuer.id_token("ann", &Site::audience(site.name))?;
    let answer = Exchanger::through(&site.cluster)?.exchange_at(AUTHENTICATOR, &token).await?;
    ensure!(answer.is_granted(), "{:?}", answer.audit_id());
    Ok(())
}

/// As the page says: sealed on somebody's machine, applied, and there.
async fn sealed(cluster: &Cluster, sealer: &Sealer, work: &Path, issuer: &Issuer) -> Result<()> {
    let plain = secret(cluster, AUTHORITY, work, issuer).await?;
    let closed = sealer.seal(&plain).await?;
    let object = documents(&closed)?.remove(0);
    let hidden = object["spec"]["encryptedData"]["ca.crt"].as_str().context("something sealed")?;
    ensure!(hidden.len() > issuer.ca_pem().len() && !closed.contains("BEGIN CERTIFICATE"), "{closed}");

    // Its name is part of what is sealed: under another one nobody can open it.
    let renamed = closed.replace(&format!("name: {AUTHORITY}"), "name: renamed");
    cluster.apply(&renamed).await?;
    let told = synced(cluster, "renamed", "False").await?;
    ensure!(told["message"].as_str().is_some_and(|words| words.contains("no key could decrypt secret")), "{told}");

    cluster.apply(&closed).await?;
    synced(cluster, AUTHORITY, "True").await?;
    cluster.kubectl_ok(&["get", "secret", AUTHORITY, "--namespace", "latchkey"]).await.map(drop)
}

async fn synced(cluster: &Cluster, name: &str, status: &str) -> Result<Value> {
    eventually(&format!("SealedSecret {name} to be Synced={status}"), LIMIT, async || {
        let text = cluster.kubectl_ok(&["get", "sealedsecret", name, "--namespace", "latchkey", "-o", "json"]).await?;
        let object: Value = serde_json::from_str(&text)?;
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found =
            conditions.into_iter().find(|condition| condition["type"] == "Synced").context("no condition yet")?;
        ensure!(found["status"] == status, "{found}");
        anyhow::Ok(found)
    })
    .await
}

/// The issuer's authority as a Secret, not sent anywhere.
async fn secret(cluster: &Cluster, name: &str, work: &Path, issuer: &Issuer) -> Result<String> {
    let file = work.join("ca.crt");
    std::fs::write(&file, issuer.ca_pem())?;
    let from = format!("--from-file=ca.crt={}", file.display());
    let words =
        ["create", "secret", "generic", name, "--namespace", "latchkey", "--dry-run=client", "--output", "yaml"];
    cluster.kubectl_ok(&[&words[..], &[from.as_str()]].concat()).await
}

/// The controller of sealed-secrets, and its certificate.
struct Sealer {
    _controller: Child,
    certificate: PathBuf,
}

impl Sealer {
    async fn start(cluster: &Cluster, work: &Path) -> Result<Option<Self>> {
        let account = "sealed-secrets";
        cluster.kubectl_ok(&["create", "serviceaccount", account, "--namespace", "kube-system"]).await?;
        let subject = format!("--serviceaccount=kube-system:{account}");
        cluster.kubectl_ok(&["create", "clusterrolebinding", account, "--clusterrole=cluster-admin", &subject]).await?;
        definitions::install(cluster, &["sealed-secrets"]).await?;
        let program = Tool::SealedSecrets.find().await?;
        let Some(mut command) = in_cluster::command(cluster, "kube-system", account, &program, work).await? else {
            return Ok(None);
        };
        let port = ports::free()?;
        command.arg(format!("--listen-addr=127.0.0.1:{port}"));
        command.arg(format!("--listen-metrics-addr=127.0.0.1:{}", ports::free()?));
        let mut controller = Child::spawn("sealed-secrets", command, work)?;
        let url = format!("http://127.0.0.1:{port}/v1/cert.pem");
        let pem = eventually("the certificate of sealed-secrets", CONTROLLER_LIMIT, async || {
            if let Err(dead) = controller.check_alive() {
                return Observation::Hopeless(dead);
            }
            let answer = async { reqwest::get(&url).await?.error_for_status()?.text().await };
            answer.await.map_err(|error: reqwest::Error| anyhow::anyhow!(error)).into()
        })
        .await?;
        let certificate = work.join("staging.pem");
        std::fs::write(&certificate, pem)?;
        Ok(Some(Self { _controller: controller, certificate }))
    }

    async fn seal(&self, secret: &str) -> Result<String> {
        let mut kubeseal = Command::new(Tool::Kubeseal.find().await?);
        kubeseal.arg("--cert").arg(&self.certificate).args(["--format", "yaml"]);
        kubeseal.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = kubeseal.spawn().context("starting kubeseal")?;
        child.stdin.take().context("its input")?.write_all(secret.as_bytes()).await?;
        let output = child.wait_with_output().await?;
        ensure!(output.status.success(), "kubeseal: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// The play, in the one cluster that there is.
async fn play(cluster: &Cluster, examples: &Path, work: &Path) -> Result<String> {
    let mut command = ansible::playbook().await?;
    let folder = examples.join("ansible");
    command.arg("-i").arg(folder.join("inventory.yaml")).arg(folder.join("access.yaml")).args(["--limit", "staging"]);
    command.env("KUBECONFIG", cluster.admin_kubeconfig());
    ansible::play(command, work).await
}
