//! Certificate requests are deleted, whatever happens: at once by who made them, later by the leader.

use std::{collections::BTreeMap, pin::pin, time::Duration};

use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams},
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::certificate_signing_request_api::{Debris, IN_FLIGHT, LABEL, NAME_PREFIX, Remains};
use crate::runtime::lease::Leadership;

/// Tries for one deletion, with growing pauses: together about 6 s, then the janitor's turn.
const TRIES: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(400);
const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// How long a stopping process still deletes what it made: an exchange that began just before lasts 10 s at most, after
/// 5 s of waiting for its place.
const FAREWELL: Duration = Duration::from_secs(15);

/// How often the leader looks for objects of replicas that died in the middle of an exchange.
const ROUND: Duration = Duration::from_secs(30);
/// How long one must have been seen before it is a leftover. An exchange lasts at most 10 s.
const LEFTOVER_AFTER: Duration = Duration::from_mins(1);
/// Objects looked at in one round: many times what all replicas together may have under way. More wait for the next.
const PAGE: u32 = 500;

/// Deletes what exchanges leave. After `served`, when no connection brings another, it goes on until none is under way, and
/// lets no new one begin.
pub(super) async fn sweep(client: Client, remains: Remains, served: CancellationToken) {
    let requests: Api<CertificateSigningRequest> = Api::all(client);
    let Remains { mut debris, slots } = remains;
    let mut deletions = JoinSet::new();
    let mut quiet = pin!(async {
        served.cancelled().await;
        // Who holds every place knows that every exchange has ended and its object is gone. The queue is fair, so those
        // who waited before come first.
        let all = timeout(FAREWELL, slots.acquire_many(IN_FLIGHT.try_into().unwrap_or(u32::MAX))).await;
        slots.close();
        all.is_ok()
    });
    loop {
        tokio::select! {
            // Bounded: each carries one of IN_FLIGHT slots.
            Some(debris) = debris.recv() => { deletions.spawn(remove(requests.clone(), debris)); }
            Some(_) = deletions.join_next(), if !deletions.is_empty() => {}
            is_quiet = &mut quiet => {
                if !is_quiet {
                    tracing::warn!(at_most = IN_FLIGHT, "Certificate requests left to the janitor");
                }
                return;
            }
        }
    }
}

async fn remove(requests: Api<CertificateSigningRequest>, debris: Debris) {
    // The slot is free for the next exchange only when the object is gone, or given up.
    let Debris { name, slot: _slot } = debris;
    let mut pause = FIRST_PAUSE;
    for _ in 0..TRIES {
        if delete(&requests, &name).await {
            return;
        }
        sleep(pause).await;
        pause *= 2;
    }
    tracing::warn!(%name, "Certificate request not deleted, left to the janitor");
}

async fn delete(requests: &Api<CertificateSigningRequest>, name: &str) -> bool {
    match timeout(REQUEST_LIMIT, requests.delete(name, &DeleteParams::default())).await {
        Ok(Ok(_)) => true,
        Ok(Err(kube::Error::Api(status))) => status.code == 404,
        Ok(Err(_)) | Err(_) => false,
    }
}

/// While this replica leads, deletes requests that nobody has taken away.
///
/// Age is measured from when this replica first saw an object, on its monotonic clock, and not from the object's
/// creation time: with a wrong wall clock the latter would delete requests under way, or never anything.
pub(super) async fn janitor(client: Client, mut leadership: Leadership, stop: CancellationToken) {
    let requests: Api<CertificateSigningRequest> = Api::all(client);
    let start = Instant::now();
    let mut seen = BTreeMap::new();
    loop {
        tokio::select! {
            // Who stops begins no round, even while leading.
            biased;
            () = stop.cancelled() => return,
            () = leadership.won() => {}
        }
        let params = ListParams::default().labels(LABEL).limit(PAGE);
        match timeout(REQUEST_LIMIT, requests.list_metadata(&params)).await {
            Ok(Ok(list)) => {
                let names = list.items.into_iter().filter_map(|object| object.metadata.name);
                for name in leftovers(&mut seen, names, start.elapsed()) {
                    let deleted = delete(&requests, &name).await;
                    tracing::info!(%name, deleted, "Deleting a certificate request that nobody took away");
                }
            }
            Ok(Err(error)) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "Certificate requests not listed");
            }
            Err(_) => tracing::debug!("Certificate requests not listed in time"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(ROUND) => {}
        }
    }
}

/// The names that have been there for too long. `seen` remembers since when, and forgets what is gone, so it never
/// holds more than one page.
fn leftovers(
    seen: &mut BTreeMap<String, Duration>,
    listed: impl Iterator<Item = String>,
    now: Duration,
) -> Vec<String> {
    let before = std::mem::take(seen);
    for name in listed.filter(|name| name.starts_with(NAME_PREFIX)) {
        let since = before.get(&name).copied().unwrap_or(now);
        seen.insert(name, since);
    }
    seen.iter()
        .filter(|(_, since)| now.saturating_sub(**since) >= LEFTOVER_AFTER)
        .map(|(name, _)| name.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stays_for_a_minute_is_a_leftover() {
        let mut seen = BTreeMap::new();
        let mut round = |names: &[&str], seconds| {
            leftovers(&mut seen, names.iter().map(|&name| name.to_owned()), Duration::from_secs(seconds))
        };
        assert!(round(&["latchkey-a", "other-x"], 0).is_empty());
        assert!(round(&["latchkey-a", "latchkey-b", "other-x"], 30).is_empty());
        assert_eq!(round(&["latchkey-a", "latchkey-b", "other-x"], 60), ["latchkey-a"]);
        assert_eq!(round(&["latchkey-b"], 90), ["latchkey-b"]);
        assert!(round(&[], 120).is_empty());
        assert!(round(&["latchkey-b"], 150).is_empty(), "a name that comes back starts anew");
        assert_eq!(seen.len(), 1);
    }
}
