//! `spec.tls`: which certificate authorities an outside server is checked against (pinniped-wire 2.4).

use std::{fmt, sync::Arc};

use aws_lc_rs::digest::{Context, SHA256};
use base64::{Engine, engine::general_purpose::STANDARD};
use latchkey_crds::authentication::{CertificateAuthorityDataSourceKind, Tls};
use rustls_pki_types::{CertificateDer, pem::PemObject};

/// Certificate authorities, parsed. Two bundles are the same when they hold the same certificates in the same order,
/// whatever stands between them in the PEM text.
#[derive(Clone)]
pub struct Bundle {
    certificates: Arc<[CertificateDer<'static>]>,
    digest: [u8; 32],
}

/// Where the trust roots come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BundleSource {
    /// The container's own.
    System,
    /// The spec itself.
    Inline(Bundle),
    /// A key of an object in our own namespace.
    Object(BundleObject),
}

/// One key of a Secret or `ConfigMap`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BundleObject {
    /// Whether it is a Secret; else a `ConfigMap`.
    pub secret: bool,
    /// The object's name.
    pub name: String,
    /// The key in its data.
    pub key: String,
}

/// Why there are no trust roots.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsProblem {
    /// Inline and object both.
    #[error(
        "spec.tls is invalid: certificateAuthorityData and certificateAuthorityDataSource are both set: remove one of them"
    )]
    Both,
    /// A block that is no X.509 certificate, or not one that could sign others.
    #[error("spec.tls is invalid: {place}: certificate {position} cannot be used as a certificate authority: {detail}")]
    Certificate {
        /// Where the bundle stands.
        place: String,
        /// Counted from one.
        position: usize,
        /// What the parser says.
        detail: String,
    },
    /// The key is there and empty.
    #[error("spec.tls is invalid: {place} is empty: put a PEM bundle there")]
    Empty {
        /// Object and key.
        place: String,
    },
    /// There is no API to read it from.
    #[error(
        "spec.tls is invalid: {place} cannot be read without an API server: put the PEM bundle itself into certificateAuthorityData (base64 -w0 < ca.pem)"
    )]
    NoApi {
        /// The object.
        place: String,
    },
    /// No such object.
    #[error("spec.tls is invalid: {place} does not exist: create it, or correct certificateAuthorityDataSource")]
    NoObject {
        /// The object.
        place: String,
    },
    /// No such key.
    #[error("spec.tls is invalid: {place} does not exist in the object: correct certificateAuthorityDataSource.key")]
    NoKey {
        /// Object and key.
        place: String,
    },
    /// Not base64.
    #[error(
        "spec.tls is invalid: certificateAuthorityData is not base64: it must be base64 of a PEM bundle (base64 -w0 < ca.pem)"
    )]
    NotBase64,
    /// No PEM certificate in it.
    #[error("spec.tls is invalid: {place} holds no PEM certificate: it must begin with -----BEGIN CERTIFICATE-----")]
    NotPem {
        /// Where the bundle should stand.
        place: String,
    },
    /// A Secret that is meant for something else.
    #[error("spec.tls is invalid: {place} has type {found:?}, expected \"Opaque\" or \"kubernetes.io/tls\"")]
    SecretType {
        /// The Secret.
        place: String,
        /// Its type.
        found: String,
    },
}

impl TlsProblem {
    /// Whether it may go without a change of the spec: the object that it names is made, or filled, by somebody else.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::Empty { .. } | Self::NoKey { .. } | Self::NoObject { .. } => true,
            Self::Both
            | Self::Certificate { .. }
            | Self::NoApi { .. }
            | Self::NotBase64
            | Self::NotPem { .. }
            | Self::SecretType { .. } => false,
        }
    }
}

/// Types of Secrets that may hold a bundle. A service account's token Secret has a `ca.crt` too, and is not meant.
const SECRET_TYPES: [&str; 2] = ["Opaque", "kubernetes.io/tls"];

