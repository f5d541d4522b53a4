//! Certificates in force: minted by our own authority, or taken from the cluster's signer after a look at what it signed.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use thiserror::Error;
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use super::{
    Credential, StrategyKind,
    assembly::{self, SerialBytes},
    authority::CertificateAuthority,
    certificate_request::CertificateRequest,
    key::{ClientKey, SignError},
    lifetime::{BACKDATE, Lifetime},
    pem,
    subject::Subject,
};
use crate::{policy::Permit, time::UnixTime};

/// How much longer than asked for a signer's certificate may run from its first to its last second: signers back-date
/// (kube-controller-manager by 5 minutes), and their clock is not ours.
const SIGNER_SLACK: Duration = Duration::from_mins(10);

/// Why our own authority minted nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MintError {
    /// The authority has less than a minute left, or has not begun.
    #[error("signing authority is not in force")]
    AuthorityNotInForce,
    /// The cryptography library failed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// Why a certificate from the cluster's signer is not handed out. The signer is at fault, or whoever sits in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SignerFault {
    /// Not one PEM certificate.
    #[error("signer answered with something that is not one PEM certificate")]
    Malformed,
    /// For another key than the request's.
    #[error("signer certified another key than the one asked for")]
    OtherKey,
    /// For somebody else.
    #[error("signer certified another subject than the one asked for")]
    OtherSubject,
    /// A CA certificate, or not for clients.
    #[error("signer did not make a client certificate")]
    OtherPurpose,
    /// Already over.
    #[error("signer made a certificate that has already ended")]
    Over,
    /// Lives longer than it may.
    #[error("signer ignored the requested lifetime: certificate is valid for {0} s")]
    TooLong(u64),
}

/// Mints a client certificate by our own authority, for the key in `request` or, without one, for a new key.
///
/// # Errors
/// See [`MintError`].
pub fn mint(
    permit: Permit,
    authority: &CertificateAuthority,
    request: Option<&CertificateRequest>,
    lifetime: Lifetime,
    serial: SerialBytes,
    now: UnixTime,
) -> Result<Credential, MintError> {
    let subject = Subject::of(permit.user());
    // The permit is used up: one decision, one certificate.
    drop(permit);
    mint_for(&subject, authority, request, lifetime, serial, now)
}

/// Mints a certificate for the probe's user, who has no rights, to learn whether the API server trusts the authority.
///
/// # Errors
/// See [`MintError`].
pub fn mint_probe(
    authority: &CertificateAuthority,
    serial: SerialBytes,
    now: UnixTime,
) -> Result<Credential, MintError> {
    mint_for(&Subject::probe(), authority, None, Lifetime::shortest(), serial, now)
}

pub(super) fn mint_for(
    subject: &Subject,
    authority: &CertificateAuthority,
    request: Option<&CertificateRequest>,
    lifetime: Lifetime,
    serial: SerialBytes,
    now: UnixTime,
) -> Result<Credential, MintError> {
    let signer = authority.certificate();
    if now < signer.not_before() {
        return Err(MintError::AuthorityNotInForce);
    }
    let lifetime = lifetime.within_authority(now, signer.not_after()).ok_or(MintError::AuthorityNotInForce)?;
    // Whole seconds, so that what is said about the certificate is what stands in it.
    let now = UnixTime::from_secs(now.as_secs());
    let (not_before, not_after) = (now.minus(BACKDATE), now.plus(lifetime.length()));
    let made_key = if request.is_none() { Some(ClientKey::generate()?) } else { None };
    let public_key = match (&made_key, request) {
        (Some(key), _) => key.public_key(),
        (None, Some(request)) => request.public_key_der(),
        (None, None) => return Err(SignError.into()),
    };
    let der = authority.sign_client(subject, public_key, serial, not_before, not_after)?;
    Ok(Credential {
        certificate_pem: pem::encode("CERTIFICATE", &der),
        private_key_pem: made_key.as_ref().map(ClientKey::to_pem).transpose()?,
        not_before,
        not_after,
        serial: hex::encode(assembly::serial_number(serial)),
        sha256: hex::encode(digest(&SHA256, &der)),
        strategy: StrategyKind::ClientCertificateAuthority,
        clamped: lifetime.clamped(),
    })
}

/// Looks at what the cluster's signer made of `request` for `subject`, and takes it only if it is just that.
///
/// This look is also what makes two parsers agree: the signer read the request with Go's, we with ours, and the
/// certificate shows what the signer understood.
///
/// # Errors
/// See [`SignerFault`].
pub fn accept(
    certificate: &[u8],
    subject: &Subject,
    request: &CertificateRequest,
    lifetime: Lifetime,
    now: UnixTime,
) -> Result<Credential, SignerFault> {
    let mut blocks = CertificateDer::pem_slice_iter(certificate);
    // A signer may append its intermediates; the leaf comes first (certificates/v1 `status.certificate`).
    let der = blocks.next().and_then(Result::ok).ok_or(SignerFault::Malformed)?;
    let (_, leaf) = X509Certificate::from_der(&der).map_err(|_| SignerFault::Malformed)?;
    let named = Subject::read(leaf.subject()).ok_or(SignerFault::OtherSubject)?;
    if !named.is_same_identity(subject) {
        return Err(SignerFault::OtherSubject);
    }
    if leaf.public_key().raw != request.public_key_der() {
        return Err(SignerFault::OtherKey);
    }
    let for_clients = leaf
        .extended_key_usage()
        .is_ok_and(|usage| usage.is_some_and(|usage| usage.value.client_auth && !usage.value.any));
    if leaf.is_ca() || !for_clients {
        return Err(SignerFault::OtherPurpose);
    }
    let not_before = UnixTime::from_secs(leaf.validity().not_before.timestamp());
    let not_after = UnixTime::from_secs(leaf.validity().not_after.timestamp());
    if not_after <= now {
        return Err(SignerFault::Over);
    }
    let validity = not_after.since(not_before);
    if validity > lifetime.length() + SIGNER_SLACK {
        return Err(SignerFault::TooLong(validity.as_secs()));
    }
    Ok(Credential {
        certificate_pem: pem::encode("CERTIFICATE", &der),
        private_key_pem: None,
        not_before,
        not_after,
        serial: hex::encode(significant(leaf.raw_serial())),
        sha256: hex::encode(digest(&SHA256, &der)),
        strategy: StrategyKind::CertificateSigningRequestAPI,
        clamped: lifetime.clamped(),
    })
}

/// A serial number without the zero that DER puts before a high first bit: as others print it.
fn significant(serial: &[u8]) -> &[u8] {
    let zeroes = serial.iter().take_while(|byte| **byte == 0).count();
    &serial[zeroes.min(serial.len().saturating_sub(1))..]
}
