//! `sessions.yaml`: logins at identity providers, each under what it was asked for with.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::document::{Document, DocumentError, Then, text, time};
use crate::cache::{Session, SessionLabel};
use crate::expiry::Clocks;
use crate::secret::Secret;
use crate::time::UnixTime;
use crate::unverified_claims::UnverifiedClaims;

/// A login that nobody has used for so long is dropped.
const UNUSED_MAX_SECONDS: i64 = 90 * 24 * 3600;

/// To note each use would rewrite the file each time; once a day keeps a login from being taken for an unused one.
const NOTED_SECONDS: i64 = 24 * 3600;

/// The file.
#[derive(Debug)]
pub(crate) struct SessionFile {
    document: Document,
    wanted: Wanted,
}

/// What makes a login usable without a refresh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// An access token, to be traded for one that is for the cluster.
    AccessToken,
    /// An ID token for this audience and no other.
    IdTokenFor(String),
}

/// What a login is kept under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionKey {
    /// The client at the provider.
    pub(crate) client_id: String,
    /// The provider.
    pub(crate) issuer: String,
    /// The port to listen on as configured, 0 for any.
    pub(crate) listen_port: u16,
    /// Sorted.
    pub(crate) scopes: Vec<String>,
    /// The provider behind a Supervisor.
    pub(crate) upstream: Option<String>,
}

impl SessionKey {
    /// As it stands in the file.
    fn value(&self) -> Value {
        let mut key = json!({
            "clientID": self.client_id,
            "issuer": self.issuer,
            // The configured address, never the one that was listened on.
            "redirect_uri": format!("http://localhost:{}/callback", self.listen_port),
            "scopes": self.scopes,
        });
        if let Some(upstream) = &self.upstream {
            key["upstream_provider_name"] = json!(upstream);
        }
        key
    }

    /// One line that tells it from all others.
    pub(crate) fn text(&self) -> String {
        self.value().to_string()
    }

    fn is_of(&self, entry: &Map<String, Value>) -> bool {
        let Some(key) = entry.get("key").and_then(Value::as_object) else { return false };
        let ours = self.value();
        // Fields of a later release say nothing to us; an empty name is none.
        ["clientID", "issuer", "redirect_uri", "scopes"].iter().all(|member| key.get(*member) == ours.get(*member))
            && text(key, "upstream_provider_name") == self.upstream.as_deref()
    }
}

impl SessionFile {
    /// Nothing is opened or made before it is needed.
    pub(crate) const fn new(path: PathBuf, wanted: Wanted) -> Self {
        Self { document: Document::new(path, "SessionCache", "sessions"), wanted }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.document.path()
    }

    /// The login, whether or not its ID token is still good.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub(crate) fn read(&self, key: &SessionKey, now: UnixTime) -> Result<Option<Session>, DocumentError> {
        self.document.change_existing(|entries| {
            let Some(entry) = entries.iter_mut().find(|entry| key.is_of(entry) && is_used(entry, now)) else {
                return Then::Leave(None);
            };
            let session = session(entry, key, &self.wanted, now);
            if time(entry, "lastUsedTimestamp").is_some_and(|last| now.since(last) < NOTED_SECONDS) {
                return Then::Leave(session);
            }
            entry.insert("lastUsedTimestamp".to_owned(), json!(now.to_string()));
            Then::Write(session)
        })
    }

    /// Keeps the login, and throws away what is past.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub(crate) fn keep(&self, key: &SessionKey, session: &Session, now: UnixTime) -> Result<(), DocumentError> {
        self.document.change(|entries| {
            entries.retain_mut(|entry| prune(entry, now));
            let place = entries.iter().position(|entry| key.is_of(entry)).unwrap_or_else(|| {
                let new = [("key", key.value()), ("creationTimestamp", json!(now.to_string()))];
                entries.push(new.into_iter().map(|(member, value)| (member.to_owned(), value)).collect());
                entries.len() - 1
            });
            let entry = &mut entries[place];
            entry.insert("lastUsedTimestamp".to_owned(), json!(now.to_string()));
            let tokens = entry.entry("tokens").or_insert_with(|| json!({}));
            if !tokens.is_object() {
                *tokens = json!({});
            }
            if let Value::Object(tokens) = tokens {
                fill(tokens, session);
            }
            Then::Write(())
        })
    }

    /// Forgets the login.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub(crate) fn remove(&self, key: &SessionKey) -> Result<(), DocumentError> {
        let removed = self.document.change_existing(|entries| {
            entries.retain(|entry| !key.is_of(entry));
            Then::Write(Some(()))
        });
        removed.map(Option::unwrap_or_default)
    }
}

