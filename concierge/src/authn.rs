//! The sentence: a token, an authenticator, a snapshot and the time go in, a verdict comes out.
//!
//! It is pure because keys were fetched and parsed long before: judging does no I/O.

use std::{sync::Arc, time::Duration};

use crate::{
    index::{Authenticator, AuthenticatorRef, Entry, Snapshot},
    jwt::{self, TokenFacts},
    mapping::{self, User},
    secret::BearerToken,
    time::UnixTime,
};

/// What was decided, and what a record says of it.
#[must_use = "a verdict that nobody records did not happen"]
#[derive(Clone, Debug)]
pub struct Verdict {
    /// What is known of the token; shared, as a remembered verdict is given out often.
    pub facts: Arc<TokenFacts>,
    /// The authenticator that judged, if there was one.
    pub authenticator: Option<Arc<Authenticator>>,
    /// The user, or the reason.
    pub outcome: Result<Admitted, Reason>,
}

/// A user whom this cluster admits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// Who it is.
    pub user: User,
    /// `exp` of the token.
    pub token_expires_at: UnixTime,
    /// How long a credential may live, if the authenticator says so.
    pub credential_lifetime: Option<Duration>,
}

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
}

/// Judges `token` by `authenticator` as it stands in `snapshot`, at the time `now`.
pub fn authenticate(
    token: &BearerToken,
    authenticator: &AuthenticatorRef,
    snapshot: &Snapshot,
    now: UnixTime,
) -> Verdict {
    let mut facts = TokenFacts { bytes: token.len(), ..TokenFacts::default() };
    let authenticator = match snapshot.entry(authenticator) {
        Some(Entry::Ready(authenticator)) => Arc::clone(authenticator),
        Some(Entry::NotReady) => return refused(facts, Reason::AuthenticatorNotReady),
        None => return refused(facts, Reason::AuthenticatorUnknown),
    };
    let outcome = admit(token, &authenticator, now, &mut facts);
    Verdict { facts: Arc::new(facts), authenticator: Some(authenticator), outcome }
}

fn admit(
    token: &BearerToken,
    authenticator: &Authenticator,
    now: UnixTime,
    facts: &mut TokenFacts,
) -> Result<Admitted, Reason> {
    let claims = jwt::verify(token, &authenticator.verifier, now, facts)?;
    let user = mapping::map(&claims, &authenticator.rules)?;
    Ok(Admitted { user, token_expires_at: claims.expires_at(), credential_lifetime: authenticator.credential_lifetime })
}

fn refused(facts: TokenFacts, reason: Reason) -> Verdict {
    Verdict { facts: Arc::new(facts), authenticator: None, outcome: Err(reason) }
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
        }
    }
}