/// Reads `spec.tls`. An inline bundle is parsed here; an object has to be fetched first.
pub(super) fn source(tls: Option<&Tls>) -> Result<BundleSource, TlsProblem> {
    let inline = tls.and_then(|tls| tls.certificate_authority_data.as_deref()).filter(|data| !data.is_empty());
    let object = tls.and_then(|tls| tls.certificate_authority_data_source.as_ref());
    match (inline, object) {
        (None, None) => Ok(BundleSource::System),
        (Some(_), Some(_)) => Err(TlsProblem::Both),
        (Some(data), None) => {
            // As Go's decoder: line breaks inside base64 mean nothing.
            let data: String = data.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
            let pem = STANDARD.decode(data).map_err(|_| TlsProblem::NotBase64)?;
            Bundle::parse(&pem, "certificateAuthorityData").map(BundleSource::Inline)
        }
        (None, Some(object)) => Ok(BundleSource::Object(BundleObject {
            secret: match object.kind {
                CertificateAuthorityDataSourceKind::Secret => true,
                CertificateAuthorityDataSourceKind::ConfigMap => false,
            },
            name: object.name.clone(),
            key: object.key.clone(),
        })),
    }
}

// === impl BundleObject ===

impl BundleObject {
    /// The bundle, from what was found: `secret_type` is a Secret's type, `value` that of the key.
    ///
    /// # Errors
    /// When the Secret is of a wrong type, or the value is absent, empty or no PEM bundle.
    pub fn bundle(
        &self,
        namespace: &str,
        secret_type: Option<&str>,
        value: Option<&[u8]>,
    ) -> Result<Bundle, TlsProblem> {
        if let Some(found) = secret_type.filter(|found| !SECRET_TYPES.contains(found)) {
            return Err(TlsProblem::SecretType { place: self.place(namespace), found: found.to_owned() });
        }
        let place = format!("key {:?} of {}", self.key, self.place(namespace));
        match value {
            None => Err(TlsProblem::NoKey { place }),
            Some([]) => Err(TlsProblem::Empty { place }),
            Some(pem) => Bundle::parse(pem, &place),
        }
    }

    /// What to say when there is no such object.
    #[must_use]
    pub fn missing(&self, namespace: &str) -> TlsProblem {
        TlsProblem::NoObject { place: self.place(namespace) }
    }

    /// What to say when there is no API that could have it.
    #[must_use]
    pub fn out_of_reach(&self, namespace: &str) -> TlsProblem {
        TlsProblem::NoApi { place: self.place(namespace) }
    }

    /// Kind, namespace and name, for people.
    #[must_use]
    pub fn place(&self, namespace: &str) -> String {
        format!("{} {namespace}/{}", if self.secret { "Secret" } else { "ConfigMap" }, self.name)
    }
}

// === impl Bundle ===

impl Bundle {
    /// Reads all certificates of a PEM bundle; other blocks and text between them are passed over.
    fn parse(pem: &[u8], place: &str) -> Result<Self, TlsProblem> {
        let not_pem = || TlsProblem::NotPem { place: place.to_owned() };
        let certificates: Vec<_> =
            CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|_| not_pem())?;
        if certificates.is_empty() {
            return Err(not_pem());
        }
        let mut hash = Context::new(&SHA256);
        for (position, certificate) in certificates.iter().enumerate() {
            if let Err(error) = webpki::anchor_from_trusted_cert(certificate) {
                let (place, position) = (place.to_owned(), position + 1);
                return Err(TlsProblem::Certificate { place, position, detail: error.to_string() });
            }
            hash.update(&(certificate.len() as u64).to_be_bytes());
            hash.update(certificate);
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(hash.finish().as_ref());
        Ok(Self { certificates: certificates.into(), digest })
    }

    /// The certificates; at least one.
    #[must_use]
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }

    /// SHA-256 over the certificates: equal bundles have equal digests.
    #[must_use]
    pub const fn digest(&self) -> [u8; 32] {
        self.digest
    }
}

impl PartialEq for Bundle {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Bundle {}

impl fmt::Debug for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bundle({} certificates)", self.certificates.len())
    }
}

#[cfg(test)]
mod tests {
    use latchkey_crds::authentication::CertificateAuthorityDataSource;
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn pem() -> String {
        let key = KeyPair::generate().unwrap();
        CertificateParams::new(["ca".to_owned()]).unwrap().self_signed(&key).unwrap().pem()
    }

    fn inline(data: &str) -> Result<BundleSource, TlsProblem> {
        source(Some(&Tls { certificate_authority_data: Some(data.to_owned()), ..Tls::default() }))
    }

    fn object() -> BundleObject {
        BundleObject { secret: true, name: "idp-ca".to_owned(), key: "ca.crt".to_owned() }
    }

