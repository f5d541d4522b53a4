//! Bindings of people and groups: what is granted in one cluster is granted in all.

use std::collections::{BTreeMap, BTreeSet};

use super::super::cluster::Cluster;
use super::super::finding::{Code, Finding, Seen};
use super::super::grants::{Grant, Grants};

/// Where, which role, by which clusters and bindings it is granted, and where it is not: the subjects that have this in common
/// are one finding.
type Difference<'a> = (Option<&'a str>, &'a str, Vec<(&'a str, String)>, Vec<&'a str>);

pub(super) fn findings(clusters: &[Cluster]) -> Vec<Finding> {
    let read: Vec<(&Cluster, &Grants)> =
        clusters.iter().filter_map(|cluster| Some((cluster, cluster.grants.as_ref()?))).collect();
    let all: BTreeSet<&Grant> = read.iter().flat_map(|(_, grants)| grants.by.keys()).collect();
    let mut differences: BTreeMap<Difference<'_>, Vec<&str>> = BTreeMap::new();
    for grant in all {
        // Nothing can be bound in a namespace that is not there. Where that is not known, nothing is said.
        let could = |cluster: &Cluster| {
            grant
                .namespace
                .as_ref()
                .is_none_or(|name| cluster.namespaces.as_ref().is_some_and(|all| all.contains(name)))
        };
        let lacks = read.iter().filter(|(cluster, grants)| could(cluster) && !grants.has(grant));
        let lacks: Vec<&str> = lacks.map(|(cluster, _)| cluster.label.as_str()).collect();
        if lacks.is_empty() {
            continue;
        }
        let by = read.iter().filter_map(|(cluster, grants)| {
            let bindings: Vec<&str> = grants.by.get(grant)?.iter().map(String::as_str).collect();
            Some((cluster.label.as_str(), bindings.join(", ")))
        });
        let difference = (grant.namespace.as_deref(), grant.role.as_str(), by.collect(), lacks);
        differences.entry(difference).or_default().push(&grant.subject);
    }
    differences.into_iter().map(|(difference, subjects)| told(difference, &subjects)).collect()
}

fn told((namespace, role, by, lacks): Difference<'_>, subjects: &[&str]) -> Finding {
    let place = namespace.map_or_else(|| "in the whole cluster".to_owned(), |name| format!("in namespace {name}"));
    let seen = super::by_value(by.into_iter().map(|(cluster, bindings)| (cluster, format!("by {bindings}"))));
    let seen = seen.into_iter().chain([Seen::new(lacks, "not granted")]);
    Finding::new(Code::BindingDiffers, format!("{}: {role} {place}", subjects.join(", ")), seen)
}
