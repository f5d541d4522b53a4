//! The one HTTP client that speaks to issuers: https only, no redirects, no cookies, bounded in bytes and in time.
//!
//! A proxy is used if one was configured ([`Proxies`]), because clusters behind an egress proxy have no other way out; a
//! loopback host is never asked by a proxy, as in Go. Nothing comes from the environment, and no credential is sent: no
//! cookie, no client certificate, and no `Authorization` but the one of [`IssuerClient::get_as`].

mod failure;
mod https_url;

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use reqwest::redirect;
use rustls_pki_types::CertificateDer;
use url::Url;

use self::failure::sentence;
pub(crate) use self::failure::{cut, find, root_cause, shown};
pub use self::{
    failure::FetchError,
    https_url::{HttpsUrl, UrlError},
};
use super::{
    addresses::{self, CheckedResolver},
    proxy::Proxies,
};
use crate::secret::BearerToken;

/// How long a TCP connection and TLS handshake may take, name resolution included (jwt-profile 8).
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a whole fetch may take, from name resolution to the last byte: a server that sends one byte a second
/// must not hold a fetch for ever.
pub const TOTAL_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections to an issuer are kept just long enough to fetch the keys right after discovery.
const IDLE_CONNECTION: Duration = Duration::from_secs(10);

/// Time limits of a fetch; only tests use others than the default.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// See [`CONNECT_TIMEOUT`].
    pub connect: Duration,
    /// See [`TOTAL_TIMEOUT`].
    pub total: Duration,
}

/// A client for one issuer, with that issuer's trust roots.
pub struct IssuerClient {
    client: reqwest::Client,
    /// The same without a proxy, for loopback hosts; made when first needed.
    direct: OnceLock<reqwest::Client>,
    roots: Option<Vec<CertificateDer<'static>>>,
    limits: Limits,
}

/// The client cannot be built: the trust roots are the only thing that may be wrong with it.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A certificate of the bundle is no X.509 certificate that could be a trust root.
    #[error("cannot use the configured CA bundle: {0}")]
    Bundle(String),
    /// The container has no root certificates.
    #[error("cannot load the default root CA bundle: {0}")]
    SystemRoots(String),
}

/// What a fetch brought.
#[derive(Debug)]
pub enum Fetched {
    /// 200, with the whole body.
    Body {
        /// The body, no longer than the limit asked for.
        bytes: Bytes,
        /// The answer's headers, for caching.
        headers: HeaderMap,
    },
    /// 304: what was fetched before still holds.
    NotModified {
        /// The answer's headers, for caching.
        headers: HeaderMap,
    },
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self { connect: CONNECT_TIMEOUT, total: TOTAL_TIMEOUT }
    }
}

// === impl IssuerClient ===

