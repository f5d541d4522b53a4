//! The keys of the audit log: made by the leader, read by every replica, replaced with overlap, published.
//!
//! The Secret `latchkey-audit-key`, of type `latchkey.dev/audit-keys`:
//!
//! | key | holds |
//! |---|---|
//! | `signing.key` | the Ed25519 key that signs checkpoints, PKCS#8 in PEM; replaced every 90 days |
//! | `previous.key` | the one before, which signs too for 7 days; who deletes it ends that at once |
//! | `names.key` | the HMAC key by which names are hashed, if they are; never replaced by itself |
//! | `public-keys.json` | all public keys with their times, newest first, at most 16; published in `CredentialIssuer` |
//!
//! On demand: `kubectl -n latchkey annotate secret latchkey-audit-key latchkey.dev/rotate=signing` (or `names`, or both
//! with a comma); the leader takes the annotation away when it is done. A new `names.key` makes all names hashed before
//! nobody's.
//!
//! What is missing, the leader puts back from memory, and only where nobody remembers it makes it. What is broken is left
//! alone and loudly said: every replica goes on with what it read before, so a damaged Secret does not change who signs.
//! A Secret without our label is somebody else's: read and never written.

mod rotation;
mod stored;

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::{api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::Client;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::{
    rotation::{Held, Rotate, due, next, observed},
    stored::{NameSecret, Signer, Stored},
};
use super::{
    authority_secret::MANAGED_LABEL,
    secret_keeper::{Keeper, Plan, keep},
};
use crate::{
    audit::{
        checkpoint::Keys,
        event::{NameKey, Names, Privacy},
    },
    credential::SignError,
    runtime::lease::Leadership,
    time::{Clock, UnixTime},
};

pub use self::stored::{KeyFault, Known};

/// Name of the Secret.
pub const NAME: &str = "latchkey-audit-key";

/// The type of a Secret that we make.
const SECRET_TYPE: &str = "latchkey.dev/audit-keys";

/// Asks for a new key.
const ROTATE: &str = "latchkey.dev/rotate";

/// What this controller needs.
pub struct Settings {
    /// For the Secret.
    pub client: Client,
    /// Our namespace.
    pub namespace: String,
    /// How people are named in records.
    pub names: Names,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Whether this replica writes.
    pub leadership: Leadership,
    /// Where the sinks learn by what to sign.
    pub keys: watch::Sender<Option<Arc<Keys>>>,
    /// Where the recorder learns how to name people.
    pub privacy: watch::Sender<Privacy>,
    /// Where the status learns what to publish.
    pub published: watch::Sender<Published>,
}

/// What everybody may know of the keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// All public keys, newest first.
    pub keys: Vec<Known>,
    /// What is wrong with the Secret, in a sentence.
    pub problem: Option<String>,
}

struct Custodian {
    names: Names,
    clock: Arc<dyn Clock>,
    held: Held,
    keys: watch::Sender<Option<Arc<Keys>>>,
    privacy: watch::Sender<Privacy>,
    published: watch::Sender<Published>,
}

/// Keeps the keys until `stop`.
pub async fn run(settings: Settings, stop: CancellationToken) {
    let Settings { client, namespace, names, clock, leadership, keys, privacy, published } = settings;
    let custodian = Custodian { names, clock: Arc::clone(&clock), held: Held::default(), keys, privacy, published };
    keep(client, &namespace, custodian, leadership, clock, stop).await;
}

/// The key that signs, from a file: for those who have no API server, or keep the key elsewhere.
///
/// # Errors
/// When the text holds no Ed25519 key as PKCS#8 in PEM.
pub fn signing_key(pem: &[u8]) -> Result<Keys, KeyFault> {
    Signer::read(pem)?.key().map(Keys::one).ok_or(KeyFault::Signing)
}

/// The key of names, from a file.
///
/// # Errors
/// When it is too short to be a key, or too long to be meant as one.
pub fn name_key(bytes: &[u8]) -> Result<NameKey, KeyFault> {
    NameSecret::read(bytes).map(|secret| secret.key())
}

// === impl Custodian ===

impl Keeper for Custodian {
    const REPLACES_STUBBORN: bool = false;

