//! An OIDC provider of our own, which behaves until it is told not to.
//!
//! It is a real one: discovery, key set, authorization code flow with PKCE behind a login page, refresh tokens with rotation,
//! ID tokens of the `openidconnect` crate's types. What a test switches on ([`Faults`], [`Settings`], [`Certificate`], keys)
//! works from the next request on.

mod authorize;
mod discovery;
mod faults;
mod grants;
mod keys;
mod login_page;
mod mint;
pub(crate) mod server;
mod settings;
mod token;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};
use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::HeaderMap,
    routing::{get, post},
};
use serde_json::{Value, json};

pub use self::{
    faults::{Endpoint, Fault, Faults},
    keys::{Algorithm, SigningKey},
    mint::Draft,
    server::Certificate,
    settings::{Client, Edit, IssuerOptions, Rotation, Settings, User},
};
use self::{
    grants::Grants,
    keys::KeyRing,
    server::{Authority, Ledger, Listener, Service, TlsSlot},
};
use crate::{install_crypto, place::Place, ports};

/// Path of the discovery document.
pub const DISCOVERY: &str = "/.well-known/openid-configuration";
/// Path of the key set.
pub const KEYS: &str = "/keys";
/// Path where claims are that a token only refers to (distributed claims).
pub const CLAIMS: &str = "/claims";
/// Path of the authorization endpoint.
pub const AUTHORIZE: &str = "/authorize";
/// Path of the login form's action.
pub const LOGIN: &str = "/login";
/// Path of the token endpoint.
pub const TOKEN: &str = "/token";

/// Nobody needs more to log in or to ask for a token.
const MOST_BODY: usize = 64 * 1024;

/// A running issuer on the loopback; it ends when dropped.
pub struct Issuer {
    shared: Arc<Shared>,
    faults: Arc<Faults>,
    ledger: Arc<Ledger>,
    authority: Authority,
    tls: TlsSlot,
    service: Service,
    place: Place,
    port: u16,
    listener: Option<Listener>,
    plain: Listener,
}

/// What the handlers share.
pub(crate) struct Shared {
    url: String,
    clients: Mutex<Vec<Client>>,
    users: Mutex<Vec<User>>,
    settings: Mutex<Settings>,
    keys: Mutex<KeyRing>,
    grants: Mutex<Grants>,
}

impl Issuer {
    /// Starts an issuer at `https://127.0.0.1:<port>` under a CA of its own.
    ///
    /// # Errors
    /// If it cannot listen.
    pub async fn start(options: IssuerOptions) -> Result<Self> {
        Self::start_in(options, Place::here()).await
    }

    /// The same at an address of another place: in a node's network its pods reach it, and this machine too.
    ///
    /// # Errors
    /// If it cannot listen.
    pub async fn start_in(options: IssuerOptions, place: Place) -> Result<Self> {
        install_crypto();
        // Not port 0: the issuer must be able to go away and come back at the same address.
        let port = ports::free()?;
        let shared = Arc::new(Shared {
            url: format!("https://{}:{port}", place.address()),
            clients: Mutex::new(options.clients),
            users: Mutex::new(options.users),
            settings: Mutex::new(Settings::default()),
            keys: Mutex::new(KeyRing::new(options.algorithm)?),
            grants: Mutex::default(),
        });
        let router = Router::new()
            .route(DISCOVERY, get(discovery::discovery))
            .route(KEYS, get(discovery::keys))
            .route(CLAIMS, get(discovery::claims))
            .route(AUTHORIZE, get(authorize::authorize))
            .route(LOGIN, post(authorize::login))
            .route(TOKEN, post(token::token))
            .layer(DefaultBodyLimit::max(MOST_BODY))
            .with_state(Arc::clone(&shared));
        let (faults, ledger) = (Arc::new(Faults::new()), Arc::<Ledger>::default());
        let service = Service { router, faults: Arc::clone(&faults), ledger: Arc::clone(&ledger) };
        let authority = Authority::make("test issuer CA")?.at(&place);
        let tls: TlsSlot = Arc::new(Mutex::new(authority.tls(Certificate::Good)?));
        let listener = Listener::bind(&place, port, service.clone(), Some(Arc::clone(&tls))).await?;
        let plain = Listener::bind(&place, 0, service.clone(), None).await?;
        Ok(Self { shared, faults, ledger, authority, tls, service, place, port, listener: Some(listener), plain })
    }

