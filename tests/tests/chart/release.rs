//! Releases on a real API server: taken as they are, without a warning; upgraded from the chart before, rolled back, removed.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use latchkey_e2e::{
    cluster::{Cluster, ClusterOptions},
    definitions,
};
use serde_json::Value;

use super::{
    dangers,
    documents::{documents, key, kind},
    drain,
    helm::{CHART, Helm, VALUES_OF_DEFAULTS, value_files},
    objects::{FOREIGN, is_hook},
};

/// Charts of other days.
const PREVIOUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/chart/previous");

const IN_NAMESPACE: &[&str] = &["--namespace", "latchkey"];

#[tokio::test]
async fn releases_on_a_real_api_server() -> Result<()> {
    let mut options = ClusterOptions::named("chart");
    // Nothing waits for a controller before the drain.
    options.controllers_running = false;
    options.workloads = true;
    let mut cluster = Cluster::start(options).await?;
    for namespace in ["latchkey", "monitoring"] {
        cluster.kubectl_ok(&["create", "namespace", namespace]).await?;
    }
    let restricted = ["enforce", "warn"].map(|mode| format!("pod-security.kubernetes.io/{mode}=restricted"));
    cluster.kubectl_ok(&["label", "namespace", "latchkey", &restricted[0], &restricted[1]]).await?;
    let helm = Helm::of(cluster.admin_kubeconfig()).await?;

    every_object_is_taken_without_a_warning(&cluster, &helm).await?;
    offline_is_as_online(&helm).await?;
    dangers::nobody_gets_what_makes_an_administrator(&cluster, &helm).await?;
    let example = what_the_notes_say(&helm).await?;
    from_the_chart_before_and_back(&cluster, &helm, &example).await?;
    uninstalled_it_leaves_what_the_readme_says(&cluster, &helm).await?;
    cluster.start_controller_manager().await?;
    drain::nodes_are_emptied(&cluster, &helm).await
}

/// The newest Kubernetes, strict, with the restricted Pod Security that the namespace enforces.
async fn every_object_is_taken_without_a_warning(cluster: &Cluster, helm: &Helm) -> Result<()> {
    // A pod is refused without its account, and no controller runs that would make it.
    cluster.kubectl_ok(&["create", "serviceaccount", "default", "-n", "latchkey"]).await?;
    // One set of values brings another for its test, which a dry run does not make.
    cluster.kubectl_ok(&["create", "serviceaccount", "latchkey-concierge-self-test", "-n", "latchkey"]).await?;
    for values in value_files()? {
        let rendered = helm.template("latchkey", "latchkey", &["--values", &values]).await?;
        let is_own = |text: &&str| !FOREIGN.iter().any(|kind| text.contains(&format!("\nkind: {kind}\n")));
        let own = rendered.split("\n---\n").filter(is_own).collect::<Vec<_>>().join("\n---\n");
        let said = cluster.try_apply(&own, &["--dry-run=server", "--validate=strict"]).await?;
        let (output, notes) = (String::from_utf8(said.stdout)?, String::from_utf8(said.stderr)?);
        ensure!(said.status.success(), "{values}: {notes}");
        let objects = documents(&own)?;
        ensure!(output.lines().count() == objects.len(), "{values}: {output}");
        // The values say of one of them that it is not restricted.
        let lowered = values.ends_with("eks-values.yaml");
        ensure!(notes.contains("would violate PodSecurity") == lowered, "{values}: {notes}");
        ensure!(lowered || !notes.contains("Warning:"), "{values}: {notes}");
    }
    cluster.kubectl_ok(&["delete", "serviceaccount", "latchkey-concierge-self-test", "-n", "latchkey"]).await.map(drop)
}

/// Argo CD renders without a cluster, Helm with one.
async fn offline_is_as_online(helm: &Helm) -> Result<()> {
    let offline = helm.template("latchkey", "latchkey", VALUES_OF_DEFAULTS).await?;
    let online = helm.template("latchkey", "latchkey", &[VALUES_OF_DEFAULTS, &["--dry-run=server"]].concat()).await?;
    ensure!(offline == online, "a cluster makes a difference");
    Ok(())
}

