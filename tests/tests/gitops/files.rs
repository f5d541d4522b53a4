//! The files agree with each other: what is generated with its sources, Kustomize with Helm, staging with production.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use latchkey_e2e::{
    deploygen::{self, Written},
    folder::TempFolder,
};
use serde_json::Value;

use crate::tree::{Shown, built, deploy, documents, files, kustomizations, root, shown, with_component};

/// Where two clusters may have different numbers.
const NUMBERS: [&str; 2] = ["replicas", "replicaCount"];

#[tokio::test]
async fn what_is_generated_is_what_the_generator_writes() -> Result<()> {
    let differences = Written::make().await?.differences()?;
    ensure!(differences.is_empty(), "run `cargo deploygen`:\n{}", differences.join("\n"));
    Ok(())
}

#[tokio::test]
async fn both_kustomizes_build_every_folder_alike() -> Result<()> {
    let (folders, components) = kustomizations()?;
    ensure!(folders.len() > 10 && components.len() == deploygen::components().len(), "{folders:?} {components:?}");
    for folder in folders {
        let built = built(&folder).await?;
        ensure!(!documents(&built)?.is_empty(), "{} makes nothing", folder.display());
    }
    Ok(())
}

#[tokio::test]
async fn the_base_and_each_component_are_what_helm_renders() -> Result<()> {
    let work = TempFolder::new("components")?;
    same(&built(&deploy().join("kustomize/base")).await?, &[]).await.context("the base")?;
    for (name, values) in deploygen::components() {
        let overlay = with_component(&work, &deploy().join("kustomize/components").join(name))?;
        same(&built(&overlay).await?, values).await.with_context(|| name.to_owned())?;
    }
    Ok(())
}

/// Kustomize's objects and Helm's with these values, but for what only one of them makes: definitions (from
/// `crds/manifests`) and the namespace there, the plain object of settings here.
async fn same(kustomize: &str, values: &[&str]) -> Result<()> {
    let ours: Vec<Value> = documents(&plain_settings(kustomize))?
        .into_iter()
        .filter(|object| {
            !["CustomResourceDefinition", "Namespace"].contains(&object["kind"].as_str().unwrap_or_default())
        })
        .collect();
    let (ours, theirs) = (by_id(ours), by_id(deploygen::chart_objects(values).await?));
    let names = |objects: &BTreeMap<String, Value>| objects.keys().cloned().collect::<BTreeSet<_>>();
    ensure!(
        names(&ours) == names(&theirs),
        "{:?}",
        names(&ours).symmetric_difference(&names(&theirs)).collect::<Vec<_>>()
    );
    for (id, theirs) in theirs {
        let ours = &ours[&id];
        ensure!(*ours == theirs, "{id}:\nKustomize {ours}\nHelm      {theirs}");
    }
    Ok(())
}

/// What Kustomize adds on purpose is taken away: the hash in the settings' name, Flux' mark on the dashboard, and the end of
/// its last line, which Helm cuts.
fn by_id(objects: Vec<Value>) -> BTreeMap<String, Value> {
    let mut by_id = BTreeMap::new();
    for mut object in objects {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let id = format!("{} {}", text(&object["kind"]), text(&object["metadata"]["name"]));
        if id == "ConfigMap latchkey-settings" {
            continue;
        }
        if id == "ConfigMap latchkey-concierge-dashboard" {
            let dashboard = text(&object["data"]["latchkey-overview.json"]);
            object = serde_json::json!({"labels": object["metadata"]["labels"]["grafana_dashboard"], "json": dashboard.trim_end()});
        }
        by_id.insert(id, object);
    }
    by_id
}

/// Without the hash that a generator puts behind the name.
fn plain_settings(text: &str) -> String {
    const NAME: &str = "latchkey-settings-";
    let mut parts = text.split(NAME);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |plain, part| {
        let hash = part.bytes().take_while(u8::is_ascii_alphanumeric).count();
        plain + NAME.trim_end_matches('-') + &part[hash..]
    })
}

