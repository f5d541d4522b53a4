//! A token that nobody can print, and the fingerprint that logs show in its place.

use std::fmt;

use aws_lc_rs::digest;
use zeroize::Zeroizing;

/// A bearer token as a client sent it. It has no `Display` and no `Serialize`, its `Debug` shows nothing, and its
/// memory is wiped when it goes.
#[derive(Clone)]
pub struct BearerToken(Zeroizing<String>);

/// What a record may say of a token: SHA-256 over its signing input, the first two segments.
///
/// Never over the whole: an ECDSA signature (r, s) has the twin (r, n − s), so one token would have two names, and a
/// hash over the whole could be matched against a stolen one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenFingerprint([u8; 32]);

// === impl BearerToken ===

impl BearerToken {
    /// Takes the token over. Nothing is checked here: judging it is `jwt`'s work.
    #[must_use]
    pub fn new(token: String) -> Self {
        Self(Zeroizing::new(token))
    }

    /// The token's text, for verification only.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no token at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BearerToken({} bytes)", self.len())
    }
}

// === impl TokenFingerprint ===

impl TokenFingerprint {
    /// The fingerprint of a token whose `header.payload` is `signing_input`.
    #[must_use]
    pub fn of(signing_input: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, signing_input).as_ref());
        Self(bytes)
    }
}

impl fmt::Display for TokenFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", hex::encode(self.0))
    }
}

impl fmt::Debug for TokenFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_token() {
        let shown = format!("{:?}", BearerToken::new("eyJhbGciOi.secret.part".to_owned()));
        assert_eq!(shown, "BearerToken(22 bytes)");
    }

    #[test]
    fn fingerprint_is_the_sha256_of_what_was_signed() {
        assert_eq!(
            TokenFingerprint::of(b"abc").to_string(),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
