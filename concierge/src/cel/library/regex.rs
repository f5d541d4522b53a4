//! Kubernetes' library of regular expressions: what is found, not only whether.

use crate::cel::{
    Budget,
    EvaluationError::{self, NoSuchOverload},
    Overload, Pattern, Type, Value,
};

pub(super) fn overloads() -> Vec<Overload> {
    let text = || Type::String;
    let texts = || Type::list(Type::String);
    vec![
        Overload::member("find", [text(), text()], text(), find),
        Overload::member("findAll", [text(), text()], texts(), find_all),
        Overload::member("findAll", [text(), text(), Type::Int], texts(), find_all),
    ]
}

/// The first part of a text that fits a pattern, the empty text if none does.
fn find(arguments: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let [Value::String(text), Value::String(pattern)] = arguments else {
        return Err(NoSuchOverload("find"));
    };
    let pattern = Pattern::paid(pattern, budget)?;
    let found = pattern.search(text, budget)?.find(text).map_or("", |found| found.as_str());
    budget.build(found.len())?;
    Ok(found.into())
}

/// The parts that fit, none overlapping another, at most as many as is said; a negative number says nothing.
fn find_all(arguments: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let (text, pattern, most) = match arguments {
        [Value::String(text), Value::String(pattern)] => (text, pattern, usize::MAX),
        [Value::String(text), Value::String(pattern), Value::Int(most)] => {
            (text, pattern, usize::try_from(*most).unwrap_or(usize::MAX))
        }
        _ => return Err(NoSuchOverload("findAll")),
    };
    let pattern = Pattern::paid(pattern, budget)?;
    let mut found = Vec::new();
    for part in pattern.search(text, budget)?.find_iter(text).take(most) {
        // A part may be empty, so that there are as many as characters and one more.
        budget.build_elements(1)?;
        budget.build(part.len())?;
        found.push(part.as_str().into());
        // Whether there is a next part may need a look at all that follows, each time.
        budget.scan(text.len() - part.end())?;
    }
    Ok(found.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cel::library::examples::{call, check, texts};

    #[test]
    fn the_first_part_is_found() {
        for (text, pattern, found) in
            [("abc 123 45", "[0-9]+", "123"), ("abc", "[0-9]+", ""), ("", "a*", ""), ("abc", "a|ab|abc", "a")]
        {
            check(&overloads(), "find", &[text.into(), pattern.into()], &Ok(found.into()));
        }
    }

    #[test]
    fn all_parts_are_found() {
        for (text, pattern, found) in [
            ("abc 123 def 456", "[0-9]+", &["123", "456"][..]),
            ("abc", "[0-9]+", &[]),
            ("abab", "(a)(b)", &["ab", "ab"]),
            ("abc", "", &["", "", "", ""]),
            ("éa", "", &["", "", ""]),
            ("", "", &[""]),
            // An empty part that touches the part before it does not count, as in Go.
            ("baaac", "a*", &["", "aaa", ""]),
            ("a,b", "[^,]*", &["a", "b"]),
        ] {
            check(&overloads(), "findAll", &[text.into(), pattern.into()], &Ok(texts(found)));
        }
        for (most, found) in [(1, &["1"][..]), (0, &[]), (-1, &["1", "2"]), (9, &["1", "2"])] {
            check(&overloads(), "findAll", &["1 2".into(), "[0-9]".into(), most.into()], &Ok(texts(found)));
        }
    }

    #[test]
    fn bad_patterns_and_values_are_refused() {
        let unreadable = Err(EvaluationError::Unreadable("regular expression"));
        for function in ["find", "findAll"] {
            check(&overloads(), function, &["abc".into(), "(".into()], &unreadable);
            check(&overloads(), function, &["abc".into(), 1.into()], &Err(NoSuchOverload(function)));
        }
    }

    #[test]
    fn many_parts_are_not_built_that_cannot_be_paid() {
        // Each part is small, but finding each may need a look at all that follows.
        let found = call(&overloads(), "findAll", &["a".repeat(100_000).into(), "a".into()]);
        assert_eq!(found.unwrap_err(), EvaluationError::TooCostly);
        let found = call(&overloads(), "find", &["a".repeat(100_000).into(), "(ab|c)*".repeat(100).into()]);
        assert_eq!(found.unwrap_err(), EvaluationError::TooCostly);
    }
}
