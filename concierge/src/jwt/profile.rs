//! What an authenticator demands of a token beside algorithms and keys: whose it is, for whom, of which kind, how old.

use std::{fmt, time::Duration};

use super::{Audience, Issuer};
use crate::fleet::Siblings;

/// Everything of an authenticator that a token is held against, beside keys and algorithms. Made once from a spec and
/// shared by every verifier of that generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The only issuer whose tokens are accepted.
    pub issuer: Issuer,
    /// The audiences that are ours.
    pub audiences: Audiences,
    /// Whether a token may name others beside us.
    pub additional_audiences: AdditionalAudiences,
    /// The parties that a token may be issued to (`azp`). Empty: `azp` is not judged, but for what
    /// [`AdditionalAudiences::Allow`] demands.
    pub authorized_parties: Vec<String>,
    /// The kinds of token that are accepted.
    pub token_types: TokenTypes,
    /// Ceiling on `exp - iat`; `None` is no ceiling.
    pub max_token_lifetime: Option<Duration>,
    /// Ceiling on `now - iat`; `None` is no ceiling.
    pub max_token_age: Option<Duration>,
    /// The other clusters of the fleet, whose tokens are told by name and never let in.
    pub siblings: Siblings,
}

/// The audiences of one authenticator: at least one, none of them empty, none twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audiences(Vec<Audience>);

/// What becomes of a token that is for us and for others too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AdditionalAudiences {
    /// It is refused: it opens other doors as well, and whoever is behind those could use it here.
    #[default]
    Refuse,
    /// It is accepted; then `azp`, if there is one, must be ours.
    Allow,
}

/// A kind of token, told by the header's `typ` (RFC 8725 3.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenType {
    /// `JWT`, or no `typ` at all: an ID token.
    IdToken,
    /// `at+jwt`: an access token of RFC 9068, which then must bring that standard's claims.
    AccessToken,
}

/// The kinds of token that an authenticator accepts: at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenTypes {
    id_tokens: bool,
    access_tokens: bool,
}

// === impl Profile ===

impl Profile {
    /// The profile of an authenticator that says nothing but its issuer and its audiences.
    #[must_use]
    pub fn new(issuer: Issuer, audiences: Audiences) -> Self {
        Self {
            issuer,
            audiences,
            additional_audiences: AdditionalAudiences::default(),
            authorized_parties: Vec::new(),
            token_types: TokenTypes::default(),
            max_token_lifetime: None,
            max_token_age: None,
            siblings: Siblings::default(),
        }
    }
}

// === impl Audiences ===

impl Audiences {
    /// These audiences; `None` if there is none, an empty one, or one twice. An empty audience would match a token
    /// that names nobody.
    #[must_use]
    pub fn new(audiences: Vec<Audience>) -> Option<Self> {
        let sound = |position: usize, audience: &Audience| {
            !audience.as_str().is_empty() && !audiences[..position].contains(audience)
        };
        let all_sound = audiences.iter().enumerate().all(|(position, audience)| sound(position, audience));
        (!audiences.is_empty() && all_sound).then_some(Self(audiences))
    }

    /// Whether `audience` is one of ours, byte for byte (RFC 7519 4.1.3).
    #[must_use]
    pub fn contains(&self, audience: &str) -> bool {
        self.0.iter().any(|ours| ours.as_str() == audience)
    }

    /// Each of them, in the order configured.
    pub fn iter(&self) -> impl Iterator<Item = &Audience> {
        self.0.iter()
    }
}

/// The audience, or `one of` several, quoted.
impl fmt::Display for Audiences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.len() > 1 {
            f.write_str("one of ")?;
        }
        for (position, audience) in self.iter().enumerate() {
            write!(f, "{}{:?}", if position == 0 { "" } else { ", " }, audience.as_str())?;
        }
        Ok(())
    }
}

// === impl TokenType ===

impl TokenType {
    /// The kind that a `typ` or an entry of `tokenTypes` names; compared without case, with or without `application/`
    /// (RFC 7515 4.1.9). `None` for every other kind: logout tokens, security events, proofs of possession.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        const PREFIX: &str = "application/";
        let short = match name.get(..PREFIX.len()) {
            Some(start) if start.eq_ignore_ascii_case(PREFIX) => &name[PREFIX.len()..],
            _ => name,
        };
        if short.eq_ignore_ascii_case("JWT") {
            Some(Self::IdToken)
        } else if short.eq_ignore_ascii_case("at+jwt") {
            Some(Self::AccessToken)
        } else {
            None
        }
    }

    /// The name as a spec writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::IdToken => "JWT",
            Self::AccessToken => "at+jwt",
        }
    }
}

// === impl TokenTypes ===

impl TokenTypes {
    /// These kinds; `None` if there is none.
    #[must_use]
    pub fn new(types: impl IntoIterator<Item = TokenType>) -> Option<Self> {
        let mut set = Self { id_tokens: false, access_tokens: false };
        for kind in types {
            match kind {
                TokenType::IdToken => set.id_tokens = true,
                TokenType::AccessToken => set.access_tokens = true,
            }
        }
        (set.id_tokens || set.access_tokens).then_some(set)
    }

    /// Whether tokens of that kind are accepted.
    #[must_use]
    pub const fn contains(self, kind: TokenType) -> bool {
        match kind {
            TokenType::IdToken => self.id_tokens,
            TokenType::AccessToken => self.access_tokens,
        }
    }

    /// What a header's `typ` may be, for messages.
    pub(super) const fn expected(self) -> &'static str {
        match (self.id_tokens, self.access_tokens) {
            (true, true) => "\"JWT\", \"at+jwt\" or none",
            (false, true) => "\"at+jwt\"",
            (_, false) => "\"JWT\" or none",
        }
    }
}

/// ID tokens only.
impl Default for TokenTypes {
    fn default() -> Self {
        Self { id_tokens: true, access_tokens: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audiences_are_never_empty_and_never_twice() {
        let of = |names: &[&str]| Audiences::new(names.iter().map(|name| Audience::new((*name).to_owned())).collect());
        for bad in [&[][..], &[""], &["a", ""], &["a", "b", "a"]] {
            assert_eq!(of(bad), None, "{bad:?}");
        }
        let two = of(&["old", "new"]).unwrap();
        assert!(two.contains("old") && two.contains("new") && !two.contains("New") && !two.contains(""));
    }

    #[test]
    fn kinds_are_told_without_case_and_without_the_media_types_prefix() {
        for (name, kind) in [
            ("JWT", Some(TokenType::IdToken)),
            ("jwt", Some(TokenType::IdToken)),
            ("Application/JWT", Some(TokenType::IdToken)),
            ("at+jwt", Some(TokenType::AccessToken)),
            ("AT+JWT", Some(TokenType::AccessToken)),
            ("application/at+jwt", Some(TokenType::AccessToken)),
            ("", None),
            ("application/", None),
            ("application/application/jwt", None),
            ("logout+jwt", None),
            ("JWS", None),
            ("appl\u{131}cation/jwt", None),
        ] {
            assert_eq!(TokenType::from_name(name), kind, "{name}");
        }
        assert_eq!(TokenTypes::new([]), None);
        assert_eq!(TokenTypes::new([TokenType::IdToken]), Some(TokenTypes::default()));
    }
}
