//! The standard library's functions: sizes, and what is asked of texts.

use crate::cel::{Budget, EvaluationError, Overload, Pattern, Type, Value};

/// All of them.
pub(super) fn overloads() -> Vec<Overload> {
    let mut all = Vec::new();
    for kind in [
        Type::String,
        Type::Bytes,
        Type::list(Type::Parameter('A')),
        Type::map(Type::Parameter('A'), Type::Parameter('B')),
    ] {
        all.push(Overload::global("size", [kind.clone()], Type::Int, size));
        all.push(Overload::member("size", [kind], Type::Int, size));
    }
    let texts = || [Type::String, Type::String];
    all.extend([
        Overload::member("contains", texts(), Type::Bool, contains),
        Overload::member("endsWith", texts(), Type::Bool, ends_with),
        Overload::member("startsWith", texts(), Type::Bool, starts_with),
        Overload::global("matches", texts(), Type::Bool, matches),
        Overload::member("matches", texts(), Type::Bool, matches),
    ]);
    all
}

/// Texts are counted in code points.
fn size(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let size = match values {
        [Value::String(text)] => {
            budget.scan(text.len())?;
            text.chars().count()
        }
        [Value::Bytes(bytes)] => bytes.len(),
        [Value::List(list)] => list.len(),
        [Value::Map(map)] => map.len(),
        _ => return Err(EvaluationError::NoSuchOverload("`size`")),
    };
    i64::try_from(size).map(Value::Int).map_err(|_| EvaluationError::Overflow)
}

fn two<'a>(values: &'a [Value], budget: &mut Budget) -> Result<(&'a str, &'a str), EvaluationError> {
    match values {
        [Value::String(text), Value::String(part)] => {
            budget.scan(text.len() + part.len())?;
            Ok((text, part))
        }
        _ => Err(EvaluationError::NoSuchOverload("a function of texts")),
    }
}

fn contains(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    two(values, budget).map(|(text, part)| Value::Bool(text.contains(part)))
}

fn ends_with(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    two(values, budget).map(|(text, part)| Value::Bool(text.ends_with(part)))
}

fn starts_with(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    two(values, budget).map(|(text, part)| Value::Bool(text.starts_with(part)))
}

/// A pattern that is known only now; constant ones are compiled with the expression.
fn matches(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let (text, pattern) = two(values, budget)?;
    let pattern = Pattern::paid(pattern, budget)?;
    Ok(Value::Bool(pattern.search(text, budget)?.is_match(text)))
}
