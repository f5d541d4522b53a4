//! The `TokenReview` webhook, row by row: what kube-apiserver asks, and what it is told.

#![expect(clippy::unwrap_used, reason = "what the tests make themselves must be there")]

#[path = "judging/issuer.rs"]
#[expect(dead_code, reason = "the judging tests need more of it")]
mod issuer;

#[path = "record/schema.rs"]
mod schema;

#[path = "record/written.rs"]
mod written;

use std::{path::PathBuf, sync::Arc};

use axum::{Router, body::Body};
use futures::stream;
use http::{HeaderMap, Method, Request, header};
use http_body_util::BodyExt as _;
use latchkey_concierge::{
    audit::{
        chain::Identity,
        rejections::Rejections,
        sink::{Destination, FileSettings, Settings as AuditSettings, Sinks},
    },
    index::{self, Authenticator, AuthenticatorName, AuthenticatorRef, Entry, RefreshRequests, Unready},
    jwt::{AdditionalAudiences, Issuer},
    review::{self, AllowedCallers, PATH, Settings},
    runtime::{http_server::PeerAddress, metrics::Metrics},
    time::{ManualClock, UnixTime},
    tls::client_chain::{CertificatePool, ClientChain},
    verdicts::Verdicts,
};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer as Signer, KeyPair,
    date_time_ymd,
};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use self::{
    issuer::{AUDIENCE, ISSUER, Key, NOW, claims, key, rs256, token, with_profile},
    written::Written,
};

/// The API server's own audience.
const API_SERVER: &str = "https://kubernetes.default.svc.cluster.local";

struct Listener {
    router: Router,
    writer: index::Writer,
    refreshes: Option<RefreshRequests>,
    metrics: Metrics,
    audit: PathBuf,
    written: Written,
    caller: ClientChain,
    _pool: watch::Sender<Arc<CertificatePool>>,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

struct Authority {
    pem: String,
    signer: Signer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "webhook-client-ca");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, signer: Signer::new(params, key) }
    }

    fn client(&self, name: &str) -> ClientChain {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2027, 1, 1));
        let leaf = params.signed_by(&KeyPair::generate().unwrap(), &self.signer).unwrap();
        ClientChain::new(&[leaf.der().clone()]).unwrap()
    }
}

impl Listener {
    async fn start() -> Self {
        Self::with(true, &[]).await
    }

    async fn with(audited: bool, names: &[&str]) -> Self {
        let clock = Arc::new(ManualClock::new(UnixTime::from_secs(NOW)));
        let metrics = Metrics::new();
        let audit = std::env::temp_dir().join(format!("latchkey-review-{}.jsonl", uuid::Uuid::new_v4()));
        let destination = Destination::File(FileSettings::new(audit.clone()));
        let identity = Identity { cluster: "staging".into(), replica: "one".into(), life: 1 };
        let opened = AuditSettings {
            metrics: metrics.clone(),
            ..AuditSettings::new(identity, vec![destination], clock.clone())
        };
        let (log, sinks) = Sinks::open(opened).await.unwrap();
        if audited {
            tokio::spawn(sinks.run(CancellationToken::new()));
        }
        let authority = Authority::new();
        let (pool_sender, pool) = watch::channel(Arc::new(CertificatePool::from_pem(&authority.pem).unwrap()));
        let (writer, index) = issuer::index_of(with_profile(|_| {}));
        let (refresh, refreshes) = index::refresh_channel();
        let settings = Settings {
            callers: AllowedCallers::new(pool, names.iter().map(ToString::to_string).collect()),
            index,
            refresh,
            verdicts: Verdicts::default(),
            audit: log.clone(),
            rejections: Rejections::default(),
            metrics: metrics.clone(),
            clock,
        };
        Self {
            router: review::router(settings),
            writer,
            refreshes: Some(refreshes),
            metrics,
            written: Written::new(log, audit.clone()),
            audit,
            caller: authority.client("kube-apiserver"),
            _pool: pool_sender,
        }
    }

