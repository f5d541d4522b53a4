//! The router with everything real behind it but the network: an index in memory, our own certificate authority, an audit
//! log in a file, and a stand-in for the API server that answers reviews and counts them.

use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, AtomicUsize, Ordering},
    },
};

use axum::{Json, Router, body::Body, extract::State, routing::post};
use http::{HeaderMap, Method, Request};
use http_body_util::BodyExt as _;
use latchkey_concierge::{
    api::{Api, Settings, exchange::Exchange, request_header::FrontProxyConfig, router::router},
    audit::{
        chain::Identity,
        checkpoint::{Keys, SigningKey},
        rejections::Rejections,
        sink::{Destination, FileSettings, Settings as AuditSettings, Sinks},
    },
    credential::{CertificateAuthority, NewAuthority},
    index::{self, AuthenticatorRef, RefreshRequests, Unready},
    runtime::{
        http_server::{self, Limits, PeerAddress, Plain},
        lease::Leadership,
        metrics::Metrics,
        readiness::Readiness,
    },
    strategies::{self, Authorities, Authority, Strategies},
    time::{ManualClock, UnixTime},
    tls::client_chain::ClientChain,
    verdicts::Verdicts,
};
use latchkey_crds::groups::GroupSuffix;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

use crate::{
    issuer::{self, NOW},
    schema::assert_whole_records,
    signer::Signer,
    written::Written,
};

pub(crate) const EXCHANGE: &str = "/apis/login.concierge.latchkey.dev/v1alpha1/tokencredentialrequests";
pub(crate) const WHO_AM_I: &str = "/apis/identity.concierge.latchkey.dev/v1alpha1/whoamirequests";

/// A running server.
pub(crate) struct Server {
    router: Router,
    /// The writer's end of the index.
    pub(crate) writer: Mutex<index::Writer>,
    /// What asks for keys.
    pub(crate) refreshes: Mutex<Option<RefreshRequests>>,
    pub(crate) stand_in: Arc<ApiServer>,
    /// The stand-in's signer; only [`Server::signed_by_the_cluster`] asks it.
    pub(crate) signer: Arc<Signer>,
    pub(crate) metrics: Metrics,
    front_proxy: ClientChain,
    audit: PathBuf,
    written: Written,
    sinks: Option<JoinHandle<io::Result<()>>>,
    visitors: AtomicU16,
    stop: CancellationToken,
}

/// The stand-in for the API server: says yes to everybody but `mallory`, and knows one bearer token.
#[derive(Debug, Default)]
pub(crate) struct ApiServer {
    pub(crate) access_reviews: AtomicUsize,
    pub(crate) token_reviews: AtomicUsize,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// A request under way.
pub(crate) struct Asking<'a> {
    server: &'a Server,
    request: http::request::Builder,
    chain: Option<ClientChain>,
}

impl Server {
    /// A server that can grant: its own authority is trusted by the stand-in.
    pub(crate) async fn start() -> Self {
        Self::with(GroupSuffix::default(), true).await
    }

    /// A server whose credentials come from the cluster's own signer.
    pub(crate) async fn signed_by_the_cluster() -> Self {
        Self::make(GroupSuffix::default(), true, Authority::Missing).await
    }

    /// `audited`: whether anybody writes the audit records.
    pub(crate) async fn with(suffix: GroupSuffix, audited: bool) -> Self {
        Self::make(suffix, audited, authority()).await
    }

