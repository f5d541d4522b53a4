//! The cluster's own signer in the stand-in for the API server: it signs what is approved, and may be held while it does.

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Path, RawQuery, State},
    routing::{post, put},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::stream;
use latchkey_concierge::credential::CertificateRequest;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, DnValue, ExtendedKeyUsagePurpose, Issuer, KeyPair,
    SubjectPublicKeyInfo, date_time_ymd,
};
use serde_json::{Value, json};
use tokio::sync::oneshot;

const COLLECTION: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";

/// The signer.
#[derive(Debug)]
pub(crate) struct Signer {
    key: KeyPair,
    /// How many certificates were signed, the probe's among them.
    pub(crate) signed: AtomicUsize,
    requests: Mutex<BTreeMap<String, Value>>,
    holds: Mutex<VecDeque<(oneshot::Sender<()>, oneshot::Receiver<()>)>>,
}

/// One certificate that waits for the test.
pub(crate) struct Held {
    reached: oneshot::Receiver<()>,
    release: oneshot::Sender<()>,
}

impl Signer {
    pub(crate) fn new() -> Arc<Self> {
        let key = KeyPair::generate().unwrap();
        Arc::new(Self { key, signed: AtomicUsize::new(0), requests: Mutex::default(), holds: Mutex::default() })
    }

    /// The next certificate that nobody holds yet waits until it is released.
    pub(crate) fn hold(&self) -> Held {
        let (reach, reached) = oneshot::channel();
        let (release, released) = oneshot::channel();
        self.holds.lock().unwrap().push_back((reach, released));
        Held { reached, release }
    }

    pub(crate) fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route(COLLECTION, post(create).get(watch))
            .route(&format!("{COLLECTION}/{{name}}"), axum::routing::delete(delete))
            .route(&format!("{COLLECTION}/{{name}}/approval"), put(approve))
            .with_state(self)
    }

    fn sign(&self, object: &mut Value) {
        let pem = STANDARD.decode(object["spec"]["request"].as_str().unwrap()).unwrap();
        let request = CertificateRequest::parse(std::str::from_utf8(&pem).unwrap()).unwrap();
        let subject = request.subject().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for group in &subject.organizations {
            params.distinguished_name.push(DnType::OrganizationName, DnValue::Utf8String(group.clone()));
        }
        params.distinguished_name.push(DnType::CommonName, subject.common_name.clone());
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        // Ten minutes from four o'clock on, where the tests' clock stands, and the usual five before.
        let now = date_time_ymd(2026, 11, 21) + Duration::from_hours(4);
        (params.not_before, params.not_after) = (now - Duration::from_mins(5), now + Duration::from_mins(10));
        let public = SubjectPublicKeyInfo::from_der(request.public_key_der()).unwrap();
        let issuer = Issuer::new(CertificateParams::default(), &self.key);
        let certificate = params.signed_by(&public, &issuer).unwrap().pem();
        object["status"]["certificate"] = json!(STANDARD.encode(certificate));
    }
}

impl Held {
    /// Waits until the certificate has been asked for.
    pub(crate) async fn reached(&mut self) {
        (&mut self.reached).await.unwrap();
    }

    /// Has it signed.
    pub(crate) fn release(self) {
        self.release.send(()).unwrap();
    }
}

async fn create(State(signer): State<Arc<Signer>>, Json(object): Json<Value>) -> Json<Value> {
    store(&signer, object, "1")
}

async fn approve(State(signer): State<Arc<Signer>>, Json(object): Json<Value>) -> Json<Value> {
    store(&signer, object, "2")
}

fn store(signer: &Signer, mut object: Value, version: &str) -> Json<Value> {
    object["metadata"]["resourceVersion"] = json!(version);
    let name = object["metadata"]["name"].as_str().unwrap().to_owned();
    signer.requests.lock().unwrap().insert(name, object.clone());
    Json(object)
}

async fn watch(State(signer): State<Arc<Signer>>, RawQuery(query): RawQuery) -> Body {
    let query = query.unwrap_or_default();
    let Some(name) = query.split("metadata.name%3D").nth(1).and_then(|rest| rest.split('&').next()) else {
        let empty = json!({"kind": "CertificateSigningRequestList", "metadata": {}, "items": []});
        return Body::from(empty.to_string());
    };
    let mut object = signer.requests.lock().unwrap()[name].clone();
    let held = signer.holds.lock().unwrap().pop_front();
    if let Some((reach, released)) = held {
        reach.send(()).unwrap();
        released.await.unwrap();
    }
    signer.sign(&mut object);
    signer.signed.fetch_add(1, Ordering::SeqCst);
    let line = format!("{}\n", json!({"type": "MODIFIED", "object": object}));
    Body::from_stream(stream::iter([Ok::<_, Infallible>(Bytes::from(line))]))
}

async fn delete(State(signer): State<Arc<Signer>>, Path(name): Path<String>) -> Json<Value> {
    signer.requests.lock().unwrap().remove(&name);
    Json(json!({"kind": "Status", "apiVersion": "v1", "status": "Success", "code": 200}))
}
