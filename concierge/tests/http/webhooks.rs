//! Tokens that a webhook is asked about.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt as _, future::BoxFuture};
use http::header;
use latchkey_concierge::{
    authn::Reason,
    index::{AskError, AskWebhook, AuthenticatorName, AuthenticatorRef, Entry, Unready, Webhook},
    mapping::ReservedIdentities,
    secret::BearerToken,
    time::UnixTime,
    token_review::{Vouched, Word},
};
use serde_json::json;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::{
    assert_refused, certificate_of,
    issuer::NOW,
    server::{Answer, Server, request},
};

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
    assert!(!format!("{:?}", server.records().await).contains("an opaque token"));
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
