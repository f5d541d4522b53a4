//! What this server serves, told to clients: each form of Kubernetes discovery, made once at start.
//!
//! Nothing here depends on an issuer, a custom resource or the API server: while discovery of one group fails, the
//! deletion of every namespace in the cluster waits (kubernetes-authn.md 7.3).

use std::collections::HashMap;

use latchkey_crds::groups::{CATEGORY, GroupSuffix, VERSION};
use serde_json::{Value, json};

use super::{negotiation::DISCOVERY_MEDIA_TYPE, respond::Document};

/// One resource of one group; each of our groups has one.
#[derive(Clone, Debug)]
pub struct Resource {
    /// The group, with this installation's suffix.
    pub group: String,
    /// Plural, as in paths.
    pub plural: &'static str,
    /// Singular.
    pub singular: &'static str,
    /// The kind.
    pub kind: &'static str,
    /// The kind of its list.
    pub list_kind: &'static str,
    /// Where the collection is served.
    pub path: String,
}

/// All discovery documents.
#[derive(Clone, Debug)]
pub struct Discovery {
    /// `/apis` as `APIGroupList`.
    pub groups: Document,
    /// `/apis` as aggregated discovery.
    pub aggregated: Document,
    /// `/apis/<group>` and `/apis/<group>/<version>`, `/`, `/version`, by path.
    pub by_path: HashMap<String, Document>,
}

// === impl Resource ===

impl Resource {
    /// The two virtual resources under `suffix`.
    #[must_use]
    pub fn all(suffix: &GroupSuffix) -> [Self; 2] {
        use latchkey_crds::{identity, login};
        let path = |group: &str, plural: &str| format!("/apis/{}/{plural}", GroupSuffix::api_version(group));
        [
            Self {
                path: path(&suffix.login(), login::PLURAL),
                group: suffix.login(),
                plural: login::PLURAL,
                singular: "tokencredentialrequest",
                kind: login::KIND,
                list_kind: login::LIST_KIND,
            },
            Self {
                path: path(&suffix.identity(), identity::PLURAL),
                group: suffix.identity(),
                plural: identity::PLURAL,
                singular: "whoamirequest",
                kind: identity::KIND,
                list_kind: identity::LIST_KIND,
            },
        ]
    }

    /// `<group>/<version>`.
    #[must_use]
    pub fn api_version(&self) -> String {
        GroupSuffix::api_version(&self.group)
    }
}

// === impl Discovery ===

impl Discovery {
    /// The documents for `resources`.
    #[must_use]
    pub fn new(resources: &[Resource]) -> Self {
        let mut by_path = HashMap::new();
        for resource in resources {
            by_path.insert(format!("/apis/{}", resource.group), plain(&group(resource, true)));
            by_path.insert(format!("/apis/{}", resource.api_version()), plain(&resource_list(resource)));
        }
        by_path.insert("/version".to_owned(), plain(&version()));
        let mut paths: Vec<String> = by_path.keys().cloned().collect();
        paths.extend(["/apis", "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz"].map(str::to_owned));
        paths.sort();
        by_path.insert("/".to_owned(), plain(&json!({ "paths": paths })));
        let groups: Vec<Value> = resources.iter().map(|resource| group(resource, false)).collect();
        Self {
            groups: plain(&json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})),
            aggregated: Document::new(DISCOVERY_MEDIA_TYPE, &aggregated(resources)),
            by_path,
        }
    }
}

fn plain(value: &Value) -> Document {
    Document::new("application/json", value)
}

fn group(resource: &Resource, standalone: bool) -> Value {
    let version = json!({"groupVersion": resource.api_version(), "version": VERSION});
    let mut group = json!({"name": resource.group, "versions": [version.clone()], "preferredVersion": version});
    if standalone {
        group["kind"] = "APIGroup".into();
        group["apiVersion"] = "v1".into();
    }
    group
}

fn resource_list(resource: &Resource) -> Value {
    json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": resource.api_version(),
        "resources": [{
            "name": resource.plural,
            "singularName": resource.singular,
            "namespaced": false,
            "kind": resource.kind,
            "verbs": ["create", "list"],
            "categories": [CATEGORY],
        }],
    })
}

/// `responseKind` and `singularResource` must be there: clients before 1.28 fall over a null.
fn aggregated(resources: &[Resource]) -> Value {
    let items: Vec<Value> = resources
        .iter()
        .map(|resource| {
            json!({
                "metadata": {"name": resource.group, "creationTimestamp": null},
                "versions": [{
                    "version": VERSION,
                    "freshness": "Current",
                    "resources": [{
                        "resource": resource.plural,
                        "responseKind": {"group": resource.group, "version": VERSION, "kind": resource.kind},
                        "scope": "Cluster",
                        "singularResource": resource.singular,
                        "verbs": ["create", "list"],
                        "categories": [CATEGORY],
                    }],
                }],
            })
        })
        .collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items})
}

fn version() -> Value {
    let (major, rest) = env!("CARGO_PKG_VERSION").split_once('.').unwrap_or((env!("CARGO_PKG_VERSION"), "0"));
    let minor = rest.split('.').next().unwrap_or("0");
    json!({
        "major": major,
        "minor": minor,
        "gitVersion": concat!("v", env!("CARGO_PKG_VERSION")),
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}
