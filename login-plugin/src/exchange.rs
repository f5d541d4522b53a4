//! The exchange: an ID token and a certificate request in, a credential of the cluster out.

mod certificate_request;
mod patience;

use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Request, StatusCode};
use latchkey_crds::groups::VERSION;
use latchkey_crds::login::{
    ClusterCredential, ExpectedSubject, PLURAL, TokenCredentialRequest, TokenCredentialRequestSpec,
    TypedLocalObjectReference,
};
use reqwest::Url;
use serde::Deserialize;
use thiserror::Error;
use zeroize::Zeroizing;

use self::certificate_request::ClientKey;
use self::patience::Patience;
use crate::config::{ConciergeConfig, Server};
use crate::exec_credential::Credential;
use crate::output::{Output, Printable};
use crate::secret::Secret;
use crate::time::{Clock, UnixTime};
use crate::transport::{Answer, Route, Transport, TransportError};

/// A cluster that signs by its own CSR API may take several seconds.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The server asks for a subject at most once; more would be a loop.
const ATTEMPTS_MAX: u32 = 2;

/// A credential, and what to remember for the next time.
#[derive(Debug)]
pub(crate) struct Exchanged {
    /// What the cluster gave.
    pub(crate) credential: Credential,
    /// When, by this computer's clock.
    pub(crate) received_at: UnixTime,
    /// The last second in which to use it, by this computer's clock; unknown when the server did not say.
    pub(crate) usable_until: Option<UnixTime>,
    /// The subject that the server wanted, if it wanted one.
    pub(crate) subject: Option<ExpectedSubject>,
}

/// Why there is no credential.
#[derive(Debug, Error)]
pub(crate) enum ExchangeError {
    /// It has too much in hand.
    #[error("the cluster at {endpoint} is too busy to exchange the login: {message}")]
    Busy {
        /// The endpoint.
        endpoint: String,
        /// Its words.
        message: String,
    },
    /// The API server itself turned us away before the concierge was asked.
    #[error("the API server at {endpoint} turned the exchange away ({status}): {message}")]
    Denied {
        /// The endpoint.
        endpoint: String,
        /// 401 or 403.
        status: StatusCode,
        /// Its words.
        message: String,
    },
    /// No such API there.
    #[error("there is no concierge for API group {group} at {endpoint}")]
    NoConcierge {
        /// The group.
        group: String,
        /// The endpoint.
        endpoint: String,
    },
    /// The token was judged and found wanting.
    #[error("the cluster refused the login: {message}{}", audit_id.as_ref().map(|id| format!(" (audit id {id})")).unwrap_or_default())]
    Refused {
        /// The one sentence that every refusal has.
        message: String,
        /// Under which the true reason stands in the cluster's audit log.
        audit_id: Option<String>,
    },
    /// The server cannot be reached, or is not well.
    #[error("cannot exchange the login at {endpoint}: {what}")]
    Unreachable {
        /// The endpoint.
        endpoint: String,
        /// What happened.
        what: String,
    },
    /// The answer makes no sense.
    #[error("the answer of {endpoint} cannot be used: {what}")]
    Unusable {
        /// The endpoint.
        endpoint: String,
        /// Why.
        what: String,
    },
}