#[tokio::test]
async fn staging_and_production_differ_in_names_audiences_and_replicas_alone() -> Result<()> {
    let examples = deploy().join("examples");
    let mut compared = 0;
    for folder in ["", "access"] {
        let [staging, production] = ["staging", "production"].map(|cluster| examples.join(cluster).join(folder));
        let (staging, production) = (built(&staging).await?, built(&production).await?);
        compared += alike(&documents(&plain_settings(&staging))?, &documents(&plain_settings(&production))?)?;
    }
    let flux = |cluster: &str| examples.join("flux/clusters").join(cluster);
    let names = |folder: &Path| -> Result<Vec<PathBuf>> {
        Ok(files(folder, "yaml")?.iter().filter_map(|path| Some(path.strip_prefix(folder).ok()?.to_owned())).collect())
    };
    ensure!(names(&flux("staging"))? == names(&flux("production"))?);
    let of_flux =
        names(&flux("staging"))?.into_iter().map(|name| ["staging", "production"].map(|it| flux(it).join(&name)));
    let of_argo = ["staging", "production"].map(|cluster| examples.join(format!("argocd/{cluster}.yaml")));
    for [staging, production] in of_flux.chain([of_argo]) {
        let (staging, production) = (fs::read_to_string(&staging)?, fs::read_to_string(&production)?);
        compared += alike(&documents(&staging)?, &documents(&production)?)?;
    }
    ensure!(compared > 40, "only {compared} objects were compared");
    Ok(())
}

/// How many pairs of objects are equal but for the clusters' names and the numbers in [`NUMBERS`].
fn alike(staging: &[Value], production: &[Value]) -> Result<usize> {
    ensure!(staging.len() == production.len(), "{} and {} objects", staging.len(), production.len());
    for (staging, production) in staging.iter().zip(production) {
        let mut differences = Vec::new();
        compare("", staging, production, &mut differences);
        ensure!(
            differences.is_empty(),
            "{} {}: {}",
            staging["kind"],
            staging["metadata"]["name"],
            differences.join("; ")
        );
    }
    Ok(staging.len())
}

fn compare(path: &str, staging: &Value, production: &Value, differences: &mut Vec<String>) {
    match (staging, production) {
        (Value::Object(staging), Value::Object(production)) => {
            let keys: BTreeSet<_> = staging.keys().chain(production.keys()).collect();
            for key in keys {
                let of = |object: &serde_json::Map<String, Value>| object.get(key).cloned().unwrap_or_default();
                compare(&format!("{path}/{key}"), &of(staging), &of(production), differences);
            }
        }
        (Value::Array(staging), Value::Array(production)) if staging.len() == production.len() => {
            for (place, (staging, production)) in staging.iter().zip(production).enumerate() {
                compare(&format!("{path}/{place}"), staging, production, differences);
            }
        }
        (Value::String(staging), Value::String(production))
            if *staging == production.replace("production", "staging") => {}
        (Value::Number(_), Value::Number(_)) if NUMBERS.iter().any(|name| path.ends_with(&format!("/{name}"))) => {}
        _ if staging == production => {}
        _ => differences.push(format!("{path}: {staging} and {production}")),
    }
}

/// Flux' `postBuild` replaces every `${…}` in what it applies. Ours has the one that is meant.
#[tokio::test]
async fn nothing_but_the_name_of_the_cluster_is_there_for_flux_to_replace() -> Result<()> {
    let examples = deploy().join("examples");
    let access = built(&examples.join("access")).await?;
    ensure!(access.matches("${").count() == 1 && access.contains("audience: kubernetes-${cluster_name}\n"), "{access}");
    for folder in ["crds/manifests", "deploy/kustomize/base", "deploy/examples/admission"] {
        let built = built(&root().join(folder)).await?;
        ensure!(!built.contains("${"), "{folder} has something that Flux would replace");
    }
    let rules = fs::read_to_string(deploy().join("monitoring/rules.yaml"))?;
    ensure!(!rules.contains("${"), "the rules have something that Flux would replace");
    // The dashboard cannot do without, and says so.
    for object in documents(&built(&deploy().join("monitoring")).await?)? {
        let mark = &object["metadata"]["annotations"]["kustomize.toolkit.fluxcd.io/substitute"];
        ensure!(!object.to_string().contains("${") || mark == "disabled", "{}", object["metadata"]);
    }
    Ok(())
}

