//! Requests to the provider's token endpoint and its siblings: who we are there, and what kind of answer came.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{Request, StatusCode};
use openidconnect::core::CoreClientAuthMethod;
use openidconnect::url::form_urlencoded::{Serializer, byte_serialize};
use reqwest::Url;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{OidcError, Provider};
use crate::client_secret;
use crate::expiry::Clocks;
use crate::output::Printable;
use crate::secret::Secret;
use crate::time::UnixTime;
use crate::transport::Answer;

/// Nobody is told to stay away for longer than this by a `Retry-After`: the next poll or the next command asks again.
const RETRY_AFTER_MAX_SECONDS: i64 = 300;

/// A form to post. Whatever it holds is sent as it is; secrets are wiped with it.
#[derive(Debug, Default)]
pub(super) struct Form(Vec<(String, Secret)>);

/// An answer that says yes.
#[derive(Debug)]
pub(super) struct Accepted {
    /// Holds tokens.
    pub(super) body: Zeroizing<Vec<u8>>,
    /// When it came.
    pub(super) clocks: Clocks,
}

/// An answer that does not say yes, or none.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Declined {
    /// The provider's verdict, in its words (RFC 6749 section 5.2).
    Refused {
        /// The code, or the status where there is no code.
        code: String,
        /// Its words.
        description: Option<String>,
    },
    /// No verdict about anything: it cannot be reached, or is not well.
    NotWell {
        /// What happened.
        what: String,
        /// How long it wants to be left alone, if it said so.
        retry_after: Option<Duration>,
    },
    /// We could not even ask.
    Ours(String),
}

/// How a client with a secret shows it (OIDC Core 1.0 section 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Authentication {
    /// In the `Authorization` header.
    Basic,
    /// In the form.
    Post,
}

impl Form {
    /// One more parameter.
    pub(super) fn with(mut self, name: &str, value: impl Into<Secret>) -> Self {
        self.0.push((name.to_owned(), value.into()));
        self
    }

    fn encode(&self) -> Zeroizing<String> {
        let mut serializer = Serializer::new(String::new());
        for (name, value) in &self.0 {
            serializer.append_pair(name, value.expose());
        }
        Zeroizing::new(serializer.finish())
    }
}

impl Provider<'_> {
    /// Posts a form as this client.
    pub(super) async fn post(&self, endpoint: &Url, form: Form) -> Result<Accepted, Declined> {
        let mut request = Request::post(endpoint.as_str())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json");
        let client_id = self.config.client_id.as_str();
        let form = match self.client_secret().map_err(|error| Declined::Ours(error.to_string()))? {
            // A public client has nothing to authenticate with; its id goes into the form (RFC 6749 section 3.2.1).
            None => form.with("client_id", client_id),
            Some(secret) => match authentication(self.metadata.token_endpoint_auth_methods_supported()) {
                None => {
                    return Err(Declined::Ours(
                        "the identity provider takes a client's secret neither in a header nor in a form".to_owned(),
                    ));
                }
                Some(Authentication::Post) => form.with("client_id", client_id).with("client_secret", secret.expose()),
                Some(Authentication::Basic) => {
                    request = request.header(AUTHORIZATION, basic(client_id, secret).as_str());
                    form
                }
            },
        };
        let request = request
            .body(form.encode().as_bytes().to_vec())
            .map_err(|error| Declined::Ours(format!("no request can be made: {error}")))?;
        let answer = self
            .transport
            .send(request)
            .await
            .map_err(|error| Declined::NotWell { what: error.to_string(), retry_after: None })?;
        let clocks = answer.clocks(self.clock);
        let retry_after = answer.header(RETRY_AFTER.as_str()).and_then(|text| retry_after(text, clocks.server));
        let Answer { status, body, .. } = answer;
        let body = Zeroizing::new(body);
        verdict(status, &body, retry_after).map(|()| Accepted { body, clocks })
    }

    fn client_secret(&self) -> Result<Option<&Secret>, client_secret::Error> {
        let Some(place) = &self.config.client_secret else { return Ok(None) };
        // Once for each run: a device login asks many times, and a keyring may be slow.
        if self.secret.get().is_none() {
            let read = client_secret::read(place, &self.config.issuer, &self.config.client_id)?;
            let _was_empty = self.secret.set(read);
        }
        Ok(self.secret.get())
    }
}

impl Declined {
    /// As the error that everybody else knows; `tried` is the endpoint.
    pub(super) fn into_error(self, tried: &Url) -> OidcError {
        match self {
            Self::Ours(words) => OidcError::ClientSecret(words),
            Self::NotWell { what, .. } => OidcError::Unreachable { tried: Printable(tried.as_str()).to_string(), what },
            Self::Refused { code, description } => OidcError::Refused {
                error: Printable(&code).to_string(),
                description: description.map(|text| Printable(&text).to_string()),
            },
        }
    }
}

