//! Who is named in a record, and how: as is, by a keyed hash that still joins, or not at all.

use std::{borrow::Cow, fmt, str::FromStr, sync::Arc};

use aws_lc_rs::hmac;

use crate::text::clean;

/// How people are named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Names {
    /// As they are.
    #[default]
    Plain,
    /// As they are where a token of another cluster was shown, which somebody has to be asked about; hashed otherwise.
    Balanced,
    /// By a keyed hash: two records of one person still join, and only who has the key can find a person he knows.
    Hashed,
    /// Not at all.
    Off,
}

/// A text is none of the four words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected plain, balanced, hashed or off")]
pub struct NamesError;

/// The key of the hash. Whoever throws it away makes all names that were written with it nobody's.
#[derive(Clone)]
pub struct NameKey(Arc<hmac::Key>);

/// How people are named, with the key if there is one yet.
#[derive(Clone, Debug, Default)]
pub struct Privacy {
    names: Names,
    key: Option<NameKey>,
}

/// Longest name that is shown or hashed, in bytes: mapping accepts no longer username.
pub const MAX_NAME: usize = 512;

/// Characters of the hash that are shown: 128 bits, beyond any chance of two people meeting.
const SHOWN: usize = 32;

// === impl Names ===

impl Names {
    /// The word on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Balanced => "balanced",
            Self::Hashed => "hashed",
            Self::Off => "off",
        }
    }
}

impl FromStr for Names {
    type Err = NamesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Plain, Self::Balanced, Self::Hashed, Self::Off]
            .into_iter()
            .find(|names| names.as_str() == text)
            .ok_or(NamesError)
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl NameKey ===

impl NameKey {
    /// A key made of `secret`, which should be 32 random bytes.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, secret)))
    }

    fn hash(&self, field: &str, value: &str) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(field.as_bytes());
        context.update(&[0]);
        context.update(value.as_bytes());
        let mut shown = hex::encode(context.sign());
        shown.truncate(SHOWN);
        format!("hmac:{shown}")
    }
}

impl fmt::Debug for NameKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NameKey(..)")
    }
}

// === impl Privacy ===

impl Privacy {
    /// Everybody is named as is.
    #[must_use]
    pub fn plain() -> Self {
        Self::default()
    }

    /// People are named as `names` says. Without a key nobody is shown where a hash should be.
    #[must_use]
    pub const fn new(names: Names, key: Option<NameKey>) -> Self {
        Self { names, key }
    }

    /// How people are named.
    #[must_use]
    pub const fn names(&self) -> Names {
        self.names
    }

    /// How the name `value` of the kind `field` (`sub`, `username`) is shown; `None`: it is left out. A hash is
    /// `hmac:` and half of HMAC-SHA256 over field, a zero byte and the name as [`clean`] shows it, so the same name gives
    /// the same word wherever it is shown. `cross_cluster`: the name stands in a token of another cluster of ours.
    #[must_use]
    pub fn show(&self, field: &str, value: &str, cross_cluster: bool) -> Option<String> {
        self.shown(field, &clean(value, MAX_NAME), cross_cluster).map(Cow::into_owned)
    }

    /// The same for a name that is clean already.
    pub(super) fn shown<'a>(&self, field: &str, value: &'a str, cross_cluster: bool) -> Option<Cow<'a, str>> {
        if !self.hides(cross_cluster) {
            return Some(Cow::Borrowed(value));
        }
        let key = self.key.as_ref().filter(|_| self.names != Names::Off)?;
        Some(Cow::Owned(key.hash(field, value)))
    }

    /// Whether people are not named as they are: then a sentence that names one must not be shown either.
    #[must_use]
    pub const fn hides(&self, cross_cluster: bool) -> bool {
        match self.names {
            Names::Plain => false,
            Names::Balanced => !cross_cluster,
            Names::Hashed | Names::Off => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_hmac_over_field_and_name() {
        let privacy = Privacy::new(Names::Hashed, Some(NameKey::new(b"key")));
        // printf 'sub\0ada' | openssl dgst -sha256 -mac HMAC -macopt key:key
        assert_eq!(privacy.show("sub", "ada", true).as_deref(), Some("hmac:83107f94d54001960c288d397804a31f"));
        assert_ne!(privacy.show("username", "ada", true), privacy.show("sub", "ada", true));
    }

    #[test]
    fn each_setting_names_whom_it_says() {
        let key = || Some(NameKey::new(&[7; 32]));
        let hashed = |shown: Option<String>| shown.is_some_and(|shown| shown.starts_with("hmac:") && shown.len() == 37);
        let plain = Some("ada".to_owned());
        for (names, replayed, other) in [
            (Names::Plain, "plain", "plain"),
            (Names::Balanced, "plain", "hashed"),
            (Names::Hashed, "hashed", "hashed"),
            (Names::Off, "off", "off"),
        ] {
            let privacy = Privacy::new(names, key());
            for (cross_cluster, expected) in [(true, replayed), (false, other)] {
                let shown = privacy.show("sub", "ada", cross_cluster);
                match expected {
                    "plain" => assert_eq!(shown, plain),
                    "hashed" => assert!(hashed(shown)),
                    _ => assert_eq!(shown, None),
                }
                assert_eq!(privacy.hides(cross_cluster), expected != "plain");
            }
            assert_eq!(names.as_str().parse(), Ok(names));
        }
        assert_eq!("Plain".parse::<Names>(), Err(NamesError));
    }

    #[test]
    fn without_a_key_nobody_is_shown() {
        assert_eq!(Privacy::new(Names::Hashed, None).show("sub", "ada", false), None);
        assert_eq!(Privacy::new(Names::Balanced, None).show("sub", "ada", false), None);
        assert_eq!(Privacy::new(Names::Balanced, None).show("sub", "ada", true).as_deref(), Some("ada"));
    }

    #[test]
    fn a_key_cannot_be_printed() {
        assert!(!format!("{:?}", Privacy::new(Names::Off, Some(NameKey::new(b"secret")))).contains("secret"));
    }
}
