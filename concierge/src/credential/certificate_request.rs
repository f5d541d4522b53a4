//! PKCS#10 (RFC 2986): what a laptop sends so that its private key never leaves it.

use rustls_pki_types::{CertificateSigningRequestDer, pem::PemObject as _};
use thiserror::Error;
use x509_parser::{
    certification_request::X509CertificationRequest,
    extensions::ParsedExtension,
    oid_registry::{
        OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_PKCS1_RSAENCRYPTION, OID_PKCS1_SHA256WITHRSA,
        OID_PKCS1_SHA384WITHRSA, OID_PKCS1_SHA512WITHRSA, OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384,
        OID_SIG_ED25519,
    },
    prelude::FromDer as _,
    public_key::PublicKey,
    x509::{AlgorithmIdentifier, SubjectPublicKeyInfo},
};

use super::{
    der::{self, Writer},
    key::{ClientKey, SignError},
    pem,
    subject::Subject,
};

/// Longest PEM taken, in bytes: the exchange's body limit of 64 KiB less a token of 16 KiB. A subject with hundreds of
/// groups fits.
pub const MAX_PEM: usize = 48 * 1024;

/// The RSA moduli taken, in bits: NIST's floor, and the ceiling above which a verification costs too much.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// A certificate request whose sender has proved to hold the private key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateRequest {
    der: Vec<u8>,
    public_key: Vec<u8>,
    subject: Option<Subject>,
}

/// Why a certificate request is refused. The sender is at fault in each case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CertificateRequestError {
    /// Names for hosts in a certificate for a person: the cluster's signer would copy them.
    #[error("certificate request must not ask for subject alternative names")]
    AlternativeNames,
    /// The key is of a kind or size that we certify nobody for.
    #[error("certificate request must carry an EC P-256 or P-384, Ed25519, or RSA key of 2048 to 4096 bits")]
    KeyUnsuitable,
    /// PEM around something else.
    #[error("certificate request is not well-formed PKCS#10")]
    Malformed,
    /// No PEM block `CERTIFICATE REQUEST`, or more than one.
    #[error("expected exactly one PEM block \"CERTIFICATE REQUEST\"")]
    NotPem,
    /// The signature over the request was not made by the key in it.
    #[error("certificate request is not signed by its own key")]
    SignatureInvalid,
    /// More than [`MAX_PEM`] bytes.
    #[error("certificate request is {0} bytes long, expected at most {MAX_PEM}")]
    TooLarge(usize),
}

// === impl CertificateRequest ===

impl CertificateRequest {
    /// Reads one PEM request and verifies its self-signature, which is the proof of possession (RFC 2986 section 3).
    ///
    /// # Errors
    /// See [`CertificateRequestError`].
    pub fn parse(pem: &str) -> Result<Self, CertificateRequestError> {
        if pem.len() > MAX_PEM {
            return Err(CertificateRequestError::TooLarge(pem.len()));
        }
        let mut blocks = CertificateSigningRequestDer::pem_slice_iter(pem.as_bytes());
        let (Some(Ok(der)), None) = (blocks.next(), blocks.next()) else {
            return Err(CertificateRequestError::NotPem);
        };
        Self::from_der(&der)
    }

    fn from_der(der: &[u8]) -> Result<Self, CertificateRequestError> {
        let (rest, request) =
            X509CertificationRequest::from_der(der).map_err(|_| CertificateRequestError::Malformed)?;
        if !rest.is_empty() {
            return Err(CertificateRequestError::Malformed);
        }
        let info = &request.certification_request_info;
        if !is_suitable(&info.subject_pki) || !is_allowed(&request.signature_algorithm) {
            return Err(CertificateRequestError::KeyUnsuitable);
        }
        request.verify_signature().map_err(|_| CertificateRequestError::SignatureInvalid)?;
        let asks_for_names = request
            .requested_extensions()
            .into_iter()
            .flatten()
            .any(|extension| matches!(extension, ParsedExtension::SubjectAlternativeName(_)));
        if asks_for_names {
            return Err(CertificateRequestError::AlternativeNames);
        }
        Ok(Self { der: der.to_vec(), public_key: info.subject_pki.raw.to_vec(), subject: Subject::read(&info.subject) })
    }

