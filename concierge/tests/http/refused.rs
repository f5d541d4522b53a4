//! Refused tokens: one answer, many records.

use http::Method;
use latchkey_concierge::time::UnixTime;
use serde_json::{Value, json};

use crate::{
    assert_refused,
    issuer::{NOW, claims, key, rs256, token},
    server::{EXCHANGE, Server, request},
};

#[tokio::test]
async fn no_strangers_word_becomes_a_label_of_a_metric() {
    const WORD: &str = "h0stile";
    let server = Server::start().await;
    let header = |header: Value| token(key("rsa"), &header.to_string(), &claims(&json!({})));
    for offered in [
        rs256(&json!({"aud": WORD})),
        rs256(&json!({"iss": WORD})),
        rs256(&json!({"sub": WORD, "username": format!("system:{WORD}")})),
        rs256(&json!({"azp": WORD, "jti": WORD, "sid": WORD, "groups": [WORD]})),
        header(json!({"alg": "RS256", "kid": WORD})),
        header(json!({"alg": WORD, "kid": "rsa"})),
        header(json!({"alg": "RS256", "kid": "rsa", "typ": WORD})),
        format!("{WORD}.{WORD}.{WORD}"),
    ] {
        server.offer(&offered).await;
    }
    let elsewhere = request("a.b.c", &json!({"authenticator": {"apiGroup": WORD, "kind": WORD, "name": WORD}}));
    server.exchange(elsewhere.to_string()).await;
    let metrics = server.metrics.encode(UnixTime::from_secs(NOW));
    assert!(metrics.contains("audience-mismatch"), "{metrics}");
    assert!(!metrics.contains(WORD), "{metrics}");
}

