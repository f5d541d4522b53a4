//! The API groups, and the suffix that an installation may give them.

use std::fmt;
use std::str::FromStr;

/// The only API version of every group.
pub const VERSION: &str = "v1alpha1";

/// The suffix of an installation that sets none.
pub const DEFAULT_SUFFIX: &str = "latchkey.dev";

/// The category of every kind: `kubectl get latchkey` lists them all.
pub const CATEGORY: &str = "latchkey";

/// The category of the two authenticator kinds.
pub const AUTHENTICATOR_CATEGORY: &str = "latchkey-authenticators";

/// Longest suffix. A CRD's name is a DNS subdomain, 253 characters at most, and the longest of ours is
/// `webhookauthenticators.authentication.concierge.<suffix>`.
pub const MAX_SUFFIX_LENGTH: usize = 253 - "webhookauthenticators.authentication.concierge.".len();

/// Longest label of a DNS name (RFC 1035 2.3.4).
const MAX_LABEL_LENGTH: usize = 63;

/// The ending of every API group of one installation, such as `latchkey.dev`.
///
/// A DNS-1123 subdomain with at least one dot, as Pinniped demands. Several installations with different suffixes may
/// share a cluster; with `pinniped.dev` the stock Pinniped CLI needs no flag.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupSuffix(String);

/// Why a text is no group suffix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupSuffixError {
    /// A label is empty, too long, or has a character that DNS-1123 does not know.
    #[error(
        "a group suffix is made of lower-case letters, digits and inner hyphens between dots, found label {label:?}"
    )]
    Label {
        /// The first label that does not fit.
        label: String,
    },
    /// Only one label.
    #[error("a group suffix has at least one dot, such as latchkey.dev, found {found:?}")]
    NoDot {
        /// What was given.
        found: String,
    },
    /// Over [`MAX_SUFFIX_LENGTH`].
    #[error("a group suffix has at most {MAX_SUFFIX_LENGTH} characters, found {length}")]
    TooLong {
        /// Length of what was given, in bytes.
        length: usize,
    },
}

// === impl GroupSuffix ===

impl GroupSuffix {
    /// The group of `JWTAuthenticator` and `WebhookAuthenticator`.
    #[must_use]
    pub fn authentication(&self) -> String {
        self.group("authentication")
    }

    /// The group of `CredentialIssuer` and `FleetCluster`.
    #[must_use]
    pub fn config(&self) -> String {
        self.group("config")
    }

    /// The group of the virtual `TokenCredentialRequest`.
    #[must_use]
    pub fn login(&self) -> String {
        self.group("login")
    }

    /// The group of the virtual `WhoAmIRequest`.
    #[must_use]
    pub fn identity(&self) -> String {
        self.group("identity")
    }

    /// The group of what is recorded about refused tokens.
    #[must_use]
    pub fn audit(&self) -> String {
        self.group("audit")
    }

    /// `<group>/v1alpha1`, as `apiVersion` carries it.
    #[must_use]
    pub fn api_version(group: &str) -> String {
        format!("{group}/{VERSION}")
    }

    /// The suffix itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn group(&self, first: &str) -> String {
        format!("{first}.concierge.{}", self.0)
    }
}

impl Default for GroupSuffix {
    fn default() -> Self {
        Self(DEFAULT_SUFFIX.to_owned())
    }
}

impl fmt::Display for GroupSuffix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for GroupSuffix {
    type Err = GroupSuffixError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for GroupSuffix {
    type Error = GroupSuffixError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.len() > MAX_SUFFIX_LENGTH {
            return Err(GroupSuffixError::TooLong { length: text.len() });
        }
        if let Some(label) = text.split('.').find(|label| !is_dns_label(label)) {
            return Err(GroupSuffixError::Label { label: label.to_owned() });
        }
        if !text.contains('.') {
            return Err(GroupSuffixError::NoDot { found: text });
        }
        Ok(Self(text))
    }
}

/// A label of DNS-1123: letters, digits and hyphens, no hyphen at either end.
fn is_dns_label(label: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !label.is_empty()
        && label.len() <= MAX_LABEL_LENGTH
        && label.bytes().all(inner)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_groups_of_the_default_and_of_another_suffix() {
        let default = GroupSuffix::default();
        assert_eq!(default.authentication(), "authentication.concierge.latchkey.dev");
        assert_eq!(default.login(), "login.concierge.latchkey.dev");
        let pinniped: GroupSuffix = "pinniped.dev".parse().unwrap();
        assert_eq!(pinniped.config(), "config.concierge.pinniped.dev");
        assert_eq!(GroupSuffix::api_version(&pinniped.identity()), "identity.concierge.pinniped.dev/v1alpha1");
    }

    #[test]
    fn refuses_what_is_no_dns_subdomain_with_a_dot() {
        for (text, expected) in [
            ("", "found label \"\""),
            ("dev", "at least one dot"),
            ("latchkey.", "found label \"\""),
            (".dev", "found label \"\""),
            ("Latchkey.dev", "found label \"Latchkey\""),
            ("-a.dev", "found label \"-a\""),
            ("a-.dev", "found label \"a-\""),
            ("a b.dev", "found label \"a b\""),
            ("käse.dev", "found label \"käse\""),
        ] {
            let error = text.parse::<GroupSuffix>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
        assert!(format!("{}.dev", "a".repeat(64)).parse::<GroupSuffix>().is_err());
        assert!(format!("{}.dev", "a".repeat(63)).parse::<GroupSuffix>().is_ok());
    }

    #[test]
    fn the_longest_suffix_still_names_every_crd() {
        let longest = format!("{}aa", "a.".repeat((MAX_SUFFIX_LENGTH - 2) / 2));
        assert_eq!(longest.len(), MAX_SUFFIX_LENGTH);
        let suffix: GroupSuffix = longest.parse().unwrap();
        assert_eq!(format!("webhookauthenticators.{}", suffix.authentication()).len(), 253);
        assert_eq!(
            format!("{longest}a").parse::<GroupSuffix>(),
            Err(GroupSuffixError::TooLong { length: MAX_SUFFIX_LENGTH + 1 })
        );
    }
}