/// Without a prefix whoever may make a group called `kubeadm:cluster-admins` at the provider is an administrator of a kubeadm
/// cluster. And what is bound must be what comes out, or nobody may do anything.
#[test]
fn no_group_of_the_provider_is_taken_for_one_of_the_cluster() -> Result<()> {
    let mut judged = 0;
    for Shown { place, object } in shown()?.iter().filter(|shown| shown.object["kind"] == "JWTAuthenticator") {
        for (claim, prefix) in [("groups", "groupsPrefix"), ("username", "usernamePrefix")] {
            let claims = &object["spec"]["claims"];
            let Some(mapped) = claims[claim].as_str() else { continue };
            judged += 1;
            let prefixed = claims[prefix].as_str().is_some_and(|prefix| prefix.ends_with(':'));
            ensure!(prefixed, "{place}: {mapped} becomes {claim} without a {prefix}");
        }
    }
    ensure!(judged > 20, "only {judged} were judged");

    let examples = deploy().join("examples");
    let authenticator = documents(&fs::read_to_string(examples.join("access/authenticator.yaml"))?)?.remove(0);
    let prefix = authenticator["spec"]["claims"]["groupsPrefix"].as_str().context("a prefix")?;
    for path in [files(&examples.join("rbac"), "yaml")?, files(&examples.join("fleet-check"), "yaml")?].concat() {
        for object in documents(&fs::read_to_string(&path)?)? {
            for subject in object["subjects"].as_array().into_iter().flatten() {
                let name = subject["name"].as_str().context("a subject's name")?;
                ensure!(name.starts_with(prefix), "{}: nobody is in {name}", path.display());
            }
        }
    }
    Ok(())
}

/// The overlays bring policies that refuse what is not approved, so what a page shows must say that it is meant.
#[test]
fn what_is_shown_is_not_refused_by_the_policies_of_the_examples() -> Result<()> {
    let mut approved = 0;
    for Shown { place, object } in shown()? {
        let spec = &object["spec"];
        for (field, lets_in) in [
            ("additionalAudiences", spec["additionalAudiences"] == "Allow"),
            ("reservedIdentities", spec["reservedIdentities"]["policy"] == "Allow"),
        ] {
            if lets_in {
                let said = object["metadata"]["annotations"]["latchkey.dev/approved-exceptions"].as_str();
                ensure!(said == Some(field), "{place}: {field} is refused where examples/admission is applied");
                approved += 1;
            }
        }
    }
    ensure!(approved >= 2, "{approved} exceptions");
    Ok(())
}

/// With the definitions go all authenticators; with the namespace the release's own record, without which nobody uninstalls it.
#[test]
fn no_slip_in_a_repository_prunes_what_cannot_be_made_again() -> Result<()> {
    let examples = deploy().join("examples");
    let argo = |name: &str| -> Result<Value> {
        Ok(documents(&fs::read_to_string(examples.join("argocd").join(name))?)?.remove(0))
    };
    let hub = argo("applicationset.yaml")?;
    let values = &hub["spec"]["template"]["spec"]["sources"][0]["helm"]["valuesObject"];
    ensure!(values["crds"]["annotations"]["argocd.argoproj.io/sync-options"] == "Prune=false", "{values}");
    // Argo CD gives each Application that it generates a finalizer otherwise, which deletes all that is in the cluster.
    ensure!(hub["spec"]["syncPolicy"]["preserveResourcesOnDeletion"] == true, "{hub}");
    for cluster in ["staging", "production"] {
        let application = argo(&format!("{cluster}.yaml"))?;
        let patches = &application["spec"]["sources"][0]["kustomize"]["patches"];
        for (kind, options) in [("CustomResourceDefinition", "Prune=false"), ("Namespace", "Prune=false,Delete=false")]
        {
            let keep = format!("argocd.argoproj.io/sync-options: {options}\n");
            let kept = patches.as_array().into_iter().flatten().any(|patch| {
                patch["target"] == serde_json::json!({"kind": kind})
                    && patch["patch"].as_str().is_some_and(|words| words.contains(&keep))
            });
            ensure!(kept, "{cluster}: {kind} is not kept by {patches}");
        }
        let namespace = examples.join("flux/clusters").join(cluster).join("latchkey/namespace.yaml");
        let namespace = documents(&fs::read_to_string(namespace)?)?.remove(0);
        let mark = &namespace["metadata"]["annotations"]["kustomize.toolkit.fluxcd.io/prune"];
        ensure!(mark == "disabled", "{cluster}: {mark}");
    }
    Ok(())
}

