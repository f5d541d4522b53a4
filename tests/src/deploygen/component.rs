//! Kustomize components: what a few values of the chart add, take away and change, as resources and patches.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::manifest::{self, Document};

/// One component, and the values of the chart that say the same.
#[derive(Debug)]
pub(super) struct Component {
    /// Its folder.
    pub name: &'static str,
    /// What `kustomization.yaml` opens with.
    words: &'static str,
    /// `--set` of Helm.
    pub values: &'static [&'static str],
    /// Folders that it takes in, in place of templates.
    instead: &'static [(&'static str, &'static str)],
}

/// All of them.
pub(super) const ALL: [Component; 4] = [
    Component {
        name: "monitoring",
        words: "A ServiceMonitor, our alerts and our dashboard, for the Prometheus operator and Grafana's sidecar. The operator's\n\
                definitions must be there first.",
        values: &[
            "metrics.serviceMonitor.enabled=true",
            "prometheusRule.enabled=true",
            "grafanaDashboard.enabled=true",
        ],
        // Kustomize can read the file itself.
        instead: &[("dashboards.yaml", "../../../monitoring")],
    },
    Component {
        name: "network-policy",
        words: "Closes the pods to all traffic but what is listed. Nobody may read the metrics; the API server and issuers are reached\n\
                at any address on their ports: an overlay that knows the addresses narrows them by a patch.",
        values: &[
            "networkPolicy.enabled=true",
            "networkPolicy.apiServer.to[0].ipBlock.cidr=0.0.0.0/0",
            // On a cluster with IPv6 the API server could not be reached otherwise.
            "networkPolicy.apiServer.to[1].ipBlock.cidr=::/0",
            "networkPolicy.issuers.to[0].ipBlock.cidr=0.0.0.0/0",
            "networkPolicy.issuers.to[1].ipBlock.cidr=::/0",
        ],
        instead: &[],
    },
    Component {
        name: "review",
        words: "The listener for TokenReviews of kube-apiserver (deploy/tokens-to-kube-apiserver.md), with a Service. The ConfigMap\n\
                latchkey-review-client-ca (ca.crt), the authority of kube-apiserver's client certificate, is yours to make; the pods\n\
                wait for it.",
        values: &["review.enabled=true", "review.clientCA.configMapName=latchkey-review-client-ca"],
        instead: &[],
    },
    Component {
        name: "without-certificate-signing",
        words: "Takes away the right to have the cluster's own signer make people's certificates, which is cluster-admin equivalent:\n\
                for clusters whose kube-apiserver trusts the concierge's own authority, and for those that have no such signer (EKS).\n\
                Where it was there already kubectl leaves it: kubectl delete clusterrole,clusterrolebinding\n\
                latchkey-concierge-certificate-signing.",
        values: &["strategies.certificateSigningRequestAPI.enabled=false"],
        instead: &[],
    },
];

impl Component {
    /// Its files: what the values add to, take from and change in `base`.
    pub(super) fn files(&self, base: &[Document], with: &[Document]) -> Result<BTreeMap<String, String>> {
        let find = |documents: &'_ [Document], wanted: &Document| -> Option<Document> {
            documents.iter().find(|document| document.id() == wanted.id()).cloned()
        };
        let (mut added, mut folders, mut patches) = (Vec::new(), Vec::new(), Vec::new());
        for document in with {
            match find(base, document) {
                Some(before) => patches.extend(changes(&before, document)?),
                None => match self.instead.iter().find(|(template, _)| *template == document.template) {
                    Some((_, folder)) => folders.push(*folder),
                    None => added.push(document),
                },
            }
        }
        patches.extend(base.iter().filter(|document| find(with, document).is_none()).map(removal));
        let mut files = manifest::files(&added);
        let resources: Vec<&str> = files.keys().map(String::as_str).chain(folders).collect();
        ensure!(!resources.is_empty() || !patches.is_empty(), "{}: the values change nothing", self.name);
        let mut text: String = self.words.lines().flat_map(|line| ["# ", line, "\n"]).collect();
        let values = self.values.join(", ");
        text.extend(["#\n# Written by `cargo deploygen` from deploy/chart with ", &values, ".\n"]);
        text.push_str("apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n");
        if !resources.is_empty() {
            text.push_str("resources:\n");
            text.extend(resources.iter().flat_map(|resource| ["- ", resource, "\n"]));
        }
        if !patches.is_empty() {
            text.push_str(&serde_norway::to_string(&json!({"patches": patches}))?);
        }
        files.insert("kustomization.yaml".to_owned(), text);
        Ok(files)
    }
}