    /// The issuer, as in `iss`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.shared.url
    }

    /// The same issuer without TLS, for an address that nobody should follow.
    #[must_use]
    pub fn plain_url(&self) -> String {
        format!("http://{}:{}", self.place.address(), self.plain.port())
    }

    /// The CA of its TLS certificate, PEM.
    #[must_use]
    pub fn ca_pem(&self) -> String {
        self.authority.pem()
    }

    /// Its switches for misbehaviour.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Changes settings from the next request on.
    pub fn settings(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.shared.settings());
    }

    /// Registers a client, or replaces it.
    pub fn set_client(&self, client: Client) {
        let mut clients = lock(&self.shared.clients);
        clients.retain(|known| known.id != client.id);
        clients.push(client);
    }

    /// Adds a user, or replaces the one of that name.
    pub fn set_user(&self, user: User) {
        let mut users = lock(&self.shared.users);
        users.retain(|known| known.name != user.name);
        users.push(user);
    }

    /// Ends a user's browser sessions and refresh tokens.
    pub fn revoke(&self, user: &str) {
        self.shared.grants().revoke(user);
    }

    /// How often a path was asked for, faults included.
    #[must_use]
    pub fn requests(&self, path: &str) -> u64 {
        self.ledger.count(path)
    }

    /// How many requests there were.
    #[must_use]
    pub fn requests_total(&self) -> u64 {
        self.ledger.total()
    }

    /// The header fields of the last request for a path: what a client gave away.
    #[must_use]
    pub fn last_headers(&self, path: &str) -> Option<HeaderMap> {
        self.ledger.last_headers(path)
    }

    /// The key that signs now.
    #[must_use]
    pub fn active_key(&self) -> Arc<SigningKey> {
        self.shared.keys().active()
    }

    /// A key by its id, published or withdrawn.
    ///
    /// # Errors
    /// If there is none.
    pub fn key(&self, kid: &str) -> Result<Arc<SigningKey>> {
        self.shared.keys().key(kid)
    }

    /// Makes and publishes a further key; the active one goes on signing.
    ///
    /// # Errors
    /// If the random source fails.
    pub fn add_key(&self, algorithm: Algorithm) -> Result<Arc<SigningKey>> {
        self.shared.keys().add(algorithm)
    }

    /// Makes and publishes a key of the active one's algorithm and signs with it from now on; the old one stays published.
    ///
    /// # Errors
    /// If the random source fails.
    pub fn rotate(&self) -> Result<Arc<SigningKey>> {
        let mut keys = self.shared.keys();
        let algorithm = keys.active().algorithm();
        let key = keys.add(algorithm)?;
        keys.activate(key.kid())?;
        Ok(key)
    }

    /// Signs with this key from now on.
    ///
    /// # Errors
    /// If there is none of that id.
    pub fn activate(&self, kid: &str) -> Result<()> {
        self.shared.keys().activate(kid)
    }

    /// Takes a key out of the published set; it can still sign.
    pub fn withdraw_key(&self, kid: &str) {
        self.shared.keys().withdraw(kid);
    }

    /// Puts a withdrawn key back.
    pub fn publish_key_again(&self, kid: &str) {
        self.shared.keys().publish_again(kid);
    }

    /// Publishes any JSON value as one more key: with private members, of unknown type, of a taken id.
    pub fn publish_stranger(&self, jwk: Value) {
        self.shared.keys().publish_stranger(jwk);
    }

    /// From now on the discovery document names another issuer.
    pub fn announce_issuer(&self, issuer: &str) {
        let issuer = issuer.to_owned();
        self.edit_discovery(move |document| document["issuer"] = issuer.clone().into());
    }

    /// From now on the discovery document has its keys fetched without TLS.
    pub fn announce_plain_keys(&self) {
        let url = format!("{}{KEYS}", self.plain_url());
        self.edit_discovery(move |document| document["jwks_uri"] = url.clone().into());
    }

    /// Changes the discovery document from now on.
    pub fn edit_discovery(&self, edit: impl Fn(&mut Value) + Send + Sync + 'static) {
        self.shared.settings().discovery_edits.push(Arc::new(edit));
    }

    /// Changes the claims of every ID token of the token endpoint from now on.
    pub fn edit_claims(&self, edit: impl Fn(&mut Value) + Send + Sync + 'static) {
        self.shared.settings().claim_edits.push(Arc::new(edit));
    }

    /// Presents another certificate from the next connection on; open ones are closed.
    ///
    /// # Errors
    /// If the issuer cannot listen again.
    pub async fn present(&mut self, certificate: Certificate) -> Result<()> {
        *lock(&self.tls) = self.authority.tls(certificate)?;
        if self.listener.is_some() {
            self.go_away().await;
            self.come_back().await?;
        }
        Ok(())
    }

    /// Closes every connection and the port; what it remembers stays.
    pub async fn go_away(&mut self) {
        if let Some(listener) = self.listener.take() {
            listener.close().await;
        }
    }

    /// Listens again on the same port.
    ///
    /// # Errors
    /// If the port was taken meanwhile.
    pub async fn come_back(&mut self) -> Result<()> {
        if self.listener.is_none() {
            let tls = Some(Arc::clone(&self.tls));
            self.listener = Some(Listener::bind(&self.place, self.port, self.service.clone(), tls).await?);
        }
        Ok(())
    }

    /// The claims of an ordinary ID token for a user and an audience, to be changed and minted.
    ///
    /// # Errors
    /// If there is no such user.
    pub fn claims(&self, user: &str, audience: &str) -> Result<Value> {
        let user = self.shared.user(user).with_context(|| format!("the issuer knows no user {user:?}"))?;
        let now = self.shared.now();
        Ok(json!({
            "iss": self.url(),
            "sub": user.subject,
            "aud": audience,
            "iat": now,
            "exp": now + self.shared.settings().token_lifetime.as_secs(),
            "name": user.name,
            "preferred_username": user.name,
            "email": user.email,
            "email_verified": user.email.is_some(),
            "groups": user.groups,
        }))
    }

    /// A token with any claims, ready to be bent further and signed by the active key.
    #[must_use]
    pub fn draft(&self, claims: &Value) -> Draft {
        Draft::new(self.active_key(), claims)
    }

    /// A token with these claims, signed by the active key.
    ///
    /// # Errors
    /// If it cannot be signed.
    pub fn mint(&self, claims: &Value) -> Result<String> {
        self.draft(claims).sign()
    }

    /// An ordinary ID token without a login.
    ///
    /// # Errors
    /// If there is no such user.
    pub fn id_token(&self, user: &str, audience: &str) -> Result<String> {
        self.mint(&self.claims(user, audience)?)
    }

    /// Seconds since 1970 by the issuer's clock.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.shared.now()
    }
}

