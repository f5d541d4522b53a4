//! cel-go's list library, version 3, which kube-apiserver has since 1.34, and `first` and `last` of its optional types.

use std::{cmp::Ordering, sync::Arc};

use super::sets::holds;
use crate::cel::{
    Budget,
    EvaluationError::{self, BadArgument, NoSuchOverload},
    Overload, Type, Value,
};

/// The types whose lists have an order.
pub(super) const ORDERED: [Type; 8] =
    [Type::Int, Type::Uint, Type::Double, Type::Bool, Type::Duration, Type::Timestamp, Type::String, Type::Bytes];

pub(super) fn overloads() -> Vec<Overload> {
    let element = || Type::Parameter('T');
    let list = || Type::list(element());
    let dynamic = || Type::list(Type::Dyn);
    let mut overloads = vec![
        Overload::member("distinct", [list()], list(), distinct),
        Overload::member("first", [list()], Type::optional(element()), first),
        Overload::member("flatten", [Type::list(list())], list(), flatten),
        Overload::member("flatten", [dynamic(), Type::Int], dynamic(), flatten),
        Overload::member("last", [list()], Type::optional(element()), last),
        Overload::global("lists.range", [Type::Int], Type::list(Type::Int), range),
        Overload::member("reverse", [list()], list(), reverse),
        Overload::member("slice", [list(), Type::Int, Type::Int], list(), slice),
    ];
    for key in ORDERED {
        overloads.push(Overload::member("sort", [Type::list(key.clone())], Type::list(key), sort));
    }
    overloads
}

/// Keeps the first of equal elements.
fn distinct(arguments: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let [Value::List(list)] = arguments else {
        return Err(NoSuchOverload("distinct"));
    };
    let mut kept = Vec::new();
    for element in list.iter() {
        if !holds(&kept, element, budget)? {
            budget.build_elements(1)?;
            kept.push(element.clone());
        }
    }
    Ok(kept.into())
}

fn first(arguments: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let [Value::List(list)] = arguments else {
        return Err(NoSuchOverload("first"));
    };
    optional(list.first(), budget)
}

fn last(arguments: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let [Value::List(list)] = arguments else {
        return Err(NoSuchOverload("last"));
    };
    optional(list.last(), budget)
}

fn optional(element: Option<&Value>, budget: &mut Budget) -> Result<Value, EvaluationError> {
    budget.build_elements(1)?;
    Ok(Value::Optional(element.cloned().map(Arc::new)))
}

/// Puts the elements of lists in a list into it, as deep as is asked for.
fn flatten(arguments: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let (list, depth) = match arguments {
        [Value::List(list)] => (list, 1),
        [Value::List(list), Value::Int(depth)] => {
            (list, usize::try_from(*depth).map_err(|_| BadArgument("the depth of flatten must not be negative"))?)
        }
        _ => return Err(NoSuchOverload("flatten")),
    };
    let mut flat = Vec::new();
    // The lists that are walked through, the outermost first: a stack of our own, since claims may be nested deep.
    let mut open = vec![list.iter()];
    while let Some(innermost) = open.last_mut() {
        budget.spend(1)?;
        match innermost.next() {
            None => {
                open.pop();
            }
            Some(Value::List(inner)) if open.len() <= depth => {
                budget.build_elements(1)?;
                open.push(inner.iter());
            }
            Some(element) => {
                budget.build_elements(1)?;
                flat.push(element.clone());
            }
        }
    }
    Ok(flat.into())
}

/// The integers from 0 up to, not including, the argument.
fn range(arguments: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let [Value::Int(end)] = arguments else {
        return Err(NoSuchOverload("lists.range"));
    };
    // A negative end gives an empty list, as in cel-go.
    budget.build_elements(usize::try_from((*end).max(0)).unwrap_or(usize::MAX))?;
    Ok((0..*end).map(Value::Int).collect::<Vec<_>>().into())
}

