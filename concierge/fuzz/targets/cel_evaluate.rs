//! Any expression over any claims: a value or a reason, within the budget, and never a word of what the token says.
#![no_main]

use std::sync::Arc;

use latchkey_concierge::cel::{Expression, Map, Scope, Target, Value, Variables};
use serde_json::Value as Json;

/// A claim that no expression of the fuzzer's holds, to know it in a reason.
const SECRET: &str = "v3ry-s3cr3t-cl41m";

// The first line is the expression, the rest the claims.
libfuzzer_sys::fuzz_target!(|input: &str| {
    let (source, claims) = input.split_once('\n').unwrap_or((input, "{}"));
    let Ok(Json::Object(claims)) = serde_json::from_str(claims) else { return };
    let members = claims.iter().map(|(name, value)| (Arc::from(name.as_str()), value_of(value)));
    let secret = (Arc::from("secret"), Value::from(SECRET));
    let variables = Variables::of_claims(members.chain([secret]));
    let user =
        Variables::of_user(SECRET, "", ["a", "b"], [("example.org/a", &["1".to_owned(), SECRET.to_owned()][..])]);

    if let Ok(rule) = Expression::rule(Scope::User, source) {
        told_nothing(rule.holds(&user).map(|_| ()));
    }
    if let Ok(rule) = Expression::rule(Scope::Claims, source) {
        told_nothing(rule.holds(&variables).map(|_| ()));
    }
    if let Ok(mapping) = Expression::mapping(Target::Extra, source) {
        let (once, twice) = (mapping.evaluate(&variables), mapping.evaluate(&variables));
        assert_eq!(format!("{once:?}"), format!("{twice:?}"), "the same over the same");
        told_nothing(once.map(|_| ()));
    }
});

fn told_nothing(outcome: Result<(), latchkey_concierge::cel::EvaluationError>) {
    if let Err(error) = outcome {
        let words = format!("{error} {error:?}");
        assert!(!words.contains(SECRET), "{words}");
    }
}

fn value_of(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => (*value).into(),
        Json::Number(number) => Value::Double(number.as_f64().unwrap_or(0.0)),
        Json::String(text) => text.as_str().into(),
        Json::Array(items) => items.iter().map(value_of).collect::<Vec<_>>().into(),
        Json::Object(members) => {
            let members = members.iter().map(|(name, value)| (name.as_str().into(), value_of(value))).collect();
            Value::Map(Map::of_json(members).into())
        }
    }
}
