//! Asks the server of a `WebhookAuthenticator` whose a token is. The only room that sends a token anywhere, and only to the
//! endpoint that its authenticator names.
//!
//! Which version of the API is spoken: the one that the spec names, else the one that the server answered in first. `v1`
//! is tried first; a server that answers as one does that does not know it (400, 404, 406, 415, 422), or in `v1beta1`, is
//! asked in `v1beta1`, and the version of its first good answer is kept for as long as the spec stays as it is.
//! (Pinniped asks in `v1beta1` only, though its documentation says `v1`.)

mod dial;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt as _, future::BoxFuture};
use http::StatusCode;
use rustls_pki_types::CertificateDer;
use tokio::{
    sync::{Notify, Semaphore},
    time::{Instant, sleep, timeout},
};

pub use self::dial::Dialed;
use self::dial::Dialer;
use crate::{
    idp::{
        http::{ClientError, FetchError, HttpsUrl, IssuerClient, Limits},
        proxy::Proxies,
    },
    index::{AskError, AskWebhook},
    runtime::metrics::Metrics,
    secret::BearerToken,
    token_review::{AnswerError, Version, Word, question, read_answer},
};

/// Questions open at once to one server, and with them its connections: a quarter of all exchanges in hand (256), so
/// that a server that stalls leaves the rest of them to others. What comes beyond is told to come again.
const AT_ONCE: usize = 64;

/// Longest answer. A thousand groups, the most that are accepted, of 250 bytes; the echo of a token has 16 KiB.
const MAX_ANSWER_BYTES: usize = 256 * 1024;

/// How often a question is put at most, and the pause before the second time; it doubles. kube-apiserver asks five times
/// from half a second on, but nobody waits for it with a hand on the keyboard.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(200);

/// One server, as one generation of a spec names it.
#[derive(Debug)]
pub struct WebhookClient {
    name: String,
    endpoint: HttpsUrl,
    client: IssuerClient,
    dialer: Dialer,
    wanted: Option<Version>,
    learned: OnceLock<Version>,
    timeout: Duration,
    slots: Semaphore,
    metrics: Metrics,
    trouble: Arc<Notify>,
}

/// What a client is made of.
#[derive(Debug)]
pub struct Settings<'a> {
    /// The authenticator's name, for metrics.
    pub name: &'a str,
    /// What is posted to.
    pub endpoint: HttpsUrl,
    /// The trust roots; `None` for the system's.
    pub roots: Option<&'a [CertificateDer<'static>]>,
    /// The way out of the cluster.
    pub proxies: &'a Proxies,
    /// The version to speak; `None`: it is found out.
    pub version: Option<Version>,
    /// For one answer, all tries included.
    pub timeout: Duration,
    /// Counts questions.
    pub metrics: Metrics,
}

