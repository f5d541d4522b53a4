//! The JOSE header (RFC 7515 4): which members count, and which have no place in a token.

use super::{
    Algorithm, AlgorithmSet, HeaderFacts, Json, JsonError, KeyId, Limits, Object, Rejection, Step, TokenType,
    TokenTypes,
};

/// Largest header, decoded. `x5c` is useless to us and the rest fits in a few hundred bytes.
const MAX_HEADER_BYTES: usize = 2 * 1024;

/// Longest `typ`; the registered ones have about twenty characters.
const MAX_TYPE_BYTES: usize = 64;

/// Members that make it something else than a plain signed token: compressed, unencoded (RFC 7797), encrypted or
/// nested. `jwk`, `jku`, `x5u`, `x5c` and the thumbprints are ignored: never a source of keys, never fetched, and
/// Entra ID sends `x5t` on every token.
const FOREIGN_MEMBERS: [&str; 7] = ["b64", "zip", "enc", "epk", "p2c", "p2s", "cty"];

/// A header that says what is needed and nothing that forbids going on.
#[derive(Clone, Debug)]
pub(super) struct Header {
    /// `alg` as text: whether it is allowed depends on the authenticator.
    pub(super) alg: String,
    /// `kid`.
    pub(super) key_id: Option<KeyId>,
    /// `typ`.
    pub(super) typ: Option<String>,
}

impl Header {
    /// Reads a decoded header, strictly.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Rejection> {
        if bytes.len() > MAX_HEADER_BYTES {
            return Err(Rejection::MalformedHeader("the header is too large"));
        }
        let members = Object::parse(bytes, Limits::TOKEN).map_err(|error| match error {
            JsonError::DuplicateMember => Rejection::DuplicateMember { inside: Step::Header },
            _ => Rejection::MalformedHeader("the header is not one JSON object"),
        })?;
        // RFC 7515 4.1.11: an extension that must be understood and is not. We understand none, so any list refuses.
        if members.get("crit").is_some() {
            return Err(Rejection::CriticalHeader);
        }
        if FOREIGN_MEMBERS.iter().any(|member| members.get(member).is_some()) {
            return Err(Rejection::MalformedHeader("the header is not that of a plain signed token"));
        }
        let alg = match members.get("alg") {
            Some(Json::String(alg)) if alg.len() <= MAX_TYPE_BYTES => alg.clone(),
            Some(_) => return Err(Rejection::MalformedHeader("\"alg\" is not a short string")),
            None => return Err(Rejection::MalformedHeader("\"alg\" is missing")),
        };
        let key_id = match members.get("kid") {
            None => None,
            Some(Json::String(id)) => Some(KeyId::new(id).ok_or(Rejection::MalformedHeader("\"kid\" is too long"))?),
            Some(_) => return Err(Rejection::MalformedHeader("\"kid\" is not a string")),
        };
        let typ = match members.get("typ") {
            None => None,
            Some(Json::String(typ)) if typ.len() <= MAX_TYPE_BYTES => Some(typ.clone()),
            Some(_) => return Err(Rejection::MalformedHeader("\"typ\" is not a short string")),
        };
        Ok(Self { alg, key_id, typ })
    }

    /// The algorithm, if it exists and is allowed.
    pub(super) fn algorithm(&self, accepted: AlgorithmSet) -> Result<Algorithm, Rejection> {
        Algorithm::from_name(&self.alg)
            .filter(|algorithm| accepted.contains(*algorithm))
            .ok_or_else(|| Rejection::AlgorithmNotAllowed { found: self.alg.clone(), accepted })
    }

    /// Which kind of token this is, if that kind is accepted (RFC 8725 3.11): a logout token or an access token is
    /// signed by the same keys and must not pass as an ID token. No `typ` at all is what many providers give ID tokens.
    pub(super) fn token_type(&self, accepted: TokenTypes) -> Result<TokenType, Rejection> {
        self.typ
            .as_deref()
            .map_or(Some(TokenType::IdToken), TokenType::from_name)
            .filter(|kind| accepted.contains(*kind))
            .ok_or_else(|| Rejection::TypeNotAccepted { found: self.typ.clone(), accepted })
    }

    pub(super) fn facts(&self) -> HeaderFacts {
        HeaderFacts {
            alg: self.alg.clone(),
            kid: self.key_id.as_ref().map(|id| id.as_str().to_owned()),
            typ: self.typ.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(header: &str) -> Option<&'static str> {
        Header::parse(header.as_bytes())
            .and_then(|header| header.algorithm(AlgorithmSet::default()).map(|_| header))
            .and_then(|header| header.token_type(TokenTypes::default()))
            .err()
            .map(|rejection| rejection.code())
    }

    #[test]
    fn accepts_the_headers_of_real_providers() {
        for header in [
            r#"{"alg":"RS256","kid":"a","typ":"JWT"}"#,
            r#"{"typ":"jwt","alg":"ES256"}"#,
            r#"{"alg":"RS256","kid":"a","x5t":"abc","x5t#S256":"d"}"#,
            r#"{"alg":"Ed25519","typ":"application/JWT"}"#,
            r#"{"alg":"RS256","jku":"https://evil.example/","jwk":{"kty":"RSA"},"x5c":["MII"]}"#,
        ] {
            assert_eq!(code(header), None, "{header}");
        }
    }

    #[test]
    fn refuses_everything_else_with_its_code() {
        for (header, expected) in [
            (r#"{"alg":"none"}"#, "alg-not-allowed"),
            (r#"{"alg":"NoNe"}"#, "alg-not-allowed"),
            (r#"{"alg":""}"#, "alg-not-allowed"),
            (r#"{"alg":"HS256"}"#, "alg-not-allowed"),
            (r#"{"alg":null}"#, "malformed-header"),
            (r#"{"alg":["RS256"]}"#, "malformed-header"),
            (r#"{"kid":"a"}"#, "malformed-header"),
            (r#"{"alg":"RS256","kid":1}"#, "malformed-header"),
            (r#"{"alg":"RS256","kid":null}"#, "malformed-header"),
            (r#"{"alg":"RS256","crit":["exp"]}"#, "critical-header"),
            (r#"{"alg":"RS256","crit":[]}"#, "critical-header"),
            (r#"{"alg":"RS256","crit":["b64"],"b64":false}"#, "critical-header"),
            (r#"{"alg":"RS256","b64":false}"#, "malformed-header"),
            (r#"{"alg":"RS256","zip":"DEF"}"#, "malformed-header"),
            (r#"{"alg":"RS256","cty":"JWT"}"#, "malformed-header"),
            (r#"{"alg":"RS256","alg":"none"}"#, "duplicate-member"),
            (r#"{"alg":"RS256","typ":"at+jwt"}"#, "type-not-accepted"),
            (r#"{"alg":"RS256","typ":"logout+jwt"}"#, "type-not-accepted"),
            (r#"{"alg":"RS256","typ":7}"#, "malformed-header"),
            ("[]", "malformed-header"),
            ("", "malformed-header"),
        ] {
            assert_eq!(code(header), Some(expected), "{header}");
        }
        let long = format!(r#"{{"alg":"RS256","kid":"{}"}}"#, "k".repeat(257));
        assert_eq!(code(&long), Some("malformed-header"));
        let large = format!(r#"{{"alg":"RS256","x":"{}"}}"#, "x".repeat(2048));
        assert_eq!(code(&large), Some("malformed-header"));
    }
}
