//! A webhook asked over TLS on loopback: good answers, bad answers, and servers that misbehave.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its world should fail there")]

#[path = "keys/server.rs"]
#[expect(dead_code, reason = "what the tests of issuers need beside")]
mod server;

use std::time::Duration;

use futures::future::join_all;
use latchkey_concierge::{
    idp::{http::FetchError, proxy::Proxies},
    index::{AskError, AskWebhook as _},
    runtime::metrics::Metrics,
    secret::BearerToken,
    time::UnixTime,
    token_review::{Version, Vouched, Word},
    webhook::{Dialed, Settings, WebhookClient},
};
use serde_json::{Value, json};

use self::server::{Answer, Server};

/// No text of an answer or an error may hold it.
const TOKEN: &str = "s3cr3t-t0ken";
/// For servers that answer: far longer than an answer takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn client(server: &Server, version: Option<Version>, timeout: Duration) -> WebhookClient {
    of(&server.base, Some(std::slice::from_ref(&server.root)), version, timeout, &Metrics::new())
}

fn of(
    base: &str,
    roots: Option<&[rustls_pki_types::CertificateDer<'static>]>,
    version: Option<Version>,
    timeout: Duration,
    metrics: &Metrics,
) -> WebhookClient {
    let endpoint = format!("{base}/review?tenant=1").parse().unwrap();
    WebhookClient::new(Settings {
        name: "tokens",
        endpoint,
        roots,
        proxies: &Proxies::default(),
        version,
        timeout,
        metrics: metrics.clone(),
    })
    .unwrap()
}

async fn ask(client: &WebhookClient) -> Result<Word, AskError> {
    let word = client.ask(&BearerToken::new(TOKEN.to_owned())).await;
    assert!(!format!("{word:?} {client:?}").contains("s3cr3t"), "an answer quotes the token");
    word
}

fn review(version: &str, status: &Value) -> Answer {
    // As Go's servers answer: the question with the status filled in.
    let body = json!({
        "apiVersion": format!("authentication.k8s.io/{version}"), "kind": "TokenReview",
        "metadata": {"creationTimestamp": null}, "spec": {"token": TOKEN}, "status": status,
    });
    Answer::json("", &body)
}

fn yes(version: &str) -> Answer {
    let user = json!({"username": "ada", "uid": "7", "groups": ["dev"], "extra": {"example.com/k": ["v"]}});
    review(version, &json!({"authenticated": true, "user": user}))
}

fn ada() -> Word {
    Word::Authenticated(Vouched {
        username: "ada".to_owned(),
        uid: "7".to_owned(),
        groups: vec!["dev".to_owned()],
        extra: [("example.com/k".to_owned(), vec!["v".to_owned()])].into(),
    })
}

const PATH: &str = "/review?tenant=1";
const IN_V1: &str = r#""apiVersion":"authentication.k8s.io/v1""#;
const IN_V1BETA1: &str = r#""apiVersion":"authentication.k8s.io/v1beta1""#;

#[tokio::test]
async fn a_user_comes_back_whole_and_the_question_is_the_one_of_kubernetes() {
    let server = Server::start().await;
    let client = client(&server, None, PATIENCE);
    server.answer(PATH, yes("v1"));
    assert_eq!(ask(&client).await, Ok(ada()));
    server.answer(PATH, Answer::plain("201 Created", "Content-Type: application/json\r\n", &body_of(yes("v1"))));
    assert_eq!(ask(&client).await, Ok(ada()));
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    let (head, body) = requests[0].split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /review?tenant=1 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-type: application/json\r\n"), "{head}");
    for never in ["authorization:", "cookie:"] {
        assert!(!head.to_ascii_lowercase().contains(never), "{head}");
    }
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!((&body["apiVersion"], &body["spec"]), (&json!("authentication.k8s.io/v1"), &json!({"token": TOKEN})));
}

fn body_of(answer: Answer) -> Vec<u8> {
    match answer {
        Answer::Plain { body, .. } => body,
        _ => panic!("no body"),
    }
}

#[tokio::test]
async fn a_refusal_comes_back_as_one() {
    let server = Server::start().await;
    let client = client(&server, None, PATIENCE);
    server.answer(PATH, review("v1", &json!({"authenticated": false})));
    assert_eq!(ask(&client).await, Ok(Word::Refused { with_error: false }));
    server.answer(PATH, review("v1", &json!({"error": format!("token {TOKEN} has expired")})));
    assert_eq!(ask(&client).await, Ok(Word::Refused { with_error: true }));
}

#[tokio::test]
async fn whatever_is_no_answer_admits_nobody_and_says_why() {
    let server = Server::start().await;
    let html = Answer::plain("200 OK", "Content-Type: text/html\r\n", b"<html>");
    let redirect = |to: &str| Answer::plain("307 Temporary Redirect", &format!("Location: {to}\r\n"), b"");
    let other_kind = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "status": {"authenticated": true, "user": {"username": "ada"}}});
    for (answer, words) in [
        (Answer::plain("200 OK", "", b"garbage"), "gave an answer that is no JSON object"),
        (Answer::plain("200 OK", "", b""), "gave an answer that is no JSON object"),
        (Answer::plain("204 No Content", "", b""), "cannot be asked: answered 204"),
        (html, "content type \"text/html\""),
        (Answer::json("", &other_kind), "gave an answer that is no TokenReview"),
        (
            review("v1", &json!({"authenticated": "yes", "user": {"username": "ada"}})),
            "gave an answer that status.authenticated has a wrong type",
        ),
        (redirect("https://127.0.0.1:1/"), "answered 307 Temporary Redirect: redirects are not followed"),
        (redirect("/review"), "redirects are not followed"),
        (Answer::plain("401 Unauthorized", "", TOKEN.as_bytes()), "answered 401 Unauthorized, expected 200"),
        (Answer::plain("503 Service Unavailable", "", b""), "answered 503 Service Unavailable"),
        (Answer::Endless, "body is larger than 262144 bytes"),
        (Answer::json("", &json!({"padding": "x".repeat(300_000)})), "body is larger than 262144 bytes"),
    ] {
        server.answer(PATH, answer);
        let before = server.requests().len();
        let error = ask(&client(&server, Some(Version::V1), PATIENCE)).await.unwrap_err();
        let AskError::Unavailable(sentence) = &error else { panic!("{error:?}") };
        assert!(sentence.contains(words), "{sentence}, expected {words}");
        assert!(error.to_string().starts_with("the webhook "), "{error}");
        assert_eq!(server.requests().len() - before, 1, "{words}: asked once");
    }
}

