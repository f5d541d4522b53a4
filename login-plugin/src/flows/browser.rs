//! The login in a browser: show the URL, open it, wait for the answer on the loopback or in the terminal, redeem the code.

use tokio::time::{Instant, timeout_at};

use super::{Way, paste};
use crate::authorization_response::{Expected, ResponseError};
use crate::config::CredentialConfig;
use crate::failure::{Failure, Status};
use crate::loopback::{Event, Loopback, Serving};
use crate::oidc::{Provider, Tokens};
use crate::output::Output;
use crate::result_page::Page;
use crate::secret::Secret;

/// A person, logged in to the provider. The cluster has not been asked yet.
#[derive(Debug)]
pub(crate) struct LoggedIn {
    /// Who it is, and what shows it.
    pub(crate) tokens: Tokens,
    /// The browser, which waits to hear how it went on.
    pub(crate) page: PendingPage,
}

/// A browser tab that has to be told the end of the story.
#[derive(Debug)]
pub(crate) struct PendingPage(Serving);

impl PendingPage {
    /// Tells it.
    pub(crate) async fn show(self, page: Page) {
        self.0.finish(page).await;
    }
}

/// Lets the person log in.
///
/// # Errors
/// When nobody came, the provider refused, or sent something that must not be used.
pub(crate) async fn log_in(
    way: &Way,
    provider: &mut Provider<'_>,
    config: &CredentialConfig,
    output: &Output,
) -> Result<LoggedIn, Failure> {
    let loopback =
        Loopback::bind(&config.login.redirect_hosts, &config.login.redirect_ports, &config.login.redirect_path).await?;
    let attempt = provider.attempt(&loopback.redirect_uri())?;
    let expected = Expected {
        state: attempt.state.clone(),
        issuer: provider.issuer().to_owned(),
        announces_iss: provider.announces_iss(),
    };
    let mut serving = loopback.serve(expected.clone(), provider.origins());
    invite(way, &attempt.url, &config.answering.cluster_name, output);
    let answered = wait(way, &mut serving, &expected, &config.answering.cluster_name, output).await;
    let redeemed = match answered {
        Ok(code) => provider.redeem(attempt, &code).await.map_err(Failure::from),
        Err(failure) => Err(failure),
    };
    match redeemed {
        Ok(tokens) => Ok(LoggedIn { tokens, page: PendingPage(serving) }),
        Err(failure) => {
            serving.finish(failure_page(&config.answering.cluster_name, &failure)).await;
            Err(failure)
        }
    }
}

/// The page that says what the terminal says.
pub(crate) fn failure_page(cluster: &str, failure: &Failure) -> Page {
    Page::Failure { cluster: cluster.to_owned(), reason: failure.message.clone(), hint: failure.hint.clone() }
}

/// One line before anything is waited for, the URL always in it: "opened" is a guess.
fn invite(way: &Way, url: &reqwest::Url, cluster: &str, output: &Output) {
    let opened = way.browser.as_ref().map(|browser| browser.open(url));
    let line = match opened {
        Some(true) => format!("Log in to {cluster}: opening your browser. If nothing opens, visit {url}"),
        Some(false) => format!("Log in to {cluster}: no browser could be started. Visit {url}"),
        None => format!("Log in to {cluster}: visit {url}"),
    };
    output.invite(&line);
    if way.paste {
        output.say("If the browser cannot come back here, paste the address it ends at and press Enter.");
    }
}

async fn wait(
    way: &Way,
    serving: &mut Serving,
    expected: &Expected,
    cluster: &str,
    output: &Output,
) -> Result<Secret, Failure> {
    let deadline = Instant::now() + way.patience;
    let pasted = async { if way.paste { paste::read(expected, output).await } else { std::future::pending().await } };
    let mut pasted = std::pin::pin!(pasted);
    let mut told = false;
    loop {
        let next = async {
            tokio::select! {
                event = serving.event() => Ok(event),
                pasted = &mut pasted => match pasted {
                    paste::Pasted::Answered(answer) => Ok(Event::Answered(answer)),
                    paste::Pasted::Interrupted => Err(Failure::new(Status::LoginNeeded, "the login was interrupted")),
                },
            }
        };
        match timeout_at(deadline, next).await {
            Ok(Ok(Event::Answered(answer))) => return answer.map_err(Failure::from),
            Ok(Ok(Event::Noise)) => {
                // Once: a page that sends us answers in a loop shall not fill the terminal.
                if !std::mem::replace(&mut told, true) {
                    output.say(&format!("{}; still waiting for the right one", ResponseError::NotOurs));
                }
            }
            Ok(Err(interrupted)) => return Err(interrupted),
            Err(_elapsed) => {
                return Err(Failure::new(
                    Status::LoginNeeded,
                    format!("you did not finish the login to {cluster} within {}", span(way.patience)),
                )
                .hint("run the command again; the browser tab of this attempt can be closed"));
            }
        }
    }
}

fn span(duration: std::time::Duration) -> String {
    match duration.as_secs() {
        1 => "1 second".to_owned(),
        seconds if seconds >= 120 && seconds % 60 == 0 => format!("{} minutes", seconds / 60),
        seconds => format!("{seconds} seconds"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn spans_read_well() {
        let cases = [(1, "1 second"), (60, "60 seconds"), (90, "90 seconds"), (120, "2 minutes"), (300, "5 minutes")];
        for (seconds, words) in cases {
            assert_eq!(span(Duration::from_secs(seconds)), words);
        }
    }
}
