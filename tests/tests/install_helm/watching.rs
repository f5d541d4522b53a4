//! Chapter 3: a Prometheus that reads the pods where the chart's annotations say, and has the chart's rules.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use latchkey_e2e::{
    installed::{Installed, Pod},
    node::NodeCluster,
    prometheus::Prometheus,
    wait::eventually,
};

use serde_json::{Value, json};

use crate::{CLUSTER, REPOSITORY};

/// A scrape a second, and rules a second: seconds. The rest is for two busy cores.
const SEEN_LIMIT: Duration = Duration::from_secs(90);

pub(crate) struct Watch {
    prometheus: Prometheus,
    pods: Vec<Pod>,
}

impl Watch {
    pub(crate) async fn begin(cluster: &NodeCluster) -> Result<Self> {
        let rules = Path::new(REPOSITORY).join("deploy/chart/files/rules/rules.yaml");
        let prometheus = Prometheus::start_at(&targets(cluster).await?, &rules).await?;
        let pods = Installed::of(cluster).pods().await?;
        eventually("each pod to be scraped", SEEN_LIMIT, async || {
            for query in ["up == 1", r#"latchkey_build_info{version!=""}"#] {
                let found = prometheus.query(query).await?;
                let of = |pod: &Pod| found.iter().filter(|one| one["metric"]["pod"] == pod.name).count();
                ensure!(found.len() == pods.len() && pods.iter().all(|pod| of(pod) == 1), "{query}: {found:?}");
            }
            Ok(())
        })
        .await?;
        let quiet = prometheus.firing().await?;
        ensure!(quiet.is_empty(), "nothing has happened yet: {quiet:?}");
        Ok(Self { prometheus, pods })
    }

    /// The token of another cluster, and nothing else.
    pub(crate) async fn sees_it(&self) -> Result<()> {
        eventually("the alert", SEEN_LIMIT, async || {
            let firing = self.prometheus.firing().await?;
            let labels = firing.iter().map(|alert| &alert["labels"]).collect::<Vec<_>>();
            let expected = |labels: &Value| {
                labels["alertname"] == "LatchkeyCrossClusterTokenLive"
                    && labels["claimed_cluster"] == "production"
                    && labels["cluster"] == CLUSTER
                    && labels["namespace"] == "latchkey"
            };
            ensure!(labels.len() == 1 && expected(labels[0]), "{labels:?}");
            Ok(())
        })
        .await?;
        // A single scrape may be late on two busy cores.
        eventually("each pod to be scraped still", SEEN_LIMIT, async || {
            let up = self.prometheus.query("up == 1").await?;
            ensure!(up.len() == self.pods.len(), "{up:?}");
            Ok(())
        })
        .await
    }
}

/// What a Prometheus that looks for annotations would find. (Debian's is built without the eyes for Kubernetes.)
async fn targets(cluster: &NodeCluster) -> Result<Vec<Value>> {
    let list: Value = serde_json::from_str(&cluster.kubectl_ok(&["get", "pods", "-A", "-o", "json"]).await?)?;
    let mut targets = Vec::new();
    for pod in list["items"].as_array().context("a list")? {
        let annotation = |name: &str| pod["metadata"]["annotations"][format!("prometheus.io/{name}")].as_str();
        let Some("true") = annotation("scrape") else { continue };
        let port = annotation("port").context("a port")?;
        let address = pod["status"]["podIP"].as_str().context("an address")?;
        targets.push(json!({
            "targets": [format!("{address}:{port}")],
            "labels": {
                "__metrics_path__": annotation("path").context("a path")?,
                "cluster": CLUSTER,
                "namespace": pod["metadata"]["namespace"],
                "pod": pod["metadata"]["name"],
            },
        }));
    }
    Ok(targets)
}
