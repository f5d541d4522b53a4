//! A tiny TLS server of the tests' own making: an issuer under `/idp` and a cluster's exchange under `/apis`.

mod behaviour;
mod issuer;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RsaKeyPair};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http_body_util::{BodyExt as _, Collected, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use rcgen::{BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, IsCa, Issuer, KeyPair};
use reqwest::Url;
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

pub(crate) use self::behaviour::{Behaviour, Exchange, Poll, Refresh, Seen};
use self::issuer::{authorize, is_our_client};

pub(crate) const CLIENT: &str = "staging";

#[derive(Debug)]
struct State {
    behaviour: Behaviour,
    seen: Seen,
    /// By code: what the authorization request said.
    codes: BTreeMap<String, BTreeMap<String, String>>,
    refresh_token: u64,
    /// A spent refresh token came again.
    family_ended: bool,
    /// Access tokens given so far.
    access_tokens: usize,
}

struct Inner {
    state: Mutex<State>,
    address: SocketAddr,
    signing: [EcdsaKeyPair; 2],
    rsa: OnceLock<RsaKeyPair>,
    authority: Issuer<'static, KeyPair>,
}

/// The server; gone when dropped.
pub(crate) struct Site {
    inner: Arc<Inner>,
    pub(crate) roots: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Site {
    pub(crate) fn start() -> Self {
        Self::start_speaking(rustls::DEFAULT_VERSIONS)
    }

    /// A server of these versions of TLS and no others.
    pub(crate) fn start_speaking(versions: &[&'static rustls::SupportedProtocolVersion]) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "test authority");
        let roots = params.self_signed(&key).unwrap().pem();
        let authority = Issuer::new(params, key);
        let server_key = KeyPair::generate().unwrap();
        let server = CertificateParams::new(vec!["127.0.0.1".to_owned(), "cluster.test".to_owned()]).unwrap();
        let certificate = server.signed_by(&server_key, &authority).unwrap();
        let tls = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivatePkcs8KeyDer::from(server_key.serialize_der()).into(),
            )
            .unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let (ready, bound) = std::sync::mpsc::channel();
        let (give, take) = std::sync::mpsc::channel::<Arc<Inner>>();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
                ready.send(listener.local_addr().unwrap()).unwrap();
                let inner = take.recv().unwrap();
                tokio::select! {
                    () = serve(listener, TlsAcceptor::from(Arc::new(tls)), inner) => {}
                    _ = stopped => {}
                }
            });
        });
        let inner = Arc::new(Inner {
            state: Mutex::new(State {
                behaviour: Behaviour::default(),
                seen: Seen::default(),
                codes: BTreeMap::new(),
                refresh_token: 0,
                family_ended: false,
                access_tokens: 0,
            }),
            address: bound.recv().unwrap(),
            signing: [(); 2].map(|()| EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()),
            rsa: OnceLock::new(),
            authority,
        });
        give.send(Arc::clone(&inner)).unwrap();
        Self { inner, roots, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.inner.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.inner.address.port()
    }

    pub(crate) fn issuer(&self) -> String {
        format!("{}/idp", self.url())
    }

    pub(crate) fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.inner.state().behaviour);
    }

    pub(crate) fn seen<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.inner.state().seen)
    }

    /// The one refresh token that is good now.
    pub(crate) fn refresh_token(&self) -> String {
        format!("refresh-{}", self.inner.state().refresh_token)
    }

    /// The subject of the login in each exchange's certificate request.
    pub(crate) fn exchanges(&self) -> usize {
        self.seen(|seen| seen.exchanges.len())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ended_already = self.stop.take().map(|stop| stop.send(()));
        let ended = self.thread.take().unwrap().join();
        if !thread::panicking() {
            ended.unwrap();
            assert_eq!(self.inner.state().seen.unexpected, Vec::<String>::new());
        }
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, inner: Arc<Inner>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (acceptor, inner) = (acceptor.clone(), Arc::clone(&inner));
        connections.spawn(async move {
            // A client that does not trust us goes away here.
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let service = service_fn(|request| {
                let inner = Arc::clone(&inner);
                async move { inner.answer(request).await.ok_or("no answer, as told") }
            });
            let _ended = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

type Parameters = BTreeMap<String, String>;
type Reply = Response<Full<Bytes>>;

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// `None` ends the connection without an answer.
    async fn answer(&self, request: Request<Incoming>) -> Option<Reply> {
        let path = request.uri().path().to_owned();
        let mut query = parameters(request.uri().query().unwrap_or_default());
        // What a Pinniped Supervisor takes in place of a login page.
        for name in ["pinniped-username", "pinniped-password"] {
            let shown = request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
            query.extend(shown.map(|value| (format!(":{name}"), value)));
        }
        let authorization = request.headers().get("authorization").map(|header| header.to_str().unwrap().to_owned());
        let body = request.into_body().collect().await.map(Collected::to_bytes).unwrap_or_default();
        let mut state = self.state();
        let now = now() + state.behaviour.clock_ahead;
        let mut response = match path.as_str() {
            "/idp/.well-known/openid-configuration" => {
                state.seen.discovery += 1;
                json_answer(StatusCode::OK, &self.metadata(&state.behaviour))
            }
            "/idp/keys" => {
                state.seen.key_sets += 1;
                if state.behaviour.keys_outage {
                    json_answer(StatusCode::SERVICE_UNAVAILABLE, &json!("maintenance"))
                } else {
                    json_answer(StatusCode::OK, &self.key_set(&state.behaviour))
                }
            }
            "/idp/upstreams" => json_answer(StatusCode::OK, &state.behaviour.upstreams),
            "/idp/authorize" if state.behaviour.refuses_redirects => {
                json_answer(StatusCode::BAD_REQUEST, &json!("Invalid parameter: redirect_uri"))
            }
            "/version" => json_answer(StatusCode::OK, &json!({})),
            "/idp/authorize" => authorize(&mut state, query, &self.issuer()),
            "/idp/token" | "/idp/device_authorization" | "/idp/revoke" => {
                let mut form = parameters(std::str::from_utf8(&body).unwrap());
                form.extend(authorization.map(|header| (":authorization".to_owned(), header)));
                if !is_our_client(&state.behaviour, &form) {
                    json_answer(StatusCode::UNAUTHORIZED, &json!({"error": "invalid_client"}))
                } else if path == "/idp/token" {
                    self.token(&mut state, &form, now)?
                } else if path == "/idp/revoke" {
                    state.seen.revoked.push(form["token"].clone());
                    let status = state.behaviour.revocation.expect("not offered");
                    json_answer(StatusCode::from_u16(status).unwrap(), &json!({}))
                } else if let Some(error) = state.behaviour.device_refusal {
                    state.seen.device_requests.push(form);
                    json_answer(
                        StatusCode::BAD_REQUEST,
                        &json!({"error": error, "error_description": "ask \u{1b}[2J us"}),
                    )
                } else {
                    state.seen.device_requests.push(form);
                    let issuer = self.issuer();
                    let usual = json!({
                        "device_code": "device-code", "user_code": "WDJB-MJHT", "expires_in": 600, "interval": 1,
                        "verification_uri": format!("{issuer}/device"),
                        "verification_uri_complete": format!("{issuer}/device?user_code=WDJB-MJHT"),
                    });
                    json_answer(StatusCode::OK, &changed(usual, &state.behaviour.device_answer))
                }
            }
            // GitHub's, for the jobs of its actions.
            "/actions/token" => {
                let mut asked = query;
                asked.extend(authorization.map(|header| (":authorization".to_owned(), header)));
                let claims = json!({"aud": asked["audience"], "sub": "job", "exp": now + 600});
                state.seen.job_tokens.push(asked);
                match state.behaviour.job_token_failures.pop() {
                    Some(status) => json_answer(StatusCode::from_u16(status).unwrap(), &json!({})),
                    None => json_answer(StatusCode::OK, &json!({"value": self.jwt(&state.behaviour, &claims)})),
                }
            }
            path if path.starts_with("/apis/login.concierge.")
                && path.ends_with("/v1alpha1/tokencredentialrequests") =>
            {
                let request: Value = serde_json::from_slice(&body).unwrap();
                if request["spec"]["token"].as_str().is_none_or(str::is_empty) {
                    let words = json!({"kind": "Status", "message": "token must be supplied"});
                    json_answer(StatusCode::from_u16(state.behaviour.without_token).unwrap(), &words)
                } else {
                    self.exchange(&mut state, &request, now)
                }
            }
            other => {
                state.seen.unexpected.push(other.to_owned());
                json_answer(StatusCode::NOT_FOUND, &json!({}))
            }
        };
        let date = jiff::fmt::rfc2822::DateTimePrinter::new()
            .timestamp_to_rfc9110_string(&Timestamp::from_second(now).unwrap())
            .unwrap();
        response.headers_mut().insert("date", date.parse().unwrap());
        Some(response)
    }

    fn issuer(&self) -> String {
        format!("https://{}/idp", self.address)
    }

    fn exchange(&self, state: &mut State, request: &Value, now: i64) -> Reply {
        state.seen.exchanges.push(request.clone());
        if let Some((status, retry_after)) = state.behaviour.turned_away.pop() {
            let words = json!({"kind": "Status", "message": "too many requests are in hand, try again"});
            let mut response = json_answer(StatusCode::from_u16(status).unwrap(), &words);
            if let Some(seconds) = retry_after {
                response.headers_mut().insert("retry-after", seconds.parse().unwrap());
            }
            return response;
        }
        let subject = state.behaviour.subject;
        let not_after = now + state.behaviour.certificate_lifetime;
        let expires = Timestamp::from_second(not_after).unwrap().to_string();
        // Absent where Pinniped's own CLI asks.
        let pem = request["spec"]["certificateSigningRequest"].as_str();
        let mut signing = pem.map(|pem| CertificateSigningRequestParams::from_pem(pem).unwrap());
        let asked_as =
            signing.as_ref().and_then(|signing| signing.params.distinguished_name.get(&DnType::CommonName).cloned());
        if let Some(signing) = &mut signing {
            signing.params.not_after = rcgen::date_time_ymd(2100, 1, 1);
        }
        let certificate = || signing.as_ref().unwrap().signed_by(&self.authority).unwrap().pem();
        let status = match state.behaviour.exchange {
            Exchange::AnonymousForbidden => {
                return json_answer(StatusCode::UNAUTHORIZED, &json!({"kind": "Status", "message": "Unauthorized"}));
            }
            Exchange::NotWell => {
                return json_answer(
                    StatusCode::SERVICE_UNAVAILABLE,
                    &json!({"kind": "Status", "message": "no endpoints"}),
                );
            }
            Exchange::Refused => json!({"message": "authentication failed"}),
            Exchange::CertificateForSubject if asked_as != Some(rcgen::DnValue::Utf8String(subject.to_owned())) => {
                json!({"message": "certificate request subject must be the user's",
                       "expectedSubject": {"commonName": subject, "organizations": ["developers", "admins"]}})
            }
            Exchange::Certificate | Exchange::CertificateForSubject => {
                json!({"credential": {"expirationTimestamp": expires, "clientCertificateData": certificate()}})
            }
            Exchange::ServerKey => {
                let key = KeyPair::generate().unwrap();
                let made = CertificateParams::default().signed_by(&key, &self.authority).unwrap();
                json!({"credential": {"expirationTimestamp": expires,
                    "clientCertificateData": made.pem(), "clientKeyData": key.serialize_pem()}})
            }
            Exchange::Token => json!({"credential": {"expirationTimestamp": expires, "token": "cluster-token"}}),
            Exchange::TokenWithoutEnd => json!({"credential": {"expirationTimestamp": null, "token": "cluster-token"}}),
        };
        let kind = "TokenCredentialRequest";
        let version = &request["apiVersion"];
        let mut response =
            json_answer(StatusCode::CREATED, &json!({"kind": kind, "apiVersion": version, "status": status}));
        response.headers_mut().insert("audit-id", "audit-42".parse().unwrap());
        response
    }
}

/// An object with some members in place of its own; null takes one out.
fn changed(mut object: Value, changes: &Value) -> Value {
    let members = object.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(members.remove(name)),
            value => drop(members.insert(name.clone(), value.clone())),
        }
    }
    object
}

fn json_answer(status: StatusCode, value: &Value) -> Reply {
    let mut response = Response::new(Full::new(Bytes::from(value.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", "application/json".parse().unwrap());
    response
}

pub(crate) fn parameters(query: &str) -> Parameters {
    let mut url = Url::parse("http://parameters.invalid").unwrap();
    url.set_query(Some(query));
    url.query_pairs().into_owned().collect()
}

pub(crate) fn base64(text: &str) -> String {
    BASE64_STANDARD.encode(text)
}

#[expect(clippy::disallowed_methods, reason = "the plugin under test asks the machine, so its counterpart has to")]
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_secs()).unwrap()
}
