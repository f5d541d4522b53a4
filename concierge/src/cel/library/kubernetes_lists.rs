//! Kubernetes' list library, version 0: order, sum, least, greatest and position of elements.

use std::cmp::Ordering;

use super::lists::ORDERED;
use crate::cel::{
    Budget,
    EvaluationError::{self, BadArgument, NoSuchOverload, Overflow},
    Overload, Type, Value,
};

pub(super) fn overloads() -> Vec<Overload> {
    let element = || Type::Parameter('A');
    let mut overloads = vec![
        Overload::member("indexOf", [Type::list(element()), element()], Type::Int, index_of),
        Overload::member("lastIndexOf", [Type::list(element()), element()], Type::Int, last_index_of),
        Overload::member("sum", [Type::list(Type::Int)], Type::Int, |list, budget| sum(list, Value::Int(0), budget)),
        Overload::member("sum", [Type::list(Type::Uint)], Type::Uint, |list, budget| sum(list, Value::Uint(0), budget)),
        Overload::member("sum", [Type::list(Type::Double)], Type::Double, |list, budget| {
            sum(list, Value::Double(0.0), budget)
        }),
        Overload::member("sum", [Type::list(Type::Duration)], Type::Duration, |list, budget| {
            sum(list, Value::Duration(0), budget)
        }),
    ];
    for of in ORDERED {
        overloads.push(Overload::member("isSorted", [Type::list(of.clone())], Type::Bool, is_sorted));
        overloads.push(Overload::member("max", [Type::list(of.clone())], of.clone(), max));
        overloads.push(Overload::member("min", [Type::list(of.clone())], of, min));
    }
    overloads
}

fn index_of(arguments: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let [Value::List(list), wanted] = arguments else {
        return Err(NoSuchOverload("indexOf"));
    };
    position(list.iter().enumerate(), wanted, budget)
}

fn last_index_of(arguments: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let [Value::List(list), wanted] = arguments else {
        return Err(NoSuchOverload("lastIndexOf"));
    };
    position(list.iter().enumerate().rev(), wanted, budget)
}

fn position<'a>(
    elements: impl Iterator<Item = (usize, &'a Value)>,
    wanted: &Value,
    budget: &mut Budget,
) -> Result<Value, EvaluationError> {
    for (index, element) in elements {
        if element.equals(wanted, budget)? {
            return i64::try_from(index).map(Value::Int).map_err(|_| Overflow);
        }
    }
    Ok(Value::Int(-1))
}

/// The sum of the elements, `zero` of none. The first element decides what is summed, as when kube-apiserver chooses the
/// overload of a dynamic list.
fn sum(arguments: &[Value], zero: Value, budget: &mut Budget) -> Result<Value, EvaluationError> {
    let [Value::List(list)] = arguments else {
        return Err(NoSuchOverload("sum"));
    };
    budget.spend(list.len() as u64)?;
    let mut elements = list.iter();
    // A null or a text cannot be summed even alone.
    let first = match elements.next() {
        None => return Ok(zero),
        Some(first @ (Value::Int(_) | Value::Uint(_) | Value::Double(_) | Value::Duration(_))) => first.clone(),
        Some(_) => return Err(NoSuchOverload("sum")),
    };
    elements.try_fold(first, |sum, element| match (sum, element) {
        (Value::Int(sum), Value::Int(number)) => sum.checked_add(*number).map(Value::Int).ok_or(Overflow),
        (Value::Uint(sum), Value::Uint(number)) => sum.checked_add(*number).map(Value::Uint).ok_or(Overflow),
        (Value::Double(sum), Value::Double(number)) => Ok(Value::Double(sum + number)),
        (Value::Duration(sum), Value::Duration(span)) => sum.checked_add(*span).map(Value::Duration).ok_or(Overflow),
        _ => Err(NoSuchOverload("sum")),
    })
}

