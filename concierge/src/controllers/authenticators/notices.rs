//! What changed about an authenticator or the fleet list, told to the audit log: once for each change, by every replica as
//! it saw it.
//!
//! What was there when the process began is not told as new: only that it is ready, or why it is not, which keys it
//! verifies with, and which clusters are on the list.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use latchkey_crds::{
    authentication::AuthenticatorStatus,
    conditions::{discovery_url_valid, jwks_fetch_valid, jwks_url_valid, keys_fresh, ready, webhook_connection_valid},
};

use super::watches::Kind;
use crate::{
    audit::event::{AuthenticatorChange, Difference, Event, Object, Obstacle},
    jwt::KeySet,
    time::UnixTime,
};

/// One trouble with an issuer's keys is told again after this long, if it lasts: an issuer that is down is asked every few
/// minutes.
const TOLD_AGAIN: Duration = Duration::from_hours(1);

/// The conditions that say what an issuer or a webhook answered; all others say how an object was written.
const ANSWERS: [&str; 5] = [
    discovery_url_valid::TYPE,
    jwks_url_valid::TYPE,
    jwks_fetch_valid::TYPE,
    keys_fresh::TYPE,
    webhook_connection_valid::TYPE,
];

/// Whom changes are told to; nobody by default.
#[derive(Clone, Default)]
pub struct Audience(Option<Arc<dyn Fn(Event) + Send + Sync>>);

/// What was told of each authenticator.
#[derive(Debug)]
pub(super) struct Notices {
    audience: Audience,
    known: BTreeMap<(Kind, String), Known>,
}

/// One authenticator as it is now.
pub(super) struct Sight<'a> {
    pub(super) kind: Kind,
    pub(super) name: &'a str,
    pub(super) uid: &'a str,
    pub(super) generation: i64,
    /// Its status as it is, or as it shall be written.
    pub(super) status: &'a AuthenticatorStatus,
    /// Whether it admits; `None`: somebody has not answered yet.
    pub(super) admits: Option<bool>,
    /// The keys in force.
    pub(super) keys: Option<&'a KeySet>,
    /// Whether it would have been seen before, had it been there.
    pub(super) is_news: bool,
}

#[derive(Debug, Default)]
struct Known {
    uid: String,
    generation: i64,
    admits: Option<bool>,
    /// Digest and ids of the keys that were told last.
    keys: Option<([u8; 32], BTreeSet<String>)>,
    /// Types and reasons of the conditions that were told of this generation.
    refused: BTreeSet<(String, String)>,
    /// Likewise for answers, and when. Types and reasons are ours, so there are only so many.
    failed: BTreeMap<(String, String), UnixTime>,
}

// === impl Audience ===

impl Audience {
    /// Tells `hear`, which must not wait.
    pub fn new(hear: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hear)))
    }

    pub(super) fn tell(&self, event: Event) {
        if let Some(hear) = &self.0 {
            hear(event);
        }
    }
}

impl fmt::Debug for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Audience(..)")
    }
}

// === impl Notices ===

impl Notices {
    pub(super) const fn new(audience: Audience) -> Self {
        Self { audience, known: BTreeMap::new() }
    }

    /// Tells what is new since the last sight.
    pub(super) fn seen(&mut self, sight: &Sight<'_>, now: UnixTime) {
        let key = (sight.kind, sight.name.to_owned());
        if self.known.get(&key).is_some_and(|known| known.uid != sight.uid) {
            self.gone(sight.kind, sight.name, now);
        }
        let audience = self.audience.clone();
        let change = |change| audience.tell(Event::authenticator_changed(now, object(sight), &change));
        let is_known = self.known.contains_key(&key);
        let known = self.known.entry(key).or_default();
        if !is_known {
            sight.uid.clone_into(&mut known.uid);
            known.generation = sight.generation;
            if sight.is_news {
                change(AuthenticatorChange::Created);
            }
        } else if known.generation != sight.generation {
            known.generation = sight.generation;
            known.refused.clear();
            change(AuthenticatorChange::Changed);
        }
        if let Some(difference) = sight.keys.and_then(|keys| known.take_keys(keys)) {
            audience.tell(Event::keys_changed(now, object(sight), &difference));
        }
        for obstacle in known.take_failures(sight, now) {
            audience.tell(Event::keys_failed(now, object(sight), &obstacle));
        }
        for obstacle in known.take_refusals(sight) {
            audience.tell(Event::configuration_refused(now, object(sight), &obstacle));
        }
        if let Some(admits) = sight.admits.filter(|admits| known.admits.replace(*admits) != Some(*admits)) {
            change(if admits { AuthenticatorChange::Ready } else { AuthenticatorChange::NotReady(first(sight)) });
        }
    }

    /// Tells how the fleet list changed.
    pub(super) fn fleet_changed(&self, difference: &Difference, now: UnixTime) {
        self.audience.tell(Event::fleet_changed(now, difference));
    }

