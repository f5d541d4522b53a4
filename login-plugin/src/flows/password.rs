//! The login by name and password at a Pinniped Supervisor: from the environment, else asked for at the terminal.

use std::io;

use super::NotLoggedIn;
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
    let username = match given(USERNAME) {
        Some(username) => username,
        None => typed_name()?,
    };
    let password = match given(PASSWORD) {
        Some(password) => password,
        None => typed_password(cluster).await?,
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

fn typed_name() -> Result<Secret, Failure> {
    Output::remark("Username:");
    let mut line = String::new();
    let read = io::stdin().read_line(&mut line);
    match read {
        Ok(bytes) if bytes > 0 => Ok(Secret::from(line.trim())),
        _ => Err(Failure::new(Status::LoginNeeded, "no user name was typed")),
    }
}

/// Without an echo.
async fn typed_password(cluster: &str) -> Result<Secret, Failure> {
    Output::remark("Password:");
    let interrupted = |_| Failure::new(Status::LoginNeeded, format!("the login to {cluster} was interrupted"));
    Paste::start().map_err(interrupted)?.line().await.map_err(interrupted)
}
