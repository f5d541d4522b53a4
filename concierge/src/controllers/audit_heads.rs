//! Shows every replica's signed heads to all others, in a `ConfigMap`: the anchor outside of the log.
//!
//! kube-apiserver audits each write of `latchkey-audit-heads` itself, and every other replica names what it reads there in
//! its own next checkpoint. So whoever cuts off a log's tail must change the API server's log and those of the other
//! replicas too. Without the API server nothing is lost but that.
//!
//! Each life of a replica applies its own entries under a field manager of its own, so that the last head of a life that
//! ended stays; the leader takes out what nobody needs any more.

mod book;

use std::{collections::BTreeMap, error::Error, pin::pin, sync::Arc, time::Duration};

use futures::{
    FutureExt as _, StreamExt as _,
    future::{pending, select_all},
};
use k8s_openapi::{
    api::core::v1::ConfigMap,
    apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta},
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    runtime::{WatchStreamExt as _, watcher::watch_object},
};
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use self::book::{Own, others, surplus};
use super::{audit_key::Published, authority_secret::MANAGED_LABEL};
use crate::{
    audit::{chain::Identity, checkpoint::PublicKey, event::OtherHead},
    runtime::lease::Leadership,
    time::{Clock, UnixTime},
};

/// Name of the `ConfigMap`.
pub const NAME: &str = "latchkey-audit-heads";

/// Shortest time between two writes of one replica: at most two a minute, however busy it is.
const WRITE_EVERY: Duration = Duration::from_secs(30);
/// How often the leader looks for what may go; nothing hangs on the hour.
const PRUNE_EVERY: Duration = Duration::from_hours(1);
/// Also the longest that the end of the process waits for its last heads to be shown.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// Longest name of a field manager (apimachinery, `FieldManagerMaxLength`).
const MANAGER_LIMIT: usize = 128;

