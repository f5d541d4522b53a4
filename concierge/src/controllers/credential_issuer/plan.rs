//! What the status should say: for each strategy why it can or cannot be used, and what is published beside them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use latchkey_crds::config::{
    AuditPublicKey, AuditStatus, ClientCertificateAuthority, CredentialIssuerStatus, Frontend, FrontendType, Strategy,
    StrategyReason, StrategyStatus, StrategyType, TokenCredentialRequestInfo,
};

use super::cluster_info::ClusterInfo;
use crate::{
    controllers::audit_key::{Known, Published},
    credential::StrategyKind,
    strategies::{Authority, Availabilities, Availability, Fault},
    time::UnixTime,
};

/// What is published beside the strategies; what is not known yet stays as it stands.
#[derive(Clone, Debug, Default)]
pub(super) struct Offer {
    /// The cluster's name.
    pub(super) cluster: String,
    /// The certificates of our authority, PEM.
    pub(super) bundle: Option<String>,
    /// The keys of the audit log.
    pub(super) audit: Option<AuditStatus>,
}

/// Whether every strategy was tried. Until then the last status stands: a `Pending` would make the stock CLI wait, and a
/// leader that has just started knows less than the one before it.
pub(super) fn is_settled(states: &Availabilities) -> bool {
    states.in_order().into_iter().all(|(_, state)| *state != Availability::Pending)
}

/// The status by what the strategies can do now; times of entries that are as they were stay.
pub(super) fn plan(
    states: &Availabilities,
    offer: Offer,
    info: Option<&ClusterInfo>,
    before: &CredentialIssuerStatus,
    now: UnixTime,
) -> CredentialIssuerStatus {
    let offered = states.offered();
    let mut strategies: Vec<Strategy> =
        states.in_order().into_iter().map(|(kind, state)| entry(kind, state, offered, info)).collect();
    strategies.push(proxy());
    // Clients take the first that works: the offered one, then others that work, then the rest. The sort is stable.
    strategies.sort_by_key(|strategy| strategy.status != StrategyStatus::Success);
    for strategy in &mut strategies {
        strategy.last_update_time = Time(wall_clock(now));
        let same = before.strategies.iter().find(|known| is_same(known, strategy));
        if let Some(same) = same {
            strategy.last_update_time = same.last_update_time.clone();
        }
    }
    let client_certificate_authority = offer
        .bundle
        .map(|pem| ClientCertificateAuthority { certificate_authority_data: STANDARD.encode(pem) })
        .or_else(|| before.client_certificate_authority.clone());
    let audit = offer.audit.or_else(|| before.audit.clone());
    CredentialIssuerStatus {
        strategies,
        client_certificate_authority,
        audit,
        cluster_name: Some(offer.cluster),
        concierge_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
    }
}

/// What is published of our authority; `None` while it has nothing.
pub(super) fn bundle(authority: &Authority) -> Option<String> {
    match authority {
        Authority::Ready(authorities) => Some(authorities.bundle.clone()),
        Authority::Pending | Authority::Missing | Authority::Broken(_) => None,
    }
}

/// What is published of the keys of the audit log; `None` while nothing is known of them.
pub(super) fn signed(published: &Published) -> Option<AuditStatus> {
    let Published { keys, problem } = published;
    let key = |known: &Known| AuditPublicKey {
        public_key: known.key.to_string(),
        since: Time(wall_clock(known.since)),
        until: known.until.map(|until| Time(wall_clock(until))),
    };
    let status = AuditStatus { public_keys: keys.iter().map(key).collect(), problem: problem.clone() };
    Some(status).filter(|status| *status != AuditStatus::default())
}

