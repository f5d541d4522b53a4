//! Client certificates: taken from the handshake as bytes, judged for each request against the CAs of that moment.

use std::{sync::Arc, time::Duration};

use rustls_pki_types::{
    CertificateDer, TrustAnchor, UnixTime as PkiTime,
    pem::{self, PemObject as _},
};
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::time::UnixTime;

/// The chain that a client showed, leaf first, in DER. The handshake proved possession of the leaf's key and nothing
/// more: whose word it is, is decided per request by [`CertificatePool::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientChain(Arc<[CertificateDer<'static>]>);

/// Certificate authorities that may vouch for clients.
#[derive(Clone, Debug)]
pub struct CertificatePool {
    anchors: Vec<TrustAnchor<'static>>,
}

/// A leaf whose chain leads to a CA of the pool, is in its time and may authenticate clients. Only
/// [`CertificatePool::verify`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedLeaf {
    common_name: String,
    organizations: Vec<String>,
    der: CertificateDer<'static>,
}

/// Why a chain vouches for nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// The leaf is not an X.509 certificate.
    #[error("the client certificate cannot be read")]
    Unreadable,
    /// No path to the pool, out of its time, wrong usage, weak key, bad signature.
    #[error("the client certificate is not accepted: {0}")]
    NotAccepted(webpki::Error),
}

/// A bundle of CA certificates was not usable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// Broken PEM.
    #[error("expected PEM certificates: {0}")]
    NotPem(String),
    /// PEM, but no certificate in it that can be a trust anchor.
    #[error("expected at least one CA certificate, found none that can be used")]
    Empty,
    /// More certificates than any cluster has.
    #[error("expected at most {MAX_ANCHORS} CA certificates")]
    TooMany,
}

/// Certificates in one bundle. kube-apiserver merges the bundles of all its replicas, rotations included: tens.
const MAX_ANCHORS: usize = 256;
/// Certificates a client may show. Real chains have one to three; path building is bounded inside webpki besides.
const MAX_CHAIN: usize = 8;

// === impl ClientChain ===

impl ClientChain {
    /// The chain as the TLS layer received it; `None` if the client showed none or an absurdly long one.
    #[must_use]
    pub fn new(certificates: &[CertificateDer<'_>]) -> Option<Self> {
        let fits = (1..=MAX_CHAIN).contains(&certificates.len());
        fits.then(|| Self(certificates.iter().map(|certificate| certificate.clone().into_owned()).collect()))
    }
}

// === impl CertificatePool ===

impl CertificatePool {
    /// Reads a PEM bundle. A certificate that cannot be a trust anchor is skipped, as in Go: the bundle is the
    /// cluster's, and one odd certificate in it must not lock everybody out.
    ///
    /// # Errors
    /// [`PoolError`] if the PEM is broken or nothing usable is in it.
    pub fn from_pem(bundle: &str) -> Result<Self, PoolError> {
        let mut anchors = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
            let certificate = certificate.map_err(|error: pem::Error| PoolError::NotPem(error.to_string()))?;
            if anchors.len() == MAX_ANCHORS {
                return Err(PoolError::TooMany);
            }
            anchors.extend(webpki::anchor_from_trusted_cert(&certificate).ok().map(|anchor| anchor.to_owned()));
        }
        if anchors.is_empty() { Err(PoolError::Empty) } else { Ok(Self { anchors }) }
    }

    /// Whether `chain` leads to this pool, is valid at `now` and may authenticate a client (RFC 5280 4.2.1.12: a leaf
    /// without the extension may be used for anything, as Go has it).
    ///
    /// # Errors
    /// [`ChainError`] says what is wrong with it.
    pub fn verify(&self, chain: &ClientChain, now: UnixTime) -> Result<VerifiedLeaf, ChainError> {
        let (leaf, intermediates) = chain.0.split_first().ok_or(ChainError::Unreadable)?;
        let certificate = EndEntityCert::try_from(leaf).map_err(|_| ChainError::Unreadable)?;
        let seconds = Duration::from_secs(u64::try_from(now.as_secs()).unwrap_or(0));
        certificate
            .verify_for_usage(
                webpki::ALL_VERIFICATION_ALGS,
                &self.anchors,
                intermediates,
                PkiTime::since_unix_epoch(seconds),
                KeyUsage::client_auth(),
                None,
                None,
            )
            .map_err(ChainError::NotAccepted)?;
        VerifiedLeaf::read(leaf)
    }
}

