//! The way in without a person: a token that the place gives, read anew at each run.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::process::Stdio;
use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION};
use http::{Request, StatusCode};
use reqwest::Url;
use serde::Deserialize;
use thiserror::Error;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::time::{sleep, timeout};
use zeroize::Zeroizing;

use crate::config::TokenSource;
use crate::environment::Environment;
use crate::secret::Secret;
use crate::transport::{Route, Transport};
use crate::unverified_claims::UnverifiedClaims;

/// The largest token that a concierge judges is 64 KiB.
const TOKEN_MAX_BYTES: u64 = 64 * 1024;

/// GitHub's token service is not well now and then, and a job that fails for it is run again by hand.
const GITHUB_ATTEMPTS: u32 = 3;

/// Between two of them.
const GITHUB_PAUSE: Duration = Duration::from_secs(1);

/// Why there is no token.
#[derive(Debug, Error)]
pub(crate) enum TokenError {
    /// The program failed.
    #[error("the program that should print a token ({program}) failed: {what}")]
    Command {
        /// The program, without its arguments.
        program: String,
        /// What happened.
        what: String,
    },
    /// The file cannot be read.
    #[error("cannot read the token file {path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What happened.
        source: io::Error,
    },
    /// GitHub gives none, and would not the next time.
    #[error("GitHub Actions gives no token: {0}")]
    GitHub(String),
    /// GitHub is not well.
    #[error("GitHub Actions gives no token now: {0}")]
    GitHubAway(String),
    /// There is something else in its place. What, is not said: it may be half a secret.
    #[error("{place} holds {found}, expected one token")]
    NotOne {
        /// The place.
        place: String,
        /// What is there.
        found: &'static str,
    },
}

/// The token, where it only has to be looked at: no runtime, no network.
pub(crate) fn at_hand(source: &TokenSource, environment: &Environment) -> Option<Result<Secret, TokenError>> {
    match source {
        TokenSource::Environment(name) => {
            let text = Zeroizing::new(environment.text(name).unwrap_or_default());
            Some(token(&text, || format!("variable {name}")))
        }
        TokenSource::File(path) => {
            let failed = |source| TokenError::File { path: path.display().to_string(), source };
            Some(
                read_file(path)
                    .map_err(failed)
                    .and_then(|text| token(&text, || format!("the token file {}", path.display()))),
            )
        }
        TokenSource::Command(_) | TokenSource::GitHub => None,
    }
}

/// What stands for the token in the name of what is kept, where the token itself is only to be had over the network: at
/// GitHub the job's own secret, and what is asked for with it.
pub(crate) fn stand_in(source: &TokenSource, audience: Option<&str>, environment: &Environment) -> Option<Secret> {
    let job = environment.text("ACTIONS_ID_TOKEN_REQUEST_TOKEN").filter(|_| *source == TokenSource::GitHub)?;
    Some(Secret::from(format!("{} {job}", audience.unwrap_or_default())))
}

/// The token, wherever it is. `audience` is what GitHub is asked for, `patience` is for all of it.
///
/// # Errors
/// When there is none.
pub(crate) async fn read(
    source: &TokenSource,
    audience: Option<&str>,
    patience: Duration,
    environment: &Environment,
) -> Result<Secret, TokenError> {
    if let Some(found) = at_hand(source, environment) {
        return found;
    }
    match source {
        TokenSource::Command(words) => command(words, patience).await,
        _ => timeout(patience, github(audience, patience, environment)).await.unwrap_or_else(|_| {
            Err(TokenError::GitHubAway(format!("it did not answer within {} seconds", patience.as_secs())))
        }),
    }
}

/// Only a file: a pipe would be waited for as long as nobody writes.
fn read_file(path: &std::path::Path) -> io::Result<Zeroizing<String>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut text = Zeroizing::new(String::new());
    File::open(path)?.take(TOKEN_MAX_BYTES + 1).read_to_string(&mut text)?;
    Ok(text)
}

/// A token stands alone: anything else in its place (an error page, a log line) is not sent anywhere.
fn token(text: &str, place: impl FnOnce() -> String) -> Result<Secret, TokenError> {
    let alone = text.trim();
    let found = if alone.is_empty() {
        "nothing"
    } else if text.len() as u64 > TOKEN_MAX_BYTES {
        "more than 64 KiB"
    } else if alone.lines().count() > 1 {
        "several lines"
    } else if !alone.bytes().all(|byte| byte.is_ascii_graphic()) {
        "other text"
    } else if UnverifiedClaims::read(alone).is_none() {
        // A password or another service's key in the place that somebody else's kubeconfig names stays here.
        "no JWT"
    } else {
        return Ok(Secret::from(alone));
    };
    Err(TokenError::NotOne { place: place(), found })
}

