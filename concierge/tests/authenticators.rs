//! The authenticators' task, whole: against an API server in memory and issuers on loopback that misbehave.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its world should fail there")]

#[path = "authenticators/api.rs"]
mod api;
#[path = "authenticators/fleet.rs"]
mod fleet;
#[expect(dead_code, reason = "the tests that have a log in a file need more of it")]
#[path = "record/schema.rs"]
mod schema;
#[path = "keys/server.rs"]
#[expect(dead_code, reason = "what the tests of single fetches need beside")]
mod server;
#[path = "authenticators/told.rs"]
mod told;

use std::{sync::Arc, time::Duration};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use futures::future::join_all;
use latchkey_concierge::{
    controllers::{
        Jitter,
        authenticators::{
            Settings, Source, Synced, authenticators, conditions,
            files::{Folder, Pace},
        },
    },
    idp::proxy::Proxies,
    index::{
        self, AskError, Authenticator, AuthenticatorName, AuthenticatorRef, Entry, Reader, RefreshRequester, Webhook,
    },
    jwt::KeyId,
    runtime::{
        lease::{self, Leadership},
        metrics::Metrics,
    },
    secret::BearerToken,
    time::{Clock, ManualClock, UnixTime},
    token_review::Word,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::{
    api::{Api, JWT, SECRETS, WEBHOOK},
    server::{Answer, Server},
    told::Told,
};

const NOON: UnixTime = UnixTime::from_secs(1_795_262_400);
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// How long a test waits for what should happen in milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

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
        let twice = async {
            while self.metric(&series).is_none_or(|count| count.parse::<u32>().unwrap() < 2) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, twice).await.unwrap_or_else(|_| panic!("{name} was not tried twice"));
    }

    async fn ask(&self, name: &str, key_id: &str) -> bool {
        self.requester.request(&AuthenticatorName::new(name), KeyId::new(key_id).as_ref()).await
    }

    fn metric(&self, series: &str) -> Option<String> {
        let text = self.metrics.encode(NOON);
        text.lines().find_map(|line| line.strip_prefix(series)).map(|value| value.trim().to_owned())
    }
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
async fn issuer_down_at_start_must_be_told_and_tried_until_it_comes_back() {
    let (world, issuer) = (World::start(), Server::start().await);
    issuer.answer(DISCOVERY, Answer::plain("500 Down", "", b""));
    world.api.put(JWT, "staff", spec(&issuer));
    let message = world.api.reason(JWT, "staff", "DiscoveryURLValid", "InvalidDiscoveryProbe").await;
    assert!(message.ends_with("answered 500 Internal Server Error, expected 200"), "{message}");
    world.not_ready("staff").await;
    behave(&issuer, &[key("one")]);
    world.ready("staff").await;
    world.api.reason(JWT, "staff", "Ready", "Success").await;
}

#[tokio::test]
async fn a_stalling_issuer_delays_nobody_else() {
    let world = World::start();
    let mut stalling = Vec::new();
    for n in 0..20 {
        let issuer = Server::start().await;
        issuer.answer(DISCOVERY, Answer::Silent);
        world.api.put(JWT, &format!("stalling-{n}"), spec(&issuer));
        stalling.push(issuer);
    }
    world.until("stalling ones", |world| world.entry("stalling-19")).await;
    let issuer = good_issuer().await;
    world.api.put(JWT, "staff", spec(&issuer));
    world.ready("staff").await;
    assert!(matches!(world.entry("stalling-0"), Some(Entry::NotReady(_))));
    // What is only awaited is told as pending, not as an error.
    world.clock.advance(Duration::from_secs(3));
    let message = world.api.reason(JWT, "stalling-0", "DiscoveryURLValid", "UnableToValidate").await;
    assert_eq!(message, "the issuer has not answered yet");
    assert_eq!(world.api.get(JWT, "stalling-0")["status"]["phase"], "Pending");
}