    /// A request for `subject`, signed by a key of ours, for clients that send none.
    ///
    /// # Errors
    /// [`SignError`] if the cryptography library fails to sign, which it does not for a key it made.
    pub fn build(subject: &Subject, key: &ClientKey) -> Result<Self, SignError> {
        let mut info = Writer::with_capacity(subject.size_hint() + 128);
        info.nested(der::SEQUENCE, |info| {
            info.element(der::INTEGER, &[0]);
            subject.write(info);
            info.raw(key.public_key());
            // attributes [0], empty
            info.element(0xa0, &[]);
        });
        let info = info.into_bytes();
        let signature = key.sign(&info)?;
        let mut request = Writer::with_capacity(info.len() + 128);
        request.nested(der::SEQUENCE, |request| {
            request.raw(&info);
            request.raw(super::key::ECDSA_WITH_SHA256);
            request.bits(&signature);
        });
        Ok(Self { der: request.into_bytes(), public_key: key.public_key().to_vec(), subject: Some(subject.clone()) })
    }

    /// Whom the request names: one CN and its O. `None` if it names nobody, or says more than that.
    #[must_use]
    pub const fn subject(&self) -> Option<&Subject> {
        self.subject.as_ref()
    }

    /// The `SubjectPublicKeyInfo` (RFC 5280 section 4.1.2.7) as DER.
    #[must_use]
    pub fn public_key_der(&self) -> &[u8] {
        &self.public_key
    }

    /// The request as PEM, written anew from its DER: nothing that stood around the block goes further.
    #[must_use]
    pub fn pem(&self) -> String {
        pem::encode("CERTIFICATE REQUEST", &self.der)
    }
}

fn is_suitable(key: &SubjectPublicKeyInfo<'_>) -> bool {
    let algorithm = &key.algorithm.algorithm;
    if *algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY {
        let curve = key.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
        curve.is_some_and(|curve| curve == OID_EC_P256 || curve == OID_NIST_EC_P384)
    } else if *algorithm == OID_PKCS1_RSAENCRYPTION {
        matches!(key.parsed(), Ok(PublicKey::RSA(rsa)) if RSA_BITS.contains(&bits(rsa.modulus)))
    } else {
        *algorithm == OID_SIG_ED25519
    }
}

/// Bits of a big-endian number, leading zeroes left out.
fn bits(number: &[u8]) -> usize {
    let significant = number.iter().skip_while(|byte| **byte == 0);
    significant.clone().next().map_or(0, |first| {
        let leading_zeroes = first.leading_zeros().try_into().unwrap_or(0);
        significant.count() * 8 - leading_zeroes
    })
}