    /// Tells that an authenticator is gone, if it was ever seen.
    pub(super) fn gone(&mut self, kind: Kind, name: &str, now: UnixTime) {
        let Some(known) = self.known.remove(&(kind, name.to_owned())) else { return };
        let object = Object { kind: kind.name(), name: name.to_owned(), uid: known.uid, generation: known.generation };
        self.audience.tell(Event::authenticator_changed(now, object, &AuthenticatorChange::Deleted));
    }
}

// === impl Known ===

impl Known {
    /// How `keys` differ from those that were told last.
    fn take_keys(&mut self, keys: &KeySet) -> Option<Difference> {
        if self.keys.as_ref().is_some_and(|(digest, _)| *digest == keys.digest()) {
            return None;
        }
        let ids: BTreeSet<String> = keys.key_ids().map(|id| id.as_str().to_owned()).collect();
        let (_, before) = self.keys.replace((keys.digest(), ids.clone())).unwrap_or_default();
        Some(Difference {
            added: ids.difference(&before).cloned().collect(),
            removed: before.difference(&ids).cloned().collect(),
            changed: Vec::new(),
            total: keys.len(),
        })
    }

    /// What an issuer or webhook answers wrongly, as far as it was not told within the hour.
    fn take_failures(&mut self, sight: &Sight<'_>, now: UnixTime) -> Vec<Obstacle> {
        let mut failures: Vec<Obstacle> = obstacles(sight.status, "False").filter(is_answer).collect();
        failures.retain(|failure| {
            let told = self.failed.get(&name(failure)).is_some_and(|at| now >= *at && now.since(*at) < TOLD_AGAIN);
            if !told {
                self.failed.insert(name(failure), now);
            }
            !told
        });
        failures
    }

    /// What is wrong with the object itself, as far as it was not told of this generation.
    fn take_refusals(&mut self, sight: &Sight<'_>) -> Vec<Obstacle> {
        if sight.admits != Some(false) {
            if sight.admits == Some(true) {
                // What comes back later, by a change elsewhere, is a new matter.
                self.refused.clear();
            }
            return Vec::new();
        }
        let refusals = obstacles(sight.status, "False").filter(|obstacle| !is_answer(obstacle));
        refusals.filter(|refusal| self.refused.insert(name(refusal))).collect()
    }
}

fn object(sight: &Sight<'_>) -> Object {
    Object {
        kind: sight.kind.name(),
        name: sight.name.to_owned(),
        uid: sight.uid.to_owned(),
        generation: sight.generation,
    }
}

/// The conditions with that status, but for the sum of them.
fn obstacles<'s>(status: &'s AuthenticatorStatus, truth: &'s str) -> impl Iterator<Item = Obstacle> + 's {
    let told = status.conditions.iter().filter(move |told| told.status == truth && told.type_ != ready::TYPE);
    told.map(|told| Obstacle {
        condition: told.type_.clone(),
        reason: told.reason.clone(),
        message: told.message.clone(),
    })
}

/// Why nobody is admitted, above all.
fn first(sight: &Sight<'_>) -> Obstacle {
    let told = obstacles(sight.status, "False").next().or_else(|| obstacles(sight.status, "Unknown").next());
    told.unwrap_or_else(|| Obstacle {
        condition: ready::TYPE.to_owned(),
        reason: ready::NOT_READY.to_owned(),
        message: String::new(),
    })
}

fn is_answer(obstacle: &Obstacle) -> bool {
    ANSWERS.contains(&obstacle.condition.as_str())
}