/// Takes tokens that are empty or past out of the entry; says whether something remains.
fn prune(entry: &mut Map<String, Value>, now: UnixTime) -> bool {
    if !is_used(entry, now) {
        return false;
    }
    let Some(Value::Object(tokens)) = entry.get_mut("tokens") else { return false };
    for (name, ends) in [("access", true), ("id", true), ("refresh", false)] {
        let is_good = tokens.get(name).and_then(Value::as_object).is_some_and(|token| {
            text(token, "token").is_some()
                && (!ends || time(token, "expiryTimestamp").is_some_and(|expires| expires >= now))
        });
        if !is_good {
            tokens.remove(name);
        }
    }
    ["access", "id", "refresh"].iter().any(|name| tokens.contains_key(*name))
}

fn is_used(entry: &Map<String, Value>, now: UnixTime) -> bool {
    time(entry, "lastUsedTimestamp").is_some_and(|last| now.since(last) <= UNUSED_MAX_SECONDS)
}

fn session(entry: &Map<String, Value>, key: &SessionKey, wanted: &Wanted, now: UnixTime) -> Option<Session> {
    let tokens = entry.get("tokens")?.as_object()?;
    let token = |name: &str| tokens.get(name)?.as_object();
    let refresh_token = token("refresh").and_then(|token| text(token, "token")).map(Secret::from);
    let id = token("id").and_then(|id| Some((text(id, "token")?, time(id, "expiryTimestamp")?)));
    let claims = id.and_then(|(token, _)| UnverifiedClaims::read(token));
    let claim = |name: &str| claims.as_ref()?.text(name).map(ToOwned::to_owned);
    if refresh_token.is_none() && id.is_none() {
        return None;
    }
    let access = token("access").and_then(|access| Some((text(access, "token")?, time(access, "expiryTimestamp")?)));
    // When it came is not noted; when it was made is, by the provider's clock.
    let made = claims.as_ref().and_then(|claims| claims.all().get("iat")?.as_i64()).map(UnixTime::from_secs);
    let received_at = made.filter(|made| *made <= now).unwrap_or(now);
    let clocks = Clocks { local: received_at, server: received_at };
    let expires = match wanted {
        Wanted::AccessToken => access.map(|(_, expires)| expires),
        Wanted::IdTokenFor(audience) => {
            let is_for_us = claims.as_ref().is_some_and(|claims| claims.is_for_only(audience, &[]));
            id.filter(|_| is_for_us).map(|(_, expires)| expires)
        }
    };
    let subject = claim("sub").unwrap_or_default();
    Some(Session {
        received_at,
        // What is past is not kept there; the refresh token brings the next one.
        usable_until: expires.map_or(UnixTime::from_secs(0), |expires| clocks.usable_until(expires)),
        id_token: Secret::from(id.map_or("", |(token, _)| token)),
        access_token: access.map(|(token, _)| Secret::from(token)).filter(|_| *wanted == Wanted::AccessToken),
        refresh_token,
        nonce: None,
        authenticated_at: None,
        refresh_is_useless: false,
        // Not noted there, and the stock program asks for none again.
        scopes: Some(Vec::new()),
        identity: ["username", "preferred_username", "email"]
            .iter()
            .find_map(|name| claim(name))
            .unwrap_or_else(|| subject.clone()),
        subject,
        certificate_subject: None,
        label: SessionLabel { issuer: key.issuer.clone(), client_id: key.client_id.clone(), ..SessionLabel::default() },
    })
}

/// Puts the login's tokens into the entry. What belongs to an ID token that stays is left as it is.
fn fill(tokens: &mut Map<String, Value>, session: &Session) {
    match &session.refresh_token {
        Some(token) => put(tokens, "refresh", json!({"token": token.expose()})),
        None => drop(tokens.remove("refresh")),
    }
    let is_kept = |tokens: &Map<String, Value>, name: &str, token: &Secret| {
        tokens.get(name).and_then(Value::as_object).and_then(|kept| text(kept, "token")) == Some(token.expose())
    };
    match &session.access_token {
        Some(token) if is_kept(tokens, "access", token) => {}
        Some(token) => {
            let expires = session.usable_until.to_string();
            put(tokens, "access", json!({"token": token.expose(), "type": "Bearer", "expiryTimestamp": expires}));
        }
        // It came with another ID token: the stock program asks for a new one where it needs one.
        None if !is_kept(tokens, "id", &session.id_token) => drop(tokens.remove("access")),
        None => {}
    }
    let token = session.id_token.expose();
    if token.is_empty() || is_kept(tokens, "id", &session.id_token) {
        return;
    }
    let claims = UnverifiedClaims::read(token);
    let expires = claims.as_ref().and_then(UnverifiedClaims::expires).unwrap_or(session.usable_until);
    put(
        tokens,
        "id",
        json!({
            "token": token,
            "expiryTimestamp": expires.to_string(),
            // The stock program finds the audience here, and trades the token for another if it finds none.
            "claims": claims.map(|claims| claims.all().clone()),
        }),
    );
}

/// Fields of a later release stay beside what is new.
fn put(tokens: &mut Map<String, Value>, name: &str, value: Value) {
    match (tokens.get_mut(name), value) {
        (Some(Value::Object(there)), Value::Object(new)) => there.extend(new),
        (_, new) => drop(tokens.insert(name.to_owned(), new)),
    }
}
