//! Why the provider gave us nothing that may be used.

use thiserror::Error;

/// Why the provider gave us nothing that may be used.
#[derive(Debug, Error)]
pub(crate) enum OidcError {
    /// Our own secret cannot be had, or the provider has no use for it.
    #[error("{0}")]
    ClientSecret(String),
    /// The refresh token is dead (RFC 6749 section 5.2); the only failure that ends a session.
    #[error("the session has ended at the identity provider")]
    InvalidGrant,
    /// What it says about itself makes no sense.
    #[error("the identity provider cannot be used: {0}")]
    Metadata(String),
    /// It said no.
    #[error("the identity provider refused ({error}){}", description.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
    Refused {
        /// The code, already safe to print.
        error: String,
        /// Its words, already safe to print.
        description: Option<String>,
    },
    /// Its token must not be used.
    #[error("{0}")]
    Token(String),
    /// It cannot be reached, or is not well.
    #[error("cannot reach the identity provider at {tried}: {what}")]
    Unreachable {
        /// The address.
        tried: String,
        /// What happened.
        what: String,
    },
}
