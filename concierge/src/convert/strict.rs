//! Finds the fields of an object that its type does not know.

use serde::Serialize;
use serde_json::Value;

/// The paths of all fields of `given` that `understood`, the same object read as its type, no longer has. Empty lists,
/// empty objects and null say nothing and may be dropped.
pub(super) fn unknown_fields(given: &Value, understood: &impl Serialize) -> Vec<String> {
    let mut unknown = Vec::new();
    // A type that does not serialize has understood nothing.
    let understood = serde_json::to_value(understood).unwrap_or(Value::Null);
    compare("", given, &understood, &mut unknown);
    unknown
}

fn compare(path: &str, given: &Value, understood: &Value, unknown: &mut Vec<String>) {
    match (given, understood) {
        (Value::Object(given), Value::Object(understood)) => {
            for (name, value) in given {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                match understood.get(name) {
                    Some(understood) => compare(&path, value, understood, unknown),
                    None if says_nothing(value) => {}
                    None => unknown.push(path),
                }
            }
        }
        (Value::Array(given), Value::Array(understood)) => {
            for (position, (given, understood)) in given.iter().zip(understood).enumerate() {
                compare(&format!("{path}[{position}]"), given, understood, unknown);
            }
        }
        _ => {}
    }
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.values().all(says_nothing),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use latchkey_crds::authentication::JWTAuthenticatorSpec;
    use serde_json::json;

    use super::*;

    fn unknown(spec: &Value) -> Vec<String> {
        let typed: JWTAuthenticatorSpec = serde_json::from_value(spec.clone()).unwrap();
        unknown_fields(spec, &typed)
    }

    #[test]
    fn fields_of_a_newer_version_are_found_at_any_depth() {
        let spec = json!({
            "issuer": "https://a", "audience": "b", "reservedIdentities": {"policy": "Allow", "names": "x"},
            "claims": {"username": "sub", "uidPrefix": "", "extra": [{"key": "a/b", "valueExpression": "x", "prefix": ""}]},
            "claimValidationRules": [{"claim": "a"}, {"claim": "b", "oneOf": ["c"]}],
            "tls": {"insecure": true},
        });
        let mut found = unknown(&spec);
        found.sort();
        let expected = [
            "claimValidationRules[1].oneOf",
            "claims.extra[0].prefix",
            "claims.uidPrefix",
            "reservedIdentities.names",
            "tls.insecure",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn known_fields_and_empty_ones_are_not() {
        let spec = json!({
            "issuer": "https://a", "audience": "b", "claims": {"extra": []}, "userValidationRules": [],
            "claimValidationRules": [{"claim": "a", "requiredValue": "", "message": null}],
            "tls": {"certificateAuthorityDataSource": {"kind": "Secret", "name": "n", "key": "k"}},
            "credential": {"lifetimeSeconds": 60}, "later": {"list": [], "deep": {}},
        });
        assert_eq!(unknown(&spec), Vec::<String>::new());
    }
}
