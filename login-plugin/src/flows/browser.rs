//! The login in a browser: show the URL, open it, wait for the answer on the loopback or in the terminal, redeem the code.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::choice::{Redirect, Way};
use super::{LoggedIn, NotLoggedIn, account, paste};
use crate::authorization_response::{Expected, ResponseError};
use crate::config::CredentialConfig;
use crate::failure::{Failure, Status};
use crate::loopback::{Event, Loopback, Serving};
use crate::notification;
use crate::oidc::Provider;
use crate::output::Output;
use crate::result_page::Page;
use crate::secret::Secret;

/// A browser tab that has to be told the end of the story.
#[derive(Debug)]
pub(crate) struct PendingPage(Serving);

impl PendingPage {
    /// Tells it.
    pub(crate) async fn show(self, page: Page) {
        self.0.finish(page).await;
    }
}

/// Lets the person log in by redirect.
pub(super) async fn log_in(
    redirect: &Redirect,
    way: &Way,
    provider: &mut Provider<'_>,
    config: &CredentialConfig,
    output: &Output,
) -> Result<LoggedIn, NotLoggedIn> {
    let cluster = &config.answering.cluster_name;
    let loopback =
        Loopback::bind(&config.login.redirect_hosts, &config.login.redirect_ports, &config.login.redirect_path).await?;
    let attempt = provider.attempt(&loopback.redirect_uri())?;
    let expected = Expected {
        state: attempt.state.clone(),
        issuer: provider.issuer().to_owned(),
        announces_iss: provider.announces_iss(),
    };
    let mut serving = loopback.serve(expected.clone(), provider.origins());
    let opened = invite(redirect, way, &attempt.url, (cluster, config.login.hide_url), output);
    if way.is_in_background() && opened && !output.is_quiet() {
        // The tab may have opened behind everything else, or on another screen.
        notification::show(&format!("kubectl needs you to log in to {cluster}"), "A tab is open in your browser.");
    }
    let answered = wait(redirect, way.patience(), &mut serving, &expected, (cluster, output)).await;
    let redeemed = match answered {
        Ok(code) => provider.redeem(attempt, &code).await.map_err(NotLoggedIn::from),
        Err(failure) => Err(failure),
    };
    match redeemed {
        Ok(tokens) => match account::another(&tokens, &config.provider) {
            None => Ok(LoggedIn { tokens, page: Some(PendingPage(serving)) }),
            Some(another) => {
                serving.finish(another.page(cluster)).await;
                Err(another.failure().into())
            }
        },
        Err(not_logged_in) => {
            serving.finish(failure_page(cluster, &not_logged_in.failure)).await;
            Err(not_logged_in)
        }
    }
}

/// The page that says what the terminal says.
pub(crate) fn failure_page(cluster: &str, failure: &Failure) -> Page {
    Page::Failure { cluster: cluster.to_owned(), reason: failure.message.clone(), hint: failure.hint.clone() }
}

/// One line before anything is waited for, the URL always in it: "opened" is a guess. Whether a browser was started.
fn invite(
    redirect: &Redirect,
    way: &Way,
    url: &reqwest::Url,
    (cluster, hide_url): (&str, bool),
    output: &Output,
) -> bool {
    let opened = redirect.browser.as_ref().map(|browser| browser.open(url));
    if hide_url && opened == Some(true) {
        return true;
    }
    let line = match opened {
        Some(true) => format!("Log in to {cluster}: opening your browser. If nothing opens, visit {url}"),
        Some(false) => format!("Log in to {cluster}: no browser could be started. Visit {url}"),
        None => format!("Log in to {cluster}: visit {url}"),
    };
    super::invite(&line, way.reader, output);
    if redirect.paste {
        output.say("If the browser cannot come back here, paste the address it ends at and press Enter.");
    }
    opened.unwrap_or_default()
}

async fn wait(
    redirect: &Redirect,
    patience: Duration,
    serving: &mut Serving,
    expected: &Expected,
    (cluster, output): (&str, &Output),
) -> Result<Secret, NotLoggedIn> {
    let deadline = Instant::now() + patience;
    let pasted =
        async { if redirect.paste { paste::read(expected, output).await } else { std::future::pending().await } };
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
            Ok(Ok(Event::Answered(answer))) => return answer.map_err(NotLoggedIn::from),
            Ok(Ok(Event::Noise)) => {
                // Once: a page that sends us answers in a loop shall not fill the terminal.
                if !std::mem::replace(&mut told, true) {
                    output.say(&format!("{}; still waiting for the right one", ResponseError::NotOurs));
                }
            }
            Ok(Err(interrupted)) => return Err(interrupted.into()),
            Err(_elapsed) => return Err(NotLoggedIn::in_time(cluster, patience)),
        }
    }
}
