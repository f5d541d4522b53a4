//! CA bundles in Secrets and `ConfigMap`s of our own namespace: which are wanted, which changed, what was in them.
//!
//! Only metadata is watched, so that no Secret but those that an authenticator names is ever in our memory; and of those
//! only the one key is kept, parsed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, ResourceExt, runtime::watcher::Event};
use tokio::time::Instant;

use crate::{
    controllers::jwt_authenticator::Trust,
    convert::{Bundle, BundleObject, TlsProblem},
};

/// How long one read may take.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// After a read that failed. The API server is our own; it needs no cleverer back-off.
const READ_AGAIN: Duration = Duration::from_secs(5);

/// The bundles that authenticators name.
#[derive(Debug)]
pub(super) struct Bundles {
    namespace: String,
    /// Whether there is an API server that could have them.
    reachable: bool,
    secrets: Versions,
    config_maps: Versions,
    entries: BTreeMap<BundleObject, Entry>,
}

/// The outcome of a read.
#[derive(Debug)]
pub(super) struct Loaded {
    object: BundleObject,
    outcome: Result<Result<Bundle, TlsProblem>, String>,
}

/// Names and resource versions of one kind.
#[derive(Debug, Default)]
struct Versions {
    by_name: BTreeMap<String, String>,
    listing: Option<BTreeMap<String, String>>,
    listed: bool,
    /// Why the watch does not work, if it does not.
    trouble: Option<String>,
}

#[derive(Debug, Default)]
struct Entry {
    /// What was read last.
    known: Option<Result<Bundle, TlsProblem>>,
    /// The version that the metadata showed when that read began.
    version: Option<String>,
    reading: bool,
    failure: Option<(String, Instant)>,
}

/// Reads one key of one object. The rest of the object is dropped with the answer.
pub(super) async fn load(client: kube::Client, namespace: String, object: BundleObject) -> Loaded {
    let read = async {
        let name = object.name.as_str();
        let bundle = if object.secret {
            let secret = Api::<Secret>::namespaced(client, &namespace).get_opt(name).await?;
            secret.map(|secret| {
                let value = secret.data.as_ref().and_then(|data| Some(data.get(&object.key)?.0.as_slice()));
                object.bundle(&namespace, secret.type_.as_deref(), value)
            })
        } else {
            let config_map = Api::<ConfigMap>::namespaced(client, &namespace).get_opt(name).await?;
            config_map.map(|map| {
                let value = map.data.as_ref().and_then(|data| Some(data.get(&object.key)?.as_bytes()));
                object.bundle(&namespace, None, value)
            })
        };
        Ok::<_, kube::Error>(bundle.unwrap_or_else(|| Err(object.missing(&namespace))))
    };
    let outcome = match tokio::time::timeout(READ_TIMEOUT, read).await {
        Ok(Ok(bundle)) => Ok(bundle),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", READ_TIMEOUT.as_secs())),
    };
    Loaded { object, outcome }
}

// === impl Bundles ===

impl Bundles {
    /// `reachable`: whether there is an API server.
    pub(super) fn new(namespace: &str, reachable: bool) -> Self {
        let (secrets, config_maps) = (Versions::default(), Versions::default());
        Self { namespace: namespace.to_owned(), reachable, secrets, config_maps, entries: BTreeMap::new() }
    }

    /// Takes an event of the metadata watch in; `true` if authenticators may be concerned.
    pub(super) fn observe<K: ResourceExt>(&mut self, secret: bool, event: Event<K>) -> bool {
        let versions = if secret { &mut self.secrets } else { &mut self.config_maps };
        let name = versions.observe(event);
        self.entries.keys().any(|object| object.secret == secret && name.as_ref().is_none_or(|n| *n == object.name))
    }

    /// The watch of one kind failed; it is being tried again.
    pub(super) fn watch_failed(&mut self, secret: bool, error: String) {
        let versions = if secret { &mut self.secrets } else { &mut self.config_maps };
        versions.trouble = Some(error);
    }

    /// From now on these are wanted, and no others.
    pub(super) fn want(&mut self, objects: &BTreeSet<BundleObject>) {
        self.entries.retain(|object, _| objects.contains(object));
        for object in objects {
            self.entries.entry(object.clone()).or_default();
        }
    }

