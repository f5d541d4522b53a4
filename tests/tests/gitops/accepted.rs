//! Every object that the documentation shows is accepted by a real API server that knows its kind.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, ValidationDirective},
    core::{ApiResource, DynamicObject, GroupVersionKind},
    discovery::{self, Scope},
};
use latchkey_crds::{groups::GroupSuffix, manifests};
use latchkey_e2e::{
    cluster::{Cluster, ClusterOptions},
    definitions,
    folder::TempFolder,
    guide::Guide,
};
use serde_json::Value;

use crate::tree::{Shown, built, deploy, documents, kustomizations, shown, with_component};

/// Files that other programs read, which no API server knows.
const NOT_OF_AN_API: [&str; 6] = [
    "kustomize.config.k8s.io/",
    "apiserver.config.k8s.io/",
    "client.authentication.k8s.io/",
    "krew.googlecontainertools.github.com/",
    "kubeadm.k8s.io/",
    "audit.k8s.io/",
];

/// Namespaces that the examples put something into.
const NAMESPACES: [&str; 4] = ["latchkey", "flux-system", "argocd", "monitoring"];

#[tokio::test]
async fn every_object_that_is_shown_is_accepted_and_the_overlays_install_in_order() -> Result<()> {
    let cluster = Cluster::start(ClusterOptions::named("accepted")).await?;
    in_order(&cluster).await.context("the overlays")?;

    // What they brought judges objects by the fleet, as it should; here each is to be seen alone.
    for kind in ["validatingadmissionpolicybindings", "fleetclusters", "jwtauthenticators"] {
        cluster.kubectl_ok(&["delete", kind, "--all"]).await?;
    }
    for namespace in NAMESPACES {
        cluster.apply(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}}}}}")).await?;
    }
    definitions::install(&cluster, &[""]).await?;
    // Pages about Pinniped's suffix are about these.
    let suffix: GroupSuffix = "pinniped.dev".parse().map_err(|error| anyhow::anyhow!("{error}"))?;
    for file in manifests::files(&suffix).map_err(|error| anyhow::anyhow!("{error}"))? {
        if !file.text.contains("kind: Kustomization") {
            cluster.apply(&file.text).await?;
        }
    }
    definitions::established(&cluster).await?;

    let mut judge = Judge { client: cluster.client().await?, kinds: BTreeMap::new() };
    let mut objects = shown()?;
    let work = TempFolder::new("accepted")?;
    let (folders, components) = kustomizations()?;
    let with_components: Result<Vec<_>> = components.iter().map(|component| with_component(&work, component)).collect();
    for folder in folders.into_iter().chain(with_components?) {
        let place = folder.display().to_string();
        let of_folder = documents(&built(&folder).await?)?;
        objects.extend(of_folder.into_iter().map(|object| Shown { place: place.clone(), object }));
    }
    let (mut accepted, mut passed_over, mut refused) = (0, BTreeMap::<String, usize>::new(), Vec::new());
    for Shown { place, object } in &objects {
        let (version, kind) =
            (object["apiVersion"].as_str().unwrap_or_default(), object["kind"].as_str().unwrap_or_default());
        if NOT_OF_AN_API.iter().any(|prefix| version.starts_with(prefix)) || (version, kind) == ("v1", "Config") {
            *passed_over.entry(format!("{version} {kind}")).or_default() += 1;
            continue;
        }
        match judge.accepts(object).await {
            Ok(()) => accepted += 1,
            Err(error) => refused.push(format!("{place}: {kind} {}: {error:#}", object["metadata"]["name"])),
        }
    }
    eprintln!("{accepted} objects accepted; read by other programs: {passed_over:?}");
    ensure!(refused.is_empty(), "{}", refused.join("\n"));
    for kind in [
        "HelmRelease",
        "ApplicationSet",
        "SealedSecret",
        "ExternalSecret",
        "Alert",
        "ServiceMonitor",
        "JWTAuthenticator",
    ] {
        ensure!(objects.iter().any(|shown| shown.object["kind"] == kind), "no {kind} was shown");
    }
    // A judge that accepts everything would accept this.
    let misspelt = serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "date": {}});
    ensure!(judge.accepts(&misspelt).await.is_err(), "a misspelt field was accepted");
    Ok(())
}

/// As the page says: the concierge on an empty cluster, in one command; then who may come in.
async fn in_order(cluster: &Cluster) -> Result<()> {
    let folder = |path: &str| deploy().join("examples").join(path).to_string_lossy().into_owned();
    cluster.kubectl_ok(&["apply", "-k", &folder("staging")]).await?;
    definitions::established(cluster).await?;
    cluster.kubectl_ok(&["apply", "-k", &folder("staging/access")]).await?;
    let audience = ["get", "jwtauthenticator", "main", "-o", "jsonpath={.spec.audience}"];
    let audience = cluster.kubectl_ok(&audience).await?;
    ensure!(audience == "kubernetes-staging", "{audience}");
    // Again, and nothing changes.
    let again = cluster.kubectl_ok(&["apply", "-k", &folder("staging/access")]).await?;
    ensure!(again.lines().all(|line| line.ends_with(" unchanged")), "{again}");
    what_an_overlay_no_longer_has(cluster).await
}

/// kubectl leaves it, and the page says how it goes.
async fn what_an_overlay_no_longer_has(cluster: &Cluster) -> Result<()> {
    let work = TempFolder::new("without")?;
    let overlay = with_component(&work, &deploy().join("kustomize/components/without-certificate-signing"))?;
    cluster.kubectl_ok(&["apply", "-k", &overlay.to_string_lossy()]).await?;
    let named = async || cluster.kubectl_ok(&["get", "clusterroles,clusterrolebindings", "-o", "name"]).await;
    ensure!(named().await?.matches("latchkey-concierge-certificate-signing\n").count() == 2, "kubectl prunes by now");
    let page = Guide::read("../kustomize/README.md")?;
    let command =
        page.blocks().find(|block| block.text.starts_with("kubectl delete clusterrole,")).context("a command")?;
    cluster.kubectl_ok(&command.text.split_whitespace().skip(1).collect::<Vec<_>>()).await?;
    ensure!(!named().await?.contains("latchkey-concierge-certificate-signing"), "{}", command.text);
    Ok(())
}

/// A server-side dry run of one object after the other, strict about fields.
struct Judge {
    client: Client,
    kinds: BTreeMap<(String, String), (ApiResource, Scope)>,
}

impl Judge {
    async fn accepts(&mut self, object: &Value) -> Result<()> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
        let name = object["metadata"]["name"].as_str().context("an object without a name")?;
        let key = (version.clone(), kind.clone());
        if !self.kinds.contains_key(&key) {
            let (group, version) = version.rsplit_once('/').unwrap_or(("", &version));
            let (resource, capabilities) =
                discovery::pinned_kind(&self.client, &GroupVersionKind::gvk(group, version, &kind)).await?;
            self.kinds.insert(key.clone(), (resource, capabilities.scope));
        }
        let (resource, scope) = &self.kinds[&key];
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or("default");
        let api: Api<DynamicObject> = match scope {
            Scope::Cluster => Api::all_with(self.client.clone(), resource),
            Scope::Namespaced => Api::namespaced_with(self.client.clone(), namespace, resource),
        };
        let parameters =
            PatchParams::apply("latchkey-documentation").dry_run().force().validation(ValidationDirective::Strict);
        api.patch(name, &parameters, &Patch::Apply(object)).await?;
        Ok(())
    }
}
