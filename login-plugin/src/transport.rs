//! HTTPS requests with limits: roots chosen by the caller, no redirects, bounded bodies and times.

use std::net::SocketAddr;
use std::time::Duration;

use http::header::{DATE, HeaderMap};
use http::{Request, StatusCode};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Proxy, Url};
use thiserror::Error;

use crate::expiry::Clocks;
use crate::failure;
use crate::time::{Clock, UnixTime};

/// A key set of a large provider is 50 KiB, an answer of the cluster 60; a megabyte is an attack or a mistake.
const BODY_MAX_BYTES: usize = 1024 * 1024;

/// A server that does not answer the connection in five seconds will not do so in ten.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Programs and schema version of the `User-Agent`, which helps whoever reads the server's log.
const USER_AGENT: &str = concat!("kubectl-latchkey/", env!("CARGO_PKG_VERSION"));

/// How a server is reached and trusted.
#[derive(Debug, Default)]
pub(crate) struct Route<'a> {
    /// PEM; in place of the system's roots.
    pub(crate) roots: Option<&'a [u8]>,
    /// In place of the proxies of the environment.
    pub(crate) proxy: Option<&'a Url>,
    /// Addresses to use for a host name, in place of the resolver's.
    pub(crate) addresses: Option<(&'a str, Vec<SocketAddr>)>,
    /// For the whole request and its answer.
    pub(crate) timeout: Duration,
}

/// A client for one server.
#[derive(Debug)]
pub(crate) struct Transport {
    client: Client,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: StatusCode,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// At most a megabyte.
    pub(crate) body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub(crate) enum TransportError {
    /// The answer went on and on.
    #[error("the answer is larger than {BODY_MAX_BYTES} bytes")]
    BodyTooLarge,
    /// Name, connection, TLS or time.
    #[error("{0}")]
    Exchange(String),
    /// The roots are not certificates.
    #[error("the certificate authority data is not usable: {0}")]
    Roots(String),
}

impl Transport {
    /// A client that goes this way. Nothing is connected yet.
    ///
    /// # Errors
    /// When the roots or the proxy make no sense.
    pub(crate) fn new(route: Route<'_>) -> Result<Self, TransportError> {
        let mut builder = Client::builder()
            .https_only(true)
            // A token endpoint that redirects would send the code to somebody else (RFC 9700 section 4.12).
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT.min(route.timeout))
            .timeout(route.timeout)
            .user_agent(USER_AGENT);
        if let Some(pem) = route.roots {
            let roots = Certificate::from_pem_bundle(pem).map_err(|error| TransportError::Roots(error.to_string()))?;
            builder = builder.tls_certs_only(roots);
        }
        if let Some(url) = route.proxy {
            let proxy = Proxy::all(url.clone()).map_err(|error| TransportError::Exchange(failure::chain(&error)))?;
            builder = builder.proxy(proxy);
        }
        if let Some((host, addresses)) = route.addresses {
            builder = builder.resolve_to_addrs(host, &addresses);
        }
        let client = builder.build().map_err(|error| TransportError::Roots(failure::chain(&error)))?;
        Ok(Self { client })
    }

    /// Sends one request and reads the whole answer.
    ///
    /// # Errors
    /// When there is no whole answer within the limits.
    pub(crate) async fn send(&self, request: Request<Vec<u8>>) -> Result<Answer, TransportError> {
        let exchange = |error: reqwest::Error| {
            // The URL is said by the caller, in its own words.
            TransportError::Exchange(plainly(&failure::chain(&error.without_url())))
        };
        let request = request.try_into().map_err(exchange)?;
        let mut response = self.client.execute(request).await.map_err(exchange)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(exchange)? {
            if body.len() + chunk.len() > BODY_MAX_BYTES {
                return Err(TransportError::BodyTooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status: response.status(), headers: response.headers().clone(), body })
    }
}

/// Without what the HTTP library says of its own work in front of the reason: it tells a person nothing.
fn plainly(words: &str) -> String {
    ["error sending request: ", "client error (Connect): ", "client error (SendRequest): "]
        .into_iter()
        .fold(words, |words, noise| words.strip_prefix(noise).unwrap_or(words))
        .to_owned()
}

impl Answer {
    /// Both clocks at the arrival of this answer. A server that does not say its time is believed to agree with us.
    pub(crate) fn clocks(&self, clock: &dyn Clock) -> Clocks {
        let local = clock.now();
        Clocks { local, server: self.date().unwrap_or(local) }
    }

    /// The text of a header, if it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn date(&self) -> Option<UnixTime> {
        UnixTime::parse_http_date(self.headers.get(DATE)?.to_str().ok()?)
    }
}
