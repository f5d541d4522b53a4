//! A `WebhookAuthenticator` in force: what the index shows of it, and the door behind which its server is asked.

use std::{fmt, sync::Arc, time::Duration};

use futures::future::BoxFuture;

use super::AuthenticatorName;
use crate::{mapping::ReservedIdentities, secret::BearerToken, token_review::Word};

/// A `WebhookAuthenticator` of one generation.
#[derive(Debug)]
pub struct Webhook {
    /// The object's name.
    pub name: AuthenticatorName,
    /// The object's uid: a deleted and re-created object is another one.
    pub uid: String,
    /// `metadata.generation` of the spec that this was made from.
    pub generation: i64,
    /// `spec.reservedIdentities`.
    pub reserved: ReservedIdentities,
    /// `spec.credential.lifetimeSeconds`; `None` leaves it to the strategy.
    pub credential_lifetime: Option<Duration>,
    /// Asks the server. It lives as long as somebody holds a snapshot with it.
    pub door: Arc<dyn AskWebhook>,
}

/// Asks a webhook about tokens. The index only carries it: what it does is the business of the room that made it.
pub trait AskWebhook: fmt::Debug + Send + Sync {
    /// Asks whose `token` is. It ends within the time that the authenticator gives the server, and never waits for
    /// other questions.
    fn ask<'a>(&'a self, token: &'a BearerToken) -> BoxFuture<'a, Result<Word, AskError>>;
}

/// Why a webhook said nothing of a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// Too many questions to this server are open.
    #[error("too many questions to the webhook are open")]
    Overloaded,
    /// It cannot be reached, took too long, or its answer is none. The sentence never holds the token.
    #[error("the webhook {0}")]
    Unavailable(String),
}
