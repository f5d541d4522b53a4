//! What clients may send as a `TokenCredentialRequest`, and what they are told when they send something else.

use latchkey_crds::{groups::GroupSuffix, openapi};

use super::*;

fn decode_as(format: BodyFormat, text: &str, validation: FieldValidation) -> Result<Decoded, Problem> {
    let [resource, _] = Resource::all(&GroupSuffix::default());
    decode(format, text.as_bytes(), &resource, &openapi::token_credential_request(), validation)
}

fn json(text: &str) -> Result<Decoded, Problem> {
    decode_as(BodyFormat::Json, text, FieldValidation::Warn)
}

fn refusal(text: &str) -> String {
    match json(text) {
        Err(Problem::BadRequest(message)) => message,
        other => panic!("expected a bad request, found {other:?}"),
    }
}

#[test]
fn json_and_yaml_mean_the_same() {
    let text = r#"{"spec": {"token": "a.b.c", "authenticator": {"kind": "JWTAuthenticator", "name": "staff"}}}"#;
    let yaml = "spec:\n  token: a.b.c\n  authenticator: {kind: JWTAuthenticator, name: staff}\n";
    let (from_json, from_yaml) =
        (json(text).unwrap(), decode_as(BodyFormat::Yaml, yaml, FieldValidation::Strict).unwrap());
    assert_eq!(from_json.object, from_yaml.object);
    assert!(from_json.warnings.is_empty());
}

#[test]
fn kind_and_version_may_be_absent_but_not_others() {
    assert!(json("{}").is_ok());
    assert!(json(r#"{"kind": null, "apiVersion": ""}"#).is_ok());
    assert_eq!(refusal(r#"{"kind": "Secret"}"#), "not a TokenCredentialRequest: expected kind TokenCredentialRequest");
    assert_eq!(
        refusal(r#"{"apiVersion": "login.concierge.pinniped.dev/v1alpha1"}"#),
        "not a TokenCredentialRequest: expected apiVersion login.concierge.latchkey.dev/v1alpha1"
    );
}

#[test]
fn what_is_no_object_is_refused_by_its_place_or_type() {
    assert_eq!(refusal("eyJhbGciOi"), "not a TokenCredentialRequest: not JSON at line 1 column 1");
    assert_eq!(refusal(""), "not a TokenCredentialRequest: not JSON at line 1 column 0");
    assert_eq!(refusal("{} {}"), "not a TokenCredentialRequest: not JSON at line 1 column 4");
    assert_eq!(refusal("[1]"), "not a TokenCredentialRequest: expected an object, found an array");
    assert!(refusal(&"[".repeat(10_000)).contains("not JSON"));
    let yaml = decode_as(BodyFormat::Yaml, "a: [", FieldValidation::Warn);
    assert!(matches!(yaml, Err(Problem::BadRequest(message)) if message.contains("not YAML at line")));
    let two = decode_as(BodyFormat::Yaml, "{}\n---\n{}\n", FieldValidation::Warn);
    assert!(matches!(two, Err(Problem::BadRequest(message)) if message.contains("not ")));
}

#[test]
fn a_wrong_type_is_named_and_the_value_is_not_repeated() {
    assert_eq!(
        refusal(r#"{"spec": {"token": ["eyJzZWNyZXQi"]}}"#),
        "not a TokenCredentialRequest: spec.token: expected a string, found an array"
    );
    assert_eq!(
        refusal(r#"{"spec": "eyJzZWNyZXQi"}"#),
        "not a TokenCredentialRequest: spec: expected an object, found a string"
    );
    assert_eq!(
        refusal(r#"{"metadata": "x"}"#),
        "not a TokenCredentialRequest: metadata: expected an object, found a string"
    );
}

#[test]
fn unknown_and_duplicate_fields_follow_field_validation() {
    let text = r#"{"spec": {"tokn": "x", "token": "a", "token": "b"}, "ha\"r\u00e9": 1}"#;
    let warned = json(text).unwrap();
    assert_eq!(warned.object["spec"]["token"], "b");
    assert_eq!(
        warned.warnings,
        [r#"duplicate field "spec.token""#, r#"unknown field "ha?r?""#, r#"unknown field "spec.tokn""#]
    );
    assert!(decode_as(BodyFormat::Json, text, FieldValidation::Ignore).unwrap().warnings.is_empty());
    let strict = decode_as(BodyFormat::Json, text, FieldValidation::Strict).unwrap_err();
    assert_eq!(
        strict,
        Problem::BadRequest(
            r#"not a TokenCredentialRequest: strict decoding error: duplicate field "spec.token", unknown field "ha?r?", unknown field "spec.tokn""#
                .to_owned()
        )
    );
}

#[test]
fn complaints_are_bounded() {
    let fields: Vec<String> = (0..1_000).map(|n| format!("\"{}{n}\": 1", "x".repeat(200))).collect();
    let warned = json(&format!("{{{}}}", fields.join(","))).unwrap();
    assert_eq!(warned.warnings.len(), MAX_COMPLAINTS);
    assert!(warned.warnings.iter().all(|warning| warning.len() < 200));
}

#[tokio::test]
async fn bodies_are_read_up_to_the_limit() {
    assert_eq!(read(Body::from(vec![b' '; MAX_BODY])).await.unwrap().len(), MAX_BODY);
    assert_eq!(read(Body::from(vec![b' '; MAX_BODY + 1])).await, Err(Problem::TooLarge(MAX_BODY)));
}
