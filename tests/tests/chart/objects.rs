//! What the rendered objects are: known to the oldest Kubernetes, least of rights, and nothing of our own kinds.

use std::fs;

use anyhow::{Context as _, Result, anyhow, ensure};
use latchkey_crds::{groups::GroupSuffix, manifests};
use serde_json::{Value, json};

use super::{
    documents::{documents, key, kind, the},
    helm::{CHART, Helm, VALUES_OF_DEFAULTS, value_files},
};

/// Kubernetes 1.31's own definitions; the newest version is asked itself, by a real API server.
const OLDEST: &str = include_str!("kubernetes-1.31.json");

/// Kinds of operators that a cluster may have; no version of Kubernetes knows them.
pub(super) const FOREIGN: &[&str] = &["Certificate", "PodMonitor", "PrometheusRule", "ServiceMonitor"];

#[tokio::test]
async fn the_oldest_kubernetes_knows_every_field() -> Result<()> {
    let helm = Helm::new().await?;
    let schemas: Value = serde_json::from_str(OLDEST)?;
    let mut seen = std::collections::BTreeSet::new();
    for values in value_files()? {
        let rendered = helm.template("latchkey", "latchkey", &["--values", &values]).await?;
        for object in documents(&rendered)?.iter().filter(|object| !FOREIGN.contains(&kind(object))) {
            let name = format!("{} {}", object["apiVersion"].as_str().context("a version")?, kind(object));
            let definition =
                schemas["kinds"][&name].as_str().with_context(|| format!("{name} is not among the schemas"))?;
            let schema =
                json!({ "$ref": format!("#/definitions/{definition}"), "definitions": schemas["definitions"] });
            let validator = jsonschema::draft7::new(&schema).map_err(|error| anyhow!("{error}"))?;
            let wrong: Vec<_> = validator.iter_errors(object).map(|e| format!("{}: {e}", e.instance_path())).collect();
            ensure!(wrong.is_empty(), "{values}: {}: {wrong:?}", key(object));
            seen.insert(name);
        }
    }
    // The schemas would let nothing misspelt through.
    let misspelt = json!({ "apiVersion": "v1", "kind": "Service", "spec": { "prots": [] } });
    let schema = json!({ "$ref": "#/definitions/io.k8s.api.core.v1.Service", "definitions": schemas["definitions"] });
    ensure!(!jsonschema::draft7::is_valid(&schema, &misspelt));
    let known: Vec<_> =
        schemas["kinds"].as_object().context("kinds")?.keys().filter(|kind| !seen.contains(*kind)).collect();
    ensure!(known.is_empty(), "no set of values renders {known:?}");
    Ok(())
}

