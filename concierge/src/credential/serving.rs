//! The certificate of our own listener: how it is made, and when a new one is due.

use std::time::Duration;

use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, ParsedExtension},
    prelude::FromDer as _,
};
use zeroize::Zeroizing;

use super::{
    assembly::SerialBytes,
    authority::{AuthorityCertificate, CertificateAuthority},
    key::{ClientKey, SignError},
    lifetime::BACKDATE,
    pem,
};
use crate::time::UnixTime;

/// How long a serving certificate lives. The API server reads its authority anew whenever it changes, so short is free.
const LIFE: Duration = Duration::from_hours(24 * 30);

/// A server certificate and its key.
pub struct ServerCertificate {
    /// PEM block `CERTIFICATE`: the leaf.
    pub certificate_pem: String,
    /// PEM block `PRIVATE KEY`.
    pub key_pem: Zeroizing<String>,
}

/// Why a new serving certificate is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeafDue {
    /// There is none, or it cannot be read.
    Absent,
    /// Two thirds of its life are over, or it has not begun.
    Age,
    /// It is for other names.
    Names,
    /// Another authority signed it.
    OtherAuthority,
}

/// Makes a serving certificate with a new key, for 30 days or as long as its authority lives.
///
/// # Errors
/// [`SignError`] if the cryptography library fails.
pub fn serve(
    authority: &CertificateAuthority,
    dns_names: &[String],
    serial: SerialBytes,
    now: UnixTime,
) -> Result<ServerCertificate, SignError> {
    let key = ClientKey::generate()?;
    let not_after = now.plus(LIFE).min(authority.certificate().not_after());
    let der = authority.sign_server(dns_names, key.public_key(), serial, now.minus(BACKDATE), not_after)?;
    Ok(ServerCertificate { certificate_pem: pem::encode("CERTIFICATE", &der), key_pem: key.to_pem()? })
}

/// Whether the serving certificate `pem` must be replaced at `now`, and why; else when it must.
///
/// # Errors
/// The reason, when it is due.
pub fn leaf_due(
    pem: &str,
    authority: &AuthorityCertificate,
    dns_names: &[String],
    now: UnixTime,
) -> Result<UnixTime, LeafDue> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| LeafDue::Absent)?;
    let (_, leaf) = X509Certificate::from_der(&der).map_err(|_| LeafDue::Absent)?;
    if !authority.issued(&leaf) {
        return Err(LeafDue::OtherAuthority);
    }
    let names: Vec<&str> = leaf
        .iter_extensions()
        .filter_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
            _ => None,
        })
        .flatten()
        .filter_map(|name| if let GeneralName::DNSName(name) = name { Some(*name) } else { None })
        .collect();
    if names != dns_names {
        return Err(LeafDue::Names);
    }
    let not_before = UnixTime::from_secs(leaf.validity().not_before.timestamp());
    let not_after = UnixTime::from_secs(leaf.validity().not_after.timestamp());
    let renewal = not_before.plus(not_after.since(not_before) * 2 / 3);
    // Not begun: it was made by a replica whose clock is far ahead, and kube-apiserver would not take it.
    if now < not_before || now >= renewal { Err(LeafDue::Age) } else { Ok(renewal) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::NewAuthority;

    const NOW: UnixTime = UnixTime::from_secs(1_795_233_600);
    const DAY: Duration = Duration::from_hours(24);

    fn authority() -> CertificateAuthority {
        let new = NewAuthority::generate("same name", [1; 16], NOW.minus(BACKDATE), NOW.plus(DAY * 365)).unwrap();
        CertificateAuthority::from_pem(&new.certificate_pem, &new.key_pem).unwrap()
    }

    #[test]
    fn a_new_leaf_is_due_for_each_reason() {
        let authority = authority();
        let names = ["api.latchkey.svc".to_owned(), "api.latchkey.svc.cluster.local".to_owned()];
        let leaf = serve(&authority, &names, [2; 16], NOW).unwrap().certificate_pem;
        let due = |leaf: &str, names: &[String], now| leaf_due(leaf, authority.certificate(), names, now);
        let renewal = due(&leaf, &names, NOW).unwrap();
        assert_eq!(renewal.since(NOW.minus(BACKDATE)), (DAY * 30 + BACKDATE) * 2 / 3);
        assert_eq!(due(&leaf, &names, renewal.minus(Duration::from_secs(1))), Ok(renewal));
        assert_eq!(due(&leaf, &names, renewal), Err(LeafDue::Age));
        assert_eq!(due(&leaf, &names, NOW.minus(DAY)), Err(LeafDue::Age), "not begun");
        assert_eq!(due(&leaf, &names[..1], NOW), Err(LeafDue::Names));
        assert_eq!(due("", &names, NOW), Err(LeafDue::Absent));
        assert_eq!(due(&pem::encode("CERTIFICATE", b"x"), &names, NOW), Err(LeafDue::Absent));
        let namesake = self::authority();
        assert_eq!(leaf_due(&leaf, namesake.certificate(), &names, NOW), Err(LeafDue::OtherAuthority));
    }

    #[test]
    fn a_leaf_never_outlives_its_authority() {
        let authority = authority();
        let late = NOW.plus(DAY * 350);
        let leaf = serve(&authority, &["api.latchkey.svc".to_owned()], [2; 16], late).unwrap().certificate_pem;
        let der = CertificateDer::from_pem_slice(leaf.as_bytes()).unwrap();
        let (_, leaf) = X509Certificate::from_der(&der).unwrap();
        assert_eq!(leaf.validity().not_after.timestamp(), authority.certificate().not_after().as_secs());
    }
}