/// How two elements stand to one another; `None` where they cannot be compared, which kube-apiserver takes for "neither
/// less nor greater" in a dynamic list.
fn order(left: &Value, right: &Value, budget: &mut Budget) -> Result<Option<Ordering>, EvaluationError> {
    match left.compare(right, budget) {
        Err(NoSuchOverload(_)) => Ok(None),
        compared => compared,
    }
}

fn is_sorted(arguments: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let list = comparable("isSorted", arguments, budget)?;
    for pair in list.windows(2) {
        if order(&pair[0], &pair[1], budget)? == Some(Ordering::Greater) {
            return Ok(false.into());
        }
    }
    Ok(true.into())
}

fn max(arguments: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    preferred(comparable("max", arguments, budget)?, Ordering::Less, budget)
}

fn min(arguments: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    preferred(comparable("min", arguments, budget)?, Ordering::Greater, budget)
}

/// The first element to which no later one is preferred.
fn preferred(list: &[Value], replaced_when: Ordering, budget: &mut Budget) -> Result<Value, EvaluationError> {
    let (mut best, others) =
        list.split_first().ok_or(BadArgument("an empty list has neither a least nor a greatest element"))?;
    for other in others {
        if order(best, other, budget)? == Some(replaced_when) {
            best = other;
        }
    }
    Ok(best.clone())
}