/// What a status and a body say together.
fn verdict(status: StatusCode, body: &[u8], retry_after: Option<Duration>) -> Result<(), Declined> {
    #[derive(Deserialize)]
    struct Words {
        error: String,
        error_description: Option<String>,
    }
    let not_well = |what: String| Err(Declined::NotWell { what, retry_after });
    // No verdict, whatever the body says: a proxy in between may have written it.
    if status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT) {
        return not_well(format!("it answered {status}"));
    }
    match serde_json::from_slice::<Words>(body) {
        Ok(Words { error, .. }) if matches!(error.as_str(), "temporarily_unavailable" | "server_error") => {
            not_well(format!("it answered {error}"))
        }
        // With status 200 too: some providers forget it.
        Ok(Words { error, error_description }) => {
            Err(Declined::Refused { code: error, description: error_description })
        }
        Err(_) if status.is_success() => Ok(()),
        Err(_) => Err(Declined::Refused { code: status.to_string(), description: None }),
    }
}

/// Basic unless only the form will do: it is the default where the provider names nothing (OIDC Discovery 1.0 section 3).
fn authentication(offered: Option<&Vec<CoreClientAuthMethod>>) -> Option<Authentication> {
    match offered {
        None => Some(Authentication::Basic),
        Some(offered) if offered.contains(&CoreClientAuthMethod::ClientSecretBasic) => Some(Authentication::Basic),
        Some(offered) if offered.contains(&CoreClientAuthMethod::ClientSecretPost) => Some(Authentication::Post),
        Some(_) => None,
    }
}

/// Each part is encoded as in a form first (RFC 6749 section 2.3.1), so that a colon in the id does no harm.
fn basic(client_id: &str, secret: &Secret) -> Zeroizing<String> {
    let encoded = |text: &str| Zeroizing::new(byte_serialize(text.as_bytes()).collect::<String>());
    let pair = Zeroizing::new(format!("{}:{}", *encoded(client_id), *encoded(secret.expose())));
    Zeroizing::new(format!("Basic {}", BASE64_STANDARD.encode(pair.as_bytes())))
}

/// RFC 9110 section 10.2.3: seconds, or a date by the server's own clock.
fn retry_after(text: &str, server: UnixTime) -> Option<Duration> {
    let seconds = match text.trim().parse::<i64>() {
        Ok(seconds) => seconds,
        Err(_) => UnixTime::parse_http_date(text)?.since(server),
    };
    u64::try_from(seconds.clamp(0, RETRY_AFTER_MAX_SECONDS)).ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_providers_own_words_are_a_verdict() {
        let refused = |code: &str, description: Option<&str>| {
            Err(Declined::Refused { code: code.to_owned(), description: description.map(ToOwned::to_owned) })
        };
        let not_well = |what: &str| Err(Declined::NotWell { what: what.to_owned(), retry_after: None });
        let invalid = r#"{"error":"invalid_grant","error_description":"expired"}"#;
        let cases = [
            (200, r#"{"access_token":"a"}"#, Ok(())),
            (200, r#"{"error":"authorization_pending"}"#, refused("authorization_pending", None)),
            (400, invalid, refused("invalid_grant", Some("expired"))),
            (401, r#"{"error":"invalid_client"}"#, refused("invalid_client", None)),
            (404, "<html>", refused("404 Not Found", None)),
            (302, "", refused("302 Found", None)),
            (400, r#"{"error":"temporarily_unavailable"}"#, not_well("it answered temporarily_unavailable")),
            (408, "", not_well("it answered 408 Request Timeout")),
            (429, invalid, not_well("it answered 429 Too Many Requests")),
            (500, invalid, not_well("it answered 500 Internal Server Error")),
            (503, "maintenance", not_well("it answered 503 Service Unavailable")),
        ];
        for (status, body, expected) in cases {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(verdict(status, body.as_bytes(), None), expected, "{status} {body}");
        }
    }

    #[test]
    fn a_secret_goes_where_the_provider_takes_it() {
        let (basic, post) = (CoreClientAuthMethod::ClientSecretBasic, CoreClientAuthMethod::ClientSecretPost);
        let other = CoreClientAuthMethod::PrivateKeyJwt;
        let cases = [
            (None, Some(Authentication::Basic)),
            (Some(vec![post.clone(), basic]), Some(Authentication::Basic)),
            (Some(vec![other.clone(), post]), Some(Authentication::Post)),
            (Some(vec![other]), None),
        ];
        for (offered, expected) in cases {
            assert_eq!(authentication(offered.as_ref()), expected, "{offered:?}");
        }
    }

    #[test]
    fn odd_characters_survive_the_header() {
        let header = basic("a:b", &Secret::from("p/ä +"));
        let pair = BASE64_STANDARD.decode(header.strip_prefix("Basic ").unwrap()).unwrap();
        assert_eq!(String::from_utf8(pair).unwrap(), "a%3Ab:p%2F%C3%A4+%2B");
    }

    #[test]
    fn being_told_to_wait_has_a_limit() {
        let now = UnixTime::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let cases = [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("86400", Some(300)),
            ("-5", Some(0)),
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some(30)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("soon", None),
        ];
        for (text, expected) in cases {
            assert_eq!(retry_after(text, now), expected.map(Duration::from_secs), "{text}");
        }
    }
}
