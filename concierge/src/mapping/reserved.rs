//! Names that belong to Kubernetes itself: no identity provider may give one, unless the authenticator says so.

use super::{Refusal, ReservedIdentities};

/// Kubernetes keeps this prefix for its own users and groups.
const PREFIX: &str = "system:";

/// The group above all RBAC.
const MASTERS: &str = "system:masters";

/// Those of `names` that are reserved and pass all the same, because `rules` allow them.
///
/// The names are those after prefixes were put before them: `sys` before `tem:masters` is reserved too.
pub(super) fn admitted<'a>(
    names: impl IntoIterator<Item = &'a str>,
    rules: &ReservedIdentities,
) -> Result<Vec<String>, Refusal> {
    let mut admitted = Vec::new();
    for name in names.into_iter().filter(|name| is_reserved(name)) {
        match rules {
            ReservedIdentities::Allow => admitted.push(name.to_owned()),
            ReservedIdentities::Refuse { allowed } if allowed.contains(name) => admitted.push(name.to_owned()),
            ReservedIdentities::Refuse { .. } => return Err(Refusal::IdentityReserved(name.to_owned())),
        }
    }
    Ok(admitted)
}

/// Whether `name` begins with the reserved prefix, after ASCII case folding: Kubernetes compares exactly, but a person
/// who reads `System:masters` in a log does not.
pub(super) fn is_reserved(name: &str) -> bool {
    name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

/// Whether `name` is the one that no rule of RBAC holds back.
pub(super) const fn is_masters(name: &str) -> bool {
    name.eq_ignore_ascii_case(MASTERS)
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

    #[test]
    fn an_exception_is_exact() {
        let rules = ReservedIdentities::Refuse { allowed: ["system:auditors".to_owned()].into() };
        assert_eq!(admitted(["ada", "system:auditors"], &rules), Ok(vec!["system:auditors".to_owned()]));
        for name in ["system:auditor", "system:auditors2", "SYSTEM:auditors", "system:masters"] {
            assert_eq!(admitted([name], &rules), Err(Refusal::IdentityReserved(name.to_owned())), "{name}");
        }
        assert_eq!(admitted(["ada", "system:nodes"], &ReservedIdentities::Allow), Ok(vec!["system:nodes".to_owned()]));
        assert!(admitted(["system:nodes"], &ReservedIdentities::default()).is_err());
    }
}
