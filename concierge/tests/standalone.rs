//! The server without an API server: authenticators from a folder, `TokenReview`s over mutual TLS, nothing else.

#![expect(clippy::unwrap_used, reason = "a test whose own set-up fails has failed")]

#[path = "standalone/desk.rs"]
mod desk;
#[expect(dead_code, reason = "the judge's tests use more of it")]
#[path = "judging/issuer.rs"]
mod issuer;
#[path = "waiting/until.rs"]
mod waiting;

use std::fs;

use serde_json::json;

use self::{
    desk::{Desk, REVIEW, fresh, manifest},
    issuer::AUDIENCE,
    waiting::until,
};

#[tokio::test(flavor = "multi_thread")]
async fn files_rule_from_their_first_word_to_their_last() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let desk = Desk::new("story");
    desk.write("corp.yaml", &manifest("corp", AUDIENCE, &json!({})));
    desk.write("partners.yaml", &manifest("partners", "k8s-partners", &json!({})));
    let bundle = json!({"certificateAuthorityDataSource": {"kind": "ConfigMap", "name": "ca", "key": "ca.crt"}});
    desk.write("far.yaml", &manifest("far", "k8s-far", &json!({"issuer": "https://far.example", "tls": bundle})));
    let server = desk.serve();
    until("readiness", async || (server.get("/readyz").await.0 == 200).then_some(())).await;

    let status = server.ask(&fresh(AUDIENCE)).await;
    assert_eq!(status["user"]["username"], "ada", "{status}");
    assert_eq!(status["user"]["groups"], json!(["developers", "oncall"]));
    assert!(
        server.admits("k8s-partners").await && !server.admits("production").await && !server.admits("k8s-far").await
    );
    assert_eq!(server.condition("corp", "Ready").await.0, "True");
    let (status, message) = server.condition("far", "TLSConfigurationValid").await;
    assert!(
        status == "False" && message.contains("put the PEM bundle itself into certificateAuthorityData"),
        "{message}"
    );

    // The very token that was admitted a moment ago, and is remembered, falls under the new rule.
    let token = fresh(AUDIENCE);
    assert_eq!(server.ask(&token).await["authenticated"], true);
    let rules = json!([{"expression": "claims.username != 'ada'", "message": "ada has left"}]);
    desk.write("corp.yaml", &manifest("corp", AUDIENCE, &json!({"claimValidationRules": rules})));
    until("the new rule", async || (server.ask(&token).await["authenticated"] != true).then_some(())).await;

    desk.write("corp.yaml", &manifest("corp", AUDIENCE, &json!({})));
    until("her return", async || (server.ask(&token).await["authenticated"] == true).then_some(())).await;
    desk.write("corp.yaml", "apiVersion: authentication.concierge.latchkey.dev/v1alpha1\nkind: [JWTAuthenticator\n");
    let status = until("the broken file", async || {
        let status = server.ask(&token).await;
        (status["authenticated"] != true).then_some(status)
    })
    .await;
    // Nobody can tell now, so the API server is not to remember it as a no.
    assert_eq!(status["error"], "temporarily unable to decide", "{status}");
    let logged = server.logged(|record| record["level"] == "ERROR");
    assert_eq!(logged["file"], "corp.yaml", "{logged}");
    assert!(logged["problem"].as_str().unwrap().contains("line 3"), "{logged}");
    let message = until("not ready", async || {
        let (status, message) = server.condition("corp", "AuthenticatorValid").await;
        (status == "False").then_some(message)
    })
    .await;
    assert!(message.contains("corp.yaml: document 1: cannot be read"), "{message}");
    assert!(server.admits("k8s-partners").await, "the others go on");
    assert_eq!(server.get("/readyz").await.0, 200);
    assert!(server.get("/metrics").await.1.contains("latchkey_authenticator_files_wrong 1\n"));

    desk.write("corp.yaml", &manifest("corp", AUDIENCE, &json!({})));
    until("the mended file", async || (server.ask(&token).await["authenticated"] == true).then_some(())).await;
    fs::remove_file(desk.folder.join("authenticators/corp.yaml")).unwrap();
    until("its end", async || (server.ask(&token).await["authenticated"] != true).then_some(())).await;
    assert!(server.admits("k8s-partners").await);

    let records = fs::read_to_string(desk.folder.join("audit.jsonl")).unwrap();
    for code in ["accepted", "claim-rule-failed", "audience-mismatch"] {
        assert!(records.contains(&format!(r#""code":"{code}""#)), "{code}");
    }
    server.stop();
}

#[test]
fn a_start_that_could_serve_nobody_says_what_to_give() {
    let desk = Desk::new("starts");
    let caller = "--review-client-ca-file=ca.crt";
    assert!(desk.refused(&[]).contains("say by --review-client-ca-file who may ask"));
    assert!(desk.refused(&[caller]).contains("give --review-tls-cert-file and --review-tls-key-file"));
    let for_nobody = ["--aggregated-api-tls-cert-file=a", "--aggregated-api-tls-key-file=b"];
    assert!(desk.refused(&[&REVIEW[..], &for_nobody].concat()).contains("there is no aggregated API"));
    assert_eq!(
        desk.refused(&REVIEW),
        "reading --authenticators: authenticators holds no file that ends in .yaml, .yml or .json: put JWTAuthenticator \
         manifests there"
    );
    desk.write("corp.yaml", "kind: Deployment\n");
    let said = desk.refused(&REVIEW);
    assert!(said.contains("corp.yaml: document 1: kind \"Deployment\": expected JWTAuthenticator"), "{said}");
    fs::remove_dir_all(desk.folder.join("authenticators")).unwrap();
    assert!(desk.refused(&REVIEW).contains("authenticators cannot be read: No such file"));
}
