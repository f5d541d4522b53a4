//! Who may do what: the grants that bindings of users and groups make, whatever the bindings are called. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::cluster::{is_ignored, list, name_of, text};

/// Begins the names of Kubernetes' own identities and roles.
const KUBERNETES: &str = "system:";

/// Kubernetes' own too, but these are everybody: whoever logs in, and whoever does not.
const EVERYBODY: [&str; 3] = ["system:anonymous", "system:authenticated", "system:unauthenticated"];

/// One role for one user or group, somewhere.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Grant {
    /// The namespace; none: the whole cluster.
    pub(super) namespace: Option<String>,
    /// `ClusterRole view`.
    pub(super) role: String,
    /// `Group developers`.
    pub(super) subject: String,
}

/// The grants of one cluster.
#[derive(Debug, Default)]
pub(super) struct Grants {
    /// By which bindings.
    pub(super) by: BTreeMap<Grant, BTreeSet<String>>,
    /// Those made by bindings that may differ: they satisfy another cluster's, and ask for nothing.
    pub(super) ignored: BTreeSet<Grant>,
}

impl Grants {
    /// What these bindings grant to people and groups. `patterns` name bindings that may differ.
    pub(super) fn new<'a>(bindings: impl Iterator<Item = &'a Value>, patterns: &[String]) -> Self {
        let mut grants = Self::default();
        for binding in bindings {
            let namespace = Some(text(binding, "/metadata/namespace").to_owned()).filter(|name| !name.is_empty());
            let name = name_of(binding);
            let full_name = namespace.as_ref().map_or_else(|| name.clone(), |space| format!("{space}/{name}"));
            let may_differ = is_ignored(binding) || patterns.iter().any(|pattern| matches(pattern, &full_name));
            let role = format!("{} {}", text(binding, "/roleRef/kind"), text(binding, "/roleRef/name"));
            for subject in list(binding, "/subjects") {
                let (kind, subject) = (text(subject, "/kind"), text(subject, "/name"));
                if !["Group", "User"].contains(&kind) || is_kubernetes_own(subject, text(binding, "/roleRef/name")) {
                    continue;
                }
                let grant =
                    Grant { namespace: namespace.clone(), role: role.clone(), subject: format!("{kind} {subject}") };
                if may_differ {
                    grants.ignored.insert(grant);
                } else {
                    let binding = format!("{} {full_name}", text(binding, "/kind"));
                    grants.by.entry(grant).or_default().insert(binding);
                }
            }
        }
        grants
    }

    /// Whether it is granted, by whatever binding.
    pub(super) fn has(&self, grant: &Grant) -> bool {
        self.by.contains_key(grant) || self.ignored.contains(grant)
    }
}

/// Whether a grant is of the cluster's making, and no two need be alike. What everybody is granted is so only by a role of
/// Kubernetes' own, such as `system:discovery`.
fn is_kubernetes_own(subject: &str, role: &str) -> bool {
    subject.starts_with(KUBERNETES) && (role.starts_with(KUBERNETES) || !EVERYBODY.contains(&subject))
}

/// Whether a name fits a pattern in which `*` stands for any text.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    // The first place is the best one for each part: it leaves the most to the next.
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name) in [
            ("developers-edit", "developers-edit"),
            ("*", "anything"),
            ("team-*/*", "team-a/developers"),
            ("*edit", "developers-edit"),
            ("a*b*c", "a-b-b-c"),
            ("a*", "a"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("", "a"),
            ("developers", "developers-edit"),
            ("*edit", "edit-not"),
            ("ab*ba", "aba"),
            ("team-*/x", "team-a/y"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}