/// `index` finds nothing, and says nothing, where a map has no such key: `missingkey=error` is about fields only.
#[test]
fn a_label_that_a_cluster_lacks_is_told_by_its_name() -> Result<()> {
    let hub = fs::read_to_string(deploy().join("examples/argocd/applicationset.yaml"))?;
    let hub = documents(&hub)?.remove(0);
    let values = hub["spec"]["generators"][0]["clusters"]["values"].as_object().context("values")?;
    ensure!(values.len() == 2, "{values:?}");
    for (name, value) in values {
        let template = format!(
            "{{{{ with index .metadata.labels \"latchkey-{name}\" }}}}{{{{ . }}}}{{{{ else }}}}\
             {{{{ fail (printf \"cluster %s has no label latchkey-{name}\" .name) }}}}{{{{ end }}}}"
        );
        ensure!(*value == template, "{name}: {value}");
    }
    let elsewhere = hub["spec"]["template"].to_string();
    ensure!(!elsewhere.contains("index "), "{elsewhere}");
    Ok(())
}

/// Flux' bootstrap applies the folder of a cluster with all that is in it. What another Kustomization applied once more, the
/// two would take from each other at every turn.
#[test]
fn no_kustomization_of_flux_applies_what_the_bootstrap_applies() -> Result<()> {
    let mut paths = Vec::new();
    for path in files(&deploy().join("examples/flux/clusters"), "yaml")? {
        for object in documents(&fs::read_to_string(&path)?)? {
            if object["apiVersion"].as_str().is_some_and(|version| version.starts_with("kustomize.toolkit.fluxcd.io/"))
            {
                paths.push(object["spec"]["path"].as_str().context("a path")?.to_owned());
            }
        }
    }
    ensure!(paths.len() == 4, "{paths:?}");
    ensure!(paths.iter().all(|path| path.starts_with("./latchkey/")), "{paths:?}");
    Ok(())
}

/// A command whose selector fits nothing finds nothing, and says so by silence.
#[tokio::test]
async fn what_pages_select_by_is_a_label_of_something() -> Result<()> {
    let objects = documents(&built(&deploy().join("kustomize/base")).await?)?;
    let labels: BTreeSet<String> = objects
        .iter()
        .flat_map(|object| [&object["metadata"]["labels"], &object["spec"]["template"]["metadata"]["labels"]])
        .filter_map(Value::as_object)
        .flatten()
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
        .collect();
    let mut seen = 0;
    for path in files(&deploy(), "md")?.into_iter().chain([root().join("README.md")]) {
        let page = fs::read_to_string(&path)?;
        for selector in page.split(" -l ").skip(1).filter_map(|rest| rest.split_whitespace().next()) {
            let selector = selector.trim_matches(['`', '\'', '.', ',', ')']);
            // Kubernetes' own objects, and expressions, are not ours to list.
            if !selector.contains('=') || selector.starts_with("kubernetes.io/") {
                continue;
            }
            seen += 1;
            ensure!(labels.contains(selector), "{}: nothing has the label {selector}", path.display());
        }
    }
    ensure!(seen >= 3, "only {seen} were seen");
    Ok(())
}

#[test]
fn the_comparison_sees_what_it_should() -> Result<()> {
    let object = |audience: &str, replicas: u8, issuer: &str| serde_json::json!({"spec": {"audience": audience, "replicas": replicas, "issuer": issuer}});
    let staging = object("kubernetes-staging", 2, "a");
    alike(std::slice::from_ref(&staging), &[object("kubernetes-production", 3, "a")])?;
    for other in [object("kubernetes-production", 3, "b"), object("kubernetes-staging-2", 2, "a")] {
        ensure!(alike(std::slice::from_ref(&staging), std::slice::from_ref(&other)).is_err(), "{other}");
    }
    ensure!(plain_settings("a latchkey-settings-cmg529m292\nb") == "a latchkey-settings\nb");
    Ok(())
}
