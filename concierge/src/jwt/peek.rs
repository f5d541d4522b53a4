//! Which issuer a token claims, so that it can be sent to the authenticator that judges it. Nothing here is believed.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, Visitor},
};

use super::{MAX_CLAIMS_BYTES, MAX_TOKEN_BYTES, Rejection, Step, raw::Segments};
use crate::secret::BearerToken;

/// The `iss` of a token that nobody has verified: a hint where to look for an authenticator, and no issuer. It cannot
/// be compared with an [`super::Issuer`], and its text is an attacker's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedIssuer(String);

impl ClaimedIssuer {
    /// The text, for looking up who might judge the token. Never for deciding anything, and never for a log unescaped.
    #[must_use]
    pub fn as_hint(&self) -> &str {
        &self.0
    }
}

/// Reads which issuer `token` claims. An opaque token, which is most of what an API server's webhook is asked about,
/// costs a look at its bytes and no allocation; of a JWT the payload is decoded, and only `iss` is kept.
///
/// The judge reads the claims again, all of them and strictly, once the signature holds.
///
/// # Errors
///
/// The same codes as the judge gives to such a token, at the same steps.
pub fn peek_issuer(token: &BearerToken) -> Result<ClaimedIssuer, Rejection> {
    peek(token, MAX_TOKEN_BYTES)
}

/// The same for a JWT of claims, which may be larger: see [`super::verify_claims`].
///
/// # Errors
///
/// As [`peek_issuer`].
pub fn peek_claims_issuer(token: &BearerToken) -> Result<ClaimedIssuer, Rejection> {
    peek(token, MAX_CLAIMS_BYTES)
}

fn peek(token: &BearerToken, limit: usize) -> Result<ClaimedIssuer, Rejection> {
    if token.len() > limit {
        return Err(Rejection::TokenTooLarge { bytes: token.len(), limit });
    }
    let text = token.as_str();
    // RFC 7515 7.2, the JSON serialisation. Its strings may hold dots, so it is told by its first byte.
    if text.starts_with('{') {
        return Err(Rejection::NotThreeSegments("expected three segments, found a JSON object"));
    }
    let segments = Segments::of(text)?;
    let payload = URL_SAFE_NO_PAD.decode(segments.payload).map_err(|_| Rejection::NotBase64Url)?;
    let Peeked(issuer) = serde_json::from_slice(&payload).map_err(|_| Rejection::NoIssuerToRead)?;
    issuer.map(ClaimedIssuer).ok_or(Rejection::ClaimMissing { claim: "iss", step: Step::Issuer })
}

/// The one member that is looked at.
struct Peeked(Option<String>);

impl<'de> Deserialize<'de> for Peeked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Peeked;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the claims of a token")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Peeked, A::Error> {
        let mut issuer = None;
        while let Some(name) = map.next_key::<Name>()? {
            match name {
                Name::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
                Name::Iss => {
                    // Two of them would send the token to one authenticator and be judged by the other's word.
                    if issuer.replace(map.next_value()?).is_some() {
                        return Err(A::Error::custom("two issuers"));
                    }
                }
            }
        }
        Ok(Peeked(issuer))
    }
}

/// The name of a member, compared after unescaping and without keeping it.
enum Name {
    Iss,
    Other,
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Name;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Name, E> {
                Ok(if name == "iss" { Name::Iss } else { Name::Other })
            }
        }

        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peeked(token: &str) -> Result<String, &'static str> {
        peek_issuer(&BearerToken::new(token.to_owned()))
            .map(|issuer| issuer.as_hint().to_owned())
            .map_err(|rejection| rejection.code())
    }

    fn with(claims: &str) -> Result<String, &'static str> {
        peeked(&format!("eyJhbGciOiJSUzI1NiJ9.{}.AAAA", URL_SAFE_NO_PAD.encode(claims)))
    }

    #[test]
    fn a_jwt_says_which_issuer_it_claims() {
        assert_eq!(with(r#"{"aud":"a","iss":"https://idp","x":{"iss":"no"}}"#).as_deref(), Ok("https://idp"));
        assert_eq!(with(r#"{"\u0069ss":"https://idp"}"#).as_deref(), Ok("https://idp"));
    }

    #[test]
    fn claims_that_name_no_issuer_lead_nowhere() {
        for (claims, code) in [
            ("{}", "claim-missing"),
            (r#"{"ISS":"a"}"#, "claim-missing"),
            (r#"{"iss":7}"#, "malformed-claims"),
            (r#"{"iss":null}"#, "malformed-claims"),
            (r#"{"iss":["a"]}"#, "malformed-claims"),
            (r#"{"iss":"a","iss":"b"}"#, "malformed-claims"),
            (r#"{"iss":"a","\u0069ss":"a"}"#, "malformed-claims"),
            (r#"{"iss":"a"} x"#, "malformed-claims"),
            ("[]", "malformed-claims"),
            ("iss", "malformed-claims"),
        ] {
            assert_eq!(with(claims), Err(code), "{claims}");
        }
        let deep = format!(r#"{{"iss":"a","x":{}1{}}}"#, "[".repeat(9_000 / 2), "]".repeat(9_000 / 2));
        assert_eq!(with(&deep).as_deref(), Ok("a"), "what is passed over takes no stack, and is the judge's to refuse");
    }

    #[test]
    fn opaque_tokens_are_told_by_their_shape() {
        for token in ["", "hunter2", "a.b", "a..b", "a.b.c.d", "a.b.c.d.e", r#"{"payload":"a.b.c"}"#, "..", "a.b$.c"] {
            assert_eq!(peeked(token), Err("malformed-token"), "{token}");
        }
        assert_eq!(peeked(&".".repeat(MAX_TOKEN_BYTES)), Err("malformed-token"));
        assert_eq!(peeked(&"a".repeat(MAX_TOKEN_BYTES + 1)), Err("token-too-large"));
    }
}
