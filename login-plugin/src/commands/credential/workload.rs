//! `credential` for a job or a pod: its own token, exchanged, and kept as long as both last.

use super::{Outcome, is_suspect};
use crate::cache::{Cache, EntryName, HeldCredential, LastRefusal};
use crate::commands::{World, print, runtime};
use crate::config::{ConciergeConfig, Destination, WorkloadConfig};
use crate::exchange::{self, ExchangeError, Exchanged};
use crate::exec_credential::{Credential, answer};
use crate::expiry::{self, Clocks};
use crate::failure::{Failure, Status};
use crate::flows::token;
use crate::oidc;
use crate::platform::process::ProcessIdentity;
use crate::secret::Secret;
use crate::time::UnixTime;
use crate::unverified_claims::UnverifiedClaims;

/// One run.
struct Run<'a> {
    config: &'a WorkloadConfig,
    world: World<'a>,
    now: UnixTime,
}

/// Prints an `ExecCredential` for the token that the place gives.
///
/// # Errors
/// When there is no token, it is for another cluster, or the cluster refuses it.
pub(in crate::commands) fn run(config: &WorkloadConfig, world: World<'_>) -> Result<(), Failure> {
    let now = world.clock.now();
    let run = Run { config, world, now };
    let Outcome { credential, usable_until } = match &config.destination {
        Destination::Direct(_) => run.direct()?,
        Destination::Exchange(concierge) => run.exchanged(concierge)?,
    };
    let expires = usable_until.and_then(|until| expiry::announced(until, now));
    print(answer(config.answering.api_version, &credential, expires).expose())
}

impl Run<'_> {
    /// The token itself. Its end is known only by its issuer's clock, which is taken to be ours.
    fn direct(&self) -> Result<Outcome, Failure> {
        let token = match self.at_hand()? {
            Some(token) => token,
            None => self.fetched()?,
        };
        let clocks = Clocks { local: self.now, server: self.now };
        let usable_until = UnverifiedClaims::read(token.expose())
            .and_then(|claims| claims.expires())
            .map(|expires| clocks.usable_until(expires));
        Ok(Outcome { credential: Credential::Token { token }, usable_until })
    }

    /// What the cluster gives for the token.
    ///
    /// No lock is taken: tokens are many and short-lived, and fifty exchanges of one cost less than fifty files to lock.
    fn exchanged(&self, concierge: &ConciergeConfig) -> Result<Outcome, Failure> {
        let Self { config, world, now } = self;
        let cache = Cache::new(&config.places, config.store, world.clock, world.output);
        let parent = ProcessIdentity::of_parent();
        // What is kept bears the name of the token that brought it: a projected token is replaced long before it ends, and
        // a job may run as another than the one before.
        let stand_in = token::stand_in(&config.source, config.audience.as_deref(), world.environment);
        let (name, token) = match (self.at_hand()?, stand_in) {
            (Some(token), _) => (EntryName::of_workload(concierge, &token), Some(token)),
            (None, Some(stand_in)) => (EntryName::of_workload(concierge, &stand_in), None),
            (None, None) => {
                let token = self.fetched()?;
                (EntryName::of_workload(concierge, &token), Some(token))
            }
        };
        let outcome = match cache.credential(&name, *now) {
            Some(held) if !is_suspect(&cache, &name, &held, parent, *now) => held.into(),
            held => {
                // kubectl runs us five times for one command that fails.
                if let Some(failure) = cache.refused_just_now(&name, parent, None) {
                    return Err(failure);
                }
                let token = match token {
                    Some(token) => token,
                    None => self.fetched()?,
                };
                self.anew(concierge, &cache, (&name, &token), parent, held)?
            }
        };
        cache.note_asked(&name, parent, *now);
        Ok(outcome)
    }

    fn anew(
        &self,
        concierge: &ConciergeConfig,
        cache: &Cache<'_>,
        (name, token): (&EntryName, &Secret),
        parent: ProcessIdentity,
        suspect: Option<HeldCredential>,
    ) -> Result<Outcome, Failure> {
        let World { clock, output, .. } = self.world;
        let asked = runtime()?.block_on(exchange::exchange(concierge, token, None, clock, output));
        match (asked, suspect) {
            (Ok(Exchanged { credential, received_at, usable_until, subject: _ }), _) => {
                let now = self.world.clock.now();
                match usable_until.filter(|until| expiry::is_usable(received_at, *until, now)) {
                    Some(usable_until) => {
                        let held =
                            HeldCredential { received_at, usable_until, suspected_at: None, session: None, credential };
                        cache.keep_credential(name, &held, now);
                        Ok(held.into())
                    }
                    None => Ok(Outcome { credential, usable_until }),
                }
            }
            // It looked good, and nothing better is to be had: the cluster decides. Not asked again at each call.
            (Err(ExchangeError::Busy { .. } | ExchangeError::Unreachable { .. }), Some(held)) => {
                let held = HeldCredential { suspected_at: Some(self.now), ..held };
                cache.keep_credential(name, &held, self.now);
                Ok(held.into())
            }
            (Err(error), _) => {
                cache.drop_credential(name);
                let WorkloadConfig { answering, destination, .. } = self.config;
                let refusal = match &error {
                    ExchangeError::Refused { message, audit_id } => {
                        let now = self.world.clock.now();
                        Some(LastRefusal::new(now, answering, destination, message, audit_id.as_deref()))
                    }
                    _ => None,
                };
                let failure = self.refused(error.into(), token);
                if let Some(refusal) = refusal {
                    cache.keep_last_refusal(name, &refusal.told(parent, &failure));
                }
                Err(failure)
            }
        }
    }

    /// The token, where it only has to be looked at.
    fn at_hand(&self) -> Result<Option<Secret>, Failure> {
        let found = token::at_hand(&self.config.source, self.world.environment).transpose()?;
        found.map(|token| self.ours(token)).transpose()
    }

    /// The token, where somebody has to be asked for it.
    fn fetched(&self) -> Result<Secret, Failure> {
        let WorkloadConfig { source, audience, patience, .. } = self.config;
        let asked = token::read(source, audience.as_deref(), *patience, self.world.environment);
        self.ours(runtime()?.block_on(asked)?)
    }

    /// The token, unless it is for another cluster: then it stays here.
    fn ours(&self, token: Secret) -> Result<Secret, Failure> {
        if let (Some(audience), Some(claims)) = (&self.config.audience, UnverifiedClaims::read(token.expose())) {
            let found = claims.audiences();
            let found: Vec<&str> = found.iter().map(String::as_str).collect();
            oidc::check_audience(audience, &self.config.additional_audiences, &found).map_err(|words| {
                Failure::new(Status::ProviderRefused, words)
                    .hint("nothing was sent to the cluster; ask the place that gives the token for this audience")
            })?;
        }
        Ok(token)
    }

    /// The most likely reason for a refusal, where the token tells it.
    fn refused(&self, failure: Failure, token: &Secret) -> Failure {
        let expired = UnverifiedClaims::read(token.expose())
            .and_then(|claims| claims.expires())
            .map(|expires| self.now.since(expires))
            .filter(|ago| *ago >= 0 && failure.status == Status::ClusterRefused);
        match expired {
            None => failure,
            Some(ago) => failure.hint(format!(
                "the token ended {ago} seconds ago by this computer's clock; does somebody put a new one into its place?"
            )),
        }
    }
}
