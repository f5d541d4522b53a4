//! One collector and how it is spoken to: `POST` of JSON over TLS, no redirect, bounded in bytes and in time.

use std::{fmt, fs, io, path::PathBuf, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use reqwest::redirect;
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use serde::Deserialize;
use url::{Host, Url};

use crate::idp::{http::system_roots, proxy::Proxies};

/// A collector nearby answers in milliseconds; who answers later than this is retried.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Longest answer that is read: it says how many records were not taken, and why.
const ANSWER_BYTES: usize = 64 * 1024;
/// Longest pause that a collector may ask for.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// Longest file of headers: a few lines.
const HEADERS_FILE_LIMIT: u64 = 64 * 1024;

/// Where a collector takes logs (OTLP 1.9, "OTLP/HTTP Request").
const LOGS_PATH: &str = "/v1/logs";

/// Where records go by OTLP, and what is needed to get them there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpSettings {
    /// The collector.
    pub endpoint: Endpoint,
    /// The authorities of its certificate, PEM; `None`: the system's.
    pub ca_file: Option<PathBuf>,
    /// A file of headers, one `Name: value` a line: where a token for the collector stands.
    pub headers_file: Option<PathBuf>,
    /// The way out of the cluster.
    pub proxies: Proxies,
}

/// A collector's URL: https, or http where that is harmless or was allowed.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint(Url);

/// A text is no endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not a URL with a host.
    #[error("expected a URL such as https://collector.example.com:4318")]
    NotAUrl,
    /// http to another machine.
    #[error("expected https: records name people; http is taken for loopback only, or with --audit-otlp-plaintext")]
    Plaintext,
    /// A user name, a password, a query or a fragment.
    #[error("expected no user name, password, query or fragment: secrets belong into --audit-otlp-headers-file")]
    Secrets,
}

/// What became of one export.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// All was taken.
    Taken,
    /// So many records were refused, for this reason; the others were taken.
    Partly { rejected: u64, reason: String },
    /// It will never take this: trying again is useless.
    Refused(String),
    /// It surely took nothing: not reached, or asked to come later, after this pause if it named one.
    Later { why: String, pause: Option<Duration> },
    /// Nobody knows whether it took anything.
    Unknown(String),
}

/// The connection to one collector.
pub(super) struct Collector {
    client: reqwest::Client,
    endpoint: Url,
    headers: HeaderMap,
}

/// `ExportLogsServiceResponse`; 64-bit integers are strings, and some write them as numbers all the same.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Answer {
    partial_success: PartialSuccess,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PartialSuccess {
    rejected_log_records: serde_json::Value,
    error_message: String,
}

// === impl Endpoint ===

