//! The cluster's own signer: create, approve, wait, look, take, delete (`certificates.k8s.io/v1`).
//!
//! The API server stamps *our* service account on the object, so who the human was stands in our audit log alone; no
//! user name goes into the object's name or labels.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _, pin_mut};
use k8s_openapi::{
    ByteString,
    api::certificates::v1::{
        CertificateSigningRequest, CertificateSigningRequestCondition, CertificateSigningRequestSpec,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client,
    api::{PostParams, WatchEvent, WatchParams},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, timeout, timeout_at},
};

use super::{
    Failure,
    availability::{Detail, Fault},
    random,
};
use crate::{
    credential::{CertificateRequest, ClientKey, Credential, Lifetime, StrategyKind, Subject, accept},
    policy::Permit,
    runtime::metrics::Metrics,
    time::Clock,
};

/// The in-tree signer for client certificates.
const SIGNER: &str = "kubernetes.io/kube-apiserver-client";
/// Says which cluster's concierge made the object. Its presence is what the janitor goes by.
pub(super) const LABEL: &str = "latchkey.dev/cluster";
/// Begins every name. Not `csr-`: an EKS bug ignores those (aws/containers-roadmap 2079).
pub(super) const NAME_PREFIX: &str = "latchkey-";

/// Longest time from creation to certificate. The signer's queue answers well under a second when it answers.
const LIMIT: Duration = Duration::from_secs(10);
/// Requests under way at once, their deletion included. kube-controller-manager's client makes 20 writes a second by
/// default, so more would only stand in its queue and lose their time there.
pub(super) const IN_FLIGHT: usize = 32;
/// Requests waiting for one of those places; a hundred people logging in at nine o'clock, and some.
const WAITING: usize = 128;
/// How long they wait. With [`LIMIT`] well under the aggregation layer's 60 s.
const PATIENCE: Duration = Duration::from_secs(5);

/// The strategy.
#[derive(Clone)]
pub(super) struct CertificateSigningRequestApi {
    requests: Api<CertificateSigningRequest>,
    /// The value of [`LABEL`].
    cluster: String,
    clock: Arc<dyn Clock>,
    /// Who finds no chair is turned away at once.
    waiting_room: Arc<Semaphore>,
    slots: Arc<Semaphore>,
    debris: mpsc::Sender<Debris>,
    metrics: Metrics,
}

/// An object to delete, with the place it holds until it is gone: a slow deletion slows creation down, so objects of
/// ours never pile up.
pub(super) struct Debris {
    pub(super) name: String,
    pub(super) slot: Slot,
}

/// What [`super::sweeper`] takes care of.
pub(super) struct Remains {
    pub(super) debris: mpsc::Receiver<Debris>,
    pub(super) slots: Arc<Semaphore>,
}

/// One of the places for requests under way, counted.
pub(super) struct Slot {
    metrics: Metrics,
    _permit: OwnedSemaphorePermit,
}

/// Deletes its object when dropped, however the exchange ended: granted, failed, or cancelled by the client.
struct Leftover {
    debris: mpsc::Sender<Debris>,
    held: Option<Debris>,
}

// === impl CertificateSigningRequestApi ===

impl CertificateSigningRequestApi {
    /// The strategy, and the objects it leaves for [`super::sweeper`].
    pub(super) fn new(client: Client, cluster: &str, clock: Arc<dyn Clock>, metrics: Metrics) -> (Self, Remains) {
        // One place for each slot: sending never fails for want of room.
        let (debris, receiver) = mpsc::channel(IN_FLIGHT);
        let slots = Arc::new(Semaphore::new(IN_FLIGHT));
        let remains = Remains { debris: receiver, slots: slots.clone() };
        let strategy = Self {
            requests: Api::all(client),
            cluster: label_value(cluster),
            clock,
            waiting_room: Arc::new(Semaphore::new(WAITING)),
            slots,
            debris,
            metrics,
        };
        (strategy, remains)
    }

