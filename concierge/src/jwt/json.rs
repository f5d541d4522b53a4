//! Strict JSON for bytes that an attacker may have written: no duplicate names, bounded depth, members and strings.
//!
//! RFC 7519 4 lets a parser take the last of two equal names; two verifiers that choose differently read two different
//! tokens, so duplicates are refused here at every depth, compared after unescaping.

use std::{cell::Cell, collections::HashSet, fmt};

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};

/// A JSON value as it was written; numbers keep their kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`, which is not absence.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A finite number.
    Number(serde_json::Number),
    /// A string, unescaped.
    String(String),
    /// A list.
    Array(Vec<Json>),
    /// An object.
    Object(Object),
}

/// The members of an object in the order written. Names are unique and case-sensitive.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object(Vec<(String, Json)>);

/// How much a document may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Nesting of objects and arrays; the outermost counts as one.
    pub depth: usize,
    /// Members of all objects together.
    pub members: usize,
    /// One string or name, in bytes after unescaping.
    pub string: usize,
}

/// Why a document was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Two members of one object have the same name.
    #[error("a member name appears twice in one object")]
    DuplicateMember,
    /// Nested too deeply.
    #[error("nested too deeply")]
    TooDeep,
    /// More members than allowed.
    #[error("too many members")]
    TooManyMembers,
    /// A string longer than allowed.
    #[error("a string is too long")]
    StringTooLong,
    /// Not one JSON object: syntax, encoding, a number out of range, trailing bytes, or another type.
    #[error("not one JSON object")]
    NotAnObject,
}

impl Limits {
    /// For the header and claims of a token. Origin of the numbers: CVE-2025-53864 (unbounded nesting) and the largest
    /// real tokens, which have a few dozen members and no string over 2 KiB.
    pub const TOKEN: Self = Self { depth: 16, members: 512, string: 8 * 1024 };
    /// For a key set: 64 keys of a dozen members, with certificate chains of several KiB in `x5c`.
    pub const KEY_SET: Self = Self { depth: 8, members: 2048, string: 64 * 1024 };
}

// === impl Object ===

impl Object {
    /// Parses `bytes` as exactly one object.
    ///
    /// # Errors
    ///
    /// [`JsonError`] says which rule was broken; nothing of the document is in it.
    pub fn parse(bytes: &[u8], limits: Limits) -> Result<Self, JsonError> {
        let budget = Budget { limits, members: Cell::new(limits.members), broken: Cell::new(None) };
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        let parsed = Element { budget: &budget, depth: 0 }
            .deserialize(&mut deserializer)
            .and_then(|value| deserializer.end().map(|()| value));
        match parsed {
            Ok(Json::Object(object)) => Ok(object),
            Ok(_) => Err(JsonError::NotAnObject),
            Err(_) => Err(budget.broken.get().unwrap_or(JsonError::NotAnObject)),
        }
    }

    /// The value of the member called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.0.iter().find(|(member, _)| member == name).map(|(_, value)| value)
    }

    /// Adds a member, unless there is one of that name: names stay unique.
    pub(super) fn add(&mut self, name: &str, value: Json) {
        if self.get(name).is_none() {
            self.0.push((name.to_owned(), value));
        }
    }

    /// All members in the order written.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

// === impl Json ===

impl Json {
    /// The text, if this is a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// What the value is, in JSON's own words, for messages.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

// === parsing ===

/// What is left of the limits, and the rule that was broken: serde's errors carry only text.
struct Budget {
    limits: Limits,
    members: Cell<usize>,
    broken: Cell<Option<JsonError>>,
}

impl Budget {
    fn refuse<T, E: serde::de::Error>(&self, error: JsonError) -> Result<T, E> {
        self.broken.set(Some(error));
        Err(E::custom(error))
    }

    fn string<E: serde::de::Error>(&self, text: &str) -> Result<(), E> {
        if text.len() > self.limits.string { self.refuse(JsonError::StringTooLong) } else { Ok(()) }
    }

    fn member<E: serde::de::Error>(&self) -> Result<(), E> {
        match self.members.get().checked_sub(1) {
            Some(left) => {
                self.members.set(left);
                Ok(())
            }
            None => self.refuse(JsonError::TooManyMembers),
        }
    }
}

#[derive(Clone, Copy)]
struct Element<'b> {
    budget: &'b Budget,
    depth: usize,
}

