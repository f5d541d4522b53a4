//! What follows from a `JWTAuthenticator`: whom to ask for keys, what to admit by, and what to tell. Pure.
//!
//! [`plan`] is the middle of observe, plan, act. It is level-triggered: from all that is known now it says how
//! everything should be, and the task in `authenticators` makes it so.

mod audience;
pub(super) mod conditions;
pub(super) mod keeper;
pub(super) mod record;
pub(super) mod standing;

use std::{sync::Arc, time::Duration};

use latchkey_crds::authentication::AuthenticatorStatus;

pub(super) use self::audience::{ClusterView, Twins};
use self::standing::{InForce, Standing};
use super::status::{self, Truth};
use crate::{
    convert::{Bundle, InvalidSpec, JwtSpec, KeySource, TlsProblem},
    idp::issuer::{IssuerReport, KeysFrom},
    index::{Authenticator, AuthenticatorName},
    jwt::{Issuer, Verifier},
    runtime::metrics::KeysState,
    time::UnixTime,
};

/// A new generation whose issuer was not asked yet is told as pending only after this long: most issuers answer
/// sooner, and then one write says it all.
const PENDING_GRACE: Duration = Duration::from_secs(2);

/// Where keys come from. Keys fetched from one source say nothing about another: a new issuer or other trust roots
/// start from nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    /// The issuer.
    pub(super) issuer: Issuer,
    /// Where its keys are found.
    pub(super) from: KeysFrom,
    /// The trust roots; `None` for the system's.
    pub(super) bundle: Option<Bundle>,
}

/// The trust roots, as far as they are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trust {
    /// The object that holds them is being read.
    Loading,
    /// There are none, and that is the user's to mend.
    Problem(TlsProblem),
    /// The system's.
    System,
    /// The object that holds them cannot be read; tried again.
    Unreadable(String),
    /// A bundle of the user's.
    Bundle(Bundle),
}

/// What is known of a source.
#[derive(Debug, Clone)]
pub(super) enum Word {
    /// No client could be made with these trust roots.
    NoClient(String),
    /// What its keeper last reported; all empty before its first attempt has ended.
    Report(IssuerReport),
}

/// All that is known of one object.
#[derive(Debug)]
pub(super) struct Observed<'a> {
    /// `metadata.name`.
    pub(super) name: &'a AuthenticatorName,
    /// `metadata.uid`.
    pub(super) uid: &'a str,
    /// `metadata.generation`.
    pub(super) generation: i64,
    /// The spec, converted.
    pub(super) spec: &'a Result<JwtSpec, InvalidSpec>,
    /// The trust roots that the spec names.
    pub(super) trust: &'a Trust,
    /// The source that is being asked, and its latest word.
    pub(super) asked: Option<(&'a Source, &'a Word)>,
    /// This cluster among others.
    pub(super) cluster: ClusterView<'a>,
    /// The status as it stands in the API.
    pub(super) status: &'a AuthenticatorStatus,
    /// When this generation was first seen.
    pub(super) seen_at: UnixTime,
}

/// How everything should be.
#[derive(Debug)]
pub(super) struct Plan {
    /// Whom to ask for keys; nobody, if the spec names nobody who could be asked.
    pub(super) source: Option<Source>,
    /// What to admit by; nothing: nobody is admitted.
    pub(super) admit: Option<Authenticator>,
    /// The status to write, if it is another than the one that stands there.
    pub(super) status: Option<AuthenticatorStatus>,
    /// Why nobody is admitted, in the words of the first condition that says so.
    pub(super) obstacle: Option<String>,
    /// The keys as the metrics tell of them.
    pub(super) keys: KeysState,
    /// Plan again after this long even if nothing happens.
    pub(super) again_in: Option<Duration>,
}

/// Plans for one object at the time `now`.
pub(super) fn plan(observed: &Observed<'_>, now: UnixTime) -> Plan {
    let source = source(observed);
    // A word about another source is no word about this one.
    let asked = observed.asked.filter(|(asked, _)| Some(*asked) == source.as_ref());
    let findings = conditions::findings(observed, asked);
    let standing = standing::standing(observed, asked);
    let keys = standing.map(Standing::state).unwrap_or_default();
    let counting = || findings.iter().filter(|finding| finding.counts);
    // Whether nothing is wrong, but something has not answered yet.
    let pending = counting().any(|finding| finding.truth == Truth::Unknown)
        && counting().all(|finding| finding.truth != Truth::False);
    let obstacle = [Truth::False, Truth::Unknown]
        .into_iter()
        .find_map(|truth| counting().find(|finding| finding.truth == truth).map(|finding| finding.message.clone()));
    let admit = if obstacle.is_none() { admit(observed, standing) } else { None };

    // A clock set back must not prolong it.
    let grace = if now < observed.seen_at { Duration::ZERO } else { PENDING_GRACE };
    let grace = grace.saturating_sub(now.since(observed.seen_at));
    if pending && !grace.is_zero() {
        return Plan { source, admit, status: None, obstacle, keys, again_in: Some(grace) };
    }
    let mut status =
        status::authenticator_status("JWTAuthenticator", findings, observed.generation, observed.status, now);
    status.keys = standing.map(Standing::status);
    standing::keep_times(&mut status, observed.status);
    let status = (status != *observed.status).then_some(status);
    Plan { source, admit, status, obstacle, keys, again_in: None }
}

fn source(observed: &Observed<'_>) -> Option<Source> {
    let spec = observed.spec.as_ref().ok()?;
    let issuer = spec.issuer.clone().ok()?;
    let from = match spec.keys.as_ref().ok()? {
        KeySource::Discovery => KeysFrom::Discovery,
        KeySource::DiscoveryUrl(url) => KeysFrom::DiscoveryAt(url.parse().ok()?),
        KeySource::JwksUrl(url) => KeysFrom::Jwks(url.parse().ok()?),
        // Nobody is asked, so the issuer need not even exist.
        KeySource::Inline { .. } => return None,
    };
    match observed.trust {
        Trust::System => Some(Source { issuer, from, bundle: None }),
        Trust::Bundle(bundle) => Some(Source { issuer, from, bundle: Some(bundle.clone()) }),
        Trust::Loading | Trust::Problem(_) | Trust::Unreadable(_) => None,
    }
}

fn admit(observed: &Observed<'_>, standing: Option<Standing<'_>>) -> Option<Authenticator> {
    let spec = observed.spec.as_ref().ok()?;
    let (Ok(issuer), Ok(judge), Some(standing)) = (&spec.issuer, &spec.judge, standing) else { return None };
    let InForce { keys, fetched_at: keys_fetched_at } = standing.in_force(observed.seen_at)?;
    let profile = Arc::new(judge.profile(issuer.clone(), observed.cluster.siblings.clone()));
    let verifier = Verifier::new(profile, standing.algorithms(judge.algorithms), Arc::clone(keys));
    Some(Authenticator {
        name: observed.name.clone(),
        uid: observed.uid.to_owned(),
        generation: observed.generation,
        verifier,
        rules: Arc::clone(&judge.rules),
        credential_lifetime: judge.credential_lifetime,
        claims: None,
        keys_fetched_at,
    })
}

#[cfg(test)]
mod tests;
