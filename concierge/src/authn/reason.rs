//! Why nobody is admitted: by an authenticator's standing, the token, its claims, or a webhook's word.

use crate::{
    index::{AskError, FetchClaimError},
    jwt::{self, Step},
    mapping,
};

/// Why nobody is admitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// No such authenticator.
    #[error("no such authenticator")]
    AuthenticatorUnknown,
    /// It exists, but cannot judge: see its status.
    #[error("the authenticator is not ready, see its status")]
    AuthenticatorNotReady,
    /// The token itself.
    #[error(transparent)]
    Token(#[from] jwt::Rejection),
    /// The identity that it would give.
    #[error(transparent)]
    Identity(#[from] mapping::Refusal),
    /// A claim that the token refers to was not to be had.
    #[error(transparent)]
    ClaimNotFetched(#[from] FetchClaimError),
    /// The webhook was asked and does not vouch for the token.
    #[error("the webhook does not vouch for the token{}", if *.with_error { ", and gives an error" } else { "" })]
    WebhookRefused {
        /// Whether its answer held an error too: it may not have been able to judge. Its own log knows.
        with_error: bool,
    },
    /// The webhook said nothing of the token.
    #[error(transparent)]
    Webhook(#[from] AskError),
}

impl Reason {
    /// The stable word for records, metrics and Events.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::AuthenticatorUnknown => "authenticator-unknown",
            Self::AuthenticatorNotReady => "authenticator-not-ready",
            Self::Token(rejection) => rejection.code(),
            Self::Identity(refusal) => refusal.code(),
            Self::WebhookRefused { .. } => "webhook-refused",
            Self::ClaimNotFetched(FetchClaimError::NotGiven { .. }) => "claim-missing",
            Self::ClaimNotFetched(FetchClaimError::Overloaded) | Self::Webhook(AskError::Overloaded) => "overloaded",
            Self::Webhook(AskError::Unavailable(_)) => "webhook-unavailable",
        }
    }

    /// The sentence without what may name a person, for records that are to name nobody.
    #[must_use]
    pub fn discreet(&self) -> String {
        match self {
            Self::Token(rejection) => rejection.discreet(),
            Self::Identity(refusal) => refusal.discreet(),
            Self::AuthenticatorUnknown
            | Self::AuthenticatorNotReady
            | Self::WebhookRefused { .. }
            | Self::ClaimNotFetched(_)
            | Self::Webhook(_) => self.to_string(),
        }
    }

    /// The step that the token failed; `None` where none of ours looked at it.
    #[must_use]
    pub const fn step(&self) -> Option<Step> {
        match self {
            Self::AuthenticatorUnknown
            | Self::AuthenticatorNotReady
            | Self::WebhookRefused { .. }
            | Self::Webhook(_) => None,
            Self::ClaimNotFetched(_) => Some(Step::ClaimRules),
            Self::Token(rejection) => Some(rejection.step()),
            Self::Identity(refusal) => Some(refusal.step()),
        }
    }
}
