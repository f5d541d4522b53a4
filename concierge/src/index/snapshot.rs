//! One immutable view of all authenticators, by kind and name.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use super::{FetchClaim, Webhook};
use crate::{
    jwt::{Issuer, Verifier},
    mapping::Rules,
    time::UnixTime,
};

/// The two kinds of authenticator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthenticatorKind {
    /// Judges JWTs itself.
    JWTAuthenticator,
    /// Asks a webhook.
    WebhookAuthenticator,
}

/// The name of an authenticator object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AuthenticatorName(Arc<str>);

/// Which authenticator a request names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AuthenticatorRef {
    /// Its kind.
    pub kind: AuthenticatorKind,
    /// Its name.
    pub name: AuthenticatorName,
}

/// A `JWTAuthenticator` of one generation with the keys it has now.
#[derive(Debug)]
pub struct Authenticator {
    /// The object's name.
    pub name: AuthenticatorName,
    /// The object's uid: a deleted and re-created object is another one.
    pub uid: String,
    /// `metadata.generation` of the spec that this was made from.
    pub generation: i64,
    /// What a token is held against.
    pub verifier: Verifier,
    /// Claims to user.
    pub rules: Arc<Rules>,
    /// `spec.credential.lifetimeSeconds`; `None` leaves it to the strategy.
    pub credential_lifetime: Option<Duration>,
    /// Where claims are fetched that a token only refers to; `None` where none may be.
    pub claims: Option<Arc<dyn FetchClaim>>,
    /// When the keys were last fetched with success.
    pub keys_fetched_at: UnixTime,
}

/// What the index knows of an authenticator object.
#[derive(Clone, Debug)]
pub enum Entry {
    /// It judges tokens itself.
    Ready(Arc<Authenticator>),
    /// Its webhook can be asked about tokens.
    Webhook(Arc<Webhook>),
    /// It exists and admits nobody: its spec cannot work, or its keys are not there.
    NotReady(Arc<Unready>),
}

/// An authenticator that admits nobody: what a record can say of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unready {
    /// Its kind and name.
    pub reference: AuthenticatorRef,
    /// The object's uid.
    pub uid: String,
    /// `metadata.generation` of the spec that cannot work, or waits.
    pub generation: i64,
}

/// All authenticators at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    entries: HashMap<AuthenticatorRef, Listed>,
    /// Whose issuer may be claimed by that `iss`, so that a token finds its judges by one look.
    by_issuer: HashMap<String, Vec<AuthenticatorRef>>,
}

#[derive(Clone, Debug)]
struct Listed {
    entry: Entry,
    issuer: Option<Issuer>,
}

// === impl Unready ===

impl Unready {
    /// The authenticator `reference`, of which one generation of its spec is known.
    #[must_use]
    pub fn new(reference: AuthenticatorRef, uid: &str, generation: i64) -> Self {
        Self { reference, uid: uid.to_owned(), generation }
    }
}

// === impl Snapshot ===

impl Snapshot {
    /// What is known of `authenticator`; `None` if no such object exists.
    #[must_use]
    pub fn entry(&self, authenticator: &AuthenticatorRef) -> Option<&Entry> {
        self.entries.get(authenticator).map(|listed| &listed.entry)
    }

    /// All entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&AuthenticatorRef, &Entry)> {
        self.entries.iter().map(|(authenticator, listed)| (authenticator, &listed.entry))
    }

    /// The authenticators for tokens that claim `iss`, ordered by name: several may share one issuer, each with its own
    /// audience. Those that are not ready are among them.
    pub fn by_issuer(&self, iss: &str) -> impl Iterator<Item = (&AuthenticatorRef, &Entry)> {
        let candidates = self.by_issuer.get(iss).map_or(&[][..], Vec::as_slice);
        candidates.iter().filter_map(|authenticator| Some((authenticator, self.entry(authenticator)?)))
    }

    pub(super) fn with(&self, authenticator: AuthenticatorRef, entry: Entry, issuer: Option<Issuer>) -> Self {
        let mut next = self.without(&authenticator);
        for iss in issuer.iter().flat_map(Issuer::spellings) {
            let candidates = next.by_issuer.entry(iss.to_owned()).or_default();
            candidates.push(authenticator.clone());
            candidates.sort_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
        }
        next.entries.insert(authenticator, Listed { entry, issuer });
        next
    }

    pub(super) fn without(&self, authenticator: &AuthenticatorRef) -> Self {
        let mut next = self.clone();
        let listed = next.entries.remove(authenticator);
        for iss in listed.iter().filter_map(|listed| listed.issuer.as_ref()).flat_map(Issuer::spellings) {
            if let Some(candidates) = next.by_issuer.get_mut(iss) {
                candidates.retain(|candidate| candidate != authenticator);
            }
        }
        next.by_issuer.retain(|_, candidates| !candidates.is_empty());
        next
    }
}

// === impl AuthenticatorKind ===

impl AuthenticatorKind {
    /// The kind as objects have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::JWTAuthenticator => "JWTAuthenticator",
            Self::WebhookAuthenticator => "WebhookAuthenticator",
        }
    }
}

// === impl AuthenticatorRef ===

impl AuthenticatorRef {
    /// A `JWTAuthenticator` of that name.
    #[must_use]
    pub fn jwt(name: &str) -> Self {
        Self { kind: AuthenticatorKind::JWTAuthenticator, name: AuthenticatorName::new(name) }
    }

    /// A `WebhookAuthenticator` of that name.
    #[must_use]
    pub fn webhook(name: &str) -> Self {
        Self { kind: AuthenticatorKind::WebhookAuthenticator, name: AuthenticatorName::new(name) }
    }

    /// The reference in a request. Kinds are case-sensitive, and the group must be exactly `expected_group`, as with
    /// Pinniped; `None` is an authenticator that does not exist, not a bad request.
    #[must_use]
    pub fn parse(group: Option<&str>, kind: &str, name: &str, expected_group: &str) -> Option<Self> {
        match kind {
            _ if group != Some(expected_group) => None,
            "JWTAuthenticator" => Some(Self::jwt(name)),
            "WebhookAuthenticator" => Some(Self::webhook(name)),
            _ => None,
        }
    }
}

// === impl AuthenticatorName ===

impl AuthenticatorName {
    /// A name as the object or the request has it.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AuthenticatorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
