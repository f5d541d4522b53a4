//! What the pages have people type leads to what they say: a repository in which everything builds, with nothing left out.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use latchkey_e2e::{
    cluster::{Cluster, ClusterOptions},
    control_plane::ControlPlane,
    folder::TempFolder,
    guide::Guide,
    tools::Tool,
};
use serde_json::Value;
use tokio::process::Command;

use crate::tree::{built, deploy, documents, files, root};

const ARGO: &str = "../examples/argocd/README.md";
const EXAMPLES: &str = "../examples/README.md";
const FLUX: &str = "../examples/flux/README.md";
const RELEASE: &str = "../release/README.md";
const SEALED: &str = "../examples/sealed-secrets/README.md";

/// The lines of the one block of shell with these words.
fn commands(page: &str, words: &str) -> Result<String> {
    let guide = Guide::read(page)?;
    let mut found = guide.blocks().filter(|block| block.language == "sh" && block.text.contains(words));
    let one = found.next().filter(|_| found.next().is_none());
    Ok(one.with_context(|| format!("one block with {words:?} in {page}"))?.text.clone())
}

async fn typed(lines: &str, folder: &Path, repository: &Path) -> Result<()> {
    let mut shell = Command::new("sh");
    shell.args(["-euc", lines]).current_dir(folder).env("REPOSITORY", repository).kill_on_drop(true);
    let output = shell.output().await?;
    ensure!(output.status.success(), "{lines}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn audiences(objects: &[Value]) -> Vec<&Value> {
    let authenticators = objects.iter().filter(|object| object["kind"] == "JWTAuthenticator");
    authenticators.map(|object| &object["spec"]["audience"]).collect()
}

#[tokio::test]
async fn the_overlays_build_in_a_repository_of_the_folders_that_the_page_copies_and_so_does_a_new_clusters()
-> Result<()> {
    let work = TempFolder::new("repository")?;
    let repository = work.path();
    typed(&commands(ARGO, "crds/manifests")?, &root(), repository).await?;
    let examples = repository.join("deploy/examples");
    for folder in ["staging", "staging/access", "production", "production/access"] {
        let (theirs, ours) =
            (built(&examples.join(folder)).await?, built(&deploy().join("examples").join(folder)).await?);
        ensure!(theirs == ours, "{folder} is another one there");
    }

    typed(&commands(EXAMPLES, "qa/access")?, repository, repository).await?;
    let (concierge, access) = (built(&examples.join("qa")).await?, built(&examples.join("qa/access")).await?);
    // Descriptions in the definitions speak of an example.
    for object in documents(&concierge)?.iter().filter(|object| object["kind"] != "CustomResourceDefinition") {
        ensure!(!object.to_string().contains("staging"), "{object}");
    }
    ensure!(concierge.contains("cluster-name: qa\n") && concierge.contains(r"expression: '''qa'''"), "{concierge}");
    ensure!(audiences(&documents(&access)?) == ["kubernetes-qa"], "{access}");
    // Every cluster hears of it.
    for cluster in ["staging", "production", "qa"] {
        let access = documents(&built(&examples.join(cluster).join("access")).await?)?;
        let fleet: BTreeSet<&str> = access
            .iter()
            .filter(|object| object["kind"] == "FleetCluster")
            .filter_map(|object| object["metadata"]["name"].as_str())
            .collect();
        ensure!(fleet == BTreeSet::from(["production", "qa", "staging"]), "{cluster} knows {fleet:?}");
    }
    Ok(())
}

/// A file in a folder is nothing to Kustomize as long as the folder's list lacks it.
#[tokio::test]
async fn what_is_sealed_into_the_folder_of_a_cluster_is_applied() -> Result<()> {
    let work = TempFolder::new("sealed")?;
    typed(&commands(FLUX, "flux/clusters")?, &root(), work.path()).await?;
    let folder = work.path().join("clusters/staging/latchkey");
    fs::copy(deploy().join("examples/sealed-secrets/audit-collector.yaml"), folder.join("audit-collector.yaml"))?;
    let page = commands(SEALED, "kubeseal")?;
    let (_, after) = page.split_once("> clusters/staging/latchkey/audit-collector.yaml\n").context("a file")?;
    typed(after, work.path(), work.path()).await?;
    let objects = documents(&built(&folder).await?)?;
    let kinds: Vec<_> = objects.iter().filter_map(|object| object["kind"].as_str()).collect();
    ensure!(kinds.contains(&"SealedSecret") && kinds.contains(&"HelmRelease"), "{kinds:?}");
    Ok(())
}

/// Pages show values of the chart without the object around them.
#[tokio::test]
async fn the_values_on_a_page_are_values_of_the_chart() -> Result<()> {
    let (work, mut seen) = (TempFolder::new("values")?, 0);
    for path in files(&deploy().join("examples"), "md")? {
        let page = Guide::read_file(&path)?;
        for block in page.blocks().filter(|block| block.language == "yaml" && !block.text.contains("kind:")) {
            seen += 1;
            let values = work.write("values.yaml", &block.text)?;
            let mut template = Command::new(Tool::Helm.find().await?);
            template.args(["template", "latchkey"]).arg(deploy().join("chart")).args(["--set", "clusterName=staging"]);
            let output = template.arg("--values").arg(&values).output().await?;
            ensure!(output.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&output.stderr));
        }
    }
    ensure!(seen >= 1, "none was seen");
    Ok(())
}