/// The next step, and what is to be known; the authenticator in them is what this test goes on with.
async fn what_the_notes_say(helm: &Helm) -> Result<String> {
    let notes = async |set: &[&str]| -> Result<String> {
        let install = ["install", "latchkey", CHART, "--dry-run=client"];
        let said = helm.run(&[&install[..], VALUES_OF_DEFAULTS, IN_NAMESPACE, set].concat()).await?;
        Ok(said.split("NOTES:").nth(1).context("notes")?.to_owned())
    };
    let usual = notes(&[]).await?;
    for words in ["CLUSTER-ADMIN EQUIVALENT", "kubectl wait --for=condition=Ready", "kubectl latchkey kubeconfig"] {
        ensure!(usual.contains(words), "the notes lack {words:?}: {usual}");
    }
    let without = notes(&["--set", "strategies.certificateSigningRequestAPI.enabled=false"]).await?;
    ensure!(!without.contains("EQUIVALENT") && without.contains("is switched off"), "{without}");
    let (_, example) = usual.split_once("<<EOF\n").context("an object")?;
    let (example, _) = example.split_once("EOF").context("its end")?;
    let lines = example.lines().map(|line| line.strip_prefix("     ").unwrap_or(line));
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

/// Install what was, upgrade to what is, roll back, and go on: with an authenticator in place that nobody touches.
async fn from_the_chart_before_and_back(cluster: &Cluster, helm: &Helm, authenticator: &str) -> Result<()> {
    let previous = previous()?;
    helm.run(&[&["install", "latchkey", &previous][..], VALUES_OF_DEFAULTS, IN_NAMESPACE].concat()).await?;
    definitions::established(cluster).await?;
    cluster.apply(authenticator).await?;
    let before = authenticators(cluster).await?;
    ensure!(before.len() == 1, "{before:?}");

    let upgrade = [&["upgrade", "latchkey", CHART, "--reset-then-reuse-values"], IN_NAMESPACE].concat();
    helm.run(&upgrade).await?;
    ensure!(authenticators(cluster).await? == before, "the upgrade made authenticators anew");
    let rendered = helm.template("latchkey", "latchkey", VALUES_OF_DEFAULTS).await?;
    present(cluster, &rendered).await?;

    // What the concierge writes into an object of the release is its own, and no upgrade takes it back.
    let written = base64::prelude::BASE64_STANDARD.encode(cluster.ca_pem());
    let bundle = serde_json::json!({ "spec": { "caBundle": written } }).to_string();
    let service = "v1alpha1.login.concierge.latchkey.dev";
    cluster
        .kubectl_ok(&["patch", "apiservice", service, "--type=merge", "--field-manager=concierge", "--patch", &bundle])
        .await?;
    helm.run(&[&upgrade[..], &["--set", "replicaCount=3"]].concat()).await?;
    let kept = cluster.kubectl_ok(&["get", "apiservice", service, "-o", "jsonpath={.spec.caBundle}"]).await?;
    ensure!(kept == written, "{kept}");
    let replicas = ["-n", "latchkey", "get", "deployment", "latchkey-concierge", "-o", "jsonpath={.spec.replicas}"];
    ensure!(cluster.kubectl_ok(&replicas).await? == "3");

    helm.run(&[&["rollback", "latchkey", "1"], IN_NAMESPACE].concat()).await?;
    ensure!(authenticators(cluster).await? == before, "the rollback made authenticators anew");
    ensure!(cluster.kubectl_ok(&replicas).await? == "2");
    helm.run(&upgrade).await?;
    ensure!(authenticators(cluster).await? == before);
    present(cluster, &rendered).await
}

/// The newest chart before today's.
fn previous() -> Result<String> {
    let today = version(env!("CARGO_PKG_VERSION"))?;
    let mut known = Vec::new();
    for entry in fs::read_dir(PREVIOUS)? {
        let path = entry?.path();
        if let Some(text) = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".tgz")) {
            let text = text.strip_prefix("latchkey-concierge-").with_context(|| text.to_owned())?;
            known.push((version(text)?, path.display().to_string()));
        }
    }
    known.sort();
    let (_, newest) = known.into_iter().rfind(|(version, _)| *version < today).context("no chart before today's")?;
    Ok(newest)
}

