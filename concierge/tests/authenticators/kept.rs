//! Keys that are kept in a Secret for a cold start during an outage: who writes them, when, and when they serve.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use latchkey_concierge::{index::Entry, runtime::lease::Leadership};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    DISCOVERY, NOON, World,
    api::{Api, JWT, SECRETS},
    behave, candidate, good_issuer, key, key_ids,
    server::{Answer, Server},
    spec,
};

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
    let ((first, leads), (_second, follows)) = (candidate(&api), candidate(&api));
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