/// Exchanges the token. `remembered` is the subject that the server wanted last time. A cluster that is busy and says when to
/// ask again is asked again.
///
/// # Errors
/// When the cluster refuses, cannot be reached, or answers nonsense.
pub(crate) async fn exchange(
    config: &ConciergeConfig,
    token: &Secret,
    remembered: Option<&ExpectedSubject>,
    clock: &dyn Clock,
    output: &Output,
) -> Result<Exchanged, ExchangeError> {
    let endpoint = Printable(config.server.endpoint.as_str()).to_string();
    let unusable = |what: &str| ExchangeError::Unusable { endpoint: endpoint.clone(), what: what.to_owned() };
    let (transport, address) = route(config, REQUEST_TIMEOUT).await.map_err(|what| unusable(&what))?;
    let key = ClientKey::generate();
    let mut subject = remembered.cloned();
    let mut patience = Patience::new(output);
    for _ in 0..ATTEMPTS_MAX {
        // Some name has to stand there; a server that minds tells us the right one.
        let request = key.request(
            subject
                .as_ref()
                .unwrap_or(&ExpectedSubject { common_name: "latchkey".to_owned(), organizations: Vec::new() }),
        );
        let answer = loop {
            let answer = transport
                .send(post(config, &address, token, Some(request.clone())))
                .await
                .map_err(|error| ExchangeError::Unreachable { endpoint: endpoint.clone(), what: error.to_string() })?;
            if !patience.waited_for(&answer).await {
                break answer;
            }
        };
        let clocks = answer.clocks(clock);
        let audit_id = answer.header("audit-id").map(|id| Printable(id).to_string());
        let status = parse(&endpoint, config, &answer)?.status;
        if let Some(credential) = status.credential {
            let not_after = credential.expiration_timestamp.as_deref().map(|text| {
                UnixTime::parse_rfc3339(text).ok_or_else(|| unusable("its expirationTimestamp is not RFC 3339"))
            });
            return Ok(Exchanged {
                credential: usable(credential, &key).map_err(unusable)?,
                received_at: clocks.local,
                usable_until: not_after.transpose()?.map(|not_after| clocks.usable_until(not_after)),
                subject,
            });
        }
        match status.expected_subject {
            Some(expected) if subject.as_ref() != Some(&expected) => subject = Some(expected),
            _ => {
                let message = status.message.as_deref().unwrap_or("unknown cause");
                return Err(ExchangeError::Refused { message: Printable(message).to_string(), audit_id });
            }
        }
    }
    Err(unusable("it asked for another certificate subject each time"))
}

/// Sends a request without a token, to see whether a concierge is there. It turns that away before it judges anything (422)
/// and records nothing.
///
/// # Errors
/// In words, when there is no answer.
pub(crate) async fn knock(config: &ConciergeConfig, timeout: Duration) -> Result<Answer, String> {
    let (transport, address) = route(config, timeout).await?;
    let request = post(config, &address, &Secret::from(""), None);
    transport.send(request).await.map_err(|error| Printable(&error.to_string()).to_string())
}

/// The client and the address to post to.
async fn route(config: &ConciergeConfig, timeout: Duration) -> Result<(Transport, Url), String> {
    let (transport, mut address) = way_to(&config.server, timeout).await?;
    let path = format!("{}/apis/{}/{VERSION}/{PLURAL}", address.path().trim_end_matches('/'), config.suffix.login());
    address.set_path(&path);
    Ok((transport, address))
}

/// The client for a server, and the address by which that client knows it.
///
/// # Errors
/// In words, when the server's own settings lead nowhere.
pub(crate) async fn way_to(server: &Server, timeout: Duration) -> Result<(Transport, Url), String> {
    let mut address = server.endpoint.clone();
    let mut route = Route { roots: server.roots.as_deref(), proxy: server.proxy.as_ref(), timeout, ..Route::default() };
    if let Some(name) = &server.tls_server_name {
        // TLS checks the name in the URL, so that name has to stand there, and lead to the addresses of the real host.
        if server.proxy.is_some() {
            return Err("tls-server-name does not go together with proxy-url".to_owned());
        }
        let host = address.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = address.port_or_known_default().unwrap_or(443);
        let found = tokio::time::timeout(timeout, tokio::net::lookup_host((host.as_str(), port)))
            .await
            .map_err(|_| format!("the name {host} takes too long to resolve"))?
            .map_err(|error| format!("the name {host} cannot be resolved: {error}"))?;
        route.addresses = Some((name, found.collect()));
        address.set_host(Some(name)).map_err(|_| format!("tls-server-name {name:?} is no host name"))?;
    }
    let transport = Transport::new(route).map_err(|error: TransportError| error.to_string())?;
    Ok((transport, address))
}