async fn command(words: &[String], patience: Duration) -> Result<Secret, TokenError> {
    let (program, arguments) = words.split_first().expect("settings hold at least the program");
    let failed = |what: String| TokenError::Command { program: program.clone(), what };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // Its words are the person's to read.
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let mut output = child.stdout.take().expect("standard output was asked for as a pipe").take(TOKEN_MAX_BYTES + 1);
    let mut text = Zeroizing::new(String::new());
    let ended = timeout(patience, async {
        output.read_to_string(&mut text).await?;
        // One that prints on and on has said enough, and ends with us.
        if text.len() as u64 > TOKEN_MAX_BYTES { Ok(None) } else { child.wait().await.map(Some) }
    });
    let status = ended
        .await
        .map_err(|_| failed(format!("it took longer than {}", super::span(patience))))?
        .map_err(|error| failed(error.to_string()))?;
    if let Some(status) = status.filter(|status| !status.success()) {
        return Err(failed(status.to_string()));
    }
    token(&text, || format!("the output of {program}"))
}

/// GitHub Actions: a job with `permissions: id-token: write` finds an address and a bearer token in its environment.
async fn github(audience: Option<&str>, patience: Duration, environment: &Environment) -> Result<Secret, TokenError> {
    let variable = |name: &str| {
        environment.text(name).ok_or_else(|| {
            TokenError::GitHub(format!("{name} is not set; the job needs `permissions: id-token: write`"))
        })
    };
    let address = variable("ACTIONS_ID_TOKEN_REQUEST_URL")?;
    let bearer = Zeroizing::new(variable("ACTIONS_ID_TOKEN_REQUEST_TOKEN")?);
    let mut address = Url::parse(&address)
        .ok()
        .filter(|url| url.scheme() == "https")
        .ok_or_else(|| TokenError::GitHub("ACTIONS_ID_TOKEN_REQUEST_URL holds no https URL".to_owned()))?;
    if let Some(audience) = audience {
        address.query_pairs_mut().append_pair("audience", audience);
    }
    let transport = Transport::new(Route { timeout: patience, ..Route::default() })
        .map_err(|error| TokenError::GitHub(error.to_string()))?;
    let mut attempts = 1;
    loop {
        match ask_github(&transport, &address, &bearer).await {
            Err(TokenError::GitHubAway(_)) if attempts < GITHUB_ATTEMPTS => {
                attempts += 1;
                sleep(GITHUB_PAUSE).await;
            }
            asked => return asked,
        }
    }
}

async fn ask_github(transport: &Transport, address: &Url, bearer: &str) -> Result<Secret, TokenError> {
    #[derive(Deserialize)]
    struct Answer {
        value: Secret,
    }
    let request = Request::get(address.as_str())
        .header(ACCEPT, "application/json")
        .header(AUTHORIZATION, format!("Bearer {bearer}"))
        .body(Vec::new())
        .map_err(|_| TokenError::GitHub("ACTIONS_ID_TOKEN_REQUEST_TOKEN holds no token".to_owned()))?;
    let answer = transport.send(request).await.map_err(|error| TokenError::GitHubAway(error.to_string()))?;
    let body = Zeroizing::new(answer.body);
    match answer.status {
        StatusCode::OK => {}
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            return Err(TokenError::GitHubAway(format!("it answered {status}")));
        }
        status => return Err(TokenError::GitHub(format!("it answered {status}"))),
    }
    let Answer { value } =
        serde_json::from_slice(&body).map_err(|_| TokenError::GitHub("its answer is not readable".to_owned()))?;
    token(value.expose(), || "GitHub's answer".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_stands_alone() {
        assert_eq!(token(" e30.e30.c2ln\n", String::new).unwrap().expose(), "e30.e30.c2ln");
        let large = "x".repeat(64 * 1024 + 1);
        let cases = [
            ("", "nothing"),
            ("\n", "nothing"),
            ("not a token", "other text"),
            ("AKIAIOSFODNN7EXAMPLE", "no JWT"),
            ("a.b.c", "no JWT"),
            ("<html>\n<body>", "several lines"),
            ("a.b.c\r\nd.e.f", "several lines"),
            ("a\u{202e}b", "other text"),
            (&large, "more than 64 KiB"),
        ];
        for (text, expected) in cases {
            let Err(TokenError::NotOne { found, .. }) = token(text, String::new) else { panic!("{text:?}") };
            assert_eq!(found, expected);
        }
    }
}
