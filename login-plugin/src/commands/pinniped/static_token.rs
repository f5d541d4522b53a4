//! `login static`: a token from the command line or a variable, exchanged if there is a concierge.

use super::{concierge_args, exec_info, hand_over, kept};
use crate::cache::{Elsewhere as _, HeldCredential};
use crate::commands::{World, runtime};
use crate::config::Destination;
use crate::environment::Environment;
use crate::exchange::{self, Exchanged};
use crate::exec_credential::Credential;
use crate::expiry;
use crate::failure::{Failure, Status};
use crate::pinniped::{CredentialKey, Login, StaticLogin};
use crate::secret::Secret;

/// Prints an `ExecCredential` for the token.
///
/// # Errors
/// When there is no token, or the cluster refuses it.
pub(super) fn run(login: &Login, by: &StaticLogin, arguments: &[String], world: World<'_>) -> Result<(), Failure> {
    let World { clock, environment, output } = world;
    let token = token(by, environment)?;
    let Some(concierge) = &login.concierge else {
        // Nobody says when it ends, and nothing is worth keeping.
        return hand_over(login, &Credential::Token { token }, None, clock.now()).map(drop);
    };
    let kept = kept(login, &CredentialKey::of_static(arguments, &token, exec_info(world).as_deref()), world);
    let now = clock.now();
    if let Some(held) = kept.credential().filter(|held| expiry::is_usable(held.received_at, held.usable_until, now)) {
        return hand_over(login, &held.credential, Some(held.usable_until), now).map(drop);
    }
    let destination = Destination::of_flags(&concierge_args(concierge))?;
    let Destination::Exchange(config) = destination else { unreachable!("an authenticator is named") };
    let exchanged = runtime()?.block_on(exchange::exchange(&config, &token, None, clock, output))?;
    let Exchanged { credential, received_at, usable_until, subject: _ } = exchanged;
    let Some(usable_until) = usable_until else { return hand_over(login, &credential, None, clock.now()).map(drop) };
    let held = HeldCredential { received_at, usable_until, suspected_at: None, session: None, credential };
    kept.keep_credential(&held);
    hand_over(login, &held.credential, Some(usable_until), clock.now()).map(drop)
}

fn token(by: &StaticLogin, environment: &Environment) -> Result<Secret, Failure> {
    let missing =
        |name: &str| Failure::new(Status::Usage, format!("--token-env variable {name:?} is not set, or is empty"));
    match (&by.variable, &by.token) {
        (Some(name), _) => environment.text(name).map(Secret::from).ok_or_else(|| missing(name)),
        (None, Some(token)) => Ok(Secret::from(token.as_str())),
        (None, None) => Err(Failure::new(Status::Usage, "one of --token or --token-env must be set")),
    }
}
