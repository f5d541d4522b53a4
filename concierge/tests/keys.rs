//! Fetches from issuers that misbehave, over real TLS on loopback.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its server should fail there")]

#[path = "keys/server.rs"]
#[expect(dead_code, reason = "what the tests of webhooks need beside")]
mod server;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_lc_rs::signature::{ED25519_PUBLIC_KEY_LEN, Ed25519KeyPair, KeyPair};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use latchkey_concierge::idp::{
    discovery::{self, DISCOVERY_LIMIT, DiscoveryError},
    http::{ClientError, FetchError, Fetched, HttpsUrl, IssuerClient, Limits},
    jwks::{self, FetchedKeys, JwksAnswer, JwksError},
    proxy::Proxies,
};
use rcgen::CertificateParams;
use rustls_pki_types::CertificateDer;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use self::server::{Answer, Authority, Server};

#[tokio::test]
async fn a_request_carries_nothing_but_what_it_needs() {
    let server = Server::start().await;
    server.answer("/keys", Answer::json("Set-Cookie: a=b\r\n", &json!({})));
    let client = server.client();
    for _ in 0..2 {
        assert!(matches!(client.get(&server.url("/keys"), 100, None).await, Ok(Fetched::Body { .. })));
    }
    for request in server.requests() {
        let mut names: Vec<_> =
            request.lines().skip(1).filter_map(|line| Some(line.split_once(':')?.0.to_ascii_lowercase())).collect();
        names.sort();
        assert_eq!(names, ["accept", "accept-encoding", "host", "user-agent"], "{request}");
        assert!(request.contains("accept-encoding: identity"), "{request}");
    }
}

#[tokio::test]
async fn redirects_are_errors_and_nobody_is_asked() {
    let server = Server::start().await;
    let bystander = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = bystander.local_addr().unwrap().port();
    let targets = [format!("http://127.0.0.1:{port}/"), server.url("/other").to_string(), "/other".to_owned()];
    for (status, target) in
        ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"].iter().zip(targets.iter().cycle())
    {
        server.answer("/keys", Answer::plain(status, &format!("Location: {target}\r\n"), b"{}"));
        let error = server.client().get(&server.url("/keys"), 100, None).await.unwrap_err();
        assert!(matches!(error, FetchError::Redirect(_)), "{status} {target}: {error}");
        assert_eq!(error.result(), "redirect");
    }
    assert!(server.requests().iter().all(|request| request.starts_with("GET /keys ")));
    let nobody = tokio::time::timeout(Duration::ZERO, bystander.accept()).await;
    assert!(nobody.is_err(), "somebody followed a redirect");
}

#[tokio::test]
async fn only_status_200_counts() {
    let server = Server::start().await;
    for status in ["500 Internal", "404 Not Found", "204 No Content", "203 Transformed", "304 Not Modified", "401 Who"]
    {
        server.answer("/keys", Answer::plain(status, "", b""));
        let error = server.client().get(&server.url("/keys"), 100, None).await.unwrap_err();
        let expected = if status.starts_with("304") { "redirect" } else { "status" };
        assert_eq!(error.result(), expected, "{status}: {error}");
    }
}

#[tokio::test]
async fn a_body_may_be_as_large_as_the_limit_and_no_larger() {
    let server = Server::start().await;
    let client = server.client();
    server.answer("/at", Answer::plain("200 OK", "", &vec![b'x'; DISCOVERY_LIMIT]));
    server.answer("/over", Answer::plain("200 OK", "", &vec![b'x'; DISCOVERY_LIMIT + 1]));
    server.answer("/ten-mib", Answer::plain("200 OK", "", &vec![b'x'; 10 * 1024 * 1024]));
    server.answer("/endless", Answer::Endless);
    match client.get(&server.url("/at"), DISCOVERY_LIMIT, None).await {
        Ok(Fetched::Body { bytes, .. }) => assert_eq!(bytes.len(), DISCOVERY_LIMIT),
        other => panic!("{other:?}"),
    }
    for path in ["/over", "/ten-mib", "/endless"] {
        let error = client.get(&server.url(path), DISCOVERY_LIMIT, None).await.unwrap_err();
        assert_eq!(error, FetchError::TooLarge { limit: DISCOVERY_LIMIT }, "{path}");
    }
}