#[tokio::test]
async fn the_chart_goes_to_where_flux_and_argo_cd_look_for_it() -> Result<()> {
    let lines = commands(RELEASE, "helm push")?;
    let line = |begin: &str| lines.lines().find_map(|line| line.strip_prefix(begin)).context("a command");
    let work = TempFolder::new("packaged")?;
    let mut package = Command::new(Tool::Helm.find().await?);
    let (chart, folder) = line("helm package ")?.split_once(" --destination ").context("a destination")?;
    package.arg("package").arg(root().join(chart)).arg("--destination").arg(work.path().join(folder));
    let output = package.output().await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (file, registry) = line("helm push ")?.split_once(' ').context("a registry")?;
    ensure!(work.path().join(file).is_file(), "helm package makes no {file}");

    let (_, tag) = file.trim_end_matches(".tgz").rsplit_once('-').context("a version")?;
    for cluster in ["staging", "production"] {
        let release = deploy().join("examples/flux/clusters").join(cluster).join("latchkey/release.yaml");
        let source = documents(&fs::read_to_string(release)?)?.remove(0);
        ensure!(source["spec"]["url"] == format!("{registry}/latchkey-concierge"), "{source}");
        ensure!(source["spec"]["ref"]["tag"] == tag, "{source}");
    }
    let hub = documents(&fs::read_to_string(deploy().join("examples/argocd/applicationset.yaml"))?)?.remove(0);
    let source = &hub["spec"]["template"]["spec"]["sources"][0];
    ensure!(format!("oci://{}", source["repoURL"].as_str().unwrap_or_default()) == registry, "{source}");
    ensure!(source["chart"] == "latchkey-concierge", "{source}");
    Ok(())
}

/// What the README has people ask before they install anything, on a cluster that people could log in to and on one where not.
#[tokio::test]
async fn a_cluster_that_refuses_requests_without_a_credential_says_so_to_the_readmes_command() -> Result<()> {
    let command = commands("../../README.md", "%{http_code}")?;
    let kubectl = ControlPlane::find().await?.kubectl.parent().context("its folder")?.to_owned();
    let path = std::env::join_paths(
        [kubectl].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    )?;
    for (anonymous, code) in [(true, "403"), (false, "401")] {
        let options = ClusterOptions { anonymous, controllers_running: false, ..ClusterOptions::named("anonymous") };
        let cluster = Cluster::start(options).await?;
        let mut shell = Command::new("sh");
        shell
            .args(["-euc", &command])
            .env("KUBECONFIG", cluster.admin_kubeconfig())
            .env("PATH", &path)
            .kill_on_drop(true);
        let output = shell.output().await?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(said == code, "{said:?}, {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// Whoever follows the README should not find out at the second command that there is something else to install.
#[test]
fn the_readme_names_every_program_before_it_has_people_type_it() -> Result<()> {
    let heading = "## On your own cluster: first login in five minutes";
    let section = Guide::read_section("../../README.md", heading)?;
    let readme = fs::read_to_string(root().join("README.md"))?;
    let (_, needed) = readme.split_once(heading).context("the section")?;
    let (needed, _) = needed.split_once("\n\n1. ").context("its first command")?;
    let mut programs = BTreeSet::new();
    for line in section.blocks().filter(|block| block.language == "sh").flat_map(|block| block.text.lines()) {
        let mut words = line.split(' ').skip_while(|word| word.contains('='));
        programs.insert(words.next().context("a program")?.to_owned());
    }
    ensure!(programs.len() >= 4, "{programs:?}");
    for program in programs {
        let told = if program == "cargo" { "Rust".to_owned() } else { format!("`{program}`") };
        ensure!(needed.contains(&told), "{program} is needed, and nobody is told before");
    }
    Ok(())
}
