//! Our own authority: signs in this process, and counts only when the API server has been seen to trust it.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::{Api, Client, Config, api::PostParams, config::AuthInfo};
use serde_json::json;
use tokio::{sync::watch, time::timeout};

use super::{
    Failure,
    availability::{Detail, Fault},
    random,
};
use crate::{
    credential::{
        CertificateAuthority, CertificateRequest, Credential, Lifetime, MintError, PROBE_USER, StrategyKind, mint,
        mint_probe,
    },
    policy::Permit,
    time::Clock,
};

/// Longest time for the probe's one request, TLS handshake included.
const PROBE_LIMIT: Duration = Duration::from_secs(10);

/// What the Secret holds, as every replica has read it.
#[derive(Clone, Debug, Default)]
pub enum Authority {
    /// The Secret has not been read yet.
    #[default]
    Pending,
    /// There is no Secret.
    Missing,
    /// There is one, and it cannot be used.
    Broken(Detail),
    /// It can sign.
    Ready(Arc<Authorities>),
}

/// The authorities of one Secret, parsed once.
#[derive(Debug)]
pub struct Authorities {
    /// Signs.
    pub current: Arc<CertificateAuthority>,
    /// Will sign; probed, so that it takes over only when it is trusted.
    pub next: Option<Arc<CertificateAuthority>>,
    /// PEM of everything to be trusted: current, next, previous.
    pub bundle: String,
}

/// What a probe with one certificate found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    Trusted,
    Untrusted,
}

/// The strategy.
#[derive(Clone, Debug)]
pub(super) struct ClientCertificateAuthority {
    authority: watch::Receiver<Authority>,
    /// How to reach the API server; the probe puts its own certificate in place of our token.
    config: Config,
    /// `ConfigMap <namespace>/<name>`, for the message to the admin.
    published_in: String,
    clock: Arc<dyn Clock>,
}

// === impl ClientCertificateAuthority ===

impl ClientCertificateAuthority {
    pub(super) const fn new(
        authority: watch::Receiver<Authority>,
        config: Config,
        published_in: String,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { authority, config, published_in, clock }
    }

    /// A receiver that wakes when the Secret changes.
    pub(super) fn authority(&self) -> watch::Receiver<Authority> {
        self.authority.clone()
    }

    /// Signs a certificate for the permit's user: computation only, nothing leaves the process.
    pub(super) fn issue(
        &self,
        permit: Permit,
        request: Option<&CertificateRequest>,
        lifetime: Option<Duration>,
    ) -> Result<Credential, Failure> {
        let authorities = self.ready()?;
        let lifetime = Lifetime::choose(StrategyKind::ClientCertificateAuthority, lifetime);
        mint(permit, &authorities.current, request, lifetime, random()?, self.clock.now()).map_err(minting)
    }

    /// Asks the API server who the holder of a certificate of ours is.
    pub(super) async fn probe(&self) -> Result<(), Failure> {
        let authorities = self.ready()?;
        match self.ask(&authorities.current).await? {
            Trust::Trusted => Ok(()),
            Trust::Untrusted => Err(Failure::Unusable(Fault::NotTrusted {
                fingerprint: authorities.current.certificate().fingerprint(),
                published_in: self.published_in.clone(),
            })),
        }
    }

    /// Whether the next authority, if there is one, is trusted already.
    pub(super) async fn is_next_trusted(&self) -> bool {
        let Ok(authorities) = self.ready() else { return false };
        let Some(next) = &authorities.next else { return false };
        matches!(self.ask(next).await, Ok(Trust::Trusted))
    }

    fn ready(&self) -> Result<Arc<Authorities>, Failure> {
        match &*self.authority.borrow() {
            Authority::Pending => Err(Failure::TooEarly),
            Authority::Missing => Err(Failure::Unusable(Fault::AuthorityMissing)),
            Authority::Broken(detail) => Err(Failure::Unusable(Fault::AuthorityBroken(detail.clone()))),
            Authority::Ready(authorities) => Ok(authorities.clone()),
        }
    }

