//! Tables of expressions: what compiles, what it gives, what is refused.

use super::*;
use crate::cel::Map;

/// Claims as a token may have them.
pub(super) fn claims() -> Variables {
    let list = |texts: &[&str]| Value::from(texts.iter().map(|text| Value::from(*text)).collect::<Vec<_>>());
    let object = |members: Vec<(Value, Value)>| Value::Map(Map::of_json(members).into());
    Variables::of_claims(
        [
            ("sub", "jane".into()),
            ("email", "jane@example.org".into()),
            ("email_verified", true.into()),
            ("groups", list(&["dev", "ops", ""])),
            ("level", Value::Double(3.0)),
            ("nothing", Value::Null),
            ("kubernetes.io", object(vec![("name-space".into(), "default".into())])),
            ("realm", object(vec![("roles".into(), list(&["admin"])), ("depth".into(), Value::Double(2.5))])),
        ]
        .map(|(name, value)| (name.into(), value)),
    )
}

#[track_caller]
fn evaluate(source: &str) -> Result<Value, EvaluationError> {
    let compiled = Expression::compile(Scope::Claims, source, |_| Ok(()));
    compiled.unwrap_or_else(|error| panic!("{source}: {error}")).evaluate(&claims())
}

/// Checks that each expression is true.
#[track_caller]
fn hold(sources: &[&str]) {
    for source in sources {
        let rule = Expression::rule(Scope::Claims, source).unwrap_or_else(|error| panic!("{source}: {error}"));
        assert_eq!(rule.holds(&claims()), Ok(true), "{source}");
    }
}

#[test]
fn claims_are_selected_by_field_and_index() {
    hold(&[
        "claims.sub == 'jane'",
        "claims['sub'] == 'jane'",
        "claims.kubernetes__dot__io.name__dash__space == 'default'",
        "claims['kubernetes.io']['name-space'] == 'default'",
        "claims.realm.roles[0] == 'admin'",
        "claims.groups[1] == 'ops'",
        "claims.groups[1.0] == 'ops'",
        "has(claims.realm.roles) && !has(claims.realm.nothing) && !has(claims.absent)",
        "claims.nothing == null",
        "!has(claims.sub.x)",
    ]);
    for source in ["claims.absent", "claims.absent.x", "claims.sub.x", "has(claims.absent.x)", "claims.a__x__b"] {
        assert_eq!(evaluate(source).err(), Some(EvaluationError::NoSuchKey), "{source}");
    }
    assert_eq!(evaluate("claims.groups[9]").err(), Some(EvaluationError::IndexOutOfRange));
}

#[test]
fn optionals_guard_what_is_absent() {
    hold(&[
        "claims.?absent.orValue('x') == 'x'",
        "claims.?sub.orValue('x') == 'jane'",
        "claims.?absent.x.y.orValue('none') == 'none'",
        "claims[?'sub'].hasValue()",
        "claims.?absent.or(claims.?sub).value() == 'jane'",
        "claims.?realm.?roles.optMap(r, r[0]).orValue('') == 'admin'",
        "claims.?realm.optFlatMap(r, r.?nothing) == optional.none()",
        "optional.ofNonZeroValue('') == optional.none()",
        "[?claims.?absent, ?claims.?sub].size() == 1",
        "{?'a': claims.?absent}.size() == 0",
        "[optional.of(1), optional.none()].unwrapOpt() == [1]",
        "!claims.groups[?9].hasValue()",
    ]);
    assert_eq!(evaluate("optional.none().value()").err(), Some(EvaluationError::NoneValue));
}

#[test]
fn one_decisive_part_outweighs_errors() {
    hold(&[
        "true || claims.absent == 1",
        "claims.absent == 1 || true",
        "!(claims.absent == 1 && false)",
        "[1, 0].exists(x, 1 / x == 1)",
        "[0, 1].exists(x, 1 / x == 1)",
        "![0, 1].all(x, 1 / x == 2)",
    ]);
    for source in ["claims.absent == 1 || false", "[0, 1].all(x, 1 / x == 1)", "claims.sub || true == false"] {
        assert!(evaluate(source).is_err(), "{source}");
    }
}

