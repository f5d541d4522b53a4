//! The way through the certificates API, against an API server of the tests' own whose signer can misbehave.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Mutex, MutexGuard},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{certificate_signing_request_api::IN_FLIGHT, *};
use crate::{
    credential::{ClientKey, Lifetime},
    time::{ManualClock, UnixTime},
};

const COLLECTION: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
const HOUR: Duration = Duration::from_hours(1);

/// What the fake signer does with an approved request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signer {
    /// Signs it; the watch breaks first, as watches do.
    AfterABrokenWatch,
    Denies,
    /// The API server already refuses the creation.
    ForbidsCreation,
    /// As on EKS.
    NeverAnswers,
    Signs,
    SignsForSomebodyElse,
    /// The API server itself hangs.
    StallsBeforeApproval,
}

/// An API server that knows certificate requests only.
struct ApiServer {
    signer: Signer,
    key: rcgen::KeyPair,
    objects: Mutex<BTreeMap<String, Value>>,
    log: Mutex<Vec<String>>,
}

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

impl ApiServer {
    fn new(signer: Signer) -> Arc<Self> {
        let key = rcgen::KeyPair::generate().unwrap();
        Arc::new(Self { signer, key, objects: Mutex::default(), log: Mutex::default() })
    }

    fn client(self: &Arc<Self>) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        Client::new(service, "latchkey")
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Value>> {
        self.objects.lock().unwrap()
    }

    fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    async fn answer(&self, request: Request<Body>) -> Answer {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let rest = parts.uri.path().strip_prefix(COLLECTION).unwrap_or("?").trim_matches('/').to_owned();
        let query = parts.uri.query().unwrap_or_default();
        let (name, subresource) = rest.split_once('/').unwrap_or((&rest, ""));
        let verb = match (&parts.method, subresource) {
            (&Method::GET, _) if query.contains("watch=true") => "watch",
            (&Method::GET, _) => "get",
            (&Method::POST, _) => "create",
            (&Method::PUT, "approval") => "approve",
            (&Method::DELETE, _) => "delete",
            other => panic!("unexpected request {other:?} {}", parts.uri),
        };
        self.log.lock().unwrap().push(verb.to_owned());
        match verb {
            "create" if self.signer == Signer::ForbidsCreation => status(403, "User \"x\" cannot create resource"),
            "create" => {
                let name = body["metadata"]["name"].as_str().unwrap().to_owned();
                self.store(&name, body, "1")
            }
            "approve" if self.signer == Signer::StallsBeforeApproval => std::future::pending().await,
            "approve" => self.store(name, body, "2"),
            "watch" => self.watch(query),
            "get" => self.get(name),
            _ => {
                self.objects().remove(name);
                status(200, "deleted")
            }
        }
    }

    fn store(&self, name: &str, mut object: Value, version: &str) -> Answer {
        object["metadata"]["resourceVersion"] = json!(version);
        self.objects().insert(name.to_owned(), object.clone());
        whole(200, &object)
    }

    fn get(&self, name: &str) -> Answer {
        let mut object = self.objects().get(name).cloned().unwrap();
        if self.signer == Signer::AfterABrokenWatch {
            self.sign(&mut object, None);
        }
        whole(200, &object)
    }

    fn watch(&self, query: &str) -> Answer {
        let name = query.split("metadata.name%3D").nth(1).unwrap().split('&').next().unwrap();
        let mut object = self.objects().get(name).cloned().unwrap();
        match self.signer {
            Signer::NeverAnswers => return Response::new(StreamBody::new(stream::pending()).boxed_unsync()),
            Signer::AfterABrokenWatch => return Response::new(StreamBody::new(stream::empty()).boxed_unsync()),
            Signer::Denies => {
                let denied = json!({"type": "Denied", "status": "True", "reason": "Policy", "message": "not this one"});
                object["status"]["conditions"].as_array_mut().unwrap().push(denied);
            }
            Signer::SignsForSomebodyElse => self.sign(&mut object, Some("root")),
            Signer::Signs => self.sign(&mut object, None),
            Signer::ForbidsCreation | Signer::StallsBeforeApproval => panic!("nothing was approved"),
        }
        let line = format!("{}\n", json!({"type": "MODIFIED", "object": object}));
        let events = stream::iter([Ok(Frame::data(Bytes::from(line)))]).chain(stream::pending());
        Response::new(StreamBody::new(events).boxed_unsync())
    }

