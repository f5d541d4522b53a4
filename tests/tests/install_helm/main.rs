//! Installed by Helm on a cluster with a node, as the chart's page says it: one story from an empty namespace to an empty
//! namespace, with people who log in, look into pods, and notice nothing of an upgrade.

mod installing;
mod leaving;
mod logging_in;
mod streams;
mod upgrading;
mod watching;

use std::{path::Path, time::Instant};

use anyhow::{Context as _, Result, ensure};
use latchkey_e2e::{
    cluster::ClusterOptions,
    folder::TempFolder,
    guide::Guide,
    image::Image,
    installed,
    issuer::{Client, Issuer, IssuerOptions, User},
    node::NodeCluster,
};

use self::{logging_in::People, streams::Streams, watching::Watch};

/// Where the page's commands are typed.
const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The cluster's name in its records.
const CLUSTER: &str = "staging";

/// The service account of the concierge, as the API server's audit log has it.
const ACCOUNT: &str = "system:serviceaccount:latchkey:latchkey-concierge";

#[tokio::test]
async fn from_an_empty_cluster_to_an_empty_cluster() -> Result<()> {
    installed::story("from_an_empty_cluster_to_an_empty_cluster", ClusterOptions::named("helm"), story).await
}

async fn story(cluster: &NodeCluster) -> Result<()> {
    let work = TempFolder::new("install-helm")?;
    let issuer = issuer(cluster).await?;
    let (image, begin) = (Image::build().await?, Instant::now());
    cluster.import_image(&image).await?;
    let told = |chapter: &str| eprintln!("{:>5.1} s: {chapter}", begin.elapsed().as_secs_f64());
    let empty = leaving::look(cluster).await?;

    installing::install(cluster, &issuer).await.context("chapter 1, installing")?;
    told("installed");
    let people = People::arrive(cluster, &issuer, &work).await.context("chapter 2, logging in")?;
    told("logged in");
    let watch = Watch::begin(cluster).await.context("chapter 3, watching")?;
    people.bring_a_token_of_production(cluster, &issuer).await.context("chapter 2, a token of production")?;
    watch.sees_it().await.context("chapter 3, watching")?;
    told("alerted");
    upgrading::upgrade(cluster, &issuer).await.context("chapter 4, upgrading")?;
    told("upgraded");
    let mut streams = Streams::begin(cluster, &people, &work).await.context("chapter 5, streams")?;
    told("streaming");
    upgrading::roll_back(cluster, &issuer).await.context("chapter 4, rolling back")?;
    told("rolled back");
    streams.outlive_a_credential(cluster, &people).await.context("chapter 5, streams")?;
    told("renewed");
    leaving::nothing_was_denied(cluster).context("chapter 6, rights")?;
    leaving::uninstall(cluster, &empty).await.context("chapter 7, leaving")?;
    told("gone");
    Ok(())
}

/// One provider with a client for each cluster, where pods and this machine reach it.
async fn issuer(cluster: &NodeCluster) -> Result<Issuer> {
    let clients = ["kubernetes-staging", "kubernetes-production"].map(Client::native).to_vec();
    let users = vec![User::new("ann", "ann-password").groups(&["developers"])];
    Issuer::start_in(IssuerOptions { clients, users, ..IssuerOptions::default() }, cluster.place().clone()).await
}

/// The lines of the chart's page that hold `words`: the one block with them.
fn page(words: &str) -> Result<Vec<String>> {
    let page = Guide::read("../chart/README.md")?;
    let mut blocks = page.blocks().filter(|block| block.language == "sh" && block.text.contains(words));
    let block =
        blocks.next().filter(|_| blocks.next().is_none()).with_context(|| format!("one block with {words:?}"))?;
    Ok(block.text.lines().map(str::to_owned).collect())
}

/// Types a line of the page, with more words at its end, and returns what it answered on both ways.
async fn type_line(cluster: &NodeCluster, line: &str, more: &[String]) -> Result<String> {
    let mut words = line.split_ascii_whitespace();
    let mut command = match words.next() {
        Some("helm") => cluster.helm_command().await?,
        Some("kubectl") => cluster.kubectl_command(cluster.kubeconfig()),
        other => anyhow::bail!("neither helm nor kubectl: {other:?}"),
    };
    command.args(words).args(more).current_dir(Path::new(REPOSITORY));
    let output = tokio::process::Command::from(command).kill_on_drop(true).output().await?;
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    ensure!(output.status.success(), "{line} {}: {}\n{said}", more.join(" "), output.status);
    Ok(said)
}