    async fn make(suffix: GroupSuffix, audited: bool, authority: Authority) -> Self {
        let clock = Arc::new(ManualClock::new(UnixTime::from_secs(NOW)));
        let stop = CancellationToken::new();
        let metrics = Metrics::new();
        let api_server = Arc::new(ApiServer::default());
        let signer = Signer::new();
        let config = api_server.clone().start(signer.clone(), stop.clone()).await;
        let client = kube::Client::try_from(config.clone()).unwrap();

        let (_authority_sender, authority) = watch::channel(authority);
        let (strategies, tasks) = Strategies::new(strategies::Settings {
            client: client.clone(),
            config,
            cluster: "staging".to_owned(),
            published_in: "nowhere".to_owned(),
            authority,
            clock: clock.clone(),
            metrics: metrics.clone(),
        });
        tokio::spawn(tasks.run(Leadership::alone(), stop.clone(), stop.clone()));
        strategies.subscribe().wait_for(|states| states.offered().is_some()).await.unwrap();

        let folder = std::env::temp_dir().join(format!("latchkey-http-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&folder).unwrap();
        let audit = folder.join("audit.jsonl");
        let destination = Destination::File(FileSettings::new(audit.clone()));
        let identity = Identity { cluster: "staging".into(), replica: "one".into(), life: 1 };
        let opened = AuditSettings {
            metrics: metrics.clone(),
            keys: watch::channel(Some(Arc::new(Keys::one(signing_key())))).1,
            ..AuditSettings::new(identity, vec![destination], clock.clone())
        };
        let (log, sinks) = Sinks::open(opened).await.unwrap();
        let sinks = audited.then(|| tokio::spawn(sinks.run(stop.clone())));

        let keys = issuer::key_set(issuer::keys().iter().map(|key| &key.jwk));
        let (mut writer, reader) = issuer::index_of(issuer::authenticator(&keys));
        writer.set_not_ready(Unready::new(AuthenticatorRef::jwt("starting"), "uid", 1), None);
        let (refresh, refreshes) = index::refresh_channel();
        let (front_proxy, config) = front_proxy();
        let (_config_sender, front_proxy_config) = watch::channel(Some(Arc::new(config)));
        let exchange = Exchange {
            index: reader,
            refresh,
            verdicts: Verdicts::default(),
            strategies,
            audit: log.clone(),
            rejections: Rejections::default(),
            metrics: metrics.clone(),
            clock,
        };
        let settings = Settings {
            suffix,
            front_proxy: front_proxy_config,
            exchange,
            readiness: Readiness::new(),
            work: TaskTracker::new(),
        };
        Self {
            router: router(Api::new(client, settings)),
            writer: Mutex::new(writer),
            refreshes: Mutex::new(Some(refreshes)),
            stand_in: api_server,
            signer,
            metrics,
            front_proxy,
            written: Written::new(log, audit.clone()),
            audit,
            sinks,
            visitors: AtomicU16::new(0x0102),
            stop,
        }
    }

    /// A request as the aggregator passes it on for a person without credentials.
    pub(crate) fn ask(&self, method: Method, uri: &str) -> Asking<'_> {
        self.direct(method, uri)
            .through_front_proxy()
            .header("x-remote-user", "system:anonymous")
            .header("x-remote-group", "system:unauthenticated")
    }

    /// A request from somebody in the pod network.
    pub(crate) fn direct(&self, method: Method, uri: &str) -> Asking<'_> {
        Asking { server: self, request: Request::builder().method(method).uri(uri), chain: None }
    }

    /// An exchange as the stock CLI sends it, through the aggregator.
    pub(crate) async fn exchange(&self, body: impl Into<Body>) -> Answer {
        self.ask(Method::POST, EXCHANGE).header("content-type", "application/json").send(body).await
    }

    /// Offers `token` to the authenticator `staging`.
    pub(crate) async fn offer(&self, token: &str) -> Answer {
        self.exchange(request(token, &json!({})).to_string()).await
    }

    /// The audit record of that request.
    pub(crate) async fn record(&self, answer: &Answer) -> Value {
        self.written.of(answer.headers["audit-id"].to_str().unwrap()).await
    }

    /// All audit records so far.
    pub(crate) async fn records(&self) -> Vec<Value> {
        self.written.records().await
    }

    /// Ends it as a stop does, and returns the whole log.
    pub(crate) async fn end(mut self) -> Vec<Value> {
        self.stop.cancel();
        self.sinks.take().unwrap().await.unwrap().unwrap();
        self.written.lines()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
        if !std::thread::panicking() {
            assert_whole_records(&self.audit);
        }
        // With its folder: a sink that is still at its last line does not make the file anew.
        let _ = std::fs::remove_dir_all(self.audit.parent().unwrap());
    }
}

impl Asking<'_> {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    pub(crate) fn through_front_proxy(mut self) -> Self {
        self.chain = Some(self.server.front_proxy.clone());
        self
    }

    pub(crate) fn showing(mut self, chain: ClientChain) -> Self {
        self.chain = Some(chain);
        self
    }

    pub(crate) async fn send(self, body: impl Into<Body>) -> Answer {
        let mut request = self.request.body(body.into()).unwrap();
        // Each from a network of its own: a refusal that repeats another's has no record of its own.
        let [network, host] = self.server.visitors.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        request.extensions_mut().insert(PeerAddress(([10, network, host, 3], 4_711).into()));
        if let Some(chain) = self.chain {
            request.extensions_mut().insert(chain);
        }
        let response = self.server.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    pub(crate) async fn get(self) -> Answer {
        self.send(Body::empty()).await
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.body))
    }

    /// Checks that this is a `Status` of that code and reason, and returns its message.
    pub(crate) fn status_message(&self, code: u16, reason: &str) -> String {
        let status = self.json();
        assert_eq!((self.status, &status["kind"], &status["code"]), (code, &json!("Status"), &json!(code)), "{status}");
        assert_eq!((&status["status"], &status["reason"]), (&json!("Failure"), &json!(reason)), "{status}");
        assert_eq!(self.headers["content-type"], "application/json");
        assert_eq!(self.headers["x-content-type-options"], "nosniff");
        assert!(self.headers.contains_key("audit-id"));
        status["message"].as_str().unwrap().to_owned()
    }
}