fn reverse(arguments: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let [Value::List(list)] = arguments else {
        return Err(NoSuchOverload("reverse"));
    };
    budget.build_elements(list.len())?;
    Ok(list.iter().rev().cloned().collect::<Vec<_>>().into())
}

fn slice(arguments: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let [Value::List(list), Value::Int(start), Value::Int(end)] = arguments else {
        return Err(NoSuchOverload("slice"));
    };
    let (Ok(start), Ok(end)) = (usize::try_from(*start), usize::try_from(*end)) else {
        return Err(BadArgument("slice takes no negative index"));
    };
    if start > end {
        return Err(BadArgument("the start of a slice lies behind its end"));
    }
    let part = list.get(start..end).ok_or(BadArgument("the end of a slice lies behind the end of its list"))?;
    budget.build_elements(part.len())?;
    Ok(part.to_vec().into())
}

fn sort(arguments: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let [Value::List(list)] = arguments else {
        return Err(NoSuchOverload("sort"));
    };
    // Keys and elements are moved about in pairs.
    budget.build_elements(2 * list.len())?;
    let mut pairs = list.iter().map(|element| (element.clone(), element.clone())).collect::<Vec<_>>();
    sort_pairs(&mut pairs, budget)?;
    Ok(pairs.into_iter().map(|(_, element)| element).collect::<Vec<_>>().into())
}

/// Brings pairs into the order of the first of each, its key. Pairs with equal keys keep their order. cel-go does that for
/// up to twelve and leaves the order of more to Go's unstable sort; ours is one of the orders that it may give.
///
/// # Errors
/// [`BadArgument`] for keys without an order or of several types; the budget's, before anything is compared.
pub(in crate::cel) fn sort_pairs(pairs: &mut [(Value, Value)], budget: &mut Budget) -> Result<(), EvaluationError> {
    let Some((first, _)) = pairs.first() else {
        return Ok(());
    };
    if !is_ordered(first) {
        return Err(BadArgument("only booleans, numbers, texts, bytes, durations and timestamps can be sorted"));
    }
    if pairs.iter().any(|(key, _)| std::mem::discriminant(key) != std::mem::discriminant(first)) {
        return Err(BadArgument("what is sorted must be of one type"));
    }
    // A merge sort looks at each key once for each time that the list can be halved; twice that is ample.
    let rounds = 2 * (u64::from(pairs.len().ilog2()) + 1);
    let bytes = pairs.iter().map(|(key, _)| size(key)).fold(0, usize::saturating_add);
    budget.spend(rounds.saturating_mul(pairs.len() as u64))?;
    budget.scan(bytes.saturating_mul(usize::try_from(rounds).unwrap_or(usize::MAX)))?;
    pairs.sort_by(|(left, _), (right, _)| order(left, right));
    Ok(())
}

pub(super) const fn is_ordered(value: &Value) -> bool {
    matches!(
        value,
        Value::Bool(_)
            | Value::Bytes(_)
            | Value::Double(_)
            | Value::Duration(_)
            | Value::Int(_)
            | Value::String(_)
            | Value::Timestamp(_)
            | Value::Uint(_)
    )
}

fn size(key: &Value) -> usize {
    match key {
        Value::Bytes(bytes) => bytes.len(),
        Value::String(text) => text.len(),
        _ => 0,
    }
}

