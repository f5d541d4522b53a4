//! The authenticators' task, whole: against an API server in memory and issuers on loopback that misbehave.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its world should fail there")]

#[path = "authenticators/api.rs"]
mod api;
#[path = "authenticators/files.rs"]
mod files;
#[path = "authenticators/fleet.rs"]
mod fleet;
#[path = "authenticators/issuers.rs"]
mod issuers;
#[path = "authenticators/kept.rs"]
mod kept;
#[path = "authenticators/lies.rs"]
mod lies;
#[expect(dead_code, reason = "the tests that have a log in a file need more of it")]
#[path = "record/schema.rs"]
mod schema;
#[path = "keys/server.rs"]
#[expect(dead_code, reason = "what the tests of single fetches need beside")]
mod server;
#[path = "authenticators/told.rs"]
mod told;
#[path = "waiting/until.rs"]
mod waiting;
#[path = "authenticators/webhooks.rs"]
mod webhooks;

use std::sync::Arc;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use latchkey_concierge::{
    controllers::{
        Jitter,
        authenticators::{Conditions, Settings, Source, Synced, authenticators},
    },
    idp::proxy::Proxies,
    index::{self, Authenticator, AuthenticatorName, AuthenticatorRef, Entry, Reader, RefreshRequester},
    jwt::KeyId,
    runtime::{
        lease::{self, Candidate, Leadership},
        metrics::Metrics,
    },
    time::{Clock, ManualClock, UnixTime},
};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::{
    api::{Api, JWT, SECRETS, WEBHOOK},
    server::{Answer, Server},
    told::Told,
    waiting::{PATIENCE, until},
};

const NOON: UnixTime = UnixTime::from_secs(1_795_262_400);
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// The task at work; ended when dropped.
struct World {
    api: Api,
    reader: Reader,
    requester: RefreshRequester,
    metrics: Metrics,
    synced: Synced,
    clock: Arc<ManualClock>,
    told: Told,
    _task: JoinSet<()>,
}

impl World {
    fn start() -> Self {
        Self::over(Api::new(), Leadership::alone())
    }

    fn over(api: Api, leadership: Leadership) -> Self {
        Self::at(api, leadership, NOON)
    }

    fn at(api: Api, leadership: Leadership, now: UnixTime) -> Self {
        let source = Source::Api(api.client());
        Self::of(source, api, leadership, now)
    }

    fn of(source: Source, api: Api, leadership: Leadership, now: UnixTime) -> Self {
        let clock = Arc::new(ManualClock::new(now));
        let (index, reader) = index::channel();
        let (requester, refreshes) = index::refresh_channel();
        let metrics = Metrics::new();
        let told = Told::default();
        let settings = Settings {
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            cluster_name: "staging".to_owned(),
            index,
            jitter: Jitter::new(|| 0.0),
            leadership,
            metrics: metrics.clone(),
            namespace: "latchkey".to_owned(),
            notices: told.audience(),
            proxies: Proxies::default(),
            refreshes,
            suffix: "latchkey.dev".parse().unwrap(),
        };
        let (task, synced) = authenticators(source, settings);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { task.run(CancellationToken::new()).await.unwrap() });
        Self { api, reader, requester, metrics, synced, clock, told, _task: tasks }
    }

    fn entry(&self, name: &str) -> Option<Entry> {
        self.reader.snapshot().entry(&AuthenticatorRef::jwt(name)).cloned()
    }

    /// Waits until the index is as wanted.
    async fn until<T>(&self, what: &str, found: impl Fn(&Self) -> Option<T>) -> T {
        let mut reader = self.reader.clone();
        let wait = async {
            loop {
                if let Some(found) = found(self) {
                    return found;
                }
                assert!(reader.changed().await, "the task is gone");
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("not seen in time: {what}"))
    }

    async fn ready(&self, name: &str) -> Arc<Authenticator> {
        self.until("ready", |world| match world.entry(name) {
            Some(Entry::Ready(authenticator)) => Some(authenticator),
            Some(Entry::Webhook(_) | Entry::NotReady(_)) | None => None,
        })
        .await
    }

    async fn not_ready(&self, name: &str) {
        self.until("not ready", |world| matches!(world.entry(name), Some(Entry::NotReady(_))).then_some(())).await;
    }

    /// Waits until two fetches were answered by an error: what was kept has long been read by then.
    async fn fails_twice(&self, name: &str) {
        let series = format!("latchkey_keys_fetch_total{{authenticator=\"{name}\",result=\"status\"}}");
        let count = || self.metric(&series).map_or(0, |count| count.parse::<u32>().unwrap());
        until("the second try", async || (count() >= 2).then_some(())).await;
    }

    async fn ask(&self, name: &str, key_id: &str) -> bool {
        self.requester.request(&AuthenticatorName::new(name), KeyId::new(key_id).as_ref()).await
    }

    fn metric(&self, series: &str) -> Option<String> {
        let text = self.metrics.encode(NOON);
        text.lines().find_map(|line| line.strip_prefix(series)).map(|value| value.trim().to_owned())
    }
}