/// The list, if each element is of a type that has an order.
fn comparable<'a>(
    function: &'static str,
    arguments: &'a [Value],
    budget: &mut Budget,
) -> Result<&'a [Value], EvaluationError> {
    let [Value::List(list)] = arguments else {
        return Err(NoSuchOverload(function));
    };
    budget.spend(list.len() as u64)?;
    if list.iter().all(super::lists::is_ordered) { Ok(list) } else { Err(NoSuchOverload(function)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cel::library::examples::{call, call_within, check, integers, spent, texts};

    #[track_caller]
    fn gives(function: &str, arguments: &[Value], expected: impl Into<Value>) {
        check(&overloads(), function, arguments, &Ok(expected.into()));
    }

    #[track_caller]
    fn fails(function: &str, arguments: &[Value], expected: EvaluationError) {
        check(&overloads(), function, arguments, &Err(expected));
    }

    fn doubles(numbers: &[f64]) -> Value {
        numbers.iter().map(|number| Value::Double(*number)).collect::<Vec<_>>().into()
    }

    fn list(elements: impl Into<Vec<Value>>) -> Value {
        elements.into().into()
    }

    #[test]
    fn elements_are_found_by_equality() {
        for (wanted, first, last) in [(Value::Int(2), 1, 3), (Value::Double(2.0), 1, 3), (Value::Int(4), -1, -1)] {
            gives("indexOf", &[integers(&[1, 2, 3, 2]), wanted.clone()], first);
            gives("lastIndexOf", &[integers(&[1, 2, 3, 2]), wanted], last);
        }
        gives("indexOf", &[list([]), 1.into()], -1);
        gives("indexOf", &[list([integers(&[1])]), integers(&[1])], 0);
        gives("lastIndexOf", &[doubles(&[f64::NAN]), Value::Double(f64::NAN)], -1);
        fails("indexOf", &["a".into(), 1.into()], NoSuchOverload("indexOf"));
        fails("lastIndexOf", &["a".into(), 1.into()], NoSuchOverload("lastIndexOf"));
    }

    #[test]
    fn numbers_and_durations_are_summed() {
        gives("sum", &[integers(&[1, 2])], 3);
        gives("sum", &[list([])], 0);
        gives("sum", &[doubles(&[1.5, 2.5])], Value::Double(4.0));
        gives("sum", &[list([Value::Uint(1), Value::Uint(2)])], Value::Uint(3));
        gives("sum", &[list([Value::Duration(1), Value::Duration(-3)])], Value::Duration(-2));
        fails("sum", &[integers(&[i64::MAX, 1])], Overflow);
        fails("sum", &[list([Value::Uint(u64::MAX), Value::Uint(1)])], Overflow);
        fails("sum", &[list([Value::Duration(i64::MIN), Value::Duration(-1)])], Overflow);
        fails("sum", &[list([1.into(), Value::Double(1.0)])], NoSuchOverload("sum"));
        fails("sum", &[texts(&["a"])], NoSuchOverload("sum"));
        fails("sum", &["a".into()], NoSuchOverload("sum"));
    }

    #[test]
    fn no_elements_sum_to_the_zero_of_their_type() {
        for (of, zero) in [
            (Type::Int, Value::Int(0)),
            (Type::Uint, Value::Uint(0)),
            (Type::Double, Value::Double(0.0)),
            (Type::Duration, Value::Duration(0)),
        ] {
            let mut overloads = overloads();
            overloads.retain(|overload| overload.function == "sum" && overload.result == of);
            check(&overloads, "sum", &[list([])], &Ok(zero));
        }
    }

    #[test]
    fn order_is_seen() {
        gives("isSorted", &[integers(&[1, 1, 2])], true);
        gives("isSorted", &[integers(&[1, 3, 2])], false);
        gives("isSorted", &[list([])], true);
        gives("isSorted", &[texts(&["a", "é"])], true);
        gives("isSorted", &[doubles(&[1.0, f64::NAN, 0.5])], true);
        gives("isSorted", &[list([false.into(), true.into()])], true);
        gives("isSorted", &[list(["b".into(), 1.into(), "a".into()])], true);
        fails("isSorted", &[list([Value::Null])], NoSuchOverload("isSorted"));
    }

    #[test]
    fn the_least_and_the_greatest_are_found() {
        gives("max", &[integers(&[2, 3, 1])], 3);
        gives("min", &[integers(&[2, 3, 1])], 1);
        gives("max", &[list([true.into(), false.into()])], true);
        gives("max", &[texts(&["a", "c", "b"])], "c");
        gives("max", &[doubles(&[f64::NAN, 1.0])], Value::Double(f64::NAN));
        gives("max", &[doubles(&[1.0, f64::NAN])], Value::Double(1.0));
        gives("max", &[list(["b".into(), "a".into(), Value::Double(1.0)])], "b");
        gives("min", &[list([Value::Double(3.5), 2.into(), Value::Uint(7)])], 2);
        let empty = BadArgument("an empty list has neither a least nor a greatest element");
        for function in ["max", "min"] {
            fails(function, &[list([])], empty.clone());
            fails(function, &["abc".into()], NoSuchOverload(function));
        }
        fails("max", &[list([Value::Null])], NoSuchOverload("max"));
        fails("min", &[list([1.into(), list([])])], NoSuchOverload("min"));
    }

    #[test]
    fn everything_is_paid_for() {
        for overload in overloads() {
            let arguments = [integers(&[1]), 1.into()];
            let arguments = &arguments[..overload.parameters.len()];
            let overloads = std::slice::from_ref(&overload);
            let found = call_within(overloads, overload.function, arguments, &mut spent());
            assert_eq!(found.unwrap_err(), EvaluationError::TooCostly, "{}", overload.function);
        }
    }

    proptest! {
        #[test]
        fn the_least_is_the_first_of_the_sorted(numbers in prop::collection::vec(-9..9_i64, 1..20)) {
            let sorted = call(&crate::cel::library::lists::overloads(), "sort", &[integers(&numbers)]).unwrap();
            let of = |function| call(&overloads(), function, &[integers(&numbers)]).unwrap().as_int();
            let ends = sorted.as_list().unwrap();
            prop_assert_eq!(of("min"), ends[0].as_int());
            prop_assert_eq!(of("max"), ends[ends.len() - 1].as_int());
            prop_assert!(matches!(call(&overloads(), "isSorted", &[sorted]), Ok(Value::Bool(true))));
        }
    }
}
