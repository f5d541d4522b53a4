//! What kube-apiserver 1.36.3 answers to `format`.

use std::sync::Arc;

use super::*;
use crate::cel::{
    Timestamp,
    library::examples::{call, call_within, check, integers, spent, texts},
};

#[track_caller]
fn gives(format: &str, argument: impl Into<Value>, expected: &str) {
    check(&overloads(), "format", &[format.into(), vec![argument.into()].into()], &Ok(expected.into()));
}

#[track_caller]
fn fails(format: &str, argument: impl Into<Value>, expected: EvaluationError) {
    check(&overloads(), "format", &[format.into(), vec![argument.into()].into()], &Err(expected));
}

fn list(elements: impl Into<Vec<Value>>) -> Value {
    elements.into().into()
}

fn map(entries: impl IntoIterator<Item = (Value, Value)>) -> Value {
    Value::Map(Arc::new(entries.into_iter().collect()))
}

fn bytes(bytes: &[u8]) -> Value {
    Value::Bytes(bytes.into())
}

fn timestamp(text: &str) -> Value {
    Value::Timestamp(Timestamp::parse(text).expect(text))
}

#[test]
fn texts_stand_between_clauses() {
    let two = list(["x".into(), 3.into()]);
    check(&overloads(), "format", &["é%sü%d%%".into(), two.clone()], &Ok("éxü3%".into()));
    check(&overloads(), "format", &["none".into(), two.clone()], &Ok("none".into()));
    check(&overloads(), "format", &["%s%d%s".into(), two], &Err(TOO_FEW));
    check(&overloads(), "format", &["%".into(), list([])], &Err(TOO_FEW));
    check(&overloads(), "format", &["%z".into(), list([])], &Err(TOO_FEW));
    check(&overloads(), "format", &["%s".into(), "a".into()], &Err(NoSuchOverload("format")));
    for format in ["%", "a%", "%.3", "%."] {
        fails(format, 1, CUT_OFF);
    }
    for format in ["%.f", "%.s", "%.256f", "%.99999999999999999999f"] {
        fails(format, Value::Double(1.0), NO_PRECISION);
    }
    for format in ["%z", "%5d", "%é", "% d", "%S"] {
        fails(format, 1, UNKNOWN_CLAUSE);
    }
}

#[test]
fn values_are_written_plainly() {
    for (value, expected) in [
        (Value::Double(1.0), "1"),
        (Value::Double(12_345_678.0), "1.2345678e+07"),
        (Value::Double(-0.0), "-0"),
        (Value::Double(f64::INFINITY), "+Inf"),
        (Value::Uint(u64::MAX), "18446744073709551615"),
        (Value::Int(i64::MIN), "-9223372036854775808"),
        (true.into(), "true"),
        (Value::Null, "null"),
        ("a\"b".into(), "a\"b"),
        (bytes(b"abc"), "abc"),
        (Value::Duration(3_723_500_000_000), "3723.5s"),
        (Value::Duration(0), "0s"),
        (timestamp("2020-01-02T03:04:05.100Z"), "2020-01-02T03:04:05.1Z"),
        (Value::Type(Type::Int.into()), "int"),
        (Value::Type(Type::list(Type::Int).into()), "list"),
        (Value::Type(Type::map(Type::Int, Type::Int).into()), "map"),
        (Value::Type(Type::Null.into()), "null_type"),
        (Value::Type(Type::optional(Type::Int).into()), "optional_type"),
        (Value::Type(Type::Type(Type::Int.into()).into()), "type"),
        (Value::Type(Type::Timestamp.into()), "google.protobuf.Timestamp"),
        (Value::Type(Type::Opaque("kubernetes.URL").into()), "kubernetes.URL"),
    ] {
        gives("%s", value.clone(), expected);
        gives("%.2s", value, expected);
    }
    fails("%s", bytes(b"\xff"), UNREADABLE_BYTES);
    fails("%s", Value::Optional(None), Clause::Text.refusal());
}