    async fn send(&self, method: Method, path: &str, chain: Option<ClientChain>, body: Body) -> Answer {
        let mut request = Request::builder().method(method).uri(path).body(body).unwrap();
        request.extensions_mut().insert(PeerAddress(([10, 1, 2, 3], 4_711).into()));
        if let Some(chain) = chain {
            request.extensions_mut().insert(chain);
        }
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    async fn post(&self, body: impl Into<Body>) -> Answer {
        self.send(Method::POST, PATH, Some(self.caller.clone()), body.into()).await
    }

    /// Asks as kube-apiserver does, and returns the status.
    async fn ask(&self, token: &str) -> (Answer, Value) {
        self.ask_for("v1", token, &[API_SERVER]).await
    }

    async fn ask_for(&self, version: &str, token: &str, audiences: &[&str]) -> (Answer, Value) {
        let version = format!("authentication.k8s.io/{version}");
        let body = json!({
            "apiVersion": version, "kind": "TokenReview", "metadata": {"creationTimestamp": null},
            "spec": {"token": token, "audiences": audiences}, "status": {"user": {}},
        });
        let answer = self.post(body.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.headers[header::CONTENT_TYPE], "application/json");
        let mut review: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((&review["apiVersion"], &review["kind"]), (&json!(version), &json!("TokenReview")));
        (answer, review["status"].take())
    }

    async fn records(&self) -> Vec<Value> {
        let records = self.written.records().await.into_iter();
        records.filter(|record| record["surface"] == "review").collect()
    }

    async fn record(&self, answer: &Answer) -> Value {
        let record = self.written.of(answer.headers["audit-id"].to_str().unwrap()).await;
        assert_eq!(record["surface"], "review");
        record
    }

    /// Nobody fetches keys: the question is refused at once instead of after two seconds.
    fn without_refresh(mut self) -> Self {
        drop(self.refreshes.take());
        self
    }

    fn set(&mut self, name: &str, authenticator: Authenticator) {
        let authenticator = Authenticator { name: AuthenticatorName::new(name), ..authenticator };
        self.writer.set(AuthenticatorRef::jwt(name), Entry::Ready(Arc::new(authenticator)));
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            schema::assert_whole_records(&self.audit);
        }
        let _ = std::fs::remove_file(&self.audit);
        let _ = std::fs::remove_file(self.audit.with_extension("jsonl.lock"));
    }
}

const UNDECIDED: &str = "temporarily unable to decide";

fn refused() -> Value {
    json!({"authenticated": false})
}

fn undecided() -> Value {
    json!({"authenticated": false, "error": UNDECIDED})
}

#[tokio::test]
async fn a_good_token_is_its_users_in_the_version_of_the_question_and_recorded() {
    let listener = Listener::start().await;
    for version in ["v1", "v1beta1"] {
        let (answer, status) = listener.ask_for(version, &rs256(&json!({"jti": "t-1"})), &[API_SERVER]).await;
        let expected = json!({
            "authenticated": true,
            "user": {
                "username": "ada", "groups": ["developers", "oncall"],
                "extra": {"authentication.kubernetes.io/credential-id": ["JTI=t-1"]},
            },
        });
        assert_eq!(status, expected);
        let record = listener.record(&answer).await;
        assert_eq!((&record["kind"], &record["code"]), (&json!("token.accepted"), &json!("accepted")));
        assert_eq!(record["identity"], json!({"username": "ada", "groups": 2}));
        assert_eq!(record["authenticator"]["name"], "staging");
        assert_eq!(record["peer"], json!({"ip": "10.1.2.3", "port": 4711}));
    }
    let text = listener.metrics.encode(UnixTime::from_secs(NOW));
    let series = r#"latchkey_token_verdicts_total{surface="review",authenticator="staging",code="accepted"} 2"#;
    assert!(text.contains(series), "{text}");
}

#[tokio::test]
async fn audiences_are_those_asked_for_that_the_token_is_for_and_we_accept() {
    let mut listener = Listener::start().await;
    listener.set("staging", with_profile(|profile| profile.additional_audiences = AdditionalAudiences::Allow));
    let token = rs256(&json!({"aud": [AUDIENCE, "vault"]}));
    for (asked, told) in [
        (&[API_SERVER][..], None),
        (&[], None),
        (&[API_SERVER, AUDIENCE], Some(json!([AUDIENCE]))),
        (&[AUDIENCE], Some(json!([AUDIENCE]))),
        // The token names it, but nobody here vouches for it.
        (&["vault"], None),
        (&["k8s-production"], None),
    ] {
        let (_, status) = listener.ask_for("v1", &token, asked).await;
        assert_eq!(status["authenticated"], true);
        assert_eq!(status.get("audiences"), told.as_ref(), "{asked:?}");
    }
}

