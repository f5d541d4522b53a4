//! Chapter 4: pods are replaced while people log in, and nobody notices.

use anyhow::{Result, ensure};
use latchkey_e2e::{installed::Installed, issuer::Issuer, node::NodeCluster};

use crate::{logging_in::AUTHENTICATOR, page, type_line};

/// The page's upgrade, to a value that rolls the pods.
pub(crate) async fn upgrade(cluster: &NodeCluster, issuer: &Issuer) -> Result<()> {
    let more = ["--set", "log.level=debug"].map(str::to_owned);
    roll(cluster, issuer, "helm upgrade", &more).await?;
    ensure!(level(cluster).await?.contains("debug"));
    Ok(())
}

/// The page's way back.
pub(crate) async fn roll_back(cluster: &NodeCluster, issuer: &Issuer) -> Result<()> {
    roll(cluster, issuer, "helm rollback", &[]).await?;
    ensure!(!level(cluster).await?.contains("debug"));
    Ok(())
}

async fn level(cluster: &NodeCluster) -> Result<String> {
    let arguments = "jsonpath={.spec.template.spec.containers[0].args}";
    cluster.kubectl_ok(&["-n", "latchkey", "get", "deployment", "latchkey-concierge", "-o", arguments]).await
}

async fn roll(cluster: &NodeCluster, issuer: &Issuer, command: &str, more: &[String]) -> Result<()> {
    let installed = Installed::of(cluster);
    let before = installed.pods().await?;
    let lines = page("helm upgrade")?;
    let mut lines = lines.iter().filter(|line| line.starts_with(command));
    let line = lines.next().filter(|_| lines.next().is_none());
    let line = line.ok_or_else(|| anyhow::anyhow!("one line {command:?} on the page"))?;
    let work = async {
        type_line(cluster, line, more).await?;
        // Until the last of the old ones is gone.
        installed.settled(2, &before).await
    };
    let ann = || issuer.id_token("ann", "kubernetes-staging");
    let (_, logins) = installed.logins_during(AUTHENTICATOR, ann, work).await?;
    eprintln!("{command}: {logins}");
    logins.all_granted()
}
