//! The HTTP surface, row by row: what a client may send to the aggregated API, and what it gets.

#![expect(clippy::unwrap_used, reason = "what the tests make themselves must be there")]

#[path = "http/elsewhere.rs"]
mod elsewhere;

#[path = "http/forwarded.rs"]
mod forwarded;

#[path = "http/overtaken.rs"]
mod overtaken;

#[path = "record/schema.rs"]
mod schema;

#[path = "http/server.rs"]
mod server;

#[path = "http/signer.rs"]
mod signer;

#[path = "judging/issuer.rs"]
#[expect(dead_code, reason = "the judging tests need more of it")]
mod issuer;

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::body::Body;
use futures::{FutureExt as _, future::BoxFuture, stream};
use http::{Method, header};
use latchkey_concierge::{
    authn::Reason,
    index::{AskError, AskWebhook, AuthenticatorName, AuthenticatorRef, Entry, Unready, Webhook},
    mapping::ReservedIdentities,
    secret::BearerToken,
    time::UnixTime,
    token_review::{Vouched, Word},
};
use latchkey_crds::groups::GroupSuffix;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use self::{
    issuer::{Key, NOW, claims, key, rs256, token},
    server::{Answer, EXCHANGE, Server, WHO_AM_I, request, strangers_chain},
};

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

// === granted ===

