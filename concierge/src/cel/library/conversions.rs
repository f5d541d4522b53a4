//! Conversions between the basic types, as Go's strconv reads and writes them. Those of times are with the times.

use crate::cel::{
    Budget, Call, EvaluationError, Overload, Type, Value,
    number::{format_double, parse_double},
};

/// 2^63 and 2^64: the first doubles that an int and a uint cannot hold.
const INT_END: f64 = 9_223_372_036_854_775_808.0;
const UINT_END: f64 = 18_446_744_073_709_551_616.0;

/// All of them.
pub(super) fn overloads() -> Vec<Overload> {
    let mut all = vec![
        Overload::global("dyn", [Type::Parameter('A')], Type::Dyn, same),
        Overload::global("type", [Type::Parameter('A')], Type::Type(Box::new(Type::Parameter('A'))), type_of),
    ];
    let conversions: [(&'static str, Type, Call, &[Type]); 6] = [
        ("bool", Type::Bool, bool, &[Type::Bool, Type::String]),
        ("bytes", Type::Bytes, bytes, &[Type::Bytes, Type::String]),
        ("double", Type::Double, double, &[Type::Double, Type::Int, Type::Uint, Type::String]),
        ("int", Type::Int, int, &[Type::Int, Type::Double, Type::Uint, Type::String]),
        ("string", Type::String, string, &[Type::String, Type::Bool, Type::Bytes, Type::Double, Type::Int, Type::Uint]),
        ("uint", Type::Uint, uint, &[Type::Uint, Type::Double, Type::Int, Type::String]),
    ];
    for (function, result, call, sources) in conversions {
        let each = sources.iter().map(|source| Overload::global(function, [source.clone()], result.clone(), call));
        all.extend(each);
    }
    all
}

fn one(values: &[Value]) -> Result<&Value, EvaluationError> {
    values.first().ok_or(EvaluationError::NoSuchOverload("a conversion"))
}

fn same(values: &[Value], _: &mut Budget) -> Result<Value, EvaluationError> {
    one(values).cloned()
}

fn type_of(values: &[Value], _: &mut Budget) -> Result<Value, EvaluationError> {
    Ok(Value::Type(one(values)?.type_of().into()))
}

fn bool(values: &[Value], _: &mut Budget) -> Result<Value, EvaluationError> {
    match one(values)? {
        Value::Bool(value) => Ok(Value::Bool(*value)),
        Value::String(text) => match &**text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
            _ => Err(EvaluationError::Unreadable("bool")),
        },
        _ => Err(EvaluationError::NoSuchOverload("`bool`")),
    }
}

fn bytes(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    match one(values)? {
        Value::Bytes(bytes) => Ok(Value::Bytes(bytes.clone())),
        Value::String(text) => {
            budget.build(text.len())?;
            Ok(Value::Bytes(text.as_bytes().into()))
        }
        _ => Err(EvaluationError::NoSuchOverload("`bytes`")),
    }
}

#[expect(clippy::cast_precision_loss, reason = "the nearest double is what CEL gives")]
fn double(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    Ok(Value::Double(match one(values)? {
        Value::Double(number) => *number,
        Value::Int(number) => *number as f64,
        Value::Uint(number) => *number as f64,
        Value::String(text) => {
            budget.scan(text.len())?;
            parse_double(text).ok_or(EvaluationError::Unreadable("double"))?
        }
        _ => return Err(EvaluationError::NoSuchOverload("`double`")),
    }))
}

fn int(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    Ok(Value::Int(match one(values)? {
        Value::Int(number) => *number,
        Value::Uint(number) => i64::try_from(*number).map_err(|_| EvaluationError::Overflow)?,
        // The least int itself is refused too, as in cel-go. NaN is in no range.
        #[expect(clippy::cast_possible_truncation, reason = "the range is checked before")]
        Value::Double(number) if *number > -INT_END && *number < INT_END => *number as i64,
        Value::Double(_) => return Err(EvaluationError::Overflow),
        Value::String(text) => {
            budget.scan(text.len())?;
            text.parse().map_err(|_| EvaluationError::Unreadable("int"))?
        }
        _ => return Err(EvaluationError::NoSuchOverload("`int`")),
    }))
}

fn uint(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    Ok(Value::Uint(match one(values)? {
        Value::Uint(number) => *number,
        Value::Int(number) => u64::try_from(*number).map_err(|_| EvaluationError::Overflow)?,
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked before")]
        Value::Double(number) if *number >= 0.0 && *number < UINT_END => *number as u64,
        Value::Double(_) => return Err(EvaluationError::Overflow),
        Value::String(text) => {
            budget.scan(text.len())?;
            let digits = text.starts_with(|first: char| first.is_ascii_digit());
            text.parse().ok().filter(|_| digits).ok_or(EvaluationError::Unreadable("uint"))?
        }
        _ => return Err(EvaluationError::NoSuchOverload("`uint`")),
    }))
}

fn string(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    Ok(match one(values)? {
        Value::String(text) => Value::String(text.clone()),
        Value::Bool(value) => if *value { "true" } else { "false" }.into(),
        Value::Int(number) => number.to_string().into(),
        Value::Uint(number) => number.to_string().into(),
        Value::Double(number) => format_double(*number).into(),
        Value::Bytes(bytes) => {
            budget.build(bytes.len())?;
            std::str::from_utf8(bytes).map_err(|_| EvaluationError::Unreadable("UTF-8 text"))?.into()
        }
        _ => return Err(EvaluationError::NoSuchOverload("`string`")),
    })
}
