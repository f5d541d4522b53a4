//! From when to when certificates are valid: for the metrics, and by them for whoever must renew one in time.

use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::{runtime::metrics::Metrics, time::UnixTime};

/// RFC 5280 4.1.2.5: both ends belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    not_before: UnixTime,
    not_after: UnixTime,
}

impl Validity {
    /// Of a chain that is shown to others: it ends with the first of its certificates.
    #[must_use]
    pub fn of_chain(chain: &[CertificateDer<'_>]) -> Option<Self> {
        chain.iter().filter_map(Self::of).min_by_key(|validity| validity.not_after)
    }

    /// Of a PEM bundle of trusted certificates. During a rotation the old stands beside the new, so the bundle ends with
    /// the last of them.
    #[must_use]
    pub fn of_bundle(bundle: &[u8]) -> Option<Self> {
        let certificates = CertificateDer::pem_slice_iter(bundle).flatten();
        certificates.filter_map(|certificate| Self::of(&certificate)).max_by_key(|validity| validity.not_after)
    }

    /// Says it in the metrics, under the name of what the certificate is for; without one, the series goes.
    pub fn tell(validity: Option<Self>, certificate: &'static str, metrics: &Metrics) {
        match validity {
            Some(Self { not_before, not_after }) => metrics.certificate(certificate, not_before, not_after),
            None => metrics.forget_certificate(certificate),
        }
    }

    fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        let validity = certificate.validity();
        Some(Self {
            not_before: UnixTime::from_secs(validity.not_before.timestamp()),
            not_after: UnixTime::from_secs(validity.not_after.timestamp()),
        })
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn certificate(from: i32, to: i32) -> rcgen::Certificate {
        let mut params = CertificateParams::new(vec!["one.example".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
        params.self_signed(&KeyPair::generate().unwrap()).unwrap()
    }

    #[test]
    fn a_chain_ends_with_its_first_and_a_bundle_with_its_last() {
        let (old, new) = (certificate(2020, 2030), certificate(2025, 2040));
        let year = |validity: Option<Validity>| validity.unwrap().not_after.rfc3339_micros()[..4].to_owned();
        assert_eq!(year(Validity::of_chain(&[new.der().clone(), old.der().clone()])), "2030");
        let bundle = format!("{}not a certificate\n{}", old.pem(), new.pem());
        assert_eq!(year(Validity::of_bundle(bundle.as_bytes())), "2040");
        assert_eq!(Validity::of_bundle(b"garbage"), None);
        assert_eq!(Validity::of_chain(&[]), None);
    }

    #[test]
    fn a_certificate_that_is_gone_is_no_longer_told_of() {
        let metrics = Metrics::new();
        let shown = || metrics.encode(UnixTime::from_secs(0)).contains(r#"{certificate="serving"}"#);
        Validity::tell(Validity::of_chain(&[certificate(2020, 2030).der().clone()]), "serving", &metrics);
        assert!(shown());
        Validity::tell(None, "serving", &metrics);
        assert!(!shown());
    }
}
