//! Fields, indexes and `in`.

use super::Evaluation;
use crate::cel::{
    EvaluationError, Map, Value,
    map::Keys,
    names,
    program::{Access, Field, Index, Node, Select},
};

impl Evaluation<'_> {
    pub(super) fn select(&mut self, select: &Select) -> Result<Value, EvaluationError> {
        let operand = self.evaluate(&select.operand)?;
        self.ask(&operand, Key::Field(&select.field), select.access)
    }

    pub(super) fn index(&mut self, index: &Index) -> Result<Value, EvaluationError> {
        let operand = self.evaluate(&index.operand)?;
        let key = self.evaluate(&index.key)?;
        self.ask(&operand, Key::Value(&key), index.access)
    }

    /// Asks `operand` for a part. What an optional holds is asked as an optional part is, and gives an optional again.
    fn ask(&mut self, operand: &Value, key: Key<'_>, access: Access) -> Result<Value, EvaluationError> {
        let (inner, optional) = match operand {
            Value::Optional(inner) => (inner.as_deref(), true),
            operand => (Some(operand), false),
        };
        let demanded = access == Access::Demand && !optional;
        let found = match inner {
            Some(inner) => self.part(inner, key, demanded)?,
            None => None,
        };
        match access {
            Access::Presence => Ok(Value::Bool(found.is_some())),
            Access::Demand if demanded => found.ok_or(EvaluationError::NoSuchKey),
            Access::Demand | Access::Optional => Ok(Value::Optional(found.map(Into::into))),
        }
    }

    /// A part of `operand`, if it has one. A value without parts is an error only where the part is demanded.
    fn part(&mut self, operand: &Value, key: Key<'_>, demanded: bool) -> Result<Option<Value>, EvaluationError> {
        match (operand, key) {
            (Value::Map(map), Key::Field(field)) => Ok(self.field(map, field)?.cloned()),
            (Value::Map(map), Key::Value(key)) => Ok(self.entry(map, key)?.cloned()),
            (Value::List(list), key) => {
                let place = key.place().ok_or(EvaluationError::NoSuchOverload("a list's index"))?;
                match usize::try_from(place).ok().and_then(|place| list.get(place)) {
                    None if demanded => Err(EvaluationError::IndexOutOfRange),
                    element => Ok(element.cloned()),
                }
            }
            _ => Ok(None),
        }
    }

    /// The value of a field whose name is known at compile time.
    fn field<'a>(&mut self, map: &'a Map, field: &Field) -> Result<Option<&'a Value>, EvaluationError> {
        let name = match (map.keys(), &field.unescaped) {
            (Keys::Plain, _) | (Keys::Escaped, None) => &field.written,
            (_, Some(name)) => name,
            (Keys::Root, None) => return Ok(None),
        };
        map.find_text(name, self.budget)
    }

    /// The value of a key that is known only now.
    fn entry<'a>(&mut self, map: &'a Map, key: &Value) -> Result<Option<&'a Value>, EvaluationError> {
        match (map.keys(), key) {
            (Keys::Plain, _) => map.find(key, self.budget),
            (Keys::Escaped | Keys::Root, Value::String(written)) => {
                self.budget.scan(written.len())?;
                match (names::unescape(written), map.keys()) {
                    (Some(name), _) => map.find_text(&name, self.budget),
                    (None, Keys::Root) => Ok(None),
                    (None, _) => map.find_text(written, self.budget),
                }
            }
            (Keys::Root, _) => Err(EvaluationError::NoSuchOverload("the claims' index")),
            (Keys::Escaped, _) => Ok(None),
        }
    }

    pub(super) fn contains(&mut self, pair: &[Node; 2]) -> Result<Value, EvaluationError> {
        let (wanted, within) = self.pair(pair)?;
        match &within {
            Value::List(list) => {
                for element in list.iter() {
                    if wanted.equals(element, self.budget)? {
                        return Ok(Value::Bool(true));
                    }
                }
                Ok(Value::Bool(false))
            }
            // The names of JSON members are compared as they are here: escapes are for fields and indexes.
            Value::Map(map) if map.keys() != Keys::Root => Ok(Value::Bool(map.find(&wanted, self.budget)?.is_some())),
            _ => Err(EvaluationError::NoSuchOverload("`in`")),
        }
    }
}

/// What a part is asked by.
#[derive(Clone, Copy)]
enum Key<'a> {
    Field(&'a Field),
    Value(&'a Value),
}

impl Key<'_> {
    /// A list's index: an integer, or a double that is one.
    fn place(self) -> Option<i64> {
        match self {
            Self::Value(Value::Int(place)) => Some(*place),
            Self::Value(Value::Uint(place)) => i64::try_from(*place).ok(),
            // Beyond 2^53 no list reaches.
            #[expect(clippy::cast_possible_truncation, reason = "the range is checked before")]
            Self::Value(Value::Double(place)) if place.fract() == 0.0 && place.abs() < 9e15 => Some(*place as i64),
            _ => None,
        }
    }
}
