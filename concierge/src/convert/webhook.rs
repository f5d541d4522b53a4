//! `WebhookAuthenticator`: the server to ask, how to trust it, how long to wait for it.

use std::time::Duration;

use latchkey_crds::{
    authentication::{
        DEFAULT_WEBHOOK_TIMEOUT_SECONDS, MAX_WEBHOOK_TIMEOUT_SECONDS, TokenReviewVersion, WebhookAuthenticatorSpec,
    },
    conditions::endpoint_url_valid as condition,
};
use serde_json::Value;

use super::{BundleSource, InvalidSpec, TlsProblem, judge::credential_lifetime, problems::Problems, rules, tls, url};
use crate::{mapping::ReservedIdentities, token_review::Version};

/// All that can be said of a `WebhookAuthenticator` without asking anybody. Its parts stand apart because each has a
/// condition of its own.
#[derive(Debug, Clone)]
pub struct WebhookSpec {
    /// `spec.endpoint`.
    pub endpoint: Result<Endpoint, EndpointProblem>,
    /// `spec.tls`: where the trust roots come from.
    pub trust: Result<BundleSource, TlsProblem>,
    /// The rest.
    pub settings: Result<WebhookSettings, InvalidSpec>,
}

/// An https URL that can be called, as it is written: the path and the query are part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(String);

/// How the server is asked, and what a yes of it is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookSettings {
    /// `spec.tokenReviewVersion`; `None`: it is to be found out.
    pub version: Option<Version>,
    /// `spec.timeoutSeconds`: for one answer, from connecting to the last byte.
    pub timeout: Duration,
    /// `spec.reservedIdentities`.
    pub reserved: ReservedIdentities,
    /// `spec.credential.lifetimeSeconds`.
    pub credential_lifetime: Option<Duration>,
}

/// Why a text is no endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndpointProblem {
    /// Carries a fragment, which is never sent.
    #[error("spec.endpoint has a fragment: remove \"#\" and what follows it")]
    Fragment,
    /// No URL with a host.
    #[error("spec.endpoint is not a URL: write it as https://host/path")]
    NotAUrl,
    /// Not https.
    #[error("spec.endpoint has another scheme than https: every token is sent there, and would be sent in the clear")]
    Scheme,
    /// Carries a user name or password.
    #[error("spec.endpoint carries user info: remove what stands before \"@\"")]
    UserInfo,
}

/// Converts the `spec` of a `WebhookAuthenticator`.
///
/// # Errors
/// When it cannot be read as this version's type; then nothing in it can be trusted to mean what its author meant.
pub fn webhook_authenticator(spec: &Value) -> Result<WebhookSpec, InvalidSpec> {
    let (spec, unknown) = super::read::<WebhookAuthenticatorSpec>(spec)?;
    Ok(WebhookSpec {
        endpoint: endpoint(&spec.endpoint),
        trust: tls::source(spec.tls.as_ref()),
        settings: settings(&spec, &unknown),
    })
}

