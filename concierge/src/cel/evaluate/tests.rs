//! That nothing runs away: whatever compiles ends within its budget, with little memory and little stack.

use proptest::prelude::*;

use crate::cel::{EvaluationError, Expression, Map, Scope, Target, Value, Variables};

fn claims() -> Variables {
    let texts = |count: usize| Value::from((0..count).map(|place| format!("group-{place}").into()).collect::<Vec<_>>());
    let realm = Map::of_json(vec![("roles".into(), texts(3)), ("1".into(), Value::Double(2.0))]);
    Variables::of_claims(
        [
            ("a", Value::from("text")),
            ("b", Value::Double(1.0)),
            ("long", "x".repeat(8_000).into()),
            ("groups", texts(400)),
            ("realm", Value::Map(realm.into())),
            ("nothing", Value::Null),
        ]
        .map(|(name, value)| (name.into(), value)),
    )
}

#[track_caller]
fn evaluate(source: &str) -> Result<Value, EvaluationError> {
    let rule = format!("dyn({source}) == 0");
    let rule = Expression::rule(Scope::Claims, &rule).unwrap_or_else(|error| panic!("{source}: {error}"));
    rule.evaluate(&claims())
}

#[test]
fn what_would_run_away_is_refused() {
    let doubled = |times: usize| {
        (0..times)
            .fold("claims.long".to_owned(), |inner, depth| format!("[{inner}].map(v{depth}, v{depth} + v{depth})[0]"))
    };
    let nested = |times: usize| {
        let body = (0..times).fold("g".to_owned(), |inner, depth| format!("dyn(claims.groups).map(v{depth}, {inner})"));
        format!("dyn(claims.groups).map(g, {body})")
    };
    for source in [
        "lists.range(1000000000)".to_owned(),
        "lists.range(1000000).map(x, lists.range(1000000))".to_owned(),
        doubled(12),
        nested(3),
        "dyn(claims.groups).map(a, dyn(claims.groups).map(b, a + b))".to_owned(),
        "dyn(claims.groups).map(a, {'k': dyn(claims.groups).map(b, {b: a})})".to_owned(),
        "dyn(claims.groups).all(a, dyn(claims.groups).all(b, dyn(claims.groups).all(c, a != b || b != c || true)))"
            .to_owned(),
        format!("claims.long{}", ".replace('x', 'xx')".repeat(20)),
        format!("claims.long{}", ".replace('', 'xxxxxxxx')".repeat(8)),
        "dyn(claims.groups).map(a, claims.long.matches(a + '(x+x+)+y'))".to_owned(),
        "dyn(claims.groups).all(a, dyn(claims.groups).sortBy(b, claims.long + b).size() == 400)".to_owned(),
        "dyn(claims.groups).map(a, claims.long)".to_owned() + " == dyn(claims.groups).map(a, claims.long + '')",
    ] {
        let refused = evaluate(&source);
        let ended = matches!(refused, Err(EvaluationError::TooCostly | EvaluationError::TooLarge));
        assert!(ended, "{source} gives {:?}", refused.map(|_| "a value"));
    }
}

#[test]
fn the_end_of_the_budget_is_no_error_that_an_operator_hides() {
    for source in ["lists.range(1000000000) == [] || true", "[1, 2].exists(x, lists.range(1000000000) == [] || x == 2)"]
    {
        let rule = Expression::rule(Scope::Claims, source).unwrap();
        assert_eq!(rule.holds(&claims()), Err(EvaluationError::TooCostly), "{source}");
    }
}

#[test]
fn constants_that_would_run_away_are_not_computed_when_compiling() {
    let ranges = vec!["lists.range(40000)"; 90].join(" + ");
    assert!(matches!(evaluate(&format!("({ranges})[0]")), Err(EvaluationError::TooLarge)));
}

#[test]
fn types_do_not_grow_without_end() {
    let source =
        (0..40).fold("[1]".to_owned(), |source, depth| format!("{source}.map(v{depth}, {{v{depth}: v{depth}}})"));
    let error = Expression::mapping(Target::Groups, &source).map(|_| ()).unwrap_err();
    assert!(error.message.contains("too large"), "{error}");
}

#[test]
fn the_highest_expressions_need_little_stack() {
    let sum = vec!["1"; 97].join(" + ");
    let chain = format!("claims.a{}", ".trim()".repeat(95));
    let brackets = format!("{}1{}", "[".repeat(30), "]".repeat(30));
    let branches = format!("{}1", "claims.b == 2.0 ? 1 : ".repeat(30));
    let folds = (0..30).fold("1".to_owned(), |inner, depth| format!("[1].map(v{depth}, {inner})[0]"));
    let equal = format!("{brackets} == {brackets}");
    for source in [sum, chain, brackets, branches, folds, equal] {
        let rule = format!("dyn({source}) == 0");
        let compile = move || Expression::rule(Scope::Claims, &rule).unwrap();
        // Half, and a quarter for the hot path, of what tokio gives its workers; a release build needs a third of it.
        let rule = within(1024, compile);
        assert!(within(512, move || rule.holds(&claims())).is_ok(), "{source}");
    }
}

/// What `work` gives on a stack of so many KiB.
fn within<T: Send + 'static>(kib: usize, work: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::Builder::new().stack_size(kib * 1024).spawn(work).unwrap().join().unwrap()
}

/// Expressions of any shape; most have no type, so most are refused.
fn expressions() -> impl Strategy<Value = String> {
    let leaf = proptest::sample::select(vec![
        "claims.a",
        "claims.b",
        "claims.groups",
        "claims.realm",
        "claims.?x",
        "claims.nothing",
        "dyn(claims.groups)",
        "1",
        "2u",
        "1.5",
        "'t'",
        "b'o'",
        "true",
        "null",
        "[]",
        "{}",
        "[1, 2]",
        "{'k': 1}",
        "v",
        "optional.none()",
        "duration('1s')",
        "timestamp(0)",
        "type(1)",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(5, 40, 3, |inner| {
        let binary = vec!["+", "-", "*", "/", "%", "==", "!=", "<", ">=", "in", "&&", "||"];
        let unary = vec![
            "!{}",
            "-{}",
            "size({})",
            "string({})",
            "int({})",
            "{}.size()",
            "{}[0]",
            "{}['k']",
            "{}.k",
            "{}.?k",
            "[?{}]",
            "has({}.k)",
            "type({})",
            "dyn({})",
            "optional.of({})",
            "{}.value()",
            "{}.first()",
            "{}.sort()",
            "{}.flatten()",
            "{}.join(',')",
            "{}.split('t')",
            "{}.distinct()",
        ];
        let macros = vec!["all", "exists", "exists_one", "map", "filter", "sortBy", "optMap", "optFlatMap"];
        prop_oneof![
            (inner.clone(), proptest::sample::select(binary), inner.clone())
                .prop_map(|(left, sign, right)| format!("({left} {sign} {right})")),
            (proptest::sample::select(unary), inner.clone()).prop_map(|(form, part)| form.replace("{}", &part)),
            (inner.clone(), proptest::sample::select(macros), inner.clone())
                .prop_map(|(range, name, body)| format!("{range}.{name}(v, {body})")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[{a}, {b}]")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{{{a}: {b}}}")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("{a}.transformMap(v, w, {b})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    /// Nothing panics, and twice the same claims give twice the same.
    #[test]
    fn whatever_compiles_ends(source in expressions()) {
        let rule = format!("dyn([1].map(v, {source})) == 0");
        if let Ok(rule) = Expression::rule(Scope::Claims, &rule) {
            prop_assert_eq!(rule.holds(&claims()), rule.holds(&claims()));
        }
    }
}
