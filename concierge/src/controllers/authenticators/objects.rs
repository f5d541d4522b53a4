//! The authenticator objects as they were last seen. No network: events in, the names of what changed out.

use std::collections::{BTreeMap, BTreeSet};

use kube::{core::DynamicObject, runtime::watcher::Event};
use latchkey_crds::authentication::AuthenticatorStatus;
use serde_json::Value;

use super::files::Declared;
use crate::{
    convert::{self, InvalidSpec, JwtSpec, WebhookSpec},
    jwt::Issuer,
    time::UnixTime,
};

/// One object.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) uid: String,
    pub(super) generation: i64,
    /// The spec as a `JWTAuthenticator`'s; what it says of another kind's nobody asks.
    pub(super) jwt: Result<JwtSpec, InvalidSpec>,
    /// The spec as a `WebhookAuthenticator`'s, likewise.
    pub(super) webhook: Result<WebhookSpec, InvalidSpec>,
    /// Whose tokens it judges; those of the issuer that it named last, while its spec cannot be read: of such a token
    /// nobody can tell now, and it would be wrong to say that it is for nobody.
    pub(super) issuer: Option<Issuer>,
    pub(super) status: AuthenticatorStatus,
    /// When this generation was first seen here.
    pub(super) seen_at: UnixTime,
    version: Option<u64>,
}

/// All objects of one kind, by name.
#[derive(Debug, Default)]
pub(super) struct Objects {
    by_name: BTreeMap<String, Object>,
    /// While a list comes in: the names that were on it so far.
    listing: Option<BTreeSet<String>>,
    listed: bool,
}

// === impl Objects ===

impl Objects {
    /// Takes an event in and returns the names of the objects that it changed.
    pub(super) fn observe(&mut self, event: Event<DynamicObject>, now: UnixTime) -> Vec<String> {
        match event {
            Event::Init => {
                self.listing = Some(BTreeSet::new());
                Vec::new()
            }
            Event::InitApply(object) => {
                if let (Some(listing), Some(name)) = (&mut self.listing, &object.metadata.name) {
                    listing.insert(name.clone());
                }
                self.apply(object, now).into_iter().collect()
            }
            Event::Apply(object) => self.apply(object, now).into_iter().collect(),
            // What is not on the list was deleted while nobody was watching.
            Event::InitDone => {
                self.listed = true;
                let listed = self.listing.take().unwrap_or_default();
                let gone: Vec<_> = self.by_name.keys().filter(|name| !listed.contains(*name)).cloned().collect();
                for name in &gone {
                    self.by_name.remove(name);
                }
                gone
            }
            Event::Delete(object) => {
                let name = object.metadata.name.filter(|name| self.by_name.remove(name).is_some());
                name.into_iter().collect()
            }
        }
    }

    /// Takes in the answer to a write of ours, if the object that was written is still the one that is known. The watch
    /// may have told of its end, or of a successor, before the answer came, and will not tell again: taking the answer
    /// then would raise a deleted authenticator from the dead.
    pub(super) fn answered(&mut self, object: DynamicObject, now: UnixTime) {
        let known = object.metadata.name.as_deref().and_then(|name| self.by_name.get(name));
        if known.is_some_and(|known| Some(known.uid.as_str()) == object.metadata.uid.as_deref()) {
            self.apply(object, now);
        }
    }

