//! The fleet list as it was last read, from the API or from files: events in, whether anything changed out. No network.
//!
//! Until it was read once nobody is admitted: an audience that a sibling has too would be let in meanwhile. From then on
//! the last known list counts, whatever becomes of the watch.

use std::collections::{BTreeMap, BTreeSet};

use kube::{
    core::DynamicObject,
    runtime::watcher::{self, Event},
};
use serde_json::Value;

use crate::{
    audit::event::Difference,
    controllers::jwt_authenticator::{ClusterView, Twins},
    convert,
    fleet::{Fleet, Member, Overlap, SiblingName, Siblings},
};

/// Overlaps within the list that are told one by one: nobody's list has more by mistake.
const OVERLAPS_TOLD: usize = 8;

/// The list, and what follows from it for this cluster.
#[derive(Debug)]
pub(super) struct FleetList {
    own: String,
    members: BTreeMap<String, Member>,
    /// While a list comes in: the names that were on it so far.
    listing: Option<BTreeSet<String>>,
    heard: Heard,
    fleet: Fleet,
    siblings: Siblings,
    overlaps: Vec<Overlap>,
    /// How the list differs from what was told last, until somebody takes it.
    news: Option<Difference>,
}

/// Whether the list is known.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    /// Not yet; and why not, if an attempt has failed.
    Nothing(Option<String>),
    /// There is no such kind in this cluster: the list is empty.
    NoKind,
    /// It was read.
    List,
}

// === impl FleetList ===

impl FleetList {
    /// The list of the cluster `own`, not read yet.
    pub(super) fn new(own: String) -> Self {
        Self {
            own,
            members: BTreeMap::new(),
            listing: None,
            heard: Heard::Nothing(None),
            fleet: Fleet::default(),
            siblings: Siblings::default(),
            overlaps: Vec::new(),
            news: None,
        }
    }

    /// Takes an event of the watch in; `true` if authenticators are to be planned anew.
    pub(super) fn observe(&mut self, event: Event<DynamicObject>) -> bool {
        match event {
            Event::Init => {
                self.listing = Some(BTreeSet::new());
                return false;
            }
            Event::InitApply(object) => {
                if let (Some(listing), Some(name)) = (&mut self.listing, &object.metadata.name) {
                    listing.insert(name.clone());
                }
                self.apply(object);
            }
            Event::Apply(object) => self.apply(object),
            // What is not on the list was deleted while nobody was watching.
            Event::InitDone => {
                let listed = self.listing.take().unwrap_or_default();
                self.members.retain(|name, _| listed.contains(name));
                self.heard = Heard::List;
                return self.follow(true);
            }
            Event::Delete(object) => {
                self.members.remove(object.metadata.name.as_deref().unwrap_or_default());
            }
        }
        self.follow(false)
    }

    /// The watch has failed and starts anew; `true` if authenticators are to be planned anew.
    pub(super) fn failed(&mut self, error: &watcher::Error) -> bool {
        let told = error as &dyn std::error::Error;
        let before = match &self.heard {
            Heard::List => {
                tracing::warn!(
                    kind = "FleetCluster",
                    error = told,
                    "Watch failed, the list stays as it was; trying again"
                );
                return false;
            }
            Heard::NoKind if is_missing(error) => return false,
            Heard::NoKind | Heard::Nothing(_) => &self.heard,
        };
        let now = if is_missing(error) {
            tracing::info!("There is no kind FleetCluster in this cluster: nobody is a sibling until it is installed");
            Heard::NoKind
        } else {
            tracing::warn!(kind = "FleetCluster", error = told, "Cannot read the fleet list, trying again");
            // A kind that was missing and now cannot be read is installed just now; so far it holds nothing.
            if *before == Heard::NoKind { Heard::NoKind } else { Heard::Nothing(Some(error.to_string())) }
        };
        let changed = now != *before;
        self.heard = now;
        changed
    }

    /// Takes in what files hold, whole: entries by name, each its spec or why that is not known. `true` if authenticators
    /// are to be planned anew.
    pub(super) fn replace(&mut self, entries: Vec<(String, Result<Value, String>)>) -> bool {
        let mut before = std::mem::take(&mut self.members);
        for (name, spec) in entries {
            let member = spec.as_ref().ok().and_then(|spec| convert::fleet_cluster(&name, spec).ok());
            let guarded = || spec.as_ref().ok().and_then(|spec| Self::guarded(&name, spec));
            // An entry that cannot be read any more still says what it said: else its audiences would become nobody's.
            if let Some(member) = member.or_else(|| before.remove(&name)).or_else(guarded) {
                self.members.insert(name, member);
            }
        }
        let first = self.heard != Heard::List;
        self.heard = Heard::List;
        self.follow(first)
    }

    /// What the last event changed about the list, if it did; taken once. The first list of a process is told whole, as
    /// that against which everything after it is judged.
    pub(super) const fn take_news(&mut self) -> Option<Difference> {
        self.news.take()
    }

