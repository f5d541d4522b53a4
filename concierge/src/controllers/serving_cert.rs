//! The aggregated API's serving certificate: made, stored and rotated by the leader, loaded by every replica.
//!
//! The Secret `latchkey-concierge-api-serving-certificate`, of type `kubernetes.io/tls`:
//!
//! | key | holds |
//! |---|---|
//! | `tls.crt`, `tls.key` | the serving certificate, 30 days, renewed when 20 are over |
//! | `authority.crt`, `authority.key` | its authority, one year |
//! | `next-authority.crt`, `next-authority.key` | the next authority, in the bundle an hour before it signs |
//! | `previous-authority.crt` | the one before, in the bundle until it ends |
//! | `ca.crt` | the bundle that goes into `caBundle` of the API services |
//!
//! Everything here can be made again at any time, so whatever stands in its place and does not work is replaced.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use aws_lc_rs::rand;
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::Client;
use rustls::{crypto::aws_lc_rs::default_provider, sign::CertifiedKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    authority_secret::{Layout, MANAGED_LABEL, Succession},
    secret_keeper::{Keeper, Plan, keep},
};
use crate::{
    credential::{
        SerialBytes, SignError, leaf_due, serve,
        succession::{Step, Terms},
    },
    runtime::{lease::Leadership, metrics::Metrics},
    time::{Clock, UnixTime},
    tls::validity::Validity,
};

/// Name of the Secret.
pub const NAME: &str = "latchkey-concierge-api-serving-certificate";

/// The API services take up a new bundle within seconds; an hour is for a leader that was away just then.
const TERMS: Terms = Terms { life: Duration::from_hours(24 * 365), overlap: Duration::from_hours(1) };

const LAYOUT: Layout = Layout {
    current: ("authority.crt", "authority.key"),
    next: ("next-authority.crt", "next-authority.key"),
    previous: "previous-authority.crt",
};

const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

/// Steps in one plan at most: make or promote, forget, and then rest. The rest is for the next plan.
const MAX_STEPS: u8 = 4;

/// What this controller needs.
pub struct Settings {
    /// For the Secret.
    pub client: Client,
    /// Our namespace.
    pub namespace: String,
    /// The Service that the API services name.
    pub service: String,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Whether this replica writes.
    pub leadership: Leadership,
    /// What the listener serves with.
    pub certificate: watch::Sender<Option<Arc<CertifiedKey>>>,
    /// PEM of what clients must trust, for [`super::api_service`].
    pub bundle: watch::Sender<Option<String>>,
    /// Where the end of each certificate is told.
    pub metrics: Metrics,
}

struct Custodian {
    names: Vec<String>,
    certificate: watch::Sender<Option<Arc<CertifiedKey>>>,
    bundle: watch::Sender<Option<String>>,
    metrics: Metrics,
}

/// Keeps the certificate until `stop`.
pub async fn run(settings: Settings, stop: CancellationToken) {
    let Settings { client, namespace, service, clock, leadership, certificate, bundle, metrics } = settings;
    // The aggregator connects with the first as server name; in-cluster clients may use either.
    let names = vec![format!("{service}.{namespace}.svc"), format!("{service}.{namespace}.svc.cluster.local")];
    let custodian = Custodian { names, certificate, bundle, metrics };
    keep(client, &namespace, custodian, leadership, clock, stop).await;
}

// === impl Custodian ===

impl Keeper for Custodian {
    const REPLACES_STUBBORN: bool = true;

    fn name(&self) -> &'static str {
        NAME
    }

    /// A Secret that cannot be used changes nothing: the last good certificate serves on until the leader has mended it.
    fn publish(&mut self, secret: Option<&Secret>) {
        let Some(data) = secret.and_then(|secret| secret.data.as_ref()) else { return };
        match certified_key(data) {
            Ok(key) => {
                let succession = Succession::read(data, &LAYOUT);
                let authority = succession.current.as_ref().map(|current| current.authority.certificate().pem());
                let ends = authority.and_then(|pem| Validity::of_bundle(pem.as_bytes()));
                Validity::tell(ends, "serving-ca", &self.metrics);
                Validity::tell(Validity::of_chain(&key.cert), "serving", &self.metrics);
                let bundle = succession.bundle();
                self.bundle.send_if_modified(|known| {
                    let changed = known.as_ref() != Some(&bundle);
                    *known = Some(bundle);
                    changed
                });
                self.certificate.send_if_modified(|known| {
                    let changed = known.as_ref().is_none_or(|known| known.cert != key.cert);
                    if changed {
                        tracing::info!("Serving certificate loaded");
                        *known = Some(Arc::new(key));
                    }
                    changed
                });
            }
            Err(reason) => tracing::warn!(secret = NAME, reason, "Serving certificate not usable"),
        }
    }

    fn plan(&mut self, secret: Option<&Secret>, now: UnixTime) -> Result<Plan, SignError> {
        plan(secret, &self.names, now)
    }

    async fn nudged(&mut self) {
        std::future::pending::<()>().await;
    }
}

