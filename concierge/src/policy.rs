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
    /// The name or a group belongs to Kubernetes. The mapping refuses these already; a certificate is the one thing that
    /// cannot be taken back, so it is asked again where the rules of an authenticator no longer reach.
    #[error("{0:?} is reserved, no certificate may carry it")]
    IdentityReserved(String),
}

/// Decides whether `user` may hold a client certificate.
///
/// Kubernetes' own admission refuses only `system:masters` on a certificate request: every other privileged group is
/// for us to refuse.
///
/// # Errors
///
/// [`Reason`], when the certificate would speak for Kubernetes itself.
pub fn may_hold_certificate(user: User) -> Result<Permit, Reason> {
    match user.reserved_name() {
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
    /// The stable word for records, metrics and Events.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::IdentityReserved(_) => "identity-reserved",
        }
    }
}