fn post(config: &ConciergeConfig, address: &Url, token: &Secret, request: Option<String>) -> Request<Vec<u8>> {
    let mut body = TokenCredentialRequest::new(
        &config.suffix,
        TokenCredentialRequestSpec {
            token: token.expose().to_owned(),
            authenticator: TypedLocalObjectReference {
                api_group: Some(config.suffix.authentication()),
                kind: config.authenticator_kind.clone(),
                name: config.authenticator_name.clone(),
            },
            certificate_signing_request: request,
        },
    );
    let bytes = serde_json::to_vec(&body).expect("strings and maps always serialize");
    // The body must go out as plain bytes; the copy that it was made from need not stay.
    drop(Zeroizing::new(std::mem::take(&mut body.spec.token)));
    // Anonymous: the token in the body is all we have.
    Request::post(address.as_str())
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "application/json")
        .body(bytes)
        .expect("a URL that was parsed and constant headers make a request")
}

fn parse(endpoint: &str, config: &ConciergeConfig, answer: &Answer) -> Result<TokenCredentialRequest, ExchangeError> {
    let endpoint = endpoint.to_owned();
    match answer.status {
        StatusCode::CREATED | StatusCode::OK => serde_json::from_slice(&answer.body).map_err(|error| {
            ExchangeError::Unusable {
                endpoint, // Only the place: words about it might quote a key.
                what: format!("it is no TokenCredentialRequest (line {}, column {})", error.line(), error.column()),
            }
        }),
        StatusCode::NOT_FOUND => Err(ExchangeError::NoConcierge { group: config.suffix.login(), endpoint }),
        status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
            Err(ExchangeError::Denied { endpoint, status, message: status_message(&answer.body) })
        }
        StatusCode::TOO_MANY_REQUESTS => Err(ExchangeError::Busy { endpoint, message: status_message(&answer.body) }),
        // Everything else is the server's state, not a verdict: 5xx, and a 4xx that only a mistake of ours explains.
        status => Err(ExchangeError::Unreachable {
            endpoint,
            what: format!("it answered {status}: {}", status_message(&answer.body)),
        }),
    }
}

/// `message` of a Kubernetes Status, if it is one.
fn status_message(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Status {
        message: Option<String>,
    }
    let message = serde_json::from_slice::<Status>(body).ok().and_then(|status| status.message);
    message.map_or_else(|| "no reason given".to_owned(), |message| Printable(&message).to_string())
}

fn usable(credential: ClusterCredential, key: &ClientKey) -> Result<Credential, &'static str> {
    let ClusterCredential { expiration_timestamp: _, token, client_certificate_data, client_key_data } = credential;
    let filled = |field: Option<String>| field.filter(|text| !text.is_empty());
    if let Some(token) = filled(token) {
        return Ok(Credential::Token { token: Secret::from(token) });
    }
    let certificate = filled(client_certificate_data).ok_or("it holds neither a token nor a certificate")?;
    let client_key_data = match filled(client_key_data) {
        // A stock Pinniped concierge does not know our field and makes a key itself.
        Some(made_there) => Secret::from(made_there),
        None if key.fits(&certificate) => key.pem().clone(),
        None => return Err("its certificate is for another key than ours, and it sends no key"),
    };
    Ok(Credential::Certificate { client_certificate_data: certificate, client_key_data })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(token: Option<&str>, certificate: Option<&str>, key: Option<&str>) -> ClusterCredential {
        let own = |text: &str| text.to_owned();
        ClusterCredential {
            expiration_timestamp: None,
            token: token.map(own),
            client_certificate_data: certificate.map(own),
            client_key_data: key.map(own),
        }
    }

    #[test]
    fn one_kind_of_credential_is_taken_and_a_foreign_certificate_is_not() {
        let key = ClientKey::generate();
        let token = usable(credential(Some("t"), Some("c"), Some("k")), &key).unwrap();
        assert_eq!(token, Credential::Token { token: Secret::from("t") });
        let made_there = usable(credential(None, Some("c"), Some("k")), &key).unwrap();
        assert!(
            matches!(made_there, Credential::Certificate { client_key_data, .. } if client_key_data.expose() == "k")
        );
        assert!(usable(credential(None, Some("c"), None), &key).is_err());
        assert!(usable(credential(Some(""), None, Some("k")), &key).is_err());
    }

    #[test]
    fn status_messages_are_safe_to_print() {
        assert_eq!(status_message(br#"{"kind":"Status","message":"no\u001b[2J"}"#), "no\\u{1b}[2J");
        assert_eq!(status_message(b"<html>"), "no reason given");
    }
}