#[tokio::test]
async fn a_server_that_takes_too_long_is_given_up() {
    let server = Server::start().await;
    for answer in [Answer::Silent, Answer::Drip] {
        server.answer(PATH, answer);
        let error = ask(&client(&server, None, Duration::from_millis(300))).await.unwrap_err();
        assert!(matches!(error, AskError::Unavailable(_)), "{error:?}");
    }
}

#[tokio::test]
async fn trouble_that_may_pass_is_tried_again_and_not_for_ever() {
    let server = Server::start().await;
    let client = client(&server, None, PATIENCE);
    for answer in
        [Answer::plain("500 Oh", "", b""), Answer::plain("429 Later", "Retry-After: 3600\r\n", b""), Answer::CutOff]
    {
        server.answer(PATH, answer);
        let before = server.requests().len();
        assert!(matches!(ask(&client).await, Err(AskError::Unavailable(_))));
        assert_eq!(server.requests().len() - before, 3);
    }
    server.answer(PATH, yes("v1"));
    assert_eq!(ask(&client).await, Ok(ada()));
}

#[tokio::test]
async fn a_server_that_knows_only_v1beta1_is_found_out_once() {
    for unknown in [
        Answer::plain("400 Bad Request", "", b"no kind TokenReview is registered for version authentication.k8s.io/v1"),
        Answer::plain("404 Not Found", "", b""),
        Answer::plain("415 Unsupported Media Type", "", b""),
        Answer::plain("422 Unprocessable Entity", "", b""),
        // It does not look at the version, and always answers in its own.
        yes("v1beta1"),
    ] {
        let server = Server::start().await;
        let client = client(&server, None, PATIENCE);
        server.answer(PATH, Answer::Choice(vec![(IN_V1BETA1, yes("v1beta1")), (IN_V1, unknown)]));
        assert_eq!(ask(&client).await, Ok(ada()));
        assert_eq!(server.requests().len(), 2);
        assert_eq!(ask(&client).await, Ok(ada()));
        assert_eq!(server.requests().len(), 3, "now it is known");
        assert!(server.requests()[2].contains(IN_V1BETA1));
    }
}

