//! The keys of a `JWTAuthenticator` as they stand, wherever they come from, and what its status and its metrics tell of
//! them. Pure.

use std::{sync::Arc, time::Duration};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use latchkey_crds::authentication::{AuthenticatorStatus, KeysStatus, MAX_DROPPED_KEY_CHARS, MAX_DROPPED_KEYS_TOLD};

use super::{Observed, Source, Word};
use crate::{
    controllers::status::kubernetes_time,
    convert::KeySource,
    idp::issuer::{IssuerReport, KeysFrom},
    jwt::{AlgorithmSet, DropReason, DroppedKey, KeySet},
    runtime::metrics::KeysState,
    time::UnixTime,
};

/// The times in a status are written anew when they have moved by this much, or when something else has changed. Keys
/// are fetched every few minutes by every replica; to tell of each fetch would cost the API server a write each, and
/// every watcher an event. The metrics are to the second.
const TIMES_ANEW: Duration = Duration::from_mins(15);

/// Where the keys come from, and what is known of them.
#[derive(Debug, Clone, Copy)]
pub(in crate::controllers) enum Standing<'a> {
    /// From the spec: nobody is asked.
    Inline(&'a Arc<KeySet>, &'a [DroppedKey]),
    /// From an issuer, which is asked.
    Asked(&'a KeysFrom, &'a IssuerReport),
}

/// What admits, if anything does.
pub(super) struct InForce<'a> {
    pub(super) keys: &'a Arc<KeySet>,
    pub(super) fetched_at: UnixTime,
}

/// The keys as they stand; `None` while there is no source, or none that could be asked.
pub(in crate::controllers) fn standing<'a>(
    observed: &Observed<'a>,
    asked: Option<(&'a Source, &'a Word)>,
) -> Option<Standing<'a>> {
    if let Ok(KeySource::Inline { keys, dropped }) = &observed.spec.as_ref().ok()?.keys {
        return Some(Standing::Inline(keys, dropped));
    }
    match asked? {
        (source, Word::Report(report)) => Some(Standing::Asked(&source.from, report)),
        (_, Word::NoClient(_)) => None,
    }
}

// === impl Standing ===

impl<'a> Standing<'a> {
    /// The keys by which tokens are judged. `seen_at` is when the spec was first seen.
    pub(super) fn in_force(self, seen_at: UnixTime) -> Option<InForce<'a>> {
        let (keys, fetched_at) = match self {
            Self::Inline(keys, _) => (keys, seen_at),
            Self::Asked(_, report) => (&report.keys.as_ref()?.keys, report.keys_fetched_at?),
        };
        Some(InForce { keys, fetched_at })
    }

    /// What the issuer announces narrows what the spec accepts; an issuer that announces nothing narrows nothing.
    pub(super) fn algorithms(self, accepted: AlgorithmSet) -> AlgorithmSet {
        let announced = match self {
            Self::Inline(..) => None,
            Self::Asked(_, report) => report.discovered.as_ref().and_then(|found| found.signing_algorithms.as_ref()),
        };
        announced.map_or(accepted, |names| accepted.intersect(AlgorithmSet::from_names(names.iter())))
    }

    /// The keys that were left out.
    pub(super) fn dropped(self) -> &'a [DroppedKey] {
        match self {
            Self::Inline(_, dropped) => dropped,
            Self::Asked(_, report) => report.keys.as_ref().map_or(&[], |held| &held.dropped),
        }
    }

    /// The keys whose secret part the issuer shows to everybody.
    pub(super) fn exposed(self) -> impl Iterator<Item = &'a DroppedKey> {
        let exposed = |key: &&DroppedKey| matches!(key.reason, DropReason::PrivateKey | DropReason::SymmetricKey);
        self.dropped().iter().filter(exposed)
    }

    fn usable(self) -> usize {
        match self {
            Self::Inline(keys, _) => keys.len(),
            Self::Asked(_, report) => report.keys.as_ref().map_or(0, |held| held.keys.len()),
        }
    }

    /// For the metrics.
    pub(in crate::controllers) fn state(self) -> KeysState {
        let (usable, exposed) = (self.usable(), self.exposed().count());
        match self {
            Self::Inline(..) => KeysState { usable, exposed, ..KeysState::default() },
            Self::Asked(_, report) => KeysState {
                usable,
                exposed,
                fetched_at: report.keys_fetched_at,
                next_fetch_at: report.next_fetch_at,
                failing_since: report.failing_since,
            },
        }
    }

    /// For the status.
    pub(super) fn status(self) -> KeysStatus {
        let told = |key: &DroppedKey| key.to_string().chars().take(MAX_DROPPED_KEY_CHARS).collect();
        let mut status = KeysStatus {
            usable: u32::try_from(self.usable()).unwrap_or(u32::MAX),
            dropped: self.dropped().iter().take(MAX_DROPPED_KEYS_TOLD).map(told).collect(),
            ..KeysStatus::default()
        };
        match self {
            Self::Inline(..) => "spec.jwks.inline".clone_into(&mut status.source),
            Self::Asked(_, report) => {
                if let Some(held) = &report.keys {
                    held.url.as_str().clone_into(&mut status.source);
                }
                status.last_fetch_time = report.keys_fetched_at.map(kubernetes_time);
                status.next_fetch_time = report.next_fetch_at.map(kubernetes_time);
                let trouble = report.trouble.as_ref().filter(|_| report.keys_failing || report.keys.is_none());
                status.failing_since = trouble.map(|trouble| kubernetes_time(trouble.since));
            }
        }
        status
    }
}

/// Leaves the times of `standing` in `status` when they are all that is new and have not moved far.
pub(super) fn keep_times(status: &mut AuthenticatorStatus, standing: &AuthenticatorStatus) {
    let (Some(new), Some(old)) = (&status.keys, &standing.keys) else { return };
    if near(new.last_fetch_time.as_ref(), old.last_fetch_time.as_ref())
        && near(new.next_fetch_time.as_ref(), old.next_fetch_time.as_ref())
    {
        let (last_fetch_time, next_fetch_time) = (old.last_fetch_time.clone(), old.next_fetch_time.clone());
        let keys = KeysStatus { last_fetch_time, next_fetch_time, ..new.clone() };
        let unchanged = AuthenticatorStatus { keys: Some(keys), ..status.clone() };
        if unchanged == *standing {
            *status = unchanged;
        }
    }
}

fn near(one: Option<&Time>, other: Option<&Time>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.0.as_second().abs_diff(other.0.as_second()) < TIMES_ANEW.as_secs(),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}
