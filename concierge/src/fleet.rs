//! The clusters of the fleet: which of them owns an audience, and is ours ours alone?
//!
//! The list is the same in every cluster (`FleetCluster` objects from one Git folder), so it holds ourselves too. A cluster
//! owns an audience for the issuers that its entry names, or for every issuer where it names none.

mod siblings;

use std::{collections::BTreeMap, fmt, sync::Arc};

pub use self::siblings::Siblings;

/// Name of a cluster in the fleet list. It comes from configuration only, so it may stand in a metric label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiblingName(Arc<str>);

/// One cluster of the fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// `metadata.name`: the cluster's name, as its own `--cluster-name` says.
    pub name: SiblingName,
    /// The audiences that are this cluster's.
    pub audiences: Vec<String>,
    /// For whose tokens they are; empty: every issuer's.
    pub issuers: Vec<String>,
    /// What people call it.
    pub display_name: Option<String>,
    /// Whom to ask.
    pub contact: Option<String>,
}

/// The whole list at one moment, ordered by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fleet(BTreeMap<SiblingName, Member>);

/// An audience that two clusters of the list own for tokens of one issuer: whichever of them it is said to be, half of
/// the time it is the other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Overlap {
    /// The audience.
    pub audience: String,
    /// The cluster whose name comes first; what is told of this audience names it.
    pub first: SiblingName,
    /// The other.
    pub second: SiblingName,
}

/// The sentence about an audience of this cluster that another cluster has too: what is wrong, and the mend.
#[derive(Clone, Copy, Debug)]
pub struct SharedAudience<'a> {
    /// This cluster's name.
    pub own: &'a str,
    /// The authenticator's issuer.
    pub issuer: &'a str,
    /// The audience.
    pub audience: &'a str,
    /// The other cluster.
    pub sibling: &'a Member,
}

/// What the list says of one audience of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing<'a> {
    /// The list is empty: there is no fleet to be held against.
    NoFleet,
    /// Another cluster owns it as well: one token would open both.
    Shared(&'a Member),
    /// No entry is named like this cluster, so its siblings cannot know that the audience is ours.
    NotAMember,
    /// Our own entry does not list it, or not for this issuer, so its siblings cannot know that it is ours.
    NotListed,
    /// Ours, and nobody else's.
    Ours,
}

// === impl SiblingName ===

impl SiblingName {
    /// A name as the list has it.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SiblingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl SharedAudience ===

impl fmt::Display for SharedAudience<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { own, issuer, audience, sibling } = self;
        write!(f, "audience {audience:?} is cluster {}'s too{}: ", sibling.name, About(sibling))?;
        f.write_str("each would take the other's tokens, so nobody is admitted; ")?;
        write!(
            f,
            "make an OIDC client for cluster {own} alone at {issuer} and write its ID into spec.audience here, "
        )?;
        write!(f, "or, if the audience is this cluster's, take it out of FleetCluster {}", sibling.name)
    }
}

/// What people know a cluster by, in brackets.
struct About<'a>(&'a Member);

impl fmt::Display for About<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.0.display_name, &self.0.contact) {
            (None, None) => Ok(()),
            (Some(name), None) => write!(f, " ({name})"),
            (None, Some(contact)) => write!(f, " (contact: {contact})"),
            (Some(name), Some(contact)) => write!(f, " ({name}, contact: {contact})"),
        }
    }
}

// === impl Member ===

impl Member {
    /// Whether this cluster owns `audience` for tokens of `issuer`.
    #[must_use]
    pub fn owns(&self, issuer: &str, audience: &str) -> bool {
        let of_issuer = self.issuers.is_empty() || self.issuers.iter().any(|known| known == issuer);
        of_issuer && self.audiences.iter().any(|known| known == audience)
    }

    /// Whether the two can mean the same token's issuer.
    fn meets(&self, other: &Self) -> bool {
        self.issuers.is_empty()
            || other.issuers.is_empty()
            || self.issuers.iter().any(|issuer| other.issuers.contains(issuer))
    }
}

// === impl Fleet ===

impl Fleet {
    /// These clusters. Of two with one name, which the API cannot hold, the later counts.
    #[must_use]
    pub fn new(members: impl IntoIterator<Item = Member>) -> Self {
        Self(members.into_iter().map(|member| (member.name.clone(), member)).collect())
    }

