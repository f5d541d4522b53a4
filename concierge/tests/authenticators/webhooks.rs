//! Webhooks: dialed, told, asked, followed, and missed.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use latchkey_concierge::{
    index::{AskError, AuthenticatorRef, Entry, Webhook},
    secret::BearerToken,
    token_review::Word,
};
use serde_json::{Value, json};

use crate::{
    World,
    api::{SECRETS, WEBHOOK},
    pem,
    server::{Answer, Server},
};

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
