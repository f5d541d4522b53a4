//! By what others wait: `Reconciling` and `Stalled`, and the statuses that are given to them as fixtures.

use super::*;
use crate::{controllers::fixtures::hold, idp::discovery::DiscoveryError};

/// The state by which a pipeline waits or fails: `Reconciling` or `Stalled`, and its reason.
fn progress(status: &AuthenticatorStatus) -> Option<(&str, &str)> {
    let found = told(status).into_iter().find(|told| ["Reconciling", "Stalled"].contains(&told.0));
    found.map(|(condition, truth, reason, _)| {
        assert_eq!(truth, "True");
        (condition, reason)
    })
}

#[test]
fn who_waits_for_it_is_told_what_is_tried_again_and_what_somebody_has_to_change() {
    let failing = |step| IssuerReport { trouble: Some(trouble(step)), ..IssuerReport::default() };
    let another = Trouble { result: DiscoveryError::ISSUER_MISMATCH, ..trouble(Step::Discovery) };
    let another = IssuerReport { trouble: Some(another), ..IssuerReport::default() };
    let no_keys = IssuerReport { keys: None, keys_fetched_at: None, trouble: Some(trouble(Step::Keys)), ..answered() };
    let no_uri = Arc::new(Discovered { jwks_uri: Err(JwksUriError::Absent), signing_algorithms: None });
    let no_uri = IssuerReport { discovered: Some(no_uri), ..failing(Step::JwksUri { scheme: false }) };
    let of_spec = |spec: Value| Case { spec, ..Case::default() };
    let expression =
        json!({"issuer": ISSUER, "audience": "staging", "claims": {"usernameExpression": "claims.email +"}});
    let two_mistakes = json!({"issuer": ISSUER, "audience": "", "claims": {"usernameExpression": "claims.email +"}});
    let missing = TlsProblem::NoObject { place: "Secret latchkey/ca".to_owned() };
    let sibling = member("production", "staging", &[]);
    for (case, expected) in [
        (Case::default(), None),
        (Case::reported(IssuerReport::default()), Some(("Reconciling", "Discovering"))),
        (Case::reported(failing(Step::Discovery)), Some(("Reconciling", "DiscoveryFailed"))),
        (Case::reported(no_keys), Some(("Reconciling", "KeysUnavailable"))),
        (Case { trust: Trust::Loading, ..Case::default() }, Some(("Reconciling", "Discovering"))),
        (
            Case { trust: Trust::Problem(missing), ..Case::default() },
            Some(("Reconciling", "CertificateAuthorityMissing")),
        ),
        (
            Case { trust: Trust::Problem(TlsProblem::NotBase64), ..Case::default() },
            Some(("Stalled", "InvalidCertificateAuthority")),
        ),
        (Case::reported(another), Some(("Stalled", "IssuerMismatch"))),
        (Case::reported(no_uri), Some(("Stalled", "InvalidKeySetURL"))),
        (of_spec(json!({"issuer": "http://idp.example.com", "audience": "a"})), Some(("Stalled", "InvalidIssuer"))),
        (of_spec(expression), Some(("Stalled", "InvalidExpression"))),
        (of_spec(two_mistakes), Some(("Stalled", "InvalidSpec"))),
        (Case { fleet: vec![sibling], ..Case::default() }, Some(("Stalled", "AudienceShared"))),
    ] {
        let status = case.plan().status.unwrap();
        assert_eq!(progress(&status), expected, "{}", case.spec);
        assert_eq!(status.observed_generation, Some(1));
    }
}

#[test]
fn the_fixtures_are_what_is_written() {
    let object = |case: &Case, generation: i64, status: &Value| {
        json!({
            "apiVersion": "authentication.concierge.latchkey.dev/v1alpha1", "kind": "JWTAuthenticator",
            "metadata": {"name": "staff", "generation": generation}, "spec": case.spec, "status": status,
        })
    };
    let written = |case: &Case| json!(case.plan().status.unwrap());
    let away = |report: IssuerReport| IssuerReport { trouble: Some(trouble(Step::Discovery)), ..report };
    let expression = json!({"issuer": ISSUER, "audience": "staging", "claims": {"usernameExpression": "claims.sub +"}});
    let missing = TlsProblem::NoObject { place: "Secret latchkey/corporate-ca".to_owned() };
    let sibling = member("production", "staging", &[]);
    for (name, case) in [
        ("jwt-first-answer-awaited", Case::reported(IssuerReport::default())),
        ("jwt-ready", Case::default()),
        ("jwt-expression-does-not-compile", Case { spec: expression, ..Case::default() }),
        ("jwt-issuer-away-never-reached", Case::reported(away(IssuerReport::default()))),
        ("jwt-serving-cached-keys", Case::reported(away(IssuerReport { keys_failing: true, ..answered() }))),
        ("jwt-ca-not-there-yet", Case { trust: Trust::Problem(missing), ..Case::default() }),
        ("jwt-audience-shared", Case { fleet: vec![sibling], ..Case::default() }),
    ] {
        hold(name, &object(&case, case.generation, &written(&case)));
    }
    let good = Case::default();
    hold("jwt-spec-changed-not-yet-observed", &object(&good, 2, &written(&good)));
    // What the schema's defaults make of a new object; `tests/tests/health.rs` sees that they do.
    let unseen = json!({"observedGeneration": latchkey_crds::manifests::NOT_OBSERVED, "phase": Phase::Pending});
    hold("jwt-just-created", &object(&good, 1, &unseen));
}
