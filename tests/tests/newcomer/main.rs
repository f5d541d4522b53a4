//! From nothing to `kubectl get pods`, by somebody who does what the README says, on a cluster with a node and with a real
//! identity provider; and once more by Kustomize, until nothing is left.

mod by_helm;
mod by_kustomize;
mod desk;

use anyhow::Result;
use latchkey_e2e::{cluster::ClusterOptions, dex::Dex, guide::Guide, installed, node::NodeCluster};

use self::desk::Desk;

/// Where the README's section on it begins.
const FIRST_LOGIN: &str = "## On your own cluster: first login in five minutes";

/// The provider's address in Dex' own guide, which has a client for each of two clusters.
const DEX_OF_THE_GUIDE: &str = "https://dex.example.com";

#[tokio::test]
async fn a_newcomer_follows_the_readme() -> Result<()> {
    installed::story("a_newcomer_follows_the_readme", ClusterOptions::named("newcomer"), story).await
}

async fn story(cluster: &NodeCluster) -> Result<()> {
    // "For Dex, `deploy/guides/idp/` says what to type": the clients are that page's.
    let settings = Guide::read("idp/dex.md")?;
    let dex = Dex::start_in(settings.only("yaml", "provider")?, DEX_OF_THE_GUIDE, cluster.place()).await?;
    let mut desk = Desk::new(cluster, &dex, "newcomer").await?;
    let followed = by_helm::follow(&mut desk).await;
    // How far it came tells something too.
    desk.print_times()?;
    followed?;
    by_helm::take_away(&desk).await?;

    // Somebody else's computer: nobody has logged in there yet.
    let mut desk = Desk::new(cluster, &dex, "by-kustomize").await?;
    let followed = by_kustomize::follow(&mut desk).await;
    desk.print_times()?;
    followed
}