    /// Has a certificate signed for the permit's user.
    pub(super) async fn issue(
        &self,
        permit: Permit,
        request: Option<&CertificateRequest>,
        lifetime: Option<Duration>,
    ) -> Result<Credential, Failure> {
        // Said by the permit already; said again at the door through which nothing can be called back.
        if permit.user().is_master() || permit.user().unadmitted_name().is_some() {
            return Err(Failure::Refused(Detail::new("names that Kubernetes reserves are not certified")));
        }
        let subject = Subject::of(permit.user());
        drop(permit);
        if let Some(request) = request
            && !request.subject().is_some_and(|named| named.is_same_identity(&subject))
        {
            return Err(Failure::SubjectDiffers(subject));
        }
        let lifetime = Lifetime::choose(StrategyKind::CertificateSigningRequestAPI, lifetime);
        self.sign(&subject, request, lifetime).await
    }

    /// Has a certificate signed for a user without rights, to learn whether the signer works.
    pub(super) async fn probe(&self) -> Result<(), Failure> {
        let lifetime = Lifetime::choose(StrategyKind::CertificateSigningRequestAPI, None);
        self.sign(&Subject::probe(), None, lifetime).await.map(drop)
    }

    pub(super) async fn sign(
        &self,
        subject: &Subject,
        request: Option<&CertificateRequest>,
        lifetime: Lifetime,
    ) -> Result<Credential, Failure> {
        let (made_key, built);
        let (request, key) = if let Some(request) = request {
            (request, None)
        } else {
            made_key = ClientKey::generate()?;
            built = CertificateRequest::build(subject, &made_key)?;
            (&built, Some(&made_key))
        };
        let slot = self.slot().await?;
        let name = format!("{NAME_PREFIX}{}", hex::encode(random::<10>()?));
        // Armed before the request is sent: a creation whose answer never arrives is deleted too.
        let _leftover = Leftover { debris: self.debris.clone(), held: Some(Debris { name: name.clone(), slot }) };
        let certificate = self.certificate(&name, request, lifetime).await?;
        let mut credential = accept(&certificate, subject, request, lifetime, self.clock.now())
            .map_err(|fault| Failure::Unusable(Fault::SignerMisbehaved(fault)))?;
        credential.private_key_pem = key.map(ClientKey::to_pem).transpose()?;
        Ok(credential)
    }

    async fn slot(&self) -> Result<Slot, Failure> {
        let permit = if let Ok(permit) = self.slots.clone().try_acquire_owned() {
            permit
        } else {
            let _chair = self.waiting_room.try_acquire().map_err(|_| Failure::Overloaded)?;
            let permit = timeout(PATIENCE, self.slots.clone().acquire_owned()).await;
            permit.ok().and_then(Result::ok).ok_or(Failure::Overloaded)?
        };
        Ok(Slot::new(permit, self.metrics.clone()))
    }

    async fn certificate(
        &self,
        name: &str,
        request: &CertificateRequest,
        lifetime: Lifetime,
    ) -> Result<Vec<u8>, Failure> {
        let end = Instant::now() + LIMIT;
        let approved = timeout_at(end, self.approved(name, request, lifetime)).await.map_err(|_| {
            // Not the signer's fault: it has not been asked yet.
            let text = format!("a certificate request was not created and approved within {} s", LIMIT.as_secs());
            Failure::Unusable(Fault::Unreachable(Detail::new(&text)))
        })??;
        timeout_at(end, self.wait(approved)).await.map_err(|_| Failure::TimedOut(LIMIT))?
    }

    async fn approved(
        &self,
        name: &str,
        request: &CertificateRequest,
        lifetime: Lifetime,
    ) -> Result<CertificateSigningRequest, Failure> {
        let params = PostParams::default();
        let object = self.object(name, request, lifetime);
        let created = self.requests.create(&params, &object).await.map_err(|error| refused(&error))?;
        let approved = approve(created);
        let approved = self.requests.replace_subresource("approval", name, &params, &approved).await;
        approved.map_err(|error| refused(&error))
    }

