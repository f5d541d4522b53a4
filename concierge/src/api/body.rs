//! The body of a create request: read within a limit, parsed from JSON or YAML, and compared with the kind's schema.
//!
//! Nothing that a client wrote as a value is ever repeated in an answer or a log: a token may stand anywhere.

use std::fmt;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::{discovery::Resource, negotiation::BodyFormat, respond::Problem};
use crate::credential::MAX_PEM;

/// Largest body in bytes: the longest certificate request, twice the longest token, and room for what clients add.
///
/// So a token that is merely too long is still a judged and recorded refusal, `token-too-large`, answered like any
/// other, while a token of 1 MiB or a body of 3 MiB is 413 before it costs memory: it cannot be a person's mistake, and
/// a limit above 1 MiB would let a few hundred anonymous callers hold that many MiB.
pub const MAX_BODY: usize = MAX_PEM + 32 * 1024;

/// How much of a body that is too large is read to be polite. kube-apiserver takes bodies of 3 MiB itself; what is longer
/// is cut off.
const MAX_DISCARDED: usize = 4 * 1024 * 1024;

/// Complaints about fields that are put into one answer. More would only repeat the client's own text to it.
const MAX_COMPLAINTS: usize = 10;
/// Longest field path in a complaint, in characters.
const MAX_PATH: usize = 128;

/// What to do about fields that the kind does not have (`fieldValidation`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// Drop them silently.
    Ignore,
    /// Refuse the request. kubectl asks for this.
    Strict,
    /// Drop them and say so in a header. What a server does when not asked.
    #[default]
    Warn,
}

/// A well-formed object of the expected kind, and what the client should be told beside the answer.
#[derive(Debug)]
pub struct Decoded {
    /// The object. Its fields have the types of the schema.
    pub object: Value,
    /// Texts for `Warning` headers.
    pub warnings: Vec<String>,
}

/// Reads the whole body, or says that it is too large.
///
/// A body over the limit is read on and thrown away, within [`MAX_DISCARDED`]: an answer given while the client is still
/// sending resets the stream, and the API server's proxy then passes on the status without the text that explains it.
///
/// # Errors
/// [`Problem::TooLarge`], or [`Problem::BadRequest`] if the client stopped in the middle.
pub async fn read(mut body: Body) -> Result<Bytes, Problem> {
    let mut bytes = BytesMut::new();
    let mut length = 0_usize;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::BadRequest("the request body ended early".to_owned()))?;
        // Trailers say nothing that we want to know.
        let Ok(data) = frame.into_data() else { continue };
        length = length.saturating_add(data.len());
        if length <= MAX_BODY {
            bytes.extend_from_slice(&data);
        } else {
            bytes.clear();
            if length > MAX_DISCARDED {
                break;
            }
        }
    }
    if length <= MAX_BODY { Ok(bytes.freeze()) } else { Err(Problem::TooLarge(MAX_BODY)) }
}

/// Parses `bytes` and checks them against `resource` and `schema` (an `OpenAPI` schema without references).
///
/// # Errors
/// [`Problem::BadRequest`] says what was expected: the format, the kind, the group, a field's type, or under
/// [`FieldValidation::Strict`] which fields are unknown or twice there.
pub fn decode(
    format: BodyFormat,
    bytes: &[u8],
    resource: &Resource,
    schema: &Value,
    validation: FieldValidation,
) -> Result<Decoded, Problem> {
    let not_ours = |what: String| Problem::BadRequest(format!("not a {}: {what}", resource.kind));
    let mut complaints = Complaints::default();
    let object = parse(format, bytes, &mut complaints).map_err(&not_ours)?;
    let Value::Object(fields) = &object else {
        return Err(not_ours(format!("expected an object, found {}", type_of(&object))));
    };
    type_meta(fields, resource).map_err(&not_ours)?;
    compare(&object, schema, "", &mut complaints).map_err(&not_ours)?;
    match validation {
        FieldValidation::Ignore => Ok(Decoded { object, warnings: Vec::new() }),
        FieldValidation::Warn => Ok(Decoded { object, warnings: complaints.texts() }),
        FieldValidation::Strict if complaints.0.is_empty() => Ok(Decoded { object, warnings: Vec::new() }),
        FieldValidation::Strict => Err(not_ours(format!("strict decoding error: {}", complaints.texts().join(", ")))),
    }
}