/// A CA and a serving certificate for the loopback, all PEM: for servers that are not ours.
pub(crate) fn serving_certificate(authority: &str) -> Result<(String, String, String)> {
    serving_certificate_at(authority, &Place::here())
}

/// The same for another place too.
pub(crate) fn serving_certificate_at(authority: &str, place: &Place) -> Result<(String, String, String)> {
    let authority = Authority::make(authority)?.at(place);
    let (certificate, key) = authority.serving_pem(Certificate::Good)?;
    Ok((authority.pem(), certificate, key))
}

impl Shared {
    fn settings(&self) -> MutexGuard<'_, Settings> {
        lock(&self.settings)
    }

    fn keys(&self) -> MutexGuard<'_, KeyRing> {
        lock(&self.keys)
    }

    fn grants(&self) -> MutexGuard<'_, Grants> {
        lock(&self.grants)
    }

    fn client(&self, id: &str) -> Option<Client> {
        lock(&self.clients).iter().find(|client| client.id == id).cloned()
    }

    fn user(&self, name: &str) -> Option<User> {
        lock(&self.users).iter().find(|user| user.name == name).cloned()
    }

    fn now(&self) -> u64 {
        #[expect(
            clippy::disallowed_methods,
            reason = "an identity provider has a clock of its own, here one that can be put wrong"
        )]
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        now.saturating_add_signed(self.settings().clock_offset_seconds)
    }
}

/// A test that panicked while it held one of these says so itself; the others go on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