fn removal(document: &Document) -> Value {
    let (kind, namespace, name) = document.id();
    let mut object = json!({
        "$patch": "delete", "apiVersion": document.object["apiVersion"], "kind": kind, "metadata": {"name": name},
    });
    if !namespace.is_empty() {
        object["metadata"]["namespace"] = json!(namespace);
    }
    json!({"patch": serde_norway::to_string(&object).expect("it was read from YAML")})
}

/// The patch that turns one object into the other, if they differ.
fn changes(before: &Document, after: &Document) -> Result<Option<Value>> {
    let mut operations = Vec::new();
    compare("", &before.object, &after.object, &mut operations)
        .with_context(|| format!("a component cannot change this in {}", before.template))?;
    if operations.is_empty() {
        return Ok(None);
    }
    let (kind, _, name) = before.id();
    Ok(Some(json!({"target": {"kind": kind, "name": name}, "patch": serde_norway::to_string(&operations)?})))
}

/// RFC 6902 operations, of additions alone: what overlays of the user changed before stays as it is.
fn compare(path: &str, before: &Value, after: &Value, operations: &mut Vec<Value>) -> Result<()> {
    let add = |path: String, value: &Value| json!({"op": "add", "path": path, "value": value});
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (key, old) in before {
                let new = after.get(key).with_context(|| format!("{path}/{key} goes away"))?;
                compare(&format!("{path}/{}", escaped(key)), old, new, operations)?;
            }
            let new = after.iter().filter(|(key, _)| !before.contains_key(*key));
            operations.extend(new.map(|(key, value)| add(format!("{path}/{}", escaped(key)), value)));
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            for (place, (old, new)) in before.iter().zip(after).enumerate() {
                compare(&format!("{path}/{place}"), old, new, operations)?;
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            let mut olds = before.iter().peekable();
            for (place, new) in after.iter().enumerate() {
                if olds.next_if_eq(&new).is_some() {
                    continue;
                }
                // Behind the last one, whatever an overlay has put there before; else in its place.
                let place = olds.peek().map_or_else(|| "-".to_owned(), |_| place.to_string());
                operations.push(add(format!("{path}/{place}"), new));
            }
            ensure!(olds.next().is_none(), "{path}: something goes away or changes");
        }
        (before, after) => ensure!(before == after, "{path}: {before} becomes {after}"),
    }
    Ok(())
}

/// RFC 6901 section 3.
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(object: Value) -> Document {
        Document { template: "deployment.yaml".to_owned(), text: String::new(), object }
    }

    #[test]
    fn additions_become_operations_and_nothing_else_may_change() {
        let pod = |args: Value| json!({"kind": "Deployment", "metadata": {"name": "a"}, "spec": {"args": args}});
        let before = document(pod(json!(["--one"])));
        let patch = changes(&before, &document(pod(json!(["--one", "--two"])))).unwrap().unwrap();
        let operations: Value = serde_norway::from_str(patch["patch"].as_str().unwrap()).unwrap();
        assert_eq!(operations, json!([{"op": "add", "path": "/spec/args/-", "value": "--two"}]));
        assert!(changes(&before, &before).unwrap().is_none());
        let patch = changes(&before, &document(pod(json!(["--zero", "--one"])))).unwrap().unwrap();
        let operations: Value = serde_norway::from_str(patch["patch"].as_str().unwrap()).unwrap();
        assert_eq!(operations, json!([{"op": "add", "path": "/spec/args/0", "value": "--zero"}]));
        changes(&before, &document(pod(json!(["--three"])))).expect_err("a changed flag");
        changes(&document(pod(json!([1, 2]))), &document(pod(json!([1])))).expect_err("one less");
    }

    #[test]
    fn what_is_no_longer_there_is_deleted_by_name() {
        let role = document(json!({"apiVersion": "v1", "kind": "Role", "metadata": {"name": "a", "namespace": "n"}}));
        let text = removal(&role)["patch"].as_str().unwrap().to_owned();
        let read: Value = serde_norway::from_str(&text).unwrap();
        assert_eq!(read["$patch"], "delete");
        assert_eq!(read["metadata"], json!({"name": "a", "namespace": "n"}));
    }
}
