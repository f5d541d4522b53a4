//! One task for each source of keys: asks the issuer when it is time or when a token names an unknown key, and reports.
//!
//! A keeper has at most one attempt under way, and everybody who waits for keys shares it: all tokens, and all
//! authenticators of the same source. Keepers know nothing of each other, so an issuer that takes its time costs nobody
//! else anything.

use std::{fmt, sync::Arc, time::Duration};

use tokio::{
    sync::{Semaphore, mpsc},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    idp::{
        http::IssuerClient,
        issuer::{self, Attempt, IssuerReport, IssuerState, KeysFrom, LastGood},
        key_schedule::UnknownKey,
    },
    index::RefreshRequest,
    jwt::{Issuer, KeyId},
    runtime::metrics::Metrics,
    time::{Clock, UnixTime},
};

/// Attempts under way at once, over all authenticators: as many as kube-apiserver takes authenticators at all, so in
/// practice nobody ever waits for another's issuer. The bound is there for memory: an attempt may read 640 KiB.
pub(in crate::controllers) const ATTEMPTS_AT_ONCE: usize = 64;

/// Requests that may wait for one attempt. They are answered together; a request waits two seconds at most, so this
/// many are a flood, and the rest of the flood is told at once that there is nothing new.
const WAITING: usize = 256;

/// How long an earlier process's keys wait for the issuer to answer. An issuer that refuses or is not there lets them
/// serve at once; one that stalls would take ten seconds, and a replica counts as ready after three.
const FIRST_WORD: Duration = Duration::from_secs(2);

/// A random number in `[0, 1)` at each call. The composition root makes it: nobody else owns a source of chance.
#[derive(Clone)]
pub struct Jitter(Arc<dyn Fn() -> f64 + Send + Sync>);

/// Tells one keeper's reports from those of an earlier keeper of the same source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::controllers) struct KeeperId(pub(in crate::controllers) u64);

/// What a keeper has to say after an attempt, or to somebody who asks for a key that is there already.
#[derive(Debug)]
pub(in crate::controllers) struct KeeperReport {
    /// Who says it.
    pub(in crate::controllers) keeper: KeeperId,
    /// What is known now.
    pub(in crate::controllers) report: IssuerReport,
    /// The words for the metrics, one for each fetch that was tried since the last report.
    pub(in crate::controllers) results: Vec<&'static str>,
    /// Requests to answer once the report is in force, and whether judging again is worth it.
    pub(in crate::controllers) answers: Vec<(RefreshRequest, bool)>,
}

/// What keepers share.
#[derive(Clone, Debug)]
pub(in crate::controllers) struct Surroundings {
    /// Tells the time.
    pub(in crate::controllers) clock: Arc<dyn Clock>,
    /// See [`Jitter`].
    pub(in crate::controllers) jitter: Jitter,
    /// See [`ATTEMPTS_AT_ONCE`].
    pub(in crate::controllers) attempts: Arc<Semaphore>,
    /// Counts fetches.
    pub(in crate::controllers) metrics: Metrics,
    /// Where reports go.
    pub(in crate::controllers) reports: mpsc::Sender<KeeperReport>,
}

/// The task itself.
#[derive(Debug)]
pub(in crate::controllers) struct Keeper {
    /// Who it is.
    pub(in crate::controllers) id: KeeperId,
    /// The issuer it asks.
    pub(in crate::controllers) issuer: Issuer,
    /// Where its keys are.
    pub(in crate::controllers) from: KeysFrom,
    /// Earlier processes' keys, as they are found.
    pub(in crate::controllers) remembered: mpsc::Receiver<LastGood>,
    /// By which client.
    pub(in crate::controllers) client: IssuerClient,
    /// Requests for unknown keys.
    pub(in crate::controllers) requests: mpsc::Receiver<RefreshRequest>,
    /// What all keepers share.
    pub(in crate::controllers) around: Surroundings,
}

// === impl Jitter ===

impl Jitter {
    /// Chance from `source`, which must return numbers in `[0, 1)`.
    pub fn new(source: impl Fn() -> f64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(source))
    }

    fn draw(&self) -> f64 {
        (self.0)()
    }
}

impl fmt::Debug for Jitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Jitter")
    }
}

// === impl Keeper ===

