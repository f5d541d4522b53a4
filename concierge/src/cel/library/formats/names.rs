//! Names as Kubernetes has them: DNS labels and subdomains (RFC 1035, RFC 1123), and the keys and values of labels.

use super::{Faults, unless};

/// Most octets of a DNS label (RFC 1035, 2.3.4), and of the name part of a label's key and of its value in Kubernetes.
const MAX_LABEL: usize = 63;

/// Most octets of a DNS name as it is written (RFC 1035, 2.3.4: 255 with the length octets of first label and root).
const MAX_SUBDOMAIN: usize = 253;

/// A prefix as if something were appended to it: a dash at its end is no fault. Kubernetes overwrites the dash and the
/// octet before it by a letter.
pub(super) fn completed(prefix: &str) -> String {
    match prefix.strip_suffix('-') {
        Some(rest) if !rest.is_empty() => {
            // Half of a character that is cut is as bad as the whole: neither belongs into a name.
            let kept = rest.as_bytes().split_last().map_or(&[][..], |(_, kept)| kept);
            format!("{}a", String::from_utf8_lossy(kept))
        }
        _ => prefix.to_owned(),
    }
}

fn is_lower_alphanumeric(octet: u8) -> bool {
    octet.is_ascii_lowercase() || octet.is_ascii_digit()
}

/// Lower-case letters, digits and inner dashes, without regard to length.
fn is_dns_label(text: &str) -> bool {
    let octets = text.as_bytes();
    octets.first().is_some_and(|octet| is_lower_alphanumeric(*octet))
        && octets.last().is_some_and(|octet| is_lower_alphanumeric(*octet))
        && octets.iter().all(|octet| is_lower_alphanumeric(*octet) || *octet == b'-')
}

fn is_dns_subdomain(text: &str) -> bool {
    text.split('.').all(is_dns_label)
}

/// Letters, digits and inner dashes, dots and underscores, without regard to length.
fn is_label_name(text: &str) -> bool {
    let octets = text.as_bytes();
    octets.first().is_some_and(u8::is_ascii_alphanumeric)
        && octets.last().is_some_and(u8::is_ascii_alphanumeric)
        && octets.iter().all(|octet| octet.is_ascii_alphanumeric() || b"-_.".contains(octet))
}

pub(super) fn dns_label(text: &str) -> Faults {
    let mut faults = unless(text.len() <= MAX_LABEL, "longer than 63 octets");
    if !is_dns_label(text) {
        faults.push(if is_dns_subdomain(text) {
            "a label has no dots"
        } else {
            "a label has lower-case letters and digits, and dashes between them"
        });
    }
    faults
}

pub(super) fn dns_subdomain(text: &str) -> Faults {
    let mut faults = unless(text.len() <= MAX_SUBDOMAIN, "longer than 253 octets");
    faults.extend(unless(
        is_dns_subdomain(text),
        "a subdomain has labels of lower-case letters and digits, with dashes between them, joined by dots",
    ));
    faults
}

pub(super) fn old_dns_label(text: &str) -> Faults {
    let mut faults = unless(text.len() <= MAX_LABEL, "longer than 63 octets");
    let begins = text.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
    faults.extend(unless(
        begins && is_dns_label(text),
        "a label begins with a lower-case letter and has lower-case letters and digits, and dashes between them",
    ));
    faults
}

/// A label's key: a name, with or without a subdomain and a slash before it.
pub(super) fn qualified_name(text: &str) -> Faults {
    let (prefix, name) = match text.split_once('/') {
        Some((_, name)) if name.contains('/') => {
            return vec!["a qualified name has one part, or two with a slash between them"];
        }
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    let mut faults = match prefix {
        Some("") => vec!["the part before the slash is empty"],
        Some(prefix) => dns_subdomain(prefix),
        None => Vec::new(),
    };
    if name.is_empty() {
        faults.push("the name is empty");
    } else if name.len() > MAX_LABEL {
        faults.push("the name is longer than 63 octets");
    }
    faults.extend(unless(
        is_label_name(name),
        "a name has letters and digits, and dashes, dots and underscores between them",
    ));
    faults
}

pub(super) fn label_value(text: &str) -> Faults {
    let mut faults = unless(text.len() <= MAX_LABEL, "longer than 63 octets");
    faults.extend(unless(
        text.is_empty() || is_label_name(text),
        "a label's value is empty or has letters and digits, and dashes, dots and underscores between them",
    ));
    faults
}
