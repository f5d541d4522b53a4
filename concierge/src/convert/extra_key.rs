//! Kubernetes' rules for the keys of extra user attributes.

/// What is wrong with a key, by Kubernetes' rules for them (kubernetes-authn 1.1) and Pinniped's one more: no `=`.
pub(super) fn problem(key: &str) -> Option<&'static str> {
    let Some((domain, path)) = key.split_once('/') else {
        return Some("must be a path with a domain before it, such as example.com/department");
    };
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // As `IsDomainPrefixedPath` of apimachinery: RFC 3986's characters of a path, but for "@".
    let path_byte = |b: u8| b.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&b);
    if key.bytes().any(|b| b.is_ascii_uppercase()) {
        Some("must be lower case")
    } else if domain.is_empty() || domain.len() > 253 || !domain.split('.').all(label) {
        Some("must begin with a domain (RFC 1123), such as example.com/department")
    } else if path.is_empty() || !path.bytes().all(path_byte) {
        Some("must have a path after the domain, such as example.com/department")
    } else if path.contains('=') {
        Some("must not contain \"=\"")
    } else if ["k8s.io", "kubernetes.io"]
        .iter()
        .any(|owned| domain == *owned || domain.strip_suffix(owned).is_some_and(|rest| rest.ends_with('.')))
    {
        Some("must not be under k8s.io or kubernetes.io: those belong to Kubernetes")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_judged_as_kubernetes_does_and_never_hold_an_equals_sign() {
        for good in ["example.com/a", "a/b", "x-kubernetes.io/a", "ak8s.io/a", "example.com/a/b.c-d_e~f:g", "a/%2f"] {
            assert_eq!(problem(good), None, "{good}");
        }
        let long = format!("{}.com/a", "a.".repeat(125));
        for (bad, word) in [
            ("a", "a path with a domain"),
            ("", "a path with a domain"),
            ("/a", "begin with a domain"),
            ("exa_mple.com/a", "begin with a domain"),
            ("-a.com/a", "begin with a domain"),
            ("a..com/a", "begin with a domain"),
            (&long, "begin with a domain"),
            ("example.com/", "a path after"),
            ("example.com/a b", "a path after"),
            ("example.com/ä", "a path after"),
            ("example.com/a@b", "a path after"),
            ("Example.com/a", "lower case"),
            ("example.com/A", "lower case"),
            ("example.com/a=b", "\"=\""),
            ("k8s.io/a", "belong to Kubernetes"),
            ("a.k8s.io/a", "belong to Kubernetes"),
            ("kubernetes.io/a", "belong to Kubernetes"),
            ("authentication.kubernetes.io/a", "belong to Kubernetes"),
        ] {
            let problem = problem(bad);
            assert!(problem.is_some_and(|problem| problem.contains(word)), "{bad}: {problem:?}");
        }
    }
}
