//! User and group names: text that is safe to show, to log and to put into a certificate.
//!
//! Nothing is normalised: two byte strings are two names, and a name is either taken as it is or refused.

use super::Refusal;

/// A user's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Username(String);

/// A group's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupName(String);

/// Longest name in bytes: X.520 bounds names to 64 characters, real ones have up to 200, headers must carry hundreds.
const MAX_NAME_BYTES: usize = 512;

impl Username {
    /// A username, if it is safe.
    pub(super) fn parse(name: &str) -> Result<Self, Refusal> {
        if name.is_empty() {
            return Err(Refusal::UsernameEmpty);
        }
        check(name).map_err(Refusal::UsernameUnsafe)?;
        Ok(Self(name.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl GroupName {
    /// A group name, if it is safe. The caller has dropped empty ones.
    pub(super) fn parse(name: &str) -> Result<Self, Refusal> {
        check(name).map_err(Refusal::GroupUnsafe)?;
        Ok(Self(name.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn check(name: &str) -> Result<(), &'static str> {
    if name.len() > MAX_NAME_BYTES {
        return Err("is longer than 512 bytes");
    }
    // Nearly every name is printable ASCII without blanks, and a token may bring a thousand.
    if name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    if name.chars().any(char::is_control) {
        return Err("holds a control character");
    }
    if name.chars().any(is_invisible) {
        return Err("holds an invisible or direction-changing character");
    }
    if name.starts_with(char::is_whitespace) || name.ends_with(char::is_whitespace) {
        return Err("begins or ends with white space");
    }
    Ok(())
}

/// Characters that make a name look like another one (UTS 39, UAX 9): bidi controls, zero-width characters, the soft
/// hyphen, line and paragraph separators, tags.
const fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}'
            | '\u{feff}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_names_as_they_are() {
        for name in ["ada", "ada@example.org", "Ada Lovelace", "a,b", "o=x/cn=y", "ünï", "u\u{308}", "日本", "-", "%00"]
        {
            assert_eq!(Username::parse(name).unwrap().as_str(), name);
            assert_eq!(GroupName::parse(name).unwrap().as_str(), name);
        }
        assert_ne!(Username::parse("\u{fc}").unwrap(), Username::parse("u\u{308}").unwrap(), "nothing is normalised");
        assert!(Username::parse(&"x".repeat(512)).is_ok());
    }

    #[test]
    fn refuses_names_that_deceive() {
        let long = "x".repeat(513);
        for name in [
            "a\nb",
            "a\rb",
            "a\0b",
            "\u{7f}",
            "a\u{85}b",
            " ada",
            "ada ",
            "\u{a0}ada",
            "ada\u{3000}",
            "a\u{202e}b",
            "a\u{200b}b",
            "\u{feff}ada",
            "a\u{2028}b",
            "a\u{ad}b",
            "   ",
            &long,
        ] {
            assert!(matches!(Username::parse(name), Err(Refusal::UsernameUnsafe(_))), "{name:?}");
            assert!(matches!(GroupName::parse(name), Err(Refusal::GroupUnsafe(_))), "{name:?}");
        }
        assert_eq!(Username::parse(""), Err(Refusal::UsernameEmpty));
    }
}