    fn sign(&self, object: &mut Value, instead: Option<&str>) {
        let pem = STANDARD.decode(object["spec"]["request"].as_str().unwrap()).unwrap();
        let request = CertificateRequest::parse(std::str::from_utf8(&pem).unwrap()).unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let name = instead.unwrap_or(&request.subject().unwrap().common_name).to_owned();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = rcgen::date_time_ymd(2026, 11, 21);
        params.not_after = rcgen::date_time_ymd(2026, 11, 22);
        let public = rcgen::SubjectPublicKeyInfo::from_der(request.public_key_der()).unwrap();
        let issuer = rcgen::Issuer::new(rcgen::CertificateParams::default(), &self.key);
        let certificate = params.signed_by(&public, &issuer).unwrap().pem();
        object["status"]["certificate"] = json!(STANDARD.encode(certificate));
    }
}

fn whole(code: u16, body: &Value) -> Answer {
    let frame = Ok(Frame::data(Bytes::from(body.to_string())));
    let mut answer = Response::new(StreamBody::new(stream::iter([frame])).boxed_unsync());
    *answer.status_mut() = StatusCode::from_u16(code).unwrap();
    answer
}

fn status(code: u16, message: &str) -> Answer {
    let kind = if code < 300 { "Success" } else { "Failure" };
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": kind, "code": code, "message": message});
    whole(code, &status)
}

/// Strategies on that server, with the sweeper at work. Noon of the day on which the fake signer's certificates begin.
struct House {
    server: Arc<ApiServer>,
    strategies: Strategies,
    stop: CancellationToken,
    sweeper: tokio::task::JoinHandle<()>,
}

impl House {
    fn new(signer: Signer) -> Self {
        let server = ApiServer::new(signer);
        let client = server.client();
        let (strategies, tasks) = Strategies::new(settings(client.clone()));
        let stop = CancellationToken::new();
        let sweeper = tokio::spawn(sweeper::sweep(client, tasks.remains, stop.clone()));
        Self { server, strategies, stop, sweeper }
    }

    async fn sign(&self) -> Result<Credential, Failure> {
        // A day, because the fake signer only knows days.
        let lifetime = Lifetime::choose(StrategyKind::CertificateSigningRequestAPI, Some(HOUR * 24));
        self.strategies.cluster.sign(&jane(), None, lifetime).await
    }

    /// Waits until every object is gone, by the clock of the test.
    async fn is_swept(&self) {
        while !self.server.objects().is_empty() {
            sleep(Duration::from_millis(10)).await;
        }
    }
}

fn settings(client: Client) -> Settings {
    Settings {
        client,
        config: Config::new("https://127.0.0.1:1".parse().unwrap()),
        cluster: "staging".to_owned(),
        published_in: "nowhere".to_owned(),
        authority: watch::channel(Authority::Missing).1,
        clock: Arc::new(ManualClock::new(UnixTime::from_secs(1_795_262_400))),
        metrics: Metrics::new(),
    }
}

fn jane() -> Subject {
    Subject { common_name: "jane".to_owned(), organizations: Vec::new() }
}

#[tokio::test(start_paused = true)]
async fn a_request_is_created_approved_answered_and_deleted() {
    let house = House::new(Signer::Signs);
    let credential = house.sign().await.unwrap();
    assert!(credential.private_key_pem.is_some());
    assert_eq!(credential.strategy, StrategyKind::CertificateSigningRequestAPI);
    timeout(HOUR, house.is_swept()).await.unwrap();
    assert_eq!(house.server.log(), ["create", "approve", "watch", "delete"]);
}

