//! Puts an X.509 v3 certificate (RFC 5280 section 4.1) together and signs it.

use aws_lc_rs::digest::{SHA256, digest};

use super::der::{self, Writer};
use crate::time::UnixTime;

/// Random bytes for one serial number. Random, so that serials neither repeat nor tell how many there are.
pub type SerialBytes = [u8; 16];

/// Everything in a certificate but its extensions and its signature.
pub(super) struct Frame<'a> {
    pub(super) serial: [u8; 16],
    /// The issuer's subject, as DER.
    pub(super) issuer: &'a [u8],
    /// The signature's `AlgorithmIdentifier`, as DER.
    pub(super) algorithm: &'a [u8],
    pub(super) not_before: UnixTime,
    pub(super) not_after: UnixTime,
    /// `SubjectPublicKeyInfo`, as DER.
    pub(super) public_key: &'a [u8],
}

/// Object identifiers of the extensions used here, as DER content: id-ce (2.5.29) and its member.
pub(super) const AUTHORITY_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 0x23];
pub(super) const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
pub(super) const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
pub(super) const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
pub(super) const SUBJECT_ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];
pub(super) const SUBJECT_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 0x0e];

/// id-kp-clientAuth and id-kp-serverAuth (RFC 5280 section 4.2.1.12).
pub(super) const CLIENT_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];
pub(super) const SERVER_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];

/// Key usage bits (RFC 5280 section 4.2.1.3) as a whole BIT STRING: digitalSignature; keyCertSign.
pub(super) const DIGITAL_SIGNATURE: &[u8] = &[0x03, 0x02, 0x07, 0x80];
pub(super) const KEY_CERT_SIGN: &[u8] = &[0x03, 0x02, 0x02, 0x04];

/// A serial number as it goes into the certificate: positive and of constant length (RFC 5280 section 4.1.2.2 wants at
/// most 20 octets and no sign; CAs are asked for 64 random bits, these are 126).
pub(super) fn serial_number(random: SerialBytes) -> [u8; 16] {
    let mut serial = random;
    serial[0] = (serial[0] & 0x7f) | 0x40;
    serial
}

/// The certificate's DER: `frame`, `subject` and `extensions` in their places, signed by `sign`.
pub(super) fn assemble<E>(
    frame: &Frame<'_>,
    subject: impl FnOnce(&mut Writer),
    extensions: impl FnOnce(&mut Writer),
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<Vec<u8>, E> {
    let mut body = Writer::with_capacity(1024);
    body.nested(der::SEQUENCE, |body| {
        // version [0] v3(2)
        body.nested(0xa0, |version| version.element(der::INTEGER, &[2]));
        body.element(der::INTEGER, &frame.serial);
        body.raw(frame.algorithm);
        body.raw(frame.issuer);
        body.nested(der::SEQUENCE, |validity| {
            validity.time(frame.not_before);
            validity.time(frame.not_after);
        });
        subject(body);
        body.raw(frame.public_key);
        // extensions [3]
        body.nested(0xa3, |outer| outer.nested(der::SEQUENCE, extensions));
    });
    let body = body.into_bytes();
    let signature = sign(&body)?;
    let mut certificate = Writer::with_capacity(body.len() + signature.len() + 32);
    certificate.nested(der::SEQUENCE, |certificate| {
        certificate.raw(&body);
        certificate.raw(frame.algorithm);
        certificate.bits(&signature);
    });
    Ok(certificate.into_bytes())
}

/// Extensions of every leaf: not a CA, signs only handshakes, for `purpose`, both key identifiers.
pub(super) fn leaf_extensions(writer: &mut Writer, purpose: &[u8], public_key: &[u8], authority_key: &[u8]) {
    writer.extension(BASIC_CONSTRAINTS, true, |value| value.element(der::SEQUENCE, &[]));
    writer.extension(KEY_USAGE, true, |value| value.raw(DIGITAL_SIGNATURE));
    writer.extension(EXTENDED_KEY_USAGE, false, |value| {
        value.nested(der::SEQUENCE, |purposes| purposes.element(der::OBJECT_IDENTIFIER, purpose));
    });
    writer.extension(SUBJECT_KEY_IDENTIFIER, false, |value| {
        value.element(der::OCTET_STRING, &key_identifier(public_key));
    });
    writer.extension(AUTHORITY_KEY_IDENTIFIER, false, |value| {
        // keyIdentifier [0]
        value.nested(der::SEQUENCE, |identifier| identifier.element(0x80, authority_key));
    });
}

/// Key identifier by method 4 of RFC 7093 section 2, cut to the customary 160 bits: SHA-256 over the whole
/// `SubjectPublicKeyInfo`.
pub(super) fn key_identifier(public_key: &[u8]) -> [u8; 20] {
    let mut identifier = [0; 20];
    identifier.copy_from_slice(&digest(&SHA256, public_key).as_ref()[..20]);
    identifier
}