/// Why one question brought nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("cannot be asked: {0}")]
    Fetch(#[from] FetchError),
    #[error("gave an answer that {0}")]
    Answer(#[from] AnswerError),
}

// === impl WebhookClient ===

impl WebhookClient {
    /// A client that has asked nothing yet.
    ///
    /// # Errors
    /// When the trust roots cannot be used.
    pub fn new(settings: Settings<'_>) -> Result<Self, ClientError> {
        let Settings { name, endpoint, roots, proxies, version, timeout, metrics } = settings;
        let limits = Limits { total: timeout, ..Limits::default() };
        Ok(Self {
            name: name.to_owned(),
            client: IssuerClient::through(proxies, roots, limits)?,
            dialer: Dialer::new(&endpoint, roots, proxies)?,
            endpoint,
            wanted: version,
            learned: OnceLock::new(),
            timeout,
            slots: Semaphore::new(AT_ONCE),
            metrics,
            trouble: Arc::default(),
        })
    }

    /// Connects to the server and shakes hands, without asking anything.
    ///
    /// # Errors
    /// What went wrong, in a sentence.
    pub async fn dial(&self) -> Result<Dialed, FetchError> {
        self.dialer.dial().await
    }

    /// Waits until a question has gone unanswered since the last time.
    pub async fn troubled(&self) {
        self.trouble.notified().await;
    }

    async fn ask_in_time(&self, token: &BearerToken) -> Result<Word, AskError> {
        let Ok(_slot) = self.slots.try_acquire() else { return Err(AskError::Overloaded) };
        match timeout(self.timeout, self.ask_again(token)).await {
            Ok(Ok(word)) => Ok(word),
            Ok(Err(problem)) => Err(AskError::Unavailable(problem.to_string())),
            Err(_) => {
                Err(AskError::Unavailable(format!("gave no complete answer within {} s", self.timeout.as_secs())))
            }
        }
    }

    async fn ask_again(&self, token: &BearerToken) -> Result<Word, Problem> {
        let mut pause = PAUSE;
        for _ in 1..TRIES {
            match self.ask_once(token).await {
                Err(problem) if problem.may_pass() => sleep(pause).await,
                other => return other,
            }
            pause *= 2;
        }
        self.ask_once(token).await
    }

    async fn ask_once(&self, token: &BearerToken) -> Result<Word, Problem> {
        let known = self.wanted.or_else(|| self.learned.get().copied());
        let first = self.ask_in(known.unwrap_or(Version::V1), token).await;
        match &first {
            Err(problem) if known.is_none() && problem.may_mean_another_version() => {
                // What it says in a version that it may not know either is worth nothing, unless it is an answer.
                self.ask_in(Version::V1Beta1, token).await.or(first)
            }
            _ => first,
        }
    }

    async fn ask_in(&self, version: Version, token: &BearerToken) -> Result<Word, Problem> {
        // The memory is wiped when the last of the request is gone.
        let body = Bytes::from_owner(question(version, token));
        let answer = self.client.post(&self.endpoint, body, MAX_ANSWER_BYTES).await?;
        let word = read_answer(&answer, version)?;
        // Should two learn at once, they learn the same.
        let _ = self.learned.set(version);
        Ok(word)
    }
}

impl AskWebhook for WebhookClient {
    fn ask<'a>(&'a self, token: &'a BearerToken) -> BoxFuture<'a, Result<Word, AskError>> {
        async move {
            let start = Instant::now();
            let word = self.ask_in_time(token).await;
            let result = match &word {
                Ok(Word::Authenticated(_)) => "authenticated",
                Ok(Word::Refused { .. }) => "refused",
                Err(AskError::Overloaded) => "overloaded",
                Err(AskError::Unavailable(_)) => "unavailable",
            };
            self.metrics.webhook_asked(&self.name, result, start.elapsed());
            if let Err(AskError::Unavailable(error)) = &word {
                tracing::warn!(authenticator = self.name, error, "A webhook gave no usable answer");
                self.trouble.notify_one();
            }
            word
        }
        .boxed()
    }
}

// === impl Problem ===

impl Problem {
    /// What kube-apiserver asks again for: too many requests, trouble inside the server, a connection that broke.
    fn may_pass(&self) -> bool {
        match self {
            Self::Fetch(FetchError::Status(status)) => matches!(
                *status,
                StatusCode::TOO_MANY_REQUESTS
                    | StatusCode::INTERNAL_SERVER_ERROR
                    | StatusCode::BAD_GATEWAY
                    | StatusCode::GATEWAY_TIMEOUT
            ),
            Self::Fetch(FetchError::Protocol(_)) => true,
            Self::Fetch(_) | Self::Answer(_) => false,
        }
    }

    fn may_mean_another_version(&self) -> bool {
        match self {
            Self::Fetch(FetchError::Status(status)) => matches!(
                *status,
                StatusCode::BAD_REQUEST
                    | StatusCode::NOT_FOUND
                    | StatusCode::NOT_ACCEPTABLE
                    | StatusCode::UNSUPPORTED_MEDIA_TYPE
                    | StatusCode::UNPROCESSABLE_ENTITY
            ),
            Self::Answer(AnswerError::OtherVersion { .. }) => true,
            Self::Fetch(_) | Self::Answer(_) => false,
        }
    }
}
