//! What a credential is: a request and a permit in, a client certificate out, and how long it lives.

mod assembly;
mod authority;
mod certificate;
mod certificate_request;
mod der;
mod key;
mod lifetime;
pub mod pem;
mod serving;
mod subject;
pub mod succession;

use std::fmt;

use zeroize::Zeroizing;

pub use self::{
    assembly::SerialBytes,
    authority::{AuthorityCertificate, AuthorityError, CertificateAuthority, NewAuthority},
    certificate::{MintError, SignerFault, accept, mint, mint_probe},
    certificate_request::{CertificateRequest, CertificateRequestError, MAX_PEM},
    key::{ClientKey, SignError},
    lifetime::{BACKDATE, Clamp, Lifetime},
    serving::{LeafDue, ServerCertificate, leaf_due, serve},
    subject::{PROBE_USER, Subject},
};
use crate::time::UnixTime;

/// What a person takes away: a client certificate, and its key if the client made none.
pub struct Credential {
    /// The leaf, PEM.
    pub certificate_pem: String,
    /// PKCS#8 PEM; `None` if the key never left the laptop.
    pub private_key_pem: Option<Zeroizing<String>>,
    /// First second of validity.
    pub not_before: UnixTime,
    /// Last second of validity.
    pub not_after: UnixTime,
    /// Serial number, lower-case hexadecimal.
    pub serial: String,
    /// SHA-256 of the certificate's DER, lower-case hexadecimal: kube-apiserver's audit log shows the same as
    /// `authentication.kubernetes.io/credential-id: X509SHA256=...`.
    pub sha256: String,
    /// Who signed it.
    pub strategy: StrategyKind,
    /// Why it does not live as long as the authenticator asked for, if so.
    pub clamped: Option<Clamp>,
}

/// Who can sign client certificates. The words are those of `CredentialIssuer.status.strategies[].type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StrategyKind {
    /// The cluster's own signer `kubernetes.io/kube-apiserver-client`, through the certificates API.
    CertificateSigningRequestAPI,
    /// Our own authority, which the API server has been told to trust.
    ClientCertificateAuthority,
}

// === impl Credential ===

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("serial", &self.serial)
            .field("not_after", &self.not_after)
            .field("strategy", &self.strategy)
            .finish_non_exhaustive()
    }
}

// === impl StrategyKind ===

impl StrategyKind {
    /// The word for logs, audit and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CertificateSigningRequestAPI => "CertificateSigningRequestAPI",
            Self::ClientCertificateAuthority => "ClientCertificateAuthority",
        }
    }
}

impl fmt::Display for StrategyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests;
