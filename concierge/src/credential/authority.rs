//! A certificate authority whose key we hold: parsed once, signs many.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use rcgen::{KeyPair, PublicKeyData as _, SigningKey as _};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use thiserror::Error;
use x509_parser::{certificate::X509Certificate, extensions::ParsedExtension, prelude::FromDer as _};
use zeroize::Zeroizing;

use super::{
    assembly::{self, Frame, SerialBytes, assemble},
    der::{self, Writer},
    key::{ClientKey, ECDSA_WITH_SHA256, SignError},
    pem,
    subject::Subject,
};
use crate::time::UnixTime;

/// Longest certificate or key PEM of an authority taken, in bytes: an RSA-4096 certificate has about 2 KiB.
const MAX_PEM: usize = 16 * 1024;

/// Signature algorithms (RFC 5758 section 3.2, RFC 8410 section 3, RFC 4055 section 5), as whole `AlgorithmIdentifier`s.
const ECDSA_WITH_SHA384: &[u8] = &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03];
const ED25519: &[u8] = &[0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];
const RSA_WITH_SHA256: &[u8] =
    &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00];

/// A signing key with the certificate that makes it an authority.
pub struct CertificateAuthority {
    key: KeyPair,
    algorithm: &'static [u8],
    certificate: AuthorityCertificate,
}

/// The public half: enough to trust an authority, not to be it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorityCertificate {
    der: Vec<u8>,
    name: Vec<u8>,
    key_identifier: Vec<u8>,
    public_key: Vec<u8>,
    not_before: UnixTime,
    not_after: UnixTime,
}

/// A new authority as it is stored.
pub struct NewAuthority {
    /// PEM block `CERTIFICATE`.
    pub certificate_pem: String,
    /// PEM block `PRIVATE KEY`.
    pub key_pem: Zeroizing<String>,
}

/// Why a stored authority cannot sign. Whoever stored it is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AuthorityError {
    /// The certificate is of somebody else's key.
    #[error("private key does not belong to the certificate")]
    KeyDiffers,
    /// Not a key that we can sign with.
    #[error("private key must be PEM of EC P-256 or P-384, Ed25519, or RSA of at least 2048 bits")]
    KeyUnsuitable,
    /// The PEM block holds no certificate.
    #[error("certificate is not well-formed X.509")]
    Malformed,
    /// A leaf, or a CA that may not sign certificates of clients.
    #[error("certificate must be a certificate authority's that may sign client certificates")]
    NotAnAuthority,
    /// No PEM block `CERTIFICATE`, or more than one.
    #[error("expected exactly one PEM block \"CERTIFICATE\"")]
    NotPem,
}

// === impl CertificateAuthority ===

