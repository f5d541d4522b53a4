//! The certificate authorities that the image trusts when it calls an identity provider.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

/// Where the concierge looks for them first, as every OpenSSL of Debian does. A cluster with an authority of its own mounts
/// its bundle over this file.
pub const PATH: &str = "etc/ssl/certs/ca-certificates.crt";

/// RFC 7468 section 2: the lines of the text are 64 characters.
const LINE: usize = 64;

/// Mozilla's list as the `webpki-root-certs` crate carries it, in PEM. From a crate and not from this machine, so that
/// `Cargo.lock` alone decides whom the image trusts, and two machines pack the same. (Licence of the list:
/// CDLA-Permissive-2.0.)
#[must_use]
pub fn bundle() -> String {
    let mut text =
        String::from("# Mozilla's certificate authorities for TLS servers, by the crate webpki-root-certs.\n");
    for certificate in TLS_SERVER_ROOT_CERTS {
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        let encoded = STANDARD.encode(certificate);
        let mut rest = &*encoded;
        while !rest.is_empty() {
            let (line, after) = rest.split_at(rest.len().min(LINE));
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{line}");
            rest = after;
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_authority_of_the_list_is_in_the_bundle_whole() {
        let text = bundle();
        let certificates = text.split("-----BEGIN CERTIFICATE-----\n").skip(1).map(|rest| {
            let (body, after) = rest.split_once("-----END CERTIFICATE-----\n").unwrap();
            assert!(after.is_empty() && body.lines().all(|line| line.len() <= LINE), "{rest}");
            STANDARD.decode(body.replace('\n', "")).unwrap()
        });
        let certificates: Vec<_> = certificates.collect();
        assert!(certificates.len() > 100, "{}", certificates.len());
        assert!(certificates.iter().eq(TLS_SERVER_ROOT_CERTS.iter().map(AsRef::<[u8]>::as_ref)));
    }
}
