//! cel-go's set library: lists taken as sets, their elements equal as CEL's `==` says.

use crate::cel::{
    Budget,
    EvaluationError::{self, NoSuchOverload},
    Overload, Type, Value,
};

pub(super) fn overloads() -> Vec<Overload> {
    let list = || Type::list(Type::Parameter('T'));
    vec![
        Overload::global("sets.contains", [list(), list()], Type::Bool, contains),
        Overload::global("sets.equivalent", [list(), list()], Type::Bool, equivalent),
        Overload::global("sets.intersects", [list(), list()], Type::Bool, intersects),
    ]
}

fn contains(arguments: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let [Value::List(set), Value::List(subset)] = arguments else {
        return Err(NoSuchOverload("sets.contains"));
    };
    Ok(holds_all(set, subset, budget)?.into())
}

fn equivalent(arguments: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let [Value::List(left), Value::List(right)] = arguments else {
        return Err(NoSuchOverload("sets.equivalent"));
    };
    Ok((holds_all(left, right, budget)? && holds_all(right, left, budget)?).into())
}

fn intersects(arguments: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let [Value::List(left), Value::List(right)] = arguments else {
        return Err(NoSuchOverload("sets.intersects"));
    };
    for element in left.iter() {
        if holds(right, element, budget)? {
            return Ok(true.into());
        }
    }
    Ok(false.into())
}

fn holds_all(set: &[Value], subset: &[Value], budget: &mut Budget) -> Result<bool, EvaluationError> {
    for element in subset {
        if !holds(set, element, budget)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether an element is in a set. Each comparison is paid for before it is made, so two long lists cost their product.
pub(super) fn holds(set: &[Value], element: &Value, budget: &mut Budget) -> Result<bool, EvaluationError> {
    for held in set {
        if held.equals(element, budget)? {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cel::library::examples::{call, check, integers, texts};

    fn holds_that(function: &str, left: &Value, right: &Value) -> bool {
        let found = call(&overloads(), function, &[left.clone(), right.clone()]);
        matches!(found, Ok(Value::Bool(true)))
    }

    #[test]
    fn sets_are_compared_by_cels_equality() {
        let numbers = || vec![Value::Int(1), Value::Int(2), Value::Int(3)].into();
        let same_numbers = || vec![Value::Uint(3), Value::Double(2.0), Value::Int(1)].into();
        let nan = || Value::from(vec![Value::Double(f64::NAN)]);
        let nested = |lists: &[&[i64]]| Value::from(lists.iter().map(|list| integers(list)).collect::<Vec<_>>());
        for (function, left, right, expected) in [
            ("sets.contains", integers(&[]), integers(&[]), true),
            ("sets.contains", integers(&[1]), integers(&[]), true),
            ("sets.contains", integers(&[]), integers(&[1]), false),
            ("sets.contains", numbers(), same_numbers(), true),
            ("sets.contains", texts(&["a", "b"]), texts(&["b", "b"]), true),
            ("sets.contains", texts(&["a"]), texts(&["a", "b"]), false),
            ("sets.contains", texts(&["1"]), integers(&[1]), false),
            ("sets.contains", nan(), nan(), false),
            ("sets.equivalent", integers(&[]), integers(&[]), true),
            ("sets.equivalent", integers(&[1]), integers(&[1, 1]), true),
            ("sets.equivalent", numbers(), same_numbers(), true),
            ("sets.equivalent", integers(&[1, 2]), integers(&[1]), false),
            ("sets.equivalent", integers(&[1]), integers(&[1, 2]), false),
            ("sets.intersects", integers(&[1]), integers(&[]), false),
            ("sets.intersects", integers(&[]), integers(&[1]), false),
            ("sets.intersects", integers(&[1]), integers(&[2, 1]), true),
            ("sets.intersects", nested(&[&[1], &[2, 3]]), nested(&[&[1, 2], &[2, 3]]), true),
            ("sets.intersects", nested(&[&[1]]), nested(&[&[1, 2]]), false),
        ] {
            check(&overloads(), function, &[left, right], &Ok(expected.into()));
        }
    }

    #[test]
    fn what_is_no_list_is_no_set() {
        for function in ["sets.contains", "sets.equivalent", "sets.intersects"] {
            let found = call(&overloads(), function, &["a".into(), texts(&["a"])]);
            assert!(matches!(found, Err(NoSuchOverload(named)) if named == function), "{found:?}");
        }
    }

    #[test]
    fn two_long_lists_are_too_costly() {
        let left = integers(&(0..2000).collect::<Vec<_>>());
        let right = integers(&(2000..4000).collect::<Vec<_>>());
        let found = call(&overloads(), "sets.intersects", &[left, right]);
        assert_eq!(found.unwrap_err(), EvaluationError::TooCostly);
    }

    proptest! {
        #[test]
        fn the_laws_of_sets_hold(left in prop::collection::vec(0..6_i64, 0..6), right in prop::collection::vec(0..6_i64, 0..6)) {
            let (left, right) = (integers(&left), integers(&right));
            let contains = holds_that("sets.contains", &left, &right);
            let contained = holds_that("sets.contains", &right, &left);
            prop_assert_eq!(holds_that("sets.equivalent", &left, &right), contains && contained);
            prop_assert!(holds_that("sets.equivalent", &left, &left));
            let intersects = holds_that("sets.intersects", &left, &right);
            prop_assert_eq!(intersects, holds_that("sets.intersects", &right, &left));
            let empty = right.as_list().unwrap().is_empty();
            prop_assert!(!contains || empty || intersects, "a subset that is not empty meets its set");
        }
    }
}
