//! When two values are equal: numbers by their value whatever their type, other values of two types never.

use super::{Budget, EvaluationError, Value};

/// How deep two equal values may be nested. An expression of 4 KiB hardly nests fifty lists; this bounds the stack.
const MAX_DEPTH: u32 = 200;

impl Value {
    /// Whether both are equal (CEL language definition, "Equality"). Pays for each value that is compared.
    ///
    /// # Errors
    /// The budget's, or [`EvaluationError::TooLarge`] where both are nested too deep to compare.
    pub fn equals(&self, other: &Self, budget: &mut Budget) -> Result<bool, EvaluationError> {
        equal(self, other, budget, MAX_DEPTH)
    }
}

/// Whether two map keys are one. Keys are booleans, numbers and strings; nothing else is a key.
pub(super) fn same_key(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::String(left), Value::String(right)) => left == right,
        (Value::Bool(left), Value::Bool(right)) => left == right,
        _ => numbers(left, right).unwrap_or(false),
    }
}

fn equal(left: &Value, right: &Value, budget: &mut Budget, depth: u32) -> Result<bool, EvaluationError> {
    budget.spend(1)?;
    let depth = depth.checked_sub(1).ok_or(EvaluationError::TooLarge)?;
    Ok(match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(left), Value::Bool(right)) => left == right,
        (Value::String(left), Value::String(right)) => {
            budget.scan(left.len().min(right.len()))?;
            left == right
        }
        (Value::Bytes(left), Value::Bytes(right)) => {
            budget.scan(left.len().min(right.len()))?;
            left == right
        }
        (Value::List(left), Value::List(right)) => {
            if left.len() != right.len() {
                return Ok(false);
            }
            for (left, right) in left.iter().zip(right.iter()) {
                if !equal(left, right, budget, depth)? {
                    return Ok(false);
                }
            }
            true
        }
        (Value::Map(left), Value::Map(right)) => {
            if left.len() != right.len() {
                return Ok(false);
            }
            for (key, value) in left.iter() {
                match right.find(key, budget)? {
                    Some(other) if equal(value, other, budget, depth)? => {}
                    _ => return Ok(false),
                }
            }
            true
        }
        (Value::Duration(left), Value::Duration(right)) => left == right,
        (Value::Timestamp(left), Value::Timestamp(right)) => left == right,
        (Value::Optional(left), Value::Optional(right)) => match (left, right) {
            (None, None) => true,
            (Some(left), Some(right)) => equal(left, right, budget, depth)?,
            _ => false,
        },
        (Value::Type(left), Value::Type(right)) => left == right,
        (Value::Opaque(left), Value::Opaque(right)) => {
            budget.scan(left.size().min(right.size()))?;
            left.equals(right.as_ref())
        }
        _ => numbers(left, right).unwrap_or(false),
    })
}

/// Whether two numbers are one; `None` if either is none. NaN equals nothing, itself neither.
fn numbers(left: &Value, right: &Value) -> Option<bool> {
    super::ordering::compare_numbers(left, right).map(|ordering| ordering == Some(std::cmp::Ordering::Equal))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cel::{Map, Type};

    #[track_caller]
    fn check(left: &Value, right: &Value, expected: bool) {
        assert_eq!(left.equals(right, &mut Budget::default()), Ok(expected), "{left:?} == {right:?}");
        assert_eq!(right.equals(left, &mut Budget::default()), Ok(expected), "{right:?} == {left:?}");
    }

    fn map(entries: &[(Value, Value)]) -> Value {
        Value::Map(entries.iter().cloned().collect::<Map>().into())
    }

    #[test]
    fn numbers_are_equal_by_value() {
        check(&Value::Int(1), &Value::Double(1.0), true);
        check(&Value::Uint(1), &Value::Int(1), true);
        check(&Value::Uint(u64::MAX), &Value::Int(-1), false);
        check(&Value::Double(f64::NAN), &Value::Double(f64::NAN), false);
        check(&Value::Double(0.0), &Value::Double(-0.0), true);
        // 2^53 + 1 has no double: a claim with this number was rounded too.
        check(&Value::Int(9_007_199_254_740_993), &Value::Double(9_007_199_254_740_992.0), true);
    }

    #[test]
    fn values_of_two_types_are_never_equal() {
        check(&Value::from("1"), &Value::Int(1), false);
        check(&Value::Null, &Value::Bool(false), false);
        check(&Value::from(vec![]), &map(&[]), false);
        check(&Value::Optional(None), &Value::Null, false);
        check(&Value::Duration(1), &Value::Int(1), false);
    }

    #[test]
    fn lists_maps_optionals_and_types_are_equal_by_content() {
        check(&vec![Value::Int(1)].into(), &vec![Value::Double(1.0)].into(), true);
        check(&vec![Value::Int(1)].into(), &vec![Value::Int(1), Value::Int(1)].into(), false);
        let nan = Value::from(vec![Value::Double(f64::NAN)]);
        check(&nan, &nan, false);
        let one = map(&[(Value::Int(1), Value::from("a")), (Value::from("b"), Value::Null)]);
        let two = map(&[(Value::from("b"), Value::Null), (Value::Uint(1), Value::from("a"))]);
        check(&one, &two, true);
        check(&one, &map(&[(Value::Int(1), Value::from("a"))]), false);
        let some = Value::Optional(Some(Value::Int(1).into()));
        check(&some, &some.clone(), true);
        check(&some, &Value::Optional(None), false);
        check(&Value::Type(Type::Int.into()), &Value::Type(Type::Int.into()), true);
        check(&Value::Type(Type::Int.into()), &Value::Type(Type::Uint.into()), false);
    }

    #[test]
    fn deep_nesting_is_refused_and_not_followed() {
        let deep = (0..300).fold(Value::Null, |inner, _| vec![inner].into());
        assert_eq!(deep.equals(&deep, &mut Budget::default()), Err(EvaluationError::TooLarge));
    }
}