#[tokio::test]
async fn issuer_that_goes_down_later_leaves_the_last_good_keys_in_use_and_comes_back() {
    let (world, issuer) = (World::start(), good_issuer().await);
    world.api.put(JWT, "staff", spec(&issuer));
    world.ready("staff").await;
    issuer.answer(DISCOVERY, Answer::plain("500 Down", "", b""));
    issuer.answer("/keys", Answer::plain("500 Down", "", b""));
    assert!(!world.ask("staff", "unknown").await);
    let failing = |told: &Value| told["message"].as_str().unwrap().contains("failing since");
    let message = world.api.told(JWT, "staff", "JWKSFetchValid", failing).await;
    assert!(message.contains("; failing since 2026-11-21T12:00:00Z, the keys of"), "{message}");
    assert!(matches!(world.entry("staff"), Some(Entry::Ready(_))));
    assert_eq!(world.api.get(JWT, "staff")["status"]["phase"], "Ready");

    behave(&issuer, &[key("one")]);
    let well = |told: &Value| told["message"] == "successfully fetched jwks";
    world.api.told(JWT, "staff", "JWKSFetchValid", well).await;
}

#[tokio::test]
async fn key_rotated_is_fetched_for_its_first_token_and_key_withdrawn_is_gone() {
    let (world, issuer) = (World::start(), good_issuer().await);
    world.api.put(JWT, "staff", spec(&issuer));
    assert_eq!(key_ids(&*world.ready("staff").await), ["one"]);
    behave(&issuer, &[key("two")]);
    assert!(world.ask("staff", "two").await);
    // The answer comes after the new keys are in force, not before.
    let Some(Entry::Ready(now)) = world.entry("staff") else { panic!("not ready") };
    assert_eq!(key_ids(&now), ["two"]);
}

#[tokio::test]
async fn unknown_kid_ten_thousand_times_is_a_handful_of_fetches() {
    let (world, issuer) = (World::start(), good_issuer().await);
    world.api.put(JWT, "staff", spec(&issuer));
    world.ready("staff").await;
    let before = issuer.requests().len();
    for batch in 0..100 {
        let ids: Vec<_> = (0..100).map(|n| format!("forged-{batch}-{n}")).collect();
        let answers = join_all(ids.iter().map(|id| world.ask("staff", id))).await;
        assert!(answers.into_iter().all(|changed| !changed));
    }
    // The clock stands still, so the burst of three is all there is.
    assert_eq!(issuer.requests().len() - before, 3);
    let suppressed: u32 = world.metric("latchkey_keys_fetch_suppressed_total").unwrap().parse().unwrap();
    assert!(suppressed > 5_000, "{suppressed}");
    // A key that appears during the flood is not found before the bucket fills, and the known one works all the time.
    assert!(matches!(world.entry("staff"), Some(Entry::Ready(_))));
}

#[tokio::test]
async fn authenticators_of_one_issuer_share_its_keys_and_its_patience() {
    let (world, issuer) = (World::start(), good_issuer().await);
    for name in ["staff", "guests", "robots"] {
        world.api.put(JWT, name, spec(&issuer));
        world.ready(name).await;
    }
    assert_eq!(issuer.requests().len(), 2, "one discovery, one key set: {:?}", issuer.requests());
    for name in ["staff", "guests", "robots"] {
        assert_eq!(world.metric(&format!("latchkey_keys_age_seconds{{authenticator=\"{name}\"}}")).unwrap(), "0");
    }

    // New keys for one are new keys for all, before the first is answered.
    behave(&issuer, &[key("two")]);
    assert!(world.ask("guests", "two").await);
    for name in ["staff", "guests", "robots"] {
        let Some(Entry::Ready(now)) = world.entry(name) else { panic!("{name} is not ready") };
        assert_eq!(key_ids(&now), ["two"], "{name}");
    }

    // Forged tokens at three authenticators are no more to the issuer than at one: two of the burst of three are left.
    let before = issuer.requests().len();
    for n in 0..30 {
        for name in ["staff", "guests", "robots"] {
            assert!(!world.ask(name, &format!("forged-{n}-{name}")).await);
        }
    }
    assert_eq!(issuer.requests().len() - before, 2);

    // The keeper stays while somebody needs it, and other trust roots are another source.
    world.api.delete(JWT, "staff");
    world.until("gone", |world| world.entry("staff").is_none().then_some(())).await;
    assert!(matches!(world.entry("robots"), Some(Entry::Ready(_))));
    let (stranger, before) = (Server::start().await, issuer.requests().len());
    let mut mistrusting = spec(&stranger);
    mistrusting["spec"]["issuer"] = json!(issuer.base);
    world.api.put(JWT, "mistrusting", mistrusting);
    let message = world.api.reason(JWT, "mistrusting", "DiscoveryURLValid", "InvalidDiscoveryProbe").await;
    assert!(message.contains("TLS failed"), "{message}");
    world.not_ready("mistrusting").await;
    assert_eq!(issuer.requests().len(), before);
}

