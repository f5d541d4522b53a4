//! May this user hold a client certificate? A yes is a [`Permit`], and nothing is signed without one.

use crate::mapping::User;

/// Leave to hold a certificate for one user. It is spent by value, and only [`may_hold_certificate`] gives one:
///
/// ```compile_fail
/// fn forge(user: latchkey_concierge::mapping::User) -> latchkey_concierge::policy::Permit {
///     latchkey_concierge::policy::Permit { user }
/// }
/// ```
#[derive(Debug)]
pub struct Permit {
    user: User,
}

/// Why a user may hold no certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The name or a group belongs to Kubernetes, and the authenticator does not allow it. The mapping refuses these
    /// already; a certificate is the one thing that cannot be taken back, so it is asked again.
    #[error("{0:?} is reserved, no certificate may carry it")]
    IdentityReserved(String),
    /// The user is in `system:masters`.
    #[error("\"system:masters\" is above all authorization, no certificate may carry it, whatever is allowed")]
    AboveAuthorization,
}

/// Decides whether `user` may hold a client certificate.
///
/// Names that the authenticator allows by `reservedIdentities` may stand in a certificate, as they may in a request
/// through the proxy: the administrator named them. `system:masters` never may. Every other group can be stripped of
/// its rights while a certificate is still valid; this one is hard-wired above RBAC, so the certificate would be
/// unrevocable power over the cluster. Kubernetes' own admission (`CertificateSubjectRestriction`) refuses it on a
/// certificate request for the same reason, and our own CA must be no way around that.
///
/// # Errors
///
/// [`Reason`], when the certificate would speak for Kubernetes itself.
pub fn may_hold_certificate(user: User) -> Result<Permit, Reason> {
    if user.is_master() {
        return Err(Reason::AboveAuthorization);
    }
    match user.unadmitted_name() {
        Some(name) => Err(Reason::IdentityReserved(name.to_owned())),
        None => Ok(Permit { user }),
    }
}

impl Permit {
    /// Whom the certificate is for.
    #[must_use]
    pub const fn user(&self) -> &User {
        &self.user
    }
}

impl Reason {
    /// The sentence without the name, for records that are to name nobody.
    #[must_use]
    pub fn discreet(&self) -> String {
        match self {
            Self::IdentityReserved(_) => "a name is reserved, no certificate may carry it".to_owned(),
            Self::AboveAuthorization => self.to_string(),
        }
    }

    /// The stable word for records, metrics and Events.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::IdentityReserved(_) | Self::AboveAuthorization => "identity-reserved",
        }
    }
}