/// In the order of semantic versions: one with an ending comes before the same without.
fn version(text: &str) -> Result<([u64; 3], bool, String)> {
    let (numbers, ending) = text.split_once('-').unwrap_or((text, ""));
    let numbers: Vec<u64> =
        numbers.split('.').map(str::parse).collect::<Result<_, _>>().with_context(|| text.to_owned())?;
    let numbers = <[u64; 3]>::try_from(numbers).map_err(|_| anyhow::anyhow!("{text} is no version"))?;
    Ok((numbers, ending.is_empty(), ending.to_owned()))
}

async fn authenticators(cluster: &Cluster) -> Result<Vec<String>> {
    let shown = ["get", "jwtauthenticators", "-o", r#"jsonpath={range .items[*]}{.metadata.uid}{"\n"}{end}"#];
    Ok(cluster.kubectl_ok(&shown).await?.lines().map(str::to_owned).collect())
}

/// Whether every object of a rendering exists.
async fn present(cluster: &Cluster, rendered: &str) -> Result<()> {
    for object in documents(rendered)?.iter().filter(|object| !is_hook(object)) {
        ensure!(exists(cluster, object).await?, "{} is missing", key(object));
    }
    Ok(())
}

async fn exists(cluster: &Cluster, object: &Value) -> Result<bool> {
    let name = object["metadata"]["name"].as_str().context("a name")?;
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or("default");
    let found =
        cluster.kubectl(&["get", kind(object), name, "-n", namespace, "--ignore-not-found", "-o", "name"]).await?;
    ensure!(found.status.success(), "{}: {}", key(object), String::from_utf8_lossy(&found.stderr));
    Ok(!found.stdout.is_empty())
}

async fn uninstalled_it_leaves_what_the_readme_says(cluster: &Cluster, helm: &Helm) -> Result<()> {
    let rendered = helm.template("latchkey", "latchkey", VALUES_OF_DEFAULTS).await?;
    helm.run(&[&["uninstall", "latchkey"], IN_NAMESPACE].concat()).await?;
    for object in documents(&rendered)?.iter().filter(|object| !is_hook(object)) {
        let stays = kind(object) == "CustomResourceDefinition";
        ensure!(exists(cluster, object).await? == stays, "{}: stays: {}", key(object), !stays);
    }
    ensure!(authenticators(cluster).await?.len() == 1, "the authenticator went with the release");

    // They can be taken up again, by another release if that is said, and the README's command removes them for good.
    helm.run(&[&["install", "latchkey", CHART], VALUES_OF_DEFAULTS, IN_NAMESPACE].concat()).await?;
    helm.run(&[&["uninstall", "latchkey"], IN_NAMESPACE].concat()).await?;
    let other = [&["install", "other", CHART], VALUES_OF_DEFAULTS, IN_NAMESPACE].concat();
    let said = helm.refused(&other).await?;
    ensure!(said.contains("invalid ownership metadata"), "{said}");
    helm.run(&[&other[..], &["--take-ownership"]].concat()).await?;
    helm.run(&[&["uninstall", "other"], IN_NAMESPACE].concat()).await?;
    ensure!(authenticators(cluster).await?.len() == 1, "the authenticator went with the other release");
    let readme = fs::read_to_string(Path::new(CHART).join("README.md"))?;
    let command = "kubectl delete crd -l app.kubernetes.io/part-of=latchkey";
    ensure!(readme.contains(command));
    let words: Vec<_> = command.split(' ').skip(1).chain(["--wait=false"]).collect();
    ensure!(cluster.kubectl_ok(&words).await?.lines().count() == 5);
    Ok(())
}