/// A total order of keys of one type, which sorting needs: NaN, which has no order, comes last.
fn order(left: &Value, right: &Value) -> Ordering {
    if let (Value::Double(left), Value::Double(right)) = (left, right) {
        return left.partial_cmp(right).unwrap_or_else(|| left.is_nan().cmp(&right.is_nan()));
    }
    // All comparisons are paid for already, and keys of one ordered type always compare.
    left.compare(right, &mut Budget::default()).ok().flatten().unwrap_or(Ordering::Equal)
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

    fn list(elements: impl Into<Vec<Value>>) -> Value {
        elements.into().into()
    }

    #[test]
    fn equal_elements_are_kept_once() {
        gives("distinct", &[integers(&[1, 2, 2, 1])], integers(&[1, 2]));
        let mixed = list([1.into(), Value::Double(1.0), Value::Uint(1), "1".into()]);
        gives("distinct", &[mixed], list([1.into(), "1".into()]));
        let nan = || list([Value::Double(f64::NAN), Value::Double(f64::NAN)]);
        gives("distinct", &[nan()], nan());
        gives("distinct", &[list([])], list([]));
    }

    #[test]
    fn ends_are_optional() {
        let some = |number| Value::Optional(Some(Arc::new(Value::Int(number))));
        gives("first", &[integers(&[1, 2])], some(1));
        gives("last", &[integers(&[1, 2])], some(2));
        gives("first", &[list([])], Value::Optional(None));
        gives("last", &[list([])], Value::Optional(None));
        fails("first", &["abc".into()], NoSuchOverload("first"));
        fails("last", &["abc".into()], NoSuchOverload("last"));
    }

    #[test]
    fn nested_lists_are_flattened() {
        let two_deep = || list([integers(&[1]), integers(&[2, 3])]);
        gives("flatten", &[two_deep()], integers(&[1, 2, 3]));
        gives("flatten", &[two_deep(), 0.into()], two_deep());
        gives("flatten", &[list([two_deep()]), 1.into()], two_deep());
        gives("flatten", &[list([two_deep()]), 5.into()], integers(&[1, 2, 3]));
        gives("flatten", &[list([two_deep()]), i64::MAX.into()], integers(&[1, 2, 3]));
        gives("flatten", &[list([1.into(), integers(&[2, 3])])], integers(&[1, 2, 3]));
        gives("flatten", &[list([integers(&[]), integers(&[1])])], integers(&[1]));
        fails("flatten", &[two_deep(), (-1).into()], BadArgument("the depth of flatten must not be negative"));
        fails("flatten", &["a".into()], NoSuchOverload("flatten"));
        fails("flatten", &[two_deep(), "a".into()], NoSuchOverload("flatten"));
        let deep = (0..10_000).fold(Value::Int(1), |inner, _| list([inner]));
        gives("flatten", &[deep, i64::MAX.into()], integers(&[1]));
    }

    #[test]
    fn ranges_begin_at_zero() {
        gives("lists.range", &[3.into()], integers(&[0, 1, 2]));
        gives("lists.range", &[0.into()], list([]));
        gives("lists.range", &[(-1).into()], list([]));
        gives("lists.range", &[i64::MIN.into()], list([]));
    }

    #[test]
    fn lists_are_turned_round() {
        gives("reverse", &[integers(&[3, 1, 2])], integers(&[2, 1, 3]));
        fails("reverse", &["abc".into()], NoSuchOverload("reverse"));
    }

    #[test]
    fn slices_lie_within_their_list() {
        let slice = |start: i64, end: i64| [integers(&[1, 2, 3]), start.into(), end.into()];
        gives("slice", &slice(1, 2), integers(&[2]));
        gives("slice", &slice(0, 3), integers(&[1, 2, 3]));
        gives("slice", &slice(3, 3), list([]));
        fails("slice", &slice(-1, 2), BadArgument("slice takes no negative index"));
        fails("slice", &slice(0, -1), BadArgument("slice takes no negative index"));
        fails("slice", &slice(2, 1), BadArgument("the start of a slice lies behind its end"));
        fails("slice", &slice(0, 4), BadArgument("the end of a slice lies behind the end of its list"));
        fails("slice", &slice(0, i64::MAX), BadArgument("the end of a slice lies behind the end of its list"));
    }

    #[test]
    fn lists_of_one_ordered_type_are_sorted() {
        gives("sort", &[integers(&[3, 1, 2])], integers(&[1, 2, 3]));
        gives("sort", &[texts(&["b", "é", "a", "B"])], texts(&["B", "a", "b", "é"]));
        gives("sort", &[list([true.into(), false.into()])], list([false.into(), true.into()]));
        gives("sort", &[list([])], list([]));
        let doubles = |numbers: [f64; 3]| list(numbers.map(Value::Double));
        gives("sort", &[doubles([f64::NAN, 1.0, 0.5])], doubles([0.5, 1.0, f64::NAN]));
        let one_type = BadArgument("what is sorted must be of one type");
        fails("sort", &[list([1.into(), "a".into()])], one_type.clone());
        fails("sort", &[list([1.into(), Value::Double(0.5)])], one_type);
        let ordered = BadArgument("only booleans, numbers, texts, bytes, durations and timestamps can be sorted");
        fails("sort", &[list([Value::Null])], ordered.clone());
        fails("sort", &[list([list([])])], ordered);
        fails("sort", &["abc".into()], NoSuchOverload("sort"));
    }

    #[test]
    fn pairs_with_equal_keys_keep_their_order() {
        let mut pairs = [(2, "ab"), (2, "cb"), (2, "bb"), (1, "a")].map(|(key, name)| (Value::Int(key), name.into()));
        assert_eq!(sort_pairs(&mut pairs, &mut Budget::default()), Ok(()));
        let names = pairs.iter().filter_map(|(_, name)| name.as_str()).collect::<Vec<_>>();
        assert_eq!(names, ["a", "ab", "cb", "bb"]);
    }

    #[test]
    fn nothing_is_built_that_cannot_be_paid() {
        for end in [1_000_000_000, i64::MAX] {
            fails("lists.range", &[end.into()], EvaluationError::TooCostly);
        }
        fails("lists.range", &[500_000.into()], EvaluationError::TooLarge);
        let long = integers(&(0..3000).collect::<Vec<_>>());
        fails("distinct", &[long], EvaluationError::TooCostly);
        for overload in overloads() {
            let example = |parameter: &Type| match parameter {
                Type::Int => 1.into(),
                _ => integers(&[1]),
            };
            let arguments = overload.parameters.iter().map(example).collect::<Vec<_>>();
            let overloads = std::slice::from_ref(&overload);
            // An empty slice costs nothing.
            if overload.function != "slice" {
                let found = call_within(overloads, overload.function, &arguments, &mut spent());
                assert_eq!(found.unwrap_err(), EvaluationError::TooCostly, "{}", overload.function);
            }
        }
        let part = call_within(&overloads(), "slice", &[integers(&[1]), 0.into(), 1.into()], &mut spent());
        assert_eq!(part.unwrap_err(), EvaluationError::TooCostly);
    }

    proptest! {
        #[test]
        fn sorting_is_what_a_plain_sort_gives(numbers in prop::collection::vec(-9..9_i64, 0..40)) {
            let mut expected = numbers.clone();
            expected.sort_unstable();
            let found = call(&overloads(), "sort", &[integers(&numbers)]).unwrap();
            prop_assert_eq!(format!("{found:?}"), format!("{:?}", integers(&expected)));
        }

        #[test]
        fn doubles_sort_without_panic(numbers in prop::collection::vec(prop::num::f64::ANY, 0..60)) {
            let values = numbers.iter().map(|number| Value::Double(*number)).collect::<Vec<_>>();
            let found = call(&overloads(), "sort", &[values.into()]).unwrap();
            let found = found.as_list().unwrap().iter().map(|value| match value {
                Value::Double(number) => *number,
                _ => unreachable!("only doubles went in"),
            });
            let ordered = found.filter(|number| !number.is_nan()).collect::<Vec<_>>();
            prop_assert!(ordered.is_sorted());
        }

        #[test]
        fn turning_round_twice_changes_nothing(numbers in prop::collection::vec(0..9_i64, 0..9)) {
            let once = call(&overloads(), "reverse", &[integers(&numbers)]).unwrap();
            let twice = call(&overloads(), "reverse", &[once]).unwrap();
            prop_assert_eq!(format!("{twice:?}"), format!("{:?}", integers(&numbers)));
        }
    }
}