    async fn ask(&self, authority: &CertificateAuthority) -> Result<Trust, Failure> {
        let credential = mint_probe(authority, random()?, self.clock.now()).map_err(minting)?;
        let client = self.client(&credential)?;
        let reviews: Api<SelfSubjectReview> = Api::all(client);
        let answer = timeout(PROBE_LIMIT, reviews.create(&PostParams::default(), &SelfSubjectReview::default()))
            .await
            .map_err(|_| Failure::TimedOut(PROBE_LIMIT))?;
        judge(answer)
    }

    /// A client that is nobody but the holder of `credential`.
    fn client(&self, credential: &Credential) -> Result<Client, Failure> {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let key = credential.private_key_pem.as_deref().map(String::as_str).unwrap_or_default();
        // Through serde, because the key's type belongs to a crate that is not ours to name.
        let identity: AuthInfo = serde_json::from_value(json!({
            "client-certificate-data": STANDARD.encode(&credential.certificate_pem),
            "client-key-data": STANDARD.encode(key),
        }))
        .map_err(|error| unreachable(&error))?;
        let mut config = self.config.clone();
        config.auth_info = identity;
        config.headers.clear();
        Client::try_from(config).map_err(|error| unreachable(&error))
    }
}

/// Reads the probe's answer. A server that does not know our authority ignores the certificate: the caller is then
/// anonymous, or nobody (401) where anonymous requests are off.
fn judge(answer: kube::Result<SelfSubjectReview>) -> Result<Trust, Failure> {
    match answer {
        Ok(review) => {
            let name = review.status.and_then(|status| status.user_info).and_then(|user| user.username);
            Ok(if name.as_deref() == Some(PROBE_USER) { Trust::Trusted } else { Trust::Untrusted })
        }
        Err(kube::Error::Api(status)) if status.code == 401 => Ok(Trust::Untrusted),
        // A cluster without `system:basic-user` forbids the review, and names in its refusal whom it took us for.
        Err(kube::Error::Api(status)) if status.code == 403 => {
            let named = format!("User \"{PROBE_USER}\"");
            Ok(if status.message.contains(&named) { Trust::Trusted } else { Trust::Untrusted })
        }
        Err(error) => Err(unreachable(&error)),
    }
}

fn unreachable(error: &dyn std::error::Error) -> Failure {
    Failure::Unusable(Fault::Unreachable(Detail::of(error)))
}

fn minting(error: MintError) -> Failure {
    match error {
        MintError::AuthorityNotInForce => Failure::Unusable(Fault::AuthorityBroken(Detail::of(&error))),
        MintError::Sign(error) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::authentication::v1::{SelfSubjectReviewStatus, UserInfo};
    use kube::core::Status;

    use super::*;

    fn named(username: &str) -> SelfSubjectReview {
        SelfSubjectReview {
            status: Some(SelfSubjectReviewStatus {
                user_info: Some(UserInfo { username: Some(username.to_owned()), ..UserInfo::default() }),
            }),
            ..SelfSubjectReview::default()
        }
    }

    fn status(code: u16, message: &str) -> kube::Result<SelfSubjectReview> {
        Err(kube::Error::Api(Box::new(Status { code, message: message.to_owned(), ..Status::default() })))
    }

    #[test]
    fn only_our_own_name_in_the_answer_is_trust() {
        let forbidden = |user: &str| {
            format!("selfsubjectreviews.authentication.k8s.io is forbidden: User \"{user}\" cannot create resource")
        };
        for (answer, expected) in [
            (Ok(named(PROBE_USER)), Trust::Trusted),
            (Ok(named("system:anonymous")), Trust::Untrusted),
            (Ok(SelfSubjectReview::default()), Trust::Untrusted),
            (status(401, "Unauthorized"), Trust::Untrusted),
            (status(403, &forbidden("system:anonymous")), Trust::Untrusted),
            (status(403, &forbidden(PROBE_USER)), Trust::Trusted),
        ] {
            assert_eq!(judge(answer).unwrap(), expected);
        }
    }

    #[test]
    fn an_outage_says_nothing_about_trust() {
        let Err(Failure::Unusable(Fault::Unreachable(detail))) = judge(status(503, "etcd is away")) else {
            panic!("503 must be an outage")
        };
        assert!(detail.to_string().contains("etcd is away"), "{detail}");
    }
}
