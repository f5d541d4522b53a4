//! Quantities (Kubernetes' `kubernetes.Quantity`): amounts with units, computed exactly.

use std::{borrow::Cow, cmp::Ordering};

use crate::cel::{Budget, EvaluationError, Opaque, Overload, Type, Value, quantity::Quantity};

const QUANTITY: Type = Type::Opaque("kubernetes.Quantity");

const WRONG_TYPE: EvaluationError = EvaluationError::NoSuchOverload("a function of quantities");
const NO_INTEGER: EvaluationError = EvaluationError::BadArgument("the quantity is no integer of 64 bits");

pub(super) fn overloads() -> Vec<Overload> {
    vec![
        Overload::global("quantity", [Type::String], QUANTITY, quantity),
        Overload::global("isQuantity", [Type::String], Type::Bool, is_quantity),
        // Not a member, unlike all others: so it is in Kubernetes.
        Overload::global("sign", [QUANTITY], Type::Int, sign),
        Overload::member("isInteger", [QUANTITY], Type::Bool, is_integer),
        Overload::member("asInteger", [QUANTITY], Type::Int, as_integer),
        Overload::member("asApproximateFloat", [QUANTITY], Type::Double, as_approximate_float),
        Overload::member("add", [QUANTITY, QUANTITY], QUANTITY, add),
        Overload::member("add", [QUANTITY, Type::Int], QUANTITY, add),
        Overload::member("sub", [QUANTITY, QUANTITY], QUANTITY, sub),
        Overload::member("sub", [QUANTITY, Type::Int], QUANTITY, sub),
        Overload::member("isLessThan", [QUANTITY, QUANTITY], Type::Bool, |v, b| Ok(order(v, b)?.is_lt().into())),
        Overload::member("isGreaterThan", [QUANTITY, QUANTITY], Type::Bool, |v, b| Ok(order(v, b)?.is_gt().into())),
        Overload::member("compareTo", [QUANTITY, QUANTITY], Type::Int, |v, b| Ok((order(v, b)? as i64).into())),
    ]
}

fn quantity(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let [Value::String(text)] = values else { return Err(WRONG_TYPE) };
    Quantity::parse(text, budget).map(Value::opaque)
}

fn is_quantity(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let [Value::String(text)] = values else { return Err(WRONG_TYPE) };
    match Quantity::parse(text, budget) {
        Ok(_) => Ok(true.into()),
        Err(EvaluationError::Unreadable(_)) => Ok(false.into()),
        Err(unaffordable) => Err(unaffordable),
    }
}

fn sign(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    budget.spend(1)?;
    Ok(receiver(values)?.sign().into())
}

fn is_integer(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    budget.spend(1)?;
    Ok(receiver(values)?.as_integer().is_some().into())
}

fn as_integer(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    budget.spend(1)?;
    receiver(values)?.as_integer().map(Value::Int).ok_or(NO_INTEGER)
}

fn as_approximate_float(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    budget.spend(1)?;
    Ok(Value::Double(receiver(values)?.approximate()))
}

fn add(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let other = operand(values)?;
    receiver(values)?.plus(&other, budget).map(Value::opaque)
}

fn sub(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let other = operand(values)?;
    receiver(values)?.minus(&other, budget).map(Value::opaque)
}

fn order(values: &[Value], budget: &mut Budget) -> Result<Ordering, EvaluationError> {
    let [left, right] = values else { return Err(WRONG_TYPE) };
    let (left, right): (&Quantity, &Quantity) = left.as_opaque().zip(right.as_opaque()).ok_or(WRONG_TYPE)?;
    budget.spend(1)?;
    budget.scan(left.size().max(right.size()))?;
    Ok(left.cmp(right))
}

fn receiver(values: &[Value]) -> Result<&Quantity, EvaluationError> {
    values.first().and_then(Value::as_opaque).ok_or(WRONG_TYPE)
}

/// The second argument: a quantity or an integer.
fn operand(values: &[Value]) -> Result<Cow<'_, Quantity>, EvaluationError> {
    match values {
        [_, Value::Int(number)] => Ok(Cow::Owned(Quantity::from_integer(*number))),
        [_, other] => other.as_opaque().map(Cow::Borrowed).ok_or(WRONG_TYPE),
        _ => Err(WRONG_TYPE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cel::library::tests::call;

    fn of(text: &str) -> Value {
        call("quantity", &[text.into()]).expect("a quantity")
    }

    fn same(left: &Value, right: &Value) -> bool {
        left.equals(right, &mut Budget::default()).expect("an answer")
    }

    #[test]
    fn scalars() {
        for (text, sign, integer, double) in
            [("50k", 1, Some(50_000), 50_000.0), ("-1.5", -1, None, -1.5), ("0", 0, Some(0), 0.0)]
        {
            let value = [of(text)];
            assert_eq!(call("sign", &value).map(|value| value.as_int()), Ok(Some(sign)));
            assert!(matches!(call("isInteger", &value), Ok(Value::Bool(answer)) if answer == integer.is_some()));
            assert_eq!(call("asInteger", &value).map(|value| value.as_int()), integer.map(Some).ok_or(NO_INTEGER));
            let approximate = call("asApproximateFloat", &value);
            assert!(matches!(approximate, Ok(Value::Double(found)) if found.total_cmp(&double).is_eq()), "{text}");
        }
        assert!(matches!(call("isQuantity", &["1.3Gi".into()]), Ok(Value::Bool(true))));
        assert!(matches!(call("isQuantity", &["200K".into()]), Ok(Value::Bool(false))));
        assert!(matches!(call("quantity", &["200K".into()]), Err(EvaluationError::Unreadable("quantity"))));
        let costly = call("isQuantity", &["1".repeat(2000).into()]);
        assert!(matches!(costly, Err(EvaluationError::TooLarge)), "no answer is not the answer no");
    }

    #[test]
    fn sums_of_quantities_and_integers() {
        for (function, right, expected) in [
            ("add", of("20k"), "70k"),
            ("add", Value::Int(20), "50020"),
            ("sub", of("20k"), "30k"),
            ("sub", Value::Int(50_001), "-1"),
            ("sub", Value::Int(i64::MIN), "9223372036854825808"),
        ] {
            let sum = call(function, &[of("50k"), right]).expect("a quantity");
            // In kube-apiserver 1.36 the second comparison fails with "no such overload", because of a pointer.
            assert!(same(&sum, &of(expected)) && same(&of(expected), &sum), "{expected}");
        }
        assert!(!same(&of("1"), &of("2")));
    }

    #[test]
    fn order() {
        for (left, right, expected) in [("200M", "0.2G", 0), ("50M", "50Mi", -1), ("150Mi", "100Mi", 1)] {
            let pair = [of(left), of(right)];
            let answers = ["compareTo", "isLessThan", "isGreaterThan"].map(|function| call(function, &pair));
            let [Ok(Value::Int(order)), Ok(Value::Bool(less)), Ok(Value::Bool(greater))] = answers else {
                panic!("{left} and {right} have no order")
            };
            assert_eq!((order, less, greater), (expected, expected < 0, expected > 0));
        }
    }
}
