//! A PKCS#10 certificate request for a key that never leaves this computer (RFC 2986).
//!
//! Written by hand because the subject has one organization for each group, in order, and `rcgen` keeps only one
//! attribute of a kind.

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use latchkey_crds::login::ExpectedSubject;
use zeroize::Zeroizing;

use crate::secret::Secret;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const UTF8_STRING: u8 = 0x0C;
const BIT_STRING: u8 = 0x03;
/// Context-specific, constructed, 0: the attributes of a request, none.
const NO_ATTRIBUTES: [u8; 2] = [0xA0, 0x00];
const VERSION_0: [u8; 3] = [0x02, 0x01, 0x00];
/// 2.5.4.3 (X.520).
const COMMON_NAME: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x03];
/// 2.5.4.10 (X.520).
const ORGANIZATION: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x0A];
/// 1.2.840.10045.4.3.2, without parameters (RFC 5758 section 3.2).
const ECDSA_WITH_SHA256: [u8; 10] = [0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02];

/// A fresh P-256 key. P-256 because every client reads it: Ed25519 is not known everywhere.
#[derive(Debug)]
pub(super) struct ClientKey {
    pair: EcdsaKeyPair,
    pem: Secret,
    public: Vec<u8>,
}

impl ClientKey {
    /// Makes a key.
    pub(super) fn generate() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)
            .expect("a P-256 key can always be made while the operating system gives random bytes");
        let document = pair.to_pkcs8v1().expect("a key just made can be written");
        let pem = Secret::from(pem("PRIVATE KEY", document.as_ref()));
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().expect("a key just made can be written");
        let public = public.as_ref().to_vec();
        Self { pair, pem, public }
    }

    /// PKCS#8 in PEM.
    pub(super) fn pem(&self) -> &Secret {
        &self.pem
    }

    /// Whether a certificate (PEM, leaf first) is for this key.
    pub(super) fn fits(&self, certificate: &str) -> bool {
        leaf(certificate).is_some_and(|der| der.windows(self.public.len()).any(|window| window == self.public))
    }

    /// The request in PEM, signed.
    pub(super) fn request(&self, subject: &ExpectedSubject) -> String {
        let information = wrap(SEQUENCE, &[&VERSION_0, &name(subject), &self.public, &NO_ATTRIBUTES]);
        let signature = self
            .pair
            .sign(&SystemRandom::new(), &information)
            .expect("P-256 signs any message while the operating system gives random bytes");
        let request = wrap(
            SEQUENCE,
            // The first byte of a bit string counts unused bits.
            &[&information, &wrap(SEQUENCE, &[&ECDSA_WITH_SHA256]), &wrap(BIT_STRING, &[&[0], signature.as_ref()])],
        );
        pem("CERTIFICATE REQUEST", &request)
    }
}

/// One relative name for each group, then the user: a set of several would be sorted, and the order of groups lost.
fn name(subject: &ExpectedSubject) -> Vec<u8> {
    let groups = subject.organizations.iter().map(|group| relative_name(&ORGANIZATION, group));
    let names: Vec<Vec<u8>> = groups.chain([relative_name(&COMMON_NAME, &subject.common_name)]).collect();
    wrap(SEQUENCE, &names.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

fn relative_name(kind: &[u8], value: &str) -> Vec<u8> {
    wrap(SET, &[&wrap(SEQUENCE, &[kind, &wrap(UTF8_STRING, &[value.as_bytes()])])])
}

/// Tag, length and content (X.690 section 8.1).
fn wrap(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut der = vec![tag];
    if let Some(short) = u8::try_from(length).ok().filter(|length| *length < 0x80) {
        der.push(short);
    } else {
        let bytes = length.to_be_bytes();
        let significant = &bytes[length.leading_zeros() as usize / 8..];
        der.push(0x80 | u8::try_from(significant.len()).expect("a length has at most eight bytes"));
        der.extend_from_slice(significant);
    }
    for part in parts {
        der.extend_from_slice(part);
    }
    der
}

/// RFC 7468: base64 in lines of 64.
fn pem(label: &str, der: &[u8]) -> String {
    let base64 = Zeroizing::new(BASE64_STANDARD.encode(der));
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in base64.as_bytes().chunks(64) {
        text.push_str(std::str::from_utf8(line).expect("base64 is ASCII"));
        text.push('\n');
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

fn leaf(certificates: &str) -> Option<Vec<u8>> {
    let (_, rest) = certificates.split_once("-----BEGIN CERTIFICATE-----")?;
    let (body, _) = rest.split_once("-----END CERTIFICATE-----")?;
    BASE64_STANDARD.decode(body.split_ascii_whitespace().collect::<String>()).ok()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, CertificateSigningRequestParams, DnType, Issuer};

    use super::*;

    fn subject(user: &str, groups: &[&str]) -> ExpectedSubject {
        ExpectedSubject {
            common_name: user.to_owned(),
            organizations: groups.iter().map(|&group| group.to_owned()).collect(),
        }
    }

    /// Another implementation reads it, checks its signature and makes a certificate of it.
    #[test]
    fn a_foreign_authority_can_sign_it() {
        let key = ClientKey::generate();
        let request =
            CertificateSigningRequestParams::from_pem(&key.request(&subject("jane", &["developers"]))).unwrap();
        assert_eq!(
            request.params.distinguished_name.get(&DnType::CommonName),
            Some(&rcgen::DnValue::Utf8String("jane".to_owned()))
        );
        let authority = rcgen::KeyPair::generate().unwrap();
        let issuer = Issuer::new(CertificateParams::default(), authority);
        let certificate = request.signed_by(&issuer).unwrap().pem();
        assert!(key.fits(&certificate));
        assert!(!ClientKey::generate().fits(&certificate));
        assert!(!key.fits("nonsense"));
    }

    #[test]
    fn groups_stand_in_their_order_and_the_user_last() {
        let name = name(&subject("u", &["b", "a"]));
        let place = |value: u8| name.iter().position(|byte| *byte == value).unwrap();
        assert!(place(b'b') < place(b'a') && place(b'a') < place(b'u'));
    }

    #[test]
    fn lengths_of_all_sizes_are_right() {
        let cases: [(usize, &[u8]); 5] = [
            (0, &[0x30, 0x00]),
            (127, &[0x30, 0x7F]),
            (128, &[0x30, 0x81, 0x80]),
            (255, &[0x30, 0x81, 0xFF]),
            (65536, &[0x30, 0x83, 0x01, 0x00, 0x00]),
        ];
        for (length, head) in cases {
            let der = wrap(SEQUENCE, &[&vec![0; length]]);
            assert_eq!(&der[..head.len()], head, "{length}");
            assert_eq!(der.len(), head.len() + length);
        }
    }

    #[test]
    fn thousands_of_groups_fit() {
        let groups: Vec<String> = (0..1000).map(|number| format!("group-{number}")).collect();
        let subject = ExpectedSubject { common_name: "jane".to_owned(), organizations: groups };
        let request = ClientKey::generate().request(&subject);
        // rcgen keeps the last organization only, but it has to read them all.
        assert!(CertificateSigningRequestParams::from_pem(&request).is_ok());
    }
}
