//! A user as Kubernetes knows one.

use std::{collections::BTreeMap, sync::Arc};

use super::{GroupName, Username, reserved};

/// A person or machine whom an issuer vouches for, mapped and checked. Only [`super::map`] makes one from claims, and
/// [`super::vouched`] from the word of a webhook.
///
/// Cheap to clone: a remembered verdict gives the same user out again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User(Arc<Identity>);

#[derive(Debug, PartialEq, Eq)]
struct Identity {
    username: Username,
    uid: Option<String>,
    groups: Vec<GroupName>,
    extra: BTreeMap<String, Vec<String>>,
}

/// The extra key that Kubernetes itself sets for JWTs with a `jti` (KEP-3331), so that a record can be traced to a token.
const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";

impl User {
    pub(super) fn new(username: Username, groups: Vec<GroupName>, token_id: Option<&str>) -> Self {
        let extra = token_id
            .filter(|id| !id.is_empty())
            .map(|id| (CREDENTIAL_ID.to_owned(), vec![format!("JTI={id}")]))
            .into_iter()
            .collect();
        Self(Arc::new(Identity { username, uid: None, groups, extra }))
    }

    pub(super) fn vouched(
        username: Username,
        uid: Option<String>,
        groups: Vec<GroupName>,
        extra: BTreeMap<String, Vec<String>>,
    ) -> Self {
        Self(Arc::new(Identity { username, uid, groups, extra }))
    }

    /// The name.
    #[must_use]
    pub fn username(&self) -> &Username {
        &self.0.username
    }

    /// What tells this user from all others for ever, if somebody said it.
    #[must_use]
    pub fn uid(&self) -> Option<&str> {
        self.0.uid.as_deref()
    }

    /// The groups, in the token's order.
    #[must_use]
    pub fn groups(&self) -> &[GroupName] {
        &self.0.groups
    }

    /// Extra attributes. A client certificate cannot carry them; a proxy can.
    #[must_use]
    pub fn extra(&self) -> &BTreeMap<String, Vec<String>> {
        &self.0.extra
    }

    /// The name or group that Kubernetes reserves for itself, if there is one.
    pub(crate) fn reserved_name(&self) -> Option<&str> {
        std::iter::once(self.username().as_str())
            .chain(self.groups().iter().map(GroupName::as_str))
            .find(|name| reserved::is_reserved(name))
    }
}
