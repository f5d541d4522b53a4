//! Who signs: our own authority when the API server trusts it, else the cluster's signer.
//!
//! In that order, because our own authority signs in this process in microseconds, gives any lifetime, writes nothing to
//! etcd, needs no controller that may be down, and needs no right that amounts to cluster-admin; the cluster's signer
//! needs a write, an approval, a watch and a deletion, and gives nothing shorter than ten minutes. But nobody trusts our
//! authority until an admin says so, so what is offered is what has been tried and seen to work.
//!
//! Every replica tries for itself, at start and from time to time: a probe costs one certificate request or one TLS
//! handshake, and its answer then is about *this* replica's network and rights and needs no leader. What the leader has
//! published is no answer, but another word in it is a reason to look at once: replicas differ for seconds, not minutes.

mod availability;
mod certificate_signing_request_api;
mod client_certificate_authority;
mod probe;
mod sweeper;

use std::{sync::Arc, time::Duration};

use aws_lc_rs::rand;
use kube::{Client, Config};
use thiserror::Error;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

pub use self::{
    availability::{Availabilities, Availability, Detail, Fault},
    client_certificate_authority::{Authorities, Authority},
};
use self::{
    certificate_signing_request_api::{CertificateSigningRequestApi, Remains},
    client_certificate_authority::ClientCertificateAuthority,
};
use crate::{
    credential::{CertificateRequest, Credential, SignError, StrategyKind, Subject},
    policy::Permit,
    runtime::{lease::Leadership, metrics::Metrics},
    time::Clock,
};

/// What the strategies need from outside.
pub struct Settings {
    /// For certificate requests.
    pub client: Client,
    /// How to reach the API server; the probe of our own authority connects with a certificate in place of our token.
    pub config: Config,
    /// The cluster's name, for the label on certificate requests.
    pub cluster: String,
    /// `ConfigMap <namespace>/<name>` where our authority's certificate is published, for the message to the admin.
    pub published_in: String,
    /// Our authority, as [`crate::controllers`] reads it from its Secret.
    pub authority: watch::Receiver<Authority>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Counts certificate requests under way.
    pub metrics: Metrics,
}

/// All strategies behind one door.
#[derive(Clone)]
pub struct Strategies {
    own: ClientCertificateAuthority,
    cluster: CertificateSigningRequestApi,
    states: watch::Sender<Availabilities>,
    /// Rung when a strategy failed in use, or is said to be otherwise: its prober looks again at once.
    doubts: Arc<Doubts>,
}

/// The tasks that keep the strategies honest. Whoever makes [`Strategies`] runs them.
pub struct Tasks {
    client: Client,
    strategies: Strategies,
    remains: Remains,
    next_is_trusted: watch::Sender<bool>,
}

/// Why there is no credential.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IssueError {
    /// Too many exchanges want the cluster's signer at once.
    #[error("too many exchanges are waiting for the cluster's signer")]
    Overloaded,
    /// The API server will not take this certificate request.
    #[error("{0}")]
    Refused(String),
    /// The client's certificate request names somebody else than the user, and the cluster's signer copies the name.
    /// This is whom it must name.
    #[error("certificate request subject must be the user's")]
    SubjectDiffers(Subject),
    /// The signer took the request and never answered.
    #[error("the cluster's signer did not answer in time")]
    TimedOut,
    /// No strategy works at present. The `CredentialIssuer` says why.
    #[error("no strategy can issue a credential at present")]
    Unavailable,
}

/// Why one strategy issued nothing.
#[derive(Debug)]
enum Failure {
    Internal(SignError),
    Overloaded,
    /// This request, by its own fault; others may do better.
    Refused(Detail),
    SubjectDiffers(Subject),
    TimedOut(Duration),
    /// The Secret has not been read yet.
    TooEarly,
    Unusable(Fault),
}

#[derive(Debug, Default)]
struct Doubts {
    own: Notify,
    cluster: Notify,
}

// === impl Strategies ===

impl Strategies {
    /// The strategies, untried, and the tasks that try them.
    #[must_use]
    pub fn new(settings: Settings) -> (Self, Tasks) {
        let Settings { client, config, cluster, published_in, authority, clock, metrics } = settings;
        let own = ClientCertificateAuthority::new(authority, config, published_in, clock.clone());
        let (cluster, remains) = CertificateSigningRequestApi::new(client.clone(), &cluster, clock, metrics);
        let states = watch::Sender::new(Availabilities::pending());
        let strategies = Self { own, cluster, states, doubts: Arc::default() };
        let tasks =
            Tasks { client, strategies: strategies.clone(), remains, next_is_trusted: watch::Sender::new(false) };
        (strategies, tasks)
    }

    /// Has a credential made for the permit's user by the first strategy that works.
    ///
    /// With our own authority only the key of `request` counts; with the cluster's signer its subject must be the
    /// user's. Without a request a key is made here. Cancelling is safe: what was left at the API server is deleted.
    ///
    /// # Errors
    /// See [`IssueError`].
    pub async fn issue(
        &self,
        permit: Permit,
        request: Option<CertificateRequest>,
        lifetime: Option<Duration>,
    ) -> Result<Credential, IssueError> {
        let offered = self.states.borrow().offered();
        let made = match offered {
            Some(StrategyKind::ClientCertificateAuthority) => self.own.issue(permit, request.as_ref(), lifetime),
            Some(StrategyKind::CertificateSigningRequestAPI) => {
                self.cluster.issue(permit, request.as_ref(), lifetime).await
            }
            None => return Err(IssueError::Unavailable),
        };
        let credential = made.map_err(|failure| self.failed(offered, failure))?;
        if let Some(clamp) = credential.clamped {
            tracing::debug!(serial = credential.serial, reason = %clamp, "Credential does not live as long as asked");
        }
        Ok(credential)
    }