#[tokio::test]
async fn a_good_token_without_a_certificate_request_gets_certificate_and_key() {
    let server = Server::start().await;
    let answer = server.offer(&rs256(&json!({}))).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    let credential = answer.json()["status"]["credential"].clone();
    assert!(credential["clientKeyData"].as_str().unwrap().starts_with("-----BEGIN PRIVATE KEY-----\n"));
    assert_eq!(answer.json()["spec"], json!({"authenticator": {"apiGroup": null, "kind": "", "name": ""}}));
    let der = certificate_of(&answer);
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    assert_eq!(certificate.subject().to_string(), "O=developers, O=oncall, CN=ada");
    let end = UnixTime::from_secs(certificate.validity().not_after.timestamp());
    assert_eq!(credential["expirationTimestamp"], end.to_string());

    let record = server.record(&answer).await;
    assert_eq!((&record["code"], &record["kind"]), (&json!("granted"), &json!("credential.issued")));
    assert_eq!(record["identity"], json!({"username": "ada", "groups": 2}));
    assert_eq!(record["peer"], json!({"ip": "10.1.2.3", "port": 4711}));
    assert!(
        server
            .metrics
            .encode(UnixTime::from_secs(NOW))
            .contains(r#"latchkey_token_verdicts_total{surface="exchange",authenticator="staging",code="granted"} 1"#)
    );
}

#[tokio::test]
async fn a_good_token_with_a_certificate_request_gets_no_key() {
    let server = Server::start().await;
    let laptop = KeyPair::generate().unwrap();
    let csr = CertificateParams::default().serialize_request(&laptop).unwrap().pem().unwrap();
    let body = request(&rs256(&json!({})), &json!({"certificateSigningRequest": csr}));
    let answer = server.exchange(body.to_string()).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert_eq!(answer.json()["status"]["credential"].get("clientKeyData"), None);
    let der = certificate_of(&answer);
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    assert_eq!(certificate.public_key().raw, rcgen::PublicKeyData::subject_public_key_info(&laptop));
    assert_eq!(certificate.subject().to_string(), "O=developers, O=oncall, CN=ada");
}

#[tokio::test]
async fn a_certificate_request_that_cannot_be_is_named() {
    let server = Server::start().await;
    let body = request(&rs256(&json!({})), &json!({"certificateSigningRequest": "-----BEGIN NOTHING-----"}));
    let answer = server.exchange(body.to_string()).await;
    answer.status_message(422, "Invalid");
    assert_eq!(answer.json()["details"]["causes"][0]["field"], "spec.certificateSigningRequest");
    assert_eq!(server.record(&answer).await["code"], "certificate-request-malformed");
    // Only for a good token: a stranger learns nothing and costs no signature check.
    let body = request("a.b.c", &json!({"certificateSigningRequest": "-----BEGIN NOTHING-----"}));
    assert_refused(&server.exchange(body.to_string()).await);
}

#[tokio::test]
async fn an_unknown_key_is_asked_for_once_and_then_known() {
    let server = Server::start().await;
    let new = Key::ed25519("new");
    let fresh = issuer::authenticator(&issuer::key_set([&new.jwk]));
    let mut refreshes = server.refreshes.lock().unwrap().take().unwrap();
    let token = token(&new, r#"{"alg":"EdDSA","kid":"new"}"#, &claims(&json!({})));
    let keeper = async {
        let asked = refreshes.recv().await.unwrap();
        assert_eq!((asked.authenticator.as_str(), asked.key_id.as_ref().unwrap().as_str()), ("staging", "new"));
        let entry = Entry::Ready(Arc::new(fresh));
        server.writer.lock().unwrap().set(AuthenticatorRef::jwt("staging"), entry);
        asked.answer(true);
    };
    let (answer, ()) = tokio::join!(server.offer(&token), keeper);
    assert!(answer.json()["status"]["credential"].is_object(), "{}", answer.body);
}

#[tokio::test]
async fn without_a_record_there_is_no_credential() {
    let server = Server::with(GroupSuffix::default(), false).await;
    let answer = server.offer(&rs256(&json!({}))).await;
    answer.status_message(503, "ServiceUnavailable");
    assert!(answer.headers.contains_key(header::RETRY_AFTER));
    assert!(!answer.body.contains("BEGIN"), "{}", answer.body);
    let counted = server.metrics.encode(UnixTime::from_secs(NOW));
    let series = r#"latchkey_token_verdicts_total{surface="exchange",authenticator="staging",code="#;
    assert!(counted.contains(&format!("{series}\"audit-unavailable\"}} 1")), "{counted}");
    assert!(!counted.contains(&format!("{series}\"granted\"}} 1")), "what nobody got is no grant: {counted}");
    // A refusal gives nothing away: it is answered, and its lost record counted.
    assert_refused(&server.offer("a.b.c").await);
    assert!(
        server
            .metrics
            .encode(UnixTime::from_secs(NOW))
            .contains("latchkey_audit_dropped_total{sink=\"file\",severity=\"info\"} 1\n")
    );
}

#[tokio::test]
async fn a_log_is_begun_sealed_and_ended_and_each_line_is_as_the_schema_says() {
    let server = Server::start().await;
    server.offer(&rs256(&json!({}))).await;
    server.offer("a.b.c").await;
    let records = server.end().await;
    let kinds: Vec<_> = records.iter().map(|record| record["kind"].as_str().unwrap()).collect();
    let expected = ["audit.started", "credential.issued", "token.refused", "audit.checkpoint", "audit.stopped"];
    assert_eq!(kinds.iter().collect::<BTreeSet<_>>(), expected.iter().collect(), "{kinds:?}");
    assert_eq!(kinds.first(), Some(&"audit.started"));
    assert!(kinds.ends_with(&["audit.stopped", "audit.checkpoint"]), "the end is sealed too: {kinds:?}");
}

// === refused tokens: one answer, many records ===

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
    let log = server.records().iter().map(Value::to_string).collect::<String>();
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

// === webhooks ===

/// A webhook that says what it is told to, and counts.
#[derive(Debug)]
struct Says {
    word: Result<Word, AskError>,
    asked: AtomicUsize,
}

impl AskWebhook for Says {
    fn ask<'a>(&'a self, _: &'a BearerToken) -> BoxFuture<'a, Result<Word, AskError>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let word = self.word.clone();
        async move {
            // The questions of several requests take turns.
            tokio::task::yield_now().await;
            word
        }
        .boxed()
    }
}

fn webhook(generation: i64, word: Result<Word, AskError>) -> (Entry, Arc<Says>) {
    let door = Arc::new(Says { word, asked: AtomicUsize::new(0) });
    let entry = Webhook {
        name: AuthenticatorName::new("tokens"),
        uid: "w".to_owned(),
        generation,
        reserved: ReservedIdentities::default(),
        credential_lifetime: Some(Duration::from_mins(7)),
        door: door.clone(),
    };
    (Entry::Webhook(Arc::new(entry)), door)
}

fn vouching(username: &str, groups: &[&str]) -> Word {
    let groups = groups.iter().map(ToString::to_string).collect();
    Word::Authenticated(Vouched { username: username.to_owned(), groups, ..Vouched::default() })
}

async fn offer_to_webhook(server: &Server, token: &str) -> Answer {
    let group = "authentication.concierge.latchkey.dev";
    let authenticator = json!({"apiGroup": group, "kind": "WebhookAuthenticator", "name": "tokens"});
    server.exchange(request(token, &json!({"authenticator": authenticator})).to_string()).await
}

#[tokio::test]
async fn a_token_that_a_webhook_vouches_for_gets_a_certificate_and_is_asked_about_each_time() {
    let server = Server::start().await;
    let (entry, door) = webhook(4, Ok(vouching("ada", &["dev", "system:authenticated"])));
    server.writer.lock().unwrap().set(AuthenticatorRef::webhook("tokens"), entry);
    for round in 1..=2 {
        let answer = offer_to_webhook(&server, "an opaque token").await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        let der = certificate_of(&answer);
        let (_, certificate) = X509Certificate::from_der(&der).unwrap();
        assert_eq!(certificate.subject().to_string(), "O=dev, CN=ada");
        assert_eq!(certificate.validity().not_after.timestamp() - NOW, 420);
        let record = server.record(&answer).await;
        assert_eq!(record["code"], "granted");
        let by = json!({"kind": "WebhookAuthenticator", "name": "tokens", "uid": "w", "generation": 4});
        assert_eq!(record["authenticator"], by);
        assert_eq!(record["token"], json!({"bytes": 15}), "an opaque token has no fingerprint");
        assert_eq!(door.asked.load(Ordering::SeqCst), round, "nothing is remembered");
    }
    let text = server.metrics.encode(UnixTime::from_secs(NOW));
    let series = r#"latchkey_token_verdicts_total{surface="exchange",authenticator="webhook/tokens",code="granted"} 2"#;
    assert!(text.contains(series), "{text}");
    assert!(!format!("{:?}", server.records()).contains("an opaque token"));
}

/// Each reason that is not the token's own, by a real exchange; those of tokens have files in `corpus`. A new reason does
/// not compile here until somebody says how it comes about.
#[tokio::test]
async fn every_reason_that_is_not_the_tokens_own_has_its_record() {
    let server = Server::start().await;
    let mut recorded = BTreeSet::new();
    for reason in [
        Reason::AuthenticatorUnknown,
        Reason::AuthenticatorNotReady,
        Reason::WebhookRefused { with_error: false },
        Reason::WebhookRefused { with_error: true },
        Reason::Webhook(AskError::Overloaded),
        Reason::Webhook(AskError::Unavailable("cannot be reached".to_owned())),
    ] {
        let authenticator = AuthenticatorRef::webhook("tokens");
        let entry = match &reason {
            Reason::AuthenticatorUnknown => None,
            Reason::AuthenticatorNotReady => {
                Some(Entry::NotReady(Arc::new(Unready::new(AuthenticatorRef::jwt("staging"), "uid", 1))))
            }
            Reason::WebhookRefused { with_error } => Some(webhook(1, Ok(Word::Refused { with_error: *with_error })).0),
            Reason::Webhook(error) => Some(webhook(1, Err(error.clone())).0),
            Reason::Token(_) | Reason::Identity(_) => panic!("a reason of the token"),
            Reason::ClaimNotFetched(_) => panic!("see `elsewhere`"),
        };
        match entry {
            Some(entry) => server.writer.lock().unwrap().set(authenticator, entry),
            None => server.writer.lock().unwrap().remove(&authenticator),
        }
        let answer = offer_to_webhook(&server, "opaque").await;
        let code = server.record(&answer).await["code"].as_str().unwrap().to_owned();
        assert_eq!(code, reason.code());
        recorded.insert(code);
    }
    let all =
        ["authenticator-not-ready", "authenticator-unknown", "overloaded", "webhook-refused", "webhook-unavailable"];
    assert_eq!(recorded, all.map(str::to_owned).into());
}

#[tokio::test]
async fn what_a_webhook_does_not_vouch_for_gets_the_answer_of_every_refused_token() {
    let server = Server::start().await;
    let unavailable = || Err(AskError::Unavailable("cannot be asked: cannot connect".to_owned()));
    for (word, code) in [
        (Ok(Word::Refused { with_error: false }), "webhook-refused"),
        (Ok(Word::Refused { with_error: true }), "webhook-refused"),
        (unavailable(), "webhook-unavailable"),
        (Ok(vouching("ada", &["system:masters"])), "identity-reserved"),
        (Ok(vouching("system:serviceaccount:kube-system:default", &[])), "identity-reserved"),
        (Ok(vouching("", &[])), "username-empty"),
        (Ok(vouching("a\nb", &[])), "username-unsafe"),
    ] {
        let (entry, _) = webhook(1, word);
        server.writer.lock().unwrap().set(AuthenticatorRef::webhook("tokens"), entry);
        let answer = offer_to_webhook(&server, "opaque").await;
        assert_refused(&answer);
        assert_eq!(server.record(&answer).await["code"], code);
    }
    server.writer.lock().unwrap().set_not_ready(Unready::new(AuthenticatorRef::webhook("tokens"), "uid", 1), None);
    let answer = offer_to_webhook(&server, "opaque").await;
    assert_refused(&answer);
    assert_eq!(server.record(&answer).await["code"], "authenticator-not-ready");
    server.writer.lock().unwrap().remove(&AuthenticatorRef::webhook("tokens"));
    let answer = offer_to_webhook(&server, "opaque").await;
    assert_eq!(server.record(&answer).await["code"], "authenticator-unknown");
}

#[tokio::test]
async fn a_webhook_with_too_many_questions_is_a_reason_to_come_again() {
    let server = Server::start().await;
    let (entry, _) = webhook(1, Err(AskError::Overloaded));
    server.writer.lock().unwrap().set(AuthenticatorRef::webhook("tokens"), entry);
    let answer = offer_to_webhook(&server, "opaque").await;
    answer.status_message(429, "TooManyRequests");
    assert!(answer.headers.contains_key(header::RETRY_AFTER));
    assert_eq!(server.record(&answer).await["code"], "overloaded");
}

#[tokio::test]
async fn what_only_the_old_spec_of_a_webhook_allowed_does_not_pass_once_the_new_one_is_known() {
    let server = Server::start().await;
    let (old, asked) = webhook(1, Ok(vouching("ada", &[])));
    let set = |entry| server.writer.lock().unwrap().set(AuthenticatorRef::webhook("tokens"), entry);
    set(old);
    let change = async {
        while asked.asked.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        set(webhook(2, Ok(Word::Refused { with_error: false })).0);
    };
    let (answer, ()) = tokio::join!(biased; offer_to_webhook(&server, "opaque"), change);
    assert_refused(&answer);
    let record = server.record(&answer).await;
    assert_eq!((&record["code"], &record["authenticator"]["generation"]), (&json!("webhook-refused"), &json!(2)));
}

// === malformed requests ===

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
    assert!(!server.records().iter().any(|record| record["kind"] == "token.refused"));
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
    assert!(!server.records().iter().any(|record| record["kind"] == "credential.issued"));
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

// === paths and verbs ===

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

// === discovery and OpenAPI ===

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
