//! The keys of issuers that sign claims but not our tokens: found by discovery when they are first needed, on the same
//! bounded schedule as any issuer's.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::OwnedMutexGuard;

use crate::{
    idp::{
        http::IssuerClient,
        issuer::{self, IssuerState, KeysFrom},
        key_schedule::UnknownKey,
    },
    jwt::{KeyId, KeySet},
    mapping::Origin,
    time::{Clock, UnixTime},
};

/// Issuers whose keys are kept for one authenticator. An origin on the list could make up one after the other.
const MAX_ISSUERS: usize = 16;

/// Where in the time left the next fetch falls. Elsewhere it is chance, so that replicas do not ask all at once; here
/// nobody asks before a token comes, and those come by chance.
const FRACTION: f64 = 0.5;

/// All of them.
#[derive(Debug)]
pub(super) struct Issuers {
    client: Arc<IssuerClient>,
    states: Mutex<HashMap<String, Arc<tokio::sync::Mutex<IssuerState>>>>,
}

/// Why there are no keys.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum IssuerProblem {
    #[error("is neither the authenticator's own nor on an origin among claims.distributed.allowedOrigins")]
    NotAllowed,
    #[error("there are {MAX_ISSUERS} others already")]
    TooMany,
    #[error("its keys cannot be had: {0}")]
    NoKeys(String),
}

impl Issuers {
    pub(super) fn new(client: Arc<IssuerClient>) -> Self {
        Self { client, states: Mutex::default() }
    }

    /// The keys of `issuer`, fetched if they are due.
    pub(super) async fn keys(
        &self,
        issuer: &str,
        allowed: &[Origin],
        clock: &dyn Clock,
    ) -> Result<Arc<KeySet>, IssuerProblem> {
        if !Origin::of(issuer).is_some_and(|origin| allowed.contains(&origin)) {
            return Err(IssuerProblem::NotAllowed);
        }
        let mut state = self.state(issuer, clock.now())?.lock_owned().await;
        let now = clock.now();
        if state.wait(now).is_zero() {
            state = self.fetch(state, now).await;
        }
        usable(&state, now).ok_or_else(|| IssuerProblem::NoKeys(sentence(&state)))
    }

    /// The keys of an issuer that is known, fetched anew because `key_id` was not among them; `None` if that is not worth
    /// it or brings nothing.
    pub(super) async fn fresh_keys(
        &self,
        issuer: &str,
        key_id: Option<&KeyId>,
        clock: &dyn Clock,
    ) -> Option<Arc<KeySet>> {
        let mut state = self.state(issuer, clock.now()).ok()?.lock_owned().await;
        let now = clock.now();
        // Somebody else may have fetched them while this one waited.
        if !key_id.is_some_and(|id| state.knows(id)) {
            if state.unknown_key(key_id, now) != UnknownKey::Fetch {
                return None;
            }
            state = self.fetch(state, now).await;
            if !key_id.is_some_and(|id| state.knows(id)) {
                state.asked_in_vain(key_id, now);
            }
        }
        usable(&state, now)
    }

    fn state(&self, issuer: &str, now: UnixTime) -> Result<Arc<tokio::sync::Mutex<IssuerState>>, IssuerProblem> {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = states.get(issuer) {
            return Ok(Arc::clone(state));
        }
        if states.len() >= MAX_ISSUERS {
            return Err(IssuerProblem::TooMany);
        }
        let state = IssuerState::new(issuer, KeysFrom::Discovery, now);
        let state = Arc::new(tokio::sync::Mutex::new(state));
        states.insert(issuer.to_owned(), Arc::clone(&state));
        Ok(state)
    }

    /// Asks the issuer. In a task of its own: who asked may go away meanwhile, and an attempt that nobody noted would not
    /// count against the schedule.
    async fn fetch(&self, state: OwnedMutexGuard<IssuerState>, now: UnixTime) -> OwnedMutexGuard<IssuerState> {
        let client = Arc::clone(&self.client);
        let asked = tokio::spawn(async move {
            let mut state = state;
            let attempt = issuer::run(&client, state.errand(now)).await;
            state.apply(attempt, now, FRACTION);
            state
        });
        match asked.await {
            Ok(state) => state,
            // A panic is a bug, and goes on; the runtime's end ends this request too.
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => std::future::pending().await,
        }
    }
}

/// The keys in use, if they are not beyond their age.
fn usable(state: &IssuerState, now: UnixTime) -> Option<Arc<KeySet>> {
    let report = state.report();
    let in_time = report.keys_dropped_at.is_some_and(|end| now < end);
    report.keys.filter(|_| in_time).map(|held| Arc::clone(&held.keys))
}

fn sentence(state: &IssuerState) -> String {
    state.report().trouble.map_or_else(|| "not asked yet".to_owned(), |trouble| trouble.sentence)
}