#[tokio::test]
async fn every_refused_token_gets_the_same_answer_and_its_own_record() {
    let server = Server::start().await;
    let rsa = key("rsa");
    let good = rs256(&json!({}));
    let (input, signature) = good.rsplit_once('.').unwrap();
    let with_header = |header: &str| token(rsa, header, &claims(&json!({})));
    let rows = [
        ("two segments", input.to_owned(), "malformed-token"),
        ("four segments", format!("{good}.AAAA"), "malformed-token"),
        ("padding in base64url", format!("{input}.{signature}="), "malformed-token"),
        ("a token of 17 KiB", "a".repeat(17 * 1024), "token-too-large"),
        ("5,000 groups", rs256(&json!({"groups": vec!["group"; 5_000]})), "token-too-large"),
        ("alg none", with_header(r#"{"alg":"none","kid":"rsa"}"#), "alg-not-allowed"),
        ("alg HS256", with_header(r#"{"alg":"HS256","kid":"rsa"}"#), "alg-not-allowed"),
        ("ES256 header on an RSA key", with_header(r#"{"alg":"ES256","kid":"rsa"}"#), "key-unsuitable"),
        ("crit", with_header(r#"{"alg":"RS256","kid":"rsa","crit":["exp"]}"#), "critical-header"),
        ("unknown kid", with_header(r#"{"alg":"RS256","kid":"gone"}"#), "key-unknown"),
        ("jku", with_header(r#"{"alg":"RS256","kid":"gone","jku":"https://127.0.0.1:1/"}"#), "key-unknown"),
        (
            "duplicate claim names",
            token(rsa, r#"{"alg":"RS256","kid":"rsa"}"#, r#"{"iss":"a","iss":"b"}"#),
            "duplicate-member",
        ),
        ("expired", rs256(&json!({"exp": NOW - 1})), "expired"),
        ("not yet valid", rs256(&json!({"nbf": NOW + 600})), "not-yet-valid"),
        ("another cluster's token", rs256(&json!({"aud": "k8s-production"})), "audience-mismatch"),
        ("a token for both clusters", rs256(&json!({"aud": ["k8s-staging", "k8s-production"]})), "audience-shared"),
        ("iss with a trailing slash", rs256(&json!({"iss": "https://idp.example/"})), "issuer-unknown"),
        ("username with a newline", rs256(&json!({"username": "a\nb"})), "username-unsafe"),
        ("system:masters", rs256(&json!({"groups": ["system:masters"]})), "identity-reserved"),
    ];
    // Nobody fetches keys here: the question is refused at once instead of after two seconds.
    drop(server.refreshes.lock().unwrap().take());
    for (row, token, code) in rows {
        let answer = server.offer(&token).await;
        assert_refused(&answer);
        let record = server.record(&answer).await;
        assert_eq!(record["code"], code, "{row}");
        assert_eq!(record["kind"], "token.refused", "{row}");
    }
    let log = server.records().await.iter().map(Value::to_string).collect::<String>();
    assert!(!log.contains(signature), "a record quotes a token");
}

#[tokio::test]
async fn an_authenticator_that_cannot_judge_is_refused_like_a_bad_token() {
    let server = Server::start().await;
    let group = "authentication.concierge.latchkey.dev";
    let rows = [
        ("unknown authenticator", json!({"apiGroup": group, "kind": "JWTAuthenticator", "name": "x"}), "unknown"),
        ("unknown authenticator kind", json!({"apiGroup": group, "kind": "Secret", "name": "staging"}), "unknown"),
        ("kind in another case", json!({"apiGroup": group, "kind": "jwtauthenticator", "name": "staging"}), "unknown"),
        ("another group", json!({"apiGroup": "apps", "kind": "JWTAuthenticator", "name": "staging"}), "unknown"),
        (
            "group with a version",
            json!({"apiGroup": format!("{group}/v1alpha1"), "kind": "JWTAuthenticator", "name": "staging"}),
            "unknown",
        ),
        ("no group", json!({"kind": "JWTAuthenticator", "name": "staging"}), "unknown"),
        ("nothing", json!(null), "unknown"),
        ("not ready", json!({"apiGroup": group, "kind": "JWTAuthenticator", "name": "starting"}), "not-ready"),
    ];
    for (row, authenticator, code) in rows {
        let body = request(&rs256(&json!({})), &json!({"authenticator": authenticator}));
        let answer = server.exchange(body.to_string()).await;
        assert_refused(&answer);
        let record = server.record(&answer).await;
        assert_eq!(record["code"], format!("authenticator-{code}"), "{row}");
        // One that exists is named; a made-up name is not.
        let named = if code == "not-ready" { json!("starting") } else { Value::Null };
        assert_eq!(record["authenticator"]["name"], named, "{row}");
    }
    // A made-up name never becomes a label.
    assert!(!server.metrics.encode(UnixTime::from_secs(NOW)).contains(r#"authenticator="x""#));
}

#[tokio::test]
async fn another_suffix_is_in_every_name() {
    let server = Server::with("pinniped.dev".parse().unwrap(), true).await;
    let path = "/apis/login.concierge.pinniped.dev/v1alpha1/tokencredentialrequests";
    let send = |spec: Value| {
        let body = json!({
            "apiVersion": "login.concierge.pinniped.dev/v1alpha1", "kind": "TokenCredentialRequest", "spec": spec,
        });
        server.ask(Method::POST, path).send(body.to_string())
    };
    let by = |group: &str| json!({"apiGroup": group, "kind": "JWTAuthenticator", "name": "staging"});
    let good = rs256(&json!({}));
    let answer =
        send(json!({"token": good, "authenticator": by("authentication.concierge.pinniped.dev")})).await.json();
    assert_eq!(answer["apiVersion"], "login.concierge.pinniped.dev/v1alpha1");
    assert!(answer["status"]["credential"].is_object(), "{answer}");
    let answer = send(json!({"token": good, "authenticator": by("authentication.concierge.latchkey.dev")})).await;
    assert_eq!(answer.json()["status"], json!({"message": "authentication failed"}));
    // Word for word what the stock Concierge says.
    assert_eq!(
        send(json!({})).await.status_message(422, "Invalid"),
        r#".login.concierge.pinniped.dev "" is invalid: spec.token.value: Required value: token must be supplied"#
    );
    server.ask(Method::POST, EXCHANGE).send("{}").await.status_message(404, "NotFound");
    let groups = server.ask(Method::GET, "/apis").get().await.json();
    assert_eq!(groups["groups"][1]["name"], "identity.concierge.pinniped.dev");
}