/// The Secret of the authenticator of that name.
fn record_of(api: &Api, name: &str) -> String {
    format!("latchkey-keys-{}", api.get(JWT, name)["metadata"]["uid"].as_str().unwrap())
}

fn is_written(object: &Value) -> bool {
    object.is_object()
}

/// An API in which the keys of `staff` are kept since [`NOON`], and their issuer, which answers no more.
async fn outage() -> (Api, Server) {
    let (world, issuer) = (World::start(), good_issuer().await);
    world.api.put(JWT, "staff", spec(&issuer));
    world.ready("staff").await;
    world.api.until(SECRETS, &record_of(&world.api, "staff"), is_written).await;
    issuer.answer(DISCOVERY, Answer::plain("500 Down", "", b""));
    issuer.answer("/keys", Answer::plain("500 Down", "", b""));
    (world.api.clone(), issuer)
}

const ALMOST_A_DAY: Duration = Duration::from_mins(24 * 60 - 1);

#[tokio::test]
async fn a_cold_start_during_an_outage_admits_by_the_kept_keys_until_they_are_a_day_old() {
    let (api, issuer) = outage().await;
    let secret = api.get(SECRETS, &record_of(&api, "staff"));
    assert_eq!(secret["metadata"]["ownerReferences"][0]["uid"], api.get(JWT, "staff")["metadata"]["uid"]);

    let world = World::at(api, Leadership::alone(), NOON.plus(ALMOST_A_DAY));
    let authenticator = world.ready("staff").await;
    assert_eq!((key_ids(&authenticator), authenticator.keys_fetched_at), (vec!["one".to_owned()], NOON));
    let failing = |told: &Value| told["message"].as_str().unwrap().contains("failing since");
    let message = world.api.told(JWT, "staff", "JWKSFetchValid", failing).await;
    assert!(message.contains("the keys of 2026-11-21T12:00:00Z are in use until 2026-11-22T12:00:00Z"), "{message}");
    assert_eq!(world.api.get(JWT, "staff")["status"]["phase"], "Ready");

    // The restart has not made them younger.
    world.clock.advance(Duration::from_secs(61));
    world.not_ready("staff").await;
    let too_late = World::at(world.api.clone(), Leadership::alone(), NOON.plus(Duration::from_hours(24)));
    too_late.not_ready("staff").await;

    behave(&issuer, &[key("two")]);
    assert_eq!(key_ids(&*world.ready("staff").await), ["two"]);
}

#[tokio::test]
async fn while_the_issuer_answers_the_kept_keys_are_not_used() {
    let (api, issuer) = outage().await;
    behave(&issuer, &[key("two")]);
    let world = World::over(api, Leadership::alone());
    assert_eq!(key_ids(&*world.ready("staff").await), ["two"], "the first keys in force are the issuer's own");
    let record = record_of(&world.api, "staff");
    let ids = |secret: &Value| {
        let set = STANDARD.decode(secret["data"]["jwks.json"].as_str().unwrap()).unwrap();
        serde_json::from_slice::<Value>(&set).unwrap()["keys"][0]["kid"].clone()
    };
    world.api.until(SECRETS, &record, |secret| ids(secret) == "two").await;
}