impl Endpoint {
    /// Reads a URL. Without a path it is the collector's usual one.
    ///
    /// # Errors
    /// When records should not be sent there.
    pub fn parse(text: &str, plaintext: bool) -> Result<Self, EndpointError> {
        let mut url = Url::parse(text).map_err(|_| EndpointError::NotAUrl)?;
        if url.host().is_none() {
            return Err(EndpointError::NotAUrl);
        }
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) || plaintext => {}
            "http" => return Err(EndpointError::Plaintext),
            _ => return Err(EndpointError::NotAUrl),
        }
        let has_secrets = !url.username().is_empty() || url.password().is_some();
        if has_secrets || url.query().is_some() || url.fragment().is_some() {
            return Err(EndpointError::Secrets);
        }
        if url.path() == "/" {
            url.set_path(LOGS_PATH);
        }
        Ok(Self(url))
    }

    fn is_loopback(&self) -> bool {
        is_loopback(&self.0)
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

// === impl Collector ===

impl Collector {
    /// Reads the files and makes a client; connects to nothing.
    pub(super) fn open(settings: &OtlpSettings) -> io::Result<Self> {
        let OtlpSettings { endpoint, ca_file, headers_file, proxies } = settings;
        let roots = match ca_file {
            Some(file) => {
                let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
                read.map_err(|error| io::Error::other(format!("{}: {error}", file.display())))?
            }
            None if endpoint.0.scheme() == "http" => Vec::new(),
            None => system_roots().map_err(io::Error::other)?,
        };
        let headers = headers_file.as_ref().map_or_else(|| Ok(HeaderMap::new()), |file| read_headers(file))?;
        let roots = roots.iter().map(|der| reqwest::Certificate::from_der(der)).collect::<Result<Vec<_>, _>>();
        let builder = reqwest::Client::builder()
            .tls_certs_only(roots.map_err(io::Error::other)?)
            .tls_version_min(reqwest::tls::Version::TLS_1_2)
            .redirect(redirect::Policy::none())
            .referer(false)
            .connect_timeout(CONNECT_LIMIT)
            .timeout(ANSWER_LIMIT)
            .user_agent(concat!("latchkey-concierge/", env!("CARGO_PKG_VERSION")));
        // A loopback host is never asked by a proxy, as by the client for issuers.
        let builder = if endpoint.is_loopback() { builder.no_proxy() } else { proxies.apply(builder) };
        let client = builder.build().map_err(io::Error::other)?;
        Ok(Self { client, endpoint: endpoint.0.clone(), headers })
    }

    /// Sends one export.
    pub(super) async fn send(&self, export: Bytes) -> Told {
        let request = self
            .client
            .post(self.endpoint.clone())
            .headers(self.headers.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(export);
        match request.send().await {
            Ok(response) => told(response).await,
            // Without a connection not a byte of it was sent.
            Err(error) if error.is_connect() || error.is_builder() => Told::Later { why: cause(error), pause: None },
            Err(error) => Told::Unknown(cause(error)),
        }
    }
}

async fn told(mut response: reqwest::Response) -> Told {
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = Vec::new();
    // What it says beyond the limit, or after it broke off, changes nothing.
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_BYTES {
            body.clear();
            break;
        }
    }
    judge(status, &headers, &body)
}

/// OTLP 1.9, "OTLP/HTTP Response": 429, 502, 503 and 504 may be tried again, and nothing else.
fn judge(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Told {
    match status.as_u16() {
        200..300 => {
            // An empty answer, or one in another encoding, says that all was taken.
            let answer: Answer = serde_json::from_slice(body).unwrap_or_default();
            let PartialSuccess { rejected_log_records: rejected, error_message: reason } = answer.partial_success;
            let rejected = rejected.as_u64().or_else(|| rejected.as_str()?.parse().ok()).unwrap_or(0);
            if rejected == 0 { Told::Taken } else { Told::Partly { rejected, reason: cut(&reason) } }
        }
        429 | 503 => Told::Later { why: format!("it answered {status}"), pause: pause(headers) },
        // Whoever stands before it does not know either.
        502 | 504 => Told::Unknown(format!("it answered {status}")),
        _ => Told::Refused(format!("it answered {status}: {}", cut(&String::from_utf8_lossy(body)))),
    }
}

/// `Retry-After` in seconds (RFC 9110 10.2.3); a date is too much trust in two clocks.
fn pause(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_PAUSE))
}

fn cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut deepest: &dyn std::error::Error = &error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    cut(&format!("{error}: {deepest}"))
}

/// What somebody else says, short and in one line: it goes into our log.
fn cut(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(200).collect()
}

fn read_headers(file: &std::path::Path) -> io::Result<HeaderMap> {
    let about = |problem: &str| io::Error::other(format!("{}: {problem}", file.display()));
    let size = fs::metadata(file).map_err(|error| about(&error.to_string()))?.len();
    if size > HEADERS_FILE_LIMIT {
        return Err(about("too long to be a few headers"));
    }
    let text = zeroize::Zeroizing::new(fs::read_to_string(file).map_err(|error| about(&error.to_string()))?);
    // What a line was is not repeated: it may hold a secret.
    headers(&text).ok_or_else(|| about("expected lines `Name: value`"))
}