    /// What the planning needs of it.
    pub(super) fn view<'a>(&'a self, twins: &'a Twins) -> ClusterView<'a> {
        let unread = match &self.heard {
            Heard::Nothing(why) => Some(why.as_deref().unwrap_or("no answer yet")),
            Heard::NoKind | Heard::List => None,
        };
        ClusterView {
            own: &self.own,
            unread,
            fleet: &self.fleet,
            siblings: &self.siblings,
            overlaps: &self.overlaps,
            twins,
        }
    }

    /// Whether the list is known.
    pub(super) fn is_known(&self) -> bool {
        !matches!(self.heard, Heard::Nothing(_))
    }

    /// How many clusters it names.
    pub(super) fn len(&self) -> usize {
        self.fleet.len()
    }

    /// The others.
    pub(super) const fn siblings(&self) -> &Siblings {
        &self.siblings
    }

    fn apply(&mut self, mut object: DynamicObject) {
        let Some(name) = object.metadata.name else { return };
        let spec = object.data.get_mut("spec").map(Value::take).unwrap_or_default();
        match convert::fleet_cluster(&name, &spec) {
            Ok(member) => {
                self.members.insert(name, member);
            }
            Err(problem) => {
                let (problem, known) = (problem.to_string(), self.members.contains_key(&name));
                tracing::error!(
                    cluster = name,
                    problem,
                    known,
                    "A FleetCluster cannot be used; what it said before counts on, or else the audiences that it names, \
                     for every issuer"
                );
                // Of one that was never right its audiences must not be taken for nobody's.
                if let Some(member) = Self::guarded(&name, &spec).filter(|_| !known) {
                    self.members.insert(name, member);
                }
            }
        }
    }

    /// What an entry that cannot be used owns for certain.
    fn guarded(name: &str, spec: &Value) -> Option<Member> {
        let audiences = convert::fleet_audiences(spec);
        let name = SiblingName::new(name);
        (!audiences.is_empty()).then_some(Member {
            name,
            audiences,
            issuers: Vec::new(),
            display_name: None,
            contact: None,
        })
    }

    /// Derives what follows from the entries; `true` if that is another than before, or `anyway`. While the first list
    /// comes in nothing follows yet: half of it would be taken for the whole.
    fn follow(&mut self, anyway: bool) -> bool {
        if self.heard != Heard::List {
            return false;
        }
        let fleet = Fleet::new(self.members.values().cloned());
        if fleet == self.fleet {
            return anyway;
        }
        let mut overlaps = fleet.overlaps(&self.own);
        overlaps.truncate(OVERLAPS_TOLD);
        for Overlap { audience, first, second } in overlaps.iter().filter(|overlap| !self.overlaps.contains(overlap)) {
            tracing::warn!(
                audience, %first, %second,
                "Two clusters of the fleet list have one audience: tokens of either are told as the first one's"
            );
        }
        self.siblings = fleet.siblings(&self.own);
        self.news = Some(difference(&self.fleet, &fleet));
        tracing::info!(clusters = fleet.len(), listed = fleet.member(&self.own).is_some(), "Fleet list changed");
        (self.fleet, self.overlaps) = (fleet, overlaps);
        true
    }
}

/// Which clusters came, went, or say something else.
fn difference(before: &Fleet, now: &Fleet) -> Difference {
    let not_in = |other: &Fleet, one: &Fleet| -> Vec<String> {
        one.names().filter(|name| other.member(name.as_str()).is_none()).map(ToString::to_string).collect()
    };
    let is_other = |member: &&Member| before.member(member.name.as_str()).is_some_and(|then| then != *member);
    Difference {
        added: not_in(before, now),
        removed: not_in(now, before),
        changed: now.members().filter(is_other).map(|member| member.name.to_string()).collect(),
        total: now.len(),
    }
}

/// Whether the API server does not know the kind at all.
fn is_missing(error: &watcher::Error) -> bool {
    let (watcher::Error::InitialListFailed(cause)
    | watcher::Error::WatchStartFailed(cause)
    | watcher::Error::WatchFailed(cause)) = error
    else {
        return false;
    };
    matches!(cause, kube::Error::Api(status) if status.code == 404)
}

#[cfg(test)]
mod tests {
    use kube::core::Status;
    use serde_json::json;

    use super::*;

