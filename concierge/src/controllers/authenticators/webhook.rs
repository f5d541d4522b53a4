//! What the authenticators' task does for a `WebhookAuthenticator`: it gathers what is known of it, has it planned, and
//! carries the plan out.

use std::{collections::BTreeMap, sync::Arc};

use tokio::{
    sync::mpsc,
    task::{JoinError, JoinSet},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Authenticators, notices::Sight, watches::Kind};
use crate::{
    controllers::webhook_authenticator::{
        self, Observed, Source, Word,
        prober::{ProbeReport, Prober, ProberId},
    },
    idp::proxy::Proxies,
    index::{AskWebhook, AuthenticatorName, AuthenticatorRef, Entry, Unready, Webhook},
    runtime::metrics::Metrics,
    time::Clock,
    webhook::WebhookClient,
};

/// Reports of probers that may wait for the task: each prober waits with one, and the task does nothing slow.
const REPORTS: usize = 16;

/// The clients of all webhooks, and the probers that look at their servers.
#[derive(Debug)]
pub(super) struct Webhooks {
    clock: Arc<dyn Clock>,
    proxies: Proxies,
    metrics: Metrics,
    probers: JoinSet<()>,
    next: u64,
    asked: BTreeMap<String, Asked>,
    published: BTreeMap<String, Published>,
    sender: mpsc::Sender<ProbeReport>,
    reports: mpsc::Receiver<ProbeReport>,
}

#[derive(Debug)]
struct Asked {
    id: ProberId,
    source: Source,
    word: Word,
    /// `None`: none could be made.
    client: Option<Arc<WebhookClient>>,
    /// Ends the prober when it goes.
    _stop: DropGuard,
}

/// What the index shows.
#[derive(Debug, PartialEq, Eq)]
struct Published {
    uid: String,
    generation: i64,
    /// By which client it asks; `None` admits nobody.
    asks_by: Option<ProberId>,
    /// Why its logins fail, for the log.
    obstacle: Option<String>,
}

// === impl Webhooks ===

impl Webhooks {
    pub(super) fn new(clock: Arc<dyn Clock>, proxies: Proxies, metrics: Metrics) -> Self {
        let (sender, reports) = mpsc::channel(REPORTS);
        Self {
            clock,
            proxies,
            metrics,
            probers: JoinSet::new(),
            next: 0,
            asked: BTreeMap::new(),
            published: BTreeMap::new(),
            sender,
            reports,
        }
    }

    /// Waits for a prober's word and takes it in; the name of the authenticator that it changes something for.
    ///
    /// # Errors
    /// When a prober panicked.
    pub(super) async fn next(&mut self) -> Result<Option<String>, JoinError> {
        tokio::select! {
            Some(ended) = self.probers.join_next() => ended.map(|()| None),
            // The sender at our side keeps the channel open.
            Some(ProbeReport { prober, name, word }) = self.reports.recv() => {
                let asked = self.asked.get_mut(&name).filter(|asked| asked.id == prober);
                Ok(asked.map(|asked| { asked.word = word; name }))
            }
            else => std::future::pending().await,
        }
    }

    /// From now on a client for `source` is kept for `name`, and no other; `true` if that changed anything.
    fn ask(&mut self, name: &str, source: Option<&Source>) -> bool {
        if self.asked.get(name).map(|asked| &asked.source) == source {
            return false;
        }
        // The old prober first: its guard ends it.
        self.asked.remove(name);
        let Some(source) = source else { return true };
        let id = ProberId(self.next);
        self.next += 1;
        let stop = CancellationToken::new();
        let (word, client) = match webhook_authenticator::client(source, name, &self.proxies, &self.metrics) {
            Err(problem) => (Word::NoClient(problem), None),
            Ok(client) => {
                let prober = Prober {
                    id,
                    name: name.to_owned(),
                    client: Arc::clone(&client),
                    clock: Arc::clone(&self.clock),
                    reports: self.sender.clone(),
                };
                self.probers.spawn(prober.run(stop.clone()));
                (Word::Undialed, Some(client))
            }
        };
        let asked = Asked { id, source: source.clone(), word, client, _stop: stop.drop_guard() };
        self.asked.insert(name.to_owned(), asked);
        true
    }

    pub(super) fn forget(&mut self, name: &str) {
        self.asked.remove(name);
        self.published.remove(name);
    }
}

impl Authenticators {
    pub(super) fn settle_webhook(&mut self, name: &str) {
        let Some(object) = self.objects.webhook.get(name) else { return };
        let trust = self.trust(object.webhook.as_ref().ok().map(|spec| &spec.trust));
        // Twice at most: the first plan may call for a client, and one that cannot be made is worth a word at once.
        let plan = loop {
            let observed = Observed {
                generation: object.generation,
                spec: &object.webhook,
                trust: &trust,
                asked: self.webhooks.asked.get(name).map(|asked| (&asked.source, &asked.word)),
                status: &object.status,
                seen_at: object.seen_at,
            };
            let plan = webhook_authenticator::plan(&observed, self.clock.now());
            if !self.webhooks.ask(name, plan.source.as_ref()) {
                break plan;
            }
        };
        let (uid, generation) = (object.uid.clone(), object.generation);
        let asked = self.webhooks.asked.get(name);
        let asks = plan.admit.and_then(|settings| {
            let asked = asked?;
            Some((settings, asked.id, Arc::clone(asked.client.as_ref()?)))
        });
        let pending = plan.again_in.is_some() && asks.is_none();
        self.notices.seen(
            &Sight {
                kind: Kind::Webhook,
                name,
                uid: &uid,
                generation,
                status: plan.status.as_ref().unwrap_or(&object.status),
                admits: (!pending).then_some(asks.is_some()),
                keys: None,
                is_news: *self.synced.borrow(),
            },
            self.clock.now(),
        );
        self.metrics.authenticator_ready(&format!("webhook/{name}"), asks.is_some());
        let next = Published {
            uid: uid.clone(),
            generation,
            asks_by: asks.as_ref().map(|(_, id, _)| *id),
            obstacle: plan.obstacle,
        };
        let known = self.webhooks.published.get(name);
        if known.map(|known| (&known.obstacle, known.generation)) != Some((&next.obstacle, generation)) {
            match &next.obstacle {
                None => tracing::info!(authenticator = name, generation, "Webhook ready"),
                Some(obstacle) => tracing::info!(authenticator = name, generation, obstacle, "Webhook not ready"),
            }
        }
        let shown = known.map(|known| (&known.uid, known.generation, known.asks_by));
        if shown != Some((&next.uid, next.generation, next.asks_by)) {
            let unready = || Unready::new(AuthenticatorRef::webhook(name), &uid, generation);
            let entry = asks.map_or_else(
                || Entry::NotReady(Arc::new(unready())),
                |(settings, _, client)| {
                    let (reserved, credential_lifetime) = (settings.reserved, settings.credential_lifetime);
                    let door: Arc<dyn AskWebhook> = client;
                    let name = AuthenticatorName::new(name);
                    Entry::Webhook(Arc::new(Webhook {
                        name,
                        uid: uid.clone(),
                        generation,
                        reserved,
                        credential_lifetime,
                        door,
                    }))
                },
            );
            self.index.set(AuthenticatorRef::webhook(name), entry);
        }
        self.webhooks.published.insert(name.to_owned(), next);
        self.members.again_in(Kind::Webhook, name, plan.again_in);
        self.write(Kind::Webhook, name, uid, plan.status);
    }
}