#[tokio::test(start_paused = true)]
async fn the_object_says_what_the_signer_must_know_and_nothing_of_the_person() {
    let house = House::new(Signer::NeverAnswers);
    let exchange = house.sign();
    let look = async {
        while house.server.log() != ["create", "approve", "watch"] {
            sleep(Duration::from_millis(1)).await;
        }
        let (name, object) = house.server.objects().first_key_value().map(|(n, o)| (n.clone(), o.clone())).unwrap();
        assert!(name.starts_with("latchkey-") && !object["metadata"].to_string().contains("jane"), "{object}");
        assert_eq!(object["metadata"]["labels"], json!({"latchkey.dev/cluster": "staging"}));
        assert_eq!(object["spec"]["signerName"], "kubernetes.io/kube-apiserver-client");
        assert_eq!(object["spec"]["usages"], json!(["client auth", "digital signature"]));
        assert_eq!(object["spec"]["expirationSeconds"], 86_400);
        assert_eq!(object["status"]["conditions"][0]["type"], "Approved");
    };
    tokio::select! {
        _ = exchange => panic!("nobody signs here"),
        () = look => {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_signer_that_never_answers_is_given_up_and_no_longer_offered() {
    let house = House::new(Signer::NeverAnswers);
    let kind = StrategyKind::CertificateSigningRequestAPI;
    house.strategies.set(kind, Availability::Usable);
    let began = Instant::now();
    let failure = house.sign().await.unwrap_err();
    assert_eq!(began.elapsed(), Duration::from_secs(10));
    assert_eq!(house.strategies.failed(Some(kind), failure), IssueError::TimedOut);
    assert_eq!(
        house.strategies.subscribe().borrow().certificate_signing_request_api,
        Availability::Unusable(Fault::SignerNeverAnswered(Duration::from_secs(10)))
    );
    timeout(HOUR, house.is_swept()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_signer_is_not_blamed_for_an_api_server_that_hangs() {
    let house = House::new(Signer::StallsBeforeApproval);
    let kind = StrategyKind::CertificateSigningRequestAPI;
    house.strategies.set(kind, Availability::Usable);
    let failure = house.sign().await.unwrap_err();
    assert!(matches!(failure, Failure::Unusable(Fault::Unreachable(_))), "{failure:?}");
    assert_eq!(house.strategies.failed(Some(kind), failure), IssueError::Unavailable);
    assert_eq!(house.strategies.subscribe().borrow().offered(), Some(kind));
    timeout(HOUR, house.is_swept()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_right_that_is_missing_is_told_as_such() {
    let house = House::new(Signer::ForbidsCreation);
    let failure = house.sign().await.unwrap_err();
    let Failure::Unusable(Fault::ApprovalForbidden(detail)) = failure else { panic!("{failure:?}") };
    assert_eq!(detail.to_string(), "User \"x\" cannot create resource");
}

#[tokio::test(start_paused = true)]
async fn one_denied_request_does_not_take_the_strategy_from_others() {
    let house = House::new(Signer::Denies);
    let kind = StrategyKind::CertificateSigningRequestAPI;
    house.strategies.set(kind, Availability::Usable);
    let failure = house.sign().await.unwrap_err();
    assert!(matches!(&failure, Failure::Unusable(Fault::SignerFailed(detail))
        if detail.to_string() == "Denied: Policy: not this one"));
    assert_eq!(house.strategies.failed(Some(kind), failure), IssueError::Unavailable);
    assert_eq!(house.strategies.subscribe().borrow().offered(), Some(kind));
    timeout(HOUR, house.is_swept()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_certificate_for_somebody_else_is_not_handed_out() {
    let house = House::new(Signer::SignsForSomebodyElse);
    let failure = house.sign().await.unwrap_err();
    let expected = crate::credential::SignerFault::OtherSubject;
    assert!(matches!(failure, Failure::Unusable(Fault::SignerMisbehaved(fault)) if fault == expected));
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_breaks_is_not_the_end() {
    let house = House::new(Signer::AfterABrokenWatch);
    house.sign().await.unwrap();
    assert_eq!(house.server.log()[..4], ["create", "approve", "watch", "get"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_leaves_nothing_behind() {
    let house = House::new(Signer::NeverAnswers);
    assert!(timeout(Duration::from_secs(1), house.sign()).await.is_err());
    timeout(HOUR, house.is_swept()).await.unwrap();
    assert_eq!(house.server.log().last().unwrap(), "delete");
}

#[tokio::test(start_paused = true)]
async fn a_crowd_is_turned_away_and_not_kept_waiting_for_ever() {
    let house = Arc::new(House::new(Signer::NeverAnswers));
    let mut crowd = JoinSet::new();
    let began = Instant::now();
    for _ in 0..IN_FLIGHT + 128 + 40 {
        let house = house.clone();
        crowd.spawn(async move { (house.sign().await.unwrap_err(), Instant::now()) });
    }
    let (mut at_once, mut after_patience, mut under_way) = (0, 0, 0);
    while let Some(outcome) = crowd.join_next().await {
        match outcome.unwrap() {
            (Failure::Overloaded, at) if at == began => at_once += 1,
            (Failure::Overloaded, at) if at == began + Duration::from_secs(5) => after_patience += 1,
            (Failure::TimedOut(_), at) if at == began + Duration::from_secs(10) => under_way += 1,
            (failure, at) => panic!("{failure:?} after {:?}", at - began),
        }
    }
    assert_eq!((at_once, after_patience, under_way), (40, 128, IN_FLIGHT));
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_exchanges_under_way_and_starts_no_new_one() {
    let house = Arc::new(House::new(Signer::NeverAnswers));
    let under_way = tokio::spawn({
        let house = house.clone();
        async move { house.sign().await }
    });
    while house.server.log().len() < 3 {
        sleep(Duration::from_millis(1)).await;
    }
    house.stop.cancel();
    sleep(Duration::from_secs(1)).await;
    assert!(!house.sweeper.is_finished(), "one exchange is under way");
    assert!(matches!(house.sign().await, Err(Failure::Overloaded)));
    assert!(matches!(under_way.await.unwrap(), Err(Failure::TimedOut(_))));
    while !house.sweeper.is_finished() {
        sleep(Duration::from_millis(10)).await;
    }
    assert!(house.server.objects().is_empty());
}

/// The API server keeps its connections, and sends exchanges over them until they are told to go.
#[tokio::test(start_paused = true)]
async fn a_stop_turns_nobody_away_whom_a_connection_still_brings() {
    let server = ApiServer::new(Signer::Signs);
    let (strategies, tasks) = Strategies::new(settings(server.client()));
    let (stop, all_gone) = (CancellationToken::new(), CancellationToken::new());
    let tasks = tokio::spawn(tasks.run(Leadership::alone(), stop.clone(), all_gone.clone()));
    stop.cancel();
    sleep(Duration::from_secs(1)).await;
    let lifetime = Lifetime::choose(StrategyKind::CertificateSigningRequestAPI, Some(HOUR * 24));
    strategies.cluster.sign(&jane(), None, lifetime).await.unwrap();
    all_gone.cancel();
    timeout(HOUR, tasks).await.unwrap().unwrap();
    assert!(server.objects().is_empty());
    assert!(matches!(strategies.cluster.sign(&jane(), None, lifetime).await, Err(Failure::Overloaded)));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_offered_before_it_was_tried_and_ready_means_tried() {
    let house = House::new(Signer::Signs);
    let strategies = &house.strategies;
    assert!(!strategies.ready());
    strategies.set(StrategyKind::ClientCertificateAuthority, Availability::Unusable(Fault::AuthorityMissing));
    assert!(!strategies.ready(), "the other may yet work");
    strategies.set(StrategyKind::CertificateSigningRequestAPI, Availability::Unusable(Fault::Disabled));
    assert!(strategies.ready(), "a cluster in which nothing works still answers");
    strategies.set(StrategyKind::CertificateSigningRequestAPI, Availability::Usable);
    assert_eq!(strategies.subscribe().borrow().offered(), Some(StrategyKind::CertificateSigningRequestAPI));
}

#[tokio::test(start_paused = true)]
async fn a_laptops_request_is_signed_as_it_is() {
    let house = House::new(Signer::Signs);
    let request = CertificateRequest::build(&jane(), &ClientKey::generate().unwrap()).unwrap();
    let lifetime = Lifetime::choose(StrategyKind::CertificateSigningRequestAPI, Some(HOUR * 24));
    let credential = house.strategies.cluster.sign(&jane(), Some(&request), lifetime).await.unwrap();
    assert!(credential.private_key_pem.is_none());
}