    /// Takes an object in as a watch tells of it; `None` if it is older than what is known.
    fn apply(&mut self, object: DynamicObject, now: UnixTime) -> Option<String> {
        let DynamicObject { metadata, mut data, .. } = object;
        let name = metadata.name?;
        let (uid, generation) = (metadata.uid.unwrap_or_default(), metadata.generation.unwrap_or_default());
        // Resource versions of one kind are comparable numbers (KEP-5504). An event from before our own write would
        // make us take our own status for a foreign one and write it again.
        let version = metadata.resource_version.and_then(|version| version.parse().ok());
        let known = self.by_name.get(&name).filter(|known| known.uid == uid);
        if known.is_some_and(|known| version.is_some() && version < known.version) {
            return None;
        }
        let seen_at = known.filter(|known| known.generation == generation).map_or(now, |known| known.seen_at);
        let spec = data.get_mut("spec").map(Value::take).unwrap_or_default();
        let (jwt, webhook) = (convert::jwt_authenticator(&spec), convert::webhook_authenticator(&spec));
        // A status that cannot be read is none; it will be written anew.
        let status = data.get_mut("status").map(Value::take).unwrap_or_default();
        let status = serde_json::from_value(status).unwrap_or_default();
        let issuer = issuer(&jwt, known);
        let object = Object { uid, generation, jwt, webhook, issuer, status, seen_at, version };
        self.by_name.insert(name.clone(), object);
        Some(name)
    }

    /// Takes in what a folder of files holds, whole: what is not in it is gone. Returns the names of what changed.
    pub(super) fn replace(&mut self, declared: Vec<Declared>, now: UnixTime) -> Vec<String> {
        self.listed = true;
        let mut before = std::mem::take(&mut self.by_name);
        let mut changed = Vec::new();
        for Declared { name, uid, generation, spec, .. } in declared {
            let known = before.remove(&name);
            let object = match known {
                Some(known) if known.generation == generation => known,
                other => {
                    changed.push(name.clone());
                    let (jwt, webhook) = match spec {
                        Ok(spec) => (convert::jwt_authenticator(&spec), convert::webhook_authenticator(&spec)),
                        Err(problem) => (Err(InvalidSpec::unread(&problem)), Err(InvalidSpec::unread(&problem))),
                    };
                    let issuer = issuer(&jwt, other.as_ref());
                    // What was found before keeps the times of what has not changed.
                    let status = other.map(|known| known.status).unwrap_or_default();
                    Object { uid, generation, jwt, webhook, issuer, status, seen_at: now, version: None }
                }
            };
            self.by_name.insert(name, object);
        }
        changed.extend(before.into_keys());
        changed
    }

    /// What was found of an object that has no status in the API; returns what was found before.
    pub(super) fn found(&mut self, name: &str, status: &AuthenticatorStatus) -> AuthenticatorStatus {
        let object = self.by_name.get_mut(name);
        object.map(|object| std::mem::replace(&mut object.status, status.clone())).unwrap_or_default()
    }

