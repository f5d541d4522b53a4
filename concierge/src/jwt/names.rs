//! The names a token is matched by. They are compared byte for byte and never repaired.

use std::fmt;

/// An issuer identifier: the `iss` claim, byte for byte. A trailing slash makes another issuer (OIDC Core 3.1.3.7 step 2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Issuer(String);

/// An audience: one value of the `aud` claim (RFC 7519 4.1.3), byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Audience(String);

/// A key id (RFC 7515 4.1.4): opaque, compared for equality, never a path or a URL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyId(String);

/// Longest `kid` that is looked at, in bytes. Identity providers use thumbprints (43 to 64 characters) or UUIDs.
const MAX_KEY_ID_BYTES: usize = 256;

impl Issuer {
    /// An issuer as it is configured.
    #[must_use]
    pub const fn new(issuer: String) -> Self {
        Self(issuer)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a token with this `iss` is this issuer's.
    #[must_use]
    pub fn accepts(&self, iss: &str) -> bool {
        self.spellings().any(|spelling| spelling == iss)
    }

    /// Every `iss` that means this issuer. Google alone signs with and without the scheme (kube-apiserver makes the same
    /// single exception).
    pub fn spellings(&self) -> impl Iterator<Item = &str> {
        let alias = (self.0 == "https://accounts.google.com").then_some("accounts.google.com");
        std::iter::once(self.0.as_str()).chain(alias)
    }
}

impl Audience {
    /// An audience as it is configured.
    #[must_use]
    pub const fn new(audience: String) -> Self {
        Self(audience)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl KeyId {
    /// A key id, unless it is longer than any provider's.
    #[must_use]
    pub fn new(id: &str) -> Option<Self> {
        (id.len() <= MAX_KEY_ID_BYTES).then(|| Self(id.to_owned()))
    }

    /// The text. It is an attacker's until the signature holds.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Quoted and escaped, so that a key id of an attacker's making cannot break a log line.
impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}
