//! The rights that the manifests grant to the concierge, one verb on one resource each.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize as _;
use serde_json::Value;

use super::Use;

/// Where the manifests are.
const BASE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/kustomize/base");

/// The account's name, in the manifests' namespace.
const ACCOUNT: &str = "latchkey-concierge";

/// Of roles of Kubernetes' own that it is bound to: what we are bound to them for.
const FOREIGN: [(&str, &str, &str, &str); 2] = [
    ("system:auth-delegator", "create", "authorization.k8s.io", "subjectaccessreviews"),
    ("extension-apiserver-authentication-reader", "list", "", "configmaps"),
];

/// One verb on one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Right {
    /// The role that grants it.
    pub role: String,
    /// The verb.
    pub verb: String,
    /// The API group.
    pub group: String,
    /// `resource` or `resource/subresource`.
    pub resource: String,
    /// The namespace of a Role; `None`: a `ClusterRole`.
    pub namespace: Option<String>,
    /// The objects it is limited to; none: all.
    pub names: Vec<String>,
}

/// Every right that a binding of the base gives to the concierge's account.
///
/// # Errors
/// If the manifests cannot be read, or give it none.
pub fn rights() -> Result<Vec<Right>> {
    let objects = objects(Path::new(BASE))?;
    let named = |object: &Value| object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let mut rights = Vec::new();
    for binding in &objects {
        if !binding["kind"].as_str().is_some_and(|kind| kind.ends_with("RoleBinding")) || !is_ours(binding) {
            continue;
        }
        let (kind, name) = (&binding["roleRef"]["kind"], binding["roleRef"]["name"].as_str().unwrap_or_default());
        let namespace = binding["metadata"]["namespace"].as_str().map(str::to_owned);
        let role = objects.iter().find(|role| {
            role["kind"] == *kind
                && named(role) == name
                && (kind == "ClusterRole" || role["metadata"]["namespace"].as_str() == namespace.as_deref())
        });
        if let Some(role) = role {
            rights.extend(of_role(role, name, namespace.as_ref()));
            continue;
        }
        let foreign: Vec<_> = FOREIGN.iter().filter(|foreign| foreign.0 == name).collect();
        // One that nobody here knows may grant anything, cluster-admin too.
        ensure!(!foreign.is_empty(), "{ACCOUNT} is bound to {name}, and what that grants is not known here");
        rights.extend(foreign.into_iter().map(|(role, verb, group, resource)| {
            let [role, verb, group, resource] = [role, verb, group, resource].map(|word| (*word).to_owned());
            Right { role, verb, group, resource, namespace: namespace.clone(), names: Vec::new() }
        }));
    }
    ensure!(!rights.is_empty(), "{BASE} gives {ACCOUNT} no rights");
    Ok(rights)
}

fn is_ours(binding: &Value) -> bool {
    let subjects = binding["subjects"].as_array().into_iter().flatten();
    subjects.into_iter().any(|subject| subject["kind"] == "ServiceAccount" && subject["name"] == ACCOUNT)
}

fn of_role(role: &Value, name: &str, namespace: Option<&String>) -> Vec<Right> {
    let mut rights = Vec::new();
    for rule in role["rules"].as_array().into_iter().flatten() {
        for (group, resource, verb) in words(&rule["apiGroups"]).flat_map(|group| {
            words(&rule["resources"])
                .flat_map(move |resource| words(&rule["verbs"]).map(move |verb| (group, resource, verb)))
        }) {
            rights.push(Right {
                role: name.to_owned(),
                verb: verb.to_owned(),
                group: group.to_owned(),
                resource: resource.to_owned(),
                namespace: namespace.cloned(),
                names: words(&rule["resourceNames"]).map(str::to_owned).collect(),
            });
        }
    }
    rights
}

fn words(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn objects(folder: &Path) -> Result<Vec<Value>> {
    let mut objects = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let text = fs::read_to_string(&path)?;
        for document in serde_norway::Deserializer::from_str(&text) {
            objects.push(Value::deserialize(document).with_context(|| path.display().to_string())?);
        }
    }
    Ok(objects)
}

// === impl Right ===

impl Right {
    /// Whether `used` is an exercise of this right.
    #[must_use]
    pub fn covers(&self, used: &Use) -> bool {
        used.allowed
            && (self.is_exercised_by(used))
            && self.namespace.as_ref().is_none_or(|namespace| *namespace == used.namespace)
            && (self.names.is_empty() || self.names.contains(&used.name) || self.is_approval())
    }

    /// `approve` on a signer is no request: kube-apiserver asks for it when a request is approved (the admission plugin
    /// `CertificateApproval`).
    fn is_approval(&self) -> bool {
        self.verb == "approve" && self.resource == "signers"
    }

    fn is_exercised_by(&self, used: &Use) -> bool {
        let (verb, resource) = if self.is_approval() {
            ("update", "certificatesigningrequests/approval")
        } else {
            (&*self.verb, &*self.resource)
        };
        used.verb == verb && used.group == self.group && used.resource == resource
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(verb: &str, resource: &str, namespace: &str, name: &str) -> Use {
        let [verb, resource, namespace, name] = [verb, resource, namespace, name].map(str::to_owned);
        Use { verb, group: String::new(), resource, namespace, name, allowed: true }
    }

    #[test]
    fn a_right_is_used_by_its_verb_on_its_resource_in_its_place() {
        let right = Right {
            role: "r".to_owned(),
            verb: "get".to_owned(),
            group: String::new(),
            resource: "configmaps".to_owned(),
            namespace: Some("kube-public".to_owned()),
            names: vec!["cluster-info".to_owned()],
        };
        assert!(right.covers(&used("get", "configmaps", "kube-public", "cluster-info")));
        for other in [
            used("list", "configmaps", "kube-public", "cluster-info"),
            used("get", "secrets", "kube-public", "cluster-info"),
            used("get", "configmaps", "latchkey", "cluster-info"),
            used("get", "configmaps", "kube-public", "other"),
            Use { allowed: false, ..used("get", "configmaps", "kube-public", "cluster-info") },
        ] {
            assert!(!right.covers(&other), "{other:?}");
        }
    }

    #[test]
    fn the_manifests_give_rights_of_every_kind() {
        let rights = rights().expect("the manifests");
        for (role, verb, resource) in [
            ("latchkey-concierge", "create", "secrets"),
            ("latchkey-concierge", "patch", "jwtauthenticators/status"),
            ("latchkey-concierge-certificate-signing", "approve", "signers"),
            ("system:auth-delegator", "create", "subjectaccessreviews"),
        ] {
            let found =
                rights.iter().any(|right| right.role == role && right.verb == verb && right.resource == resource);
            assert!(found, "{role}: {verb} {resource}");
        }
        assert!(rights.iter().all(|right| right.role != "latchkey-login"), "that is everybody's");
    }
}