#[tokio::test]
async fn a_slow_issuer_is_left_after_the_total_time() {
    let server = Server::start().await;
    server.answer("/drip", Answer::Drip);
    server.answer("/silent", Answer::Silent);
    let limits = Limits { connect: Duration::from_secs(5), total: Duration::from_millis(400) };
    let client = IssuerClient::new(Some(std::slice::from_ref(&server.root)), limits).unwrap();
    for path in ["/drip", "/silent"] {
        let error = client.get(&server.url(path), 1024, None).await.unwrap_err();
        assert_eq!(error, FetchError::Timeout(limits.total), "{path}");
    }
}

#[tokio::test]
async fn a_server_that_never_shakes_hands_is_left_after_the_connect_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: HttpsUrl = format!("https://127.0.0.1:{}/", listener.local_addr().unwrap().port()).parse().unwrap();
    let limits = Limits { connect: Duration::from_millis(200), total: Duration::from_secs(30) };
    let client = IssuerClient::new(Some(&[Authority::new().root]), limits).unwrap();
    let error = client.get(&url, 1024, None).await.unwrap_err();
    assert_eq!(error.result(), "timeout", "{error}");
}

#[tokio::test]
async fn pages_and_packed_bodies_are_refused() {
    let server = Server::start().await;
    server.answer("/page", Answer::plain("200 OK", "Content-Type: text/html\r\n", b"<html>sign in</html>"));
    server.answer("/gzip", Answer::plain("200 OK", "Content-Encoding: gzip\r\n", &[0x1f, 0x8b, 8, 0]));
    let client = server.client();
    assert_eq!(client.get(&server.url("/page"), 1024, None).await.unwrap_err().result(), "content-type");
    assert_eq!(client.get(&server.url("/gzip"), 1024, None).await.unwrap_err().result(), "content-encoding");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_answer() {
    let server = Server::start().await;
    server.answer("/cut", Answer::CutOff);
    let error = server.client().get(&server.url("/cut"), 1024, None).await.unwrap_err();
    assert_eq!(error.result(), "protocol", "{error}");
}

#[tokio::test]
async fn a_certificate_must_be_of_the_bundle_for_the_host_and_in_date() {
    let authority = Authority::new();
    let mut expired = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    expired.not_before = rcgen::date_time_ymd(2020, 1, 1);
    expired.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let elsewhere = CertificateParams::new(["idp.example.com".to_owned()]).unwrap();
    let cases = [
        ("expired", Server::with(&authority, expired).await, authority.root.clone()),
        ("another host's", Server::with(&authority, elsewhere).await, authority.root.clone()),
        ("another authority's", Server::start().await, authority.root.clone()),
    ];
    for (name, server, root) in cases {
        let client = IssuerClient::new(Some(&[root]), Limits::default()).unwrap();
        let error = client.get(&server.url("/keys"), 1024, None).await.unwrap_err();
        assert_eq!(error.result(), "tls", "{name}: {error}");
        assert!(error.to_string().contains("certificate"), "{name}: {error}");
        assert_eq!(server.requests().len(), 0, "{name}");
    }
}

#[tokio::test]
async fn without_a_bundle_only_the_systems_roots_are_trusted() {
    let server = Server::start().await;
    match IssuerClient::new(None, Limits::default()) {
        Ok(client) => assert_eq!(client.get(&server.url("/keys"), 1024, None).await.unwrap_err().result(), "tls"),
        // A machine without roots says so, and trusts nobody.
        Err(error) => assert!(matches!(error, ClientError::SystemRoots(_)), "{error}"),
    }
}

#[tokio::test]
async fn plain_http_behind_an_https_url_is_no_issuer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: HttpsUrl = format!("https://127.0.0.1:{}/", listener.local_addr().unwrap().port()).parse().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await;
        }
    });
    let client = IssuerClient::new(Some(&[Authority::new().root]), Limits::default()).unwrap();
    assert_eq!(client.get(&url, 1024, None).await.unwrap_err().result(), "tls");
}

