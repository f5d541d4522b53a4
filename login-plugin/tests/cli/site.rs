//! A tiny TLS server of the tests' own making: an issuer under `/idp` and a cluster's exchange under `/apis`.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
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

pub(crate) const CLIENT: &str = "staging";

/// How the server behaves. The defaults are those of a well-behaved one.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
#[derive(Debug)]
pub(crate) struct Behaviour {
    /// The server's clock, as seconds ahead of this computer's. Date headers, tokens and certificates follow it.
    pub(crate) clock_ahead: i64,
    pub(crate) audiences: Value,
    pub(crate) authorized_party: Option<&'static str>,
    pub(crate) nonce: Option<&'static str>,
    pub(crate) subject: &'static str,
    /// Seconds.
    pub(crate) id_token_lifetime: i64,
    pub(crate) token_header: Value,
    pub(crate) spoil_signature: bool,
    /// Sign with the second key, and publish only that one.
    pub(crate) rotated: bool,
    pub(crate) announces_iss: bool,
    pub(crate) refresh: Refresh,
    pub(crate) refresh_gives_id_token: bool,
    /// The scopes that a login is granted, where not all that were asked for.
    pub(crate) granted: Option<&'static str>,
    pub(crate) at_hash: Option<&'static str>,
    pub(crate) exchange: Exchange,
    /// Seconds.
    pub(crate) certificate_lifetime: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refresh {
    InvalidGrant,
    NotWell,
    Rotates,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exchange {
    /// The certificate is for the key of the request.
    Certificate,
    /// As the signer of a Kubernetes cluster: only a request with the right subject is signed.
    CertificateForSubject,
    /// As a stock Pinniped concierge: the request's own field is not known.
    ServerKey,
    Token,
    Refused,
    AnonymousForbidden,
    NotWell,
}

/// What has happened at the server.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) discovery: usize,
    pub(crate) logins: usize,
    pub(crate) refreshes: usize,
    pub(crate) exchanges: Vec<Value>,
    pub(crate) authorizations: Vec<BTreeMap<String, String>>,
    pub(crate) unexpected: Vec<String>,
}

#[derive(Debug)]
struct State {
    behaviour: Behaviour,
    seen: Seen,
    /// By code: what the authorization request said.
    codes: BTreeMap<String, BTreeMap<String, String>>,
    refresh_token: u64,
}

struct Inner {
    state: Mutex<State>,
    address: SocketAddr,
    signing: [EcdsaKeyPair; 2],
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
            .with_safe_default_protocol_versions()
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
            }),
            address: bound.recv().unwrap(),
            signing: [(); 2].map(|()| EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()),
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

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            clock_ahead: 0,
            audiences: json!(CLIENT),
            authorized_party: None,
            nonce: None,
            subject: "jane",
            id_token_lifetime: 600,
            token_header: json!({"alg": "ES256", "kid": "1", "typ": "JWT"}),
            spoil_signature: false,
            rotated: false,
            announces_iss: true,
            refresh: Refresh::Rotates,
            refresh_gives_id_token: true,
            granted: None,
            at_hash: None,
            exchange: Exchange::Certificate,
            certificate_lifetime: 600,
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
                async move { Ok::<_, Infallible>(inner.answer(request).await) }
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

    async fn answer(&self, request: Request<Incoming>) -> Reply {
        let path = request.uri().path().to_owned();
        let query = parameters(request.uri().query().unwrap_or_default());
        let body = request.into_body().collect().await.map(Collected::to_bytes).unwrap_or_default();
        let mut state = self.state();
        let now = now() + state.behaviour.clock_ahead;
        let mut response = match path.as_str() {
            "/idp/.well-known/openid-configuration" => {
                state.seen.discovery += 1;
                json_answer(StatusCode::OK, &self.metadata(&state.behaviour))
            }
            "/idp/keys" => json_answer(StatusCode::OK, &self.key_set(&state.behaviour)),
            "/idp/authorize" => authorize(&mut state, query, &self.issuer()),
            "/idp/token" => self.token(&mut state, &parameters(std::str::from_utf8(&body).unwrap()), now),
            "/apis/login.concierge.latchkey.dev/v1alpha1/tokencredentialrequests" => {
                self.exchange(&mut state, &body, now)
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
        response
    }

    fn issuer(&self) -> String {
        format!("https://{}/idp", self.address)
    }

    fn metadata(&self, behaviour: &Behaviour) -> Value {
        let issuer = self.issuer();
        json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/keys"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "scopes_supported": ["openid", "offline_access", "email"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "authorization_response_iss_parameter_supported": behaviour.announces_iss,
        })
    }

    fn key_set(&self, behaviour: &Behaviour) -> Value {
        let point = self.signing[usize::from(behaviour.rotated)].public_key().as_ref();
        let kid = if behaviour.rotated { "2" } else { "1" };
        let (x, y) = (BASE64_URL_SAFE_NO_PAD.encode(&point[1..33]), BASE64_URL_SAFE_NO_PAD.encode(&point[33..65]));
        json!({"keys": [{"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": kid, "x": x, "y": y}]})
    }

    fn token(&self, state: &mut State, form: &Parameters, now: i64) -> Reply {
        let refused = |code: &str| json_answer(StatusCode::BAD_REQUEST, &json!({"error": code}));
        if form.get("client_id").map(String::as_str) != Some(CLIENT) {
            return refused("invalid_client");
        }
        let nonce = match form.get("grant_type").map(String::as_str) {
            Some("authorization_code") => {
                state.seen.logins += 1;
                let Some(asked) = state.codes.remove(&form["code"]) else { return refused("invalid_grant") };
                let challenge = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, form["code_verifier"].as_bytes()));
                if asked["code_challenge"] != challenge || asked["redirect_uri"] != form["redirect_uri"] {
                    return refused("invalid_grant");
                }
                Some(asked["nonce"].clone())
            }
            Some("refresh_token") => {
                state.seen.refreshes += 1;
                let allowed = |scope| state.behaviour.granted.is_none_or(|all| all.split(' ').any(|one| one == scope));
                // RFC 6749 section 6: nothing that was not granted.
                if !form.get("scope").is_none_or(|scopes| scopes.split(' ').all(allowed)) {
                    return refused("invalid_scope");
                }
                match state.behaviour.refresh {
                    Refresh::NotWell => return json_answer(StatusCode::SERVICE_UNAVAILABLE, &json!("maintenance")),
                    Refresh::InvalidGrant => return refused("invalid_grant"),
                    // Each token is good once: a second use is a theft.
                    Refresh::Rotates if form["refresh_token"] != format!("refresh-{}", state.refresh_token) => {
                        return refused("invalid_grant");
                    }
                    Refresh::Rotates => None,
                }
            }
            _ => return refused("unsupported_grant_type"),
        };
        state.refresh_token += 1;
        let mut answer = json!({
            "access_token": "access", "token_type": "Bearer", "expires_in": 60,
            "refresh_token": format!("refresh-{}", state.refresh_token),
        });
        if let Some(granted) = state.behaviour.granted {
            answer["scope"] = granted.into();
        }
        if nonce.is_some() || state.behaviour.refresh_gives_id_token {
            answer["id_token"] = self.id_token(&state.behaviour, nonce, now).into();
        }
        json_answer(StatusCode::OK, &answer)
    }

    fn id_token(&self, behaviour: &Behaviour, nonce: Option<String>, now: i64) -> String {
        let mut claims = json!({
            "iss": self.issuer(), "aud": behaviour.audiences, "sub": behaviour.subject, "iat": now,
            "exp": now + behaviour.id_token_lifetime, "email": format!("{}@example.com", behaviour.subject),
        });
        let mut set = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                claims[name] = value.into();
            }
        };
        set("nonce", behaviour.nonce.map(ToOwned::to_owned).or(nonce));
        set("azp", behaviour.authorized_party.map(ToOwned::to_owned));
        set("at_hash", behaviour.at_hash.map(ToOwned::to_owned));
        let mut header = behaviour.token_header.clone();
        if behaviour.rotated {
            header["kid"] = "2".into();
        }
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature =
            self.signing[usize::from(behaviour.rotated)].sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        let mut signature = signature.as_ref().to_vec();
        if behaviour.spoil_signature {
            signature[7] ^= 1;
        }
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }

    fn exchange(&self, state: &mut State, body: &[u8], now: i64) -> Reply {
        let request: Value = serde_json::from_slice(body).unwrap();
        state.seen.exchanges.push(request.clone());
        let subject = state.behaviour.subject;
        let not_after = now + state.behaviour.certificate_lifetime;
        let expires = Timestamp::from_second(not_after).unwrap().to_string();
        let pem = request["spec"]["certificateSigningRequest"].as_str().unwrap();
        let mut signing = CertificateSigningRequestParams::from_pem(pem).unwrap();
        let asked_as = signing.params.distinguished_name.get(&DnType::CommonName).cloned();
        signing.params.not_after = rcgen::date_time_ymd(2100, 1, 1);
        let certificate = || signing.signed_by(&self.authority).unwrap().pem();
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
        };
        let kind = "TokenCredentialRequest";
        let version = "login.concierge.latchkey.dev/v1alpha1";
        let mut response =
            json_answer(StatusCode::CREATED, &json!({"kind": kind, "apiVersion": version, "status": status}));
        response.headers_mut().insert("audit-id", "audit-42".parse().unwrap());
        response
    }
}

fn authorize(state: &mut State, asked: Parameters, issuer: &str) -> Reply {
    let code = format!("code-{}", state.seen.authorizations.len());
    let mut back = Url::parse(&asked["redirect_uri"]).unwrap();
    back.query_pairs_mut().append_pair("code", &code).append_pair("state", &asked["state"]);
    if state.behaviour.announces_iss {
        back.query_pairs_mut().append_pair("iss", issuer);
    }
    state.seen.authorizations.push(asked.clone());
    state.codes.insert(code, asked);
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::FOUND;
    response.headers_mut().insert("location", back.as_str().parse().unwrap());
    response
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
