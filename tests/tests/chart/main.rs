//! The Helm chart: what it renders for every set of values, what it refuses, and how a release of it lives on a real API
//! server. Pods are another test's: there is no node here.

mod dangers;
mod documents;
mod drain;
mod flags;
mod hand;
mod helm;
mod objects;
mod pods;
mod refusals;
mod release;
mod values;

use anyhow::{Result, ensure};

use self::{
    documents::{documents, key},
    helm::{CHART, Helm, VALUES_OF_DEFAULTS, value_files},
};

/// What makes two renderings differ, or an offline one from one with a cluster: Argo CD and Flux would fight for ever.
const NEVER: &[&str] = &[
    "lookup",
    "rand",
    "genCA",
    "genSelfSigned",
    "genSigned",
    "genPrivateKey",
    "now",
    "uuidv4",
    "Capabilities",
    ".Release.IsInstall",
    ".Release.IsUpgrade",
    ".Release.Revision",
    "bcrypt",
    "htpasswd",
    "getHostByName",
];

#[tokio::test]
async fn every_set_of_values_lints_and_renders_twice_the_same() -> Result<()> {
    let helm = Helm::new().await?;
    for values in value_files()? {
        helm.run(&["lint", "--strict", CHART, "--values", &values]).await?;
        let rendered = helm.template("latchkey", "latchkey", &["--values", &values]).await?;
        ensure!(rendered == helm.template("latchkey", "latchkey", &["--values", &values]).await?, "{values}");
        ensure!(documents(&rendered)?.len() > 5, "{values}: {rendered}");
    }
    Ok(())
}

#[test]
fn no_template_asks_a_cluster_a_clock_or_chance() -> Result<()> {
    let mut seen = 0;
    for (name, text) in helm::templates()? {
        seen += 1;
        for action in text.split("{{").skip(1).filter_map(|rest| rest.split("}}").next()) {
            let words = action.split(|c: char| !c.is_ascii_alphanumeric() && c != '.');
            for word in words.filter(|_| !action.trim_start_matches('-').trim_start().starts_with("/*")) {
                let found = NEVER.iter().find(|never| word == **never || word.starts_with("rand"));
                ensure!(found.is_none() && !word.contains("Capabilities"), "{name}: {action}");
            }
        }
    }
    ensure!(seen > 15, "{seen} templates");
    Ok(())
}

#[tokio::test]
async fn the_archive_holds_all_that_rendering_needs() -> Result<()> {
    let helm = Helm::new().await?;
    let archive = helm.package().await?;
    for values in value_files()? {
        let arguments = ["--values", values.as_str(), "--namespace", "latchkey"];
        let packed = helm.run(&[&["template", "latchkey", &archive][..], &arguments].concat()).await?;
        ensure!(packed == helm.template("latchkey", "latchkey", &["--values", &values]).await?, "{values}");
    }
    Ok(())
}

#[tokio::test]
async fn an_umbrella_chart_takes_it_in_and_can_leave_it_out() -> Result<()> {
    let helm = Helm::new().await?;
    let umbrella = helm.umbrella()?;
    let alone = documents(&helm.template("latchkey", "latchkey", VALUES_OF_DEFAULTS).await?)?;
    let inside = helm.run(&["template", "latchkey", &umbrella, "--namespace", "latchkey"]).await?;
    let names = |documents: &[serde_json::Value]| documents.iter().map(key).collect::<Vec<_>>();
    ensure!(names(&documents(&inside)?) == names(&alone), "{inside}");
    let switch = ["--set", "latchkey-concierge.enabled=false"];
    let without = helm.run(&[&["template", "latchkey", umbrella.as_str()][..], &switch].concat()).await?;
    ensure!(documents(&without)?.is_empty(), "{without}");
    Ok(())
}

#[tokio::test]
async fn two_releases_meet_only_where_the_readme_says() -> Result<()> {
    let helm = Helm::new().await?;
    let keys = async |release: &str, arguments: &[&str]| -> Result<std::collections::BTreeSet<String>> {
        let rendered = helm.template(release, release, &[VALUES_OF_DEFAULTS, arguments].concat()).await?;
        Ok(documents(&rendered)?.iter().map(key).collect())
    };
    let (first, second) = (keys("latchkey", &[]).await?, keys("blue", &[]).await?);
    let both: Vec<_> = first.intersection(&second).collect();
    let is_shared = |key: &str| key.starts_with("CustomResourceDefinition ") || key.starts_with("APIService ");
    ensure!(both.len() == 7 && both.iter().all(|key| is_shared(key)), "{both:?}");
    let without = keys("blue", &["--set", "crds.enabled=false,apiServices.enabled=false"]).await?;
    ensure!(first.is_disjoint(&without) && without.len() == first.len() - 7, "{without:?}");
    for (release, name) in [
        ("latchkey", "latchkey-concierge"),
        ("latchkey-concierge", "latchkey-concierge"),
        ("blue", "blue-latchkey-concierge"),
    ] {
        let keys = keys(release, &[]).await?;
        ensure!(keys.contains(&format!("Deployment {release}/{name}")), "{keys:?}");
    }
    // The longest name that Helm takes: names of Services end at 63 characters.
    let longest = "a".repeat(53);
    let rendered = helm
        .template(
            &longest,
            "latchkey",
            &[VALUES_OF_DEFAULTS, &["--set", "metrics.serviceMonitor.enabled=true"]].concat(),
        )
        .await?;
    for object in documents(&rendered)?.iter().filter(|object| object["kind"] == "Service") {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        ensure!(name.len() <= 63 && name.contains("aaa-"), "{name}");
    }
    Ok(())
}
