//! The HTTP surface, row by row: what a client may send to the aggregated API, and what it gets.

#![expect(clippy::unwrap_used, reason = "what the tests make themselves must be there")]

#[path = "http/discovery.rs"]
mod discovery;

#[path = "http/elsewhere.rs"]
mod elsewhere;

#[path = "http/forwarded.rs"]
mod forwarded;

#[path = "http/granted.rs"]
mod granted;

#[path = "http/malformed.rs"]
mod malformed;

#[path = "http/overtaken.rs"]
mod overtaken;

#[path = "http/refused.rs"]
mod refused;

#[path = "record/schema.rs"]
mod schema;

#[path = "http/server.rs"]
mod server;

#[path = "http/signer.rs"]
mod signer;

#[path = "http/webhooks.rs"]
mod webhooks;

#[path = "record/written.rs"]
mod written;

#[path = "judging/issuer.rs"]
#[expect(dead_code, reason = "the judging tests need more of it")]
mod issuer;

use std::sync::atomic::Ordering;

use axum::body::Body;
use futures::stream;
use http::{Method, header};
use serde_json::json;

use self::server::{Answer, Server, WHO_AM_I, strangers_chain};

/// The one answer to every refused token.
fn assert_refused(answer: &Answer) {
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert_eq!(
        answer.json(),
        json!({
            "kind": "TokenCredentialRequest", "apiVersion": "login.concierge.latchkey.dev/v1alpha1", "metadata": {},
            "spec": {"authenticator": {"apiGroup": null, "kind": "", "name": ""}},
            "status": {"message": "authentication failed"},
        })
    );
}

fn certificate_of(answer: &Answer) -> Vec<u8> {
    let pem = answer.json()["status"]["credential"]["clientCertificateData"].as_str().unwrap().to_owned();
    x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap().1.contents
}

// === who asks, and may they ===

#[tokio::test]
async fn identity_headers_without_the_front_proxys_certificate_are_worth_nothing() {
    let server = Server::start().await;
    let asking = server.direct(Method::POST, WHO_AM_I).header("x-remote-user", "admin");
    let answer = asking.header("x-remote-group", "system:masters").send("{}").await;
    let user = &answer.json()["status"]["kubernetesUserInfo"]["user"];
    assert_eq!(*user, json!({"username": "system:anonymous", "groups": ["system:unauthenticated"]}));
    let asking = server.direct(Method::POST, WHO_AM_I).showing(strangers_chain()).header("x-remote-user", "admin");
    asking.header("x-remote-group", "system:masters").send("{}").await.status_message(401, "Unauthorized");
}

#[tokio::test]
async fn whoever_may_not_is_forbidden_and_asked_about_once() {
    let server = Server::start().await;
    for _ in 0..3 {
        let asking = server.direct(Method::POST, WHO_AM_I).through_front_proxy().header("x-remote-user", "mallory");
        assert_eq!(
            asking.send("{}").await.status_message(403, "Forbidden"),
            r#"whoamirequests.identity.concierge.latchkey.dev is forbidden: User "mallory" cannot create resource "whoamirequests" in API group "identity.concierge.latchkey.dev" at the cluster scope: no binding"#
        );
    }
    assert_eq!(server.stand_in.access_reviews.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn bearer_tokens_of_the_cluster_are_reviewed_and_remembered() {
    let server = Server::start().await;
    for _ in 0..3 {
        let asking = server.direct(Method::POST, WHO_AM_I).header("authorization", "Bearer known");
        let user = asking.send("{}").await.json()["status"]["kubernetesUserInfo"]["user"].clone();
        assert_eq!(user["username"], "ci");
        assert_eq!(user["groups"], json!(["builders", "system:authenticated"]));
        let asking = server.direct(Method::POST, WHO_AM_I).header("authorization", "Bearer unknown");
        asking.send("{}").await.status_message(401, "Unauthorized");
    }
    assert_eq!(server.stand_in.token_reviews.load(Ordering::SeqCst), 2);
}

// === limits ===

#[tokio::test]
async fn audit_ids_are_kept_if_they_can_be_one() {
    let server = Server::start().await;
    for (given, kept) in [("7d1a-42", true), ("", false), ("two words", false), (&"a".repeat(65), false)] {
        let answer = server.ask(Method::GET, "/version").header("audit-id", given).get().await;
        assert_eq!(answer.headers["audit-id"] == given, kept, "{given:?}");
        assert_eq!(answer.headers.get_all("audit-id").iter().count(), 1);
    }
}

#[tokio::test]
async fn exchanges_beyond_the_limit_are_shed_and_discovery_goes_on() {
    let server = Server::start().await;
    let never = || Body::from_stream(stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let mut waiting = Vec::new();
    for _ in 0..256 {
        let mut asking = Box::pin(server.exchange(never()));
        assert!(futures::poll!(asking.as_mut()).is_pending());
        waiting.push(asking);
    }
    // A slot is taken before anything else is done, so all 256 are gone by now.
    let answer = server.exchange("{}").await;
    answer.status_message(429, "TooManyRequests");
    assert_eq!(answer.headers[header::RETRY_AFTER], "1");
    assert_eq!(answer.json()["details"]["retryAfterSeconds"], 1);
    assert_eq!(server.ask(Method::GET, "/apis").get().await.status, 200);
    drop(waiting);
    assert_eq!(server.exchange("{}").await.status, 422, "slots are given back");
}

#[tokio::test]
async fn a_body_that_never_ends_is_ended() {
    let server = Server::start().await;
    let never = Body::from_stream(stream::pending::<Result<Vec<u8>, std::io::Error>>());
    // The caller is known and allowed already, so only the body is waited for.
    server.exchange("{}").await;
    tokio::time::pause();
    server.exchange(never).await.status_message(504, "Timeout");
}