fn text<'a>(data: &'a BTreeMap<String, ByteString>, key: &str) -> &'a str {
    data.get(key).map_or("", |value| std::str::from_utf8(&value.0).unwrap_or(""))
}

fn certified_key(data: &BTreeMap<String, ByteString>) -> Result<CertifiedKey, &'static str> {
    let certificate = CertificateDer::from_pem_slice(text(data, CERTIFICATE).as_bytes())
        .map_err(|_| "expected a PEM certificate under tls.crt")?;
    let key = PrivateKeyDer::from_pem_slice(text(data, KEY).as_bytes())
        .map_err(|_| "expected a PEM private key under tls.key")?;
    CertifiedKey::from_der(vec![certificate], key, &default_provider())
        .map_err(|_| "tls.key does not belong to tls.crt")
}

fn plan(secret: Option<&Secret>, names: &[String], now: UnixTime) -> Result<Plan, SignError> {
    let nothing = BTreeMap::new();
    let stored = secret.and_then(|secret| secret.data.as_ref()).unwrap_or(&nothing);
    let mut succession = Succession::read(stored, &LAYOUT);
    let mut wake = now.plus(TERMS.life);
    let mut changed = false;
    for _ in 0..MAX_STEPS {
        // Those who must trust the next authority are the API services, and they get the bundle from us.
        let step = TERMS.step(&succession.generations(), true, now);
        if let Step::Rest(until) = step {
            wake = until;
            break;
        }
        tracing::info!(?step, "Serving certificate authority moves on");
        succession.take(step, &TERMS, "Latchkey aggregated API CA", random()?, now)?;
        changed = true;
    }
    let Some(signer) = succession.current.as_ref().map(|stored| stored.authority.clone()) else {
        return Err(SignError);
    };
    let mut data = succession.write(&LAYOUT);
    let leaf = text(stored, CERTIFICATE);
    let due = leaf_due(leaf, signer.certificate(), names, now);
    match due {
        Ok(renewal) if certified_key(stored).is_ok() => {
            wake = wake.min(renewal);
            for key in [CERTIFICATE, KEY] {
                data.extend(stored.get_key_value(key).map(|(key, value)| (key.clone(), value.clone())));
            }
        }
        _ => {
            tracing::info!(reason = ?due.err(), "Making a serving certificate");
            let made = serve(&signer, names, random()?, now)?;
            data.insert(CERTIFICATE.to_owned(), ByteString(made.certificate_pem.into_bytes()));
            data.insert(KEY.to_owned(), ByteString(made.key_pem.as_bytes().to_vec()));
            changed = true;
        }
    }
    if !changed {
        return Ok(Plan::Wait(wake));
    }
    let mut wanted = secret.cloned().unwrap_or_else(|| Secret {
        metadata: ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() },
        type_: Some("kubernetes.io/tls".to_owned()),
        ..Secret::default()
    });
    let labels = wanted.metadata.labels.get_or_insert_default();
    labels.insert(MANAGED_LABEL.0.to_owned(), MANAGED_LABEL.1.to_owned());
    wanted.data = Some(data);
    Ok(Plan::Write(Box::new(wanted)))
}

