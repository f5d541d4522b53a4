//! What would Kubernetes do? The same configuration and the same tokens to a real kube-apiserver and to us.
//!
//! The tables in `tests/conformance/` hold cases: what differs from a base configuration and from a base token. The
//! expectation is what kube-apiserver says; what a table records of it is for its readers, and held against
//! kube-apiserver as well.
//!
//! | module | its part |
//! |---|---|
//! | [`table`] | reads the tables, strictly |
//! | [`plan`] | groups cases by configuration: one issuer each |
//! | [`issuers`] | one https server that is all the issuers |
//! | [`token`] | makes a case's token |
//! | [`kubernetes`] | asks kube-apiserver |
//! | [`ours`] | translates the configuration and asks our judge, in this process |
//! | [`differences`] | what is known to differ, with the reason |
//! | [`comparison`] | holds one verdict against the other |

pub mod comparison;
pub mod differences;
pub mod issuers;
pub mod kubernetes;
pub mod ours;
pub mod plan;
pub mod table;
pub mod token;

use std::collections::{BTreeMap, BTreeSet};

/// What came of a case, on either side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The configuration is refused before there is a token; why.
    Invalid(String),
    /// The configuration is taken, where the other side refused it, so that there was no token to judge.
    Taken,
    /// The token is refused; why.
    Refused(String),
    /// The token stands for this user.
    Allowed(User),
}

/// A user as both sides describe it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// Its name.
    pub username: String,
    /// Its uid; an absent one and an empty one are the same on the wire.
    pub uid: String,
    /// Its groups, in order; without `system:authenticated`, which kube-apiserver adds to every user.
    pub groups: Vec<String>,
    /// Further attributes.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl Verdict {
    /// One word.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid",
            Self::Taken => "taken",
            Self::Refused(_) => "refused",
            Self::Allowed(_) => "allowed",
        }
    }
}

impl User {
    /// The members in which two users differ.
    #[must_use]
    pub fn differing(&self, other: &Self) -> BTreeSet<&'static str> {
        let members = [
            ("username", self.username != other.username),
            ("uid", self.uid != other.uid),
            ("groups", self.groups != other.groups),
            ("extra", self.extra != other.extra),
        ];
        members.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
    }
}
