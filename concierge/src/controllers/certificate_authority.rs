//! Our own certificate authority: made by the leader or brought by an admin, replaced with overlap, published for
//! kube-apiserver's `--client-ca-file`.
//!
//! The Secret `latchkey-client-certificate-authority`, of type `kubernetes.io/tls`:
//!
//! | key | holds |
//! |---|---|
//! | `tls.crt`, `tls.key` | the authority that signs |
//! | `next.crt`, `next.key` | the one that will sign, published two weeks before it may |
//! | `previous.crt` | the one before, trusted until it ends; its key is gone |
//! | `ca.crt` | all certificates of the above: what kube-apiserver must trust |
//!
//! Deleting the Secret makes a new authority at once, which nobody trusts yet: that is how a stolen key is replaced.
//!
//! An admin who brings an authority makes the Secret with `tls.crt` and `tls.key` (`kubectl create secret tls`, or
//! cert-manager). Without our label it is read and never written.

use std::{collections::BTreeMap, pin::pin, sync::Arc, time::Duration};

use aws_lc_rs::rand;
use futures::StreamExt as _;
use k8s_openapi::{
    api::core::v1::{ConfigMap, Secret},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    runtime::{WatchStreamExt as _, watcher::watch_object},
};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    authority_secret::{BUNDLE, Layout, MANAGED_LABEL, Succession},
    secret_keeper::{Keeper, Plan, keep},
};
use crate::{
    credential::{
        SerialBytes, SignError,
        succession::{Step, Terms},
    },
    runtime::{lease::Leadership, metrics::Metrics},
    strategies::{Authorities, Authority, Detail},
    time::{Clock, UnixTime},
    tls::validity::Validity,
};

/// Name of the Secret, and of the `ConfigMap` that publishes its certificates.
pub const NAME: &str = "latchkey-client-certificate-authority";

/// A year, as Pinniped's signer. Two weeks for whoever carries the new certificate to kube-apiserver's file, by hand if
/// need be; nobody loses anything if that takes longer, the old one signs on while it lives.
const TERMS: Terms = Terms { life: Duration::from_hours(24 * 365), overlap: Duration::from_hours(24 * 14) };

const LAYOUT: Layout =
    Layout { current: ("tls.crt", "tls.key"), next: ("next.crt", "next.key"), previous: "previous.crt" };

/// Owner of the `ConfigMap`'s data in server-side apply.
const FIELD_MANAGER: &str = "latchkey-concierge";
/// The watch tells of every change; this is for one that came while another was being made.
const REVIEW: Duration = Duration::from_mins(10);
const RETRY: Duration = Duration::from_secs(5);
const REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// What this controller needs.
pub struct Settings {
    /// For the Secret and the `ConfigMap`.
    pub client: Client,
    /// Our namespace.
    pub namespace: String,
    /// The cluster's name, which becomes part of the authority's.
    pub cluster: String,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Whether this replica writes.
    pub leadership: Leadership,
    /// From [`crate::strategies::Tasks::next_is_trusted`].
    pub next_is_trusted: watch::Receiver<bool>,
    /// Where every replica learns what the Secret holds.
    pub authority: watch::Sender<Authority>,
    /// Where the authority's end is told.
    pub metrics: Metrics,
}

struct Custodian {
    cluster: String,
    next_is_trusted: watch::Receiver<bool>,
    authority: watch::Sender<Authority>,
    metrics: Metrics,
}

/// `ConfigMap <namespace>/<name>`, for messages.
#[must_use]
pub fn published_in(namespace: &str) -> String {
    format!("ConfigMap {namespace}/{NAME} (key {BUNDLE})")
}

/// Keeps the authority until `stop`.
pub async fn run(settings: Settings, stop: CancellationToken) {
    let Settings { client, namespace, cluster, clock, leadership, next_is_trusted, authority, metrics } = settings;
    let published = authority.subscribe();
    let custodian = Custodian { cluster, next_is_trusted, authority, metrics };
    tokio::join!(
        keep(client.clone(), &namespace, custodian, leadership.clone(), clock, stop.clone()),
        publish(client, &namespace, published, leadership, stop),
    );
}

// === impl Custodian ===

impl Keeper for Custodian {
    const REPLACES_STUBBORN: bool = false;