impl Keeper {
    /// Keeps the keys until `stop`, or until nobody listens any more.
    pub(in crate::controllers) async fn run(mut self, stop: CancellationToken) {
        let mut state = IssuerState::new(self.issuer.as_str(), self.from.clone(), self.around.clock.now());
        let first_word = Instant::now() + FIRST_WORD;
        let work = async {
            loop {
                let waiting = self.rest(&mut state).await?;
                let (attempt, waiting) = self.attempt(&mut state, waiting, first_word).await?;
                self.tell(&mut state, attempt, waiting).await?;
            }
        };
        // `None`: the other end of a channel is gone, and with it the reason to keep keys.
        let _: Option<Option<()>> = stop.run_until_cancelled(work).await;
    }

    /// Waits until an attempt is due, and returns the requests that made it due.
    async fn rest(&mut self, state: &mut IssuerState) -> Option<Vec<RefreshRequest>> {
        loop {
            let wait = state.wait(self.around.clock.now());
            tokio::select! {
                () = tokio::time::sleep(wait) => return Some(Vec::new()),
                last = self.remembered.recv() => self.remember(state, last?).await?,
                request = self.requests.recv() => {
                    let request = request?;
                    if let Some(request) = self.worth_an_attempt(state, request).await? {
                        return Some(vec![request]);
                    }
                }
            }
        }
    }

    /// Answers a request for a key that is there already or that it is too soon to ask for; hands the others back. The
    /// outer `None`: nobody listens any more.
    async fn worth_an_attempt(
        &self,
        state: &mut IssuerState,
        request: RefreshRequest,
    ) -> Option<Option<RefreshRequest>> {
        if request.key_id.as_ref().is_some_and(|id| state.knows(id)) {
            // The token was judged by a snapshot from before the last fetch. That fetch's report may still be on its
            // way to the index, so the answer goes behind it: "there are new keys" must mean that the index has them.
            self.send(state, Vec::new(), vec![(request, true)]).await?;
            return Some(None);
        }
        match state.unknown_key(request.key_id.as_ref(), self.around.clock.now()) {
            UnknownKey::Fetch => Some(Some(request)),
            UnknownKey::KnownInVain | UnknownKey::Throttled => {
                self.around.metrics.keys_fetch_suppressed();
                request.answer(false);
                Some(None)
            }
        }
    }

    /// Asks the issuer, and meanwhile lets newcomers wait for the same answer.
    async fn attempt(
        &mut self,
        state: &mut IssuerState,
        mut waiting: Vec<RefreshRequest>,
        first_word: Instant,
    ) -> Option<(Attempt, Vec<RefreshRequest>)> {
        let errand = state.errand(self.around.clock.now());
        let (client, attempts) = (&self.client, &self.around.attempts);
        let attempt = async {
            let _permit = attempts.acquire().await.ok()?;
            Some(issuer::run(client, errand).await)
        };
        tokio::pin!(attempt);
        loop {
            tokio::select! {
                attempt = &mut attempt => return Some((attempt?, waiting)),
                last = self.remembered.recv() => self.remember(state, last?).await?,
                () = sleep_until(first_word), if state.remembers() => {
                    if state.adopt(self.around.clock.now()) {
                        self.adopted(state).await?;
                    }
                }
                request = self.requests.recv() => {
                    let request = request?;
                    self.around.metrics.keys_fetch_suppressed();
                    if waiting.len() < WAITING {
                        waiting.push(request);
                    } else {
                        request.answer(false);
                    }
                }
            }
        }
    }

    /// Takes the attempt in and reports.
    async fn tell(&self, state: &mut IssuerState, attempt: Attempt, waiting: Vec<RefreshRequest>) -> Option<()> {
        let now = self.around.clock.now();
        let before = state.report();
        let applied = state.apply(attempt, now, self.around.jitter.draw());
        let answers = waiting.into_iter().map(|request| judge(state, request, applied.changed, now)).collect();
        let report = state.report();
        self.log(&report, applied.changed, before.trouble.is_some());
        if report.keys_restored && !before.keys_restored {
            self.adopted(state).await?;
        }
        self.send(state, applied.results, answers).await
    }

    async fn remember(&self, state: &mut IssuerState, last: LastGood) -> Option<()> {
        if state.remember(last, self.around.clock.now()) { self.adopted(state).await } else { Some(()) }
    }

    async fn adopted(&self, state: &IssuerState) -> Option<()> {
        let (issuer, report) = (self.issuer.as_str(), state.report());
        if let (Some(fetched_at), Some(until)) = (report.keys_fetched_at, report.keys_dropped_at) {
            tracing::warn!(issuer, %fetched_at, %until, "The issuer does not answer: its last good keys are in use");
        }
        self.send(state, Vec::new(), Vec::new()).await
    }

