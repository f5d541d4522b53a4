//! `credential` for a job or a pod: its own token, exchanged, and kept as long as both last.

use crate::args::Store;
use crate::cache::{Cache, EntryName, HeldCredential};
use crate::commands::{World, print, runtime};
use crate::config::{Destination, WorkloadConfig};
use crate::exchange::{self, Exchanged};
use crate::exec_credential::{Credential, answer};
use crate::expiry;
use crate::failure::{Failure, Status};
use crate::flows::token;
use crate::output::Printable;
use crate::unverified_claims::UnverifiedClaims;

/// Prints an `ExecCredential` for the token that the place gives.
///
/// # Errors
/// When there is no token, it is for another cluster, or the cluster refuses it.
pub(in crate::commands) fn run(config: &WorkloadConfig, world: World<'_>) -> Result<(), Failure> {
    let World { clock, environment, output } = world;
    let runtime = runtime()?;
    // Read at each run: a projected token is exchanged for a new one long before it ends, and a job may run as another.
    let token = runtime.block_on(token::read(&config.source, config.audience.as_deref(), environment))?;
    let claims = UnverifiedClaims::read(token.expose());
    if let (Some(audience), Some(claims)) = (&config.audience, &claims)
        && !claims.is_for_only(audience)
    {
        return Err(Failure::new(
            Status::ClusterRefused,
            format!(
                "the token is for {}, and {} takes only {audience:?}",
                Printable(&claims.audiences().join(", ")),
                config.answering.cluster_name
            ),
        )
        .hint("ask the place that gives the token for this audience"));
    }
    let now = clock.now();
    let (credential, usable_until) = match &config.destination {
        Destination::Direct(_) => (Credential::Token { token }, claims.and_then(|claims| claims.expires())),
        Destination::Exchange(concierge) => {
            let cache = Cache::new(&config.places, Store::Auto, clock, output);
            let name = EntryName::of_workload(concierge, &token);
            if let Some(held) = cache.credential(&name, now) {
                (held.credential, Some(held.usable_until))
            } else {
                let exchanged = runtime.block_on(exchange::exchange(concierge, &token, None, clock))?;
                let Exchanged { credential, received_at, usable_until, subject: _ } = exchanged;
                if let Some(usable_until) = usable_until {
                    let held =
                        HeldCredential { received_at, usable_until, suspected_at: None, session: None, credential };
                    cache.keep_credential(&name, &held, now);
                    (held.credential, Some(usable_until))
                } else {
                    (credential, None)
                }
            }
        }
    };
    let expires = usable_until.and_then(|until| expiry::announced(until, now));
    print(answer(config.answering.api_version, &credential, expires).expose())
}