    fn name(&self) -> &'static str {
        NAME
    }

    fn publish(&mut self, secret: Option<&Secret>) {
        let found = secret.map_or(Authority::Missing, |secret| judge(&read(secret)));
        let ends = match &found {
            Authority::Ready(authorities) => Validity::of_bundle(authorities.current.certificate().pem().as_bytes()),
            Authority::Pending | Authority::Missing | Authority::Broken(_) => None,
        };
        Validity::tell(ends, "client-ca", &self.metrics);
        self.authority.send_replace(found);
    }

    fn plan(&mut self, secret: Option<&Secret>, now: UnixTime) -> Result<Plan, SignError> {
        let trusted = *self.next_is_trusted.borrow_and_update();
        plan(secret, &self.cluster, trusted, now)
    }

    async fn nudged(&mut self) {
        if self.next_is_trusted.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

fn read(secret: &Secret) -> Succession {
    secret.data.as_ref().map(|data| Succession::read(data, &LAYOUT)).unwrap_or_default()
}

fn judge(succession: &Succession) -> Authority {
    match (&succession.current, &succession.fault) {
        (Some(current), _) => Authority::Ready(Arc::new(Authorities {
            current: current.authority.clone(),
            next: succession.next.as_ref().map(|next| next.authority.clone()),
            bundle: succession.bundle(),
        })),
        (None, Some(fault)) => Authority::Broken(Detail::of(fault)),
        (None, None) => Authority::Broken(Detail::new("expected the keys tls.crt and tls.key")),
    }
}

/// Whether the Secret is ours to change.
fn is_ours(secret: &Secret) -> bool {
    let labels = secret.metadata.labels.as_ref();
    labels.and_then(|labels| labels.get(MANAGED_LABEL.0)).is_some_and(|value| value == MANAGED_LABEL.1)
}

fn plan(secret: Option<&Secret>, cluster: &str, next_is_trusted: bool, now: UnixTime) -> Result<Plan, SignError> {
    if secret.is_some_and(|secret| !is_ours(secret)) {
        return Ok(Plan::Wait(now.plus(TERMS.life)));
    }
    let mut succession = secret.map(read).unwrap_or_default();
    let step = TERMS.step(&succession.generations(), next_is_trusted, now);
    if let Step::Rest(until) = step {
        return Ok(Plan::Wait(until));
    }
    tracing::info!(?step, "Client certificate authority moves on");
    let mut serial: SerialBytes = [0; 16];
    rand::fill(&mut serial).map_err(|_| SignError)?;
    succession.take(step, &TERMS, &format!("Latchkey client CA of {cluster}"), serial, now)?;
    let mut wanted = secret.cloned().unwrap_or_else(|| Secret {
        metadata: ObjectMeta {
            name: Some(NAME.to_owned()),
            labels: Some(BTreeMap::from([(MANAGED_LABEL.0.to_owned(), MANAGED_LABEL.1.to_owned())])),
            ..ObjectMeta::default()
        },
        type_: Some("kubernetes.io/tls".to_owned()),
        ..Secret::default()
    });
    wanted.data = Some(succession.write(&LAYOUT));
    Ok(Plan::Write(Box::new(wanted)))
}

/// Keeps the `ConfigMap` equal to the authority's bundle, while leading.
async fn publish(
    client: Client,
    namespace: &str,
    mut authority: watch::Receiver<Authority>,
    mut leadership: Leadership,
    stop: CancellationToken,
) {
    let maps: Api<ConfigMap> = Api::namespaced(client, namespace);
    let mut events = pin!(watch_object(maps.clone(), NAME).default_backoff());
    let mut known: Option<Option<ConfigMap>> = None;
    let mut led = false;
    let mut wait = REVIEW;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            event = events.next() => match event {
                Some(Ok(map)) => known = Some(map),
                Some(Err(error)) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "Published certificates not watched");
                    continue;
                }
                None => return,
            },
            () = leadership.switched(led) => {}
            Ok(()) = authority.changed() => {}
            () = sleep(wait) => {}
        }
        led = leadership.is_leader();
        wait = REVIEW;
        let bundle = match &*authority.borrow_and_update() {
            Authority::Ready(authorities) => authorities.bundle.clone(),
            Authority::Pending | Authority::Missing | Authority::Broken(_) => continue,
        };
        let Some(map) = known.as_ref().filter(|_| led) else { continue };
        let published = map.as_ref().and_then(|map| map.data.as_ref()?.get(BUNDLE));
        if published == Some(&bundle) {
            continue;
        }
        match timeout(REQUEST_LIMIT, apply(&maps, bundle)).await {
            Ok(Ok(())) => tracing::info!(config_map = NAME, "Client certificate authority published"),
            Ok(Err(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "Client certificate authority not published");
                wait = RETRY;
            }
            Err(_) => wait = RETRY,
        }
    }
}