    #[test]
    fn nothing_or_an_empty_string_means_the_systems_roots() {
        assert_eq!(source(None), Ok(BundleSource::System));
        assert_eq!(source(Some(&Tls::default())), Ok(BundleSource::System));
        assert_eq!(inline(""), Ok(BundleSource::System));
    }

    #[test]
    fn an_inline_bundle_is_base64_of_pem_and_line_breaks_change_nothing() {
        let (one, two) = (pem(), pem());
        let bundle = |text: &str| match inline(text) {
            Ok(BundleSource::Inline(bundle)) => bundle,
            other => panic!("{other:?}"),
        };
        let plain = bundle(&STANDARD.encode(format!("{one}{two}")));
        assert_eq!(plain.certificates().len(), 2);
        let mut wrapped = STANDARD.encode(format!("# our CA\n{one}\n\n{two}"));
        wrapped.insert_str(40, "\r\n");
        assert_eq!(bundle(&wrapped), plain);
        assert_ne!(bundle(&STANDARD.encode(one)), plain);
    }

    #[test]
    fn a_bundle_that_cannot_work_says_why() {
        assert_eq!(inline("%%%"), Err(TlsProblem::NotBase64));
        let not_pem = TlsProblem::NotPem { place: "certificateAuthorityData".to_owned() };
        assert_eq!(inline(&STANDARD.encode("not pem")), Err(not_pem.clone()));
        // Plain PEM is the common mistake: its dashes are no base64.
        assert_eq!(inline(&pem()), Err(TlsProblem::NotBase64));
        let key = KeyPair::generate().unwrap().serialize_pem();
        assert_eq!(inline(&STANDARD.encode(key)), Err(not_pem));
        let rubbish = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let mixed = inline(&STANDARD.encode(format!("{}{rubbish}", pem())));
        assert!(matches!(mixed, Err(TlsProblem::Certificate { position: 2, .. })), "{mixed:?}");
    }

    #[test]
    fn inline_and_object_together_are_refused() {
        let tls = Tls {
            certificate_authority_data: Some(STANDARD.encode(pem())),
            certificate_authority_data_source: Some(CertificateAuthorityDataSource {
                kind: CertificateAuthorityDataSourceKind::ConfigMap,
                name: "n".to_owned(),
                key: "k".to_owned(),
            }),
        };
        assert_eq!(source(Some(&tls)), Err(TlsProblem::Both));
        let tls = Tls { certificate_authority_data: Some(String::new()), ..tls };
        let expected = BundleObject { secret: false, name: "n".to_owned(), key: "k".to_owned() };
        assert_eq!(source(Some(&tls)), Ok(BundleSource::Object(expected)));
    }

    #[test]
    fn an_object_fails_in_its_own_ways_and_each_names_it() {
        let pem = pem();
        let cases: [(Result<_, _>, &str); 6] = [
            (Err(object().missing("latchkey")), "Secret latchkey/idp-ca does not exist:"),
            (
                object().bundle("latchkey", Some("Opaque"), None),
                "key \"ca.crt\" of Secret latchkey/idp-ca does not exist",
            ),
            (
                object().bundle("latchkey", Some("Opaque"), Some(b"")),
                "key \"ca.crt\" of Secret latchkey/idp-ca is empty",
            ),
            (
                object().bundle("latchkey", Some("kubernetes.io/tls"), Some(b"x")),
                "key \"ca.crt\" of Secret latchkey/idp-ca holds no PEM certificate",
            ),
            (
                object().bundle("latchkey", Some("kubernetes.io/service-account-token"), Some(pem.as_bytes())),
                "Secret latchkey/idp-ca has type \"kubernetes.io/service-account-token\"",
            ),
            (
                BundleObject { secret: false, ..object() }.bundle("latchkey", None, None),
                "key \"ca.crt\" of ConfigMap latchkey/idp-ca does not exist",
            ),
        ];
        for (result, expected) in cases {
            let message = result.unwrap_err().to_string();
            assert!(message.starts_with("spec.tls is invalid: ") && message.contains(expected), "{message}");
        }
        for secret_type in [Some("Opaque"), Some("kubernetes.io/tls"), None] {
            assert!(object().bundle("latchkey", secret_type, Some(pem.as_bytes())).is_ok());
        }
    }
}
