//! How long a credential lives: what the authenticator asks for, within what its signer can do.

use std::{fmt, time::Duration};

use super::StrategyKind;
use crate::time::UnixTime;

/// Certificates start this long before they are made, so that a laptop whose clock is behind can use them at once.
/// The cluster's own signer does the same (kube-controller-manager's `authority.go`).
pub const BACKDATE: Duration = Duration::from_mins(5);

/// A time left shorter than this is not worth handing out: the plugin would be back before it had used it.
const SHORTEST: Duration = Duration::from_mins(1);
/// The schema's ceiling for `credential.lifetimeSeconds`; kept here too because objects may predate the schema.
const LONGEST: Duration = Duration::from_hours(24);

/// What is handed out when the authenticator says nothing. Nobody can revoke a client certificate, so short.
const OWN_AUTHORITY_DEFAULT: Duration = Duration::from_mins(5);
/// The API refuses a smaller `expirationSeconds`, and so does the signer (`certificates/v1` validation).
const CERTIFICATE_SIGNING_REQUEST_MINIMUM: Duration = Duration::from_mins(10);

/// How long a credential of one strategy lives from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    length: Duration,
    clamped: Option<Clamp>,
}

/// Why a lifetime differs from what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clamp {
    /// The signing authority itself ends sooner.
    AuthorityEnds,
    /// More was asked for than anything may live.
    Ceiling,
    /// The signer gives no shorter certificates.
    SignerMinimum,
}

// === impl Lifetime ===

impl Lifetime {
    /// The lifetime for `strategy` when the authenticator asks for `wanted`.
    #[must_use]
    pub fn choose(strategy: StrategyKind, wanted: Option<Duration>) -> Self {
        let (default, minimum) = match strategy {
            StrategyKind::CertificateSigningRequestAPI => {
                (CERTIFICATE_SIGNING_REQUEST_MINIMUM, CERTIFICATE_SIGNING_REQUEST_MINIMUM)
            }
            StrategyKind::ClientCertificateAuthority => (OWN_AUTHORITY_DEFAULT, SHORTEST),
        };
        // Whole seconds: both X.509 and `expirationSeconds` know nothing finer.
        let wanted = Duration::from_secs(wanted.unwrap_or(default).as_secs());
        if wanted < minimum {
            Self { length: minimum, clamped: Some(Clamp::SignerMinimum) }
        } else if wanted > LONGEST {
            Self { length: LONGEST, clamped: Some(Clamp::Ceiling) }
        } else {
            Self { length: wanted, clamped: None }
        }
    }

    /// The shortest there is, for a probe of our own authority.
    #[must_use]
    pub(super) const fn shortest() -> Self {
        Self { length: SHORTEST, clamped: None }
    }

    /// The same, ending with its authority at the latest; `None` when that leaves less than a minute.
    #[must_use]
    pub(super) fn within_authority(self, now: UnixTime, authority_ends: UnixTime) -> Option<Self> {
        let left = Duration::from_secs(authority_ends.since(now).as_secs());
        if left < SHORTEST {
            None
        } else if left < self.length {
            Some(Self { length: left, clamped: Some(Clamp::AuthorityEnds) })
        } else {
            Some(self)
        }
    }

    /// How long, from now on.
    #[must_use]
    pub const fn length(self) -> Duration {
        self.length
    }

    /// Why it is not what was asked for.
    #[must_use]
    pub const fn clamped(self) -> Option<Clamp> {
        self.clamped
    }
}

impl fmt::Display for Clamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AuthorityEnds => "the signing authority ends sooner",
            Self::Ceiling => "no credential lives longer than 24 hours",
            Self::SignerMinimum => "the signer gives no shorter certificate",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_strategy_has_its_default_floor_and_ceiling() {
        use StrategyKind::{CertificateSigningRequestAPI as Api, ClientCertificateAuthority as Own};
        for (strategy, wanted, length, clamped) in [
            (Own, None, 300, None),
            (Own, Some(60), 60, None),
            (Own, Some(59), 60, Some(Clamp::SignerMinimum)),
            (Own, Some(0), 60, Some(Clamp::SignerMinimum)),
            (Own, Some(86_400), 86_400, None),
            (Own, Some(86_401), 86_400, Some(Clamp::Ceiling)),
            (Api, None, 600, None),
            (Api, Some(60), 600, Some(Clamp::SignerMinimum)),
            (Api, Some(599), 600, Some(Clamp::SignerMinimum)),
            (Api, Some(3_600), 3_600, None),
            (Api, Some(u64::MAX), 86_400, Some(Clamp::Ceiling)),
        ] {
            let chosen = Lifetime::choose(strategy, wanted.map(Duration::from_secs));
            assert_eq!((chosen.length().as_secs(), chosen.clamped()), (length, clamped), "{strategy:?} {wanted:?}");
        }
    }

    #[test]
    fn a_credential_never_outlives_its_authority() {
        let now = UnixTime::from_secs(1_000_000);
        let chosen = Lifetime::choose(StrategyKind::ClientCertificateAuthority, None);
        for (left, expected) in [
            (0, None),
            (59, None),
            (60, Some((60, Some(Clamp::AuthorityEnds)))),
            (299, Some((299, Some(Clamp::AuthorityEnds)))),
            (300, Some((300, None))),
            (10_000, Some((300, None))),
        ] {
            let within = chosen.within_authority(now, now.plus(Duration::from_secs(left)));
            assert_eq!(within.map(|lifetime| (lifetime.length().as_secs(), lifetime.clamped())), expected, "{left}");
        }
        assert_eq!(chosen.within_authority(now, UnixTime::from_secs(5)), None, "authority long dead");
    }
}
