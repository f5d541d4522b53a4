//! What the pods ask of a cluster: little enough for the smallest one, and nothing of its nodes.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{
    documents::{documents, kind, the},
    helm::{Helm, VALUES_OF_DEFAULTS, value_files},
};

/// Where a pod's spec is, in what makes pods and in a pod.
const SPECS: [&str; 2] = ["/spec/template/spec", "/spec"];

/// A limit of CPU throttles handshakes, which then look like an outage; one of memory keeps a leak from taking the node.
#[tokio::test]
async fn memory_is_limited_and_cpu_is_not_and_both_are_asked_for() -> Result<()> {
    let rendered = Helm::new().await?.template("latchkey", "latchkey", VALUES_OF_DEFAULTS).await?;
    let reason = "# No CPU limit by default: throttled TLS handshakes look like an outage.\n        resources:";
    ensure!(rendered.contains(reason), "the manifest does not say why");
    let objects = documents(&rendered)?;
    let containers: Vec<_> =
        specs(&objects).flat_map(|spec| spec["containers"].as_array().into_iter().flatten()).collect();
    ensure!(containers.len() == 2, "{containers:?}");
    for resources in containers.iter().map(|container| &container["resources"]) {
        let names = |of: &str| resources[of].as_object().map(|of| of.keys().cloned().collect::<Vec<_>>());
        ensure!(names("limits") == Some(vec!["memory".to_owned()]), "{resources}");
        ensure!(names("requests") == Some(vec!["cpu".to_owned(), "memory".to_owned()]), "{resources}");
    }
    Ok(())
}

/// A cluster of one node gets all replicas, a drained one loses them one by one, and a rollout takes none away first.
#[tokio::test]
async fn one_node_is_enough_and_an_outage_of_the_issuer_restarts_nothing() -> Result<()> {
    let objects = documents(&Helm::new().await?.template("latchkey", "latchkey", VALUES_OF_DEFAULTS).await?)?;
    let deployment = &the(&objects, "Deployment", "latchkey-concierge")?["spec"];
    ensure!(deployment["replicas"] == 2);
    ensure!(deployment["strategy"]["rollingUpdate"] == json!({"maxSurge": 1, "maxUnavailable": 0}));
    let budget = &the(&objects, "PodDisruptionBudget", "latchkey-concierge")?["spec"];
    ensure!(budget["maxUnavailable"] == 1 && budget.get("minAvailable").is_none(), "{budget}");
    let pod = &deployment["template"]["spec"];
    let spread = pod["topologySpreadConstraints"].as_array().context("constraints")?;
    ensure!(spread.len() == 2 && spread.iter().all(|one| one["whenUnsatisfiable"] == "ScheduleAnyway"), "{spread:?}");
    // GKE refuses a critical one outside kube-system.
    ensure!(pod.get("priorityClassName").is_none() && pod["enableServiceLinks"] == false);
    let probes = ["startupProbe", "livenessProbe", "readinessProbe"]
        .map(|probe| &pod["containers"][0][probe]["httpGet"]["path"]);
    ensure!(probes == ["/livez", "/livez", "/readyz"], "{probes:?}");
    Ok(())
}

/// Whatever is switched on: no path of the node, no privilege, no token for a container that did not ask.
#[tokio::test]
async fn no_set_of_values_reaches_for_the_node() -> Result<()> {
    let helm = Helm::new().await?;
    for values in value_files()? {
        let objects = documents(&helm.template("latchkey", "latchkey", &["--values", &values]).await?)?;
        for spec in specs(&objects) {
            let volumes = spec["volumes"].as_array().context("volumes")?;
            ensure!(volumes.iter().all(|volume| volume.get("hostPath").is_none()), "{values}: {volumes:?}");
            ensure!(spec.get("hostPID").is_none() && spec.get("hostIPC").is_none(), "{values}: {spec}");
            ensure!(spec["automountServiceAccountToken"] == false, "{values}: {spec}");
            for container in spec["containers"].as_array().context("containers")? {
                let context = &container["securityContext"];
                ensure!(
                    context["allowPrivilegeEscalation"] == false && context.get("privileged").is_none(),
                    "{values}"
                );
                let ours = container["name"] != "sidecar";
                ensure!(context["readOnlyRootFilesystem"] == true || !ours, "{values}: {context}");
                ensure!(context["capabilities"] == json!({"drop": ["ALL"]}), "{values}: {context}");
            }
        }
    }
    Ok(())
}

fn specs(objects: &[Value]) -> impl Iterator<Item = &Value> {
    let pods = objects.iter().filter(|object| ["Deployment", "Pod"].contains(&kind(object)));
    pods.filter_map(|object| {
        SPECS.iter().filter_map(|pointer| object.pointer(pointer)).find(|spec| spec["containers"].is_array())
    })
}
