//! Whether a strategy can be used, and if not, why not and what to do about it.

use std::{fmt, time::Duration};

use crate::{
    credential::{SignerFault, StrategyKind},
    text::is_dangerous,
};

/// Longest text of somebody else's (an API server, a signer) that goes on into a status, in characters.
const MAX_DETAIL: usize = 400;

/// What is known of one strategy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Availability {
    /// Not tried yet.
    Pending,
    /// Tried, cannot be used.
    Unusable(Fault),
    /// Tried, works.
    Usable,
}

/// Why a strategy cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The API server lets us not create or approve certificate requests.
    ApprovalForbidden(Detail),
    /// Our authority's Secret cannot be used as it is.
    AuthorityBroken(Detail),
    /// There is no authority yet; the leader makes one.
    AuthorityMissing,
    /// Switched off by configuration.
    Disabled,
    /// The API server does not take certificates of our authority.
    NotTrusted {
        /// SHA-256 of the authority's certificate, so that a person can compare files.
        fingerprint: String,
        /// Where the certificate to be trusted is published.
        published_in: String,
    },
    /// The signer refused or failed, and said so.
    SignerFailed(Detail),
    /// The signer made something else than was asked for.
    SignerMisbehaved(SignerFault),
    /// The request was approved and then nothing happened.
    SignerNeverAnswered(Duration),
    /// The API server could not be asked.
    Unreachable(Detail),
}

/// A text from outside, cut and cleaned for a status (threats.md O3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail(String);

/// Both strategies, in the order in which they are offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Availabilities {
    /// Our own authority.
    pub client_certificate_authority: Availability,
    /// The cluster's signer.
    pub certificate_signing_request_api: Availability,
}

// === impl Availabilities ===

impl Availabilities {
    pub(super) const fn pending() -> Self {
        Self {
            client_certificate_authority: Availability::Pending,
            certificate_signing_request_api: Availability::Pending,
        }
    }

    /// Both, the preferred one first.
    #[must_use]
    pub const fn in_order(&self) -> [(StrategyKind, &Availability); 2] {
        [
            (StrategyKind::ClientCertificateAuthority, &self.client_certificate_authority),
            (StrategyKind::CertificateSigningRequestAPI, &self.certificate_signing_request_api),
        ]
    }

    /// The strategy that requests are given to now.
    #[must_use]
    pub fn offered(&self) -> Option<StrategyKind> {
        self.in_order().into_iter().find(|(_, state)| **state == Availability::Usable).map(|(kind, _)| kind)
    }

    pub(super) const fn of(&mut self, kind: StrategyKind) -> &mut Availability {
        match kind {
            StrategyKind::CertificateSigningRequestAPI => &mut self.certificate_signing_request_api,
            StrategyKind::ClientCertificateAuthority => &mut self.client_certificate_authority,
        }
    }
}

// === impl Fault ===

impl Fault {
    /// Whether no request whatever could have caused it by its content.
    pub(super) const fn is_plain(&self) -> bool {
        match self {
            Self::ApprovalForbidden(_)
            | Self::AuthorityBroken(_)
            | Self::AuthorityMissing
            | Self::Disabled
            | Self::NotTrusted { .. }
            | Self::SignerNeverAnswered(_) => true,
            Self::SignerFailed(_) | Self::SignerMisbehaved(_) | Self::Unreachable(_) => false,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ApprovalForbidden(detail) => write!(
                f,
                "the API server does not let the concierge create and approve certificate requests for signer \
                 kubernetes.io/kube-apiserver-client: {detail}; grant the ClusterRole that comes with the installation"
            ),
            Self::AuthorityBroken(detail) => write!(f, "the authority's Secret cannot be used: {detail}"),
            Self::AuthorityMissing => f.write_str("there is no authority yet; the leading replica makes one"),
            Self::Disabled => f.write_str("switched off by configuration"),
            Self::NotTrusted { fingerprint, published_in } => write!(
                f,
                "the API server does not take certificates of this authority (SHA-256 {fingerprint}); append the \
                 certificates published in {published_in} to the file that kube-apiserver's --client-ca-file names, \
                 it is read again without a restart"
            ),
            Self::SignerFailed(detail) => write!(f, "the cluster's signer refused: {detail}"),
            Self::SignerMisbehaved(fault) => write!(f, "the cluster's signer did not do what was asked: {fault}"),
            Self::SignerNeverAnswered(waited) => write!(
                f,
                "an approved certificate request got no certificate within {} s; nothing in this cluster signs for \
                 kubernetes.io/kube-apiserver-client (on EKS nothing ever does; elsewhere look after \
                 kube-controller-manager)",
                waited.as_secs()
            ),
            Self::Unreachable(detail) => write!(f, "the API server could not be asked: {detail}"),
        }
    }
}

// === impl Detail ===

impl Detail {
    /// `text` without characters that deceive a reader, at most 400 characters of it.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut clean: String = text.chars().map(|c| if is_dangerous(c) { ' ' } else { c }).take(MAX_DETAIL).collect();
        if text.chars().nth(MAX_DETAIL).is_some() {
            clean.push('…');
        }
        Self(clean)
    }

    /// An error and its causes.
    #[must_use]
    pub fn of(error: &dyn std::error::Error) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        // Bounded by MAX_DETAIL in the end; a chain of eight says all there is.
        for _ in 0..8 {
            let Some(next) = cause else { break };
            let said = next.to_string();
            if !text.contains(&said) {
                text.push_str(": ");
                text.push_str(&said);
            }
            cause = next.source();
        }
        Self::new(&text)
    }
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_works_is_offered() {
        use Availability::{Pending, Unusable, Usable};
        let broken = || Unusable(Fault::Disabled);
        for (own, cluster, offered) in [
            (Usable, Usable, Some(StrategyKind::ClientCertificateAuthority)),
            (broken(), Usable, Some(StrategyKind::CertificateSigningRequestAPI)),
            (Pending, Usable, Some(StrategyKind::CertificateSigningRequestAPI)),
            (broken(), broken(), None),
            (Pending, Pending, None),
        ] {
            let both = Availabilities { client_certificate_authority: own, certificate_signing_request_api: cluster };
            assert_eq!(both.offered(), offered, "{both:?}");
        }
    }

    #[test]
    fn a_hostile_text_is_cut_and_cleaned() {
        let detail = Detail::new(&format!("line\nbreak\u{1b}[31m\u{202e}{}", "x".repeat(10_000))).to_string();
        assert!(detail.starts_with("line break [31m xxx"));
        assert_eq!(detail.chars().count(), MAX_DETAIL + 1);
    }

    #[test]
    fn an_error_is_told_with_its_causes_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] std::io::Error);
        let error = Outer(std::io::Error::other("refused"));
        assert_eq!(Detail::of(&error).to_string(), "outer: refused");
    }
}