fn endpoint(text: &str) -> Result<Endpoint, EndpointProblem> {
    let url = url::parse(text).ok_or(EndpointProblem::NotAUrl)?;
    if url.scheme() != "https" {
        return Err(EndpointProblem::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(EndpointProblem::UserInfo);
    }
    if url.fragment().is_some() {
        return Err(EndpointProblem::Fragment);
    }
    Ok(Endpoint(text.to_owned()))
}

fn settings(spec: &WebhookAuthenticatorSpec, unknown: &[String]) -> Result<WebhookSettings, InvalidSpec> {
    let mut problems = Problems::default();
    problems.unknown(unknown);
    // The schema says the same; an object may be older than its schema, or come from a file.
    let timeout = spec.timeout_seconds.unwrap_or(DEFAULT_WEBHOOK_TIMEOUT_SECONDS);
    if !(1..=MAX_WEBHOOK_TIMEOUT_SECONDS).contains(&timeout) {
        problems.add("timeoutSeconds", &format!("is {timeout}, expected 1 to {MAX_WEBHOOK_TIMEOUT_SECONDS}"));
    }
    let settings = WebhookSettings {
        version: spec.token_review_version.map(|version| match version {
            TokenReviewVersion::V1 => Version::V1,
            TokenReviewVersion::V1Beta1 => Version::V1Beta1,
        }),
        timeout: Duration::from_secs(timeout.into()),
        reserved: rules::reserved(spec.reserved_identities.as_ref(), &mut problems),
        credential_lifetime: credential_lifetime(spec.credential.as_ref(), &mut problems),
    };
    problems.unless_any(Some(settings))
}

// === impl Endpoint ===

impl Endpoint {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

// === impl EndpointProblem ===

impl EndpointProblem {
    /// The condition's reason.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Scheme => condition::INVALID_ENDPOINT_URL_SCHEME,
            Self::Fragment | Self::NotAUrl | Self::UserInfo => condition::INVALID_ENDPOINT_URL,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_endpoint_is_kept_as_it_is_written() {
        for text in ["https://tokens.example.com", "https://tokens.example.com/a/?tenant=1", "https://[::1]:8443/"] {
            assert_eq!(endpoint(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn each_problem_of_an_endpoint_has_pinnipeds_reason() {
        for (text, problem, reason) in [
            ("", EndpointProblem::NotAUrl, "InvalidEndpointURL"),
            ("tokens.example.com/review", EndpointProblem::NotAUrl, "InvalidEndpointURL"),
            ("https:tokens.example.com", EndpointProblem::NotAUrl, "InvalidEndpointURL"),
            ("https://tokens.example.com/a b", EndpointProblem::NotAUrl, "InvalidEndpointURL"),
            ("https:\\\\tokens.example.com", EndpointProblem::NotAUrl, "InvalidEndpointURL"),
            ("http://tokens.example.com", EndpointProblem::Scheme, "InvalidEndpointURLScheme"),
            ("https://a:b@tokens.example.com", EndpointProblem::UserInfo, "InvalidEndpointURL"),
            ("https://tokens.example.com/#a", EndpointProblem::Fragment, "InvalidEndpointURL"),
        ] {
            assert_eq!(endpoint(text), Err(problem), "{text:?}");
            assert_eq!(problem.reason(), reason);
            assert!(problem.to_string().starts_with("spec.endpoint "), "{problem}");
        }
    }

    #[test]
    fn settings_have_defaults_and_are_read() {
        let read = |fields: Value| {
            let mut spec = json!({"endpoint": "https://tokens.example.com"});
            spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            webhook_authenticator(&spec).unwrap().settings
        };
        let expected = WebhookSettings {
            version: None,
            timeout: Duration::from_secs(5),
            reserved: ReservedIdentities::default(),
            credential_lifetime: None,
        };
        assert_eq!(read(json!({})), Ok(expected));
        let given = json!({
            "tokenReviewVersion": "v1beta1", "timeoutSeconds": 10, "credential": {"lifetimeSeconds": 60},
            "reservedIdentities": {"allowed": ["system:serviceaccounts"]},
        });
        let expected = WebhookSettings {
            version: Some(Version::V1Beta1),
            timeout: Duration::from_secs(10),
            reserved: ReservedIdentities::Refuse { allowed: ["system:serviceaccounts".to_owned()].into() },
            credential_lifetime: Some(Duration::from_mins(1)),
        };
        assert_eq!(read(given), Ok(expected));
        let wrong = json!({"timeoutSeconds": 0, "credential": {"lifetimeSeconds": 59}, "insecure": true,
            "reservedIdentities": {"allowed": ["ada"]}});
        assert_eq!(
            read(wrong).unwrap_err().to_string(),
            "[insecure: this version does not know this field yet, and does not ignore it: remove it, \
             timeoutSeconds: is 0, expected 1 to 10, reservedIdentities.allowed[0]: \"ada\" must be a whole name that \
             begins with system:; other names need no exception, credential.lifetimeSeconds: is 59, expected 60 to 86400]"
        );
        assert!(webhook_authenticator(&json!({"endpoint": 7})).is_err());
        assert!(webhook_authenticator(&json!({"endpoint": "https://a", "tokenReviewVersion": "v2"})).is_err());
    }
}
