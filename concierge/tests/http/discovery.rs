//! Paths, verbs, lists and probes, and what the aggregated API says of itself.

use std::sync::atomic::Ordering;

use http::Method;
use serde_json::json;

use crate::server::{EXCHANGE, Server, WHO_AM_I, strangers_chain};

#[tokio::test]
async fn paths_and_methods_that_are_not_there() {
    let server = Server::start().await;
    let group = "/apis/login.concierge.latchkey.dev/v1alpha1";
    for (method, uri) in [
        (Method::POST, format!("{group}/namespaces/default/tokencredentialrequests")),
        (Method::GET, format!("{EXCHANGE}/a-name")),
        (Method::DELETE, format!("{EXCHANGE}/a-name")),
        (Method::GET, "/apis/login.concierge.pinniped.dev/v1alpha1".to_owned()),
        (Method::GET, "/metrics".to_owned()),
        (Method::GET, "/openapi/v3/apis/apps/v1".to_owned()),
    ] {
        server.ask(method, &uri).get().await.status_message(404, "NotFound");
    }
    for method in [Method::DELETE, Method::PUT, Method::PATCH] {
        server.ask(method, EXCHANGE).get().await.status_message(405, "MethodNotAllowed");
    }
    server.ask(Method::GET, &format!("{EXCHANGE}?watch=true")).get().await.status_message(405, "MethodNotAllowed");
}

#[tokio::test]
async fn lists_are_empty_and_tables_too() {
    let server = Server::start().await;
    for (uri, kind, group) in
        [(EXCHANGE, "TokenCredentialRequestList", "login"), (WHO_AM_I, "WhoAmIRequestList", "identity")]
    {
        let answer = server.ask(Method::GET, uri).get().await;
        assert_eq!(answer.status, 200);
        let version = format!("{group}.concierge.latchkey.dev/v1alpha1");
        let expected = json!({"kind": kind, "apiVersion": version, "metadata": {"resourceVersion": "0"}, "items": []});
        assert_eq!(answer.json(), expected);
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
        let answer = server.ask(Method::GET, uri).header("accept", table).get().await.json();
        assert_eq!((&answer["kind"], &answer["rows"]), (&json!("Table"), &json!([])));
    }
}

#[tokio::test]
async fn who_am_i_tells_what_the_front_proxy_said() {
    let server = Server::start().await;
    let asking = server.direct(Method::POST, WHO_AM_I).through_front_proxy();
    let asking = asking.header("x-remote-user", "ada").header("x-remote-group", "developers");
    let answer = asking.header("x-remote-extra-team", "blue").send("{}").await;
    assert_eq!(answer.status, 201);
    assert_eq!(
        answer.json(),
        json!({
            "kind": "WhoAmIRequest", "apiVersion": "identity.concierge.latchkey.dev/v1alpha1", "metadata": {}, "spec": {},
            "status": {"kubernetesUserInfo": {"user": {
                "username": "ada", "groups": ["developers", "system:authenticated"], "extra": {"team": ["blue"]}}}},
        })
    );
}

#[tokio::test]
async fn discovery_is_open_to_the_aggregator_without_any_group() {
    let server = Server::start().await;
    let ask = |uri: &str| {
        server.direct(Method::GET, uri).through_front_proxy().header("x-remote-user", "system:kube-aggregator")
    };
    for uri in ["/apis/login.concierge.latchkey.dev/v1alpha1", "/apis/identity.concierge.latchkey.dev", "/version", "/"]
    {
        assert_eq!(ask(uri).get().await.status, 200, "{uri}");
    }
    let plain = ask("/apis").get().await;
    assert_eq!(plain.json()["kind"], "APIGroupList");
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    let aggregated = ask("/apis").header("accept", accept).get().await;
    assert_eq!(
        aggregated.headers["content-type"],
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    );
    let resource = &aggregated.json()["items"][0]["versions"][0]["resources"][0];
    assert_eq!(
        *resource,
        json!({
            "resource": "tokencredentialrequests", "scope": "Cluster", "singularResource": "tokencredentialrequest",
            "responseKind": {"group": "login.concierge.latchkey.dev", "version": "v1alpha1", "kind": "TokenCredentialRequest"},
            "verbs": ["create", "list"], "categories": ["latchkey"],
        })
    );
    let etag = aggregated.headers["etag"].to_str().unwrap();
    let again = ask("/apis").header("accept", accept).header("if-none-match", etag).get().await;
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    assert_eq!(server.stand_in.access_reviews.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn openapi_is_linked_by_hash_and_immutable_under_it() {
    let server = Server::start().await;
    let ask =
        |uri: &str| server.direct(Method::GET, uri).through_front_proxy().header("x-remote-user", "system:aggregator");
    let index = ask("/openapi/v3").get().await.json();
    for (group, kind) in [("login", "TokenCredentialRequest"), ("identity", "WhoAmIRequest")] {
        let url = index["paths"][format!("apis/{group}.concierge.latchkey.dev/v1alpha1")]["serverRelativeURL"].clone();
        let answer = ask(url.as_str().unwrap()).get().await;
        assert!(answer.headers["cache-control"].to_str().unwrap().contains("immutable"));
        let model = format!("dev.latchkey.apis.concierge.{group}.v1alpha1.{kind}");
        assert!(answer.json()["components"]["schemas"][&model]["properties"]["spec"].is_object());
        let stale = ask(url.as_str().unwrap().split('?').next().unwrap()).get().await;
        assert_eq!(stale.headers["cache-control"], "no-cache, private");
    }
    assert_eq!(ask("/openapi/v2").get().await.json()["swagger"], "2.0");
}

#[tokio::test]
async fn probes_need_no_credentials() {
    let server = Server::start().await;
    for uri in ["/healthz", "/livez", "/readyz"] {
        let answer = server.direct(Method::GET, uri).showing(strangers_chain()).get().await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok"), "{uri}");
    }
}
