//! A case's token: the base token, with what the case says of it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value, json};

use super::{
    plan::AUDIENCE,
    table::{Case, KeyEntry, merge},
};
use crate::issuer::{Algorithm, Draft, SigningKey};

/// The base token lives this long, in seconds.
const LIFETIME: i64 = 600;

/// The keys that cases name.
pub struct Keys(BTreeMap<&'static str, Arc<SigningKey>>);

impl Keys {
    /// One key of each kind, and a second RSA key. Each key's id is its name.
    ///
    /// # Errors
    /// If the random source fails.
    pub fn make() -> Result<Self> {
        let named = [
            ("rsa", Algorithm::RS256),
            ("rsa-2", Algorithm::RS256),
            ("p256", Algorithm::ES256),
            ("p384", Algorithm::ES384),
            ("p521", Algorithm::ES512),
            ("ed25519", Algorithm::EdDSA),
        ];
        let make = |(name, algorithm)| Ok((name, Arc::new(SigningKey::generate(algorithm, name)?)));
        named.into_iter().map(make).collect::<Result<_>>().map(Self)
    }

    fn key(&self, name: &str) -> Result<Arc<SigningKey>> {
        self.0.get(name).cloned().with_context(|| format!("there is no key {name:?}"))
    }

    /// The key set document of these entries.
    ///
    /// # Errors
    /// If an entry names no key.
    pub fn publish(&self, entries: &[KeyEntry]) -> Result<String> {
        let mut keys = Vec::new();
        for entry in entries {
            let mut jwk = self.key(&entry.key)?.published()?;
            merge(&mut jwk, &entry.jwk);
            keys.push(jwk);
        }
        Ok(json!({ "keys": keys }).to_string())
    }
}

/// This machine's time, in seconds since 1970.
///
/// # Panics
/// If the machine's clock stands before that.
#[must_use]
pub fn unix_now() -> i64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "kube-apiserver reads the machine's clock, so its tokens are made by it"
    )]
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970");
    i64::try_from(since.as_secs()).expect("seconds fit into 63 bits")
}

/// Makes the token of `case` for `issuer` at the time `now` (seconds since 1970).
///
/// # Errors
/// If the case asks for something that cannot be made.
pub fn make(case: &Case, keys: &Keys, issuer: &str, now: i64) -> Result<String> {
    let key = keys.key(case.key.as_deref().unwrap_or("rsa"))?;
    let mut draft = Draft::new(Arc::clone(&key), &claims(case, issuer, now));
    if let Some(payload) = &case.payload {
        let later = (now + LIFETIME).to_string();
        let filled = [("$ISSUER", issuer), ("$NOW", &now.to_string()), ("$LATER", &later)]
            .into_iter()
            .fold(payload.clone(), |text, (word, value)| text.replace(word, value));
        draft = draft.payload(filled);
    }
    let forged = matches!(case.alg.as_deref(), Some("none" | "HS256"));
    if let Some(algorithm) = case.alg.as_deref().filter(|_| !forged) {
        draft = draft.algorithm(algorithm.parse()?);
    }
    for (name, value) in &case.header {
        draft = draft.header(name, value.clone());
    }
    for name in &case.without_header {
        draft = draft.without_header(name);
    }
    if let Some(text) = &case.header_text {
        draft = draft.header_text(text);
    }
    let token = match case.alg.as_deref() {
        Some("none") => draft.unsigned(),
        Some("HS256") => draft.sign_hs256(&key.public_der()?),
        _ => draft.sign()?,
    };
    match &case.token {
        None => Ok(token),
        Some(shape) => reshape(shape, &token),
    }
}

fn claims(case: &Case, issuer: &str, now: i64) -> Value {
    let mut claims = Map::new();
    claims.insert("iss".to_owned(), issuer.into());
    claims.insert("aud".to_owned(), AUDIENCE.into());
    claims.insert("sub".to_owned(), "ann".into());
    claims.insert("iat".to_owned(), now.into());
    claims.insert("exp".to_owned(), (now + LIFETIME).into());
    for (name, value) in &case.claims {
        claims.insert(name.clone(), fill_in(value, issuer));
    }
    for name in &case.without {
        claims.remove(name);
    }
    for (name, seconds) in &case.times {
        claims.insert(name.clone(), time(now, *seconds));
    }
    claims.into()
}

/// Whole seconds as an integer, as identity providers write them; a fraction as a fraction.
fn time(now: i64, seconds: f64) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit into 53 bits")]
    let at = now as f64 + seconds;
    #[expect(clippy::cast_possible_truncation, reason = "only a whole number is made an integer")]
    if at.fract() == 0.0 { (at as i64).into() } else { at.into() }
}

fn fill_in(value: &Value, issuer: &str) -> Value {
    match value {
        Value::String(text) => text.replace("$ISSUER", issuer).into(),
        Value::Array(items) => items.iter().map(|item| fill_in(item, issuer)).collect(),
        other => other.clone(),
    }
}

fn reshape(shape: &str, token: &str) -> Result<String> {
    let segments: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = segments[..] else { bail!("a signed token has three segments") };
    let named: HashMap<_, _> =
        [("{header}", header), ("{payload}", payload), ("{signature}", signature)].into_iter().collect();
    Ok(named.into_iter().fold(shape.to_owned(), |text, (name, segment)| text.replace(name, segment)))
}
