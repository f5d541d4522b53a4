//! JSON schemas of the virtual types, for the `OpenAPI` document of the aggregated API and hence for `kubectl explain`.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::identity::{WhoAmIRequest, WhoAmIRequestList};
use crate::login::{TokenCredentialRequest, TokenCredentialRequestList};
use crate::manifests::tidy;

/// The schema of `TokenCredentialRequest`, whole: no `$ref`, no `$schema`, no `nullable`.
#[must_use]
pub fn token_credential_request() -> Value {
    schema::<TokenCredentialRequest>()
}

/// The schema of `TokenCredentialRequestList`.
#[must_use]
pub fn token_credential_request_list() -> Value {
    schema::<TokenCredentialRequestList>()
}

/// The schema of `WhoAmIRequest`.
#[must_use]
pub fn who_am_i_request() -> Value {
    schema::<WhoAmIRequest>()
}

/// The schema of `WhoAmIRequestList`.
#[must_use]
pub fn who_am_i_request_list() -> Value {
    schema::<WhoAmIRequestList>()
}

fn schema<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::openapi3().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    tidy(&mut schema);
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_are_whole_and_describe_each_field() {
        for schema in
            [token_credential_request(), token_credential_request_list(), who_am_i_request(), who_am_i_request_list()]
        {
            let text = schema.to_string();
            for unwanted in ["$ref", "$schema", "nullable", "\"title\"", "anyOf"] {
                assert!(!text.contains(unwanted), "{unwanted} in {text}");
            }
            assert_described(&schema, "");
        }
        let schema = token_credential_request();
        let token = &schema["properties"]["spec"]["properties"]["token"];
        assert_eq!(token["type"], "string");
        assert!(!token["description"].as_str().unwrap().contains('\n'));
    }

    fn assert_described(schema: &Value, path: &str) {
        let Some(properties) = schema["properties"].as_object() else {
            return;
        };
        for (name, property) in properties {
            let path = format!("{path}.{name}");
            assert!(property["description"].as_str().is_some_and(|text| text.len() > 10), "{path} has no description");
            assert_described(property, &path);
            assert_described(&property["items"], &path);
        }
    }
}