#[tokio::test]
async fn a_server_that_knows_neither_is_told_by_its_first_answer() {
    let server = Server::start().await;
    let client = client(&server, None, PATIENCE);
    let choice = vec![(IN_V1BETA1, Answer::plain("415 No", "", b"")), (IN_V1, Answer::plain("400 No", "", b""))];
    server.answer(PATH, Answer::Choice(choice));
    let error = ask(&client).await.unwrap_err();
    assert!(error.to_string().contains("answered 400 Bad Request"), "{error}");
}

#[tokio::test]
async fn a_version_that_the_spec_names_is_the_only_one_asked_in() {
    let server = Server::start().await;
    server.answer(PATH, Answer::Choice(vec![(IN_V1BETA1, yes("v1beta1"))]));
    let error = ask(&client(&server, Some(Version::V1), PATIENCE)).await.unwrap_err();
    assert!(error.to_string().contains("answered 404 Not Found"), "{error}");
    assert_eq!(ask(&client(&server, Some(Version::V1Beta1), PATIENCE)).await, Ok(ada()));
    assert_eq!(server.requests().len(), 2);
    // A good answer settles it: a 400 to a later token does not open the question again.
    let learned = client(&server, None, PATIENCE);
    server.answer(PATH, yes("v1"));
    assert_eq!(ask(&learned).await, Ok(ada()));
    server.answer(PATH, Answer::Choice(vec![(IN_V1BETA1, yes("v1beta1")), (IN_V1, Answer::plain("400 No", "", b""))]));
    assert!(ask(&learned).await.is_err());
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn questions_to_one_server_are_bounded_and_the_rest_is_told_at_once() {
    let server = Server::start().await;
    server.answer(PATH, Answer::Silent);
    let metrics = Metrics::new();
    let roots = Some(std::slice::from_ref(&server.root));
    let client = of(&server.base, roots, None, Duration::from_millis(500), &metrics);
    let words = join_all((0..100).map(|_| ask(&client))).await;
    let overloaded = words.iter().filter(|word| **word == Err(AskError::Overloaded)).count();
    assert_eq!(overloaded, 36);
    let text = metrics.encode(UnixTime::from_secs(0));
    for (result, count) in [("overloaded", 36), ("unavailable", 64)] {
        let series = format!("latchkey_webhook_asked_total{{authenticator=\"tokens\",result=\"{result}\"}} {count}\n");
        assert!(text.contains(&series), "{text}");
    }
    server.answer(PATH, yes("v1"));
    assert_eq!(ask(&client).await, Ok(ada()), "places are given back");
}

#[tokio::test]
async fn only_a_server_of_the_named_authority_is_asked_or_dialed() {
    let (server, other) = (Server::start().await, Server::start().await);
    server.answer(PATH, yes("v1"));
    assert_eq!(client(&server, None, PATIENCE).dial().await, Ok(Dialed::Directly));
    for roots in [Some(std::slice::from_ref(&other.root)), None] {
        let stranger = of(&server.base, roots, None, PATIENCE, &Metrics::new());
        let error = ask(&stranger).await.unwrap_err();
        assert!(error.to_string().contains("TLS failed"), "{error}");
        assert!(matches!(stranger.dial().await, Err(FetchError::Tls(_))));
    }
    assert!(server.requests().is_empty());
    let metadata = of("https://169.254.169.254", None, None, PATIENCE, &Metrics::new());
    assert!(ask(&metadata).await.unwrap_err().to_string().contains("link-local"));
    assert!(matches!(metadata.dial().await, Err(FetchError::AddressRefused(_))));
    let address = server.address();
    drop(server);
    let gone = of(&format!("https://{address}"), None, None, PATIENCE, &Metrics::new());
    assert!(matches!(gone.dial().await, Err(FetchError::Connect(_))));
}
