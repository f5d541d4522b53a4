//! Authenticators: the same names everywhere, and the same settings but for what is each cluster's own.

use std::collections::BTreeMap;

use super::super::authenticator::Authenticator;
use super::super::cluster::Cluster;
use super::super::finding::{Code, Finding, Seen};
use super::by_value;

pub(super) fn findings(clusters: &[Cluster]) -> Vec<Finding> {
    // Where Latchkey is not installed, that is said; where nothing could be read, nothing is known.
    let read = clusters.iter().filter(|cluster| cluster.is_installed);
    let read: Vec<(&Cluster, &[Authenticator])> =
        read.filter_map(|cluster| Some((cluster, cluster.authenticators.as_deref()?))).collect();
    let mut by_name: BTreeMap<(&str, &str), Vec<(&str, &Authenticator)>> = BTreeMap::new();
    for (cluster, authenticators) in &read {
        for authenticator in *authenticators {
            let who = by_name.entry((authenticator.kind, &authenticator.name)).or_default();
            who.push((&cluster.label, authenticator));
        }
    }
    let mut findings = Vec::new();
    if by_name.is_empty() && !read.is_empty() {
        let seen = Seen::new(read.iter().map(|(cluster, _)| cluster.label.as_str()), "has none, so nobody can log in");
        findings.push(Finding::new(Code::AuthenticatorMissing, "every authenticator", [seen]));
    }
    for holders in by_name.into_values() {
        let (meant, counted): (Vec<_>, Vec<_>) =
            holders.iter().partition(|(_, authenticator)| authenticator.is_ignored);
        let Some((_, first)) = counted.first() else { continue };
        let has = |cluster: &str| meant.iter().chain(&counted).any(|(holder, _)| *holder == cluster);
        let asked = read.iter().map(|(cluster, _)| cluster);
        let asked = asked.filter(|cluster| cluster.knows_webhooks || !first.is_webhook());
        let lacks: Vec<&str> = asked.map(|cluster| cluster.label.as_str()).filter(|cluster| !has(cluster)).collect();
        if !lacks.is_empty() {
            let holders = Seen::new(counted.iter().map(|(cluster, _)| *cluster), "has it");
            let seen = [holders, Seen::new(lacks, "has none of this name")];
            findings.push(Finding::new(Code::AuthenticatorMissing, first.title(), seen));
        }
        findings.extend(differences(&first.title(), &counted));
    }
    findings
}

fn differences(title: &str, holders: &[(&str, &Authenticator)]) -> Vec<Finding> {
    let fields: std::collections::BTreeSet<&String> =
        holders.iter().flat_map(|(_, authenticator)| authenticator.settings.keys()).collect();
    let of_field = |field: &String| {
        let value = |authenticator: &Authenticator| {
            authenticator.settings.get(field).cloned().unwrap_or_else(|| "not set".to_owned())
        };
        let seen = by_value(holders.iter().map(|(cluster, authenticator)| (*cluster, value(authenticator))));
        (seen.len() > 1).then(|| Finding::new(Code::AuthenticatorDiffers, format!("{title}: spec.{field}"), seen))
    };
    fields.into_iter().filter_map(of_field).collect()
}