impl Element<'_> {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        let depth = self.depth + 1;
        if depth > self.budget.limits.depth {
            return self.budget.refuse(JsonError::TooDeep);
        }
        Ok(Self { depth, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Element<'_> {
    type Value = Json;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Element<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Json, E> {
        serde_json::Number::from_f64(value).map(Json::Number).ok_or_else(|| E::custom("a number is not finite"))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Json, E> {
        self.budget.string(text)?;
        Ok(Json::String(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        let element = self.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(element)? {
            values.push(value);
        }
        Ok(Json::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let element = self.deeper()?;
        let mut members: Vec<(String, Json)> = Vec::new();
        let mut seen = Seen::default();
        while let Some(name) = map.next_key::<String>()? {
            self.budget.member()?;
            self.budget.string(&name)?;
            if seen.contains_or_insert(&members, &name) {
                return self.budget.refuse(JsonError::DuplicateMember);
            }
            let value = map.next_value_seed(element)?;
            members.push((name, value));
        }
        Ok(Json::Object(Object(members)))
    }
}

/// Names met so far. Claims have a dozen members, where comparing each beats hashing; a hostile object with hundreds
/// must not cost their square, so a set takes over.
#[derive(Default)]
struct Seen(HashSet<String>);

impl Seen {
    const LINEAR: usize = 24;

    fn contains_or_insert(&mut self, members: &[(String, Json)], name: &str) -> bool {
        if members.len() < Self::LINEAR {
            return members.iter().any(|(member, _)| member == name);
        }
        if self.0.is_empty() {
            self.0.extend(members.iter().map(|(member, _)| member.clone()));
        }
        !self.0.insert(name.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Object, JsonError> {
        Object::parse(text.as_bytes(), Limits::TOKEN)
    }

    #[test]
    fn keeps_values_as_they_were_written() {
        let object = parse(r#"{"a":1,"b":-2,"c":1.5,"d":"x","e":[null,true],"f":{}}"#).unwrap();
        assert_eq!(object.get("a"), Some(&Json::Number(1.into())));
        assert_eq!(object.get("d").and_then(Json::as_str), Some("x"));
        assert_eq!(object.get("e"), Some(&Json::Array(vec![Json::Null, Json::Bool(true)])));
        assert_eq!(object.get("A"), None, "names are case-sensitive");
    }

    #[test]
    fn refuses_duplicate_names_at_any_depth_and_after_unescaping() {
        for text in [r#"{"aud":"a","aud":"b"}"#, r#"{"aud":"a","\u0061ud":"b"}"#, r#"{"x":{"y":[{"z":1,"z":2}]}}"#] {
            assert_eq!(parse(text), Err(JsonError::DuplicateMember), "{text}");
        }
        let many: Vec<String> = (0..100).map(|n| format!("\"m{n}\":{n}")).collect();
        assert!(parse(&format!("{{{}}}", many.join(","))).is_ok());
        assert_eq!(parse(&format!("{{{},\"m50\":0}}", many.join(","))), Err(JsonError::DuplicateMember));
    }

    #[test]
    fn case_twins_are_two_names() {
        assert!(parse(r#"{"aud":"a","AUD":"b"}"#).is_ok());
    }

    #[test]
    fn refuses_what_is_not_one_object() {
        for text in [
            "",
            "[]",
            "1",
            "null",
            "{} {}",
            "{}x",
            "\u{feff}{}",
            "{\"a\":1e400}",
            "{\"a\":NaN}",
            "{\"a\":\"\\ud800\"}",
            "{'a':1}",
            "{\"a\":1,}",
        ] {
            assert_eq!(parse(text), Err(JsonError::NotAnObject), "{text}");
        }
        assert_eq!(Object::parse(b"{\"a\":\"\xff\"}", Limits::TOKEN), Err(JsonError::NotAnObject));
    }

    #[test]
    fn limits_hold_on_the_exact_number() {
        let nested = |levels: usize| format!("{{\"a\":{}1{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
        assert!(parse(&nested(16)).is_ok());
        assert_eq!(parse(&nested(17)), Err(JsonError::TooDeep));
        assert!(parse(&nested(10_000)).is_err());
        let members =
            |count: usize| format!("{{{}}}", (0..count).map(|n| format!("\"{n}\":0")).collect::<Vec<_>>().join(","));
        assert!(parse(&members(512)).is_ok());
        assert_eq!(parse(&members(513)), Err(JsonError::TooManyMembers));
        let string = |length: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(length));
        assert!(parse(&string(8192)).is_ok());
        assert_eq!(parse(&string(8193)), Err(JsonError::StringTooLong));
    }
}