impl IssuerClient {
    /// A client that trusts `roots`, or the system's roots if there are none given: a bundle replaces the system's. It
    /// uses no proxy.
    ///
    /// # Errors
    /// When the roots cannot be used.
    pub fn new(roots: Option<&[CertificateDer<'static>]>, limits: Limits) -> Result<Self, ClientError> {
        Self::through(&Proxies::default(), roots, limits)
    }

    /// The same through a proxy.
    ///
    /// # Errors
    /// When the roots cannot be used.
    pub fn through(
        proxies: &Proxies,
        roots: Option<&[CertificateDer<'static>]>,
        limits: Limits,
    ) -> Result<Self, ClientError> {
        let client = build(proxies.apply(builder(limits)), roots)?;
        Ok(Self { client, direct: OnceLock::new(), roots: roots.map(<[_]>::to_vec), limits })
    }

    /// Gets `url`, reading at most `limit` bytes of body. With an entity tag of an earlier answer the server may say
    /// that nothing changed.
    ///
    /// # Errors
    /// When the answer is not 200 (or 304 to an entity tag), is too large, too slow, or says it is not JSON.
    pub async fn get(&self, url: &HttpsUrl, limit: usize, entity_tag: Option<&str>) -> Result<Fetched, FetchError> {
        if let Some(refused) = addresses::refused_host(url.url()) {
            return Err(FetchError::AddressRefused(refused.to_string()));
        }
        let mut request = self
            .client_for(url.url())
            .get(url.url().clone())
            .header(header::ACCEPT, "application/json, application/jwk-set+json;q=0.9")
            // A compressed body could grow beyond any limit while it is unpacked.
            .header(header::ACCEPT_ENCODING, "identity");
        if let Some(tag) = entity_tag {
            request = request.header(header::IF_NONE_MATCH, tag);
        }
        let response = request.send().await.map_err(|error| self.failure(error))?;

        let (status, headers) = (response.status(), response.headers().clone());
        match status {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED if entity_tag.is_some() => return Ok(Fetched::NotModified { headers }),
            status if status.is_redirection() => return Err(FetchError::Redirect(status)),
            status => return Err(FetchError::Status(status)),
        }
        let bytes = self.body(response, limit).await?;
        Ok(Fetched::Body { bytes, headers })
    }

    /// Gets what `bearer` opens at `url`, at most `limit` bytes.
    ///
    /// # Errors
    /// When the answer is not 200, is too large, too slow, or a web page.
    pub async fn get_as(
        &self,
        url: &HttpsUrl,
        bearer: Option<&BearerToken>,
        limit: usize,
    ) -> Result<Bytes, FetchError> {
        if let Some(refused) = addresses::refused_host(url.url()) {
            return Err(FetchError::AddressRefused(refused.to_string()));
        }
        let mut request = self
            .client_for(url.url())
            .get(url.url().clone())
            .header(header::ACCEPT, "application/jwt")
            .header(header::ACCEPT_ENCODING, "identity");
        if let Some(bearer) = bearer {
            // Marked as sensitive: neither HTTP/2's header table nor a log keeps it.
            request = request.bearer_auth(bearer.as_str());
        }
        let response = request.send().await.map_err(|error| self.failure(error))?;
        match response.status() {
            StatusCode::OK => self.body(response, limit).await,
            status if status.is_redirection() => Err(FetchError::Redirect(status)),
            status => Err(FetchError::Status(status)),
        }
    }

    /// Posts JSON to `url`, and reads at most `limit` bytes of what a 200 or 201 brings.
    ///
    /// # Errors
    /// When the answer is any other, is too large, too slow, or says it is not JSON.
    pub async fn post(&self, url: &HttpsUrl, json: Bytes, limit: usize) -> Result<Bytes, FetchError> {
        if let Some(refused) = addresses::refused_host(url.url()) {
            return Err(FetchError::AddressRefused(refused.to_string()));
        }
        let request = self
            .client_for(url.url())
            .post(url.url().clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json")
            .header(header::ACCEPT_ENCODING, "identity")
            .body(json);
        let response = request.send().await.map_err(|error| self.failure(error))?;
        match response.status() {
            StatusCode::OK | StatusCode::CREATED => self.body(response, limit).await,
            status if status.is_redirection() => Err(FetchError::Redirect(status)),
            status => Err(FetchError::Status(status)),
        }
    }

    async fn body(&self, mut response: reqwest::Response, limit: usize) -> Result<Bytes, FetchError> {
        check_content(response.headers())?;
        // Counted while it comes in: `Content-Length` is only the sender's word.
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failure(error))? {
            if body.len() + chunk.len() > limit {
                return Err(FetchError::TooLarge { limit });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.into())
    }

    fn client_for(&self, url: &Url) -> &reqwest::Client {
        if !addresses::is_loopback(url) {
            return &self.client;
        }
        // The roots have worked once, so they work again; if not, the client with the proxy does no harm.
        let direct = || build(builder(self.limits).no_proxy(), self.roots.as_deref());
        self.direct.get_or_init(|| direct().unwrap_or_else(|_| self.client.clone()))
    }

    fn failure(&self, error: reqwest::Error) -> FetchError {
        // The URL may hold a query; the condition names the issuer anyway.
        let error = error.without_url();
        if let Some(refused) = find::<addresses::Refused>(&error) {
            FetchError::AddressRefused(refused.to_string())
        } else if let Some(tls) = find::<rustls::Error>(&error) {
            FetchError::Tls(cut(&tls.to_string()))
        } else if error.is_timeout() {
            FetchError::Timeout(self.limits.total)
        } else if error.is_dns() {
            FetchError::Dns(root_cause(&error))
        } else if error.is_connect() {
            FetchError::Connect(root_cause(&error))
        } else {
            FetchError::Protocol(root_cause(&error))
        }
    }
}

impl fmt::Debug for IssuerClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuerClient").finish_non_exhaustive()
    }
}

fn builder(limits: Limits) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .https_only(true)
        .tls_version_min(reqwest::tls::Version::TLS_1_2)
        .redirect(redirect::Policy::none())
        .referer(false)
        .connect_timeout(limits.connect)
        .timeout(limits.total)
        .pool_idle_timeout(IDLE_CONNECTION)
        .dns_resolver(Arc::new(CheckedResolver))
        .user_agent(concat!("latchkey-concierge/", env!("CARGO_PKG_VERSION")))
}