#[test]
fn lists_and_maps_are_written_as_literals() {
    let doubles = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.5, 1e21].map(Value::Double);
    for (value, expected) in [
        (list(doubles), "[\"NaN\", \"+Inf\", \"-Inf\", 1.500000, 1000000000000000000000.000000]"),
        (list([1.into(), Value::Uint(2), true.into(), Value::Null]), "[1, 2, true, null]"),
        (list([list([]), map([])]), "[[], {}]"),
        (list([Value::Duration(-1_500_000_000)]), "[duration(\"-1.5s\")]"),
        (list([timestamp("2020-01-02T03:04:05+02:00")]), "[timestamp(\"2020-01-02T03:04:05+02:00\")]"),
        (list([Value::Type(Type::Int.into())]), "[int]"),
        (list([bytes(b"a\"b")]), "[b\"a\\\"b\"]"),
        (texts(&["a\"b", "é\n\u{1}\u{200b}\u{1f600}\\'"]), "[\"a\\\"b\", \"é\\n\\x01\\u200b\u{1f600}\\\\'\"]"),
        (texts(&["e\u{301}\u{a0}\u{e0001}"]), "[\"e\u{301}\\u00a0\\U000e0001\"]"),
        (map([("b".into(), 1.into()), ("a".into(), integers(&[2]))]), "{\"a\":[2], \"b\":1}"),
        (map([1, 10, 2].map(|key| (key.into(), "x".into()))), "{1:\"x\", 10:\"x\", 2:\"x\"}"),
        (map([true, false].map(|key| (key.into(), Value::Null))), "{false:null, true:null}"),
        (map([("a\"".into(), "b\t".into())]), "{\"a\\\"\":\"b\\t\"}"),
    ] {
        gives("%s", value, expected);
    }
    fails("%s", list([Value::Optional(None)]), Clause::Text.refusal());
    fails("%s", list([bytes(b"\xff")]), UNREADABLE_BYTES);
    let double_key = map([(Value::Double(1.0), Value::Null)]);
    fails("%s", double_key, BadArgument("a map with such keys cannot be written"));
    let deep = (0..300).fold(Value::Null, |inner, _| list([inner]));
    fails("%s", deep, TooLarge);
}

#[test]
fn integers_have_bases() {
    for (format, value, expected) in [
        ("%d", Value::Int(-5), "-5"),
        ("%.3d", Value::Int(5), "5"),
        ("%d", Value::Uint(u64::MAX), "18446744073709551615"),
        ("%b", Value::Int(5), "101"),
        ("%b", Value::Int(-5), "-101"),
        ("%b", Value::Uint(5), "101"),
        ("%b", true.into(), "1"),
        ("%b", false.into(), "0"),
        ("%x", Value::Int(255), "ff"),
        ("%X", Value::Int(-255), "-FF"),
        ("%X", Value::Int(i64::MIN), "-8000000000000000"),
        ("%x", Value::Uint(255), "ff"),
        ("%x", "Hello é".into(), "48656c6c6f20c3a9"),
        ("%X", bytes(b"\xff\x00"), "FF00"),
        ("%o", Value::Int(-8), "-10"),
        ("%o", Value::Uint(8), "10"),
    ] {
        gives(format, value, expected);
    }
    for (format, value, clause) in [
        ("%d", Value::Double(1.0), Clause::Decimal),
        ("%d", "1".into(), Clause::Decimal),
        ("%b", "a".into(), Clause::Binary),
        ("%x", Value::Double(1.0), Clause::Hexadecimal { upper: false }),
        ("%X", true.into(), Clause::Hexadecimal { upper: true }),
        ("%o", "a".into(), Clause::Octal),
    ] {
        fails(format, value, clause.refusal());
    }
}

#[test]
fn doubles_are_fixed_or_scientific() {
    for (format, value, expected) in [
        ("%f", Value::Double(1_234_567.891), "1,234,567.891000"),
        ("%.2f", Value::Double(1_234_567.891), "1,234,567.89"),
        ("%f", "NaN".into(), "NaN"),
        ("%f", "-Infinity".into(), "-∞"),
        ("%e", Value::Double(1234.5), "1.234500×10⁰³"),
        // The precision is taken for a width.
        ("%.20e", Value::Double(0.1), "      1.000000×10⁻⁰¹"),
        ("%e", "Infinity".into(), "     ∞"),
    ] {
        gives(format, value, expected);
    }
    for value in [Value::Int(1), "x".into(), Value::Null] {
        fails("%f", value.clone(), Clause::Fixed(6).refusal());
        fails("%e", value, Clause::Scientific(6).refusal());
    }
}

#[test]
fn nothing_is_built_that_cannot_be_paid() {
    let large = Value::from("a".repeat(100_000));
    let many = Value::from(vec![large; 20]);
    let found = call(&overloads(), "format", &["%s".repeat(20).into(), many.clone()]);
    assert_eq!(found.unwrap_err(), TooLarge);
    let found = call(&overloads(), "format", &["%x".repeat(20).into(), many]);
    assert_eq!(found.unwrap_err(), TooLarge);
    let found = call_within(&overloads(), "format", &["%d".into(), integers(&[1])], &mut spent());
    assert_eq!(found.unwrap_err(), EvaluationError::TooCostly);
}
