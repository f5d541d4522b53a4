//! Optionals: values that may be none. `or` and `orValue` are done by the evaluator, which computes the second only if
//! the first is none.

use crate::cel::{Budget, EvaluationError, Overload, Timestamp, Type, Value};

/// All of them.
pub(super) fn overloads() -> Vec<Overload> {
    let value = || Type::Parameter('V');
    let optional = || Type::optional(Type::Parameter('V'));
    let (list, optionals) = (|| Type::list(Type::Parameter('V')), || Type::list(Type::optional(Type::Parameter('V'))));
    vec![
        Overload::global("optional.of", [value()], optional(), of),
        Overload::global("optional.ofNonZeroValue", [value()], optional(), of_non_zero_value),
        Overload::global("optional.none", [], optional(), none),
        Overload::global("optional.unwrap", [optionals()], list(), unwrap),
        Overload::member("unwrapOpt", [optionals()], list(), unwrap),
        Overload::member("value", [optional()], value(), get),
        Overload::member("hasValue", [optional()], Type::Bool, has_value),
        Overload::member("or", [optional(), optional()], optional(), by_evaluator),
        Overload::member("orValue", [optional(), value()], value(), by_evaluator),
    ]
}

fn by_evaluator(_: &[Value], _: &mut Budget) -> Result<Value, EvaluationError> {
    Err(EvaluationError::NoSuchOverload("`or`"))
}

fn of(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let [value] = values else {
        return Err(EvaluationError::NoSuchOverload("`optional.of`"));
    };
    budget.build_elements(1)?;
    Ok(Value::Optional(Some(value.clone().into())))
}

fn of_non_zero_value(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let [value] = values else {
        return Err(EvaluationError::NoSuchOverload("`optional.ofNonZeroValue`"));
    };
    if is_zero(value) { Ok(Value::Optional(None)) } else { of(values, budget) }
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) | Value::Int(0) | Value::Uint(0) | Value::Duration(0) => true,
        Value::Double(number) => *number == 0.0,
        Value::String(text) => text.is_empty(),
        Value::Bytes(bytes) => bytes.is_empty(),
        Value::List(list) => list.is_empty(),
        Value::Map(map) => map.is_empty(),
        // Go's zero time.
        Value::Timestamp(time) => Some(*time) == Timestamp::parse("0001-01-01T00:00:00Z"),
        _ => false,
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of every function")]
fn none(_: &[Value], _: &mut Budget) -> Result<Value, EvaluationError> {
    Ok(Value::Optional(None))
}

fn get(values: &[Value], _: &mut Budget) -> Result<Value, EvaluationError> {
    match values {
        [Value::Optional(Some(value))] => Ok(value.as_ref().clone()),
        [Value::Optional(None)] => Err(EvaluationError::NoneValue),
        _ => Err(EvaluationError::NoSuchOverload("`value`")),
    }
}

fn has_value(values: &[Value], _: &mut Budget) -> Result<Value, EvaluationError> {
    match values {
        [Value::Optional(value)] => Ok(Value::Bool(value.is_some())),
        _ => Err(EvaluationError::NoSuchOverload("`hasValue`")),
    }
}

fn unwrap(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let [Value::List(list)] = values else {
        return Err(EvaluationError::NoSuchOverload("`unwrapOpt`"));
    };
    budget.build_elements(list.len())?;
    let mut unwrapped = Vec::with_capacity(list.len());
    for optional in list.iter() {
        match optional {
            Value::Optional(value) => unwrapped.extend(value.as_ref().map(|value| value.as_ref().clone())),
            _ => return Err(EvaluationError::NoSuchOverload("`unwrapOpt`")),
        }
    }
    Ok(unwrapped.into())
}
