//! Issuers that are down, stall, go away, rotate their keys and are asked by many.

use std::time::Duration;

use futures::future::join_all;
use latchkey_concierge::index::Entry;
use serde_json::{Value, json};

use crate::{
    DISCOVERY, World,
    api::JWT,
    behave, good_issuer, key, key_ids,
    server::{Answer, Server},
    spec,
};

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