fn headers(text: &str) -> Option<HeaderMap> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        let mut value: HeaderValue = value.trim().parse().ok()?;
        // Neither HTTP/2's header table nor a log keeps it.
        value.set_sensitive(true);
        Some((name.trim().parse::<HeaderName>().ok()?, value))
    };
    lines.map(header).collect()
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector").field("endpoint", &self.endpoint.as_str()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_go_nowhere_in_the_clear_unless_told() {
        for (text, plaintext, expected) in [
            ("https://collector:4318", false, Ok("https://collector:4318/v1/logs")),
            ("https://collector/otlp/v1/logs", false, Ok("https://collector/otlp/v1/logs")),
            ("http://127.0.0.1:4318", false, Ok("http://127.0.0.1:4318/v1/logs")),
            ("http://[::1]:4318/", false, Ok("http://[::1]:4318/v1/logs")),
            ("http://localhost", false, Ok("http://localhost/v1/logs")),
            ("http://collector:4318", true, Ok("http://collector:4318/v1/logs")),
            ("http://collector:4318", false, Err(EndpointError::Plaintext)),
            ("http://localhost.example.com", false, Err(EndpointError::Plaintext)),
            ("https://me:secret@collector", false, Err(EndpointError::Secrets)),
            ("https://collector/?key=1", false, Err(EndpointError::Secrets)),
            ("collector:4318", false, Err(EndpointError::NotAUrl)),
            ("grpc://collector", true, Err(EndpointError::NotAUrl)),
            ("", false, Err(EndpointError::NotAUrl)),
        ] {
            let parsed = Endpoint::parse(text, plaintext);
            assert_eq!(parsed.map(|endpoint| endpoint.0.to_string()), expected.map(str::to_owned), "{text}");
        }
    }

    #[test]
    fn each_answer_has_its_meaning() {
        let asked = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("7"))]);
        let long = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("86400"))]);
        let none = HeaderMap::new();
        let later = |why: &str, pause: Option<u64>| Told::Later {
            why: format!("it answered {why}"),
            pause: pause.map(Duration::from_secs),
        };
        for (status, headers, body, expected) in [
            (200, &none, &b"{}"[..], Told::Taken),
            (200, &none, b"", Told::Taken),
            (200, &none, b"{\"partialSuccess\":{}}", Told::Taken),
            (200, &none, b"{\"partialSuccess\":{\"rejectedLogRecords\":\"0\",\"errorMessage\":\"x\"}}", Told::Taken),
            (
                200,
                &none,
                b"{\"partialSuccess\":{\"rejectedLogRecords\":\"3\",\"errorMessage\":\"too\\nold\"}}",
                Told::Partly { rejected: 3, reason: "tooold".to_owned() },
            ),
            (
                200,
                &none,
                b"{\"partialSuccess\":{\"rejectedLogRecords\":2}}",
                Told::Partly { rejected: 2, reason: String::new() },
            ),
            (429, &asked, b"", later("429 Too Many Requests", Some(7))),
            (503, &long, b"", later("503 Service Unavailable", Some(60))),
            (503, &none, b"", later("503 Service Unavailable", None)),
            (502, &none, b"", Told::Unknown("it answered 502 Bad Gateway".to_owned())),
            (400, &none, b"no\x1b[31m", Told::Refused("it answered 400 Bad Request: no[31m".to_owned())),
            (302, &none, b"", Told::Refused("it answered 302 Found: ".to_owned())),
        ] {
            assert_eq!(judge(StatusCode::from_u16(status).unwrap(), headers, body), expected, "{status}");
        }
    }

    #[test]
    fn headers_are_lines_and_never_printed() {
        let read = headers("# for the collector\nAuthorization: Bearer hunter2\n\nX-Scope-OrgID:tenant\n").unwrap();
        assert!(read["authorization"] == "Bearer hunter2" && read["x-scope-orgid"] == "tenant");
        assert!(!format!("{read:?}").contains("hunter2"));
        for wrong in ["Authorization", "a b: c", "X: \u{0}"] {
            assert_eq!(headers(wrong), None, "{wrong}");
        }
    }
}
