//! Chapter 1: the page's first block, into a namespace that enforces restricted Pod Security.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, ensure};
use latchkey_e2e::{
    installed::{Installed, NAMESPACE},
    issuer::Issuer,
    node::NodeCluster,
    wait::eventually,
};
use serde_json::Value;

use crate::{page, type_line};

/// The leader writes a second or two after it leads; the rest is for two busy cores.
const LEADER_LIMIT: Duration = Duration::from_mins(1);

/// A probe that comes before the listener is no trouble, the test's node has no DNS, and an API server that has just started may
/// find a Service's address before the object that says to whom it gave it: it writes that object again and says so.
const HARMLESS: [&str; 3] = ["Unhealthy", "MissingClusterDNS", "ClusterIPNotAllocated"];

pub(crate) async fn install(cluster: &NodeCluster, issuer: &Issuer) -> Result<()> {
    for line in page("helm install")? {
        // Beside what the page says: a closed network, and annotations for Prometheus.
        let more = if line.starts_with("helm install") { values(cluster, issuer)? } else { Vec::new() };
        let said = type_line(cluster, &line, &more).await?;
        ensure!(!said.contains("Warning"), "{line}: {said}");
        if line.contains("pod-security") {
            // What would be refused is said of everything that makes pods, too, and noted in the audit log.
            let more = ["warn", "audit"].map(|mode| format!("pod-security.kubernetes.io/{mode}=restricted"));
            type_line(cluster, &format!("kubectl label namespace {NAMESPACE}"), &more).await?;
        }
        if line.starts_with("helm test") {
            ensure!(said.contains("Succeeded"), "{said}");
        }
    }
    let pods = Installed::of(cluster).settled(2, &[]).await?;
    let available = ["wait", "--for=condition=Available", "--timeout=60s", "apiservice"];
    let services = ["login", "identity"].map(|name| format!("v1alpha1.{name}.concierge.latchkey.dev"));
    cluster.kubectl_ok(&[&available[..], &[&services[0], &services[1]]].concat()).await?;

    let lease = ["-n", NAMESPACE, "get", "lease", "latchkey-concierge", "-o", "jsonpath={.spec.holderIdentity}"];
    let leader = cluster.kubectl_ok(&lease).await?;
    ensure!(pods.iter().any(|pod| leader.starts_with(&pod.name)), "{leader} leads, of {pods:?}");
    eventually("the leader's CredentialIssuer", LEADER_LIMIT, async || {
        let object = cluster.kubectl_ok(&["get", "credentialissuer", "latchkey", "-o", "json"]).await?;
        let object: Value = serde_json::from_str(&object)?;
        let strategies = object["status"]["strategies"].as_array().context("no strategies yet")?;
        ensure!(strategies.iter().any(|strategy| strategy["status"] == "Success"), "{}", object["status"]);
        Ok(())
    })
    .await?;
    nothing_violates_pod_security(cluster).await
}

fn values(cluster: &NodeCluster, issuer: &Issuer) -> Result<Vec<String>> {
    let node = cluster.place().address();
    let port = issuer.url().rsplit_once(':').context("the issuer's port")?.1;
    let values = [
        "networkPolicy.enabled=true".to_owned(),
        format!("networkPolicy.apiServer.to[0].ipBlock.cidr={node}/32"),
        format!("networkPolicy.issuers.to[0].ipBlock.cidr={node}/32"),
        format!("networkPolicy.issuers.ports[0]={port}"),
        "metrics.scrapeAnnotations=true".to_owned(),
    ];
    Ok(values.into_iter().flat_map(|value| ["--set".to_owned(), value]).collect())
}

async fn nothing_violates_pod_security(cluster: &NodeCluster) -> Result<()> {
    let audit = fs::read_to_string(cluster.audit_log())?;
    ensure!(audit.contains("pod-security.kubernetes.io/enforce-policy"), "Pod Security judged no pod");
    let violation = audit.lines().find(|event| event.contains("pod-security.kubernetes.io/audit-violations"));
    ensure!(violation.is_none(), "{violation:?}");
    let events: Value =
        serde_json::from_str(&cluster.kubectl_ok(&["-n", NAMESPACE, "get", "events", "-o", "json"]).await?)?;
    let events = events["items"].as_array().context("a list")?;
    ensure!(!events.is_empty(), "pods come with events");
    let trouble: Vec<&Value> = events
        .iter()
        .filter(|event| event["type"] == "Warning" && !HARMLESS.iter().any(|reason| event["reason"] == *reason))
        .collect();
    ensure!(trouble.is_empty(), "{trouble:?}");
    Ok(())
}