    async fn send(
        &self,
        state: &IssuerState,
        results: Vec<&'static str>,
        answers: Vec<(RefreshRequest, bool)>,
    ) -> Option<()> {
        let report = KeeperReport { keeper: self.id, report: state.report(), results, answers };
        self.around.reports.send(report).await.ok()
    }

    fn log(&self, report: &IssuerReport, changed: bool, was_in_trouble: bool) {
        let issuer = self.issuer.as_str();
        match (&report.trouble, was_in_trouble) {
            (Some(trouble), false) => {
                let (result, error) = (trouble.result, &trouble.sentence);
                tracing::warn!(issuer, result, error, "Cannot get the issuer's keys");
            }
            (None, true) => tracing::info!(issuer, "The issuer answers again"),
            (Some(_), true) | (None, false) => {}
        }
        if changed {
            let keys = report.keys.as_ref().map_or(0, |held| held.keys.len());
            tracing::info!(issuer, keys, "The issuer's keys changed");
        }
    }
}

/// Judging again is worth it when the key is there now; for a token that names none, when anything changed.
fn judge(state: &mut IssuerState, request: RefreshRequest, changed: bool, now: UnixTime) -> (RefreshRequest, bool) {
    let key_id: Option<&KeyId> = request.key_id.as_ref();
    let found = key_id.map_or(changed, |id| state.knows(id));
    if !found {
        state.asked_in_vain(key_id, now);
    }
    (request, found)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use futures::FutureExt;
    use serde_json::json;

    use super::*;
    use crate::{
        idp::{http::Limits, jwks::FetchedKeys},
        index::{AuthenticatorName, refresh_channel},
        time::ManualClock,
    };

    const NOW: UnixTime = UnixTime::from_secs(1_795_233_600);
    const ISSUER: &str = "https://idp.example.com";

    fn last_good() -> LastGood {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let point = pair.public_key().as_ref();
        let [x, y] = [&point[1..33], &point[33..]].map(|half| URL_SAFE_NO_PAD.encode(half));
        let set = json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "one", "x": x, "y": y}]}).to_string();
        let keys = FetchedKeys::parse(set.as_bytes(), format!("{ISSUER}/keys").parse().unwrap()).unwrap();
        LastGood { keys: Arc::new(keys), discovered: None, fetched_at: NOW }
    }

    #[tokio::test]
    async fn a_request_for_a_key_that_is_there_is_answered_behind_the_report_that_has_it() {
        let (reporter, mut reports) = mpsc::channel(1);
        let (_requests, requests) = mpsc::channel(1);
        let (_remembered, remembered) = mpsc::channel(1);
        let roots = rcgen::generate_simple_self_signed(["idp.example.com".to_owned()]).unwrap().cert.der().clone();
        let keeper = Keeper {
            id: KeeperId(7),
            issuer: Issuer::new(ISSUER.to_owned()),
            from: KeysFrom::Discovery,
            remembered,
            client: IssuerClient::new(Some(&[roots]), Limits::default()).unwrap(),
            requests,
            around: Surroundings {
                clock: Arc::new(ManualClock::new(NOW)),
                jitter: Jitter::new(|| 0.0),
                attempts: Arc::new(Semaphore::new(1)),
                metrics: Metrics::new(),
                reports: reporter,
            },
        };
        let mut state = IssuerState::new(ISSUER, KeysFrom::Discovery, NOW);
        state.remember(last_good(), NOW);
        assert!(state.adopt(NOW));

        let (requester, mut queue) = refresh_channel();
        let (name, key_id) = (AuthenticatorName::new("staff"), KeyId::new("one"));
        let mut asking = Box::pin(requester.request(&name, key_id.as_ref()));
        assert!(asking.as_mut().now_or_never().is_none());
        let request = queue.recv().await.unwrap();
        assert!(keeper.worth_an_attempt(&mut state, request).await.unwrap().is_none(), "no fetch for it");
        assert!(asking.as_mut().now_or_never().is_none(), "answered before the index could have the key");

        let KeeperReport { keeper, report, answers, .. } = reports.recv().await.unwrap();
        assert_eq!(keeper, KeeperId(7));
        assert!(report.keys.is_some_and(|held| held.keys.contains(key_id.as_ref().unwrap())));
        for (request, changed) in answers {
            request.answer(changed);
        }
        assert!(asking.await);
    }
}
