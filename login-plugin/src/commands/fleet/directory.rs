//! Reads the clusters from manifests: a folder for each cluster. What a kustomization makes is rendered by kubectl.

mod files;
mod kustomization;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use latchkey_crds::groups::GroupSuffix;
use serde::Deserialize as _;
use serde_json::Value;

use self::files::{Budget, Files, folders};
use self::kustomization::refuse_remote;
use super::Gathered;
use super::cluster::{Cluster, Origin, Part, Read, Unread, list, name_of, text};
use crate::args::{FleetArgs, KubectlFlags};
use crate::environment::Environment;
use crate::failure::{Failure, Status};
use crate::kubectl::{Kubectl, KubectlError};

/// Folders that are checked together. The largest fleets have some hundreds of clusters.
const CLUSTERS_MAX: usize = 1000;

/// All that one cluster runs is rendered in seconds.
const RENDER_DEADLINE: Duration = Duration::from_mins(1);

/// What is left unrendered where Flux substitutes variables.
const VARIABLE: &str = "${";

/// Reads every folder below this one, or those of these names.
///
/// # Errors
/// When it cannot be read or has no such folders, or there is no kubectl to render with.
pub(super) async fn read(
    folder: &Path,
    names: &[String],
    args: &FleetArgs,
    environment: &Environment,
) -> Result<Gathered, Failure> {
    let mut folders = folders(folder).map_err(|error| {
        Failure::new(Status::Usage, format!("cannot read the folder {}: {error}", folder.display()))
    })?;
    let is_named = |path: &Path, name: &str| path.file_name().is_some_and(|found| found == name);
    if let Some(name) = names.iter().find(|name| !folders.iter().any(|path| is_named(path, name))) {
        return Err(Failure::new(Status::Usage, format!("{} has no folder {name:?}", folder.display())));
    }
    folders.retain(|path| names.is_empty() || names.iter().any(|name| is_named(path, name)));
    if folders.is_empty() {
        return Err(Failure::new(Status::Usage, format!("{} has no folders", folder.display()))
            .hint("--dir expects one folder for each cluster"));
    }
    if folders.len() > CLUSTERS_MAX {
        return Err(Failure::new(Status::Usage, format!("{} has more than {CLUSTERS_MAX} folders", folder.display()))
            .hint("--dir expects one folder for each cluster; --contexts chooses some of them"));
    }
    let kubectl = Kubectl::new(&KubectlFlags::default(), environment);
    let mut gathered = Gathered::default();
    for path in folders {
        let label = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match objects(&path, &kubectl, &args.api_group_suffix).await {
            Ok(objects) => gathered.add_folder(label, objects, args),
            Err(Trouble::NoKubectl(error)) => return Err(error.into()),
            Err(Trouble::Words(reason)) => {
                gathered.silent.push(label.clone());
                gathered.unread.push(Unread { cluster: label, what: None, reason, is_forbidden: false });
            }
        }
    }
    Ok(gathered)
}

/// Why a folder cannot be read.
#[derive(Debug)]
enum Trouble {
    NoKubectl(KubectlError),
    Words(String),
}

impl From<String> for Trouble {
    fn from(words: String) -> Self {
        Self::Words(words)
    }
}

async fn objects(folder: &Path, kubectl: &Kubectl, suffix: &GroupSuffix) -> Result<Vec<Value>, Trouble> {
    let mut budget = Budget::default();
    let files = Files::of(folder, &mut budget)?;
    let mut objects = Vec::new();
    for path in files.manifests {
        let text = budget.read(&path)?;
        objects.extend(parse(&text).map_err(|why| format!("{} is no manifest: {why}", path.display()))?);
    }
    refuse_twins(&objects, suffix)?;
    refuse_remote(&files.kustomizations, &mut budget)?;
    for path in files.kustomizations {
        let place = path.to_string_lossy();
        match kubectl.kustomize(&place, RENDER_DEADLINE).await {
            Ok(text) => {
                budget.spend(text.len())?;
                objects.extend(parse(&text).map_err(|why| format!("`kubectl kustomize {place}`: {why}"))?);
            }
            Err(error @ KubectlError::NotFound(_)) => return Err(Trouble::NoKubectl(error)),
            Err(error) => return Err(format!("`kubectl kustomize {place}` failed: {error}").into()),
        }
    }
    once(&mut objects);
    Ok(objects)
}

/// Each object once, as it was read first: a kustomization further down may be a base of one above, which changes what it
/// makes.
fn once(objects: &mut Vec<Value>) {
    let mut seen = BTreeSet::new();
    objects.retain(|object| seen.insert(identity(object).map(ToOwned::to_owned)));
}

/// Refuses manifests by which one object is two that are not alike: which of them the cluster gets depends on who applies them,
/// and the other would never be looked at.
fn refuse_twins(objects: &[Value], suffix: &GroupSuffix) -> Result<(), String> {
    let mut seen: BTreeMap<[&str; 4], &Value> = BTreeMap::new();
    for object in objects {
        let has_place = |part| part != Part::RoleBindings || !text(object, "/metadata/namespace").is_empty();
        if Part::of(object, suffix).is_some_and(has_place)
            && seen.insert(identity(object), object).is_some_and(|other| other != object)
        {
            let (kind, name) = (text(object, "/kind"), name_of(object));
            return Err(format!("{kind} {name} stands in it twice, and not alike: a cluster gets one of them"));
        }
    }
    Ok(())
}