    fn name(&self) -> &'static str {
        NAME
    }

    fn publish(&mut self, secret: Option<&Secret>) {
        let stored = secret.map_or(Stored::EMPTY, read);
        let before = self.held.clone();
        self.held.take(&stored);
        if secret.is_some_and(|secret| !is_ours(secret)) {
            self.held.history = observed(&stored, &self.held, self.clock.now());
        }
        if self.held.current != before.current || self.held.previous != before.previous {
            self.tell_signers();
        }
        if self.held.names != before.names {
            let key = self.held.names.as_ref().map(NameSecret::key);
            self.privacy.send_replace(Privacy::new(self.names, key));
        }
        self.tell_people(secret, &stored);
    }

    fn plan(&mut self, secret: Option<&Secret>, now: UnixTime) -> Result<Plan, SignError> {
        let (plan, asked) = plan(secret, &self.held, now)?;
        if asked.is_none() {
            tracing::warn!(secret = NAME, "Annotation {ROTATE} not understood: expected signing, names, or both");
        }
        Ok(plan)
    }

    async fn nudged(&mut self) {
        std::future::pending::<()>().await;
    }
}

impl Custodian {
    fn tell_signers(&self) {
        let key = |signer: &Option<Signer>| signer.as_ref().and_then(Signer::key);
        let keys = match (key(&self.held.current), key(&self.held.previous)) {
            (Some(current), Some(previous)) => Keys::two(current, previous),
            (Some(current), None) => Keys::one(current),
            (None, _) => return,
        };
        let public: Vec<String> = keys.public().map(|key| key.to_string()).collect();
        tracing::info!(keys = %public.join(" "), "Audit checkpoints are signed by these keys");
        self.keys.send_replace(Some(Arc::new(keys)));
    }

    fn tell_people(&self, secret: Option<&Secret>, stored: &Stored) {
        let problem = problem(secret, stored, self.held.current.is_some());
        let published = Published { keys: self.held.history.clone(), problem };
        self.published.send_if_modified(|before| {
            if let Some(problem) = published.problem.as_ref().filter(|_| published.problem != before.problem) {
                tracing::error!(secret = NAME, problem, "Audit keys damaged");
            }
            let changed = *before != published;
            *before = published;
            changed
        });
    }
}

fn read(secret: &Secret) -> Stored {
    secret.data.as_ref().map_or(Stored::EMPTY, Stored::read)
}

/// Whether the Secret is ours to change.
fn is_ours(secret: &Secret) -> bool {
    let labels = secret.metadata.labels.as_ref();
    labels.and_then(|labels| labels.get(MANAGED_LABEL.0)).is_some_and(|value| value == MANAGED_LABEL.1)
}

/// What is wrong, and what to do about it.
fn problem(secret: Option<&Secret>, stored: &Stored, signs: bool) -> Option<String> {
    let Some(secret) = secret else {
        // Before the first one is made nothing is wrong.
        return signs.then(|| format!("Secret {NAME} is gone; the keys read before are used, and will be put back"));
    };
    let mut faults: Vec<String> = stored.faults().map(|(entry, fault)| format!("{entry}: {fault}")).collect();
    let has_key = stored.current.good().is_some() || stored.faults().any(|(entry, _)| entry == stored::CURRENT);
    if !has_key && !is_ours(secret) {
        faults.push(format!("{}: missing", stored::CURRENT));
    }
    let goes_on = match (faults.is_empty(), signs) {
        (true, _) => return None,
        (false, true) => "The keys read before are used until it is mended",
        (false, false) => "No checkpoints are signed until it is mended",
    };
    let faults = faults.join("; ");
    Some(format!("Secret {NAME} is damaged ({faults}). {goes_on}: delete what is broken, or bring the right one back"))
}

