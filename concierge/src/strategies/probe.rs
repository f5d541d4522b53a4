//! Tries each strategy as a person without rights would, and keeps trying.

use std::time::Duration;

use tokio::{
    sync::{Notify, watch},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::{
    Failure, Strategies,
    availability::{Availability, Detail, Fault},
};
use crate::credential::StrategyKind;

/// How often a working strategy is tried again. Our own authority costs one TLS handshake, and an API server that has
/// forgotten it makes every certificate worthless; the cluster's signer costs an object, and failures in use are noticed
/// anyway.
const OWN_AGAIN: Duration = Duration::from_mins(5);
const CLUSTER_AGAIN: Duration = Duration::from_hours(1);

/// Pauses after a failure: from a moment, doubling, to these. An admin who has just appended our certificate waits a
/// minute at most; a cluster whose signer never answers gets a hopeless request every five minutes.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const OWN_LONGEST_PAUSE: Duration = Duration::from_mins(1);
const CLUSTER_LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// Pause before a probe that a failed exchange asked for, however many fail meanwhile: a person with a token and a bad request shall not make
/// us probe all day.
const SPACING: Duration = Duration::from_secs(1);

/// Tries our own authority, and the next one beside it.
pub(super) async fn own(strategies: &Strategies, next_is_trusted: watch::Sender<bool>, stop: CancellationToken) {
    let kind = StrategyKind::ClientCertificateAuthority;
    let mut authority = strategies.own.authority();
    let mut pause = FIRST_PAUSE;
    loop {
        authority.mark_unchanged();
        let tried = async { (strategies.own.probe().await, strategies.own.is_next_trusted().await) };
        let Some((found, trusted)) = stop.run_until_cancelled(tried).await else { return };
        let works = found.is_ok();
        conclude(strategies, kind, found);
        next_is_trusted.send_if_modified(|known| std::mem::replace(known, trusted) != trusted);
        let wait = if works { OWN_AGAIN } else { pause };
        pause = if works { FIRST_PAUSE } else { (pause * 2).min(OWN_LONGEST_PAUSE) };
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(wait) => {}
            () = doubted(&strategies.doubts.own) => {}
            // A changed Secret is a new authority. The sender lives as long as the process; should it go, time remains.
            Ok(()) = authority.changed() => pause = FIRST_PAUSE,
        }
    }
}

/// Tries the cluster's signer.
pub(super) async fn cluster(strategies: &Strategies, stop: CancellationToken) {
    let kind = StrategyKind::CertificateSigningRequestAPI;
    let mut pause = FIRST_PAUSE;
    loop {
        let Some(found) = stop.run_until_cancelled(strategies.cluster.probe()).await else { return };
        let works = found.is_ok();
        conclude(strategies, kind, found);
        let wait = if works { CLUSTER_AGAIN } else { pause };
        pause = if works { FIRST_PAUSE } else { (pause * 2).min(CLUSTER_LONGEST_PAUSE) };
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(wait) => {}
            () = doubted(&strategies.doubts.cluster) => {}
        }
    }
}

async fn doubted(doubt: &Notify) {
    doubt.notified().await;
    sleep(SPACING).await;
}

fn conclude(strategies: &Strategies, kind: StrategyKind, found: Result<(), Failure>) {
    let known = strategies.states.borrow().clone().of(kind).clone();
    if let Some(state) = verdict(kind, &known, found) {
        strategies.set(kind, state);
    }
}

/// What a probe's outcome says about a strategy; `None` if nothing new.
fn verdict(kind: StrategyKind, known: &Availability, found: Result<(), Failure>) -> Option<Availability> {
    let fault = match found {
        Ok(()) => return Some(Availability::Usable),
        // The place was taken by people's exchanges: they tell better than a probe whether it works. Or there is nothing
        // to try yet.
        Err(Failure::Overloaded | Failure::TooEarly) => return None,
        Err(Failure::TimedOut(limit)) if kind == StrategyKind::CertificateSigningRequestAPI => {
            Fault::SignerNeverAnswered(limit)
        }
        Err(Failure::TimedOut(limit)) => {
            Fault::Unreachable(Detail::new(&format!("no answer within {} s", limit.as_secs())))
        }
        Err(Failure::Internal(error)) => Fault::Unreachable(Detail::of(&error)),
        Err(Failure::Refused(detail)) => Fault::SignerFailed(detail),
        Err(Failure::SubjectDiffers(_)) => Fault::SignerFailed(Detail::new("the probe's own subject differs")),
        Err(Failure::Unusable(fault)) => fault,
    };
    // An API server that cannot be reached has not changed its mind about whom it trusts.
    let is_outage = matches!(fault, Fault::Unreachable(_));
    let is_known_to_work = *known == Availability::Usable;
    (!(is_outage && is_known_to_work)).then_some(Availability::Unusable(fault))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_does_not_undo_what_was_seen_to_work() {
        let outage = || Failure::Unusable(Fault::Unreachable(Detail::new("connection refused")));
        let own = StrategyKind::ClientCertificateAuthority;
        assert_eq!(verdict(own, &Availability::Usable, Err(outage())), None);
        assert!(matches!(
            verdict(own, &Availability::Pending, Err(outage())),
            Some(Availability::Unusable(Fault::Unreachable(_)))
        ));
        assert_eq!(verdict(own, &Availability::Usable, Err(Failure::TimedOut(Duration::from_secs(10)))), None);
    }

    #[test]
    fn a_signer_that_never_answers_is_told_from_an_api_server_that_does_not() {
        let limit = Duration::from_secs(10);
        let timed_out = || Err(Failure::TimedOut(limit));
        assert_eq!(
            verdict(StrategyKind::CertificateSigningRequestAPI, &Availability::Usable, timed_out()),
            Some(Availability::Unusable(Fault::SignerNeverAnswered(limit)))
        );
        assert!(matches!(
            verdict(StrategyKind::ClientCertificateAuthority, &Availability::Pending, timed_out()),
            Some(Availability::Unusable(Fault::Unreachable(_)))
        ));
    }

    #[test]
    fn a_probe_that_found_no_place_says_nothing() {
        let kind = StrategyKind::CertificateSigningRequestAPI;
        assert_eq!(verdict(kind, &Availability::Usable, Err(Failure::Overloaded)), None);
        assert_eq!(verdict(kind, &Availability::Pending, Err(Failure::Overloaded)), None);
        assert_eq!(verdict(kind, &Availability::Pending, Err(Failure::TooEarly)), None);
    }

    #[test]
    fn success_is_believed() {
        let broken = Availability::Unusable(Fault::Disabled);
        let kind = StrategyKind::CertificateSigningRequestAPI;
        assert_eq!(verdict(kind, &broken, Ok(())), Some(Availability::Usable));
    }
}