fn random() -> Result<SerialBytes, SignError> {
    let mut serial = [0; 16];
    rand::fill(&mut serial).map_err(|_| SignError)?;
    Ok(serial)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_795_233_600);
    const DAY: Duration = Duration::from_hours(24);

    fn names() -> Vec<String> {
        vec!["api.latchkey.svc".to_owned(), "api.latchkey.svc.cluster.local".to_owned()]
    }

    fn written(secret: Option<&Secret>, now: UnixTime) -> Secret {
        match plan(secret, &names(), now).unwrap() {
            Plan::Write(secret) => *secret,
            Plan::Wait(until) => panic!("expected a write, found a wait until {until}"),
        }
    }

    fn rests(secret: &Secret, now: UnixTime) -> UnixTime {
        match plan(Some(secret), &names(), now).unwrap() {
            Plan::Wait(until) => until,
            Plan::Write(_) => panic!("expected to rest"),
        }
    }

    fn data(secret: &Secret) -> &BTreeMap<String, ByteString> {
        secret.data.as_ref().unwrap()
    }

    #[test]
    fn an_absent_secret_is_made_whole_in_one_write() {
        let secret = written(None, NOW);
        assert!(certified_key(data(&secret)).is_ok());
        assert_eq!(text(data(&secret), "ca.crt"), text(data(&secret), "authority.crt"));
        let wake = rests(&secret, NOW);
        assert!(wake > NOW.plus(DAY * 19) && wake < NOW.plus(DAY * 21), "{wake}");
    }

    #[test]
    fn a_leaf_of_age_is_renewed_by_the_same_authority() {
        let first = written(None, NOW);
        let second = written(Some(&first), NOW.plus(DAY * 21));
        assert_ne!(text(data(&first), CERTIFICATE), text(data(&second), CERTIFICATE));
        assert_eq!(text(data(&first), "authority.crt"), text(data(&second), "authority.crt"));
        assert_eq!(text(data(&first), "ca.crt"), text(data(&second), "ca.crt"));
    }

    #[test]
    fn anything_that_does_not_work_is_replaced() {
        let good = written(None, NOW);
        let other_key = written(None, NOW);
        let mut cases = vec![("empty", Secret { data: None, ..good.clone() })];
        for (name, key) in [
            ("leaf gone", CERTIFICATE),
            ("key gone", KEY),
            ("authority gone", "authority.crt"),
            ("its key gone", "authority.key"),
        ] {
            let mut secret = good.clone();
            secret.data.as_mut().unwrap().remove(key);
            cases.push((name, secret));
            let mut secret = good.clone();
            secret.data.as_mut().unwrap().insert(key.to_owned(), ByteString(b"\xff garbage".to_vec()));
            cases.push((name, secret));
        }
        let mut swapped = good.clone();
        swapped.data.as_mut().unwrap().insert(KEY.to_owned(), data(&other_key)[KEY].clone());
        cases.push(("somebody else's key", swapped));
        cases.push(("somebody else's Secret", other_key_only(&good, &other_key)));
        for (name, secret) in cases {
            let mended = written(Some(&secret), NOW);
            assert!(certified_key(data(&mended)).is_ok(), "{name}");
            rests(&mended, NOW);
        }
    }

    fn other_key_only(good: &Secret, other: &Secret) -> Secret {
        let mut foreign = good.clone();
        let data = foreign.data.as_mut().unwrap();
        for key in [CERTIFICATE, KEY] {
            data.insert(key.to_owned(), other.data.as_ref().unwrap()[key].clone());
        }
        foreign
    }

    /// A year and a half, an hour at a time: whoever has the bundle of an hour ago trusts what is served now.
    #[test]
    fn no_reader_of_the_bundle_is_ever_surprised() {
        let mut secret = written(None, NOW);
        let mut bundle = text(data(&secret), "ca.crt").to_owned();
        let (mut leaves, mut authorities) = (1, 1);
        let mut now = NOW;
        while now < NOW.plus(DAY * 550) {
            now = now.plus(Duration::from_hours(1));
            let before = secret.clone();
            for _ in 0..3 {
                match plan(Some(&secret), &names(), now).unwrap() {
                    Plan::Write(wanted) => secret = *wanted,
                    Plan::Wait(_) => break,
                }
            }
            let signer = text(data(&secret), "authority.crt");
            assert!(bundle.contains(signer.trim_end()), "{now}: signed by an authority that was not published before");
            leaves += u32::from(text(data(&before), CERTIFICATE) != text(data(&secret), CERTIFICATE));
            authorities += u32::from(text(data(&before), "authority.crt") != signer);
            text(data(&secret), "ca.crt").clone_into(&mut bundle);
        }
        assert_eq!((leaves >= 27, authorities), (true, 3), "{leaves} leaves");
    }

    #[test]
    fn a_broken_secret_does_not_unload_what_is_served() {
        let (certificate, loaded) = watch::channel(None);
        let (bundle, published) = watch::channel(None);
        let metrics = Metrics::new();
        let mut custodian = Custodian { names: names(), certificate, bundle, metrics: metrics.clone() };
        let good = written(None, NOW);
        custodian.publish(Some(&good));
        let served = loaded.borrow().clone().unwrap();
        custodian.publish(None);
        custodian.publish(Some(&Secret { data: None, ..good.clone() }));
        let mut garbage = good;
        garbage.data.as_mut().unwrap().insert(KEY.to_owned(), ByteString(b"garbage".to_vec()));
        custodian.publish(Some(&garbage));
        assert!(Arc::ptr_eq(&served, loaded.borrow().as_ref().unwrap()));
        assert!(published.borrow().is_some());
        let text = metrics.encode(NOW);
        for certificate in ["serving", "serving-ca"] {
            let series = format!("latchkey_certificate_expiry_timestamp_seconds{{certificate=\"{certificate}\"}} 1");
            assert!(text.contains(&series), "what is served is what is told of: {text}");
        }
    }
}