    /// Whether a request would not be turned away only because nothing has been tried yet: some strategy works, or all
    /// were tried. A cluster in which nothing works still answers, with the reason; an API service that stays
    /// unavailable would stall the deletion of every namespace (kubernetes-authn.md 7.3).
    #[must_use]
    pub fn ready(&self) -> bool {
        let states = self.states.borrow();
        states.offered().is_some() || states.in_order().into_iter().all(|(_, state)| *state != Availability::Pending)
    }

    /// What is known of the strategies, now and whenever it changes.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Availabilities> {
        self.states.subscribe()
    }

    /// Has a strategy tried again at once, for somebody has reason to think that it is not as it was.
    pub fn doubt(&self, kind: StrategyKind) {
        self.doubts.about(kind).notify_one();
    }

    /// Notes a failure in use. A strategy that plainly broke is not offered again until a probe has seen it work; for
    /// anything that this one request may have caused, and for one unreachable moment, the probe alone decides: nobody
    /// shall take the strategy away from others.
    fn failed(&self, offered: Option<StrategyKind>, failure: Failure) -> IssueError {
        let (fault, error) = match failure {
            Failure::Overloaded => return IssueError::Overloaded,
            Failure::Refused(detail) => return IssueError::Refused(detail.to_string()),
            Failure::SubjectDiffers(subject) => return IssueError::SubjectDiffers(subject),
            Failure::TooEarly => return IssueError::Unavailable,
            Failure::Internal(error) => {
                tracing::error!(%error, "Credential not made");
                return IssueError::Unavailable;
            }
            Failure::TimedOut(limit) => (Fault::SignerNeverAnswered(limit), IssueError::TimedOut),
            Failure::Unusable(fault) => (fault, IssueError::Unavailable),
        };
        if let Some(kind) = offered {
            tracing::warn!(strategy = %kind, reason = %fault, "Strategy failed in use");
            if fault.is_plain() {
                self.set(kind, Availability::Unusable(fault));
            }
            self.doubt(kind);
        }
        error
    }

    fn set(&self, kind: StrategyKind, state: Availability) {
        self.states.send_if_modified(|states| {
            let known = states.of(kind);
            let changed = *known != state;
            if changed {
                match &state {
                    Availability::Usable => tracing::info!(strategy = %kind, "Strategy works"),
                    Availability::Unusable(fault) => {
                        tracing::info!(strategy = %kind, reason = %fault, "Strategy cannot be used");
                    }
                    Availability::Pending => {}
                }
                *known = state;
            }
            changed
        });
    }
}

// === impl Tasks ===

impl Tasks {
    /// Whether the API server has been seen to trust the next authority: the leader promotes it only then.
    #[must_use]
    pub fn next_is_trusted(&self) -> watch::Receiver<bool> {
        self.next_is_trusted.subscribe()
    }

    /// Probes, sweeps, and cleans up after dead replicas while leading, until `stop`. Credentials are issued until `served`:
    /// connections of the API server are kept, and bring exchanges until each has been told to go.
    pub async fn run(self, leadership: Leadership, stop: CancellationToken, served: CancellationToken) {
        let Self { client, strategies, remains, next_is_trusted } = self;
        let probes = {
            let stop = stop.clone();
            async move {
                tokio::join!(probe::own(&strategies, next_is_trusted, stop.clone()), probe::cluster(&strategies, stop));
                // The sweeper goes on while somebody may still issue; we shall not be the one it waits for.
                drop(strategies);
            }
        };
        tokio::join!(
            probes,
            sweeper::sweep(client.clone(), remains, served),
            sweeper::janitor(client, leadership, stop),
        );
    }
}

// === impl IssueError ===

impl IssueError {
    /// The sentence without what may name a person, for records that are to name nobody: the API server's words may.
    #[must_use]
    pub fn discreet(&self) -> String {
        match self {
            Self::Refused(_) => "the API server refused the certificate request".to_owned(),
            Self::Overloaded | Self::SubjectDiffers(_) | Self::TimedOut | Self::Unavailable => self.to_string(),
        }
    }

    /// The stable word for records and metrics.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Overloaded => "overloaded",
            Self::Refused(_) => "certificate-request-refused",
            Self::SubjectDiffers(_) => "certificate-request-subject",
            Self::TimedOut | Self::Unavailable => "signer-unavailable",
        }
    }
}

// === impl Failure ===

impl From<SignError> for Failure {
    fn from(error: SignError) -> Self {
        Self::Internal(error)
    }
}

// === impl Doubts ===

impl Doubts {
    const fn about(&self, kind: StrategyKind) -> &Notify {
        match kind {
            StrategyKind::CertificateSigningRequestAPI => &self.cluster,
            StrategyKind::ClientCertificateAuthority => &self.own,
        }
    }
}

/// Random bytes for names and serial numbers.
fn random<const BYTES: usize>() -> Result<[u8; BYTES], SignError> {
    let mut bytes = [0; BYTES];
    rand::fill(&mut bytes).map_err(|_| SignError)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
