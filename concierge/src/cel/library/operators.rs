//! Operators: arithmetic here; the others are declared for the checker, and the evaluator does them itself.

use crate::cel::{Budget, EvaluationError, Overload, Type, Value};

/// All of them.
pub(super) fn overloads() -> Vec<Overload> {
    [arithmetic(), relations(), access()].concat()
}

fn arithmetic() -> Vec<Overload> {
    let list = || Type::list(Type::Parameter('A'));
    let mut all = vec![
        Overload::global("_+_", [Type::String, Type::String], Type::String, join_texts),
        Overload::global("_+_", [Type::Bytes, Type::Bytes], Type::Bytes, join_bytes),
        Overload::global("_+_", [list(), list()], list(), join_lists),
        Overload::global("-_", [Type::Int], Type::Int, negate),
        Overload::global("-_", [Type::Double], Type::Double, negate),
        Overload::global("_%_", [Type::Int, Type::Int], Type::Int, remainder),
        Overload::global("_%_", [Type::Uint, Type::Uint], Type::Uint, remainder),
    ];
    for kind in [Type::Int, Type::Uint, Type::Double] {
        for (function, call) in
            [("_+_", add as crate::cel::Call), ("_-_", subtract), ("_*_", multiply), ("_/_", divide)]
        {
            all.push(Overload::global(function, [kind.clone(), kind.clone()], kind.clone(), call));
        }
    }
    all
}

fn relations() -> Vec<Overload> {
    let any = || Type::Parameter('A');
    let mut all = vec![
        Overload::global("_==_", [any(), any()], Type::Bool, by_evaluator),
        Overload::global("_!=_", [any(), any()], Type::Bool, by_evaluator),
        Overload::global("!_", [Type::Bool], Type::Bool, by_evaluator),
    ];
    let numbers = [Type::Int, Type::Uint, Type::Double];
    let others = [Type::Bool, Type::String, Type::Bytes, Type::Timestamp, Type::Duration];
    for function in ["_<_", "_<=_", "_>_", "_>=_"] {
        for left in &numbers {
            for right in &numbers {
                all.push(Overload::global(function, [left.clone(), right.clone()], Type::Bool, by_evaluator));
            }
        }
        for kind in &others {
            all.push(Overload::global(function, [kind.clone(), kind.clone()], Type::Bool, by_evaluator));
        }
    }
    all
}

fn access() -> Vec<Overload> {
    let (key, value) = (|| Type::Parameter('A'), || Type::Parameter('B'));
    let (list, map) = (|| Type::list(Type::Parameter('A')), || Type::map(Type::Parameter('A'), Type::Parameter('B')));
    let mut all = vec![
        Overload::global("@in", [key(), list()], Type::Bool, by_evaluator),
        Overload::global("@in", [key(), map()], Type::Bool, by_evaluator),
        Overload::global("_[_]", [list(), Type::Int], key(), by_evaluator),
        Overload::global("_[_]", [map(), key()], value(), by_evaluator),
        Overload::global("_[?_]", [list(), Type::Int], Type::optional(key()), by_evaluator),
        Overload::global("_[?_]", [map(), key()], Type::optional(value()), by_evaluator),
    ];
    // What an optional holds is indexed too, and gives an optional.
    for function in ["_[_]", "_[?_]"] {
        let of_list = [Type::optional(list()), Type::Int];
        let of_map = [Type::optional(map()), key()];
        all.push(Overload::global(function, of_list, Type::optional(key()), by_evaluator));
        all.push(Overload::global(function, of_map, Type::optional(value()), by_evaluator));
    }
    all
}

/// Stands in declarations of what [`crate::cel::Expression::evaluate`] does without a call.
fn by_evaluator(_: &[Value], _: &mut Budget) -> Result<Value, EvaluationError> {
    Err(EvaluationError::NoSuchOverload("an operator"))
}

fn join_texts(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let [Value::String(left), Value::String(right)] = values else {
        return Err(EvaluationError::NoSuchOverload("`+`"));
    };
    budget.build(left.len() + right.len())?;
    Ok(format!("{left}{right}").into())
}

fn join_bytes(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let [Value::Bytes(left), Value::Bytes(right)] = values else {
        return Err(EvaluationError::NoSuchOverload("`+`"));
    };
    budget.build(left.len() + right.len())?;
    Ok(Value::Bytes([&**left, &**right].concat().into()))
}

fn join_lists(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let [Value::List(left), Value::List(right)] = values else {
        return Err(EvaluationError::NoSuchOverload("`+`"));
    };
    budget.build_elements(left.len() + right.len())?;
    Ok([&**left, &**right].concat().into())
}

fn negate(values: &[Value], _: &mut Budget) -> Result<Value, EvaluationError> {
    match values {
        [Value::Int(number)] => number.checked_neg().map(Value::Int).ok_or(EvaluationError::Overflow),
        [Value::Double(number)] => Ok(Value::Double(-number)),
        _ => Err(EvaluationError::NoSuchOverload("`-`")),
    }
}

fn add(values: &[Value], _: &mut Budget) -> Result<Value, EvaluationError> {
    calculate(values, i64::checked_add, u64::checked_add, |left, right| left + right)
}

fn subtract(values: &[Value], _: &mut Budget) -> Result<Value, EvaluationError> {
    calculate(values, i64::checked_sub, u64::checked_sub, |left, right| left - right)
}

fn multiply(values: &[Value], _: &mut Budget) -> Result<Value, EvaluationError> {
    calculate(values, i64::checked_mul, u64::checked_mul, |left, right| left * right)
}

fn divide(values: &[Value], _: &mut Budget) -> Result<Value, EvaluationError> {
    refuse_zero(values)?;
    calculate(values, i64::checked_div, u64::checked_div, |left, right| left / right)
}

fn remainder(values: &[Value], _: &mut Budget) -> Result<Value, EvaluationError> {
    refuse_zero(values)?;
    calculate(values, i64::checked_rem, u64::checked_rem, |left, right| left % right)
}

/// Integers are not divided by zero; doubles become infinite.
fn refuse_zero(values: &[Value]) -> Result<(), EvaluationError> {
    match values {
        [_, Value::Int(0) | Value::Uint(0)] => Err(EvaluationError::DivisionByZero),
        _ => Ok(()),
    }
}

fn calculate(
    values: &[Value],
    int: fn(i64, i64) -> Option<i64>,
    uint: fn(u64, u64) -> Option<u64>,
    double: fn(f64, f64) -> f64,
) -> Result<Value, EvaluationError> {
    match values {
        [Value::Int(left), Value::Int(right)] => int(*left, *right).map(Value::Int).ok_or(EvaluationError::Overflow),
        [Value::Uint(left), Value::Uint(right)] => {
            uint(*left, *right).map(Value::Uint).ok_or(EvaluationError::Overflow)
        }
        [Value::Double(left), Value::Double(right)] => Ok(Value::Double(double(*left, *right))),
        _ => Err(EvaluationError::NoSuchOverload("an arithmetic operator")),
    }
}
