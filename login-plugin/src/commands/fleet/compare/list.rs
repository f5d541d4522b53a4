//! The fleet's list: the same in every cluster, and every cluster with all its audiences in it.

use std::collections::BTreeSet;

use super::super::authenticator::Authenticator;
use super::super::cluster::{Cluster, OwnName};
use super::super::finding::{Code, Finding, Seen};
use super::super::members::Member;
use super::{Fleet, by_value};

/// How many names are told in one line.
const TOLD: usize = 8;

pub(super) fn findings(fleet: Fleet<'_>) -> Vec<Finding> {
    // Where nothing is installed, that is said.
    let read = fleet.clusters.iter().filter(|cluster| cluster.is_installed && cluster.members.is_some());
    let read: Vec<&Cluster> = read.collect();
    if !read.is_empty() && read.iter().all(|cluster| members(cluster).next().is_none()) {
        let seen = Seen::new(read.iter().map(|cluster| cluster.label.as_str()), "has no FleetCluster");
        return vec![Finding::new(Code::ListMissing, "the fleet's list", [seen])];
    }
    let mut findings = differences(&read);
    findings.extend(read.iter().flat_map(|cluster| own(cluster)));
    findings.extend(unchecked(fleet, &read));
    findings
}

fn members(cluster: &Cluster) -> impl Iterator<Item = (&String, &Member)> {
    cluster.members.iter().flatten()
}

fn differences(read: &[&Cluster]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (empty, rest): (Vec<&Cluster>, Vec<&Cluster>) =
        read.iter().copied().partition(|cluster| members(cluster).next().is_none());
    if !empty.is_empty() {
        let names: BTreeSet<&str> =
            rest.iter().flat_map(|cluster| members(cluster)).map(|(name, _)| name.as_str()).collect();
        let has = format!("has {}", shortened(names));
        let labels = |clusters: &[&Cluster]| clusters.iter().map(|cluster| cluster.label.clone()).collect();
        let seen = [
            Seen { clusters: labels(&rest), found: has },
            Seen { clusters: labels(&empty), found: "has no FleetCluster at all".to_owned() },
        ];
        findings.push(Finding::new(Code::ListDiffers, "the whole list", seen));
    }
    let names: BTreeSet<&String> = rest.iter().flat_map(|cluster| members(cluster)).map(|(name, _)| name).collect();
    for name in names {
        let entry = |cluster: &Cluster| {
            let member = cluster.members.as_ref().and_then(|members| members.get(name));
            member.map_or_else(|| "not in the list".to_owned(), Member::told)
        };
        let seen = by_value(rest.iter().map(|cluster| (cluster.label.as_str(), entry(cluster))));
        if seen.len() > 1 {
            findings.push(Finding::new(Code::ListDiffers, format!("FleetCluster {name}"), seen));
        }
    }
    findings
}

fn shortened(names: BTreeSet<&str>) -> String {
    let rest = names.len().saturating_sub(TOLD);
    let told = names.into_iter().take(TOLD).collect::<Vec<_>>().join(", ");
    if rest == 0 { told } else { format!("{told} and {rest} more") }
}

/// Whether the cluster stands in its own list, and its audiences with it.
fn own(cluster: &Cluster) -> Vec<Finding> {
    let finding =
        |code, subject: String, found: &str| Finding::new(code, subject, [Seen::new([cluster.label.as_str()], found)]);
    if members(cluster).next().is_none() {
        return Vec::new();
    }
    let name = cluster.name.as_ref().map(OwnName::as_str);
    let member = name.and_then(|name| cluster.members.as_ref()?.get(name));
    let (Some(name), Some(member)) = (name, member) else {
        let (subject, found) = name.map_or_else(
            || (cluster.label.clone(), "no FleetCluster is named like it or has its audience"),
            |name| (format!("cluster {name}"), "no FleetCluster has this name"),
        );
        return vec![finding(Code::ClusterNotListed, subject, found)];
    };
    let Some(authenticators) = &cluster.authenticators else { return Vec::new() };
    let accepted: BTreeSet<(&str, &str)> = authenticators.iter().flat_map(Authenticator::accepts).collect();
    let unlisted =
        accepted.iter().filter(|(issuer, audience)| !member.owns(issuer, audience)).map(|(issuer, audience)| {
            let found = format!("FleetCluster {name} does not have it, or not for this issuer");
            finding(Code::AudienceNotListed, format!("audience {audience:?} of {issuer}"), &found)
        });
    let is_taken = |audience: &&String| accepted.iter().any(|(_, accepted)| accepted == audience);
    let unused = member.audiences.iter().filter(|audience| !is_taken(audience)).map(|audience| {
        finding(Code::AudienceUnused, format!("audience {audience:?}"), &format!("FleetCluster {name} has it"))
    });
    unlisted.chain(unused).collect()
}

/// Clusters of the list that nobody was asked about.
fn unchecked(fleet: Fleet<'_>, read: &[&Cluster]) -> Vec<Finding> {
    let known: BTreeSet<&str> = fleet
        .clusters
        .iter()
        .flat_map(|cluster| [Some(cluster.label.as_str()), cluster.name.as_ref().map(OwnName::as_str)])
        .flatten()
        .chain(fleet.silent.iter().map(String::as_str))
        .collect();
    // Who names some means them, and does not want to hear of the others.
    let listed =
        read.iter().filter(|_| fleet.is_whole).flat_map(|cluster| members(cluster)).map(|(name, _)| name.as_str());
    let unchecked: BTreeSet<&str> = listed.filter(|name| !known.contains(name)).collect();
    // A silent one may be any of them, under another name.
    let code = Code::ClusterNotChecked;
    let finding = |name: &str| {
        let holds = read.iter().filter(|cluster| members(cluster).any(|(listed, _)| listed == name));
        let seen = Seen::new(holds.map(|cluster| cluster.label.as_str()), "lists it");
        Finding::new(code, format!("cluster {name}"), [seen])
    };
    unchecked.into_iter().map(finding).collect()
}
