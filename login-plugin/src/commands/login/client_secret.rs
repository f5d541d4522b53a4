//! `login --set-client-secret`: puts the secret of a client into the keyring, for everybody who logs in by it here.

use std::io::{self, Read as _};

use zeroize::Zeroizing;

use crate::client_secret::{self, SECRET_MAX_BYTES};
use crate::commands::chosen::{Chosen, Unclear};
use crate::commands::{World, runtime};
use crate::config::{ClientSecret, ProviderConfig};
use crate::failure::{Failure, Status};
use crate::output::Printable;
use crate::platform::terminal::{self, Paste};
use crate::secret::Secret;

/// Reads the secret from standard input, without showing it where that is a terminal, and keeps it.
///
/// # Errors
/// When it is not clear whose secret it is, when it cannot be one, and when the keyring does not take it.
pub(super) fn set(logins: Vec<Result<Chosen, Unclear>>, world: World<'_>) -> Result<(), Failure> {
    let mut clients: Vec<ProviderConfig> = Vec::new();
    for login in logins {
        let provider = login.map_err(|unclear| unclear.failure)?.config.provider;
        let is_new =
            |known: &ProviderConfig| (&known.issuer, &known.client_id) != (&provider.issuer, &provider.client_id);
        if matches!(provider.client_secret, Some(ClientSecret::Keyring(_))) && clients.iter().all(is_new) {
            clients.push(provider);
        }
    }
    let (Some(client), None) = (clients.pop(), clients.pop()) else {
        return Err(Failure::new(Status::Usage, "not exactly one client takes its secret from the keyring here")
            .hint("name one with --context, and add --client-secret-keyring if its stanza does not say so"));
    };
    let Some(ClientSecret::Keyring(keyring)) = &client.client_secret else {
        unreachable!("only those were gathered");
    };
    let name = format!("client {:?} at {}", Printable(&client.client_id).to_string(), Printable(&client.issuer));
    let secret = if terminal::is_ours() { typed(&name, world)? } else { piped()? };
    client_secret::keep(keyring, &client.issuer, &client.client_id, &secret)
        .map_err(|error| Failure::new(Status::Usage, error.to_string()))?;
    world.output.say(&format!("The secret of {name} is in the keyring now."));
    Ok(())
}

fn typed(name: &str, world: World<'_>) -> Result<Secret, Failure> {
    world.output.invite(&format!("The secret of {name} (it is not shown), then Enter:"));
    let line = runtime()?.block_on(async { Paste::start()?.line().await });
    line.map_err(|error| Failure::new(Status::General, format!("the secret was not read: {error}")))
}

fn piped() -> Result<Secret, Failure> {
    let mut text = Zeroizing::new(String::with_capacity(SECRET_MAX_BYTES + 1));
    // One more than can be: then it is told what is wrong with it.
    let limit = u64::try_from(SECRET_MAX_BYTES).unwrap_or(u64::MAX) + 1;
    io::stdin()
        .lock()
        .take(limit)
        .read_to_string(&mut text)
        .map_err(|error| Failure::new(Status::General, format!("the secret was not read: {error}")))?;
    Ok(Secret::from(text.as_str()))
}
