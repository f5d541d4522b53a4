//! Compares the clusters: everything that is found, the gravest first. Pure.

mod alike;
mod audiences;
mod bindings;
mod each;
mod list;

use std::collections::BTreeMap;

use super::cluster::{Cluster, Origin};
use super::finding::{Code, Finding, Seen};

/// What is compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fleet<'a> {
    /// The clusters that answered.
    pub(super) clusters: &'a [Cluster],
    /// Those that did not, by all names they are known by: of them nothing is known, not that they are not there.
    pub(super) silent: &'a [String],
    /// Whether these are all that there are.
    pub(super) is_whole: bool,
}

/// Everything that is found.
pub(super) fn compare(fleet: Fleet<'_>) -> Vec<Finding> {
    let Fleet { clusters, .. } = fleet;
    let mut findings = each::findings(clusters);
    findings.extend(alike::findings(clusters));
    findings.extend(audiences::findings(clusters));
    findings.extend(bindings::findings(clusters));
    findings.extend(list::findings(fleet));
    findings.extend(versions(clusters));
    // A silent one is told as such.
    if clusters.len() + fleet.silent.len() == 1 {
        findings.extend(clusters.iter().map(|cluster| {
            let origin = if cluster.origin == Origin::Live { "of the kubeconfig" } else { "in the folder" };
            Finding::new(
                Code::TooFew,
                cluster.label.clone(),
                [Seen::new([cluster.label.as_str()], format!("the only one {origin}"))],
            )
        }));
    }
    findings.sort_by(|one, other| (one.code, &one.subject).cmp(&(other.code, &other.subject)));
    findings
}

fn versions(clusters: &[Cluster]) -> Option<Finding> {
    let known = clusters.iter().filter_map(|cluster| Some((cluster.label.as_str(), cluster.version.clone()?)));
    let seen = by_value(known);
    (seen.len() > 1).then(|| Finding::new(Code::VersionDiffers, "concierge", seen))
}

/// The clusters of each value, what most of them have first.
fn by_value<'a>(values: impl IntoIterator<Item = (&'a str, String)>) -> Vec<Seen> {
    let mut clusters: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (cluster, value) in values {
        clusters.entry(value).or_default().push(cluster);
    }
    let mut seen: Vec<Seen> = clusters.into_iter().map(|(value, clusters)| Seen::new(clusters, value)).collect();
    seen.sort_by_key(|seen| std::cmp::Reverse(seen.clusters.len()));
    seen
}

#[cfg(test)]
mod tests;