#[tokio::test]
async fn an_issuer_that_stalls_at_a_cold_start_is_waited_for_a_moment_only() {
    let (api, issuer) = outage().await;
    issuer.answer(DISCOVERY, Answer::Silent);
    let world = World::over(api, Leadership::alone());
    assert_eq!(key_ids(&*world.ready("staff").await), ["one"]);
    world.until("synced", |world| world.synced.is_synced().then_some(())).await;
}

#[tokio::test]
async fn kept_keys_that_are_spoilt_or_another_authenticators_are_not_used() {
    let (api, issuer) = outage().await;
    let name = record_of(&api, "staff");
    let good = api.get(SECRETS, &name);
    for (path, spoilt) in [
        ("/data/jwks.json", json!(STANDARD.encode("{\"keys\":"))),
        ("/data/about.json", json!(STANDARD.encode("{}"))),
        ("/data", json!({})),
        ("/type", json!("Opaque")),
    ] {
        let mut secret = good.clone();
        *secret.pointer_mut(path).unwrap() = spoilt;
        api.put(SECRETS, &name, secret);
        let world = World::over(api.clone(), Leadership::alone());
        world.fails_twice("staff").await;
        assert!(matches!(world.entry("staff"), Some(Entry::NotReady(_))), "{path}");
    }
    // A good record under the name of another authenticator of the very same issuer.
    api.put(JWT, "guests", spec(&issuer));
    api.delete(JWT, "staff");
    api.put(SECRETS, &record_of(&api, "guests"), good);
    let world = World::over(api, Leadership::alone());
    world.fails_twice("guests").await;
    assert!(matches!(world.entry("guests"), Some(Entry::NotReady(_))));
}

#[tokio::test]
async fn keys_are_kept_when_they_change_and_not_at_each_fetch() {
    let (world, issuer) = (World::start(), good_issuer().await);
    world.api.put(JWT, "staff", spec(&issuer));
    world.ready("staff").await;
    let record = record_of(&world.api, "staff");
    world.api.until(SECRETS, &record, is_written).await;
    assert_eq!(world.api.applied(), 1);
    // Six fetches of the same keys, and two of new ones within the same minute.
    for n in 0..6 {
        let before = issuer.requests().len();
        world.clock.advance(Duration::from_mins(5));
        assert!(!world.ask("staff", &format!("unknown-{n}")).await);
        assert!(issuer.requests().len() > before);
    }
    for id in ["two", "three"] {
        behave(&issuer, &[key(id)]);
        assert!(world.ask("staff", id).await, "{id}");
    }
    assert_eq!(world.api.applied(), 1, "the minute is not over");
}

#[tokio::test]
async fn only_the_leader_keeps_keys_and_a_new_leader_does_it_at_once() {
    let (api, issuer) = (Api::new(), good_issuer().await);
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(NOON));
    let candidate = || lease::candidate(api.client(), "latchkey", "latchkey", "b", Arc::clone(&clock), Metrics::new());
    let ((first, leads), (_second, follows)) = (candidate(), candidate());
    let (leader, follower) = (World::over(api.clone(), leads), World::over(api.clone(), follows));
    api.put(JWT, "staff", spec(&issuer));
    leader.ready("staff").await;
    follower.ready("staff").await;
    assert_eq!(api.applied(), 0, "nobody leads yet");
    let mut lease = JoinSet::new();
    lease.spawn(first.hold(CancellationToken::new()));
    api.until(SECRETS, &record_of(&api, "staff"), is_written).await;
    assert_eq!(api.applied(), 1);
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

/// How an issuer lies, and what must be told of it.
struct Lie {
    document: Answer,
    keys: Answer,
    condition: &'static str,
    reason: &'static str,
    words: &'static str,
}

impl Lie {
    async fn must_be_told(self) {
        let (world, issuer) = (World::start(), Server::start().await);
        issuer.answer(DISCOVERY, at(&issuer, self.document));
        issuer.answer("/keys", self.keys);
        world.api.put(JWT, "staff", spec(&issuer));
        let message = world.api.reason(JWT, "staff", self.condition, self.reason).await;
        assert!(message.contains(self.words), "{message}");
        world.not_ready("staff").await;
        behave(&issuer, &[key("one")]);
        world.ready("staff").await;
    }
}

