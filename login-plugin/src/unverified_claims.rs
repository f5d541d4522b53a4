//! What a token says of itself, for messages and early refusals. Nobody has checked it: no decision to trust rests on it.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::time::UnixTime;

/// The claims of a JWT, unverified.
#[derive(Debug)]
pub(crate) struct UnverifiedClaims(Map<String, Value>);

impl UnverifiedClaims {
    /// The claims, if the text has the form of a JWT.
    pub(crate) fn read(token: &str) -> Option<Self> {
        let mut segments = token.split('.');
        let (_header, payload, _signature) = (segments.next()?, segments.next()?, segments.next()?);
        if segments.next().is_some() {
            return None;
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?;
        serde_json::from_slice(&bytes).ok().map(Self)
    }

    /// Everybody the token is for (RFC 7519 section 4.1.3: one text, or a list of them).
    pub(crate) fn audiences(&self) -> Vec<String> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Audience {
            One(String),
            Several(Vec<String>),
        }
        match self.0.get("aud").and_then(|audience| Audience::deserialize(audience).ok()) {
            None => Vec::new(),
            Some(Audience::One(audience)) => vec![audience],
            Some(Audience::Several(audiences)) => audiences,
        }
    }

    /// Whether the token is for this audience and for nobody else but those named.
    pub(crate) fn is_for_only(&self, audience: &str, additional: &[String]) -> bool {
        let found = self.audiences();
        found.iter().filter(|one| *one == audience).count() == 1
            && found.iter().all(|one| one == audience || additional.contains(one))
    }

    /// `exp`, by the issuer's clock.
    pub(crate) fn expires(&self) -> Option<UnixTime> {
        self.0.get("exp")?.as_i64().map(UnixTime::from_secs)
    }

    /// A claim that is a text.
    pub(crate) fn text(&self, claim: &str) -> Option<&str> {
        self.0.get(claim)?.as_str()
    }

    /// All claims.
    pub(crate) const fn all(&self) -> &Map<String, Value> {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(payload: &str) -> Option<UnverifiedClaims> {
        UnverifiedClaims::read(&format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(payload)))
    }

    #[test]
    fn a_token_for_somebody_else_too_is_not_for_us_only() {
        let cases = [
            (r#"{"aud":"a"}"#, true),
            (r#"{"aud":["a"]}"#, true),
            (r#"{"aud":["a","b"]}"#, false),
            (r#"{"aud":["b"]}"#, false),
            (r#"{"aud":7}"#, false),
            ("{}", false),
        ];
        for (payload, expected) in cases {
            assert_eq!(claims(payload).unwrap().is_for_only("a", &[]), expected, "{payload}");
        }
        let both = claims(r#"{"aud":["a","b"]}"#).unwrap();
        assert!(both.is_for_only("a", &["b".to_owned()]) && !both.is_for_only("a", &["c".to_owned()]));
    }

    #[test]
    fn what_is_no_token_has_no_claims() {
        assert!(UnverifiedClaims::read("opaque").is_none());
        assert!(UnverifiedClaims::read("a.b.c.d.e").is_none());
        assert!(claims("[]").is_none());
    }
}
