//! The manifests in deploy/ agree with the types, with each other and with what their pages promise.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use latchkey_crds::authentication::JWTAuthenticator;
use latchkey_crds::config::FleetCluster;
use latchkey_crds::groups::{GroupSuffix, VERSION};
use serde::Deserialize;
use serde_json::Value;

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn documents(path: &Path) -> Vec<Value> {
    serde_norway::Deserializer::from_str(&read(path))
        .map(|document| Value::deserialize(document).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
        .collect()
}

/// The objects of the base, as its kustomization names them.
fn base() -> Vec<Value> {
    let folder = deploy().join("kustomize/base");
    let kustomization = &documents(&folder.join("kustomization.yaml"))[0];
    let files = kustomization["resources"].as_array().expect("a list of resources");
    let own = files.iter().filter_map(Value::as_str).filter(|file| !file.starts_with(".."));
    own.flat_map(|file| documents(&folder.join(file))).collect()
}

fn of_kind(kind: &str) -> Vec<Value> {
    base().into_iter().filter(|object| object["kind"] == kind).collect()
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().expect("a name")
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn every_file_of_the_base_is_named_in_its_kustomization() {
    let folder = deploy().join("kustomize/base");
    let kustomization = &documents(&folder.join("kustomization.yaml"))[0];
    let named: BTreeSet<&str> =
        texts(&kustomization["resources"]).into_iter().filter(|file| !file.starts_with("..")).collect();
    let files: BTreeSet<String> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let found: BTreeSet<&str> = files.iter().map(String::as_str).filter(|file| *file != "kustomization.yaml").collect();
    assert_eq!(found, named);
}

#[test]
fn the_page_lists_exactly_the_rules_of_the_manifests() {
    let rows = |text: &str| -> BTreeSet<String> {
        text.lines()
            .filter(|line| line.starts_with("| Role ") || line.starts_with("| ClusterRole "))
            .map(str::to_owned)
            .collect()
    };
    let roles = [of_kind("Role"), of_kind("ClusterRole")].concat();
    let found: BTreeSet<String> = roles.iter().flat_map(rule_rows).collect();
    assert_eq!(rows(&read(&deploy().join("rights.md"))), found);
}

/// One row of the page for each rule of a role.
fn rule_rows(role: &Value) -> Vec<String> {
    let place = role["metadata"]["namespace"].as_str().map(|namespace| format!("{namespace}/")).unwrap_or_default();
    let row = |rule: &Value| {
        let groups = texts(&rule["apiGroups"]);
        let group = if groups == [""] { String::new() } else { format!(".{}", groups.join(", ")) };
        let names = texts(&rule["resourceNames"]).join(", ");
        let names = if names.is_empty() { names } else { format!(" ({names})") };
        let resources = texts(&rule["resources"]).join(", ");
        let verbs = texts(&rule["verbs"]).join(", ");
        format!(
            "| {} {place}{} | {resources}{group}{names} | {verbs} |",
            role["kind"].as_str().expect("a kind"),
            name(role)
        )
    };
    role["rules"].as_array().expect("rules").iter().map(row).collect()
}

#[test]
fn no_rule_has_a_wildcard_and_no_cluster_role_reads_secrets() {
    for role in [of_kind("Role"), of_kind("ClusterRole")].concat() {
        assert!(!role["rules"].to_string().contains('*'), "{}", name(&role));
        if role["kind"] == "ClusterRole" {
            assert!(!role["rules"].to_string().contains("\"secrets\""), "{}", name(&role));
        }
    }
}

/// For people: an admin binds it to whom the names of other people may be shown.
const UNBOUND: &str = "latchkey-rejections-viewer";

#[test]
fn every_role_is_bound_and_every_binding_finds_its_role() {
    let roles: BTreeSet<String> = [of_kind("Role"), of_kind("ClusterRole")]
        .concat()
        .iter()
        .map(|role| name(role).to_owned())
        .filter(|role| role != UNBOUND)
        .collect();
    let kubernetes_own = ["system:auth-delegator", "extension-apiserver-authentication-reader"].map(str::to_owned);
    let bound: BTreeSet<String> = [of_kind("RoleBinding"), of_kind("ClusterRoleBinding")]
        .concat()
        .iter()
        .map(|binding| binding["roleRef"]["name"].as_str().expect("a role").to_owned())
        .collect();
    assert_eq!(bound, roles.into_iter().chain(kubernetes_own).collect());
}

#[test]
fn who_may_view_a_cluster_does_not_see_whose_tokens_were_refused() {
    let roles = of_kind("ClusterRole");
    assert!(roles.iter().any(|role| name(role) == UNBOUND));
    for role in roles.iter().filter(|role| role["rules"].to_string().contains("tokenrejections")) {
        let labels = role["metadata"]["labels"].to_string();
        assert!(!labels.contains("rbac.authorization.k8s.io/aggregate-to"), "{}", name(role));
    }
}

#[test]
fn the_api_services_are_those_of_the_default_suffix_and_reach_the_service() {
    let suffix = GroupSuffix::default();
    let services = of_kind("Service");
    let found: BTreeSet<String> = of_kind("APIService").iter().map(|service| name(service).to_owned()).collect();
    let expected = [suffix.login(), suffix.identity()].map(|group| format!("{VERSION}.{group}"));
    assert_eq!(found, expected.into_iter().collect());
    for api in of_kind("APIService") {
        assert_eq!(api["spec"]["service"]["name"], services[0]["metadata"]["name"]);
        assert_eq!(api["spec"]["service"]["namespace"], services[0]["metadata"]["namespace"]);
        assert_eq!(api["spec"]["service"]["port"], services[0]["spec"]["ports"][0]["port"]);
        assert_eq!(format!("{VERSION}.{}", api["spec"]["group"].as_str().unwrap()), name(&api));
        assert!(api["spec"]["caBundle"].is_null(), "the concierge publishes it");
    }
}

/// By what pods are found.
const SELECTED: [&str; 3] = ["app.kubernetes.io/component", "app.kubernetes.io/instance", "app.kubernetes.io/name"];

#[test]
fn service_and_disruption_budget_select_the_pods() {
    let deployment = &of_kind("Deployment")[0];
    let pod = &deployment["spec"]["template"]["metadata"]["labels"];
    for (object, selector) in [
        (deployment.clone(), "/spec/selector/matchLabels"),
        (of_kind("Service")[0].clone(), "/spec/selector"),
        (of_kind("PodDisruptionBudget")[0].clone(), "/spec/selector/matchLabels"),
    ] {
        let selected = object.pointer(selector).and_then(Value::as_object).expect("labels");
        // Immutable in a Deployment: a version among them would forbid every upgrade.
        assert_eq!(selected.keys().collect::<Vec<_>>(), SELECTED, "{}", object["kind"]);
        assert!(
            selected.iter().all(|(label, value)| pod[label] == *value),
            "{}: {selected:?} and {pod}",
            object["kind"]
        );
    }
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let ports: BTreeSet<&str> =
        container["ports"].as_array().unwrap().iter().filter_map(|port| port["name"].as_str()).collect();
    let used = [
        &of_kind("Service")[0]["spec"]["ports"][0]["targetPort"],
        &container["livenessProbe"]["httpGet"]["port"],
        &container["readinessProbe"]["httpGet"]["port"],
        &container["startupProbe"]["httpGet"]["port"],
    ]
    .map(|port| port.as_str().expect("a port by name").to_owned());
    assert!(used.iter().all(|port| ports.contains(port.as_str())), "{used:?}");
}

#[test]
fn the_pod_keeps_to_the_restricted_profile_that_its_namespace_enforces() {
    let namespace = &of_kind("Namespace")[0];
    for mode in ["enforce", "audit", "warn"] {
        assert_eq!(namespace["metadata"]["labels"][format!("pod-security.kubernetes.io/{mode}")], "restricted");
    }
    let deployment = &of_kind("Deployment")[0];
    assert_eq!(deployment["metadata"]["namespace"], namespace["metadata"]["name"]);
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(pod["automountServiceAccountToken"], false);
    for container in pod["containers"].as_array().unwrap() {
        assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        assert_eq!(container["securityContext"]["capabilities"]["drop"], serde_json::json!(["ALL"]));
    }
}

/// One apply of everything installs the kinds: an object of one of them would be refused the first time, because it is
/// not known yet. The concierge makes its `CredentialIssuer` itself.
#[test]
fn nothing_is_of_a_kind_that_comes_with_it() {
    let ours = GroupSuffix::default();
    for object in base() {
        let group = object["apiVersion"].as_str().expect("a version").split('/').next().expect("a group");
        assert!(!group.ends_with(ours.as_str()), "{} {}", object["kind"], name(&object));
    }
}

/// What the playbook asks of a fleet: each cluster's entry has its authenticator's audience for its issuer, no two have one
/// in common, and every cluster takes the whole list in and is in it by its own name.
#[test]
fn the_example_fleet_knows_each_cluster_by_its_own_audiences() {
    let folder = deploy().join("examples/fleet");
    let kustomization = &documents(&folder.join("kustomization.yaml"))[0];
    let shared = &documents(&deploy().join("examples/access/kustomization.yaml"))[0];
    assert!(texts(&shared["resources"]).contains(&"../fleet"), "{shared}");
    let authenticator: JWTAuthenticator =
        serde_json::from_value(documents(&deploy().join("examples/access/authenticator.yaml"))[0].clone()).unwrap();
    let mut owned = BTreeSet::new();
    for file in texts(&kustomization["resources"]) {
        let object = documents(&folder.join(file))[0].clone();
        let entry: FleetCluster = serde_json::from_value(object.clone()).unwrap();
        let cluster = name(&object);
        assert!(entry.spec.audiences.contains(&audience_of(cluster)), "{cluster}");
        assert!(entry.spec.issuers.contains(&authenticator.spec.issuer), "{cluster}");
        for audience in entry.spec.audiences {
            assert!(owned.insert(audience.clone()), "{cluster} shares {audience}");
        }
        let overlay = &documents(&deploy().join(format!("examples/{cluster}/kustomization.yaml")))[0];
        let settings = texts(&overlay["configMapGenerator"][0]["literals"]);
        assert!(settings.contains(&format!("cluster-name={cluster}").as_str()), "{cluster}");
    }
    assert!(owned.len() > 2, "{owned:?}");
}

/// A cluster's audience: the one thing that its overlay changes in the authenticator that all clusters share.
fn audience_of(cluster: &str) -> String {
    let overlay = &documents(&deploy().join(format!("examples/{cluster}/access/kustomization.yaml")))[0];
    assert_eq!(texts(&overlay["resources"]), ["../../access"], "{cluster}");
    let patches = overlay["patches"].as_array().expect("patches");
    assert_eq!(patches.len(), 1, "{cluster}: {overlay}");
    assert_eq!(patches[0]["target"], serde_json::json!({"kind": "JWTAuthenticator", "name": "main"}));
    let operations: Value = serde_norway::from_str(patches[0]["patch"].as_str().expect("a patch")).expect("operations");
    let audience = format!("kubernetes-{cluster}");
    let expected = serde_json::json!([{"op": "replace", "path": "/spec/audience", "value": audience}]);
    assert_eq!(operations, expected, "{cluster}");
    audience
}
