//! What a Pinniped Supervisor has beyond other providers: several providers behind it, and logins by name and password.

use http::header::{ACCEPT, HeaderValue, LOCATION};
use http::{Request, StatusCode};
use serde::{Deserialize, Serialize};

use super::{Attempt, OidcError, Provider};
use crate::config::{SupervisorFlow, SupervisorLogin};
use crate::output::Printable;
use crate::secret::Secret;
use crate::transport::Answer;

/// Names and passwords are short; a megabyte of either is a mistake of whoever filled the variable.
const HEADER_MAX_BYTES: usize = 4096;

/// A member of the discovery document that only a Supervisor has.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SupervisorDiscovery {
    /// Where it lists the providers behind it.
    pinniped_identity_providers_endpoint: String,
}

/// One provider behind it.
#[derive(Debug, Deserialize)]
struct Upstream {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    /// The Supervisor's favourite first.
    #[serde(default)]
    flows: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Upstreams {
    pinniped_identity_providers: Vec<Upstream>,
}

impl Provider<'_> {
    /// How to log in: as wanted, else as the Supervisor says for that provider.
    ///
    /// # Errors
    /// When this is no Supervisor, or has no such provider.
    pub(crate) async fn supervisor_flow(&self, wanted: &SupervisorLogin) -> Result<SupervisorFlow, OidcError> {
        let Some(supervisor) = &self.metadata.additional_metadata().supervisor else {
            return Err(OidcError::Metadata(
                "it is no Pinniped Supervisor, and only one has upstream identity providers and logins by password"
                    .to_owned(),
            ));
        };
        let (Some(upstream), None) = (&wanted.upstream, wanted.flow) else {
            // An unknown name is refused by the Supervisor itself.
            return Ok(wanted.flow.unwrap_or(SupervisorFlow::Browser));
        };
        let endpoint = &supervisor.pinniped_identity_providers_endpoint;
        let below = endpoint.strip_prefix(self.issuer().trim_end_matches('/'));
        if !below.is_some_and(|path| path.starts_with('/')) {
            return Err(OidcError::Metadata(format!("it lists its providers elsewhere, at {}", Printable(endpoint))));
        }
        let Upstreams { pinniped_identity_providers: upstreams } = self.upstreams(endpoint).await?;
        let Some(found) = upstreams.iter().find(|one| one.name == upstream.name && one.kind == upstream.kind) else {
            let all: Vec<String> = upstreams.iter().map(|one| format!("{} ({})", one.name, one.kind)).collect();
            return Err(OidcError::Metadata(format!(
                "it has no upstream identity provider {:?} of type {:?}, only: {}",
                upstream.name,
                upstream.kind,
                Printable(&all.join(", "))
            )));
        };
        match found.flows.first().map(String::as_str) {
            Some("browser_authcode") => Ok(SupervisorFlow::Browser),
            Some("cli_password") => Ok(SupervisorFlow::Password),
            other => Err(OidcError::Metadata(format!(
                "it wants flow {:?} for {:?}, which we do not know",
                Printable(other.unwrap_or("none")).to_string(),
                upstream.name
            ))),
        }
    }

    async fn upstreams(&self, endpoint: &str) -> Result<Upstreams, OidcError> {
        let request = Request::get(endpoint).header(ACCEPT, "application/json").body(Vec::new());
        let request =
            request.map_err(|error| OidcError::Metadata(format!("{} is no URL: {error}", Printable(endpoint))))?;
        let answer = self.answer(endpoint, request).await?;
        if answer.status != StatusCode::OK {
            return Err(not_well(endpoint, answer.status));
        }
        serde_json::from_slice(&answer.body)
            .map_err(|error| OidcError::Metadata(format!("its list of identity providers is not readable: {error}")))
    }

    /// Shows name and password to the Supervisor in place of a login page; gives the parameters of its redirect.
    ///
    /// # Errors
    /// When it does not redirect to where this attempt is answered.
    pub(crate) async fn answer_for_password(
        &self,
        attempt: &Attempt,
        username: &str,
        password: &Secret,
    ) -> Result<Secret, OidcError> {
        let endpoint = self.metadata.authorization_endpoint().url().as_str();
        let header = |text: &str| {
            let mut value = HeaderValue::from_bytes(text.as_bytes()).ok().filter(|_| text.len() <= HEADER_MAX_BYTES)?;
            value.set_sensitive(true);
            Some(value)
        };
        let (Some(username), Some(password)) = (header(username), header(password.expose())) else {
            return Err(OidcError::ClientSecret("the name or the password cannot stand in an HTTP header".to_owned()));
        };
        let request = Request::get(attempt.url.as_str())
            .header("pinniped-username", username)
            .header("pinniped-password", password)
            .body(Vec::new())
            .map_err(|error| OidcError::Metadata(format!("its authorization endpoint cannot be asked: {error}")))?;
        let answer = self.answer(endpoint, request).await?;
        if answer.status.is_server_error() || answer.status == StatusCode::TOO_MANY_REQUESTS {
            return Err(not_well(endpoint, answer.status));
        }
        let location = answer.header(LOCATION.as_str()).filter(|_| answer.status.is_redirection());
        // Nothing of the redirect in words: it holds the code.
        match location.and_then(|location| location.split_once('?')) {
            Some((place, parameters)) if place == attempt.redirect_uri => Ok(Secret::from(parameters)),
            _ => Err(OidcError::Refused {
                error: answer.status.as_u16().to_string(),
                description: Some(
                    "it did not answer the login by password with a redirect to this computer".to_owned(),
                ),
            }),
        }
    }

    async fn answer(&self, tried: &str, request: Request<Vec<u8>>) -> Result<Answer, OidcError> {
        self.transport
            .send(request)
            .await
            .map_err(|error| OidcError::Unreachable { tried: Printable(tried).to_string(), what: error.to_string() })
    }
}

fn not_well(tried: &str, status: StatusCode) -> OidcError {
    OidcError::Unreachable { tried: Printable(tried).to_string(), what: format!("it answered {status}") }
}