/// What the leader should do, and what it was asked for; `None`: something that it does not understand.
fn plan(secret: Option<&Secret>, held: &Held, now: UnixTime) -> Result<(Plan, Option<Rotate>), SignError> {
    let stored = secret.map_or(Stored::EMPTY, read);
    let annotation = secret.and_then(|secret| secret.metadata.annotations.as_ref()?.get(ROTATE));
    let asked = annotation.map_or(Some(Rotate::default()), |text| Rotate::read(text));
    if secret.is_some_and(|secret| !is_ours(secret)) {
        return Ok((Plan::Wait(due(&stored, now)), asked));
    }
    let rotate = asked.unwrap_or_default();
    let wanted = next(&stored, held, rotate, now)?;
    if wanted == stored && rotate == Rotate::default() {
        return Ok((Plan::Wait(due(&stored, now)), asked));
    }
    let mut written = secret.cloned().unwrap_or_else(|| Secret {
        metadata: ObjectMeta {
            name: Some(NAME.to_owned()),
            labels: Some(BTreeMap::from([(MANAGED_LABEL.0.to_owned(), MANAGED_LABEL.1.to_owned())])),
            ..ObjectMeta::default()
        },
        type_: Some(SECRET_TYPE.to_owned()),
        ..Secret::default()
    });
    wanted.write(&stored, written.data.get_or_insert_default());
    if let Some(annotations) = written.metadata.annotations.as_mut().filter(|_| asked.is_some()) {
        annotations.remove(ROTATE);
    }
    Ok((Plan::Write(Box::new(written)), asked))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;

    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_795_233_600);

    fn written(secret: Option<&Secret>, held: &Held) -> Secret {
        let (Plan::Write(mut secret), _) = plan(secret, held, NOW).unwrap() else { panic!("expected a write") };
        secret.metadata.resource_version = Some("1".to_owned());
        *secret
    }

    fn rests(secret: &Secret, held: &Held) {
        assert!(matches!(plan(Some(secret), held, NOW).unwrap(), (Plan::Wait(until), _) if until > NOW));
    }

    fn held(secret: &Secret) -> Held {
        let mut held = Held::default();
        held.take(&read(secret));
        held
    }

    fn with(secret: &Secret, entry: &str, bytes: &[u8]) -> Secret {
        let mut secret = secret.clone();
        secret.data.as_mut().unwrap().insert(entry.to_owned(), ByteString(bytes.to_vec()));
        secret
    }

    #[test]
    fn the_secret_is_made_with_all_its_entries_and_found_good() {
        let secret = written(None, &Held::default());
        assert!(is_ours(&secret));
        assert_eq!(secret.type_.as_deref(), Some(SECRET_TYPE));
        let entries: Vec<&str> = secret.data.as_ref().unwrap().keys().map(String::as_str).collect();
        assert_eq!(entries, [stored::NAMES, stored::HISTORY, stored::CURRENT]);
        rests(&secret, &held(&secret));
        assert_eq!(problem(Some(&secret), &read(&secret), true), None);
    }

    #[test]
    fn a_wish_is_granted_once_and_foreign_entries_stay() {
        let first = written(None, &Held::default());
        let mut asked = with(&first, "notes.txt", b"ours");
        asked.metadata.annotations = Some(BTreeMap::from([(ROTATE.to_owned(), "signing".to_owned())]));
        let second = written(Some(&asked), &held(&first));
        assert_eq!(second.metadata.annotations, Some(BTreeMap::new()));
        assert_eq!(read(&second).previous, read(&first).current);
        assert_eq!(second.data.as_ref().unwrap()["notes.txt"].0, b"ours");
        rests(&second, &held(&second));
        asked.metadata.annotations = Some(BTreeMap::from([(ROTATE.to_owned(), "now".to_owned())]));
        let (plan, understood) = plan(Some(&asked), &held(&first), NOW).unwrap();
        assert!(matches!(plan, Plan::Wait(_)) && understood.is_none());
    }

    #[test]
    fn garbage_is_said_and_left_alone() {
        let good = written(None, &Held::default());
        let garbage = with(&good, stored::CURRENT, b"garbage");
        let mut memory = held(&good);
        memory.take(&read(&garbage));
        rests(&garbage, &memory);
        let told = problem(Some(&garbage), &read(&garbage), true).unwrap();
        assert!(
            told.contains("signing.key: expected an Ed25519 key") && told.contains("read before are used"),
            "{told}"
        );
        let told = problem(Some(&garbage), &read(&garbage), false).unwrap();
        assert!(told.contains("No checkpoints are signed"), "{told}");
        assert!(problem(None, &Stored::EMPTY, true).unwrap().contains("is gone"));
        assert_eq!(problem(None, &Stored::EMPTY, false), None, "none was made yet");
        // The whole Secret replaced by something without our label: somebody else's, so not ours to write.
        let foreign = Secret {
            metadata: ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() },
            ..Secret::default()
        };
        rests(&foreign, &memory);
        assert!(problem(Some(&foreign), &read(&foreign), true).unwrap().contains("signing.key: missing"));
    }

    #[test]
    fn a_key_from_a_file_signs() {
        let secret = written(None, &Held::default());
        let pem = &secret.data.as_ref().unwrap()[stored::CURRENT].0;
        let public: Vec<_> = signing_key(pem).unwrap().public().collect();
        assert_eq!(public, [read(&secret).current.good().unwrap().public()]);
        assert_eq!(signing_key(b"no key").unwrap_err(), KeyFault::Signing);
    }

    #[test]
    fn the_same_key_of_names_gives_the_same_word_wherever_it_is_kept() {
        let secret = written(None, &Held::default());
        let bytes = &secret.data.as_ref().unwrap()[stored::NAMES].0;
        let shown = |key| Privacy::new(Names::Hashed, Some(key)).show("sub", "ada", false);
        let kept = held(&secret).names.unwrap().key();
        assert_eq!(shown(name_key(&[bytes, &b"\n"[..]].concat()).unwrap()), shown(kept));
        assert_eq!(name_key(b"short").unwrap_err(), KeyFault::Names);
    }
}
