//! Names that belong to Kubernetes itself: no identity provider may give one, whatever it signs.

use super::{GroupName, Refusal, Username};

/// Kubernetes keeps this prefix for its own users and groups; `system:masters` alone is above all RBAC.
const PREFIX: &str = "system:";

/// Refuses a user or any group beginning with `system:`, after ASCII case folding: Kubernetes compares exactly, but a
/// person who reads `System:masters` in a log does not.
pub(super) fn check(username: &Username, groups: &[GroupName]) -> Result<(), Refusal> {
    let names = std::iter::once(username.as_str()).chain(groups.iter().map(GroupName::as_str));
    for name in names {
        if is_reserved(name) {
            return Err(Refusal::IdentityReserved(name.to_owned()));
        }
    }
    Ok(())
}

/// Whether `name` begins with the reserved prefix.
pub(super) fn is_reserved(name: &str) -> bool {
    name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_reserved_in_any_case() {
        for name in ["system:masters", "system:", "SYSTEM:nodes", "System:serviceaccount:a:b", "sYsTeM:admin"] {
            assert!(is_reserved(name), "{name}");
        }
        for name in ["system", "systems:x", "my-system:x", "", "sys", "syst\u{435}m:masters", "kubeadm:cluster-admins"]
        {
            assert!(!is_reserved(name), "{name}");
        }
    }
}
