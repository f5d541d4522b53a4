//! User and group names: text that is safe to show, to log and to put into a certificate.
//!
//! Nothing is normalised: two byte strings are two names, and a name is either taken as it is or refused.

use std::collections::BTreeMap;

use super::Refusal;
use crate::text::is_dangerous;

/// A user's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Username(String);

/// A group's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupName(String);

/// What makes a text unfit to be a name, a uid or an extra value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsafe {
    /// Longer than the limit for its kind.
    #[error("is longer than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// A line break, NUL, escape or other control character: it would break a log line, a header, a terminal.
    #[error("holds a control character")]
    ControlCharacter,
    /// A character that is not seen, or that turns the direction of the text: it would look like another name.
    #[error("holds an invisible or direction-changing character")]
    InvisibleCharacter,
    /// Blanks at an end, which HTTP headers lose: it would become another name on the way.
    #[error("begins or ends with white space")]
    OuterWhiteSpace,
}

/// Longest name in bytes: X.520 bounds names to 64 characters, real ones have up to 200, headers must carry hundreds.
const MAX_NAME_BYTES: usize = 512;

/// Longest uid in bytes: UUIDs have 36, distinguished names up to 200.
const MAX_UID_BYTES: usize = 256;

/// Longest key and longest single value of an extra attribute in bytes: each becomes a header of its own at the proxy.
const MAX_EXTRA_BYTES: usize = 1024;

/// Most keys and values of extra attributes together: with the limits above, what a user costs stays within 256 KiB.
pub(super) const MAX_EXTRA: usize = 256;

impl Username {
    /// A username, if it is safe.
    pub(super) fn new(name: String) -> Result<Self, Refusal> {
        if name.is_empty() {
            return Err(Refusal::UsernameEmpty);
        }
        check(&name, MAX_NAME_BYTES).map_err(Refusal::UsernameUnsafe)?;
        Ok(Self(name))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl GroupName {
    /// A group name, if it is safe. The caller has dropped empty ones.
    pub(super) fn new(name: String) -> Result<Self, Refusal> {
        check(&name, MAX_NAME_BYTES).map_err(Refusal::GroupUnsafe)?;
        Ok(Self(name))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether `uid` may be shown and sent.
pub(super) fn check_uid(uid: &str) -> Result<(), Refusal> {
    check(uid, MAX_UID_BYTES).map_err(Refusal::UidUnsafe)
}

/// Whether the extra attributes may be shown and sent.
pub(super) fn check_extra(extra: &BTreeMap<String, Vec<String>>) -> Result<(), Refusal> {
    let found = extra.values().map(|values| values.len() + 1).sum();
    if found > MAX_EXTRA {
        return Err(Refusal::TooMuchExtra { found });
    }
    for (key, values) in extra {
        for text in std::iter::once(key).chain(values) {
            check(text, MAX_EXTRA_BYTES).map_err(|problem| Refusal::ExtraUnsafe { key: key.clone(), problem })?;
        }
    }
    Ok(())
}

fn check(text: &str, limit: usize) -> Result<(), Unsafe> {
    if text.len() > limit {
        return Err(Unsafe::TooLong { limit });
    }
    // Nearly every name is printable ASCII without blanks, and a token may bring a thousand.
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    if text.chars().any(char::is_control) {
        return Err(Unsafe::ControlCharacter);
    }
    if text.chars().any(is_dangerous) {
        return Err(Unsafe::InvisibleCharacter);
    }
    if text.starts_with(char::is_whitespace) || text.ends_with(char::is_whitespace) {
        return Err(Unsafe::OuterWhiteSpace);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_names_as_they_are() {
        for name in ["ada", "ada@example.org", "Ada Lovelace", "a,b", "o=x/cn=y", "ünï", "u\u{308}", "日本", "-", "%00"]
        {
            assert_eq!(Username::new(name.to_owned()).unwrap().as_str(), name);
            assert_eq!(GroupName::new(name.to_owned()).unwrap().as_str(), name);
        }
        let name = |name: &str| Username::new(name.to_owned()).unwrap();
        assert_ne!(name("\u{fc}"), name("u\u{308}"), "nothing is normalised");
        assert!(Username::new("x".repeat(512)).is_ok());
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
            "ada\u{3164}",
            "ada\u{115f}",
            "a\u{206a}b",
            "a\u{34f}b",
            "a\u{ffa0}b",
            "a\u{1d173}b",
            "   ",
            &long,
        ] {
            assert!(matches!(Username::new(name.to_owned()), Err(Refusal::UsernameUnsafe(_))), "{name:?}");
            assert!(matches!(GroupName::new(name.to_owned()), Err(Refusal::GroupUnsafe(_))), "{name:?}");
        }
        assert_eq!(Username::new(String::new()), Err(Refusal::UsernameEmpty));
    }
    #[test]
    fn whom_we_admit_can_be_shown_as_he_is_and_nobody_else() {
        for character in '\0'..='\u{10ffff}' {
            let name = format!("a{character}b");
            assert_eq!(check(&name, MAX_NAME_BYTES).is_ok(), !crate::text::is_dangerous(character), "{character:?}");
        }
    }

    #[test]
    fn uids_and_extra_values_have_limits_of_their_own() {
        assert_eq!(check_uid(&"x".repeat(256)), Ok(()));
        assert_eq!(check_uid(&"x".repeat(257)), Err(Refusal::UidUnsafe(Unsafe::TooLong { limit: 256 })));
        assert_eq!(check_uid("a\nb"), Err(Refusal::UidUnsafe(Unsafe::ControlCharacter)));
        let extra = |key: &str, values: &[String]| check_extra(&BTreeMap::from([(key.to_owned(), values.to_vec())]));
        assert_eq!(extra("a.b/c", &["x".repeat(1024), String::new()]), Ok(()));
        for (value, problem) in [
            ("x".repeat(1025), Unsafe::TooLong { limit: 1024 }),
            (" x".to_owned(), Unsafe::OuterWhiteSpace),
            ("x\u{202e}y".to_owned(), Unsafe::InvisibleCharacter),
        ] {
            let refused = Err(Refusal::ExtraUnsafe { key: "a.b/c".to_owned(), problem });
            assert_eq!(extra("a.b/c", &["fine".to_owned(), value]), refused);
        }
        let refused = Refusal::ExtraUnsafe { key: "a\rb".to_owned(), problem: Unsafe::ControlCharacter };
        assert_eq!(extra("a\rb", &[]), Err(refused));
        assert_eq!(extra("k", &vec![String::new(); MAX_EXTRA - 1]), Ok(()));
        assert_eq!(extra("k", &vec![String::new(); MAX_EXTRA]), Err(Refusal::TooMuchExtra { found: MAX_EXTRA + 1 }));
    }
}