/// Group, kind, namespace and name.
fn identity(object: &Value) -> [&str; 4] {
    let group = text(object, "/apiVersion").split_once('/').map_or("", |(group, _)| group);
    let [kind, namespace, name] = ["/kind", "/metadata/namespace", "/metadata/name"].map(|place| text(object, place));
    [group, kind, namespace, name]
}

/// The objects of a stream of documents; a list is what it lists.
fn parse(stream: &str) -> Result<Vec<Value>, String> {
    let mut objects = Vec::new();
    for document in serde_norway::Deserializer::from_str(stream) {
        let object = Value::deserialize(document).map_err(|error| error.to_string())?;
        let is_list = text(&object, "/kind").ends_with("List") && object.get("items").is_some_and(Value::is_array);
        if is_list {
            objects.extend(list(&object, "/items").iter().cloned());
        } else if !object.is_null() {
            objects.push(object);
        }
    }
    Ok(objects)
}

impl Gathered {
    fn add_folder(&mut self, label: String, objects: Vec<Value>, args: &FleetArgs) {
        let suffix = &args.api_group_suffix;
        let unrendered = unrendered(&objects, suffix);
        for (part, name) in &unrendered {
            let reason =
                format!("{name} holds a variable ({VARIABLE}…}}), so it is not what a cluster gets: render it first");
            let (cluster, what) = (label.clone(), Some(part.resource()));
            self.unread.push(Unread { cluster, what, reason, is_forbidden: false });
        }
        let read = Read {
            said_name: objects.iter().find_map(own_name),
            label,
            origin: Origin::Files,
            also_called: Vec::new(),
            missing: unrendered.into_iter().map(|(part, _)| part).collect(),
            objects,
            is_installed: true,
        };
        self.clusters.push(Cluster::new(read, suffix, &args.ignored));
    }
}

/// Objects to be compared in which something is still to be put in: the first of each kind.
fn unrendered(objects: &[Value], suffix: &GroupSuffix) -> Vec<(Part, String)> {
    let mut told = BTreeSet::new();
    let mut found = Vec::new();
    for object in objects.iter().filter(|object| object.to_string().contains(VARIABLE)) {
        if let Some(part) = Part::of(object, suffix)
            && told.insert(part)
        {
            found.push((part, format!("{} {}", text(object, "/kind"), name_of(object))));
        }
    }
    found
}

/// The cluster's name as the manifests give it to the concierge: by our own settings, or by the chart's value.
fn own_name(object: &Value) -> Option<String> {
    let pointers: &[&str] = match text(object, "/kind") {
        "ConfigMap" if name_of(object).starts_with("latchkey-settings") => &["/data/cluster-name"],
        "HelmRelease" => &["/spec/values/clusterName"],
        "Application" => &["/spec/source/helm/valuesObject/clusterName"],
        _ => return None,
    };
    let is_of_ours = text(object, "/kind") == "ConfigMap" || object.pointer("/spec")?.to_string().contains("latchkey");
    let name = pointers.iter().map(|pointer| text(object, pointer)).find(|name| !name.is_empty())?;
    (is_of_ours && !name.contains(VARIABLE)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_stream_is_read_whole_and_lists_are_opened() {
        let stream = "# nothing\n---\nkind: A\n---\n---\nkind: List\nitems: [{kind: B}, {kind: C}]\n";
        let kinds: Vec<String> = parse(stream).unwrap().iter().map(|object| text(object, "/kind").to_owned()).collect();
        assert_eq!(kinds, ["A", "B", "C"]);
        assert!(parse("kind: {{ .Values.kind }}").is_err(), "a template is no manifest");
        assert!(parse("kind: A\n---\n]").is_err());
    }

    #[test]
    fn an_object_that_is_two_is_refused_and_a_copy_is_none() {
        let of = |kind: &str, namespace: &str, role: &str| {
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "roleRef": {"name": role},
                "metadata": {"name": "developers", "namespace": namespace}})
        };
        let refuse = |two: [Value; 2]| refuse_twins(&two, &GroupSuffix::default());
        let everywhere = |role: &str| of("ClusterRoleBinding", "", role);
        let words = refuse([everywhere("view"), everywhere("cluster-admin")]).unwrap_err();
        assert!(words.starts_with("ClusterRoleBinding developers stands in it twice"), "{words}");
        for fine in [
            [everywhere("view"), everywhere("view")],
            [of("RoleBinding", "a", "view"), of("RoleBinding", "b", "edit")],
            // Whoever applies them says into which namespace each goes.
            [of("RoleBinding", "", "view"), of("RoleBinding", "", "edit")],
            [of("Deployment", "a", "view"), of("Deployment", "a", "edit")],
        ] {
            refuse(fine).unwrap();
        }
    }

    #[test]
    fn the_settings_say_whose_manifests_these_are() {
        let name = |object: Value| own_name(&object);
        let settings = json!({"kind": "ConfigMap", "metadata": {"name": "latchkey-settings-7f9c"},
            "data": {"cluster-name": "staging"}});
        assert_eq!(name(settings).as_deref(), Some("staging"));
        let release = |chart: &str, value: &str| {
            name(
                json!({"kind": "HelmRelease", "spec": {"chart": {"spec": {"chart": chart}}, "values": {"clusterName": value}}}),
            )
        };
        assert_eq!(release("latchkey-concierge", "production").as_deref(), Some("production"));
        assert_eq!(release("other", "production"), None);
        assert_eq!(release("latchkey-concierge", "${cluster}"), None);
        assert_eq!(
            name(json!({"kind": "ConfigMap", "metadata": {"name": "others"}, "data": {"cluster-name": "x"}})),
            None
        );
    }
}