impl CertificateAuthority {
    /// Reads an authority from the two PEM texts of a TLS Secret.
    ///
    /// # Errors
    /// See [`AuthorityError`]. The period of validity is judged when it signs, not here.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, AuthorityError> {
        let certificate = AuthorityCertificate::from_pem(certificate)?;
        if key.len() > MAX_PEM {
            return Err(AuthorityError::KeyUnsuitable);
        }
        let key = KeyPair::from_pem(key).map_err(|_| AuthorityError::KeyUnsuitable)?;
        let algorithm = signature_algorithm(&key).ok_or(AuthorityError::KeyUnsuitable)?;
        // Compared without the algorithm: encoders differ about absent and NULL parameters, the key bits are the key.
        if certificate.key_bits().is_none_or(|bits| bits != key.der_bytes()) {
            return Err(AuthorityError::KeyDiffers);
        }
        Ok(Self { key, algorithm, certificate })
    }

    /// The public half.
    #[must_use]
    pub const fn certificate(&self) -> &AuthorityCertificate {
        &self.certificate
    }

    /// A client certificate's DER.
    pub(super) fn sign_client(
        &self,
        subject: &Subject,
        public_key: &[u8],
        serial: SerialBytes,
        not_before: UnixTime,
        not_after: UnixTime,
    ) -> Result<Vec<u8>, SignError> {
        self.sign(
            public_key,
            serial,
            not_before,
            not_after,
            |writer| subject.write(writer),
            |writer| {
                assembly::leaf_extensions(writer, assembly::CLIENT_AUTH, public_key, &self.certificate.key_identifier);
            },
        )
    }

    /// A server certificate's DER for these DNS names; the first is also its common name.
    pub(super) fn sign_server(
        &self,
        dns_names: &[String],
        public_key: &[u8],
        serial: SerialBytes,
        not_before: UnixTime,
        not_after: UnixTime,
    ) -> Result<Vec<u8>, SignError> {
        let subject =
            Subject { common_name: dns_names.first().cloned().unwrap_or_default(), organizations: Vec::new() };
        self.sign(
            public_key,
            serial,
            not_before,
            not_after,
            |writer| subject.write(writer),
            |writer| {
                assembly::leaf_extensions(writer, assembly::SERVER_AUTH, public_key, &self.certificate.key_identifier);
                writer.extension(assembly::SUBJECT_ALTERNATIVE_NAME, false, |value| {
                    value.nested(der::SEQUENCE, |names| {
                        for name in dns_names {
                            // dNSName [2] IA5String
                            names.element(0x82, name.as_bytes());
                        }
                    });
                });
            },
        )
    }

    fn sign(
        &self,
        public_key: &[u8],
        serial: SerialBytes,
        not_before: UnixTime,
        not_after: UnixTime,
        subject: impl FnOnce(&mut Writer),
        extensions: impl FnOnce(&mut Writer),
    ) -> Result<Vec<u8>, SignError> {
        let frame = Frame {
            serial: assembly::serial_number(serial),
            issuer: &self.certificate.name,
            algorithm: self.algorithm,
            not_before,
            not_after,
            public_key,
        };
        assemble(&frame, subject, extensions, |body| self.key.sign(body).map_err(|_| SignError))
    }
}

impl fmt::Debug for CertificateAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateAuthority").field("not_after", &self.certificate.not_after).finish_non_exhaustive()
    }
}

fn signature_algorithm(key: &KeyPair) -> Option<&'static [u8]> {
    if key.is_compatible(&rcgen::PKCS_ECDSA_P256_SHA256) {
        Some(ECDSA_WITH_SHA256)
    } else if key.is_compatible(&rcgen::PKCS_ECDSA_P384_SHA384) {
        Some(ECDSA_WITH_SHA384)
    } else if key.is_compatible(&rcgen::PKCS_ED25519) {
        Some(ED25519)
    } else if key.is_compatible(&rcgen::PKCS_RSA_SHA256) {
        Some(RSA_WITH_SHA256)
    } else {
        None
    }
}

// === impl AuthorityCertificate ===