// === impl VerifiedLeaf ===

impl VerifiedLeaf {
    /// The subject's common name; empty if it has none.
    #[must_use]
    pub fn common_name(&self) -> &str {
        &self.common_name
    }

    /// The subject's organizations, in order.
    #[must_use]
    pub fn organizations(&self) -> &[String] {
        &self.organizations
    }

    /// The certificate's bytes, for its fingerprint.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    fn read(leaf: &CertificateDer<'static>) -> Result<Self, ChainError> {
        let (_, certificate) = X509Certificate::from_der(leaf).map_err(|_| ChainError::Unreadable)?;
        let subject = certificate.subject();
        // Go takes the last common name where there are several; a front proxy or a user has one.
        let common_name = subject.iter_common_name().last().and_then(|name| name.as_str().ok()).unwrap_or_default();
        let organizations = subject.iter_organization().filter_map(|name| name.as_str().ok()).map(str::to_owned);
        Ok(Self { common_name: common_name.to_owned(), organizations: organizations.collect(), der: leaf.clone() })
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd,
    };

    use super::*;

    struct Authority {
        pem: String,
        issuer: Issuer<'static, KeyPair>,
    }

    fn authority(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    fn leaf(by: &Authority, usages: &[ExtendedKeyUsagePurpose]) -> ClientChain {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "alice");
        params.distinguished_name.push(DnType::OrganizationName, "developers");
        params.extended_key_usages = usages.to_vec();
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2027, 1, 1);
        let key = KeyPair::generate().unwrap();
        ClientChain::new(&[params.signed_by(&key, &by.issuer).unwrap().der().clone()]).unwrap()
    }

    /// 2026-11-21T04:00:00Z
    const NOW: UnixTime = UnixTime::from_secs(1_795_233_600);

    #[test]
    fn a_leaf_of_the_pool_is_read() {
        let authority = authority("ours");
        let pool = CertificatePool::from_pem(&authority.pem).unwrap();
        let leaf = pool.verify(&leaf(&authority, &[ExtendedKeyUsagePurpose::ClientAuth]), NOW).unwrap();
        assert_eq!(leaf.common_name(), "alice");
        assert_eq!(leaf.organizations(), ["developers"]);
    }

    #[test]
    fn a_leaf_of_another_authority_of_the_same_name_is_not_accepted() {
        let pool = CertificatePool::from_pem(&authority("ours").pem).unwrap();
        let foreign = leaf(&authority("ours"), &[ExtendedKeyUsagePurpose::ClientAuth]);
        assert!(matches!(pool.verify(&foreign, NOW), Err(ChainError::NotAccepted(_))));
    }

    #[test]
    fn a_server_certificate_authenticates_no_client() {
        let authority = authority("ours");
        let pool = CertificatePool::from_pem(&authority.pem).unwrap();
        let server = leaf(&authority, &[ExtendedKeyUsagePurpose::ServerAuth]);
        assert!(matches!(pool.verify(&server, NOW), Err(ChainError::NotAccepted(_))));
    }

    #[test]
    fn a_leaf_outside_its_time_is_not_accepted() {
        let authority = authority("ours");
        let pool = CertificatePool::from_pem(&authority.pem).unwrap();
        let chain = leaf(&authority, &[ExtendedKeyUsagePurpose::ClientAuth]);
        let year = Duration::from_hours(24 * 365);
        assert!(matches!(
            pool.verify(&chain, NOW.plus(year)),
            Err(ChainError::NotAccepted(webpki::Error::CertExpired { .. }))
        ));
        assert!(matches!(
            pool.verify(&chain, NOW.minus(year)),
            Err(ChainError::NotAccepted(webpki::Error::CertNotValidYet { .. }))
        ));
    }

    #[test]
    fn bundles_without_a_certificate_are_refused() {
        assert_eq!(CertificatePool::from_pem("").unwrap_err(), PoolError::Empty);
        assert_eq!(CertificatePool::from_pem("hello").unwrap_err(), PoolError::Empty);
        let cut = "-----BEGIN CERTIFICATE-----\nMIIB\n";
        assert!(matches!(CertificatePool::from_pem(cut), Err(PoolError::NotPem(_))));
    }

    #[test]
    fn absurd_chains_are_as_none() {
        assert_eq!(ClientChain::new(&[]), None);
        assert_eq!(ClientChain::new(&vec![CertificateDer::from(vec![0]); MAX_CHAIN + 1]), None);
    }
}