async fn apply(maps: &Api<ConfigMap>, bundle: String) -> kube::Result<()> {
    let map = ConfigMap {
        metadata: ObjectMeta {
            name: Some(NAME.to_owned()),
            labels: Some(BTreeMap::from([(MANAGED_LABEL.0.to_owned(), MANAGED_LABEL.1.to_owned())])),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([(BUNDLE.to_owned(), bundle)])),
        ..ConfigMap::default()
    };
    maps.patch(NAME, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&map)).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_795_233_600);
    const DAY: Duration = Duration::from_hours(24);

    fn written(plan: Result<Plan, SignError>) -> Secret {
        match plan.unwrap() {
            Plan::Write(mut secret) => {
                secret.metadata.resource_version = Some("1".to_owned());
                *secret
            }
            Plan::Wait(until) => panic!("expected a write, found a wait until {until}"),
        }
    }

    fn rests(plan: Result<Plan, SignError>) -> UnixTime {
        match plan.unwrap() {
            Plan::Wait(until) => until,
            Plan::Write(_) => panic!("expected to rest"),
        }
    }

    #[test]
    fn an_absent_secret_is_made_and_then_left_alone() {
        let secret = written(plan(None, "staging", false, NOW));
        assert_eq!(secret.type_.as_deref(), Some("kubernetes.io/tls"));
        assert!(is_ours(&secret));
        let Authority::Ready(authorities) = judge(&read(&secret)) else { panic!("must be usable at once") };
        assert_eq!(authorities.bundle.matches("BEGIN").count(), 1);
        assert!(rests(plan(Some(&secret), "staging", false, NOW)) > NOW.plus(DAY * 200));
    }

    #[test]
    fn the_next_one_signs_when_it_is_trusted_and_not_before() {
        let first = written(plan(None, "staging", false, NOW));
        let renewal = NOW.plus(DAY * 244);
        let with_next = written(plan(Some(&first), "staging", false, renewal));
        let signer = |secret: &Secret| read(secret).current.unwrap().authority.certificate().fingerprint();
        assert_eq!(signer(&with_next), signer(&first));
        assert_eq!(read(&with_next).bundle().matches("BEGIN").count(), 2);
        let overlap_over = renewal.plus(DAY * 15);
        rests(plan(Some(&with_next), "staging", true, renewal.plus(DAY)));
        rests(plan(Some(&with_next), "staging", false, overlap_over));
        let promoted = written(plan(Some(&with_next), "staging", true, overlap_over));
        assert_ne!(signer(&promoted), signer(&first));
        assert_eq!(read(&promoted).bundle().matches("BEGIN").count(), 2, "the first is still trusted");
        let last_call = written(plan(Some(&with_next), "staging", false, NOW.plus(DAY * 364)));
        assert_eq!(signer(&last_call), signer(&promoted), "an ending authority gives way in any case");
    }

    #[test]
    fn what_an_admin_brought_is_never_written_however_old_or_broken() {
        let mut brought = written(plan(None, "staging", false, NOW));
        brought.metadata.labels = None;
        rests(plan(Some(&brought), "staging", false, NOW.plus(DAY * 1_000)));
        brought.data = None;
        rests(plan(Some(&brought), "staging", false, NOW));
        let Authority::Broken(detail) = judge(&read(&brought)) else { panic!("must be broken") };
        assert_eq!(detail.to_string(), "expected the keys tls.crt and tls.key");
    }

    #[test]
    fn a_broken_secret_of_ours_is_made_anew() {
        let mut broken = written(plan(None, "staging", false, NOW));
        broken.data.as_mut().unwrap().get_mut("tls.key").unwrap().0 = b"garbage".to_vec();
        assert!(matches!(judge(&read(&broken)), Authority::Broken(_)));
        let mended = written(plan(Some(&broken), "staging", false, NOW));
        assert!(matches!(judge(&read(&mended)), Authority::Ready(_)));
        assert_eq!(mended.metadata.resource_version, broken.metadata.resource_version, "replaced, not created");
    }
}
