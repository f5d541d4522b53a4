//! One entry of the fleet's list: `FleetCluster`. Pure.

use std::fmt::Write as _;

use serde_json::Value;

use super::cluster::{text, texts};

/// One cluster as the list has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Member {
    /// Its own audiences, sorted: they are a set.
    pub(super) audiences: Vec<String>,
    /// For whose tokens, sorted; empty: for everybody's.
    pub(super) issuers: Vec<String>,
    display_name: String,
    contact: String,
}

impl Member {
    /// Reads the object.
    pub(super) fn new(object: &Value) -> Self {
        let sorted = |pointer| {
            let mut texts = texts(object, pointer);
            texts.sort_unstable();
            texts.dedup();
            texts
        };
        Self {
            audiences: sorted("/spec/audiences"),
            issuers: sorted("/spec/issuers"),
            display_name: text(object, "/spec/displayName").to_owned(),
            contact: text(object, "/spec/contact").to_owned(),
        }
    }

    /// Whether this cluster owns the audience for tokens of the issuer.
    pub(super) fn owns(&self, issuer: &str, audience: &str) -> bool {
        let of_issuer = self.issuers.is_empty() || self.issuers.iter().any(|known| known == issuer);
        of_issuer && self.audiences.iter().any(|known| known == audience)
    }

    /// Whether both can mean one issuer.
    pub(super) fn meets(&self, other: &Self) -> bool {
        self.issuers.is_empty()
            || other.issuers.is_empty()
            || self.issuers.iter().any(|issuer| other.issuers.contains(issuer))
    }

    /// The entry in a line.
    pub(super) fn told(&self) -> String {
        let mut told = format!("audiences {}", self.audiences.join(", "));
        let issuers = self.issuers.join(", ");
        let rest = [("issuers", &issuers), ("displayName", &self.display_name), ("contact", &self.contact)];
        for (field, value) in rest.into_iter().filter(|(_, value)| !value.is_empty()) {
            let _cannot_fail = write!(told, "; {field} {value}");
        }
        told
    }
}