#[test]
fn macros_go_over_lists_and_maps() {
    hold(&[
        "[1, 2, 3].all(x, x > 0) && [1, 2].exists_one(x, x == 2) && ![1, 1].exists_one(x, x == 1)",
        "[1, 2, 3].map(x, x * 2) == [2, 4, 6]",
        "[1, 2, 3].map(x, x > 1, x * 2) == [4, 6]",
        "[1, 2, 3].filter(x, x > 1) == [2, 3]",
        "{'a': 1}.map(k, k) == ['a']",
        "{'a': 1}.all(k, v, k == 'a' && v == 1)",
        "[5, 6].exists(i, v, i == 1 && v == 6)",
        "[5, 6].existsOne(i, v, v == 6)",
        "[5, 6].transformList(i, v, i + v) == [5, 7]",
        "[5, 6].transformList(i, v, v > 5, i) == [1]",
        "{'a': 1}.transformMap(k, v, v + 1) == {'a': 2}",
        "{'a': 'b'}.transformMapEntry(k, v, {v: k}) == {'b': 'a'}",
        "['bb', 'a'].sortBy(x, x.size()) == ['a', 'bb']",
        "dyn(claims.groups).exists(g, g == 'ops')",
        "claims.realm.roles.all(r, r == 'admin')",
        "[[1, 2], [3]].map(x, x.map(x, x + 1)) == [[2, 3], [4]]",
    ]);
    assert_eq!(evaluate("['a', 'b'].transformMapEntry(i, v, {'same': i})").err(), Some(EvaluationError::DuplicateKey));
}

#[test]
fn what_has_no_type_is_refused_with_its_place_and_mend() {
    for (source, message) in [
        (
            "claims.groups.map(g, g)",
            "1:15: `map` needs a list or map, and a claim may be anything; write dyn(...) around it",
        ),
        ("['a', claims.sub]", "1:14: the others here are string, this is any; make all one type, as by dyn(...)"),
        ("['a', 1]", "1:7: the others here are string, this is int; make all one type, as by dyn(...)"),
        ("1 + 'a'", "1:3: `+` does not take int and string; convert one, as in string(...) or int(...)"),
        ("nope(1)", "1:1: there is no function `nope`"),
        ("jane", "1:1: there is no variable `jane`; here is `claims`; a text stands in quotes: 'jane'"),
        ("duration('1x')", "1:10: not a valid duration"),
        ("'a'.matches('(')", "1:13: not a valid pattern (RE2 syntax)"),
        ("claims.all(c, true)", "1:1: the claims as a whole have no order, so `all` cannot go over them; name a claim"),
    ] {
        let error = Expression::compile(Scope::Claims, source, |_| Ok(())).err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), Some(message), "{source}");
    }
}

#[test]
fn rules_are_bool_and_mappings_can_be_what_they_map() {
    assert!(Expression::rule(Scope::Claims, "claims.sub == 'x'").is_ok());
    assert!(Expression::rule(Scope::User, "user.username.startsWith('a') && user.extra['k'][0] == 'v'").is_ok());
    for source in ["claims.flag", "claims.?flag.orValue(true)", "'true'", "user.uid == ''"] {
        assert!(Expression::rule(Scope::Claims, source).is_err(), "{source}");
    }
    for (target, source, taken) in [
        (Target::Username, "claims.sub", true),
        (Target::Username, "'a' + claims.sub", true),
        (Target::Username, "1", false),
        (Target::Uid, "['a']", false),
        (Target::Groups, "claims.groups", true),
        (Target::Groups, "['a']", true),
        (Target::Groups, "null", true),
        (Target::Groups, "[1]", false),
        (Target::Extra, "claims.?a", false),
        (Target::Extra, "claims.?a.orValue('')", true),
    ] {
        assert_eq!(Expression::mapping(target, source).is_ok(), taken, "{source}");
    }
}