    pub(super) fn get(&self, name: &str) -> Option<&Object> {
        self.by_name.get(name)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Object> {
        self.by_name.values()
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&String, &Object)> {
        self.by_name.iter()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.by_name.keys()
    }

    /// Whether a whole list was seen.
    pub(super) const fn listed(&self) -> bool {
        self.listed
    }
}

fn issuer(spec: &Result<JwtSpec, InvalidSpec>, known: Option<&Object>) -> Option<Issuer> {
    match spec {
        Ok(spec) => spec.issuer.as_ref().ok().cloned(),
        Err(_) => known.and_then(|known| known.issuer.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_795_233_600);
    const LATER: UnixTime = UnixTime::from_secs(1_795_233_660);

    fn object(name: &str, uid: &str, generation: i64, version: &str) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "authentication.concierge.latchkey.dev/v1alpha1", "kind": "JWTAuthenticator",
            "metadata": {"name": name, "uid": uid, "generation": generation, "resourceVersion": version},
            "spec": {"issuer": "https://idp.example.com", "audience": "staging"},
        }))
        .unwrap()
    }

    #[test]
    fn a_list_replaces_what_was_known_without_a_moment_of_emptiness() {
        let mut objects = Objects::default();
        for name in ["a", "b"] {
            assert_eq!(objects.observe(Event::Apply(object(name, name, 1, "1")), NOW), [name]);
        }
        assert!(objects.observe(Event::Init, NOW).is_empty());
        objects.observe(Event::InitApply(object("b", "b", 1, "1")), NOW);
        assert!(objects.get("a").is_some() && !objects.listed());
        assert_eq!(objects.observe(Event::InitDone, NOW), ["a"]);
        assert!(objects.get("a").is_none() && objects.listed());
        assert_eq!(objects.observe(Event::Delete(object("b", "b", 1, "2")), NOW), ["b"]);
        assert!(objects.observe(Event::Delete(object("b", "b", 1, "2")), NOW).is_empty());
    }

    #[test]
    fn a_generation_keeps_the_time_it_was_first_seen() {
        let mut objects = Objects::default();
        let mut seen = |uid, generation, version, now| {
            objects.apply(object("a", uid, generation, version), now);
            objects.get("a").map(|object| object.seen_at)
        };
        assert_eq!(seen("u", 1, "1", NOW), Some(NOW));
        assert_eq!(seen("u", 1, "2", LATER), Some(NOW));
        assert_eq!(seen("u", 2, "3", LATER), Some(LATER));
        assert_eq!(seen("v", 2, "4", NOW), Some(NOW));
    }

    #[test]
    fn an_event_from_before_is_passed_over_unless_it_is_another_objects() {
        let mut objects = Objects::default();
        objects.apply(object("a", "u", 2, "100"), NOW);
        assert_eq!(objects.apply(object("a", "u", 1, "99"), NOW), None);
        assert_eq!(objects.get("a").map(|object| object.generation), Some(2));
        assert_eq!(objects.apply(object("a", "u", 2, "100"), NOW), Some("a".to_owned()));
        assert_eq!(objects.apply(object("a", "other", 1, "50"), NOW), Some("a".to_owned()));
    }

    #[test]
    fn an_answer_to_a_write_raises_nobody_from_the_dead() {
        let mut objects = Objects::default();
        objects.observe(Event::Apply(object("a", "u", 1, "100")), NOW);
        objects.observe(Event::Delete(object("a", "u", 1, "102")), NOW);
        objects.answered(object("a", "u", 1, "101"), NOW);
        assert!(objects.get("a").is_none(), "deleted, then the answer");
        objects.observe(Event::Apply(object("a", "v", 1, "103")), NOW);
        objects.answered(object("a", "u", 7, "101"), NOW);
        assert_eq!(objects.get("a").map(|object| object.uid.as_str()), Some("v"), "created anew, then the answer");
        objects.answered(object("a", "v", 2, "104"), NOW);
        assert_eq!(objects.get("a").map(|object| object.generation), Some(2), "its own answer counts");
    }

    #[test]
    fn an_object_that_cannot_be_read_any_more_still_has_its_issuer() {
        let issuer = |objects: &Objects| objects.get("a").unwrap().issuer.as_ref().map(|i| i.as_str().to_owned());
        let mut objects = Objects::default();
        objects.apply(object("a", "u", 1, "1"), NOW);
        let mut unreadable = object("a", "u", 2, "2");
        unreadable.data = json!({"spec": {"issuer": 7}});
        objects.apply(unreadable, NOW);
        assert_eq!(issuer(&objects).as_deref(), Some("https://idp.example.com"));
        let mut elsewhere = object("a", "u", 3, "3");
        elsewhere.data = json!({"spec": {"issuer": "http://no", "audience": "staging"}});
        objects.apply(elsewhere, NOW);
        assert_eq!(issuer(&objects), None, "a word about the issuer that can be read counts");
    }

    #[test]
    fn a_bad_object_is_kept_as_bad_and_disturbs_nobody() {
        let mut objects = Objects::default();
        for spec in [json!({"spec": {"issuer": 7}}), json!({}), json!({"spec": null, "status": "x"})] {
            let mut bad = object("bad", "u", 1, "1");
            bad.data = spec;
            assert_eq!(objects.observe(Event::Apply(bad), NOW), ["bad"]);
            let known = objects.get("bad").unwrap();
            assert!(known.jwt.is_err());
            assert_eq!(known.status, AuthenticatorStatus::default());
        }
    }
}