fn name(obstacle: &Obstacle) -> (String, String) {
    (obstacle.condition.clone(), obstacle.reason.clone())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

    use super::*;
    use crate::audit::event::Privacy;

    const NOW: UnixTime = UnixTime::from_secs(1_795_233_600);

    struct Stage {
        notices: Notices,
        heard: Arc<Mutex<Vec<String>>>,
    }

    impl Stage {
        fn new() -> Self {
            let heard = Arc::new(Mutex::new(Vec::new()));
            let ears = Arc::clone(&heard);
            let audience = Audience::new(move |event: Event| {
                let line = String::from_utf8(event.body(&Privacy::plain())).unwrap();
                let of = |word: &str| line.split(&format!("\"{word}\":")).nth(1).map(ToOwned::to_owned);
                let keys = of("keys").map(|rest| format!(" {}", rest.split(']').next().unwrap_or_default()));
                let kind = of("type").map(|rest| format!(" {}", rest.split('"').nth(1).unwrap_or_default()));
                ears.lock().unwrap().push(format!(
                    "{} {}{}{}",
                    event.kind().as_str(),
                    event.code(),
                    keys.unwrap_or_default(),
                    kind.unwrap_or_default()
                ));
            });
            Self { notices: Notices::new(audience), heard }
        }

        fn see(&mut self, sight: &Sight<'_>, minutes: u64) -> Vec<String> {
            self.notices.seen(sight, NOW.plus(Duration::from_mins(minutes)));
            std::mem::take(&mut *self.heard.lock().unwrap())
        }
    }

    fn status(conditions: &[(&str, &str)]) -> AuthenticatorStatus {
        let condition = |(name, truth): &(&str, &str)| Condition {
            type_: (*name).to_owned(),
            status: (*truth).to_owned(),
            reason: "Because".to_owned(),
            message: "said\nso".to_owned(),
            observed_generation: None,
            last_transition_time: Time(jiff::Timestamp::UNIX_EPOCH),
        };
        AuthenticatorStatus { conditions: conditions.iter().map(condition).collect(), ..AuthenticatorStatus::default() }
    }

    fn sight(status: &AuthenticatorStatus, admits: Option<bool>) -> Sight<'_> {
        Sight { kind: Kind::Jwt, name: "corp", uid: "u", generation: 1, status, admits, keys: None, is_news: true }
    }

    fn keys(ids: &[&str]) -> KeySet {
        let key = |id: &&str| {
            use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
            use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
            let pair = Ed25519KeyPair::generate().unwrap();
            let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
            serde_json::json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "x": x})
        };
        let set = serde_json::json!({"keys": ids.iter().map(key).collect::<Vec<_>>()});
        KeySet::parse(set.to_string().as_bytes()).unwrap().0
    }

    #[test]
    fn a_life_is_told_once_for_each_change() {
        let (mut stage, fine) = (Stage::new(), status(&[("Ready", "True")]));
        assert_eq!(stage.see(&sight(&fine, None), 0), ["authenticator.changed created"]);
        assert_eq!(stage.see(&sight(&fine, Some(true)), 0), ["authenticator.changed ready"]);
        assert!(stage.see(&sight(&fine, Some(true)), 1).is_empty());
        let changed = Sight { generation: 2, ..sight(&fine, Some(true)) };
        assert_eq!(stage.see(&changed, 2), ["authenticator.changed changed"]);
        let successor = Sight { uid: "v", ..changed };
        let told = ["authenticator.changed deleted", "authenticator.changed created", "authenticator.changed ready"];
        assert_eq!(stage.see(&successor, 3), told);
        stage.notices.gone(Kind::Jwt, "corp", NOW);
        stage.notices.gone(Kind::Jwt, "corp", NOW);
        assert_eq!(*stage.heard.lock().unwrap(), ["authenticator.changed deleted"]);
    }

    #[test]
    fn what_was_there_before_us_is_not_new() {
        let (mut stage, fine) = (Stage::new(), status(&[]));
        let old = Sight { is_news: false, ..sight(&fine, Some(true)) };
        assert_eq!(stage.see(&old, 0), ["authenticator.changed ready"]);
    }

    #[test]
    fn a_spec_that_cannot_work_is_told_once_and_again_when_it_comes_back() {
        let bad = status(&[("Ready", "False"), ("AudienceUnique", "False")]);
        let (mut stage, fine) = (Stage::new(), status(&[]));
        let told = [
            "configuration.refused configuration-refused AudienceUnique",
            "authenticator.changed not-ready AudienceUnique",
        ];
        let old = |status, admits| Sight { is_news: false, ..sight(status, Some(admits)) };
        assert_eq!(stage.see(&old(&bad, false), 0), told);
        assert!(stage.see(&old(&bad, false), 1).is_empty());
        assert_eq!(stage.see(&old(&fine, true), 2), ["authenticator.changed ready"]);
        assert_eq!(stage.see(&old(&bad, false), 3), told);
    }

    #[test]
    fn keys_are_told_by_their_ids_and_trouble_with_them_once_an_hour() {
        let (mut stage, fine) = (Stage::new(), status(&[]));
        let (first, second) = (keys(&["a", "b"]), keys(&["b", "c"]));
        let with = |keys| Sight { keys: Some(keys), is_news: false, ..sight(&fine, None) };
        assert_eq!(stage.see(&with(&first), 0), [r#"keys.changed keys-changed {"added":["a","b""#]);
        assert!(stage.see(&with(&first), 1).is_empty());
        assert_eq!(stage.see(&with(&second), 2), [r#"keys.changed keys-changed {"added":["c""#]);

        let failing = status(&[("JWKSFetchValid", "False"), ("KeysFresh", "Unknown")]);
        let failing = Sight { is_news: false, ..sight(&failing, Some(true)) };
        let told = "keys.failed keys-failed JWKSFetchValid".to_owned();
        assert_eq!(stage.see(&failing, 3), [told.clone(), "authenticator.changed ready".to_owned()]);
        for minute in 4..63 {
            assert!(stage.see(&failing, minute).is_empty(), "{minute}");
        }
        assert_eq!(stage.see(&failing, 63), [told]);
    }
}
