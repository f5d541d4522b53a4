//! Chapters 6 and 7: what the concierge was denied, and what is left of it.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use anyhow::{Result, ensure};
use latchkey_e2e::{
    installed::NAMESPACE,
    inventory::{Entry, inventory},
    node::NodeCluster,
    wait::eventually,
};
use serde_json::Value;

use crate::{ACCOUNT, REPOSITORY, page, type_line};

/// Pods stop within a minute, and garbage is collected after them.
const GONE_LIMIT: Duration = Duration::from_mins(2);

/// Whether an object belongs to a row.
type Belongs = fn(&Entry) -> bool;

/// What stays, row by row of the page's table, and whether an object belongs to the row.
const LEFT: &[(&str, Belongs)] = &[
    ("the definitions", |entry| entry.kind == "CustomResourceDefinition" && is_ours(&entry.name)),
    ("the entries that the API server makes for them", |entry| {
        entry.kind == "APIService"
            && ["authentication", "config", "audit"].iter().any(|group| entry.name == *group_version(group))
    }),
    ("all authenticators", |entry| entry.kind == "JWTAuthenticator"),
    ("fleet list", |entry| entry.kind == "FleetCluster"),
    ("rejections", |entry| entry.kind == "TokenRejection"),
    ("the CredentialIssuer", |entry| entry.kind == "CredentialIssuer" && entry.name == "latchkey"),
    ("its authorities", |entry| is_made(entry, "Secret", "latchkey-client-certificate-authority")),
    ("the authority for people to trust", |entry| is_made(entry, "ConfigMap", "latchkey-client-certificate-authority")),
    ("serving certificate", |entry| is_made(entry, "Secret", "latchkey-concierge-api-serving-certificate")),
    ("audit key", |entry| is_made(entry, "Secret", "latchkey-audit-key")),
    ("audit heads", |entry| is_made(entry, "ConfigMap", "latchkey-audit-heads")),
    ("issuers' last keys", |entry| {
        entry.kind == "Secret" && entry.namespace == NAMESPACE && entry.name.starts_with("latchkey-keys-")
    }),
    ("the Lease", |entry| is_made(entry, "Lease", "latchkey-concierge")),
    ("Events in `default`, and in the namespace", |entry| {
        entry.kind == "Event" && [NAMESPACE, "default", "work"].contains(&&*entry.namespace)
    }),
    ("the namespace, which the page's first line made", |entry| entry.kind == "Namespace" && entry.name == NAMESPACE),
    ("what Kubernetes puts into every one", |entry| {
        is_made(entry, "ServiceAccount", "default") || is_made(entry, "ConfigMap", "kube-root-ca.crt")
    }),
    ("the bindings of the examples, which are no part of the release", |entry| {
        entry.kind == "ClusterRoleBinding" && BINDINGS.contains(&&*entry.name)
    }),
];

/// What people may do: deploy/examples/rbac.
const BINDINGS: [&str; 3] = ["developers-view", "security-rejections-viewer", "sre-cluster-admin"];

fn is_ours(name: &str) -> bool {
    name.ends_with(".concierge.latchkey.dev")
}

fn group_version(group: &str) -> String {
    format!("v1alpha1.{group}.concierge.latchkey.dev")
}

fn is_made(entry: &Entry, kind: &str, name: &str) -> bool {
    entry.kind == kind && entry.namespace == NAMESPACE && entry.name == name
}

/// A healthy concierge asks for nothing that it may not have.
pub(crate) fn nothing_was_denied(cluster: &NodeCluster) -> Result<()> {
    let (mut asked, mut denied) = (0, Vec::new());
    for line in fs::read_to_string(cluster.audit_log())?.lines().filter(|line| line.contains(ACCOUNT)) {
        let event: Value = serde_json::from_str(line)?;
        if event["user"]["username"] == ACCOUNT {
            asked += 1;
            if event["responseStatus"]["code"] == 403 {
                denied.push(format!("{} {}", event["verb"], event["requestURI"]));
            }
        }
    }
    ensure!(asked > 100, "{asked} requests of {ACCOUNT}");
    ensure!(denied.is_empty(), "{denied:?}");
    eprintln!("{asked} requests of the concierge, none denied");
    Ok(())
}

/// The page's table, and then nothing.
pub(crate) async fn uninstall(cluster: &NodeCluster, empty: &BTreeSet<Entry>) -> Result<()> {
    for line in page("helm uninstall")? {
        type_line(cluster, &line, &[]).await?;
    }
    eventually("what the page says is left, and nothing else", GONE_LIMIT, async || {
        let now = look(cluster).await?;
        let lost: Vec<_> = empty.difference(&now).filter(|entry| entry.kind != "Event").collect();
        ensure!(lost.is_empty(), "not ours, and gone: {lost:?}");
        let left: Vec<_> = now.difference(empty).collect();
        let strange: Vec<_> = left.iter().filter(|entry| !LEFT.iter().any(|(_, known)| known(entry))).collect();
        ensure!(strange.is_empty(), "the page says nothing of {strange:?}");
        for (what, known) in LEFT {
            ensure!(left.iter().any(|entry| known(entry)), "the page says that it stays: {what}");
        }
        Ok(())
    })
    .await?;
    for line in removals()? {
        type_line(cluster, &line, &[]).await?;
    }
    type_line(cluster, "kubectl delete -k deploy/examples/rbac", &[]).await?;
    eventually("the cluster as it was", GONE_LIMIT, async || {
        let now = look(cluster).await?;
        // Kubernetes takes those away after an hour.
        let differing: Vec<_> = now.symmetric_difference(empty).filter(|entry| entry.kind != "Event").collect();
        ensure!(differing.is_empty(), "{differing:?}");
        Ok(())
    })
    .await
}

/// All but the lease of the node, which the kubelet makes some time after its start.
pub(crate) async fn look(cluster: &NodeCluster) -> Result<BTreeSet<Entry>> {
    Ok(inventory(cluster).await?.into_iter().filter(|entry| entry.namespace != "kube-node-lease").collect())
}

/// The commands of the page's table, from top to bottom.
fn removals() -> Result<Vec<String>> {
    let page = fs::read_to_string(Path::new(REPOSITORY).join("deploy/chart/README.md"))?;
    let rows =
        page.lines().skip_while(|line| *line != "## Uninstall").skip(1).take_while(|line| !line.starts_with("## "));
    let rows = rows.filter(|line| line.starts_with('|'));
    let commands = rows.filter_map(|row| row.split('`').find(|words| words.starts_with("kubectl delete")));
    let commands: Vec<String> = commands.map(str::to_owned).collect();
    ensure!(commands.len() == 2, "{commands:?}");
    Ok(commands)
}