#[tokio::test]
async fn every_object_has_the_labels_and_none_is_of_our_own_kinds() -> Result<()> {
    let helm = Helm::new().await?;
    for values in value_files()? {
        let rendered = helm.template("latchkey", "latchkey", &["--values", &values]).await?;
        let objects = documents(&rendered)?;
        for object in objects.iter().filter(|object| !key(object).ends_with("-note") && !key(object).ends_with("-text"))
        {
            let labels = &object["metadata"]["labels"];
            for label in ["name", "instance", "component", "part-of", "version", "managed-by"] {
                ensure!(labels[format!("app.kubernetes.io/{label}")].is_string(), "{values}: {} {label}", key(object));
            }
            ensure!(labels["helm.sh/chart"].is_string(), "{values}: {}", key(object));
            let substitute = &object["metadata"]["annotations"]["kustomize.toolkit.fluxcd.io/substitute"];
            let is_safe = substitute == "disabled" || !object.to_string().contains("${");
            ensure!(is_safe, "{values}: {}: Flux would substitute what is in it", key(object));
            let group = object["apiVersion"].as_str().unwrap_or_default();
            ensure!(!group.contains(".concierge."), "{values}: {}: its kind comes with the release", key(object));
            ensure!(kind(object) != "Namespace" && kind(object) != "Secret", "{values}: {}", key(object));
            ensure!(object["spec"]["caBundle"].is_null(), "{values}: {}: the concierge publishes it", key(object));
        }
        let hooks: Vec<_> = objects.iter().filter(|object| is_hook(object)).collect();
        let tests = hooks.iter().all(|object| object["metadata"]["annotations"]["helm.sh/hook"] == "test");
        let kinds: Vec<_> = hooks.iter().map(|object| kind(object)).collect();
        // Where no service account may log in, the test's pod brings its own right.
        let closed = values.ends_with("anonymous-values.yaml");
        let expected = if closed { &["ServiceAccount", "ClusterRoleBinding", "Pod"][..] } else { &["Pod"] };
        ensure!(tests && kinds == expected, "{values}: {hooks:?}");
        let deployment = the(&objects, "Deployment", "latchkey-concierge")?;
        let selector = deployment["spec"]["selector"]["matchLabels"].as_object().context("a selector")?;
        ensure!(selector.keys().eq(["component", "instance", "name"].map(|l| format!("app.kubernetes.io/{l}")).iter()));
        for (label, value) in selector {
            ensure!(&deployment["spec"]["template"]["metadata"]["labels"][label] == value, "{values}: {label}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_definitions_are_those_of_the_types_under_any_suffix() -> Result<()> {
    let helm = Helm::new().await?;
    for suffix in ["latchkey.dev", "pinniped.dev"] {
        for (keep, annotation) in [("true", json!("keep")), ("false", Value::Null)] {
            let set = format!("clusterName=a,apiGroupSuffix={suffix},crds.keep={keep}");
            let objects = documents(&helm.template("latchkey", "latchkey", &["--set", &set]).await?)?;
            let rendered: Vec<_> = objects.iter().filter(|object| kind(object) == "CustomResourceDefinition").collect();
            let wanted = manifests::definitions(&suffix.parse::<GroupSuffix>()?)?;
            ensure!(rendered.len() == wanted.len(), "{}", rendered.len());
            for definition in wanted {
                let wanted = serde_json::to_value(definition)?;
                let name = wanted["metadata"]["name"].as_str().context("a name")?;
                let object = the(&objects, "CustomResourceDefinition", name)?;
                ensure!(
                    as_written(&object["spec"]) == as_written(&wanted["spec"]),
                    "{name}: cargo crdgen, then copy to files/crds"
                );
                ensure!(object["metadata"]["annotations"]["helm.sh/resource-policy"] == annotation, "{name}");
                ensure!(object.to_string().len() < 200_000, "{name}: kubectl apply takes 262144 bytes at most");
            }
        }
    }
    Ok(())
}

/// Whether Helm keeps it out of the release, for an event.
pub(super) fn is_hook(object: &Value) -> bool {
    object["metadata"]["annotations"]["helm.sh/hook"].is_string()
}

/// Helm writes 60 where the type has 60.0.
fn as_written(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.iter().map(as_written).collect(),
        Value::Object(members) => members.iter().map(|(name, member)| (name.clone(), as_written(member))).collect(),
        other => other.clone(),
    }
}

#[tokio::test]
async fn rights_go_with_what_is_switched_on_and_each_says_why() -> Result<()> {
    let helm = Helm::new().await?;
    let rendered = helm.template("latchkey", "latchkey", VALUES_OF_DEFAULTS).await?;
    ensure!(rendered.contains("THIS IS CLUSTER-ADMIN EQUIVALENT"));
    let mut rules = 0;
    for document in
        rendered.split("\n---").filter(|text| text.contains("\nrules:") && !text.contains("component: people"))
    {
        for rule in document.split("- apiGroups:").skip(1) {
            rules += 1;
            ensure!(rule.contains("  # "), "a rule without its reason:{rule}");
        }
    }
    ensure!(rules > 10, "{rules}");

    let with = async |set: &str| -> Result<Vec<Value>> {
        documents(&helm.template("latchkey", "latchkey", &["--set", &format!("clusterName=a,{set}")]).await?)
    };
    let signs =
        |objects: &[Value]| objects.iter().any(|object| object.to_string().contains("certificatesigningrequests"));
    ensure!(signs(&documents(&rendered)?));
    ensure!(!signs(&with("strategies.certificateSigningRequestAPI.enabled=false").await?));
    let none = with("rbac.create=false").await?;
    ensure!(none.iter().all(|object| !kind(object).contains("Role")), "{:?}", none.iter().map(key).collect::<Vec<_>>());

    let viewer = with("rbac.aggregateClusterRoles=true").await?;
    let aggregated: Vec<_> =
        viewer.iter().filter(|object| object["metadata"]["labels"].to_string().contains("aggregate-to-")).collect();
    ensure!(aggregated.len() == 1 && !aggregated[0].to_string().contains("tokenrejections"), "{aggregated:?}");
    ensure!(aggregated[0]["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-view"] == "true");
    for verb in ["create", "update", "patch", "delete"] {
        ensure!(!aggregated[0]["rules"].to_string().contains(verb), "{verb}: who writes an authenticator is anybody");
    }
    for role in viewer.iter().filter(|object| kind(object).ends_with("Role")) {
        ensure!(!role["rules"].to_string().contains('*'), "{}", key(role));
        ensure!(kind(role) == "Role" || !role["rules"].to_string().contains("\"secrets\""), "{}", key(role));
    }
    Ok(())
}

#[tokio::test]
async fn a_digest_wins_over_a_tag() -> Result<()> {
    let helm = Helm::new().await?;
    let digest = format!("sha256:{}", "0f".repeat(32));
    for (set, expected) in [
        (String::new(), format!("latchkey.dev/concierge:{}", env!("CARGO_PKG_VERSION"))),
        ("image.tag=1.2.3".to_owned(), "latchkey.dev/concierge:1.2.3".to_owned()),
        (format!("image.digest={digest}"), format!("latchkey.dev/concierge@{digest}")),
        (format!("image.tag=1.2.3,image.digest={digest}"), format!("latchkey.dev/concierge:1.2.3@{digest}")),
        ("image.registry=mirror.example.com/a,image.tag=v1".to_owned(), "mirror.example.com/a/concierge:v1".to_owned()),
        ("image.registry=,image.tag=v1".to_owned(), "concierge:v1".to_owned()),
    ] {
        let set = format!("clusterName=a,{set}");
        let objects = documents(&helm.template("latchkey", "latchkey", &["--set", set.trim_end_matches(',')]).await?)?;
        let images: Vec<_> = ["/spec/template/spec/containers/0/image", "/spec/containers/0/image"]
            .iter()
            .flat_map(|pointer| objects.iter().filter_map(|object| object.pointer(pointer)))
            .collect();
        ensure!(images.len() == 2 && images.iter().all(|image| **image == json!(expected)), "{set}: {images:?}");
    }
    Ok(())
}

/// What only the values of an installation decide, seen at one place each.
#[tokio::test]
async fn switches_do_what_their_comments_say() -> Result<()> {
    let helm = Helm::new().await?;
    let of = async |file: &str| -> Result<Vec<Value>> {
        let values = format!("{CHART}/ci/{file}-values.yaml");
        documents(&helm.template("latchkey", "latchkey", &["--values", &values]).await?)
    };
    let least = of("least").await?;
    ensure!(least.iter().all(|object| kind(object) != "PodDisruptionBudget"), "it would block a drain for ever");
    ensure!(of("rights-elsewhere").await?.iter().all(|object| kind(object) != "ServiceAccount"));

    let everything = of("everything").await?;
    let rules = &the(&everything, "PrometheusRule", "latchkey-concierge")?["spec"];
    let written = documents(&fs::read_to_string(format!("{CHART}/../monitoring/rules.yaml"))?)?;
    ensure!(*rules == written[0], "the alerts are not those of deploy/monitoring");
    let dashboard = the(&everything, "ConfigMap", "-dashboard")?["data"]["latchkey-overview.json"].clone();
    let dashboard: Value = serde_json::from_str(dashboard.as_str().context("a dashboard")?)?;
    let written: Value = serde_json::from_str(&fs::read_to_string(format!("{CHART}/../monitoring/dashboard.json"))?)?;
    ensure!(dashboard == written, "the dashboard is not that of deploy/monitoring");

    let (monitor, service) = (the(&everything, "ServiceMonitor", "")?, the(&everything, "Service", "-metrics")?);
    ensure!(monitor["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]);
    let selected = monitor["spec"]["selector"]["matchLabels"].as_object().context("a selector")?;
    let selects =
        |service: &Value| selected.iter().all(|(label, value)| &service["metadata"]["labels"][label] == value);
    ensure!(selects(service) && !selects(the(&everything, "Service", "-api")?), "{selected:?}");
    let pod = |objects: &[Value]| -> Result<Value> {
        Ok(the(objects, "Deployment", "latchkey-concierge")?["spec"]["template"]["spec"].clone())
    };
    let spec = pod(&everything)?;
    ensure!(spec["securityContext"]["fsGroup"] == 65532, "the volume of the audit log could not be written to");
    let token = |container: &Value| container.to_string().contains("/var/run/secrets/kubernetes.io/serviceaccount");
    ensure!(token(&spec["containers"][0]) && !token(&spec["containers"][1]), "a sidecar gets no token");
    let policy = the(&everything, "NetworkPolicy", "")?;
    ensure!(policy["spec"]["egress"].as_array().is_some_and(|rules| rules.iter().all(|rule| rule["to"].is_array())));

    let recreate = ["--set", "clusterName=a,strategy.type=Recreate"];
    let recreate = documents(&helm.template("latchkey", "latchkey", &recreate).await?)?;
    let strategy = &the(&recreate, "Deployment", "latchkey-concierge")?["spec"]["strategy"];
    ensure!(*strategy == json!({"type": "Recreate"}), "Kubernetes would refuse {strategy}");

    let openshift = pod(&of("openshift").await?)?;
    ensure!(
        openshift["securityContext"].get("runAsUser").is_none() && openshift["securityContext"]["runAsNonRoot"] == true
    );
    let eks = pod(&of("eks").await?)?;
    ensure!(eks["hostNetwork"] == true && eks["dnsPolicy"] == "ClusterFirstWithHostNet");
    let (certificate, serving) = (of("cert-manager").await?, of("own-certificate").await?);
    let name = &the(&certificate, "Certificate", "")?["spec"]["secretName"];
    for (objects, name) in [(&certificate, name), (&serving, &json!("latchkey-serving"))] {
        ensure!(pod(objects)?["volumes"][1]["secret"]["secretName"] == *name, "{name}");
    }
    Ok(())
}
