//! Any bytes as the claims of a correctly signed token: our strict reading against a second one, then the verdict.
#![no_main]

use latchkey_concierge::{
    jwt::{Json, JsonError, Limits, Object},
    mapping::{self, Rules},
};
use latchkey_fuzz::{AUDIENCE, HEADER, ISSUER, NOW, json::Shape, judge, signed};
use serde_json::Value;

libfuzzer_sys::fuzz_target!(|payload: &[u8]| {
    let limits = Limits { depth: 5, members: 20, string: 200 };
    let shape = Shape::of(payload);
    let fits =
        |shape: &Shape| shape.depth <= limits.depth && shape.members <= limits.members && shape.string <= limits.string;
    match (Object::parse(payload, limits), &shape) {
        (Ok(object), Some(shape)) => {
            assert!(shape.object && !shape.duplicate && fits(shape), "{shape:?}");
            let other: Value = serde_json::from_slice(payload).expect("JSON");
            assert_eq!(plain(&Json::Object(object)), other);
        }
        (Ok(_), None) => panic!("accepted, and no JSON"),
        // What comes first is what is told, and what is wrong behind it may not be JSON at all.
        (Err(_), None) => {}
        (Err(JsonError::DuplicateMember), Some(shape)) => assert!(shape.duplicate),
        (Err(JsonError::TooDeep), Some(shape)) => assert!(shape.depth > limits.depth),
        (Err(JsonError::TooManyMembers), Some(shape)) => assert!(shape.members > limits.members),
        (Err(JsonError::StringTooLong), Some(shape)) => assert!(shape.string > limits.string),
        (Err(JsonError::NotAnObject), Some(shape)) => assert!(!shape.object, "{shape:?}"),
    }

    let Ok(claims) = judge(&signed(HEADER, payload)) else { return };
    let said: Value = serde_json::from_slice(payload).expect("accepted claims are JSON");
    assert!(!shape.expect("JSON").duplicate);
    assert_eq!(said["iss"], ISSUER);
    assert!(said["aud"] == AUDIENCE || said["aud"].as_array().is_some_and(|all| all.iter().all(|one| one == AUDIENCE)));
    #[expect(clippy::cast_precision_loss, reason = "a time of ten digits")]
    let now = NOW as f64;
    assert!(said["exp"].as_f64().is_some_and(|end| end >= now), "in time: {}", said["exp"]);
    if let Ok(user) = mapping::map(&claims, &Rules::of_claims("sub", "groups"), &mut ()) {
        assert_eq!(Some(user.username().as_str()), said["sub"].as_str());
        assert!(!user.username().as_str().to_ascii_lowercase().starts_with("system:"));
        for group in user.groups() {
            let named = |value: &Value| value.as_str() == Some(group.as_str());
            assert!(named(&said["groups"]) || said["groups"].as_array().is_some_and(|all| all.iter().any(named)));
            assert!(!group.as_str().to_ascii_lowercase().starts_with("system:"));
        }
    }
});

fn plain(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => Value::Number(number.clone()),
        Json::String(text) => Value::String(text.clone()),
        Json::Array(items) => items.iter().map(plain).collect(),
        Json::Object(object) => {
            Value::Object(object.iter().map(|(name, value)| (name.to_owned(), plain(value))).collect())
        }
    }
}