#[tokio::test]
async fn a_token_of_nobodys_is_answered_counted_and_otherwise_unknown() {
    let listener = Listener::start().await;
    let stranger = rs256(&json!({"iss": "https://elsewhere.example"}));
    let huge = "a".repeat(40_000);
    let tokens = ["opaque", "a.b.c", "a.b", "{\"payload\":\"x\"}", &stranger, &huge, &rs256(&json!({"iss": null}))];
    for token in tokens {
        assert_eq!(listener.ask(token).await.1, refused());
    }
    let text = listener.metrics.encode(UnixTime::from_secs(NOW));
    assert!(text.contains("latchkey_reviews_foreign_total 7\n"), "{text}");
    assert!(!text.contains("surface=\"review\""), "{text}");
    // A token of ours after them: its record is the only one.
    let (answer, _) = listener.ask(&rs256(&json!({}))).await;
    listener.record(&answer).await;
    assert_eq!(listener.records().await.len(), 1);
}

#[tokio::test]
async fn a_refused_token_of_ours_gets_a_plain_no_and_its_own_record() {
    let listener = Listener::start().await;
    for (token, code) in [
        (rs256(&json!({"aud": "k8s-production"})), "audience-mismatch"),
        (rs256(&json!({"aud": [AUDIENCE, "k8s-production"]})), "audience-shared"),
        (rs256(&json!({"exp": NOW - 1})), "expired"),
        (rs256(&json!({"groups": ["system:masters"]})), "identity-reserved"),
        (token(key("rsa"), r#"{"alg":"none","kid":"rsa"}"#, &claims(&json!({}))), "alg-not-allowed"),
        (format!("{}AAAA", rs256(&json!({}))), "signature-invalid"),
    ] {
        let (answer, status) = listener.ask(&token).await;
        assert_eq!(status, refused(), "{code}");
        let record = listener.record(&answer).await;
        assert_eq!((&record["kind"], &record["code"]), (&json!("token.refused"), &json!(code)));
        assert!(!record.to_string().contains(token.rsplit_once('.').unwrap().1), "a record quotes a token");
    }
}

#[tokio::test]
async fn of_two_authenticators_of_one_issuer_the_one_that_the_token_is_for_has_the_word() {
    let mut listener = Listener::start().await;
    let of = |audience: &'static str| with_profile(move |profile| profile.audiences = issuer::audiences(&[audience]));
    listener.set("a-first", of("k8s-first"));
    listener.set("z-last", of("k8s-last"));
    for (audience, name) in [("k8s-first", "a-first"), (AUDIENCE, "staging"), ("k8s-last", "z-last")] {
        let (answer, status) = listener.ask(&rs256(&json!({"aud": audience}))).await;
        assert_eq!(status["authenticated"], true, "{audience}");
        assert_eq!(listener.record(&answer).await["authenticator"]["name"], name);
        // Refused beyond the audience: the others' opinion, that it is not for them, is not the news.
        let (answer, status) = listener.ask(&rs256(&json!({"aud": audience, "exp": NOW - 1}))).await;
        assert_eq!(status, refused());
        let record = listener.record(&answer).await;
        assert_eq!((&record["code"], &record["authenticator"]["name"]), (&json!("expired"), &json!(name)));
    }
    let (answer, status) = listener.ask(&rs256(&json!({"aud": "k8s-elsewhere"}))).await;
    assert_eq!(status, refused());
    assert_eq!(listener.record(&answer).await["code"], "audience-mismatch");
}

#[tokio::test]
async fn what_cannot_be_told_yet_is_an_error_that_nobody_remembers() {
    let mut listener = Listener::start().await.without_refresh();
    let other = "https://starting.example";
    listener
        .writer
        .set_not_ready(Unready::new(AuthenticatorRef::jwt("starting"), "uid", 1), Some(Issuer::new(other.to_owned())));
    let (answer, status) = listener.ask(&rs256(&json!({"iss": other}))).await;
    assert_eq!(status, undecided());
    let record = listener.record(&answer).await;
    assert_eq!((&record["kind"], &record["code"]), (&json!("token.refused"), &json!("authenticator-not-ready")));

    // One of two of one issuer is not ready: what the other refuses for its audience may be the first one's.
    listener
        .writer
        .set_not_ready(Unready::new(AuthenticatorRef::jwt("other"), "uid", 1), Some(Issuer::new(ISSUER.to_owned())));
    let (answer, status) = listener.ask(&rs256(&json!({"aud": "k8s-other"}))).await;
    assert_eq!(status, undecided());
    let code = listener.record(&answer).await["code"].clone();
    assert_eq!(code, "authenticator-not-ready", "a mismatch would be taken for another cluster's token");
    assert_eq!(listener.ask(&rs256(&json!({"exp": NOW - 1}))).await.1, refused(), "that one is ours, and expired");
    assert_eq!(listener.ask(&rs256(&json!({}))).await.1["authenticated"], true);
}

#[tokio::test]
async fn an_unknown_key_is_asked_for_once_and_then_known() {
    let mut listener = Listener::start().await;
    let mut refreshes = listener.refreshes.take().unwrap();
    let new = Key::ed25519("new");
    let token = token(&new, r#"{"alg":"EdDSA","kid":"new"}"#, &claims(&json!({})));
    let mut writer = std::mem::replace(&mut listener.writer, index::channel().0);
    let keeper = async {
        let asked = refreshes.recv().await.unwrap();
        assert_eq!((asked.authenticator.as_str(), asked.key_id.as_ref().unwrap().as_str()), ("staging", "new"));
        let fresh = issuer::authenticator(&issuer::key_set([&new.jwk]));
        writer.set(AuthenticatorRef::jwt("staging"), Entry::Ready(Arc::new(fresh)));
        asked.answer(true);
    };
    let ((_, status), ()) = tokio::join!(listener.ask(&token), keeper);
    assert_eq!(status["user"]["username"], "ada");
    // One that is not found may be published any moment: no API server shall remember the no.
    drop(refreshes);
    let unknown = self::token(key("rsa"), r#"{"alg":"RS256","kid":"gone"}"#, &claims(&json!({})));
    let (answer, status) = listener.ask(&unknown).await;
    assert_eq!(status, undecided());
    assert_eq!(listener.record(&answer).await["code"], "key-unknown");
}

#[tokio::test]
async fn without_a_record_there_is_no_yes() {
    let listener = Listener::with(false, &[]).await;
    assert_eq!(listener.ask(&rs256(&json!({}))).await.1, undecided());
    assert_eq!(listener.ask(&rs256(&json!({"exp": NOW - 1}))).await.1, refused());
    assert!(
        listener
            .metrics
            .encode(UnixTime::from_secs(NOW))
            .contains("latchkey_audit_dropped_total{sink=\"file\",severity=\"info\"} 1\n")
    );
}

#[tokio::test]
async fn only_the_api_server_may_ask() {
    let listener = Listener::with(true, &["kube-apiserver"]).await;
    let other_name = Authority::new().client("kube-apiserver");
    let body = || Body::from(json!({"kind": "TokenReview"}).to_string());
    for chain in [None, Some(other_name)] {
        let answer = listener.send(Method::POST, PATH, chain, body()).await;
        assert_eq!(answer.status, 403, "{}", answer.body);
        assert!(answer.headers.contains_key("audit-id"));
    }
    assert_eq!(listener.post(body()).await.status, 400, "it may, and says nothing of use");
    let strict = Listener::with(true, &["somebody-else"]).await;
    assert_eq!(strict.post(body()).await.status, 403);
}

#[tokio::test]
async fn what_is_no_question_is_told_apart_from_a_refused_token() {
    let listener = Listener::start().await;
    for body in ["", "hello", "{}", r#"{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{}}"#] {
        let answer = listener.post(body).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.body);
        assert!(answer.headers.contains_key("audit-id"));
    }
    let secret = r#"{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":["s3cr3t"]}}"#;
    assert!(!listener.post(secret).await.body.contains("s3cr3t"));
    assert_eq!(listener.post("x".repeat(65 * 1024)).await.status, 413);
    let chain = || Some(listener.caller.clone());
    assert_eq!(listener.send(Method::GET, PATH, chain(), Body::empty()).await.status, 405);
    assert_eq!(listener.send(Method::POST, "/", chain(), Body::empty()).await.status, 404);
    assert!(listener.records().await.is_empty());
}

#[tokio::test]
async fn beyond_the_limit_questions_are_shed_and_slow_ones_ended() {
    let listener = Listener::start().await;
    let never = || Body::from_stream(stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let mut waiting = Vec::new();
    for _ in 0..256 {
        let mut asking = Box::pin(listener.post(never()));
        assert!(futures::poll!(asking.as_mut()).is_pending());
        waiting.push(asking);
    }
    let answer = listener.post("{}").await;
    assert_eq!((answer.status, &answer.headers[header::RETRY_AFTER]), (429, &"1".parse().unwrap()));
    drop(waiting);
    assert_eq!(listener.post("{}").await.status, 400, "places are given back");
    tokio::time::pause();
    assert_eq!(listener.post(never()).await.status, 504);
}
