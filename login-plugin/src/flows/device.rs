//! The login with a code (RFC 8628): shown here, typed into any browser anywhere, and asked about until it was done.
//!
//! Nothing ties the code to this computer, so whoever talks a person into typing one in gets in as that person. It is
//! offered only where no browser is, says what it is for, and can be forbidden for a cluster.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::choice::Way;
use super::place::Reader;
use super::{LoggedIn, NotLoggedIn, account, span};
use crate::browser::Browser;
use crate::config::CredentialConfig;
use crate::failure::{Failure, Status};
use crate::oidc::{DeviceAttempt, DevicePoll, Provider, Tokens};
use crate::output::Output;
use crate::platform::terminal::{Paste, PasteError};
use crate::time::{Clock, UnixTime};

/// A person who is there presses a key within a minute; client-go holds a lock meanwhile.
const OFFER_PATIENCE: Duration = Duration::from_mins(1);

/// How one code ended.
enum Ended {
    Expired,
    Granted(Box<Tokens>),
}

/// Lets the person log in with a code. `first` is the one to begin with.
pub(super) async fn log_in(
    first: DeviceAttempt,
    (browser, way): (Option<&Browser>, &Way),
    provider: &mut Provider<'_>,
    config: &CredentialConfig,
    (clock, output): (&dyn Clock, &Output),
) -> Result<LoggedIn, NotLoggedIn> {
    let cluster = &config.answering.cluster_name;
    let mut attempt = first;
    let mut is_second = false;
    loop {
        let limit = way.timeout.unwrap_or(Duration::MAX).min(attempt.expires_in);
        show(&attempt, limit, (browser, way.reader), cluster, output);
        match ask(provider, &mut attempt, limit, cluster, clock).await? {
            Ended::Granted(tokens) => {
                return match account::another(&tokens, &config.provider) {
                    None => Ok(LoggedIn { tokens: *tokens, page: None }),
                    Some(another) => Err(another.failure().into()),
                };
            }
            // Offered once, to somebody who is there to take it.
            Ended::Expired if way.reader == Reader::AtTerminal && !is_second && another_is_wanted(output).await? => {
                is_second = true;
                attempt = provider.begin_device().await?;
            }
            Ended::Expired => return Err(NotLoggedIn::in_time(cluster, limit)),
        }
    }
}

/// Asks until there is an answer or the code is over.
async fn ask(
    provider: &mut Provider<'_>,
    attempt: &mut DeviceAttempt,
    limit: Duration,
    cluster: &str,
    clock: &dyn Clock,
) -> Result<Ended, NotLoggedIn> {
    let span = Span { began: Instant::now(), began_wall: clock.now(), limit };
    // RFC 8628 section 3.5: the first question comes after one interval.
    let mut wait = attempt.interval;
    loop {
        sleep(wait.min(span.left(Instant::now(), clock.now()))).await;
        // Asked even when the time is over: the person may have just done it, and the provider knows its own clock.
        let is_over = span.left(Instant::now(), clock.now()).is_zero();
        match provider.poll_device(attempt).await? {
            DevicePoll::Granted(tokens) => return Ok(Ended::Granted(tokens)),
            DevicePoll::Expired => return Ok(Ended::Expired),
            DevicePoll::Denied => {
                let message = format!("the login to {cluster} was refused where the code was entered");
                let hint = "if that was not you, somebody else has seen the code; run the command again for a new one";
                return Err(Failure::new(Status::ProviderRefused, message).hint(hint).into());
            }
            DevicePoll::Pending { wait: _ } if is_over => return Ok(Ended::Expired),
            DevicePoll::Pending { wait: pause } => wait = pause,
        }
    }
}

/// How long a code is good.
struct Span {
    began: Instant,
    began_wall: UnixTime,
    limit: Duration,
}

impl Span {
    /// What is left of it. The monotonic clock stands still while a laptop sleeps; the other one may be set.
    fn left(&self, now: Instant, now_wall: UnixTime) -> Duration {
        let wall = Duration::from_secs(now_wall.since(self.began_wall).max(0).unsigned_abs());
        self.limit.saturating_sub(wall.max(now.duration_since(self.began)))
    }
}

/// Code and address each on a line of its own, to be read aloud or copied.
fn show(
    attempt: &DeviceAttempt,
    limit: Duration,
    (browser, reader): (Option<&Browser>, Reader),
    cluster: &str,
    output: &Output,
) {
    let opened = match (browser, &attempt.verification_uri_complete) {
        (Some(browser), Some(url)) => browser.open(url),
        _ => false,
    };
    let lead = if opened {
        "your browser opens; compare the code with the one it shows"
    } else {
        "visit this page in a browser on any device, and enter the code"
    };
    let DeviceAttempt { user_code, verification_uri, .. } = attempt;
    let text = format!(
        "Log in to {cluster}: {lead}.\n\n    {verification_uri}\n\n    {user_code}\n\n\
         The code is good for {}. Enter it only if you ran this command yourself.",
        span(limit)
    );
    super::invite(&text, reader, output);
}

/// Whether somebody presses Enter.
async fn another_is_wanted(output: &Output) -> Result<bool, NotLoggedIn> {
    output.invite("The code has expired. Press Enter for a new one.");
    let Ok(mut terminal) = Paste::start() else { return Ok(false) };
    match timeout(OFFER_PATIENCE, terminal.line()).await {
        Ok(Ok(_)) => Ok(true),
        Ok(Err(PasteError::Interrupted)) => Err(Failure::new(Status::LoginNeeded, "the login was interrupted").into()),
        Ok(Err(PasteError::Closed | PasteError::Io(_))) | Err(_) => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_over_when_either_clock_says_so() {
        let wall = UnixTime::from_secs(1000);
        let span = Span { began: Instant::now(), began_wall: wall, limit: Duration::from_mins(10) };
        let left = |seconds, wall_seconds| {
            span.left(span.began + Duration::from_secs(seconds), wall.plus(wall_seconds)).as_secs()
        };
        assert_eq!(left(0, 0), 600);
        assert_eq!(left(100, 100), 500);
        assert_eq!(left(100, 3600), 0, "the laptop slept");
        assert_eq!(left(100, -3600), 500, "the clock was set back");
        assert_eq!(left(700, 0), 0);
    }
}