/// The same answer with the issuer's own URL in the place of `BASE`.
fn at(issuer: &Server, answer: Answer) -> Answer {
    match answer {
        Answer::Plain { status, headers, body } => {
            let body = String::from_utf8(body).unwrap().replace("BASE", &issuer.base).into_bytes();
            Answer::Plain { status, headers, body }
        }
        other => other,
    }
}

/// A discovery document; `BASE` stands for the issuer's own URL.
fn document(issuer: &str, keys: &str) -> Answer {
    Answer::json("", &json!({"issuer": issuer, "jwks_uri": keys}))
}

fn honest() -> Answer {
    document("BASE", "BASE/keys")
}

fn no_keys() -> Answer {
    Answer::json("", &json!({"keys": []}))
}

fn ten_mib() -> Answer {
    Answer::plain("200 OK", "", &vec![b' '; 10 * 1024 * 1024])
}

fn page() -> Answer {
    Answer::plain("200 OK", "Content-Type: text/html\r\n", b"<html>")
}

#[tokio::test]
async fn discovery_with_another_issuer() {
    let (condition, reason) = ("DiscoveryURLValid", "InvalidDiscoveryProbe");
    for (issuer, words) in [("https://other", "is issuer \"https://other\"'s"), ("BASE/", "/\"'s, expected \"https://")]
    {
        Lie { document: document(issuer, "BASE/keys"), keys: no_keys(), condition, reason, words }.must_be_told().await;
    }
}

#[tokio::test]
async fn discovery_that_is_none() {
    let (condition, reason) = ("DiscoveryURLValid", "InvalidDiscoveryProbe");
    for (document, words) in [(page(), "text/html"), (ten_mib(), "larger than 131072 bytes"), (no_keys(), "issuer")] {
        Lie { document, keys: no_keys(), condition, reason, words }.must_be_told().await;
    }
}

#[tokio::test]
async fn jwks_uri_that_is_not_https() {
    let condition = "JWKSURLValid";
    for (uri, reason) in [("http://idp/k", "InvalidProviderJWKSURLScheme"), ("/keys", "InvalidProviderJWKSURL")] {
        Lie { document: document("BASE", uri), keys: no_keys(), condition, reason, words: uri }.must_be_told().await;
    }
}

#[tokio::test]
async fn key_set_of_10_mib() {
    let (condition, reason) = ("JWKSFetchValid", "InvalidCouldNotFetchJWKS");
    Lie { document: honest(), keys: ten_mib(), condition, reason, words: "larger than 524288 bytes" }
        .must_be_told()
        .await;
}