/// Absent kind and version mean ours, as with Kubernetes' decoder, which knows what the path expects.
fn type_meta(fields: &Map<String, Value>, resource: &Resource) -> Result<(), String> {
    for (field, expected) in [("kind", resource.kind.to_owned()), ("apiVersion", resource.api_version())] {
        match fields.get(field) {
            None | Some(Value::Null) => {}
            Some(Value::String(found)) if found.is_empty() || *found == expected => {}
            Some(_) => return Err(format!("expected {field} {expected}")),
        }
    }
    Ok(())
}

/// Walks value and schema together. A null is an absent field, as for Go's decoder.
fn compare(value: &Value, schema: &Value, path: &str, complaints: &mut Complaints) -> Result<(), String> {
    let expected = schema["type"].as_str().unwrap_or_default();
    match (expected, value) {
        (_, Value::Null) | ("", _) | ("string", Value::String(_)) => Ok(()),
        ("object", Value::Object(fields)) => {
            let Some(properties) = schema["properties"].as_object() else { return Ok(()) };
            for (name, value) in fields {
                let path = join(path, name);
                match properties.get(name) {
                    Some(schema) => compare(value, schema, &path, complaints)?,
                    None => complaints.add("unknown field", &path),
                }
            }
            Ok(())
        }
        ("array", Value::Array(items)) => {
            items.iter().try_for_each(|item| compare(item, &schema["items"], &nth(path), complaints))
        }
        (expected, found) => Err(format!("{}: expected {}, found {}", cut(path), article(expected), type_of(found))),
    }
}

/// Stops growing once it is long: a deep body of long names must not cost its square in copied paths.
fn join(path: &str, name: &str) -> String {
    let name: String = name.chars().take(MAX_PATH).collect();
    match path.len() {
        0 => name,
        1..MAX_PATH => format!("{path}.{name}"),
        MAX_PATH.. => path.to_owned(),
    }
}

fn nth(path: &str) -> String {
    if path.len() < MAX_PATH { format!("{path}[]") } else { path.to_owned() }
}

fn article(type_name: &str) -> String {
    let vowel = type_name.starts_with(['a', 'o']);
    format!("{} {type_name}", if vowel { "an" } else { "a" })
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Only the place of a syntax error is told, never its text: a parser's message may quote what it found.
fn parse(format: BodyFormat, bytes: &[u8], complaints: &mut Complaints) -> Result<Value, String> {
    let seed = Node { path: String::new(), complaints };
    match format {
        BodyFormat::Json => {
            let mut json = serde_json::Deserializer::from_slice(bytes);
            let parsed = seed.deserialize(&mut json).and_then(|value| json.end().map(|()| value));
            parsed.map_err(|error| format!("not JSON at line {} column {}", error.line(), error.column()))
        }
        BodyFormat::Yaml => {
            seed.deserialize(serde_norway::Deserializer::from_slice(bytes)).map_err(|error| match error.location() {
                Some(place) => format!("not YAML at line {} column {}", place.line(), place.column()),
                None => "not one YAML document".to_owned(),
            })
        }
    }
}

/// What a client wrote that the kind does not have, or wrote twice.
#[derive(Debug, Default)]
struct Complaints(Vec<(&'static str, String)>);

impl Complaints {
    fn add(&mut self, what: &'static str, path: &str) {
        if self.0.len() < MAX_COMPLAINTS {
            self.0.push((what, cut(path)));
        }
    }

    fn texts(&self) -> Vec<String> {
        self.0.iter().map(|(what, path)| format!("{what} \"{path}\"")).collect()
    }
}

/// A field path is the client's text: shortened, and only characters that may stand in a header.
fn cut(path: &str) -> String {
    let visible = |character: char| {
        if character.is_ascii_graphic() && !matches!(character, '"' | '\\') { character } else { '?' }
    };
    path.chars().take(MAX_PATH).map(visible).collect()
}

/// Builds a [`Value`] and notes member names that occur twice, which a map alone would hide.
struct Node<'a> {
    path: String,
    complaints: &'a mut Complaints,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        // Recursion is bounded by the parsers themselves: 128 levels, both of them.
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        let path = nth(&self.path);
        while let Some(item) = items.next_element_seed(Node { path: path.clone(), complaints: self.complaints })? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            let path = join(&self.path, &name);
            if object.contains_key(&name) {
                self.complaints.add("duplicate field", &path);
            }
            // The last one wins, as with Go's decoder.
            let value = entries.next_value_seed(Node { path, complaints: self.complaints })?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests;
