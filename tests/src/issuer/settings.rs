//! Who and what an issuer knows, and what a test may set: people, clients, lifetimes, rotation, lies.

use std::{sync::Arc, time::Duration};

use serde_json::Value;

use super::Algorithm;

/// Somebody who can log in.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// The name typed into the form; also `name` and `preferred_username`.
    pub name: String,
    /// The password typed into the form.
    pub password: String,
    /// `sub`.
    pub subject: String,
    /// `groups`.
    pub groups: Vec<String>,
    /// `email`, then always verified.
    pub email: Option<String>,
}

impl User {
    /// A user with `sub` made of the name, an address at example.com and no groups.
    #[must_use]
    pub fn new(name: &str, password: &str) -> Self {
        Self {
            name: name.to_owned(),
            password: password.to_owned(),
            subject: format!("subject-{name}"),
            groups: Vec::new(),
            email: Some(format!("{name}@example.com")),
        }
    }

    /// The same user as a member of these groups.
    #[must_use]
    pub fn groups(mut self, groups: &[&str]) -> Self {
        self.groups = groups.iter().map(|group| (*group).to_owned()).collect();
        self
    }
}

/// Without the password.
impl std::fmt::Debug for User {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("User").field("name", &self.name).field("groups", &self.groups).finish_non_exhaustive()
    }
}

/// A registered client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// `client_id`, and the audience of its ID tokens.
    pub id: String,
    /// None for a public client.
    pub secret: Option<String>,
    /// Redirect addresses; on a loopback address any port fits.
    pub redirect_uris: Vec<String>,
}

impl Client {
    /// A public client for native apps: `/callback` and `/` on every loopback address and port.
    #[must_use]
    pub fn native(id: &str) -> Self {
        let redirect_uris = ["127.0.0.1", "[::1]", "localhost"]
            .iter()
            .flat_map(|host| [format!("http://{host}/callback"), format!("http://{host}/")])
            .collect();
        Self { id: id.to_owned(), secret: None, redirect_uris }
    }
}

/// What happens to a refresh token that was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// It stays good.
    Never,
    /// A new one replaces it; the old one stays good for `grace` (zero: not for another request).
    After {
        /// How long the old one stays good; whole seconds.
        grace: Duration,
    },
}

/// Changes a JSON document before it is sent.
pub type Edit = Arc<dyn Fn(&mut Value) + Send + Sync>;

/// What can be set at run time ([`super::Issuer::settings`]).
#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own, set by name")]
pub struct Settings {
    /// How long an ID token lives.
    pub token_lifetime: Duration,
    /// Whether refresh tokens are given at all.
    pub refresh_tokens: bool,
    /// Whether only the scope `offline_access` gets a refresh token, as many identity providers have it.
    pub offline_access_required: bool,
    /// Whether and how refresh tokens are replaced.
    pub rotation: Rotation,
    /// Whether the use of a replaced refresh token ends all that came from the same login.
    pub revoke_on_reuse: bool,
    /// Whether a refresh brings a new ID token (OIDC Core 12.2 leaves it open).
    pub id_token_on_refresh: bool,
    /// Whether a browser that has logged in once is not asked again.
    pub single_sign_on: bool,
    /// Set to an OAuth error (`access_denied`), every authorization request ends with it.
    pub authorize_error: Option<String>,
    /// How far the issuer's clock is off, in seconds; positive is ahead.
    pub clock_offset_seconds: i64,
    /// The key set's `Cache-Control`.
    pub keys_cache_control: Option<String>,
    /// What is given at [`super::CLAIMS`], a JWT, and the access token that it takes.
    pub distributed_claims: Option<(String, String)>,
    /// Lies in the discovery document.
    pub discovery_edits: Vec<Edit>,
    /// Lies in the ID tokens of the token endpoint.
    pub claim_edits: Vec<Edit>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            token_lifetime: Duration::from_mins(5),
            refresh_tokens: true,
            offline_access_required: true,
            rotation: Rotation::After { grace: Duration::ZERO },
            revoke_on_reuse: true,
            id_token_on_refresh: true,
            single_sign_on: true,
            authorize_error: None,
            clock_offset_seconds: 0,
            keys_cache_control: None,
            distributed_claims: None,
            discovery_edits: Vec::new(),
            claim_edits: Vec::new(),
        }
    }
}

/// What an issuer starts with.
#[derive(Debug, Clone)]
pub struct IssuerOptions {
    /// Registered clients.
    pub clients: Vec<Client>,
    /// People.
    pub users: Vec<User>,
    /// What the first key signs with.
    pub algorithm: Algorithm,
}

impl Default for IssuerOptions {
    /// Clients `staging` and `production`; `ann` of `developers` and `on-call`, `bob` of no group; passwords as their names
    /// followed by `-password`; RS256.
    fn default() -> Self {
        Self {
            clients: vec![Client::native("staging"), Client::native("production")],
            users: vec![
                User::new("ann", "ann-password").groups(&["developers", "on-call"]),
                User::new("bob", "bob-password"),
            ],
            algorithm: Algorithm::RS256,
        }
    }
}
