//! Everybody of the fleet but ourselves, as the judge asks: one look for each audience that is not ours.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use aws_lc_rs::digest;

use super::{Member, SiblingName};

/// The other clusters by their audiences. Cheap to clone; the default is nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Siblings(Arc<Owners>);

#[derive(Debug, Default, PartialEq, Eq)]
struct Owners {
    /// The owners of each audience, ordered by name.
    by_audience: HashMap<String, Vec<Owner>>,
    names: BTreeSet<SiblingName>,
    digest: [u8; 32],
}

#[derive(Debug, PartialEq, Eq)]
struct Owner {
    name: SiblingName,
    /// Empty: every issuer.
    issuers: Vec<String>,
}

impl Siblings {
    /// These clusters, ordered by name.
    pub(super) fn of<'a>(members: impl Iterator<Item = &'a Member>) -> Self {
        let mut owners = Owners::default();
        let mut parts = Vec::new();
        for member in members {
            add(&mut parts, [member.name.as_str()]);
            add(&mut parts, member.audiences.iter().map(String::as_str));
            add(&mut parts, member.issuers.iter().map(String::as_str));
            for audience in &member.audiences {
                let owner = Owner { name: member.name.clone(), issuers: member.issuers.clone() };
                owners.by_audience.entry(audience.clone()).or_default().push(owner);
            }
            owners.names.insert(member.name.clone());
        }
        // Nobody has the digest of the default, however the empty list came about.
        if !owners.names.is_empty() {
            owners.digest.copy_from_slice(digest::digest(&digest::SHA256, &parts).as_ref());
        }
        Self(Arc::new(owners))
    }

    /// Whose `audience` is in tokens of `issuer`, if it is a sibling's. Where the list gives it to several, the one whose
    /// name comes first.
    #[must_use]
    pub fn owner(&self, issuer: &str, audience: &str) -> Option<&SiblingName> {
        let owners = self.0.by_audience.get(audience)?;
        let owns = |owner: &&Owner| owner.issuers.is_empty() || owner.issuers.iter().any(|known| known == issuer);
        owners.iter().find(owns).map(|owner| &owner.name)
    }

    /// Every sibling, in order.
    pub fn names(&self) -> impl Iterator<Item = &SiblingName> {
        self.0.names.iter()
    }

    /// Equal lists have equal digests, and others have others: what was decided by one list can be told from what was
    /// decided by another. Display names and contacts do not count.
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        &self.0.digest
    }
}

/// A list that no other list runs together with: its length, then each text with its own.
fn add<'a>(parts: &mut Vec<u8>, list: impl IntoIterator<Item = &'a str, IntoIter: ExactSizeIterator>) {
    let list = list.into_iter();
    parts.extend((list.len() as u64).to_be_bytes());
    for text in list {
        parts.extend((text.len() as u64).to_be_bytes());
        parts.extend(text.as_bytes());
    }
}