#[test]
fn users_have_four_fields() {
    let extra = [("example.org/team".to_owned(), vec!["a".to_owned()])];
    let user = Variables::of_user("jane", "", ["dev"], extra.iter().map(|(key, values)| (key.as_str(), &values[..])));
    for source in [
        "user.username == 'jane' && user.uid == '' && user.groups == ['dev']",
        "user.extra['example.org/team'] == ['a']",
        "user.extra.example__dot__org__slash__team[0] == 'a'",
        "user.groups.all(g, g.startsWith('d'))",
        "has(user.uid)",
    ] {
        assert_eq!(Expression::rule(Scope::User, source).unwrap().holds(&user), Ok(true), "{source}");
    }
    assert!(Expression::rule(Scope::User, "user.email == ''").is_err());
}

#[test]
fn a_claim_is_mentioned_by_field_and_by_index_only_of_the_token_itself() {
    for source in [
        "claims.email",
        "claims.?email.orValue('')",
        "claims['email']",
        "claims[?'email'].orValue('')",
        "has(claims.email) ? 'a' : 'b'",
        "[1].map(x, string(claims.email))[0]",
        "claims.email.lowerAscii()",
    ] {
        assert!(Expression::mapping(Target::Username, source).unwrap().mentions_claim("email"), "{source}");
    }
    for source in ["claims.other.claims.email", "'claims.email'", "claims.email_verified"] {
        assert!(!Expression::mapping(Target::Username, source).unwrap().mentions_claim("email"), "{source}");
    }
}

#[test]
fn types_that_double_with_each_variable_are_refused_before_they_grow() {
    // Two variables for each map, each standing for a map of the next: the type of the first has 2^58 parts.
    let names: Vec<String> = (0..58).map(|number| format!("v{number}")).collect();
    let macros: Vec<String> = names.chunks(2).map(|pair| format!("{{}}.all({},{},", pair[0], pair[1])).collect();
    let macros = macros.concat();
    let chain: Vec<String> = names.windows(2).map(|pair| format!("{0}=={{{1}:{1}}}", pair[0], pair[1])).collect();
    let source = format!("{macros}{}&&v0==v0{}", chain.join("&&"), ")".repeat(names.len() / 2));
    let refused = Expression::rule(Scope::Claims, &source).unwrap_err();
    assert!(refused.message.contains("too large"), "{refused}");
}

#[test]
fn long_rules_are_no_large_types() {
    for (part, join) in [("1", "+"), ("dyn(1)", "+"), ("claims.a.b.c==[claims.d]", "||"), ("[{'a':[1]}]", "+")] {
        let count = 3800 / (part.len() + join.len());
        // A chain of sums is as high as it is long, so it is split.
        let parts: Vec<String> = vec![part; count].chunks(40).map(|some| format!("({})", some.join(join))).collect();
        let source = format!("[{}].size() > 0", parts.join(","));
        Expression::rule(Scope::Claims, &source).unwrap_or_else(|error| panic!("{part}: {error}"));
    }
}

#[test]
fn all_expressions_over_one_token_share_an_allowance() {
    // Two of them may cost all that one may; the third finds nothing left, and so does whatever comes after.
    let dear = "lists.range(300).all(i, lists.range(300).all(j, i + j >= 0))";
    let rule = |source: &str| Expression::rule(Scope::Claims, source).unwrap();
    let (dear, cheap, variables) = (rule(dear), rule("claims.sub == 'jane'"), claims());
    let held = (0..100).take_while(|_| dear.holds(&variables) == Ok(true)).count();
    assert!((1..=4).contains(&held), "{held}");
    assert_eq!(dear.holds(&variables), Err(EvaluationError::TooCostly));
    while cheap.holds(&variables) == Ok(true) {}
    assert_eq!(cheap.holds(&variables), Err(EvaluationError::TooCostly));
    assert_eq!(cheap.holds(&claims()), Ok(true), "another token has its own");
}
