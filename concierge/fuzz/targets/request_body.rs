//! Any bytes as the body of a `TokenCredentialRequest`, in both formats: no answer repeats what stands in it.
#![no_main]

use std::sync::LazyLock;

use latchkey_concierge::api::{
    body::{FieldValidation, decode},
    discovery::Resource,
    negotiation::BodyFormat,
    respond::Problem,
};
use latchkey_crds::{groups::GroupSuffix, openapi};
use serde_json::Value;

static RESOURCE: LazyLock<Resource> = LazyLock::new(|| {
    let [resource, _] = Resource::all(&GroupSuffix::default());
    resource
});
static SCHEMA: LazyLock<Value> = LazyLock::new(openapi::token_credential_request);

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for format in [BodyFormat::Json, BodyFormat::Yaml] {
        for validation in [FieldValidation::Ignore, FieldValidation::Warn, FieldValidation::Strict] {
            match decode(format, bytes, &RESOURCE, &SCHEMA, validation) {
                Ok(decoded) => {
                    assert!(decoded.object.is_object());
                    assert!(validation == FieldValidation::Warn || decoded.warnings.is_empty());
                    decoded.warnings.iter().for_each(|words| repeats_nothing(words, &decoded.object, bytes));
                }
                Err(Problem::BadRequest(words)) => {
                    if let Ok(said) = serde_json::from_slice(bytes) {
                        repeats_nothing(&words, &said, bytes);
                    }
                }
                Err(other) => panic!("{other:?}"),
            }
        }
    }
});

/// Names of fields are told, values never. So only a value is looked for that stands nowhere else: not in a name, nor in a
/// path, which joins names by dots.
fn repeats_nothing(words: &str, said: &Value, bytes: &[u8]) {
    let secret = said["spec"]["token"].as_str().unwrap_or_default();
    let telling = secret.len() >= 40 && secret.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let once = || String::from_utf8_lossy(bytes).matches(secret).count() == 1;
    assert!(!telling || !words.contains(secret) || !once(), "{words}");
}
