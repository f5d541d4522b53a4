//! Requests that are none: each with its own answer, and none repeats what it was sent.

use http::{Method, header};
use serde_json::json;

use crate::{
    assert_refused,
    issuer::rs256,
    server::{EXCHANGE, Server, request},
};

#[tokio::test]
async fn not_json() {
    let server = Server::start().await;
    for body in ["", "hello", "{", "eyJhbGciOiJSUzI1NiJ9.e30.c2ln"] {
        let message = server.exchange(body).await.status_message(400, "BadRequest");
        assert!(message.starts_with("not a TokenCredentialRequest: not JSON at line 1"), "{message}");
    }
}

#[tokio::test]
async fn wrong_kind() {
    let server = Server::start().await;
    let mut body = request("a.b.c", &json!({}));
    body["kind"] = json!("WhoAmIRequest");
    let message = server.exchange(body.to_string()).await.status_message(400, "BadRequest");
    assert_eq!(message, "not a TokenCredentialRequest: expected kind TokenCredentialRequest");
}

#[tokio::test]
async fn wrong_group() {
    let server = Server::start().await;
    let mut body = request("a.b.c", &json!({}));
    body["apiVersion"] = json!("login.concierge.pinniped.dev/v1alpha1");
    let message = server.exchange(body.to_string()).await.status_message(400, "BadRequest");
    assert!(message.ends_with("expected apiVersion login.concierge.latchkey.dev/v1alpha1"), "{message}");
}

#[tokio::test]
async fn empty_token() {
    let server = Server::start().await;
    for token in [json!(""), json!(null)] {
        let answer = server.exchange(request("", &json!({"token": token})).to_string()).await;
        assert_eq!(
            answer.status_message(422, "Invalid"),
            r#".login.concierge.latchkey.dev "" is invalid: spec.token.value: Required value: token must be supplied"#
        );
        let cause = &answer.json()["details"]["causes"][0];
        assert_eq!(
            *cause,
            json!({"reason": "FieldValueRequired", "field": "spec.token.value", "message": "Required value: token must be supplied"})
        );
    }
    assert!(server.exchange("{}").await.status == 422, "no spec at all");
}

#[tokio::test]
async fn token_of_1_mib_and_body_of_3_mib() {
    let server = Server::start().await;
    for size in [1 << 20, 3 << 20, 5 << 20] {
        let message = server.offer(&"a".repeat(size)).await.status_message(413, "RequestEntityTooLarge");
        assert_eq!(message, "the request body is limited to 81920 bytes");
    }
    assert!(!server.records().await.iter().any(|record| record["kind"] == "token.refused"));
}

#[tokio::test]
async fn token_of_a_wrong_type_is_not_repeated() {
    let server = Server::start().await;
    let answer = server.exchange(request("", &json!({"token": ["eyJzZWNyZXQi"]})).to_string()).await;
    answer.status_message(400, "BadRequest");
    assert!(!answer.body.contains("eyJzZWNyZXQi"));
}

#[tokio::test]
async fn dry_run_has_no_effect() {
    let server = Server::start().await;
    let uri = format!("{EXCHANGE}?dryRun=All");
    let answer = server.ask(Method::POST, &uri).send(request(&rs256(&json!({})), &json!({})).to_string()).await;
    answer.status_message(422, "Invalid");
    assert_eq!(answer.json()["details"]["causes"][0]["field"], "dryRun");
    assert!(!server.records().await.iter().any(|record| record["kind"] == "credential.issued"));
}

#[tokio::test]
async fn unknown_fields_follow_field_validation() {
    let server = Server::start().await;
    let body = request("a.b.c", &json!({"tokken": "x"})).to_string();
    for (query, status, warnings) in [
        ("", 201, 1),
        ("?fieldValidation=Warn", 201, 1),
        ("?fieldValidation=Ignore", 201, 0),
        ("?fieldValidation=Strict", 400, 0),
        ("?fieldValidation=Loud", 422, 0),
    ] {
        let answer = server.ask(Method::POST, &format!("{EXCHANGE}{query}")).send(body.clone()).await;
        assert_eq!(answer.status, status, "{query}: {}", answer.body);
        assert_eq!(answer.headers.get_all(header::WARNING).iter().count(), warnings, "{query}");
    }
    let answer = server.ask(Method::POST, EXCHANGE).send(body).await;
    assert_eq!(answer.headers[header::WARNING], r#"299 - "unknown field \"spec.tokken\"""#);
}

#[tokio::test]
async fn formats_that_are_not_spoken() {
    let server = Server::start().await;
    let body = request("a.b.c", &json!({})).to_string();
    for content_type in ["application/x-www-form-urlencoded", "application/vnd.kubernetes.protobuf", "text/plain"] {
        let asking = server.ask(Method::POST, EXCHANGE).header("content-type", content_type);
        asking.send(body.clone()).await.status_message(415, "UnsupportedMediaType");
    }
    let asking = server.ask(Method::POST, EXCHANGE).header("accept", "application/vnd.kubernetes.protobuf");
    asking.send(body).await.status_message(406, "NotAcceptable");
    let yaml = "spec:\n  token: a.b.c\n";
    let asking = server.ask(Method::POST, EXCHANGE).header("content-type", "application/yaml");
    assert_refused(&asking.send(yaml).await);
}
