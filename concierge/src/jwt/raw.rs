//! Bytes to three decoded segments: size, dots, strict base64url, header.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{Rejection, Step, TokenFacts, Trace, header::Header};
use crate::secret::{BearerToken, TokenFingerprint};

/// Largest token. An ID token with 200 group GUIDs is 11 to 12 KiB, and common front ends cut headers at 8 to 64 KiB.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// Largest JWT of claims that a token refers to (OIDC Core 5.6.2). They are elsewhere because there are many: a thousand
/// groups, the most that are accepted, by GUID.
pub const MAX_CLAIMS_BYTES: usize = 64 * 1024;

/// A token taken apart; nothing in it is believed.
#[derive(Debug)]
pub(super) struct RawJwt<'token> {
    /// The first two segments with their dot: what was signed (RFC 7515 5.1), never a re-encoding.
    pub(super) signing_input: &'token [u8],
    /// The header.
    pub(super) header: Header,
    /// The payload, decoded; nobody parses it before the signature holds.
    pub(super) payload: Vec<u8>,
    /// The signature, decoded.
    pub(super) signature: Vec<u8>,
}

impl<'token> RawJwt<'token> {
    /// Takes `token` apart, if it has no more than `limit` bytes.
    pub(super) fn parse(
        token: &'token BearerToken,
        limit: usize,
        facts: &mut TokenFacts,
        trace: &mut impl Trace,
    ) -> Result<Self, Rejection> {
        facts.bytes = token.len();
        if token.len() > limit {
            return Err(Rejection::TokenTooLarge { bytes: token.len(), limit });
        }
        trace.passed(Step::Size);
        let Segments { signing_input, header, payload, signature } = Segments::of(token.as_str())?;
        trace.passed(Step::Segments);
        facts.fingerprint = Some(TokenFingerprint::of(signing_input.as_bytes()));
        let header = decode(header)?;
        let signature = decode(signature)?;
        let payload = decode(payload)?;
        trace.passed(Step::Base64);
        let header = Header::parse(&header)?;
        facts.header = Some(header.facts());
        trace.passed(Step::Header);
        Ok(Self { signing_input: signing_input.as_bytes(), header, payload, signature })
    }
}

/// A token's text cut at its dots; nothing is decoded yet.
pub(super) struct Segments<'token> {
    signing_input: &'token str,
    header: &'token str,
    pub(super) payload: &'token str,
    signature: &'token str,
}

impl<'token> Segments<'token> {
    /// Exactly three segments: four dots are a JWE, and the JSON serialisation of RFC 7515 7.2 has none.
    pub(super) fn of(text: &'token str) -> Result<Self, Rejection> {
        const EXPECTED: Rejection = Rejection::NotThreeSegments("expected three segments");
        let (signing_input, signature) = text.rsplit_once('.').ok_or(EXPECTED)?;
        let (header, payload) = signing_input.split_once('.').ok_or(EXPECTED)?;
        if payload.contains('.') {
            return Err(EXPECTED);
        }
        if header.is_empty() || payload.is_empty() || signature.is_empty() {
            return Err(Rejection::NotThreeSegments("a segment is empty"));
        }
        Ok(Self { signing_input, header, payload, signature })
    }
}

/// RFC 7515 2: the URL-safe alphabet, no padding, no white space, and the unused bits of the last character are zero,
/// so that one token has one spelling.
fn decode(segment: &str) -> Result<Vec<u8>, Rejection> {
    URL_SAFE_NO_PAD.decode(segment).map_err(|_| Rejection::NotBase64Url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(token: &str) -> Option<&'static str> {
        RawJwt::parse(&BearerToken::new(token.to_owned()), MAX_TOKEN_BYTES, &mut TokenFacts::default(), &mut ())
            .err()
            .map(|r| r.code())
    }

    // {"alg":"RS256"}
    const HEADER: &str = "eyJhbGciOiJSUzI1NiJ9";

    #[test]
    fn takes_a_token_apart() {
        let token = BearerToken::new(format!("{HEADER}.e30.AAAA"));
        let mut facts = TokenFacts::default();
        let raw = RawJwt::parse(&token, MAX_TOKEN_BYTES, &mut facts, &mut ()).unwrap();
        assert_eq!(raw.signing_input, format!("{HEADER}.e30").as_bytes());
        assert_eq!(raw.signature, [0, 0, 0]);
        assert_eq!(facts.fingerprint, Some(TokenFingerprint::of(raw.signing_input)));
    }

    #[test]
    fn refuses_other_shapes() {
        for token in [
            String::new(),
            ".".to_owned(),
            "..".to_owned(),
            format!("{HEADER}.e30"),
            format!("{HEADER}.e30."),
            format!("{HEADER}..AAAA"),
            ".e30.AAAA".to_owned(),
            format!("{HEADER}.e30.AAAA.AAAA"),
            format!("{HEADER}.e30.AAAA.AAAA.AAAA"),
            format!("{HEADER}.e30.AAAA="),
            format!("{HEADER}.e30=.AAAA"),
            format!("{HEADER}.e3+.AAAA"),
            format!("{HEADER}.e30.AA/A"),
            format!("{HEADER}.e30.AA\nAA"),
            format!(" {HEADER}.e30.AAAA"),
            format!("{HEADER}.e30.AAAA "),
            format!("Bearer {HEADER}.e30.AAAA"),
            format!("{HEADER}.e30.AAAAA"),
            format!("{HEADER}.e30.AB"),
            "{\"payload\":\"e30\",\"signatures\":[]}".to_owned(),
        ] {
            assert_eq!(code(&token), Some("malformed-token"), "{token}");
        }
    }

    #[test]
    fn refuses_on_length_before_anything_else() {
        assert_eq!(code(&".".repeat(MAX_TOKEN_BYTES)), Some("malformed-token"));
        assert_eq!(code(&".".repeat(MAX_TOKEN_BYTES + 1)), Some("token-too-large"));
    }
}
