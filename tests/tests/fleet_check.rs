//! `kubectl latchkey fleet check` over two real clusters, with the rights that its page of help lists and no more: alike, with
//! drift of every kind that a Git repository can bring about, and where it may not read, or nobody answers.

use std::{path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, ensure};
use latchkey_e2e::{
    folder::TempFolder,
    issuer::{Issuer, IssuerOptions},
    programs::Programs,
    site::{AUTHENTICATOR, NOWHERE, Site, fleet_of_two},
    wait::eventually,
};
use serde_json::{Value, json};
use tokio::process::Command;

/// The name of the pipeline's role.
const READER: &str = "fleet-check";

/// Its group.
const PIPELINE: &str = "oidc:fleet-check";

/// What it may do: the example, which the page of help lists too.
const RIGHTS: &str = include_str!("../../deploy/examples/fleet-check/reader.yaml");

/// A status is written within seconds; the rest is for two busy cores.
const SEEN: Duration = Duration::from_secs(90);

#[tokio::test]
async fn a_pipeline_sees_what_differs_between_clusters() -> Result<()> {
    let work = TempFolder::new("fleet-check")?;
    let issuer = Issuer::start(IssuerOptions::default()).await?;
    let [staging, production] = fleet_of_two(work.path(), &issuer).await?;
    let mut kubeconfigs = Vec::new();
    for site in [&staging, &production] {
        site.cluster.apply(RIGHTS).await?;
        kubeconfigs.push(site.cluster.user_kubeconfig("pipeline", Some(PIPELINE))?);
    }
    let pipeline = Pipeline { kubeconfigs, kubectl: staging.cluster.kubectl_program().to_owned() };

    let alike = eventually("both clusters to say that they are well", SEEN, async || {
        let checked = pipeline.check(&["-o", "json"]).await?;
        ensure!(checked.code == 0, "{checked:?}");
        Ok(checked)
    })
    .await?;
    let answer: Value = serde_json::from_str(&alike.stdout)?;
    ensure!(answer["findings"] == json!([]) && answer["unread"] == json!([]), "{answer}");
    let names: Vec<_> = answer["clusters"].as_array().context("clusters")?.iter().map(|found| &found["name"]).collect();
    ensure!(names == ["staging", "production"], "each cluster says its own name: {answer}");
    ensure!(answer["clusters"][0]["conciergeVersion"] == env!("CARGO_PKG_VERSION"), "{answer}");

    the_page_lists_the_rights().await?;
    the_examples_agree(&pipeline).await?;
    drift_is_found(&production, &issuer, &pipeline).await?;
    what_cannot_be_read_is_told(&production, &pipeline, &work).await
}

/// What its page says of a pull request, on the examples themselves.
async fn the_examples_agree(pipeline: &Pipeline) -> Result<()> {
    let page = include_str!("../../deploy/examples/fleet-check/README.md");
    let line = page.lines().find_map(|line| line.strip_prefix("kubectl latchkey fleet check --dir "));
    let arguments: Vec<&str> = ["--dir"].into_iter().chain(line.context("the command")?.split(' ')).collect();
    let checked = pipeline.check(&arguments).await?;
    ensure!(checked.code == 0, "{checked:?}");
    ensure!(checked.stdout.ends_with("2 clusters, no drift: production, staging\n"), "{checked:?}");
    Ok(())
}

/// The page of help and the example name the same.
async fn the_page_lists_the_rights() -> Result<()> {
    let output = Command::new(&Programs::find().await?.plugin).args(["help", "fleet"]).output().await?;
    let page = String::from_utf8(output.stdout)?;
    let (_, listed) = page.split_once("Needed rights: list ").context("the page lists the rights")?;
    let (listed, _) = listed.split_once('.').context("a sentence")?;
    for rule in RIGHTS.lines().filter_map(|line| line.trim().strip_prefix("resources: [")) {
        for resource in rule.trim_end_matches(']').split(", ") {
            ensure!(listed.contains(resource), "{resource}: {listed}");
        }
    }
    Ok(())
}

