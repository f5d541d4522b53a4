//! Every object of a cluster, by discovery: what an installation leaves behind.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};

use crate::cluster::Cluster;

/// One object's address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// `apps/v1` and the like.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its namespace; empty where it is in none.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Lists everything that can be listed.
///
/// # Errors
/// If a kind cannot be discovered or listed.
pub async fn inventory(cluster: &Cluster) -> Result<BTreeSet<Entry>> {
    let kinds = cluster.kubectl(&["api-resources", "--verbs=list", "--cached=false", "-o", "name"]).await?;
    let (said, words) = (String::from_utf8(kinds.stdout)?, String::from_utf8_lossy(&kinds.stderr).into_owned());
    ensure!(kinds.status.success() && words.is_empty(), "kubectl api-resources: {words}");
    let kinds: Vec<&str> = said.lines().collect();
    let line = r"jsonpath={range .items[*]}{.apiVersion}|{.kind}|{.metadata.namespace}|{.metadata.name}{'\n'}{end}";
    let listed = cluster.kubectl_ok(&["get", &kinds.join(","), "--all-namespaces", "-o", line]).await?;
    let entry = |line: &str| {
        let mut words = line.splitn(4, '|').map(str::to_owned);
        let mut word = || words.next().with_context(|| format!("four words in {line:?}"));
        Ok(Entry { api_version: word()?, kind: word()?, namespace: word()?, name: word()? })
    };
    listed.lines().map(entry).collect()
}