impl AuthorityCertificate {
    /// Reads the certificate of an authority.
    ///
    /// # Errors
    /// See [`AuthorityError`].
    pub fn from_pem(pem: &str) -> Result<Self, AuthorityError> {
        if pem.len() > MAX_PEM {
            return Err(AuthorityError::NotPem);
        }
        let mut blocks = CertificateDer::pem_slice_iter(pem.as_bytes());
        let (Some(Ok(der)), None) = (blocks.next(), blocks.next()) else {
            return Err(AuthorityError::NotPem);
        };
        let Ok((rest, certificate)) = X509Certificate::from_der(&der) else {
            return Err(AuthorityError::Malformed);
        };
        if !rest.is_empty() {
            return Err(AuthorityError::Malformed);
        }
        if !may_sign(&certificate) {
            return Err(AuthorityError::NotAnAuthority);
        }
        let public_key = certificate.public_key().raw.to_vec();
        let key_identifier = certificate
            .iter_extensions()
            .find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(identifier) => Some(identifier.0.to_vec()),
                _ => None,
            })
            .unwrap_or_else(|| assembly::key_identifier(&public_key).to_vec());
        Ok(Self {
            name: certificate.subject().as_raw().to_vec(),
            key_identifier,
            public_key,
            not_before: UnixTime::from_secs(certificate.validity().not_before.timestamp()),
            not_after: UnixTime::from_secs(certificate.validity().not_after.timestamp()),
            der: der.to_vec(),
        })
    }

    /// First second of validity.
    #[must_use]
    pub const fn not_before(&self) -> UnixTime {
        self.not_before
    }

    /// Last second of validity.
    #[must_use]
    pub const fn not_after(&self) -> UnixTime {
        self.not_after
    }

    /// Whether it is in force.
    #[must_use]
    pub fn is_valid(&self, now: UnixTime) -> bool {
        self.not_before <= now && now < self.not_after
    }

    /// SHA-256 of its DER, hexadecimal: how people compare certificates.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        hex::encode(digest(&SHA256, &self.der))
    }

    /// The certificate alone, whatever text stood around it.
    #[must_use]
    pub fn pem(&self) -> String {
        pem::encode("CERTIFICATE", &self.der)
    }

    /// Whether `leaf` names this authority as its issuer, by name and by key.
    pub(super) fn issued(&self, leaf: &X509Certificate<'_>) -> bool {
        let names_our_key = leaf.iter_extensions().any(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(identifier) => {
                identifier.key_identifier.as_ref().is_some_and(|key| key.0 == self.key_identifier)
            }
            _ => false,
        });
        leaf.issuer().as_raw() == self.name && names_our_key
    }

    fn key_bits(&self) -> Option<Vec<u8>> {
        let (_, key) = x509_parser::x509::SubjectPublicKeyInfo::from_der(&self.public_key).ok()?;
        Some(key.subject_public_key.data.to_vec())
    }
}

/// CA:true; a key usage, if there is one, with keyCertSign; an extended key usage, if there is one, with clientAuth or
/// serverAuth or any, because Go nests those (`crypto/x509` checks them along the chain).
fn may_sign(certificate: &X509Certificate<'_>) -> bool {
    certificate.is_ca()
        && certificate.key_usage().is_ok_and(|usage| usage.is_none_or(|usage| usage.value.key_cert_sign()))
        && certificate.extended_key_usage().is_ok_and(|usage| {
            usage.is_none_or(|usage| usage.value.any || usage.value.client_auth || usage.value.server_auth)
        })
}

// === impl NewAuthority ===

impl NewAuthority {
    /// Makes a self-signed P-256 authority that may sign leaves only.
    ///
    /// # Errors
    /// [`SignError`] if the random source fails.
    pub fn generate(
        name: &str,
        serial: SerialBytes,
        not_before: UnixTime,
        not_after: UnixTime,
    ) -> Result<Self, SignError> {
        let key = ClientKey::generate()?;
        let subject = Subject { common_name: name.to_owned(), organizations: Vec::new() };
        let mut issuer = Writer::default();
        subject.write(&mut issuer);
        let issuer = issuer.into_bytes();
        let frame = Frame {
            serial: assembly::serial_number(serial),
            issuer: &issuer,
            algorithm: ECDSA_WITH_SHA256,
            not_before,
            not_after,
            public_key: key.public_key(),
        };
        let der = assemble(
            &frame,
            |writer| writer.raw(&issuer),
            |writer| authority_extensions(writer, &key),
            |body| key.sign(body),
        )?;
        Ok(Self { certificate_pem: pem::encode("CERTIFICATE", &der), key_pem: key.to_pem()? })
    }
}

impl fmt::Debug for NewAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewAuthority")
    }
}

fn authority_extensions(writer: &mut Writer, key: &ClientKey) {
    writer.extension(assembly::BASIC_CONSTRAINTS, true, |value| {
        // cA TRUE, pathLenConstraint 0: it signs leaves, never another authority.
        value.raw(&[0x30, 0x06, 0x01, 0x01, 0xff, 0x02, 0x01, 0x00]);
    });
    writer.extension(assembly::KEY_USAGE, true, |value| value.raw(assembly::KEY_CERT_SIGN));
    writer.extension(assembly::SUBJECT_KEY_IDENTIFIER, false, |value| {
        value.element(der::OCTET_STRING, &assembly::key_identifier(key.public_key()));
    });
}