    /// Waits for the signer's answer; bounded by the caller.
    async fn wait(&self, mut object: CertificateSigningRequest) -> Result<Vec<u8>, Failure> {
        let name = object.metadata.name.clone().unwrap_or_default();
        let selected = WatchParams::default()
            .fields(&format!("metadata.name={name}"))
            .timeout(LIMIT.as_secs().try_into().unwrap_or(u32::MAX));
        loop {
            if let Some(answer) = answer(&object) {
                return answer;
            }
            let version = object.metadata.resource_version.clone().unwrap_or_default();
            let events = self.requests.watch(&selected, &version).await.map_err(|error| refused(&error))?.fuse();
            pin_mut!(events);
            while let Ok(Some(event)) = events.try_next().await {
                match event {
                    WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                        if let Some(answer) = answer(&object) {
                            return answer;
                        }
                    }
                    WatchEvent::Deleted(_) => {
                        let detail = Detail::new("the certificate request was deleted by somebody");
                        return Err(Failure::Unusable(Fault::SignerFailed(detail)));
                    }
                    WatchEvent::Bookmark(_) => {}
                    // 410 Gone and the like: read anew.
                    WatchEvent::Error(_) => break,
                }
            }
            object = self.requests.get(&name).await.map_err(|error| refused(&error))?;
        }
    }

    fn object(&self, name: &str, request: &CertificateRequest, lifetime: Lifetime) -> CertificateSigningRequest {
        CertificateSigningRequest {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                labels: Some(BTreeMap::from([(LABEL.to_owned(), self.cluster.clone())])),
                ..ObjectMeta::default()
            },
            spec: CertificateSigningRequestSpec {
                request: ByteString(request.pem().into_bytes()),
                signer_name: SIGNER.to_owned(),
                expiration_seconds: lifetime.length().as_secs().try_into().ok(),
                usages: Some(vec!["client auth".to_owned(), "digital signature".to_owned()]),
                ..CertificateSigningRequestSpec::default()
            },
            status: None,
        }
    }
}

fn approve(mut object: CertificateSigningRequest) -> CertificateSigningRequest {
    let approved = CertificateSigningRequestCondition {
        type_: "Approved".to_owned(),
        status: "True".to_owned(),
        reason: Some("LatchkeyExchange".to_owned()),
        message: Some("The holder showed a token that this cluster's authenticator accepts.".to_owned()),
        ..CertificateSigningRequestCondition::default()
    };
    object.status.get_or_insert_default().conditions.get_or_insert_default().push(approved);
    object
}

/// The signer's answer, if it has come.
fn answer(object: &CertificateSigningRequest) -> Option<Result<Vec<u8>, Failure>> {
    let status = object.status.as_ref()?;
    if let Some(certificate) = status.certificate.as_ref().filter(|certificate| !certificate.0.is_empty()) {
        return Some(Ok(certificate.0.clone()));
    }
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let failed = conditions.iter().find(|condition| matches!(condition.type_.as_str(), "Failed" | "Denied"))?;
    let said = [Some(failed.type_.as_str()), failed.reason.as_deref(), failed.message.as_deref()];
    let detail = Detail::new(&said.into_iter().flatten().collect::<Vec<_>>().join(": "));
    Some(Err(Failure::Unusable(Fault::SignerFailed(detail))))
}

fn refused(error: &kube::Error) -> Failure {
    match error {
        kube::Error::Api(status) if status.code == 403 || status.code == 401 => {
            Failure::Unusable(Fault::ApprovalForbidden(Detail::new(&status.message)))
        }
        // What the API server finds wrong with the request itself.
        kube::Error::Api(status) if status.code == 400 || status.code == 422 => {
            Failure::Refused(Detail::new(&status.message))
        }
        other => Failure::Unusable(Fault::Unreachable(Detail::of(other))),
    }
}

