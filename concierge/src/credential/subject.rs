//! The name in a client certificate: CN is the user, each O one group (kube-apiserver's `x509.go`).

use std::collections::BTreeSet;

use x509_parser::{
    oid_registry::{OID_X509_COMMON_NAME, OID_X509_ORGANIZATION_NAME},
    x509::X509Name,
};

use super::der::{self, Writer};
use crate::mapping::User;

/// id-at-commonName 2.5.4.3 and id-at-organizationName 2.5.4.10, as DER content.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];

/// Whom the strategies' probes ask certificates for: bound to nothing, so harmless in whoever's hands.
pub const PROBE_USER: &str = "latchkey-probe";

/// The subject of a client certificate. Also what a person is told to sign when the request named somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// CN: the user name.
    pub common_name: String,
    /// One O for each group, in the mapped order.
    pub organizations: Vec<String>,
}

// === impl Subject ===

impl Subject {
    /// The subject that stands for `user`.
    #[must_use]
    pub fn of(user: &User) -> Self {
        Self {
            common_name: user.username().as_str().to_owned(),
            organizations: user.groups().iter().map(|group| group.as_str().to_owned()).collect(),
        }
    }

    /// The subject of a probe: no rights, no groups.
    #[must_use]
    pub fn probe() -> Self {
        Self { common_name: PROBE_USER.to_owned(), organizations: Vec::new() }
    }

    /// Reads a subject that consists of exactly one CN and any number of O. `None` for anything else: a further
    /// attribute (a uid, an OU) would say more about the holder than the mapping did.
    #[must_use]
    pub(super) fn read(name: &X509Name<'_>) -> Option<Self> {
        let mut common_name = None;
        let mut organizations = Vec::new();
        for attribute in name.iter_attributes() {
            let value = attribute.as_str().ok()?.to_owned();
            if *attribute.attr_type() == OID_X509_COMMON_NAME {
                if common_name.replace(value).is_some() {
                    return None;
                }
            } else if *attribute.attr_type() == OID_X509_ORGANIZATION_NAME {
                organizations.push(value);
            } else {
                return None;
            }
        }
        Some(Self { common_name: common_name?, organizations })
    }

    /// Whether both name the same user in the same groups. The order of groups is left out: the cluster's signer writes
    /// all organisations into one SET, which DER sorts, and authorization does not look at the order.
    #[must_use]
    pub fn is_same_identity(&self, other: &Self) -> bool {
        self.common_name == other.common_name
            && self.organizations.iter().collect::<BTreeSet<_>>() == other.organizations.iter().collect::<BTreeSet<_>>()
    }

    /// Writes the name: one RDN for each group in order, then the user. kube-apiserver reports groups in the order of
    /// RDNs, so separate RDNs keep the mapped order where one multi-valued RDN would be sorted by DER.
    pub(super) fn write(&self, writer: &mut Writer) {
        writer.nested(der::SEQUENCE, |writer| {
            for group in &self.organizations {
                write_attribute(writer, ORGANIZATION, group);
            }
            write_attribute(writer, COMMON_NAME, &self.common_name);
        });
    }

    /// A generous guess at the encoded size, to allocate once.
    pub(super) fn size_hint(&self) -> usize {
        let overhead_of_an_rdn = 20;
        self.organizations.iter().map(|group| group.len() + overhead_of_an_rdn).sum::<usize>()
            + self.common_name.len()
            + overhead_of_an_rdn
    }
}

fn write_attribute(writer: &mut Writer, identifier: &[u8], value: &str) {
    writer.nested(der::SET, |writer| {
        writer.nested(der::SEQUENCE, |writer| {
            writer.element(der::OBJECT_IDENTIFIER, identifier);
            writer.element(der::UTF8_STRING, value.as_bytes());
        });
    });
}

#[cfg(test)]
mod tests {
    use x509_parser::prelude::FromDer as _;

    use super::*;

    fn subject(common_name: &str, organizations: &[&str]) -> Subject {
        Subject {
            common_name: common_name.to_owned(),
            organizations: organizations.iter().map(|&group| group.to_owned()).collect(),
        }
    }

    #[test]
    fn order_and_repetition_of_groups_do_not_make_another_identity() {
        let jane = subject("jane", &["b", "a"]);
        assert!(jane.is_same_identity(&subject("jane", &["a", "b"])));
        assert!(jane.is_same_identity(&subject("jane", &["a", "b", "a"])));
        assert!(!jane.is_same_identity(&subject("jane", &["a"])));
        assert!(!jane.is_same_identity(&subject("jane", &["a", "b", "c"])));
        assert!(!jane.is_same_identity(&subject("Jane", &["a", "b"])));
    }

    #[test]
    fn a_further_attribute_makes_a_subject_unreadable() {
        let organizational_unit = [0x55, 0x04, 0x0b];
        for further in [organizational_unit.as_slice(), COMMON_NAME] {
            let mut writer = Writer::default();
            writer.nested(der::SEQUENCE, |writer| {
                write_attribute(writer, COMMON_NAME, "jane");
                write_attribute(writer, further, "more");
            });
            let bytes = writer.into_bytes();
            let (_, name) = X509Name::from_der(&bytes).unwrap();
            assert_eq!(Subject::read(&name), None);
        }
    }

    #[test]
    fn an_empty_name_is_nobody() {
        let (_, name) = X509Name::from_der(&[0x30, 0x00]).unwrap();
        assert_eq!(Subject::read(&name), None);
    }
}
