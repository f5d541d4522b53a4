//! JSON read a second time, without our rules, to see whether a refusal is right.

use std::{collections::HashSet, fmt};

use serde_json::Deserializer;

/// What a document of correct JSON is like.
#[derive(Debug, Default)]
pub struct Shape {
    /// Nesting of objects and arrays; the outermost counts as one.
    pub depth: usize,
    /// Members of all objects together.
    pub members: usize,
    /// The longest string or name in bytes.
    pub string: usize,
    /// Whether an object has one name twice.
    pub duplicate: bool,
    /// Whether the outermost is an object.
    pub object: bool,
}

impl Shape {
    /// The shape of `bytes`; `None` if they are no JSON.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let mut shape = Self::default();
        let mut reader = Deserializer::from_slice(bytes);
        serde::de::DeserializeSeed::deserialize(Element(&mut shape, 0), &mut reader).ok()?;
        reader.end().ok()?;
        shape.object = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
        Some(shape)
    }
}

/// One value, at its depth.
struct Element<'a>(&'a mut Shape, usize);

impl<'de> serde::de::DeserializeSeed<'de> for Element<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> serde::de::Visitor<'de> for Element<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.0.string = self.0.string.max(text.len());
        Ok(())
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let depth = self.1 + 1;
        self.0.depth = self.0.depth.max(depth);
        while items.next_element_seed(Element(self.0, depth))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let depth = self.1 + 1;
        self.0.depth = self.0.depth.max(depth);
        let mut names = HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            self.0.members += 1;
            self.0.string = self.0.string.max(name.len());
            self.0.duplicate |= !names.insert(name);
            members.next_value_seed(Element(self.0, depth))?;
        }
        Ok(())
    }
}
