//! The login by name and password at a Pinniped Supervisor: from the environment, else asked for at the terminal.

use std::io::{self, BufRead as _, Read as _};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::NotLoggedIn;
use super::choice::ATTENDED_TIMEOUT;
use crate::authorization_response::{self, Expected};
use crate::config::{CredentialConfig, SupervisorLogin};
use crate::environment::Environment;
use crate::failure::{Failure, Status};
use crate::oidc::{Provider, Tokens};
use crate::output::{Output, Printable};
use crate::platform::terminal::Paste;
use crate::secret::Secret;

/// Variables that the stock program reads before it asks.
const USERNAME: &str = "PINNIPED_USERNAME";
/// See above.
const PASSWORD: &str = "PINNIPED_PASSWORD";

/// Longer than any name; a terminal gives no longer line anyway.
const NAME_MAX_BYTES: u64 = 4096;

/// Logs in. `at_terminal` says that somebody may be asked.
///
/// # Errors
/// When there is no name or password to be had, or the Supervisor refuses them.
pub(crate) async fn log_in(
    supervisor: &SupervisorLogin,
    provider: &mut Provider<'_>,
    config: &CredentialConfig,
    environment: &Environment,
    at_terminal: bool,
) -> Result<Tokens, NotLoggedIn> {
    let cluster = &config.answering.cluster_name;
    let port = config.login.redirect_ports.first().copied().unwrap_or_default();
    // Nobody listens there: the redirect comes to us as an answer.
    let attempt = provider.attempt(&format!("http://127.0.0.1:{port}{}", config.login.redirect_path))?;
    let given = |name| environment.text(name).map(Secret::from);
    if !at_terminal && (given(USERNAME).is_none() || given(PASSWORD).is_none()) {
        let why = format!("there is no terminal to ask for name and password; {USERNAME} and {PASSWORD} may hold them");
        return Err(super::impossible(cluster, &why).into());
    }
    if let Some(upstream) = &supervisor.upstream {
        Output::remark(&format!("Log in to {}", Printable(&upstream.name)));
    }
    let limit = config.login.timeout.unwrap_or(ATTENDED_TIMEOUT);
    let username = match given(USERNAME) {
        Some(username) => username,
        None => typed_name(limit).ok_or_else(|| NotLoggedIn::in_time(cluster, limit))??,
    };
    let password = match given(PASSWORD) {
        Some(password) => password,
        None => tokio::time::timeout(limit, typed_password(cluster))
            .await
            .map_err(|_elapsed| NotLoggedIn::in_time(cluster, limit))??,
    };
    let expected = Expected {
        state: attempt.state.clone(),
        issuer: provider.issuer().to_owned(),
        announces_iss: provider.announces_iss(),
    };
    let parameters = provider.answer_for_password(&attempt, username.expose(), &password).await?;
    let code = authorization_response::judge(parameters.expose(), &expected)?;
    Ok(provider.redeem(attempt, &code).await?)
}

/// What is typed, with an echo; none when nothing came in time.
fn typed_name(limit: Duration) -> Option<Result<Secret, Failure>> {
    Output::remark("Username:");
    let (give, take) = mpsc::sync_channel(1);
    // Not joined: it waits for the terminal as long as the terminal gives nothing, and ends with the process.
    thread::spawn(move || {
        let mut line = Vec::new();
        let read = io::stdin().lock().take(NAME_MAX_BYTES).read_until(b'\n', &mut line);
        let name = read.ok().and_then(|_| String::from_utf8(line).ok());
        let _nobody_waits_any_more = give.send(name.map(|name| Secret::from(name.trim())));
    });
    let name = take.recv_timeout(limit).ok()?.filter(|name| !name.expose().is_empty());
    Some(name.ok_or_else(|| Failure::new(Status::LoginNeeded, "no user name was typed")))
}

/// Without an echo.
async fn typed_password(cluster: &str) -> Result<Secret, Failure> {
    Output::remark("Password:");
    let interrupted = |_| Failure::new(Status::LoginNeeded, format!("the login to {cluster} was interrupted"));
    Paste::start().map_err(interrupted)?.line().await.map_err(interrupted)
}
