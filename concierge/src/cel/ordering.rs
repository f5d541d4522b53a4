//! Which of two values is the less: numbers by their value whatever their type, others only within their type.
//!
//! An integer is compared with a double as its nearest double, as cel-go does it: a claim's number was rounded to one when
//! it was read, so an identifier of more than 53 bits must be rounded on the other side too, to be equal.

use std::cmp::Ordering;

use super::{Budget, EvaluationError, Value};

impl Value {
    /// How both stand to one another; `None` when they have no order because one is NaN, so that each of `<`, `<=`, `>`
    /// and `>=` is false. Pays for the text that is compared.
    ///
    /// # Errors
    /// [`EvaluationError::NoSuchOverload`] for types without an order or two that cannot be compared; the budget's.
    pub fn compare(&self, other: &Self, budget: &mut Budget) -> Result<Option<Ordering>, EvaluationError> {
        budget.spend(1)?;
        Ok(match (self, other) {
            (Self::Bool(left), Self::Bool(right)) => Some(left.cmp(right)),
            // By bytes, which for UTF-8 is by code points, as in Go.
            (Self::String(left), Self::String(right)) => {
                budget.scan(left.len().min(right.len()))?;
                Some(left.cmp(right))
            }
            (Self::Bytes(left), Self::Bytes(right)) => {
                budget.scan(left.len().min(right.len()))?;
                Some(left.cmp(right))
            }
            (Self::Duration(left), Self::Duration(right)) => Some(left.cmp(right)),
            (Self::Timestamp(left), Self::Timestamp(right)) => Some(left.cmp(right)),
            _ => compare_numbers(self, other).ok_or(EvaluationError::NoSuchOverload("a comparison"))?,
        })
    }
}

/// The order of two numbers of any types. The outer `None`: not numbers.
#[expect(clippy::option_option, reason = "not numbers, and not ordered, are two things")]
pub(super) fn compare_numbers(left: &Value, right: &Value) -> Option<Option<Ordering>> {
    Some(match (left, right) {
        (Value::Double(left), Value::Double(right)) => left.partial_cmp(right),
        (Value::Double(left), _) => left.partial_cmp(&nearest(integer(right)?)),
        (_, Value::Double(right)) => nearest(integer(left)?).partial_cmp(right),
        _ => Some(integer(left)?.cmp(&integer(right)?)),
    })
}

fn integer(value: &Value) -> Option<i128> {
    match value {
        Value::Int(number) => Some(i128::from(*number)),
        Value::Uint(number) => Some(i128::from(*number)),
        _ => None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "rounding to the nearest is what is meant")]
const fn nearest(integer: i128) -> f64 {
    integer as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(left: &Value, right: &Value, expected: Option<Ordering>) {
        assert_eq!(left.compare(right, &mut Budget::default()), Ok(expected), "{left:?} against {right:?}");
        assert_eq!(right.compare(left, &mut Budget::default()), Ok(expected.map(Ordering::reverse)));
    }

    #[test]
    fn numbers_of_all_types_have_one_order() {
        check(&Value::Int(1), &Value::Double(1.5), Some(Ordering::Less));
        check(&Value::Int(-1), &Value::Double(-1.5), Some(Ordering::Greater));
        check(&Value::Int(-1), &Value::Uint(0), Some(Ordering::Less));
        check(&Value::Uint(u64::MAX), &Value::Int(i64::MAX), Some(Ordering::Greater));
        check(&Value::Uint(u64::MAX), &Value::Double(f64::INFINITY), Some(Ordering::Less));
        check(&Value::Int(i64::MIN), &Value::Double(f64::NEG_INFINITY), Some(Ordering::Greater));
        check(&Value::Int(0), &Value::Double(-0.0), Some(Ordering::Equal));
        check(&Value::Int(9_007_199_254_740_993), &Value::Double(9_007_199_254_740_992.0), Some(Ordering::Equal));
        check(&Value::Int(i64::MAX), &Value::Double(9_223_372_036_854_775_808.0), Some(Ordering::Equal));
        check(&Value::Int(1), &Value::Double(f64::NAN), None);
    }

    #[test]
    fn texts_and_truth_have_an_order() {
        check(&Value::from("a"), &Value::from("b"), Some(Ordering::Less));
        check(&Value::from("é"), &Value::from("z"), Some(Ordering::Greater));
        check(&Value::Bool(false), &Value::Bool(true), Some(Ordering::Less));
        check(&Value::Bytes([1].into()), &Value::Bytes([1, 0].into()), Some(Ordering::Less));
        check(&Value::Duration(-1), &Value::Duration(1), Some(Ordering::Less));
    }

    #[test]
    fn other_pairs_have_none() {
        let refused = Err(EvaluationError::NoSuchOverload("a comparison"));
        for (left, right) in [
            (Value::from("1"), Value::Int(1)),
            (Value::Null, Value::Null),
            (vec![].into(), vec![].into()),
            (Value::Bool(true), Value::Double(1.0)),
        ] {
            assert_eq!(left.compare(&right, &mut Budget::default()), refused);
        }
    }
}