    fn object(name: &str, spec: &Value) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "config.concierge.latchkey.dev/v1alpha1", "kind": "FleetCluster",
            "metadata": {"name": name}, "spec": spec,
        }))
        .unwrap()
    }

    fn entry(name: &str) -> DynamicObject {
        object(name, &json!({"audiences": [format!("k8s-{name}")]}))
    }

    fn names(list: &FleetList) -> Vec<String> {
        list.siblings().names().map(ToString::to_string).collect()
    }

    fn error(code: u16) -> watcher::Error {
        let status = Status { code, message: "no".to_owned(), ..Status::default() };
        watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status)))
    }

    fn listed(names: &[&str]) -> FleetList {
        let mut list = FleetList::new("own".to_owned());
        list.observe(Event::Init);
        for name in names {
            assert!(!list.observe(Event::InitApply(entry(name))), "half a list is none");
        }
        assert!(!list.is_known());
        assert!(list.observe(Event::InitDone));
        list
    }

    #[test]
    fn the_list_counts_once_it_is_whole_and_changes_count_at_once() {
        let mut list = listed(&["own", "a"]);
        assert!(list.is_known());
        assert_eq!((list.len(), names(&list)), (2, vec!["a".to_owned()]));
        assert!(list.observe(Event::Apply(entry("b"))));
        assert!(!list.observe(Event::Apply(entry("b"))), "nothing new");
        assert_eq!(names(&list), ["a", "b"]);
        assert!(list.observe(Event::Delete(entry("a"))));
        assert!(!list.observe(Event::Delete(entry("a"))));
        assert_eq!(names(&list), ["b"]);
    }

    #[test]
    fn each_change_is_news_once_and_the_first_list_is_told_whole() {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let mut list = listed(&["b", "a"]);
        let first = Difference { added: names(&["a", "b"]), total: 2, ..Difference::default() };
        assert_eq!(list.take_news(), Some(first));
        assert_eq!(list.take_news(), None);
        list.observe(Event::Apply(entry("a")));
        assert_eq!(list.take_news(), None, "nothing new");
        list.observe(Event::Apply(object("a", &json!({"audiences": ["another"]}))));
        let changed = Difference { changed: names(&["a"]), total: 2, ..Difference::default() };
        assert_eq!(list.take_news(), Some(changed));
        list.observe(Event::Delete(entry("a")));
        let removed = Difference { removed: names(&["a"]), total: 1, ..Difference::default() };
        assert_eq!(list.take_news(), Some(removed));
        list.failed(&error(500));
        for event in [Event::Init, Event::InitApply(entry("b")), Event::InitDone] {
            list.observe(event);
            assert_eq!(list.take_news(), None, "the watch began anew, the list is the same");
        }
        assert_eq!(listed(&[]).take_news(), None, "an empty list is what was there before");
    }

    #[test]
    fn a_watch_that_breaks_leaves_the_list_and_another_list_replaces_it_without_a_moment_of_emptiness() {
        let mut list = listed(&["a", "b"]);
        for code in [404, 403, 500] {
            assert!(!list.failed(&error(code)));
            assert_eq!(names(&list), ["a", "b"]);
        }
        list.observe(Event::Init);
        list.observe(Event::InitApply(entry("b")));
        assert_eq!(names(&list), ["a", "b"]);
        list.observe(Event::InitDone);
        assert_eq!(names(&list), ["b"]);
    }

    #[test]
    fn a_kind_that_is_not_installed_is_an_empty_list_and_one_that_cannot_be_read_is_none() {
        let mut list = FleetList::new("own".to_owned());
        assert!(list.failed(&error(403)));
        assert!(!list.is_known());
        assert_eq!(list.view(&Twins::new()).unread.map(|why| why.contains("no")), Some(true));
        assert!(list.failed(&error(404)));
        assert!(list.is_known() && names(&list).is_empty());
        assert!(!list.failed(&error(404)), "said once");
        assert!(!list.failed(&error(500)) && list.is_known());
        list.observe(Event::Init);
        list.observe(Event::InitApply(entry("a")));
        assert!(list.observe(Event::InitDone), "installed");
        assert_eq!(names(&list), ["a"]);
    }

    #[test]
    fn an_entry_that_cannot_be_read_any_more_says_what_it_said() {
        let mut list = listed(&["a"]);
        assert!(!list.observe(Event::Apply(object("a", &json!({"audiences": []})))));
        assert!(!list.observe(Event::Apply(object("never", &json!({"audiences": 7})))));
        assert_eq!(names(&list), ["a"]);
        let whole = |name: &str, spec: Value| (name.to_owned(), Ok(spec));
        assert!(!list.replace(vec![("a".to_owned(), Err("broken".to_owned()))]));
        assert_eq!(names(&list), ["a"]);
        assert!(list.replace(vec![whole("b", json!({"audiences": ["x"]}))]));
        assert_eq!(names(&list), ["b"]);
    }

    #[test]
    fn what_an_entry_names_that_was_never_right_is_nobody_elses() {
        let newer = json!({"audiences": ["x", ""], "someLaterField": true});
        let mut list = listed(&[]);
        assert!(list.observe(Event::Apply(object("a", &newer))));
        assert_eq!(list.siblings().owner("https://any", "x").map(SiblingName::as_str), Some("a"));
        assert!(list.observe(Event::Apply(object("a", &json!({"audiences": ["y"]})))), "mended");
        assert_eq!(list.siblings().owner("https://any", "x"), None);
        let mut files = FleetList::new("own".to_owned());
        assert!(files.replace(vec![("a".to_owned(), Ok(newer))]));
        assert_eq!(files.siblings().owner("https://any", "x").map(SiblingName::as_str), Some("a"));
    }
}
