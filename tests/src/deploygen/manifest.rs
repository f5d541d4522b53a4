//! What Helm renders, as Kustomize wants it: a file a subject, the reasons kept, Helm's own marks taken away.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// Marks of Helm, and of a release of Helm.
const HELM_ONLY: [&str; 3] = ["app.kubernetes.io/managed-by:", "helm.sh/chart:", "checksum/settings:"];

/// The setting that overlays merge: made by a generator, whose name has a hash, so that a changed one rolls the pods.
const SETTINGS: &str = "settings.yaml";

/// One object as the chart renders it.
#[derive(Clone, Debug)]
pub(super) struct Document {
    /// The template's file name.
    pub template: String,
    /// The object, with comments, without Helm's marks.
    pub text: String,
    /// The same, read.
    pub object: Value,
}

impl Document {
    /// What it is called: kind, namespace and name.
    pub(super) fn id(&self) -> (String, String, String) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let metadata = &self.object["metadata"];
        (text(&self.object["kind"]), text(&metadata["namespace"]), text(&metadata["name"]))
    }
}

/// The objects of `helm template`, but for those of hooks.
pub(super) fn documents(rendered: &str) -> Result<Vec<Document>> {
    let mut documents = Vec::new();
    for text in rendered.split("\n---\n").map(|text| text.strip_prefix("---\n").unwrap_or(text)) {
        let Some(path) = text.lines().find_map(|line| line.strip_prefix("# Source: ")) else {
            ensure!(text.trim().is_empty(), "an object of no template: {text}");
            continue;
        };
        let template = path.split_once("/templates/").with_context(|| format!("no template: {path}"))?.1.to_owned();
        let kept = text.lines().filter(|line| {
            let word = line.trim_start();
            !word.starts_with("# Source: ") && !HELM_ONLY.iter().any(|mark| word.starts_with(mark))
        });
        let text = kept.collect::<Vec<_>>().join("\n").trim().to_owned() + "\n";
        let object: Value = serde_norway::from_str(&text).with_context(|| format!("reading {template}"))?;
        let is_hook = object["metadata"]["annotations"].get("helm.sh/hook").is_some();
        if !is_hook && !object.is_null() {
            documents.push(Document { template, text, object });
        }
    }
    Ok(documents)
}

/// The files of the base.
pub(super) fn base(documents: &[Document], version: &str) -> Result<BTreeMap<String, String>> {
    let settings: Vec<_> = documents.iter().filter(|document| document.template == SETTINGS).collect();
    ensure!(settings.len() == 1 && settings[0].object["kind"] == "ConfigMap", "settings: {settings:?}");
    let keys: Vec<_> = settings[0].object["data"].as_object().into_iter().flat_map(|data| data.keys()).collect();
    ensure!(keys == ["cluster-name"], "the base knows nothing of the settings {keys:?}");
    let others: Vec<&Document> = documents.iter().filter(|document| document.template != SETTINGS).collect();
    let mut files = files(&others);
    let names: BTreeSet<&str> = files.keys().map(String::as_str).chain(["namespace.yaml"]).collect();
    let resources: String = names.iter().flat_map(|name| ["- ", name, "\n"]).collect();
    let kustomization = format!(
        "# Everything a cluster needs. An overlay adds what differs from cluster to cluster: its name, image, replicas. Written by\n\
         # `cargo deploygen` from deploy/chart.\n\
         apiVersion: kustomize.config.k8s.io/v1beta1\n\
         kind: Kustomization\n\
         resources:\n\
         - ../../../crds/manifests\n\
         {resources}\
         configMapGenerator:\n\
         # Generated, so that its name carries a hash and a changed setting rolls the pods.\n\
         - name: latchkey-settings\n  \
           namespace: latchkey\n  \
           options:\n    \
             labels:\n      \
               app.kubernetes.io/component: concierge\n      \
               app.kubernetes.io/instance: latchkey\n      \
               app.kubernetes.io/name: latchkey-concierge\n\
         labels:\n\
         # Never in selectors: a Deployment's selector is immutable, so a version in it would forbid every upgrade.\n\
         - pairs:\n    \
             app.kubernetes.io/part-of: latchkey\n    \
             app.kubernetes.io/version: \"{version}\"\n  \
           includeSelectors: false\n"
    );
    files.insert("kustomization.yaml".to_owned(), kustomization);
    Ok(files)
}

/// A file for each template.
pub(super) fn files(documents: &[&Document]) -> BTreeMap<String, String> {
    let mut files: BTreeMap<String, Vec<&Document>> = BTreeMap::new();
    for document in documents {
        files.entry(document.template.clone()).or_default().push(document);
    }
    let text = |template: &str, documents: Vec<&Document>| {
        let mut said = String::new();
        let mut text = format!("# Written by `cargo deploygen` from deploy/chart/templates/{template}.\n");
        for (place, document) in documents.iter().enumerate() {
            if place > 0 {
                text.push_str("---\n");
            }
            // A loop in the template says its reason each time round.
            let reason = opening(&document.text);
            let repeated = !reason.is_empty() && reason == said;
            text.push_str(&document.text[if repeated { reason.len() } else { 0 }..]);
            said = reason;
        }
        text
    };
    files.into_iter().map(|(template, documents)| (template.clone(), text(&template, documents))).collect()
}

/// The comment before an object.
fn opening(text: &str) -> String {
    text.split_inclusive('\n').take_while(|line| line.starts_with('#')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RENDERED: &str = "---
# Source: latchkey-concierge/templates/settings.yaml
kind: ConfigMap
metadata:
  name: latchkey-settings
data:
  cluster-name: \"x\"

---
# Source: latchkey-concierge/templates/rbac.yaml
# Why.
kind: Role
metadata:
  name: a
  labels:
    app.kubernetes.io/managed-by: Helm
    app.kubernetes.io/name: latchkey-concierge
    helm.sh/chart: latchkey-concierge-0.1.0
---
# Source: latchkey-concierge/templates/rbac.yaml
# Why.
kind: Role
metadata:
  name: b
---
# Source: latchkey-concierge/templates/tests/self-test.yaml
kind: Pod
metadata:
  name: test
  annotations:
    helm.sh/hook: test
";

    #[test]
    fn keeps_reasons_once_and_takes_the_marks_of_helm_away() {
        let files = base(&documents(RENDERED).unwrap(), "1.2.3").unwrap();
        assert_eq!(files.keys().collect::<Vec<_>>(), ["kustomization.yaml", "rbac.yaml"]);
        let expected = "# Written by `cargo deploygen` from deploy/chart/templates/rbac.yaml.\n# Why.\nkind: Role\nmetadata:\n  \
                        name: a\n  labels:\n    app.kubernetes.io/name: latchkey-concierge\n---\nkind: Role\nmetadata:\n  name: b\n";
        assert_eq!(files["rbac.yaml"], expected);
        let kustomization: Value = serde_norway::from_str(&files["kustomization.yaml"]).unwrap();
        assert_eq!(kustomization["labels"][0]["pairs"]["app.kubernetes.io/version"], "1.2.3");
        assert_eq!(kustomization["configMapGenerator"][0]["namespace"], "latchkey");
        assert_eq!(
            kustomization["resources"],
            serde_json::json!(["../../../crds/manifests", "namespace.yaml", "rbac.yaml"])
        );
    }

    #[test]
    fn a_setting_that_no_overlay_could_merge_is_an_error() {
        let more = RENDERED.replace("  cluster-name: \"x\"", "  cluster-name: \"x\"\n  colour: blue");
        base(&documents(&more).unwrap(), "1.2.3").expect_err("two settings");
    }
}
