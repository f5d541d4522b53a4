//! Who asks: the Kubernetes user on whose behalf a request arrived, and how we know.

use std::collections::BTreeMap;

/// A Kubernetes user, as kube-apiserver's `user.Info`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Caller {
    /// The name, never empty.
    pub username: String,
    /// The uid; empty if the authenticator gave none.
    pub uid: String,
    /// The groups, in the order in which the authenticator gave them.
    pub groups: Vec<String>,
    /// Extra attributes, by lower-case key.
    pub extra: BTreeMap<String, Vec<String>>,
    /// How the caller was recognised.
    pub via: Via,
}

/// How a caller was recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Via {
    /// kube-apiserver's aggregator vouches by its front-proxy certificate.
    FrontProxy,
    /// A client certificate of the cluster.
    ClientCertificate,
    /// A bearer token that the cluster's `TokenReview` accepted.
    BearerToken,
    /// Nobody in particular.
    Nothing,
}

/// kube-apiserver's name for a caller without credentials.
const ANONYMOUS: &str = "system:anonymous";
/// Its group.
const UNAUTHENTICATED: &str = "system:unauthenticated";
/// The group of everybody else.
const AUTHENTICATED: &str = "system:authenticated";
/// The group that may do anything.
const MASTERS: &str = "system:masters";

// === impl Caller ===

impl Caller {
    /// A caller without credentials.
    #[must_use]
    pub fn anonymous() -> Self {
        Self {
            username: ANONYMOUS.to_owned(),
            uid: String::new(),
            groups: vec![UNAUTHENTICATED.to_owned()],
            extra: BTreeMap::new(),
            via: Via::Nothing,
        }
    }

    /// Adds `system:authenticated`, by the rule of kube-apiserver's authenticated group adder: not for the anonymous
    /// user, and not where either of the two groups is there already.
    #[must_use]
    pub fn with_authenticated_group(mut self) -> Self {
        let known = self.groups.iter().any(|group| group == AUTHENTICATED || group == UNAUTHENTICATED);
        if !known && self.username != ANONYMOUS {
            self.groups.push(AUTHENTICATED.to_owned());
        }
        self
    }

    /// Whether the caller is in the group that kube-apiserver's delegated authorization always allows.
    #[must_use]
    pub fn is_master(&self) -> bool {
        self.groups.iter().any(|group| group == MASTERS)
    }
}
