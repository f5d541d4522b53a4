//! Issuers that lie: each lie is told as what it is, admits nobody, and is forgotten with the truth.

use serde_json::json;

use crate::{
    DISCOVERY, World,
    api::JWT,
    behave, key,
    server::{Answer, Server},
    spec,
};

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
