//! The way in without a person: a token that the place gives, read anew at each run.

use std::fs::File;
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
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::config::TokenSource;
use crate::environment::Environment;
use crate::secret::Secret;
use crate::transport::{Route, Transport};

/// The largest token that a concierge judges is 64 KiB.
const TOKEN_MAX_BYTES: u64 = 64 * 1024;

/// For a program that prints a token, or for GitHub: longer than either takes, shorter than a job's patience.
const PATIENCE: Duration = Duration::from_secs(30);

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
    /// The source holds nothing, or no token.
    #[error("{0} holds no token")]
    Empty(String),
    /// The file cannot be read.
    #[error("cannot read the token file {path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What happened.
        source: io::Error,
    },
    /// GitHub gives none.
    #[error("GitHub Actions gives no token: {0}")]
    GitHub(String),
}

/// Reads the token. `audience` is what GitHub is asked for.
///
/// # Errors
/// When there is none.
pub(crate) async fn read(
    source: &TokenSource,
    audience: Option<&str>,
    environment: &Environment,
) -> Result<Secret, TokenError> {
    match source {
        TokenSource::Command(words) => command(words).await,
        TokenSource::Environment(name) => environment
            .text(name)
            .ok_or_else(|| TokenError::Empty(format!("variable {name}")))
            .and_then(|text| token(&Zeroizing::new(text), || format!("variable {name}"))),
        TokenSource::File(path) => {
            let shown = || path.display().to_string();
            let mut text = Zeroizing::new(String::new());
            File::open(path)
                .and_then(|file| file.take(TOKEN_MAX_BYTES).read_to_string(&mut text))
                .map_err(|source| TokenError::File { path: shown(), source })?;
            token(&text, || format!("file {}", path.display()))
        }
        TokenSource::GitHub => github(audience, environment).await,
    }
}

/// A token stands alone: anything else in its place (an error page, a log line) is not sent anywhere.
fn token(text: &str, place: impl FnOnce() -> String) -> Result<Secret, TokenError> {
    let text = text.trim();
    let is_token = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_token { Ok(Secret::from(text)) } else { Err(TokenError::Empty(place())) }
}

async fn command(words: &[String]) -> Result<Secret, TokenError> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(TokenError::Empty("--token-command".to_owned()));
    };
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
    let mut output = child.stdout.take().expect("standard output was asked for as a pipe").take(TOKEN_MAX_BYTES);
    let mut text = Zeroizing::new(String::new());
    let ended = timeout(PATIENCE, async {
        output.read_to_string(&mut text).await?;
        child.wait().await
    });
    let status = ended
        .await
        .map_err(|_| failed(format!("it took longer than {} seconds", PATIENCE.as_secs())))?
        .map_err(|error| failed(error.to_string()))?;
    if !status.success() {
        return Err(failed(status.to_string()));
    }
    token(&text, || format!("the output of {program}"))
}

/// GitHub Actions: a job with `permissions: id-token: write` finds an address and a bearer token in its environment.
async fn github(audience: Option<&str>, environment: &Environment) -> Result<Secret, TokenError> {
    #[derive(Deserialize)]
    struct Answer {
        value: String,
    }
    let variable = |name: &str| {
        environment.text(name).ok_or_else(|| {
            TokenError::GitHub(format!("{name} is not set; the job needs `permissions: id-token: write`"))
        })
    };
    let address = variable("ACTIONS_ID_TOKEN_REQUEST_URL")?;
    let bearer = Zeroizing::new(variable("ACTIONS_ID_TOKEN_REQUEST_TOKEN")?);
    let mut address =
        Url::parse(&address).map_err(|_| TokenError::GitHub("ACTIONS_ID_TOKEN_REQUEST_URL holds no URL".to_owned()))?;
    if let Some(audience) = audience {
        address.query_pairs_mut().append_pair("audience", audience);
    }
    let transport = Transport::new(Route { timeout: PATIENCE, ..Route::default() })
        .map_err(|error| TokenError::GitHub(error.to_string()))?;
    let request = Request::get(address.as_str())
        .header(ACCEPT, "application/json")
        .header(AUTHORIZATION, format!("Bearer {}", *bearer))
        .body(Vec::new())
        .map_err(|_| TokenError::GitHub("ACTIONS_ID_TOKEN_REQUEST_TOKEN holds no token".to_owned()))?;
    let answer = transport.send(request).await.map_err(|error| TokenError::GitHub(error.to_string()))?;
    if answer.status != StatusCode::OK {
        return Err(TokenError::GitHub(format!("it answered {}", answer.status)));
    }
    let body = Zeroizing::new(answer.body);
    let Answer { value } =
        serde_json::from_slice(&body).map_err(|_| TokenError::GitHub("its answer is not readable".to_owned()))?;
    token(&Zeroizing::new(value), || "GitHub's answer".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_stands_alone() {
        assert_eq!(token(" a.b.c\n", String::new).unwrap().expose(), "a.b.c");
        for text in ["", "\n", "not a token", "<html>\n<body>", "a\u{202e}b"] {
            assert!(token(text, || "x".to_owned()).is_err(), "{text:?}");
        }
    }
}
