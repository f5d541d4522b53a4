//! Flux' own kustomize-controller does what `deploy/examples/flux` says. Building it takes minutes, so only with
//! `LATCHKEY_LONG=1`.
//!
//! Its source is a tarball on the loopback, where Flux' source-controller would put one. helm-controller cannot be built from its
//! module's own requirements (one of them is not in Go's checksum database), so the test plays it: it installs the concierge
//! as ever and says that the release is ready.

use std::{collections::BTreeMap, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use aws_lc_rs::digest::{SHA256, digest};
use axum::{Router, routing::get};
use base64::Engine as _;
use latchkey_e2e::{
    child::Child,
    cluster::Cluster,
    definitions,
    folder::TempFolder,
    issuer::{Issuer, IssuerOptions},
    not_run::long_wanted,
    ports,
    site::Site,
    tools::Tool,
    wait::eventually,
};
use serde_json::{Value, json};

use crate::{
    site::{copied, lets_in},
    tree::deploy,
};

/// It looks at what others wait for every two seconds here.
const LIMIT: Duration = Duration::from_mins(4);

#[tokio::test]
async fn flux_takes_the_folder_of_a_cluster_and_logins_work() -> Result<()> {
    if !long_wanted("Flux takes the folder of a cluster", "its kustomize-controller takes minutes to build") {
        return Ok(());
    }
    let work = TempFolder::new("flux")?;
    let issuer = Issuer::start(IssuerOptions::default()).await?;
    let site = Site::start("staging", work.path()).await?;
    let authority = base64::engine::general_purpose::STANDARD.encode(issuer.ca_pem());
    copied(&work, &issuer, &format!("certificateAuthorityData: {authority}"))?;
    let repository = repository(&work)?;
    let cluster = &site.cluster;
    definitions::install(cluster, &["fluxcd"]).await?;
    cluster.apply("{apiVersion: v1, kind: Namespace, metadata: {name: flux-system}}").await?;
    let _controller = controller(cluster, work.path()).await?;
    source(cluster, work.path(), &repository).await?;

    bootstrap(cluster).await?;
    for kind in ["ocirepository/latchkey", "helmrelease/latchkey-concierge"] {
        eventually(&format!("Flux to apply {kind}"), LIMIT, async || {
            cluster.kubectl_ok(&["get", "--namespace", "latchkey", kind]).await
        })
        .await?;
    }
    // The concierge is there and the release does not say so yet: nobody goes ahead of it.
    let early = cluster.kubectl_ok(&["get", "jwtauthenticators,fleetclusters", "-o", "name"]).await?;
    ensure!(early.is_empty(), "{early} came before the concierge was ready");
    for kind in ["ocirepository/latchkey", "helmrelease/latchkey-concierge"] {
        is_ready(cluster, "latchkey", kind).await?;
    }
    for name in ["flux-system", "latchkey-admission", "latchkey-access"] {
        let wanted = format!("kustomization/{name}");
        let wait = ["wait", "--for=condition=Ready", "--timeout=50s", "--namespace", "flux-system", &wanted];
        eventually(&wanted, LIMIT, async || {
            let status = cluster.kubectl(&["get", &wanted, "-n", "flux-system", "-o", "jsonpath={.status}"]).await?;
            cluster.kubectl_ok(&wait).await.with_context(|| String::from_utf8_lossy(&status.stdout).into_owned())
        })
        .await?;
    }
    each_object_is_of_one(cluster).await?;
    let audience = ["get", "jwtauthenticator", "main", "-o", "jsonpath={.spec.audience}"];
    ensure!(cluster.kubectl_ok(&audience).await? == "kubernetes-staging");
    lets_in(&site, &issuer).await?;
    let own = [
        "get",
        "validatingadmissionpolicy",
        "latchkey-audience-unique",
        "-o",
        "jsonpath={.spec.variables[0].expression}",
    ];
    ensure!(cluster.kubectl_ok(&own).await? == "'staging'");
    Ok(())
}

/// What `flux bootstrap --path=clusters/staging` leaves: that folder whole, and the folders in it.
async fn bootstrap(cluster: &Cluster) -> Result<()> {
    let object = json!({
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
        "metadata": {"name": "flux-system", "namespace": "flux-system"},
        "spec": {
            "interval": "10m0s", "path": "./clusters/staging", "prune": true,
            "sourceRef": {"kind": "GitRepository", "name": "flux-system"},
        },
    });
    cluster.apply(&object.to_string()).await.map(drop)
}

/// Two Kustomizations with one object would take it from each other for ever.
async fn each_object_is_of_one(cluster: &Cluster) -> Result<()> {
    let list = cluster.kubectl_ok(&["get", "kustomizations", "--namespace", "flux-system", "-o", "json"]).await?;
    let list: Value = serde_json::from_str(&list)?;
    let mut owners = BTreeMap::new();
    for owner in list["items"].as_array().context("a list")? {
        for entry in owner["status"]["inventory"]["entries"].as_array().context("an inventory")? {
            let (object, owner) = (entry["id"].to_string(), owner["metadata"]["name"].to_string());
            if let Some(other) = owners.insert(object.clone(), owner.clone()) {
                bail!("{object} is of {other} and of {owner}");
            }
        }
    }
    ensure!(owners.len() > 15, "{owners:?}");
    Ok(())
}

/// The repository that the page has a team make, by its very commands.
fn repository(work: &TempFolder) -> Result<std::path::PathBuf> {
    let page = std::fs::read_to_string(deploy().join("examples/flux/README.md"))?;
    let commands = page.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).context("commands")?;
    let repository = work.path().join("repository");
    std::fs::create_dir(&repository)?;
    let mut shell = Command::new("sh");
    shell.args(["-euc", commands]).env("REPOSITORY", &repository).current_dir(work.path().join("source"));
    let output = shell.output()?;
    ensure!(output.status.success(), "{commands}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(repository)
}

async fn controller(cluster: &Cluster, work: &Path) -> Result<Child> {
    let mut command = Command::new(Tool::KustomizeController.find().await?);
    command.env("KUBECONFIG", cluster.admin_kubeconfig()).env("RUNTIME_NAMESPACE", "flux-system").args([
        format!("--metrics-addr=127.0.0.1:{}", ports::free()?),
        format!("--health-addr=127.0.0.1:{}", ports::free()?),
        "--requeue-dependency=2s".to_owned(),
    ]);
    Child::spawn("kustomize-controller", command, work)
}

/// A tarball of the repository, served, and the `GitRepository` that says so, as source-controller would write it.
async fn source(cluster: &Cluster, work: &Path, repository: &Path) -> Result<()> {
    let archive = work.join("repository.tar.gz");
    let done = Command::new("tar").arg("-czf").arg(&archive).arg("-C").arg(repository).arg(".").status()?;
    ensure!(done.success(), "tar: {done}");
    let bytes = std::fs::read(&archive)?;
    let (size, sum) = (bytes.len(), hex::encode(digest(&SHA256, &bytes)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/repository.tar.gz", listener.local_addr()?);
    let router = Router::new().route("/repository.tar.gz", get(move || async move { bytes }));
    // It ends with the test's runtime.
    tokio::spawn(async move { axum::serve(listener, router).await });
    cluster
        .apply(
            &json!({
                "apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository",
                "metadata": {"name": "flux-system", "namespace": "flux-system"},
                "spec": {"interval": "1h", "url": "https://git.example.com/platform.git"},
            })
            .to_string(),
        )
        .await?;
    let revision = format!("main@sha1:{}", &sum[..40]);
    let artifact = json!({
        "url": url, "path": "repository.tar.gz", "revision": revision, "digest": format!("sha256:{sum}"), "size": size,
        "lastUpdateTime": "2026-01-01T00:00:00Z",
    });
    ready(cluster, "flux-system", "gitrepository/flux-system", Some(artifact)).await
}

/// Says that an object is ready, once it is there.
async fn is_ready(cluster: &Cluster, namespace: &str, object: &str) -> Result<()> {
    cluster.kubectl_ok(&["get", "--namespace", namespace, object]).await?;
    ready(cluster, namespace, object, None).await
}

async fn ready(cluster: &Cluster, namespace: &str, object: &str, artifact: Option<Value>) -> Result<()> {
    let text = cluster.kubectl_ok(&["get", "--namespace", namespace, object, "-o", "json"]).await?;
    let generation = serde_json::from_str::<Value>(&text)?["metadata"]["generation"].clone();
    let mut status = json!({
        "observedGeneration": generation,
        "conditions": [{
            "type": "Ready", "status": "True", "reason": "Succeeded", "message": "said by a test",
            "observedGeneration": generation, "lastTransitionTime": "2026-01-01T00:00:00Z",
        }],
    });
    if let Some(artifact) = artifact {
        status["artifact"] = artifact;
    }
    let patch = json!({"status": status}).to_string();
    let words = ["patch", "--namespace", namespace, object, "--subresource=status", "--type=merge", "--patch", &patch];
    cluster.kubectl_ok(&words).await.map(drop)
}