    /// Whether the list names nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many clusters it names, ourselves among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The cluster of that name.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Member> {
        self.0.get(&SiblingName::new(name))
    }

    /// Every name, in order.
    pub fn names(&self) -> impl Iterator<Item = &SiblingName> {
        self.0.keys()
    }

    /// Every cluster, ordered by name.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.0.values()
    }

    /// Everybody but `own`, ready for the judge.
    #[must_use]
    pub fn siblings(&self, own: &str) -> Siblings {
        Siblings::of(self.others(own))
    }

    /// How `audience` of the cluster `own` stands for tokens of `issuer`.
    #[must_use]
    pub fn standing(&self, own: &str, issuer: &str, audience: &str) -> Standing<'_> {
        if let Some(sibling) = self.others(own).find(|other| other.owns(issuer, audience)) {
            return Standing::Shared(sibling);
        }
        match self.member(own) {
            _ if self.is_empty() => Standing::NoFleet,
            None => Standing::NotAMember,
            Some(ours) if ours.owns(issuer, audience) => Standing::Ours,
            Some(_) => Standing::NotListed,
        }
    }

    /// Audiences that two clusters beside `own` own at once, in order. Where one of the two is ourselves, the
    /// authenticator says it.
    #[must_use]
    pub fn overlaps(&self, own: &str) -> Vec<Overlap> {
        let mut owners: BTreeMap<&str, Vec<&Member>> = BTreeMap::new();
        for member in self.others(own) {
            for audience in &member.audiences {
                owners.entry(audience).or_default().push(member);
            }
        }
        let pairs = owners.into_iter().flat_map(|(audience, owners)| {
            let first = owners.first().copied();
            let meets =
                move |other: &&Member| first.is_some_and(|first| first.name != other.name && first.meets(other));
            let others: Vec<_> = owners.into_iter().filter(meets).collect();
            others.into_iter().filter_map(move |other| {
                let (audience, first, second) = (audience.to_owned(), first?.name.clone(), other.name.clone());
                Some(Overlap { audience, first, second })
            })
        });
        pairs.collect()
    }

    fn others(&self, own: &str) -> impl Iterator<Item = &Member> {
        self.members().filter(move |member| member.name.as_str() != own)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const IDP: &str = "https://idp.example";
    const OTHER: &str = "https://other.example";

    fn member(name: &str, audiences: &[&str], issuers: &[&str]) -> Member {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        Member {
            name: SiblingName::new(name),
            audiences: owned(audiences),
            issuers: owned(issuers),
            display_name: None,
            contact: None,
        }
    }

    fn owner(siblings: &Siblings, issuer: &str, audience: &str) -> Option<String> {
        siblings.owner(issuer, audience).map(ToString::to_string)
    }

    #[test]
    fn a_sibling_owns_its_audience_for_its_issuers_and_we_are_no_sibling() {
        let fleet = Fleet::new([
            member("staging", &["k8s-staging"], &[]),
            member("production", &["k8s-production", "k8s-old"], &[IDP]),
        ]);
        let siblings = fleet.siblings("staging");
        assert_eq!(owner(&siblings, IDP, "k8s-production").as_deref(), Some("production"));
        assert_eq!(owner(&siblings, IDP, "k8s-old").as_deref(), Some("production"));
        assert_eq!(owner(&siblings, OTHER, "k8s-production"), None, "an audience of another issuer is another's");
        assert_eq!(owner(&siblings, IDP, "k8s-staging"), None, "ours");
        assert_eq!(owner(&siblings, IDP, "K8S-production"), None, "byte for byte");
        assert_eq!(siblings.names().map(SiblingName::as_str).collect::<Vec<_>>(), ["production"]);
        assert_eq!(owner(&fleet.siblings("production"), OTHER, "k8s-staging").as_deref(), Some("staging"));
        assert_eq!(fleet.siblings("elsewhere").names().count(), 2, "a stranger has everybody for a sibling");
    }

    #[test]
    fn of_two_owners_the_first_by_name_is_told() {
        let fleet = Fleet::new([member("b", &["x"], &[]), member("a", &["x"], &[OTHER]), member("c", &["x"], &[])]);
        let siblings = fleet.siblings("own");
        assert_eq!(owner(&siblings, OTHER, "x").as_deref(), Some("a"));
        assert_eq!(owner(&siblings, IDP, "x").as_deref(), Some("b"));
    }

    #[test]
    fn an_audience_stands_as_the_list_says() {
        let staging = || member("staging", &["k8s-staging"], &[IDP]);
        let production = || member("production", &["k8s-production"], &[]);
        let standing =
            |members: Vec<Member>, issuer, audience| match Fleet::new(members).standing("staging", issuer, audience) {
                Standing::NoFleet => "no fleet".to_owned(),
                Standing::Shared(member) => format!("shared with {}", member.name),
                Standing::NotAMember => "not a member".to_owned(),
                Standing::NotListed => "not listed".to_owned(),
                Standing::Ours => "ours".to_owned(),
            };
        assert_eq!(standing(vec![], IDP, "k8s-staging"), "no fleet");
        assert_eq!(standing(vec![staging(), production()], IDP, "k8s-staging"), "ours");
        assert_eq!(standing(vec![staging(), production()], IDP, "k8s-production"), "shared with production");
        assert_eq!(standing(vec![production()], IDP, "k8s-staging"), "not a member");
        assert_eq!(standing(vec![staging(), production()], IDP, "k8s-new"), "not listed");
        assert_eq!(standing(vec![staging()], OTHER, "k8s-staging"), "not listed");
        let twin = member("twin", &["k8s-staging"], &[OTHER]);
        assert_eq!(standing(vec![staging(), twin.clone()], IDP, "k8s-staging"), "ours", "of another issuer");
        assert_eq!(standing(vec![staging(), twin], OTHER, "k8s-staging"), "shared with twin");
    }

    #[test]
    fn siblings_that_own_one_audience_are_found_and_those_of_different_issuers_are_not() {
        let overlaps = |members: Vec<Member>| {
            let found = Fleet::new(members).overlaps("own");
            found.iter().map(|o| format!("{} {} {}", o.audience, o.first, o.second)).collect::<Vec<_>>()
        };
        let (a, b) = (member("a", &["x", "y"], &[IDP]), member("b", &["x"], &[]));
        assert_eq!(overlaps(vec![a.clone(), b.clone()]), ["x a b"]);
        assert!(overlaps(vec![a.clone(), member("c", &["x"], &[OTHER])]).is_empty());
        assert!(overlaps(vec![a.clone(), member("own", &["x"], &[])]).is_empty(), "ours is the authenticator's to say");
        assert!(overlaps(vec![member("a", &["x", "x"], &[])]).is_empty(), "with itself nobody overlaps");
        assert_eq!(overlaps(vec![b, a, member("c", &["y"], &[])]), ["x a b", "y a c"]);
    }

    #[test]
    fn what_decides_makes_another_digest_and_what_is_shown_does_not() {
        let digest = |members: Vec<Member>| *Fleet::new(members).siblings("own").digest();
        let one = || member("a", &["x"], &[]);
        assert_eq!(digest(vec![]), *Siblings::default().digest());
        assert_eq!(digest(vec![member("own", &["x"], &[])]), *Siblings::default().digest());
        assert_eq!(digest(vec![Member { contact: Some("ops".to_owned()), ..one() }]), digest(vec![one()]));
        for other in
            [member("b", &["x"], &[]), member("a", &["y"], &[]), member("a", &["x"], &["x"]), member("ax", &[], &[])]
        {
            assert_ne!(digest(vec![other.clone()]), digest(vec![one()]), "{other:?}");
        }
        assert_ne!(digest(vec![member("a", &["x", "y"], &[])]), digest(vec![member("a", &["x"], &["y"])]));
    }

    fn members() -> impl Strategy<Value = Vec<Member>> {
        const ISSUERS: [&str; 2] = ["https://i", "https://j"];
        let name = prop::sample::select(vec!["a", "b", "c", "own"]);
        let audiences = prop::sample::subsequence(vec!["x", "y", "z"], 0..=3);
        let issuers = prop::sample::subsequence(ISSUERS.to_vec(), 0..=2);
        let one = (name, audiences, issuers);
        prop::collection::vec(one.prop_map(|(name, audiences, issuers)| member(name, &audiences, &issuers)), 0..6)
    }

    proptest! {
        /// The judge's quick look and the plain reading of the list say the same, and never that an audience is our own
        /// sibling's.
        #[test]
        fn the_quick_look_agrees_with_the_list(members in members(), issuer in "https://[ijk]", audience in "[xyzw]") {
            let fleet = Fleet::new(members);
            let siblings = fleet.siblings("own");
            let plain = fleet.members().find(|m| m.name.as_str() != "own" && m.owns(&issuer, &audience)).map(|m| &m.name);
            prop_assert_eq!(siblings.owner(&issuer, &audience), plain);
            let shared = matches!(fleet.standing("own", &issuer, &audience), Standing::Shared(_));
            prop_assert_eq!(shared, plain.is_some());
            prop_assert!(siblings.names().all(|name| name.as_str() != "own"));
        }
    }
}