/// A replica that leads once its candidate holds the lease.
fn candidate(api: &Api) -> (Candidate, Leadership) {
    let clock = Arc::new(ManualClock::new(NOON));
    lease::candidate(api.client(), "latchkey", "latchkey", "b", clock, Metrics::new())
}

/// Waits until `words` stand in what people are shown of authenticators from files.
async fn shows(conditions: &Conditions, words: &str) {
    let mut news = conditions.clone();
    let wait = async {
        while !news.to_string().contains(words) {
            assert!(news.changed().await, "the task is gone");
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{words} is not shown: {conditions}"));
}

/// A key of that id; each call makes another one.
fn key(id: &str) -> Value {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = pair.public_key().as_ref();
    let [x, y] = [&point[1..33], &point[33..]].map(|half| URL_SAFE_NO_PAD.encode(half));
    json!({"kty": "EC", "crv": "P-256", "kid": id, "x": x, "y": y})
}

/// Lets an issuer answer well, with these keys.
fn behave(issuer: &Server, keys: &[Value]) {
    let document = json!({"issuer": issuer.base, "jwks_uri": format!("{}/keys", issuer.base)});
    issuer.answer(DISCOVERY, Answer::json("", &document));
    issuer.answer("/keys", Answer::json("", &json!({ "keys": keys })));
}

async fn good_issuer() -> Server {
    let issuer = Server::start().await;
    behave(&issuer, &[key("one")]);
    issuer
}

fn pem(issuer: &Server) -> String {
    let base64 = STANDARD.encode(&issuer.root);
    format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n")
}

/// The spec of an authenticator for this issuer.
fn spec(issuer: &Server) -> Value {
    let bundle = STANDARD.encode(pem(issuer));
    json!({"spec": {"issuer": issuer.base, "audience": "staging", "tls": {"certificateAuthorityData": bundle}}})
}

fn key_ids(authenticator: &Authenticator) -> Vec<String> {
    authenticator.verifier.keys().key_ids().map(|id| id.as_str().to_owned()).collect()
}

#[tokio::test]
async fn a_good_authenticator_becomes_ready_and_its_status_is_written_once() {
    let (world, issuer) = (World::start(), good_issuer().await);
    world.api.put(JWT, "staff", spec(&issuer));
    let authenticator = world.ready("staff").await;
    assert_eq!(authenticator.verifier.issuer().as_str(), issuer.base);
    assert_eq!((authenticator.generation, authenticator.keys_fetched_at), (1, NOON));
    world.api.reason(JWT, "staff", "Ready", "Success").await;
    assert_eq!(world.api.get(JWT, "staff")["status"]["phase"], "Ready");
    // A second authenticator's way to ready is a long time for a write too many to show.
    let mut other = spec(&issuer);
    other["spec"]["audience"] = json!("robots");
    world.api.put(JWT, "other", other);
    world.api.reason(JWT, "other", "Ready", "Success").await;
    assert_eq!(world.api.status_writes(), 2);
    assert_eq!(world.metric("latchkey_keys_fetch_total{authenticator=\"staff\",result=\"changed\"}").unwrap(), "1");
    assert_eq!(world.metric("latchkey_keys_age_seconds{authenticator=\"staff\"}").unwrap(), "0");
    assert!(world.synced.is_synced());
}

#[tokio::test]
async fn keys_come_from_where_the_spec_says() {
    let (world, issuer) = (World::start(), Server::start().await);
    let document = json!({"issuer": issuer.base, "jwks_uri": format!("{}/keys", issuer.base)});
    issuer.answer("/elsewhere/metadata", Answer::json("", &document));
    issuer.answer("/keys", Answer::json("", &json!({ "keys": [key("discovered")] })));
    issuer.answer("/given", Answer::json("", &json!({ "keys": [key("given")] })));
    issuer.answer("/strange", Answer::json("", &json!({"issuer": "https://other", "jwks_uri": document["jwks_uri"]})));
    let with = |name: &str, value: Value| {
        let mut spec = spec(&issuer);
        spec["spec"][name] = value;
        spec
    };
    let at = |path: &str| format!("{}{path}", issuer.base);
    let inline = json!({"inline": json!({"keys": [key("inline")]}).to_string()});

    world.api.put(JWT, "inline", with("jwks", inline.clone()));
    assert_eq!(key_ids(&*world.ready("inline").await), ["inline"]);
    assert!(issuer.requests().is_empty(), "ready without a word to anybody");
    assert!(!world.ask("inline", "unknown").await);
    assert_eq!(world.metric("latchkey_keys_usable{authenticator=\"inline\"}").unwrap(), "1");
    assert_eq!(world.metric("latchkey_keys_age_seconds{authenticator=\"inline\"}"), None);

    world.api.put(JWT, "elsewhere", with("discoveryURL", json!(at("/elsewhere/metadata"))));
    world.api.put(JWT, "given", with("jwks", json!({"url": at("/given")})));
    assert_eq!(key_ids(&*world.ready("elsewhere").await), ["discovered"]);
    assert_eq!(key_ids(&*world.ready("given").await), ["given"]);
    assert!(issuer.requests().iter().all(|request| !request.contains("/.well-known/")), "{:?}", issuer.requests());
    world.api.put(JWT, "strange", with("discoveryURL", json!(at("/strange"))));
    let message = world.api.reason(JWT, "strange", "DiscoveryURLValid", "InvalidDiscoveryProbe").await;
    assert!(message.contains("is issuer \"https://other\"'s"), "{message}");

    // From one source to the next: what one says is nothing to the other, and inline keys change with the spec alone.
    world.api.put(JWT, "given", with("jwks", inline));
    world
        .until("inline keys", |world| match world.entry("given") {
            Some(Entry::Ready(now)) => (now.generation == 2).then(|| assert_eq!(key_ids(&now), ["inline"])),
            other => panic!("{other:?}"),
        })
        .await;
}

#[tokio::test]
async fn a_request_for_an_authenticator_without_a_keeper_is_answered_at_once() {
    let world = World::start();
    assert!(!world.ask("nobody", "one").await);
    world.api.put(JWT, "broken", json!({"spec": {"issuer": "http://idp", "audience": "a"}}));
    world.not_ready("broken").await;
    assert!(!world.ask("broken", "one").await);
}

#[tokio::test]
async fn a_changed_spec_takes_effect_whole_and_at_once() {
    let (world, old, new) = (World::start(), good_issuer().await, Server::start().await);
    world.api.put(JWT, "staff", spec(&old));
    world.ready("staff").await;

    // Another issuer, not there yet: the old one admits nobody any more.
    world.api.put(JWT, "staff", spec(&new));
    world.not_ready("staff").await;
    behave(&new, &[key("new")]);
    let authenticator = world.ready("staff").await;
    assert_eq!((authenticator.generation, key_ids(&authenticator)), (2, vec!["new".to_owned()]));

    // Another audience needs no new keys: no moment without an authenticator.
    let fetches = new.requests().len();
    let mut other_audience = spec(&new);
    other_audience["spec"]["audience"] = json!("production");
    world.api.put(JWT, "staff", other_audience);
    world
        .until("generation 3", |world| match world.entry("staff") {
            Some(Entry::Ready(now)) => (now.generation == 3).then_some(now),
            other => panic!("{other:?}"),
        })
        .await;
    assert_eq!(new.requests().len(), fetches);

    // A rule that is none: nobody.
    let mut with_rule = spec(&new);
    with_rule["spec"]["userValidationRules"] = json!([{"expression": "user.groups"}]);
    world.api.put(JWT, "staff", with_rule);
    world.not_ready("staff").await;
    let message = world.api.reason(JWT, "staff", "AuthenticatorValid", "InvalidAuthenticator").await;
    assert!(message.contains("userValidationRules[0].expression: 1:1: "), "{message}");

    world.api.delete(JWT, "staff");
    world.until("gone", |world| world.entry("staff").is_none().then_some(())).await;
    assert_eq!(world.metric("latchkey_keys_age_seconds{authenticator=\"staff\"}"), None);
}

#[tokio::test]
async fn api_server_restarted() {
    let (world, issuer) = (World::start(), good_issuer().await);
    world.api.put(JWT, "before", spec(&issuer));
    world.ready("before").await;
    for round in 0..3 {
        world.api.restart();
        let name = format!("after-{round}");
        world.api.put(JWT, &name, spec(&issuer));
        world.ready(&name).await;
        world.api.reason(JWT, &name, "Ready", "Success").await;
        assert!(matches!(world.entry("before"), Some(Entry::Ready(_))));
    }
}

#[tokio::test]
async fn a_bundle_in_a_secret_is_watched() {
    let (world, issuer, stranger) = (World::start(), good_issuer().await, Server::start().await);
    let source = json!({"kind": "Secret", "name": "idp-ca", "key": "ca.crt"});
    let spec = json!({"spec": {
        "issuer": issuer.base, "audience": "staging", "tls": {"certificateAuthorityDataSource": source}
    }});
    world.api.put(JWT, "staff", spec);
    let message = world.api.reason(JWT, "staff", "TLSConfigurationValid", "InvalidTLSConfig").await;
    assert!(message.contains("Secret latchkey/idp-ca does not exist"), "{message}");

    let secret = |pem: &str| json!({"type": "Opaque", "data": {"ca.crt": STANDARD.encode(pem)}});
    world.api.put(SECRETS, "idp-ca", secret(&pem(&issuer)));
    world.ready("staff").await;

    world.api.put(SECRETS, "idp-ca", secret(&pem(&stranger)));
    world.not_ready("staff").await;
    let message = world.api.reason(JWT, "staff", "DiscoveryURLValid", "InvalidDiscoveryProbe").await;
    assert!(message.contains("TLS failed: invalid peer certificate"), "{message}");

    world.api.put(SECRETS, "idp-ca", secret("rubbish"));
    let message = world.api.reason(JWT, "staff", "TLSConfigurationValid", "InvalidTLSConfig").await;
    assert!(message.contains("holds no PEM certificate"), "{message}");

    world.api.put(SECRETS, "idp-ca", secret(&pem(&issuer)));
    world.ready("staff").await;
    world.api.delete(SECRETS, "idp-ca");
    world.not_ready("staff").await;
}

#[tokio::test]
async fn an_object_that_cannot_be_read_disturbs_nobody() {
    let (world, issuer) = (World::start(), good_issuer().await);
    for (name, spec) in [("bad-type", json!({"issuer": 7})), ("bad-shape", json!([])), ("bad-nothing", json!(null))] {
        world.api.put(JWT, name, json!({ "spec": spec }));
    }
    world.api.put(JWT, "staff", spec(&issuer));
    world.ready("staff").await;
    for name in ["bad-type", "bad-shape", "bad-nothing"] {
        world.not_ready(name).await;
        let message = world.api.reason(JWT, name, "AuthenticatorValid", "InvalidAuthenticator").await;
        assert!(message.contains("cannot be read by this version"), "{message}");
    }
}

#[tokio::test]
async fn a_status_edited_by_hand_is_written_back() {
    let (world, issuer) = (World::start(), good_issuer().await);
    world.api.put(JWT, "staff", spec(&issuer));
    world.api.reason(JWT, "staff", "Ready", "Success").await;
    let mut edited = spec(&issuer);
    edited["status"] = json!({"phase": "Error", "conditions": []});
    world.api.put(JWT, "staff", edited);
    world.api.reason(JWT, "staff", "Ready", "Success").await;
    assert_eq!(world.api.get(JWT, "staff")["status"]["phase"], "Ready");
}

#[tokio::test]
async fn two_replicas_both_admit_and_the_one_that_leads_writes() {
    let (api, issuer) = (Api::new(), good_issuer().await);
    let ((first, leads), (_second, follows)) = (candidate(&api), candidate(&api));
    let (leader, follower) = (World::over(api.clone(), leads), World::over(api.clone(), follows));
    api.put(JWT, "staff", spec(&issuer));
    api.put(WEBHOOK, "hook", json!({"spec": {"endpoint": "http://tokens.example.com/review"}}));
    leader.ready("staff").await;
    follower.ready("staff").await;
    assert_eq!(api.status_writes(), 0, "nobody leads yet");

    let mut lease = JoinSet::new();
    lease.spawn(first.hold(CancellationToken::new()));
    api.reason(JWT, "staff", "Ready", "Success").await;
    api.reason(WEBHOOK, "hook", "Ready", "NotReady").await;
    assert_eq!(api.status_writes(), 2);
}
