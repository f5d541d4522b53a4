//! A user as Kubernetes knows one.

use std::{collections::BTreeMap, sync::Arc};

use super::{GroupName, Refusal, ReservedIdentities, Username, names, reserved};

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
    /// Reserved names among the above that the authenticator allows.
    admitted: Vec<String>,
}

/// What claims or a webhook say of a user, before anybody looked at the names.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// Empty if nobody is named.
    pub(super) username: String,
    pub(super) groups: Vec<String>,
    /// Empty if there is none.
    pub(super) uid: String,
    pub(super) extra: BTreeMap<String, Vec<String>>,
}

// === impl Draft ===

impl Draft {
    /// Looks at every name: first whether it belongs to Kubernetes, which is the graver, then whether it is safe.
    pub(super) fn into_user(self, rules: &ReservedIdentities) -> Result<User, Refusal> {
        let Self { username, groups, uid, extra } = self;
        let all = std::iter::once(username.as_str()).chain(groups.iter().map(String::as_str));
        let admitted = reserved::admitted(all, rules)?;
        let username = Username::new(username)?;
        let groups = groups.into_iter().map(GroupName::new).collect::<Result<_, _>>()?;
        names::check_uid(&uid)?;
        names::check_extra(&extra)?;
        let uid = (!uid.is_empty()).then_some(uid);
        Ok(User(Arc::new(Identity { username, uid, groups, extra, admitted })))
    }
}

// === impl User ===

impl User {
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

    /// A reserved name that no rule of the authenticator admitted. There is none unless the mapping is broken.
    pub(crate) fn unadmitted_name(&self) -> Option<&str> {
        self.names().find(|name| reserved::is_reserved(name) && !self.0.admitted.iter().any(|known| known == name))
    }

    /// Whether the user is above all RBAC.
    pub(crate) fn is_master(&self) -> bool {
        self.names().any(reserved::is_masters)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.username().as_str()).chain(self.groups().iter().map(GroupName::as_str))
    }
}
