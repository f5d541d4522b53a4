//! A good token: what it is exchanged for, with a certificate request and without, and what is recorded of it.

use std::{collections::BTreeSet, sync::Arc};

use http::header;
use latchkey_concierge::{
    index::{AuthenticatorRef, Entry},
    time::UnixTime,
};
use latchkey_crds::groups::GroupSuffix;
use rcgen::{CertificateParams, KeyPair};
use serde_json::json;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::{
    assert_refused, certificate_of,
    issuer::{self, Key, NOW, claims, rs256, token},
    server::{Server, request},
};

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