fn entry(
    kind: StrategyKind,
    state: &Availability,
    offered: Option<StrategyKind>,
    info: Option<&ClusterInfo>,
) -> Strategy {
    let (status, reason, message) = match (state, info) {
        (Availability::Pending, _) => {
            (StrategyStatus::Error, StrategyReason::Pending, "being tried for the first time".to_owned())
        }
        (Availability::Unusable(fault), _) => (StrategyStatus::Error, reason(fault), fault.to_string()),
        (Availability::Usable, None) => (
            StrategyStatus::Error,
            StrategyReason::CouldNotGetClusterInfo,
            "works, but neither kube-public/cluster-info nor our own configuration says where clients find the API server"
                .to_owned(),
        ),
        (Availability::Usable, Some(_)) => {
            (StrategyStatus::Success, StrategyReason::Issuing, praise(kind, offered))
        }
    };
    let frontend = info.filter(|_| status == StrategyStatus::Success).map(|info| Frontend {
        r#type: FrontendType::TokenCredentialRequestAPI,
        token_credential_request_info: Some(TokenCredentialRequestInfo {
            server: info.server.clone(),
            certificate_authority_data: info.certificate_authority_data.clone(),
        }),
        impersonation_proxy_info: None,
    });
    let last_update_time = Time(Timestamp::UNIX_EPOCH);
    Strategy { r#type: published_as(kind), status, reason, message, last_update_time, frontend }
}

/// What a strategy is called in the status.
pub(super) const fn published_as(kind: StrategyKind) -> StrategyType {
    match kind {
        StrategyKind::CertificateSigningRequestAPI => StrategyType::CertificateSigningRequestAPI,
        StrategyKind::ClientCertificateAuthority => StrategyType::ClientCertificateAuthority,
    }
}

fn reason(fault: &Fault) -> StrategyReason {
    match fault {
        Fault::ApprovalForbidden(_) => StrategyReason::ApprovalForbidden,
        Fault::AuthorityBroken(_) | Fault::AuthorityMissing | Fault::Unreachable(_) => StrategyReason::ErrorDuringSetup,
        Fault::Disabled => StrategyReason::Disabled,
        Fault::NotTrusted { .. } => StrategyReason::NotTrustedByAPIServer,
        Fault::SignerFailed(_) | Fault::SignerMisbehaved(_) => StrategyReason::SignerRefused,
        Fault::SignerNeverAnswered(_) => StrategyReason::SignerNeverAnswered,
    }
}

fn praise(kind: StrategyKind, offered: Option<StrategyKind>) -> String {
    let how = match kind {
        StrategyKind::CertificateSigningRequestAPI => {
            "the cluster's signer kubernetes.io/kube-apiserver-client issues certificates of 10 minutes or more"
        }
        StrategyKind::ClientCertificateAuthority => {
            "this installation's own authority issues certificates, and the API server was seen to take them"
        }
    };
    match offered {
        Some(other) if other != kind => format!("{how}; not used while {other} works"),
        _ => how.to_owned(),
    }
}

/// The proxy comes with later work; what is said of it is true of this version.
fn proxy() -> Strategy {
    Strategy {
        r#type: StrategyType::ImpersonationProxy,
        status: StrategyStatus::Error,
        reason: StrategyReason::Disabled,
        message: "this version of the concierge has no impersonation proxy".to_owned(),
        last_update_time: Time(Timestamp::UNIX_EPOCH),
        frontend: None,
    }
}

/// Equal but for the time.
fn is_same(known: &Strategy, new: &Strategy) -> bool {
    Strategy { last_update_time: new.last_update_time.clone(), ..known.clone() } == *new
}

/// Whole seconds, as `metav1.Time` keeps them.
fn wall_clock(now: UnixTime) -> Timestamp {
    Timestamp::from_second(now.as_secs()).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::{audit::checkpoint::PublicKey, strategies::Detail};

    const NOW: UnixTime = UnixTime::from_secs(1_795_233_600);

    fn info() -> ClusterInfo {
        ClusterInfo { server: "https://api.example:6443".into(), certificate_authority_data: "Q0E=".into() }
    }

    fn states(own: Availability, cluster: Availability) -> Availabilities {
        Availabilities { client_certificate_authority: own, certificate_signing_request_api: cluster }
    }

    fn untrusted() -> Availability {
        Availability::Unusable(Fault::NotTrusted {
            fingerprint: "ab12".into(),
            published_in: "ConfigMap latchkey/x".into(),
        })
    }

    fn pem() -> Offer {
        Offer { cluster: "staging".to_owned(), bundle: Some("pem".to_owned()), audit: None }
    }

    fn planned(states: &Availabilities) -> CredentialIssuerStatus {
        plan(states, pem(), Some(&info()), &CredentialIssuerStatus::default(), NOW)
    }

    #[test]
    fn the_offered_strategy_comes_first_and_the_others_say_why_not() {
        let status = planned(&states(untrusted(), Availability::Usable));
        let seen: Vec<_> = status.strategies.iter().map(|s| (s.r#type, s.status, s.reason)).collect();
        assert_eq!(
            seen,
            [
                (StrategyType::CertificateSigningRequestAPI, StrategyStatus::Success, StrategyReason::Issuing),
                (
                    StrategyType::ClientCertificateAuthority,
                    StrategyStatus::Error,
                    StrategyReason::NotTrustedByAPIServer
                ),
                (StrategyType::ImpersonationProxy, StrategyStatus::Error, StrategyReason::Disabled),
            ]
        );
        assert!(
            status.strategies[1].message.contains("ab12") && status.strategies[1].message.contains("--client-ca-file")
        );
        assert_eq!(status.client_certificate_authority.unwrap().certificate_authority_data, STANDARD.encode("pem"));
        assert_eq!(status.cluster_name.as_deref(), Some("staging"));
        assert_eq!(status.concierge_version.as_deref(), Some(env!("CARGO_PKG_VERSION")));
        let both = planned(&states(Availability::Usable, Availability::Usable));
        assert_eq!(both.strategies[0].r#type, StrategyType::ClientCertificateAuthority);
        assert!(both.strategies[1].message.ends_with("not used while ClientCertificateAuthority works"));
    }

    #[test]
    fn only_success_has_a_frontend_and_every_entry_a_message() {
        let faults = [
            Fault::ApprovalForbidden(Detail::new("no")),
            Fault::AuthorityBroken(Detail::new("no")),
            Fault::AuthorityMissing,
            Fault::Disabled,
            Fault::SignerFailed(Detail::new("no")),
            Fault::SignerNeverAnswered(Duration::from_secs(10)),
            Fault::Unreachable(Detail::new("no")),
        ];
        for fault in faults {
            let status = planned(&states(Availability::Unusable(fault), Availability::Usable));
            for strategy in status.strategies {
                assert_eq!(strategy.frontend.is_some(), strategy.status == StrategyStatus::Success);
                assert!(!strategy.message.is_empty());
            }
        }
    }

    #[test]
    fn nobody_is_sent_to_an_unknown_server() {
        let both_work = states(Availability::Usable, Availability::Usable);
        let status = plan(&both_work, Offer::default(), None, &CredentialIssuerStatus::default(), NOW);
        assert!(status.strategies.iter().all(|s| s.status == StrategyStatus::Error && s.frontend.is_none()));
        assert_eq!(status.strategies[0].reason, StrategyReason::CouldNotGetClusterInfo);
    }

    #[test]
    fn an_entry_keeps_its_time_until_something_else_in_it_changes() {
        let first = planned(&states(untrusted(), Availability::Usable));
        let later = NOW.plus(Duration::from_mins(7));
        let same = plan(&states(untrusted(), Availability::Usable), pem(), Some(&info()), &first, later);
        assert_eq!(same, first);
        let trusted = plan(&states(Availability::Usable, Availability::Usable), pem(), Some(&info()), &first, later);
        let time = |status: &CredentialIssuerStatus, wanted| {
            status.strategies.iter().find(|s| s.r#type == wanted).unwrap().last_update_time.0.as_second()
        };
        assert_eq!(time(&trusted, StrategyType::ClientCertificateAuthority), later.as_secs());
        assert_eq!(time(&trusted, StrategyType::ImpersonationProxy), NOW.as_secs());
    }

    #[test]
    fn the_keys_of_the_audit_log_are_published_and_not_forgotten_by_who_does_not_know_them_yet() {
        assert_eq!(signed(&Published::default()), None);
        let known = |byte, until| Known { key: PublicKey::from_bytes([byte; 32]), since: NOW, until };
        let keys = vec![known(2, None), known(1, Some(NOW.plus(Duration::from_secs(1))))];
        let audit = signed(&Published { keys, problem: Some("p".to_owned()) });
        let offer = Offer { audit, ..pem() };
        let tried = states(untrusted(), Availability::Usable);
        let status = plan(&tried, offer, Some(&info()), &planned(&tried), NOW);
        let shown = serde_json::to_value(status.audit.as_ref().unwrap()).unwrap();
        let expected = json!({
            "publicKeys": [
                { "publicKey": STANDARD.encode([2; 32]), "since": "2026-11-21T04:00:00Z" },
                { "publicKey": STANDARD.encode([1; 32]), "since": "2026-11-21T04:00:00Z", "until": "2026-11-21T04:00:01Z" },
            ],
            "problem": "p",
        });
        assert_eq!(shown, expected);
        assert_eq!(plan(&tried, pem(), Some(&info()), &status, NOW).audit, status.audit);
    }

    #[test]
    fn nothing_is_written_before_everything_was_tried() {
        assert!(!is_settled(&states(Availability::Pending, Availability::Usable)));
        assert!(!is_settled(&states(untrusted(), Availability::Pending)));
        assert!(is_settled(&states(untrusted(), Availability::Usable)));
    }
}