    /// The reads that should start now. Each counts as under way until [`Self::loaded`] is told its outcome.
    pub(super) fn due(&mut self, now: Instant) -> Vec<BundleObject> {
        let (secrets, config_maps) = (&self.secrets, &self.config_maps);
        let due = self.entries.iter_mut().filter_map(|(object, entry)| {
            let current = if object.secret { secrets } else { config_maps }.by_name.get(&object.name)?;
            let changed = entry.version.as_ref() != Some(current);
            let again = entry.failure.as_ref().is_some_and(|(_, at)| *at <= now);
            if entry.reading || !(changed || again) {
                return None;
            }
            entry.version = Some(current.clone());
            entry.reading = true;
            Some(object.clone())
        });
        due.collect()
    }

    /// When a failed read is to be tried again. An object that is gone is read again when it comes back, not before.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let entries = self.entries.iter().filter(|(object, entry)| !entry.reading && self.exists(object));
        entries.filter_map(|(_, entry)| Some(entry.failure.as_ref()?.1)).min()
    }

    /// Takes the outcome of a read in.
    pub(super) fn loaded(&mut self, loaded: Loaded, now: Instant) {
        let Some(entry) = self.entries.get_mut(&loaded.object) else { return };
        entry.reading = false;
        match loaded.outcome {
            Ok(known) => (entry.known, entry.failure) = (Some(known), None),
            Err(error) => entry.failure = Some((error, now + READ_AGAIN)),
        }
    }

    fn exists(&self, object: &BundleObject) -> bool {
        let versions = if object.secret { &self.secrets } else { &self.config_maps };
        versions.by_name.contains_key(&object.name)
    }

    /// What is known of a wanted bundle. While a changed object is being read, what it held before counts.
    pub(super) fn trust(&self, object: &BundleObject) -> Trust {
        if !self.reachable {
            return Trust::Problem(object.out_of_reach(&self.namespace));
        }
        let versions = if object.secret { &self.secrets } else { &self.config_maps };
        let place = object.place(&self.namespace);
        if !self.exists(object) {
            return match &versions.trouble {
                _ if versions.listed => Trust::Problem(object.missing(&self.namespace)),
                Some(error) => Trust::Unreadable(format!("cannot watch for {place}: {error}")),
                None => Trust::Loading,
            };
        }
        match self.entries.get(object) {
            Some(Entry { known: Some(Ok(bundle)), .. }) => Trust::Bundle(bundle.clone()),
            Some(Entry { known: Some(Err(problem)), .. }) => Trust::Problem(problem.clone()),
            Some(Entry { failure: Some((error, _)), .. }) => Trust::Unreadable(format!("cannot read {place}: {error}")),
            Some(_) | None => Trust::Loading,
        }
    }
}

// === impl Versions ===

