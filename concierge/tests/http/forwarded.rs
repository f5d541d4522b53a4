//! Who stood before the front proxy: written down where that proxy proved itself, and nowhere else.

use http::Method;
use serde_json::{Value, json};

use crate::server::{Asking, EXCHANGE, Server, request};

/// The `peer` in the record of a refused exchange that says who stood before whom.
async fn peer(server: &Server, asking: Asking<'_>) -> Value {
    let asking =
        asking.header("content-type", "application/json").header("x-forwarded-for", "198.51.100.1, 203.0.113.9");
    let answer = asking.send(request("a.b.c", &json!({})).to_string()).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    server.record(&answer).await["peer"].clone()
}

#[tokio::test]
async fn the_front_proxy_is_believed_about_the_hop_before_it() {
    let server = Server::start().await;
    let peer = peer(&server, server.ask(Method::POST, EXCHANGE)).await;
    assert_eq!(peer, json!({"ip": "10.1.2.3", "port": 4711, "forwarded": "203.0.113.9"}));
}

#[tokio::test]
async fn nobody_else_is_whoever_they_say_or_are() {
    let server = Server::start().await;
    let direct = || server.direct(Method::POST, EXCHANGE);
    for asking in [
        direct(),
        direct().header("x-remote-user", "system:anonymous").header("x-remote-group", "system:unauthenticated"),
        direct().header("authorization", "Bearer known"),
    ] {
        let peer = peer(&server, asking).await;
        assert!(peer["ip"].is_string() && peer.get("forwarded").is_none(), "{peer}");
    }
}