#[tokio::test]
async fn nobody_listening_is_said_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: HttpsUrl = format!("https://127.0.0.1:{}/", listener.local_addr().unwrap().port()).parse().unwrap();
    drop(listener);
    let client = IssuerClient::new(Some(&[Authority::new().root]), Limits::default()).unwrap();
    let error = client.get(&url, 1024, None).await.unwrap_err();
    assert_eq!(error.result(), "connect", "{error}");
    assert!(error.to_string().to_lowercase().contains("connection refused"), "{error}");
}

#[tokio::test]
async fn a_metadata_address_is_never_connected_to() {
    let client = IssuerClient::new(Some(&[Authority::new().root]), Limits::default()).unwrap();
    let url = "https://169.254.169.254/latest/meta-data".parse().unwrap();
    assert_eq!(client.get(&url, 1024, None).await.unwrap_err().result(), "address-refused");
}

#[test]
fn a_bundle_of_something_else_than_certificates_makes_no_client() {
    let rubbish = CertificateDer::from(b"rubbish".to_vec());
    let error = IssuerClient::new(Some(&[rubbish]), Limits::default()).unwrap_err();
    assert!(matches!(error, ClientError::Bundle(_)), "{error}");
}

#[tokio::test]
async fn discovery_must_speak_for_the_issuer_that_was_asked() {
    let server = Server::start().await;
    let path = "/realm/.well-known/openid-configuration";
    let (issuer, other) = (format!("{}/realm", server.base), format!("{}/other", server.base));
    let document = |issuer: &str, keys: &str| Answer::json("", &json!({"issuer": issuer, "jwks_uri": keys}));
    let client = server.client();

    server.answer(path, document(&issuer, &format!("{}/keys", server.base)));
    let found = discovery::discover(&client, &issuer).await.unwrap();
    assert_eq!(found.jwks_uri.unwrap(), server.url("/keys"));

    server.answer(path, document(&other, &format!("{}/keys", server.base)));
    let error = discovery::discover(&client, &issuer).await.unwrap_err();
    assert!(matches!(error, DiscoveryError::IssuerMismatch { .. }), "{error}");

    server.answer(path, document(&issuer, "http://127.0.0.1/keys"));
    assert!(discovery::discover(&client, &issuer).await.unwrap().jwks_uri.unwrap_err().is_scheme());

    // With the slash the document is the same one, and its issuer is not the one asked for.
    server.answer(path, document(&issuer, &format!("{}/keys", server.base)));
    let error = discovery::discover(&client, &format!("{issuer}/")).await.unwrap_err();
    assert_eq!(error.result(), "issuer-mismatch");
}

#[tokio::test]
async fn a_key_set_is_asked_for_again_by_its_entity_tag() {
    let server = Server::start().await;
    let (client, url) = (server.client(), server.url("/keys"));
    server.answer("/keys", Answer::json("ETag: \"v1\"\r\nCache-Control: max-age=120\r\n", &key_set(&["a"])));
    let first = keys(jwks::fetch(&client, &url, None).await, 120);
    assert_eq!(first.keys.len(), 1);

    server.answer("/keys", Answer::plain("304 Not Modified", "", b""));
    match jwks::fetch(&client, &url, Some(&first)).await {
        Ok(JwksAnswer::Unchanged { freshness }) => assert_eq!(freshness, Duration::from_mins(5)),
        other => panic!("{other:?}"),
    }
    // The tag belongs to the URL it came from: another set may have the same tag.
    server.answer("/moved", Answer::json("", &key_set(&["b", "c"])));
    assert_eq!(keys(jwks::fetch(&client, &server.url("/moved"), Some(&first)).await, 300).keys.len(), 2);

    let tags: Vec<_> = server.requests().iter().map(|request| request.contains("if-none-match: \"v1\"")).collect();
    assert_eq!(tags, [false, true, false]);
}