fn build(
    builder: reqwest::ClientBuilder,
    roots: Option<&[CertificateDer<'static>]>,
) -> Result<reqwest::Client, ClientError> {
    let build = |roots: &[CertificateDer<'static>]| {
        let certificates =
            roots.iter().map(|der| reqwest::Certificate::from_der(der)).collect::<Result<Vec<_>, _>>()?;
        builder.tls_certs_only(certificates).build()
    };
    match roots {
        Some(roots) => build(roots).map_err(|error| ClientError::Bundle(sentence(&error))),
        None => build(&system_roots()?).map_err(|error| ClientError::SystemRoots(sentence(&error))),
    }
}

/// The container's trust roots. (reqwest's own way to them logs an error at each certificate that it refuses, and an
/// issuer with a bad certificate is tried again and again.)
pub(crate) fn system_roots() -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let found = rustls_native_certs::load_native_certs();
    // A file of roots may hold relics that no verifier takes; they are no reason to trust nobody.
    let usable = |der: &CertificateDer<'_>| webpki::anchor_from_trusted_cert(der).is_ok();
    let roots: Vec<_> = found.certs.into_iter().filter(usable).collect();
    if roots.is_empty() {
        let why = found.errors.first().map_or_else(|| "there are none".to_owned(), ToString::to_string);
        return Err(ClientError::SystemRoots(cut(&why)));
    }
    Ok(roots)
}

/// HTML is an error page or a login page with status 200. Other types pass: some issuers send
/// `application/octet-stream`, and the parser decides in the end.
fn check_content(headers: &HeaderMap) -> Result<(), FetchError> {
    if let Some(value) = headers.get(header::CONTENT_TYPE) {
        let essence = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        let essence = essence.split(';').next().unwrap_or_default().trim();
        if matches!(essence, "text/html" | "application/xhtml+xml") {
            return Err(FetchError::ContentType(essence.to_owned()));
        }
    }
    for value in headers.get_all(header::CONTENT_ENCODING) {
        if !value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity") {
            return Err(FetchError::Encoding(cut(&String::from_utf8_lossy(value.as_bytes()))));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_and_compressed_bodies_are_refused_by_their_own_words() {
        let with = |name: header::HeaderName, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            check_content(&headers)
        };
        assert_eq!(check_content(&HeaderMap::new()), Ok(()));
        assert_eq!(with(header::CONTENT_TYPE, "application/json; charset=utf-8"), Ok(()));
        assert_eq!(with(header::CONTENT_TYPE, "application/octet-stream"), Ok(()));
        assert_eq!(with(header::CONTENT_ENCODING, "identity"), Ok(()));
        assert_eq!(
            with(header::CONTENT_TYPE, "Text/HTML; charset=utf-8"),
            Err(FetchError::ContentType("text/html".to_owned()))
        );
        assert_eq!(with(header::CONTENT_ENCODING, "gzip"), Err(FetchError::Encoding("gzip".to_owned())));
    }
}