impl Versions {
    /// Returns the name of the one object that changed, or `None` if it may be any.
    fn observe<K: ResourceExt>(&mut self, event: Event<K>) -> Option<String> {
        if !matches!(event, Event::Init) {
            self.trouble = None;
        }
        let entry = |object: K| (object.name_any(), object.resource_version().unwrap_or_default());
        match event {
            Event::Init => {
                self.listing = Some(BTreeMap::new());
                None
            }
            Event::InitApply(object) => {
                let (name, version) = entry(object);
                self.listing.get_or_insert_default().insert(name.clone(), version);
                Some(name)
            }
            Event::InitDone => {
                self.by_name = self.listing.take().unwrap_or_default();
                self.listed = true;
                None
            }
            Event::Apply(object) => {
                let (name, version) = entry(object);
                self.by_name.insert(name.clone(), version);
                Some(name)
            }
            Event::Delete(object) => {
                let (name, _) = entry(object);
                self.by_name.remove(&name);
                Some(name)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    use super::*;

    fn map(name: &str, version: &str) -> ConfigMap {
        let metadata = ObjectMeta {
            name: Some(name.to_owned()),
            resource_version: Some(version.to_owned()),
            ..ObjectMeta::default()
        };
        ConfigMap { metadata, ..ConfigMap::default() }
    }

    fn wanted() -> BundleObject {
        BundleObject { secret: false, name: "ca".to_owned(), key: "ca.crt".to_owned() }
    }

    fn bundles() -> Bundles {
        let mut bundles = Bundles::new("latchkey", true);
        bundles.want(&BTreeSet::from([wanted()]));
        bundles
    }

    fn listed(versions: &[(&str, &str)]) -> Bundles {
        let mut bundles = bundles();
        bundles.observe::<ConfigMap>(false, Event::Init);
        for (name, version) in versions {
            bundles.observe(false, Event::InitApply(map(name, version)));
        }
        bundles.observe::<ConfigMap>(false, Event::InitDone);
        bundles
    }

    fn problem(detail: &str) -> TlsProblem {
        TlsProblem::Empty { place: detail.to_owned() }
    }

    #[tokio::test]
    async fn an_object_is_read_once_for_each_of_its_versions() {
        let now = Instant::now();
        let mut bundles = listed(&[("ca", "1"), ("unrelated", "1")]);
        assert_eq!(bundles.trust(&wanted()), Trust::Loading);
        assert_eq!(bundles.due(now), [wanted()]);
        assert!(bundles.due(now).is_empty(), "it is under way");
        bundles.loaded(Loaded { object: wanted(), outcome: Ok(Err(problem("one"))) }, now);
        assert_eq!(bundles.trust(&wanted()), Trust::Problem(problem("one")));
        assert!(bundles.due(now).is_empty());

        assert!(!bundles.observe(false, Event::Apply(map("unrelated", "2"))));
        assert!(bundles.observe(false, Event::Apply(map("ca", "2"))));
        assert_eq!(bundles.due(now), [wanted()]);
        assert_eq!(bundles.trust(&wanted()), Trust::Problem(problem("one")), "the old one counts meanwhile");
        bundles.observe(false, Event::Apply(map("ca", "3")));
        bundles.loaded(Loaded { object: wanted(), outcome: Ok(Err(problem("two"))) }, now);
        assert_eq!(bundles.due(now), [wanted()], "it changed while it was read");
    }

    #[tokio::test]
    async fn a_missing_object_is_a_problem_only_once_the_list_is_whole() {
        assert_eq!(bundles().trust(&wanted()), Trust::Loading);
        let mut bundles = listed(&[]);
        assert_eq!(bundles.trust(&wanted()), Trust::Problem(wanted().missing("latchkey")));
        assert!(bundles.due(Instant::now()).is_empty());
        assert!(bundles.observe(false, Event::Apply(map("ca", "1"))));
        assert_eq!(bundles.due(Instant::now()), [wanted()]);
        bundles.observe(false, Event::Delete(map("ca", "2")));
        assert_eq!(bundles.trust(&wanted()), Trust::Problem(wanted().missing("latchkey")));
    }

    #[test]
    fn without_an_api_server_the_mend_is_to_put_the_bundle_into_the_spec() {
        let mut bundles = Bundles::new("latchkey", false);
        bundles.want(&BTreeSet::from([wanted()]));
        let Trust::Problem(problem) = bundles.trust(&wanted()) else { panic!("it cannot be read") };
        assert_eq!(
            problem.to_string(),
            "spec.tls is invalid: ConfigMap latchkey/ca cannot be read without an API server: put the PEM bundle itself \
             into certificateAuthorityData (base64 -w0 < ca.pem)"
        );
    }

    #[tokio::test]
    async fn a_failed_read_is_tried_again_and_said() {
        let now = Instant::now();
        let mut bundles = listed(&[("ca", "1")]);
        bundles.due(now);
        bundles.loaded(Loaded { object: wanted(), outcome: Err("forbidden".to_owned()) }, now);
        assert_eq!(
            bundles.trust(&wanted()),
            Trust::Unreadable("cannot read ConfigMap latchkey/ca: forbidden".to_owned())
        );
        assert!(bundles.due(now).is_empty());
        assert_eq!(bundles.next_due(), Some(now + READ_AGAIN));
        assert_eq!(bundles.due(now + READ_AGAIN), [wanted()]);
        assert_eq!(bundles.next_due(), None);
        bundles.loaded(Loaded { object: wanted(), outcome: Err("forbidden".to_owned()) }, now);
        bundles.observe(false, Event::Delete(map("ca", "2")));
        assert_eq!(bundles.next_due(), None, "there is nothing to read");
    }

    #[tokio::test]
    async fn a_watch_that_fails_is_said_and_a_bundle_nobody_wants_is_forgotten() {
        let mut bundles = bundles();
        bundles.watch_failed(false, "forbidden".to_owned());
        assert_eq!(
            bundles.trust(&wanted()),
            Trust::Unreadable("cannot watch for ConfigMap latchkey/ca: forbidden".to_owned())
        );
        bundles.want(&BTreeSet::new());
        assert!(bundles.entries.is_empty());
        assert!(!bundles.observe(false, Event::Apply(map("ca", "1"))));
    }
}
