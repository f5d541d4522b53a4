//! How the tables of the libraries' tests call a function: by its name, with values, whatever overload takes as many.

use crate::cel::{Budget, EvaluationError, Overload, Value};

/// Calls the first overload of that name that takes that many arguments.
#[track_caller]
pub(super) fn call(overloads: &[Overload], function: &str, arguments: &[Value]) -> Result<Value, EvaluationError> {
    call_within(overloads, function, arguments, &mut Budget::default())
}

/// The same with a budget of one's own.
#[track_caller]
pub(super) fn call_within(
    overloads: &[Overload],
    function: &str,
    arguments: &[Value],
    budget: &mut Budget,
) -> Result<Value, EvaluationError> {
    let overload = overloads
        .iter()
        .find(|overload| overload.function == function && overload.parameters.len() == arguments.len())
        .unwrap_or_else(|| panic!("no overload of {function} takes {} arguments", arguments.len()));
    (overload.call)(arguments, budget)
}

/// Holds a call against what kube-apiserver 1.36.3 answers.
#[track_caller]
pub(super) fn check(
    overloads: &[Overload],
    function: &str,
    arguments: &[Value],
    expected: &Result<Value, EvaluationError>,
) {
    let found = call(overloads, function, arguments);
    // By its debug text, which tells 1 from 1.0 and NaN from nothing.
    assert_eq!(format!("{found:?}"), format!("{expected:?}"), "{function} of {arguments:?}");
}

/// A list of texts.
pub(super) fn texts(texts: &[&str]) -> Value {
    texts.iter().map(|text| Value::from(*text)).collect::<Vec<_>>().into()
}

/// A list of integers.
pub(super) fn integers(numbers: &[i64]) -> Value {
    numbers.iter().map(|number| Value::Int(*number)).collect::<Vec<_>>().into()
}

/// A budget that can pay for nothing.
pub(super) fn spent() -> Budget {
    let mut budget = Budget::default();
    budget.spend(crate::cel::budget::COST_LIMIT).expect("exactly what there is");
    budget
}