#[tokio::test]
async fn key_set_that_is_none() {
    let (condition, reason) = ("JWKSFetchValid", "InvalidCouldNotFetchJWKS");
    let moved = Answer::plain("302 Found", "Location: /elsewhere\r\n", b"");
    for (keys, words) in [(no_keys(), "no usable key"), (page(), "text/html"), (moved, "redirects are not followed")] {
        Lie { document: honest(), keys, condition, reason, words }.must_be_told().await;
    }
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
async fn files_take_their_bundles_from_the_api_and_write_nothing_there() {
    let (api, issuer) = (Api::new(), good_issuer().await);
    let path = std::env::temp_dir().join(format!("latchkey-files-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir(&path).unwrap();
    let source = json!({"kind": "Secret", "name": "idp-ca", "key": "ca.crt"});
    let manifest = json!({
        "apiVersion": "authentication.concierge.latchkey.dev/v1alpha1", "kind": "JWTAuthenticator",
        "metadata": {"name": "staff"},
        "spec": {"issuer": issuer.base, "audience": "staging", "tls": {"certificateAuthorityDataSource": source}},
    });
    std::fs::write(path.join("staff.json"), manifest.to_string()).unwrap();
    let pace = Pace { look: Duration::from_millis(5), settle: Duration::from_millis(1) };
    let folder = Folder::open(path.clone(), pace).await.unwrap();
    // What the API has of the kind does not count.
    api.put(JWT, "other", spec(&issuer));
    let (sender, conditions) = conditions();
    let source = Source::Folder { folder, conditions: sender, client: Some(api.client()) };
    let world = World::of(source, api, Leadership::alone(), NOON);
    let shown = async |words: &str| {
        let wait = async {
            while !conditions.to_string().contains(words) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{words} is not shown: {conditions}"));
    };

    shown("Secret latchkey/idp-ca does not exist: create it").await;
    world.api.put(SECRETS, "idp-ca", json!({"type": "Opaque", "data": {"ca.crt": STANDARD.encode(pem(&issuer))}}));
    let authenticator = world.ready("staff").await;
    shown("the JWTAuthenticator is ready").await;
    // New keys would be kept in a Secret at once, if anything could own it.
    behave(&issuer, &[key("two")]);
    assert!(world.ask("staff", "two").await);
    std::fs::write(path.join("staff.json"), manifest.to_string().replace("staging", "production")).unwrap();
    let next = world.until("the next generation", |world| match world.entry("staff") {
        Some(Entry::Ready(next)) if next.generation > authenticator.generation => Some(next),
        _ => None,
    });
    assert_eq!(next.await.uid, authenticator.uid);
    assert!(world.synced.is_synced() && world.entry("other").is_none());
    assert_eq!((world.api.status_writes(), world.api.applied()), (0, 0));
    std::fs::remove_file(path.join("staff.json")).unwrap();
    world.until("its end", |world| world.entry("staff").is_none().then_some(())).await;
    shown("\"authenticators\": []").await;
    std::fs::remove_dir(path).unwrap();
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
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(NOON));
    let candidate = || lease::candidate(api.client(), "latchkey", "latchkey", "b", Arc::clone(&clock), Metrics::new());
    let ((first, leads), (_second, follows)) = (candidate(), candidate());
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

/// The spec of a webhook at this server.
fn webhook(server: &Server) -> Value {
    let bundle = STANDARD.encode(pem(server));
    json!({"spec": {"endpoint": format!("{}/review", server.base), "tls": {"certificateAuthorityData": bundle}}})
}

fn webhook_of(world: &World, name: &str) -> Option<Arc<Webhook>> {
    match world.reader.snapshot().entry(&AuthenticatorRef::webhook(name)) {
        Some(Entry::Webhook(webhook)) => Some(Arc::clone(webhook)),
        Some(Entry::Ready(_) | Entry::NotReady(_)) | None => None,
    }
}

#[tokio::test]
async fn a_webhook_is_dialed_told_as_ready_and_asked() {
    let (world, server) = (World::start(), Server::start().await);
    let user = json!({"username": "ada"});
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
        "status": {"authenticated": true, "user": user}});
    server.answer("/review", Answer::json("", &review));
    world.api.put(WEBHOOK, "hook", webhook(&server));
    let message = world.api.reason(WEBHOOK, "hook", "WebhookConnectionValid", "Success").await;
    assert_eq!(message, "successfully dialed webhook server");
    world.api.reason(WEBHOOK, "hook", "Ready", "Success").await;
    assert_eq!(world.api.get(WEBHOOK, "hook")["status"]["phase"], "Ready");
    assert_eq!(world.api.status_writes(), 1, "one write says it all");
    assert!(server.requests().is_empty(), "dialing asks nothing");

    let known = webhook_of(&world, "hook").unwrap();
    let answer = known.door.ask(&BearerToken::new("opaque".to_owned())).await.unwrap();
    assert!(matches!(answer, Word::Authenticated(vouched) if vouched.username == "ada"));
    assert_eq!(
        world.metric("latchkey_webhook_asked_total{authenticator=\"hook\",result=\"authenticated\"}").unwrap(),
        "1"
    );
    // The kinds are apart, also where a name is the same.
    assert!(world.entry("hook").is_none());

    // A new generation is a new entry, though its server is the same and is not dialed again.
    let mut longer = webhook(&server);
    longer["spec"]["credential"] = json!({"lifetimeSeconds": 600});
    world.api.put(WEBHOOK, "hook", longer);
    let next =
        world.until("generation 2", |world| webhook_of(world, "hook").filter(|webhook| webhook.generation == 2)).await;
    assert_eq!(next.credential_lifetime, Some(Duration::from_mins(10)));
    assert_eq!(next.uid, known.uid);

    world.api.delete(WEBHOOK, "hook");
    let gone =
        |world: &World| world.reader.snapshot().entry(&AuthenticatorRef::webhook("hook")).is_none().then_some(());
    world.until("gone", gone).await;
}

#[tokio::test]
async fn a_webhook_that_goes_away_is_told_as_soon_as_a_login_finds_out_and_comes_back() {
    let (world, server) = (World::start(), Server::start().await);
    world.api.put(WEBHOOK, "hook", webhook(&server));
    world.api.reason(WEBHOOK, "hook", "Ready", "Success").await;
    let address = server.address();
    drop(server);
    let known = webhook_of(&world, "hook").unwrap();
    let Err(AskError::Unavailable(sentence)) = known.door.ask(&BearerToken::new("opaque".to_owned())).await else {
        panic!("asked a server that is gone");
    };
    assert!(sentence.starts_with("cannot be asked: cannot connect"), "{sentence}");
    let message = world.api.reason(WEBHOOK, "hook", "WebhookConnectionValid", "UnableToDialServer").await;
    assert!(message.starts_with("cannot dial server since 2026-11-21T12:00:00Z: cannot connect: "), "{message}");
    assert_eq!(world.api.get(WEBHOOK, "hook")["status"]["phase"], "Error");
    assert!(webhook_of(&world, "hook").is_some(), "each login finds out anew");

    // Another server at its address, of another authority: reached, and not trusted.
    let stranger = Server::at(address).await;
    let words = |told: &Value| told["message"].as_str().unwrap().contains("TLS failed");
    world.api.told(WEBHOOK, "hook", "WebhookConnectionValid", words).await;
    world.api.put(WEBHOOK, "hook", webhook(&stranger));
    world.api.reason(WEBHOOK, "hook", "Ready", "Success").await;
}

#[tokio::test]
async fn a_webhook_takes_its_bundle_from_a_secret_and_follows_it() {
    let (world, server) = (World::start(), Server::start().await);
    let mut spec = webhook(&server);
    spec["spec"]["tls"] =
        json!({"certificateAuthorityDataSource": {"kind": "Secret", "name": "tokens-ca", "key": "ca.crt"}});
    world.api.put(WEBHOOK, "hook", spec);
    let message = world.api.reason(WEBHOOK, "hook", "TLSConfigurationValid", "InvalidTLSConfig").await;
    assert!(message.contains("Secret latchkey/tokens-ca does not exist"), "{message}");
    assert!(webhook_of(&world, "hook").is_none());
    let secret = |pem: String| json!({"type": "Opaque", "data": {"ca.crt": STANDARD.encode(pem)}});
    world.api.put(SECRETS, "tokens-ca", secret(pem(&server)));
    world.api.reason(WEBHOOK, "hook", "Ready", "Success").await;
    let other = Server::start().await;
    world.api.put(SECRETS, "tokens-ca", secret(pem(&other)));
    world.api.reason(WEBHOOK, "hook", "WebhookConnectionValid", "UnableToDialServer").await;
}

#[tokio::test]
async fn a_webhook_that_cannot_be_asked_admits_nobody() {
    let world = World::start();
    world.api.put(WEBHOOK, "hook", json!({"spec": {"endpoint": "http://tokens.example.com/review"}}));
    world.api.reason(WEBHOOK, "hook", "EndpointURLValid", "InvalidEndpointURLScheme").await;
    let snapshot = world.reader.snapshot();
    assert!(matches!(snapshot.entry(&AuthenticatorRef::webhook("hook")), Some(Entry::NotReady(_))));
    let unknown = json!({"spec": {"endpoint": "https://127.0.0.1:1/", "insecure": true}});
    world.api.put(WEBHOOK, "hook", unknown);
    let message = world.api.reason(WEBHOOK, "hook", "AuthenticatorValid", "UnableToInstantiateWebhook").await;
    assert!(message.contains("insecure: this version does not know this field"), "{message}");
}
