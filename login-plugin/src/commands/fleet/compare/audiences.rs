//! Whose token opens what: each audience of an issuer belongs to one cluster, by what the clusters accept and by what the list
//! says.

use std::collections::{BTreeMap, BTreeSet};

use super::super::authenticator::Authenticator;
use super::super::cluster::{Cluster, OwnName};
use super::super::finding::{Code, Finding, Seen};
use super::super::members::Member;

pub(super) fn findings(clusters: &[Cluster]) -> Vec<Finding> {
    let lists = lists(clusters);
    let mut findings = shared(clusters);
    findings.extend(clusters.iter().flat_map(|cluster| of_others(cluster, &lists)));
    findings.extend(listed_twice(&lists));
    findings.extend(names(clusters));
    findings
}

/// Every entry that some cluster's list has.
fn lists(clusters: &[Cluster]) -> BTreeSet<(&str, &Member)> {
    let members = clusters.iter().filter_map(|cluster| cluster.members.as_ref()).flatten();
    members.map(|(name, member)| (name.as_str(), member)).collect()
}

/// Two clusters accept one audience of one issuer.
fn shared(clusters: &[Cluster]) -> Vec<Finding> {
    let mut takers: BTreeMap<(&str, &str), BTreeMap<&str, Vec<String>>> = BTreeMap::new();
    for cluster in clusters {
        for authenticator in cluster.authenticators.iter().flatten() {
            for accepted in authenticator.accepts() {
                let here = takers.entry(accepted).or_default().entry(&cluster.label).or_default();
                here.push(authenticator.title());
            }
        }
    }
    let shared = takers.into_iter().filter(|(_, clusters)| clusters.len() > 1);
    shared
        .map(|((issuer, audience), clusters)| {
            let seen =
                clusters.into_iter().map(|(cluster, by)| Seen::new([cluster], format!("taken by {}", by.join(", "))));
            Finding::new(Code::AudienceShared, format!("audience {audience:?} of {issuer}"), seen)
        })
        .collect()
}

/// A cluster accepts what the list says is another's.
fn of_others(cluster: &Cluster, lists: &BTreeSet<(&str, &Member)>) -> Vec<Finding> {
    let Some(own) = cluster.name.as_ref().map(OwnName::as_str) else { return Vec::new() };
    let accepted = cluster.authenticators.iter().flatten().flat_map(Authenticator::accepts);
    let accepted: BTreeSet<(&str, &str)> = accepted.collect();
    let stolen = accepted.into_iter().filter_map(|(issuer, audience)| {
        let owners = lists.iter().filter(|(name, member)| *name != own && member.owns(issuer, audience));
        let owners: BTreeSet<&str> = owners.map(|(name, _)| *name).collect();
        (!owners.is_empty()).then(|| {
            let owners = owners.into_iter().collect::<Vec<_>>().join(", ");
            let seen = Seen::new([cluster.label.as_str()], format!("takes it, and the list gives it to {owners}"));
            Finding::new(Code::AudienceOfOtherCluster, format!("audience {audience:?} of {issuer}"), [seen])
        })
    });
    stolen.collect()
}

/// The list gives one audience to two clusters.
fn listed_twice(lists: &BTreeSet<(&str, &Member)>) -> Vec<Finding> {
    let mut owners: BTreeMap<&str, Vec<(&str, &Member)>> = BTreeMap::new();
    for (name, member) in lists {
        for audience in &member.audiences {
            owners.entry(audience).or_default().push((name, member));
        }
    }
    let twice = owners.into_iter().filter_map(|(audience, owners)| {
        let meets =
            |(name, member): &(&str, &Member)| owners.iter().any(|(other, entry)| other != name && entry.meets(member));
        let names: BTreeSet<&str> = owners.iter().filter(|owner| meets(owner)).map(|(name, _)| *name).collect();
        (!names.is_empty()).then(|| {
            let seen = Seen::new([], format!("FleetClusters {}", names.into_iter().collect::<Vec<_>>().join(", ")));
            Finding::new(Code::ListAudienceShared, format!("audience {audience:?}"), [seen])
        })
    });
    twice.collect()
}

/// Two clusters say that they are one.
fn names(clusters: &[Cluster]) -> Vec<Finding> {
    let mut by_name: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for cluster in clusters {
        // A guess accuses nobody.
        if let Some(OwnName::Said(name)) = &cluster.name {
            by_name.entry(name).or_default().push(&cluster.label);
        }
    }
    let shared = by_name.into_iter().filter(|(_, clusters)| clusters.len() > 1);
    let finding = |(name, clusters): (&str, Vec<&str>)| {
        Finding::new(
            Code::ClusterNameShared,
            format!("cluster name {name:?}"),
            [Seen::new(clusters, "says it is its own")],
        )
    };
    shared.map(finding).collect()
}
