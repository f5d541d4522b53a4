//! What another replica has just published of a strategy and this one finds otherwise: a reason to look again at once.
//!
//! Every replica tries the strategies for itself, since the answer is about its own network and rights. But what changed for
//! one (an admin had the API server trust our authority, or took that back) has most likely changed for all, and a replica's
//! next look of its own may be minutes away. Until then it would hand out credentials of the other kind.

use latchkey_crds::config::{CredentialIssuerStatus, StrategyReason, StrategyStatus};

use super::plan::published_as;
use crate::{
    credential::StrategyKind,
    strategies::{Availabilities, Availability},
};

/// The strategies of which the status says something else since `before`, and not what is known here. A difference that
/// lasts is no news: it was looked at.
pub(super) fn contradicted(
    before: &CredentialIssuerStatus,
    now: &CredentialIssuerStatus,
    states: &Availabilities,
) -> Vec<StrategyKind> {
    let news = states.in_order().into_iter().filter(|(kind, state)| {
        let known = match state {
            // It is being looked at.
            Availability::Pending => return false,
            Availability::Usable => true,
            Availability::Unusable(_) => false,
        };
        let published = works(now, *kind);
        published != works(before, *kind) && published.is_some_and(|published| published != known)
    });
    news.map(|(kind, _)| kind).collect()
}

/// What a status says of a strategy; `None`: nothing yet.
fn works(status: &CredentialIssuerStatus, kind: StrategyKind) -> Option<bool> {
    let published = status.strategies.iter().find(|strategy| strategy.r#type == published_as(kind))?;
    match (&published.status, &published.reason) {
        (StrategyStatus::Success, _) | (_, StrategyReason::CouldNotGetClusterInfo) => Some(true),
        (_, StrategyReason::Pending) => None,
        _ => Some(false),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::strategies::Fault;

    const OWN: StrategyKind = StrategyKind::ClientCertificateAuthority;
    const CLUSTER: StrategyKind = StrategyKind::CertificateSigningRequestAPI;

    fn published(own: [&str; 2], cluster: [&str; 2]) -> CredentialIssuerStatus {
        let strategy = |kind: &str, [status, reason]: [&str; 2]| json!({"type": kind, "status": status, "reason": reason, "message": "", "lastUpdateTime": "2026-11-21T12:00:00Z"});
        let strategies =
            json!([strategy("ClientCertificateAuthority", own), strategy("CertificateSigningRequestAPI", cluster)]);
        serde_json::from_value(json!({ "strategies": strategies })).unwrap()
    }

    fn states(own: Availability, cluster: Availability) -> Availabilities {
        Availabilities { client_certificate_authority: own, certificate_signing_request_api: cluster }
    }

    #[test]
    fn only_what_changed_and_is_otherwise_here_is_looked_at_again() {
        use Availability::{Pending, Unusable, Usable};
        const WORKS: [&str; 2] = ["Success", "Issuing"];
        const NOT: [&str; 2] = ["Error", "NotTrustedByAPIServer"];
        let broken = || Unusable(Fault::AuthorityMissing);
        let nothing = CredentialIssuerStatus::default();
        for (what, before, now, here, expected) in [
            ("trusted", published(NOT, WORKS), published(WORKS, WORKS), states(broken(), Usable), &[OWN][..]),
            ("no more", published(WORKS, WORKS), published(NOT, WORKS), states(Usable, Usable), &[OWN]),
            ("known", published(NOT, WORKS), published(WORKS, WORKS), states(Usable, Usable), &[]),
            ("lasting", published(WORKS, WORKS), published(WORKS, WORKS), states(broken(), broken()), &[]),
            ("both", published(WORKS, NOT), published(NOT, WORKS), states(Usable, broken()), &[OWN, CLUSTER]),
            ("not tried", published(NOT, NOT), published(WORKS, WORKS), states(Pending, broken()), &[CLUSTER]),
            ("first word", nothing.clone(), published(WORKS, WORKS), states(broken(), Usable), &[OWN]),
            ("gone", published(WORKS, WORKS), nothing, states(broken(), broken()), &[]),
            (
                "works, nowhere to be found",
                published(NOT, WORKS),
                published(["Error", "CouldNotGetClusterInfo"], WORKS),
                states(broken(), Usable),
                &[OWN],
            ),
            (
                "a leader that starts",
                published(WORKS, NOT),
                published(["Error", "Pending"], NOT),
                states(Usable, broken()),
                &[],
            ),
        ] {
            assert_eq!(contradicted(&before, &now, &here), expected, "{what}");
        }
    }
}
