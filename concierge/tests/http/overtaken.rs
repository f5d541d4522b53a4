//! A spec that changes while the signer signs: what only the old one allowed is not handed out.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use latchkey_concierge::{
    index::{Authenticator, AuthenticatorRef, Entry, Unready},
    mapping::Rules,
    time::UnixTime,
};
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::{
    assert_refused, certificate_of,
    issuer::{self, NOW, audiences, key_set, keys, rs256, with_profile},
    server::{Answer, Server},
};

/// The authenticator of the second generation, with `change` made to it.
fn changed(mut authenticator: Authenticator, change: impl FnOnce(&mut Authenticator)) -> Entry {
    authenticator.generation = 2;
    change(&mut authenticator);
    Entry::Ready(Arc::new(authenticator))
}

/// A good token, of one group: rcgen writes one organization into a subject.
fn good() -> String {
    rs256(&json!({"groups": "developers"}))
}

/// Offers a good token, and has `happens` happen to the index while it is signed, once for each certificate.
async fn overtaken(server: &Server, happens: Vec<Option<Entry>>) -> Answer {
    let holds: Vec<_> = happens.iter().map(|_| server.signer.hold()).collect();
    let script = async {
        for (mut held, entry) in holds.into_iter().zip(happens) {
            held.reached().await;
            let mut writer = server.writer.lock().unwrap();
            match entry {
                Some(entry) => writer.set(AuthenticatorRef::jwt("staging"), entry),
                None => writer.remove(&AuthenticatorRef::jwt("staging")),
            }
            drop(writer);
            held.release();
        }
    };
    let token = good();
    tokio::join!(server.offer(&token), script).0
}

async fn assert_recorded(server: &Server, answer: &Answer, code: &str, generation: &Value) {
    let record = server.record(answer).await;
    assert_eq!(record["code"], code, "{record}");
    assert_eq!((&record["kind"], &record["credential"]), (&json!("token.refused"), &Value::Null), "{record}");
    assert_eq!(&record["authenticator"]["generation"], generation, "{record}");
}

#[tokio::test]
async fn nothing_happens_and_the_credential_is_handed_out() {
    let server = Server::signed_by_the_cluster().await;
    let answer = server.offer(&good()).await;
    assert!(answer.json()["status"]["credential"].is_object(), "{}", answer.body);
    assert_eq!(server.record(&answer).await["credential"]["strategy"], "CertificateSigningRequestAPI");
}

#[tokio::test]
async fn a_token_that_the_new_spec_refuses_is_refused_though_its_certificate_is_signed() {
    let server = Server::signed_by_the_cluster().await;
    let elsewhere = with_profile(|profile| profile.audiences = audiences(&["k8s-production"]));
    let answer = overtaken(&server, vec![Some(changed(elsewhere, |_| {}))]).await;
    assert_refused(&answer);
    assert_recorded(&server, &answer, "audience-mismatch", &json!(2)).await;
}

#[tokio::test]
async fn a_spec_that_cannot_work_and_one_that_is_gone_hand_nothing_out() {
    let server = Server::signed_by_the_cluster().await;
    let answer = overtaken(
        &server,
        vec![Some(Entry::NotReady(Arc::new(Unready::new(AuthenticatorRef::jwt("staging"), "uid", 2))))],
    )
    .await;
    assert_refused(&answer);
    assert_recorded(&server, &answer, "authenticator-not-ready", &json!(2)).await;

    let server = Server::signed_by_the_cluster().await;
    let answer = overtaken(&server, vec![None]).await;
    assert_refused(&answer);
    assert_recorded(&server, &answer, "authenticator-unknown", &Value::Null).await;
}

#[tokio::test]
async fn a_key_that_is_withdrawn_meanwhile_has_signed_nothing() {
    let server = Server::signed_by_the_cluster().await;
    // Nobody fetches keys here: a request for the unknown one is answered no.
    drop(server.refreshes.lock().unwrap().take());
    let others = key_set(keys().iter().filter(|key| key.jwk["kid"] != "rsa").map(|key| &key.jwk));
    let answer = overtaken(&server, vec![Some(Entry::Ready(Arc::new(issuer::authenticator(&others))))]).await;
    assert_refused(&answer);
    assert_recorded(&server, &answer, "key-unknown", &json!(1)).await;
}

#[tokio::test]
async fn fresh_keys_among_which_the_tokens_is_still_change_nothing() {
    let server = Server::signed_by_the_cluster().await;
    let mut fresh = with_profile(|_| {});
    fresh.keys_fetched_at = UnixTime::from_secs(NOW + 60);
    let before = server.signer.signed.load(Ordering::SeqCst);
    let answer = overtaken(&server, vec![Some(Entry::Ready(Arc::new(fresh)))]).await;
    assert!(answer.json()["status"]["credential"].is_object(), "{}", answer.body);
    assert_eq!(server.signer.signed.load(Ordering::SeqCst), before + 1, "the same user needs no second certificate");
}

#[tokio::test]
async fn a_user_whom_the_new_spec_names_otherwise_gets_a_certificate_in_the_new_name() {
    let server = Server::signed_by_the_cluster().await;
    let renamed = changed(with_profile(|_| {}), |authenticator| {
        authenticator.rules = Arc::new(Rules::of_claims("sub", "groups"));
    });
    let answer = overtaken(&server, vec![Some(renamed)]).await;
    let der = certificate_of(&answer);
    let subject = X509Certificate::from_der(&der).unwrap().1.subject().to_string();
    assert_eq!(subject, "O=developers, CN=00u1");
    let record = server.record(&answer).await;
    assert_eq!((&record["identity"]["username"], &record["authenticator"]["generation"]), (&json!("00u1"), &json!(2)));
}

#[tokio::test]
async fn a_spec_that_changes_each_time_ends_the_exchange() {
    let server = Server::signed_by_the_cluster().await;
    let lifetime = |minutes: u32| {
        Some(changed(with_profile(|_| {}), |authenticator| {
            authenticator.generation = minutes.into();
            authenticator.credential_lifetime = Some(Duration::from_mins(minutes.into()));
        }))
    };
    let answer = overtaken(&server, vec![lifetime(11), lifetime(12), lifetime(13)]).await;
    assert_refused(&answer);
    assert_recorded(&server, &answer, "authenticator-not-ready", &json!(13)).await;
}