async fn drift_is_found(production: &Site, issuer: &Issuer, pipeline: &Pipeline) -> Result<()> {
    let sound = production.authenticator(AUTHENTICATOR, issuer);
    let mut shared = sound.clone();
    shared["spec"]["audience"] = json!(Site::audience("staging"));
    shared["spec"]["claims"]["groups"] = json!("roles");
    let mut entry = production.fleet_cluster("staging", &[&Site::audience("staging")]);
    entry["spec"]["contact"] = json!("#platform");
    let binding = ["create", "clusterrolebinding", "sre-admin", "--clusterrole=cluster-admin", "--group=sre"];
    production.cluster.apply(&shared.to_string()).await?;
    production.cluster.apply(&entry.to_string()).await?;
    production.cluster.kubectl_ok(&binding).await?;
    let expected = [
        "audience-shared",
        "audience-of-other-cluster",
        "authenticator-differs",
        "authenticator-not-ready",
        "list-differs",
        "audience-not-listed",
        "binding-differs",
        "audience-unused",
    ];
    eventually("the concierge to refuse the shared audience", SEEN, async || {
        let checked = pipeline.check(&["-o", "json"]).await?;
        ensure!(checked.code == 1, "{checked:?}");
        let answer: Value = serde_json::from_str(&checked.stdout)?;
        let findings = answer["findings"].as_array().context("findings")?;
        let codes: Vec<_> = findings.iter().map(|finding| &finding["code"]).collect();
        ensure!(codes == expected, "{answer}");
        ensure!(answer.to_string().contains("SharedWithCluster"), "the condition's own words: {answer}");
        Ok(())
    })
    .await?;
    let text = pipeline.check(&[]).await?;
    ensure!(text.stdout.starts_with("critical audience-shared: "), "{text:?}");
    ensure!(text.stdout.contains("Group sre: ClusterRole cluster-admin in the whole cluster"), "{text:?}");
    ensure!(text.said.contains("2 critical findings, 5 errors"), "{text:?}");

    production.cluster.apply(&sound.to_string()).await?;
    let listed = production.fleet_cluster("staging", &[&Site::audience("staging")]);
    production.cluster.apply(&listed.to_string()).await?;
    let label = ["label", "clusterrolebinding", "sre-admin", "latchkey.dev/fleet-check=ignore"];
    production.cluster.kubectl_ok(&label).await?;
    eventually("everything to be as it was", SEEN, async || {
        let checked = pipeline.check(&[]).await?;
        ensure!(checked.code == 0 && checked.stdout == "2 clusters, no drift: staging, production\n", "{checked:?}");
        Ok(())
    })
    .await
}

async fn what_cannot_be_read_is_told(production: &Site, pipeline: &Pipeline, work: &TempFolder) -> Result<()> {
    let patch = r#"[{"op": "remove", "path": "/rules/0"}]"#;
    let role = production.cluster.kubectl_ok(&["get", "clusterrole", READER, "-o", "json"]).await?;
    let first: Value = serde_json::from_str(&role)?;
    let lost: Vec<&str> =
        first["rules"][0]["resources"].as_array().context("rules")?.iter().filter_map(Value::as_str).collect();
    production.cluster.kubectl_ok(&["patch", "clusterrole", READER, "--type=json", "-p", patch]).await?;
    eventually("the lost right to be told", SEEN, async || {
        let checked = pipeline.check(&[]).await?;
        ensure!(checked.code == 6, "nothing differs, and not all was read: {checked:?}");
        for resource in &lost {
            let told = format!("production: {resource}: you may not list them there");
            ensure!(checked.said.contains(&told), "{told}: {checked:?}");
        }
        Ok(())
    })
    .await?;
    let nowhere = work.write("nowhere.yaml", NOWHERE)?;
    let kubeconfigs = vec![pipeline.kubeconfigs[0].clone(), nowhere];
    let dark =
        Pipeline { kubeconfigs, kubectl: pipeline.kubectl.clone() }.check(&["--contexts", "staging,nowhere"]).await?;
    ensure!(dark.code == 6 && dark.said.starts_with("nowhere: "), "{dark:?}");
    Ok(())
}

/// What asks.
struct Pipeline {
    kubeconfigs: Vec<PathBuf>,
    kubectl: PathBuf,
}

/// What came of it.
#[derive(Debug)]
struct Checked {
    code: i32,
    stdout: String,
    said: String,
}

impl Pipeline {
    async fn check(&self, arguments: &[&str]) -> Result<Checked> {
        let mut command = Command::new(&Programs::find().await?.plugin);
        command.args(["fleet", "check"]).args(arguments).env("KUBECONFIG", std::env::join_paths(&self.kubeconfigs)?);
        command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        command.env("KUBERC", "off").env("KUBECTL_PATH", &self.kubectl).stdin(Stdio::null()).kill_on_drop(true);
        let output = command.output().await?;
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).context("words");
        let code = output.status.code().context("an exit status")?;
        Ok(Checked { code, stdout: text(output.stdout)?, said: text(output.stderr)? })
    }
}
