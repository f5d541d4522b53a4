//! Schemas of lists of texts whose items carry rules of their own, which no attribute of the schema generator can say.

use schemars::{Schema, json_schema};

use super::{Rule, rules};

/// A list of `least` to `most` different texts of at most `longest` characters, each under `item` rules.
pub(crate) fn set(least: u32, most: u32, longest: u32, item: &[Rule]) -> Schema {
    json_schema!({
        "type": "array",
        "minItems": least,
        "maxItems": most,
        "x-kubernetes-list-type": "set",
        "items": {
            "type": "string",
            "minLength": 1,
            "maxLength": longest,
            "x-kubernetes-validations": rules(item),
        },
    })
}