/// SHA-1 is not among them, although the library would verify it.
fn is_allowed(algorithm: &AlgorithmIdentifier<'_>) -> bool {
    [
        OID_SIG_ECDSA_WITH_SHA256,
        OID_SIG_ECDSA_WITH_SHA384,
        OID_SIG_ED25519,
        OID_PKCS1_SHA256WITHRSA,
        OID_PKCS1_SHA384WITHRSA,
        OID_PKCS1_SHA512WITHRSA,
    ]
    .contains(&algorithm.algorithm)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn request_by(key: &KeyPair, alternative_name: Option<&str>) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "jane");
        params.distinguished_name.push(DnType::OrganizationName, "developers");
        if let Some(name) = alternative_name {
            params.subject_alt_names.push(SanType::DnsName(name.try_into().unwrap()));
        }
        params.serialize_request(key).unwrap().pem().unwrap()
    }

    #[test]
    fn reads_requests_of_every_allowed_kind_of_key() {
        for algorithm in [
            &rcgen::PKCS_ECDSA_P256_SHA256,
            &rcgen::PKCS_ECDSA_P384_SHA384,
            &rcgen::PKCS_ED25519,
            &rcgen::PKCS_RSA_SHA256,
        ] {
            let key = KeyPair::generate_for(algorithm).unwrap();
            let request = CertificateRequest::parse(&request_by(&key, None)).unwrap();
            let jane = Subject { common_name: "jane".into(), organizations: vec!["developers".into()] };
            assert_eq!(request.subject(), Some(&jane));
            assert_eq!(request.public_key_der(), rcgen::PublicKeyData::subject_public_key_info(&key));
            assert_eq!(CertificateRequest::parse(&request.pem()), Ok(request));
        }
    }

    #[test]
    fn refuses_a_curve_that_we_do_not_certify() {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).unwrap();
        assert_eq!(CertificateRequest::parse(&request_by(&key, None)), Err(CertificateRequestError::KeyUnsuitable));
    }

    #[test]
    fn refuses_a_request_for_host_names() {
        let key = KeyPair::generate().unwrap();
        assert_eq!(
            CertificateRequest::parse(&request_by(&key, Some("kubernetes.default.svc"))),
            Err(CertificateRequestError::AlternativeNames)
        );
    }

    #[test]
    fn refuses_a_request_whose_subject_was_changed_after_signing() {
        let key = ClientKey::generate().unwrap();
        let jane = Subject { common_name: "jane".into(), organizations: vec![] };
        let mut der = CertificateRequest::build(&jane, &key).unwrap().der;
        let at = der.windows(4).position(|window| window == b"jane").unwrap();
        der[at..at + 4].copy_from_slice(b"joan");
        assert_eq!(CertificateRequest::from_der(&der), Err(CertificateRequestError::SignatureInvalid));
    }

    #[test]
    fn refuses_bytes_after_the_request() {
        let key = ClientKey::generate().unwrap();
        let mut der = CertificateRequest::build(&Subject::probe(), &key).unwrap().der;
        der.push(0);
        assert_eq!(CertificateRequest::from_der(&der), Err(CertificateRequestError::Malformed));
    }

    #[test]
    fn refuses_what_is_not_one_pem_block_of_the_right_kind() {
        let key = ClientKey::generate().unwrap();
        let one = CertificateRequest::build(&Subject::probe(), &key).unwrap().pem();
        for text in [
            String::new(),
            "hello".to_owned(),
            format!("{one}{one}"),
            one.replace("CERTIFICATE REQUEST", "CERTIFICATE"),
            one.replace('A', "?"),
        ] {
            assert_eq!(CertificateRequest::parse(&text), Err(CertificateRequestError::NotPem), "{text}");
        }
        let nonsense = pem::encode("CERTIFICATE REQUEST", b"nonsense");
        assert_eq!(CertificateRequest::parse(&nonsense), Err(CertificateRequestError::Malformed));
    }

    #[test]
    fn refuses_a_huge_request_before_looking_into_it() {
        assert_eq!(
            CertificateRequest::parse(&"A".repeat(MAX_PEM + 1)),
            Err(CertificateRequestError::TooLarge(MAX_PEM + 1))
        );
    }

    #[test]
    fn what_we_build_is_read_back_with_every_group_in_order() {
        let key = ClientKey::generate().unwrap();
        let subject = Subject {
            common_name: "Ж @ corp, O=x".into(),
            organizations: vec!["zeta".into(), "alpha".into(), "a+b=c".into()],
        };
        let built = CertificateRequest::build(&subject, &key).unwrap();
        assert_eq!(CertificateRequest::parse(&built.pem()).unwrap(), built);
        assert_eq!(built.subject(), Some(&subject));
    }

    #[test]
    fn counts_the_bits_of_a_modulus() {
        for (number, expected) in [(&[][..], 0), (&[0, 0], 0), (&[0, 0x80, 0], 16), (&[1], 1), (&[0x7f, 0xff], 15)] {
            assert_eq!(bits(number), expected, "{number:?}");
        }
    }
}