/// A request to exchange `token`, with `changes` laid over its spec.
pub(crate) fn request(token: &str, changes: &Value) -> Value {
    let mut spec = json!({
        "token": token,
        "authenticator": {
            "apiGroup": "authentication.concierge.latchkey.dev", "kind": "JWTAuthenticator", "name": "staging",
        },
    });
    for (name, value) in changes.as_object().unwrap() {
        spec[name] = value.clone();
    }
    json!({
        "kind": "TokenCredentialRequest", "apiVersion": "login.concierge.latchkey.dev/v1alpha1",
        "metadata": {"creationTimestamp": null}, "spec": spec, "status": {},
    })
}

/// A client certificate that no authority of the cluster has signed.
pub(crate) fn strangers_chain() -> ClientChain {
    front_proxy().0
}

fn authority() -> Authority {
    let (from, to) = (UnixTime::from_secs(NOW - 3_600), UnixTime::from_secs(NOW + 86_400 * 30));
    let made = NewAuthority::generate("latchkey test", [7; 16], from, to).unwrap();
    Authority::Ready(Arc::new(Authorities {
        current: Arc::new(CertificateAuthority::from_pem(&made.certificate_pem, &made.key_pem).unwrap()),
        next: None,
        bundle: made.certificate_pem,
    }))
}

fn signing_key() -> SigningKey {
    let pair = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    SigningKey::from_pkcs8(pair.serialized_der()).unwrap()
}

fn front_proxy() -> (ClientChain, FrontProxyConfig) {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "front-proxy-ca");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    let authority = Issuer::new(params, key);

    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "front-proxy-client");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2027, 1, 1));
    let leaf = params.signed_by(&KeyPair::generate().unwrap(), &authority).unwrap();

    let data = [
        ("client-ca-file", pem.as_str()),
        ("requestheader-client-ca-file", pem.as_str()),
        ("requestheader-allowed-names", r#"["front-proxy-client"]"#),
        ("requestheader-username-headers", r#"["X-Remote-User"]"#),
        ("requestheader-group-headers", r#"["X-Remote-Group"]"#),
        ("requestheader-extra-headers-prefix", r#"["X-Remote-Extra-"]"#),
    ];
    let data: BTreeMap<_, _> = data.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    (ClientChain::new(&[leaf.der().clone()]).unwrap(), FrontProxyConfig::parse(&data).unwrap())
}

impl ApiServer {
    async fn start(self: Arc<Self>, signer: Arc<Signer>, stop: CancellationToken) -> kube::Config {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/apis/authentication.k8s.io/v1/selfsubjectreviews", post(who_am_i))
            .route("/apis/authentication.k8s.io/v1/tokenreviews", post(token_review))
            .route("/apis/authorization.k8s.io/v1/subjectaccessreviews", post(access_review))
            .with_state(self)
            .merge(signer.router());
        tokio::spawn(http_server::serve(listener, Plain, router, Limits::default(), Metrics::new(), stop));
        kube::Config::new(url.parse().unwrap())
    }
}

/// The probe of our own authority: the stand-in trusts it.
async fn who_am_i() -> Json<Value> {
    Json(json!({"metadata": {}, "status": {"userInfo": {"username": "latchkey-probe"}}}))
}

async fn token_review(State(api_server): State<Arc<ApiServer>>, Json(review): Json<Value>) -> Json<Value> {
    api_server.token_reviews.fetch_add(1, Ordering::SeqCst);
    let status = if review["spec"]["token"] == "known" {
        json!({"authenticated": true, "user": {"username": "ci", "groups": ["builders"], "extra": {"k": ["v"]}}})
    } else {
        json!({"authenticated": false})
    };
    Json(json!({"metadata": {}, "spec": {"token": ""}, "status": status}))
}

async fn access_review(State(api_server): State<Arc<ApiServer>>, Json(review): Json<Value>) -> Json<Value> {
    api_server.access_reviews.fetch_add(1, Ordering::SeqCst);
    let status = if review["spec"]["user"] == "mallory" {
        json!({"allowed": false, "reason": "no binding"})
    } else {
        json!({"allowed": true})
    };
    Json(json!({"metadata": {}, "spec": {}, "status": status}))
}