/// A cluster name as a label value: at most 63 of letters, digits, `-`, `_`, `.`, alphanumeric at both ends.
fn label_value(cluster: &str) -> String {
    let legal = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
    let value: String = cluster.chars().map(legal).take(63).collect();
    value.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

impl Slot {
    fn new(permit: OwnedSemaphorePermit, metrics: Metrics) -> Self {
        metrics.csr_in_flight(1);
        Self { metrics, _permit: permit }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.metrics.csr_in_flight(-1);
    }
}

impl Drop for Leftover {
    fn drop(&mut self) {
        if let Some(debris) = self.held.take()
            && let Err(error) = self.debris.try_send(debris)
        {
            // Only after the sweeper has ended, at shutdown: the leader's janitor finds the object by its label.
            tracing::debug!(name = %error.into_inner().name, "Certificate request left to the janitor");
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::certificates::v1::CertificateSigningRequestStatus;

    use super::*;

    fn with(certificate: &[u8], conditions: &[(&str, &str)]) -> CertificateSigningRequest {
        CertificateSigningRequest {
            status: Some(CertificateSigningRequestStatus {
                certificate: Some(ByteString(certificate.to_vec())),
                conditions: Some(
                    conditions
                        .iter()
                        .map(|(type_, message)| CertificateSigningRequestCondition {
                            type_: (*type_).to_owned(),
                            message: Some((*message).to_owned()),
                            ..CertificateSigningRequestCondition::default()
                        })
                        .collect(),
                ),
            }),
            ..CertificateSigningRequest::default()
        }
    }

    #[test]
    fn an_answer_is_a_certificate_or_a_failure() {
        assert!(answer(&CertificateSigningRequest::default()).is_none());
        assert!(answer(&with(b"", &[("Approved", "")])).is_none());
        assert!(matches!(answer(&with(b"pem", &[("Approved", "")])), Some(Ok(pem)) if pem == b"pem"));
        for condition in ["Failed", "Denied"] {
            let failed = answer(&with(b"", &[("Approved", ""), (condition, "invalid usage")]));
            let Some(Err(Failure::Unusable(Fault::SignerFailed(detail)))) = failed else {
                panic!("{condition} must be a failure")
            };
            assert_eq!(detail.to_string(), format!("{condition}: invalid usage"));
        }
    }

    #[test]
    fn approving_keeps_what_is_there() {
        let approved = approve(with(b"", &[("Other", "kept")]));
        let types: Vec<_> = approved.status.unwrap().conditions.unwrap().into_iter().map(|c| c.type_).collect();
        assert_eq!(types, ["Other", "Approved"]);
    }

    #[test]
    fn any_cluster_name_makes_a_legal_label() {
        for (name, label) in [
            ("staging", "staging"),
            ("eu/prod 1", "eu-prod-1"),
            ("-x-", "x"),
            ("ü", ""),
            (&"a".repeat(80), &"a".repeat(63)),
        ] {
            assert_eq!(label_value(name), *label);
        }
    }

    #[tokio::test]
    async fn a_cancelled_exchange_leaves_its_object_to_the_sweeper() {
        let (debris, mut receiver) = mpsc::channel(IN_FLIGHT);
        let slots = Arc::new(Semaphore::new(1));
        let slot = Slot::new(slots.clone().acquire_owned().await.unwrap(), Metrics::new());
        let exchange = async move {
            let _leftover = Leftover { debris, held: Some(Debris { name: "latchkey-x".into(), slot }) };
            std::future::pending::<()>().await;
        };
        assert!(timeout(Duration::from_millis(1), exchange).await.is_err());
        let debris = receiver.recv().await.unwrap();
        assert_eq!((debris.name.as_str(), slots.available_permits()), ("latchkey-x", 0), "the place is held");
        drop(debris);
        assert_eq!(slots.available_permits(), 1);
    }
}