/// A sink's name, and its newest signed note.
pub type Notes = (&'static str, watch::Receiver<Option<String>>);

/// What this controller needs.
pub struct Settings {
    /// For the `ConfigMap`.
    pub client: Client,
    /// Our namespace.
    pub namespace: String,
    /// Whose heads are shown.
    pub identity: Identity,
    /// What the sinks sign. When all of them have ended, their last notes are shown and the task ends.
    pub notes: Vec<Notes>,
    /// By which keys others are believed.
    pub published: watch::Receiver<Published>,
    /// Where the sinks learn of the others.
    pub others: watch::Sender<Arc<[OtherHead]>>,
    /// Whether this replica takes out what nobody needs.
    pub leadership: Leadership,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
}

struct Anchor {
    maps: Api<ConfigMap>,
    own: Own,
    known: Option<ConfigMap>,
    published: watch::Receiver<Published>,
    others: watch::Sender<Arc<[OtherHead]>>,
    leadership: Leadership,
    clock: Arc<dyn Clock>,
    /// When the next write, and the next look for what may go, may be.
    write_at: Instant,
    prune_at: Instant,
}

/// Shows heads until every sink has ended and `stop` was said.
pub async fn run(settings: Settings, stop: CancellationToken) {
    let Settings { client, namespace, identity, mut notes, published, others, leadership, clock } = settings;
    let maps: Api<ConfigMap> = Api::namespaced(client, &namespace);
    let mut events = pin!(watch_object(maps.clone(), NAME).default_backoff());
    let now = Instant::now();
    let mut anchor = Anchor {
        maps,
        own: Own::new(identity),
        known: None,
        published,
        others,
        leadership,
        clock,
        write_at: now,
        prune_at: now,
    };
    let mut published = anchor.published.clone();
    while !notes.is_empty() {
        let (writes_at, prunes_at) = (anchor.writes_at(), anchor.prune_at);
        tokio::select! {
            sink = news(&mut notes) => anchor.take(&mut notes, sink),
            event = events.next() => match event {
                Some(Ok(map)) => anchor.observe(map),
                Some(Err(error)) => {
                    tracing::warn!(config_map = NAME, error = &error as &dyn Error, "Heads of other replicas not watched");
                }
                None => break,
            },
            Ok(()) = published.changed() => anchor.tell(),
            () = wake(writes_at) => anchor.show().await,
            () = sleep_until(prunes_at) => anchor.prune().await,
        }
    }
    if anchor.has_news() {
        anchor.show().await;
    }
    stop.cancelled().await;
}

/// Waits for a note, or for the end of a sink: which one, and whether it goes on.
async fn news(notes: &mut [Notes]) -> (usize, bool) {
    let waits = notes.iter_mut().map(|(_, note)| note.changed().boxed());
    let (changed, sink, _) = select_all(waits).await;
    (sink, changed.is_ok())
}

async fn wake(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

// === impl Anchor ===

impl Anchor {
    fn take(&mut self, notes: &mut Vec<Notes>, (sink, goes_on): (usize, bool)) {
        let (name, note) = &mut notes[sink];
        if let Some(note) = note.borrow_and_update().as_deref()
            && let Err(refused) = self.own.take(name, note)
        {
            tracing::error!(sink = name, error = &refused as &dyn Error, "Signed head not shown");
        }
        if !goes_on {
            notes.swap_remove(sink);
        }
    }

    fn observe(&mut self, map: Option<ConfigMap>) {
        self.known = map;
        self.tell();
    }

    fn tell(&mut self) {
        let keys = self.keys();
        let found = others(self.data(), self.own.identity(), &keys, &self.others.borrow());
        self.others.send_if_modified(|before| {
            let changed = **before != *found;
            *before = found.into();
            changed
        });
    }

    /// Whether the map lacks something of ours, for all that is known of it.
    fn has_news(&self) -> bool {
        !self.own.is_shown_in(self.data())
    }

    fn writes_at(&self) -> Option<Instant> {
        self.has_news().then_some(self.write_at)
    }

    /// Applies our entries; all that were ever applied in this life, for what is left out of an apply is removed.
    async fn show(&mut self) {
        self.write_at = Instant::now() + WRITE_EVERY;
        let map = ConfigMap {
            metadata: ObjectMeta {
                name: Some(NAME.to_owned()),
                labels: Some(BTreeMap::from([(MANAGED_LABEL.0.to_owned(), MANAGED_LABEL.1.to_owned())])),
                ..ObjectMeta::default()
            },
            data: Some(self.own.entries()),
            ..ConfigMap::default()
        };
        let params = PatchParams::apply(&manager(self.own.identity())).force();
        match timeout(REQUEST_LIMIT, self.maps.patch(NAME, &params, &Patch::Apply(&map))).await {
            Ok(Ok(map)) => self.observe(Some(map)),
            Ok(Err(error)) => {
                tracing::warn!(config_map = NAME, error = &error as &dyn Error, "Signed heads not shown to others");
            }
            Err(_) => tracing::warn!(config_map = NAME, "Signed heads not shown to others in time"),
        }
    }

    async fn prune(&mut self) {
        self.prune_at = Instant::now() + PRUNE_EVERY;
        let Some(map) = self.known.as_ref().filter(|_| self.leadership.is_leader()) else {
            return;
        };
        let fields = map.metadata.managed_fields.as_deref().unwrap_or_default();
        let written = |identity: &Identity| written(fields, identity);
        let gone = surplus(self.data(), self.own.identity(), &self.keys(), written, self.clock.now());
        if gone.is_empty() {
            return;
        }
        let entries: serde_json::Map<String, Value> = gone.iter().map(|name| (name.clone(), Value::Null)).collect();
        // Under the version that was looked at: what somebody wrote meanwhile is looked at next time.
        let patch = json!({ "metadata": { "resourceVersion": map.metadata.resource_version }, "data": entries });
        match timeout(REQUEST_LIMIT, self.maps.patch(NAME, &PatchParams::default(), &Patch::Merge(&patch))).await {
            Ok(Ok(_)) => tracing::info!(config_map = NAME, entries = gone.join(" "), "Old heads taken out"),
            Ok(Err(error)) => {
                tracing::debug!(config_map = NAME, error = &error as &dyn Error, "Old heads not taken out");
            }
            Err(_) => {}
        }
    }

    fn data(&self) -> &BTreeMap<String, String> {
        static NOTHING: BTreeMap<String, String> = BTreeMap::new();
        self.known.as_ref().and_then(|map| map.data.as_ref()).unwrap_or(&NOTHING)
    }

    fn keys(&self) -> Vec<PublicKey> {
        self.published.borrow().keys.iter().map(|known| known.key).collect()
    }
}

/// The field manager of one life.
fn manager(identity: &Identity) -> String {
    let name = format!("latchkey-audit-heads/{}/{}", identity.life, identity.replica);
    name.chars().filter(char::is_ascii_graphic).take(MANAGER_LIMIT).collect()
}

/// When the API server says that the entries of a life were last changed.
fn written(fields: &[ManagedFieldsEntry], identity: &Identity) -> Option<UnixTime> {
    let manager = manager(identity);
    let times = fields.iter().filter(|field| field.manager.as_deref() == Some(&manager));
    times.filter_map(|field| Some(UnixTime::from_secs(field.time.as_ref()?.0.as_second()))).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_life_has_a_manager_that_the_api_server_takes() {
        let identity =
            |replica: &str| Identity { cluster: "prod".into(), replica: replica.into(), life: 1_795_233_600_123 };
        assert_eq!(manager(&identity("latchkey-7c9f-2k")), "latchkey-audit-heads/1795233600123/latchkey-7c9f-2k");
        assert_eq!(manager(&identity(&"x".repeat(300))).len(), MANAGER_LIMIT);
        assert!(manager(&identity("a b\n\u{e4}")).ends_with("/ab"));
    }

    #[test]
    fn the_api_server_says_when_a_life_last_wrote() {
        let identity = Identity { cluster: "prod".into(), replica: "a".into(), life: 7 };
        let field = |manager: &str, time: &str| {
            let json = json!({ "manager": manager, "time": time, "operation": "Apply" });
            serde_json::from_value::<ManagedFieldsEntry>(json).unwrap()
        };
        let fields = [
            field("latchkey-audit-heads/7/a", "2026-11-21T04:00:00Z"),
            field("latchkey-audit-heads/8/a", "2026-11-21T05:00:00Z"),
        ];
        assert_eq!(written(&fields, &identity), Some(UnixTime::from_secs(1_795_233_600)));
        assert_eq!(written(&fields, &Identity { life: 9, ..identity }), None);
    }
}