#[tokio::test]
async fn a_set_without_a_usable_key_is_a_failure_and_a_bad_key_among_good_ones_is_not() {
    let server = Server::start().await;
    let (client, url) = (server.client(), server.url("/keys"));
    for body in
        [&b"{}"[..], b"[]", b"{\"keys\": []}", b"{\"keys\": [{\"kty\": \"oct\", \"k\": \"AAAA\"}]}", b"", b"<?xml"]
    {
        server.answer("/keys", Answer::plain("200 OK", "", body));
        let error = jwks::fetch(&client, &url, None).await.unwrap_err();
        assert!(matches!(error, JwksError::KeySet { .. }), "{error}");
        assert_eq!(error.result(), "no-usable-key");
    }
    let mut mixed = key_set(&["good"]);
    mixed["keys"].as_array_mut().unwrap().push(json!({"kty": "oct", "kid": "bad", "k": "AAAA"}));
    server.answer("/keys", Answer::json("", &mixed));
    let fetched = keys(jwks::fetch(&client, &url, None).await, 300);
    assert_eq!((fetched.keys.len(), fetched.dropped.len()), (1, 1));
}

/// Ed25519 keys with these ids.
fn key_set(ids: &[&str]) -> serde_json::Value {
    let keys: Vec<_> = ids
        .iter()
        .map(|id| {
            let pair = Ed25519KeyPair::generate().unwrap();
            let public: [u8; ED25519_PUBLIC_KEY_LEN] = pair.public_key().as_ref().try_into().unwrap();
            json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "x": URL_SAFE_NO_PAD.encode(public)})
        })
        .collect();
    json!({ "keys": keys })
}

fn keys(answer: Result<JwksAnswer, JwksError>, fresh_for: u64) -> FetchedKeys {
    match answer {
        Ok(JwksAnswer::Keys { fetched, freshness }) => {
            assert_eq!(freshness, Duration::from_secs(fresh_for));
            fetched
        }
        other => panic!("{other:?}"),
    }
}

/// A proxy on loopback that joins every CONNECT to `target`; returns its address and the requests it saw.
async fn connect_proxy(target: u16) -> (String, Arc<Mutex<Vec<String>>>, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (seen, mut tasks) = (Arc::<Mutex<Vec<_>>>::default(), JoinSet::new());
    let log = Arc::clone(&seen);
    tasks.spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(client.read_u8().await.unwrap());
            }
            log.lock().unwrap().push(String::from_utf8(head).unwrap());
            let mut server = TcpStream::connect(("127.0.0.1", target)).await.unwrap();
            client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        }
    });
    (address, seen, tasks)
}

#[tokio::test]
async fn a_configured_proxy_is_the_way_out_and_sees_nothing_but_the_host() {
    let authority = Authority::new();
    let name = "idp.example.test".to_owned();
    let server = Server::with(&authority, CertificateParams::new([name]).unwrap()).await;
    server.answer("/keys", Answer::json("", &json!({})));
    let port: u16 = server.base.rsplit_once(':').unwrap().1.parse().unwrap();
    let (address, seen, _proxy) = connect_proxy(port).await;
    let roots = [authority.root.clone()];
    let url: HttpsUrl = format!("https://idp.example.test:{port}/keys").parse().unwrap();
    let get = async |except: &str, url: &HttpsUrl| {
        let proxies = Proxies::new(format!("http://ann:hunter2@{address}").parse().unwrap(), except.to_owned());
        let client = IssuerClient::through(&proxies, Some(&roots), Limits::default()).unwrap();
        client.get(url, 100, None).await
    };

    assert!(matches!(get("", &url).await, Ok(Fetched::Body { .. })), "the name resolves nowhere but at the proxy");
    let head = seen.lock().unwrap().remove(0);
    assert!(head.starts_with(&format!("CONNECT idp.example.test:{port} HTTP/1.1\r\n")), "{head}");
    assert!(head.to_ascii_lowercase().contains("proxy-authorization: basic yw5uomh1bnrlcji="), "{head}");
    assert!(!head.contains("/keys"), "{head}");
    assert!(!server.requests()[0].to_ascii_lowercase().contains("proxy-authorization"));

    // Left out by name, by the domain above it, and because it is this very machine.
    for except in ["idp.example.test", "other.test,example.test", "*"] {
        assert!(get(except, &url).await.is_err(), "{except}");
    }
    let loopback = server.url("/keys");
    assert_eq!(
        get("", &loopback).await.unwrap_err().result(),
        "tls",
        "asked directly, under another name than its own"
    );
    assert!(seen.lock().unwrap().is_empty(), "{seen:?}");
}
