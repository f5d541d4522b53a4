//! Ways in: which one fits this place and this moment, and the login itself.

mod account;
mod browser;
mod choice;
mod device;
pub(crate) mod password;
mod paste;
mod place;
pub(crate) mod token;

use std::io::IsTerminal as _;
use std::time::Duration;

pub(crate) use self::browser::{PendingPage, failure_page};
pub(crate) use self::choice::{BACKGROUND_TIMEOUT, Means, Way, choose};
pub(crate) use self::place::{Place, Reader};
use crate::config::CredentialConfig;
use crate::failure::{Failure, Status};
use crate::oidc::{DeviceAttempt, Provider, Tokens};
use crate::output::Output;
use crate::platform::terminal;
use crate::time::Clock;

/// A person, logged in to the provider. The cluster has not been asked yet.
#[derive(Debug)]
pub(crate) struct LoggedIn {
    /// Who it is, and what shows it.
    pub(crate) tokens: Tokens,
    /// The browser, which waits to hear how it went on.
    pub(crate) page: Option<PendingPage>,
}

/// Nobody is logged in.
#[derive(Debug)]
pub(crate) struct NotLoggedIn {
    /// Why, and what to do.
    pub(crate) failure: Failure,
    /// Whether the time passed and nobody came.
    pub(crate) unanswered: bool,
}

impl<E: Into<Failure>> From<E> for NotLoggedIn {
    fn from(error: E) -> Self {
        Self { failure: error.into(), unanswered: false }
    }
}

impl NotLoggedIn {
    /// The time is over.
    fn in_time(cluster: &str, patience: Duration) -> Self {
        let failure = Failure::new(
            Status::LoginNeeded,
            format!("you did not finish the login to {cluster} within {}", span(patience)),
        );
        let hint = "run the command again; the browser tab of this attempt can be closed";
        Self { failure: failure.hint(hint), unanswered: true }
    }
}

/// Lets the person log in.
///
/// # Errors
/// When nobody came, the provider refused, or sent something that must not be used.
pub(crate) async fn log_in(
    way: Way,
    provider: &mut Provider<'_>,
    config: &CredentialConfig,
    clock: &dyn Clock,
    output: &Output,
) -> Result<LoggedIn, NotLoggedIn> {
    let cluster = &config.answering.cluster_name;
    let redirect = match &way.means {
        Means::Redirect(redirect) => redirect,
        Means::Device { browser: _, otherwise: Some(redirect) } if !provider.has_device_flow() => redirect,
        Means::Device { browser, otherwise } => match (first_code(provider, cluster, output).await, otherwise) {
            (Ok(first), _) => {
                return device::log_in(first, (browser.as_ref(), &way), provider, config, (clock, output)).await;
            }
            // Administrators allow it for some clients only, or from some places only.
            (Err(failure), Some(redirect)) if failure.status != Status::Unreachable => {
                output.warn(&format!("no login by code here: {failure}"));
                redirect
            }
            (Err(failure), _) => return Err(failure.into()),
        },
    };
    browser::log_in(redirect, &way, provider, config, output).await
}

/// A code to show, where the provider gives one and somebody may see it.
async fn first_code(provider: &Provider<'_>, cluster: &str, output: &Output) -> Result<DeviceAttempt, Failure> {
    if output.is_quiet() {
        return Err(impossible(cluster, "LATCHKEY_QUIET would hide the device code"));
    }
    if !provider.has_device_flow() {
        return Err(impossible(cluster, "the identity provider has no login by device code"));
    }
    Ok(provider.begin_device().await?)
}

/// Says where to log in. Where standard error is kept for a log, and the person's terminal is ours, it is said there too.
fn invite(text: &str, reader: Reader, output: &Output) {
    output.invite(text);
    if reader == Reader::AtTerminal && !output.is_quiet() && !Output::standard_error().is_terminal() {
        terminal::tell(text);
    }
}

/// That no login can be tried, why, and how to log in all the same.
pub(crate) fn impossible(cluster: &str, why: &str) -> Failure {
    Failure::new(Status::LoginNeeded, format!("login to {cluster} is needed, and {why}")).hint(
        "in a terminal of your own run `kubectl latchkey login`, with --kubeconfig and --context as for kubectl; then try again",
    )
}

fn span(duration: Duration) -> String {
    match duration.as_secs() {
        1 => "1 second".to_owned(),
        seconds if seconds >= 120 && seconds % 60 == 0 => format!("{} minutes", seconds / 60),
        seconds => format!("{seconds} seconds"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_well() {
        let cases = [(1, "1 second"), (60, "60 seconds"), (90, "90 seconds"), (120, "2 minutes"), (300, "5 minutes")];
        for (seconds, words) in cases {
            assert_eq!(span(Duration::from_secs(seconds)), words);
        }
    }
}
