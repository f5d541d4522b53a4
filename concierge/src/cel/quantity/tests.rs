//! Quantities against answers of kube-apiserver 1.36, and what must hold for all of them.

use proptest::prelude::*;

use super::*;

#[track_caller]
fn quantity(text: &str) -> Quantity {
    Quantity::parse(text, &mut Budget::default()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// What kube-apiserver 1.36 answers to `asInteger`, `sign` and `asApproximateFloat`; the text makes no difference that
/// the double would not show.
#[test]
#[expect(clippy::float_cmp, clippy::unreadable_literal, reason = "the very roundings of Go are what is tested")]
fn texts() {
    for (text, integer, sign, double) in [
        ("0", Some(0), 0, 0.0),
        ("-0", Some(0), 0, 0.0),
        ("000", Some(0), 0, 0.0),
        ("1", Some(1), 1, 1.0),
        ("+1", Some(1), 1, 1.0),
        ("-1", Some(-1), -1, -1.0),
        ("000001", Some(1), 1, 1.0),
        ("5.", Some(5), 1, 5.0),
        // Kept with their digits behind the point.
        ("0.0", None, 0, 0.0),
        ("1.0", None, 1, 1.0),
        (".5", None, 1, 0.5),
        ("1.5", None, 1, 1.5),
        ("00.100", None, 1, 0.1),
        ("0.3", None, 1, 0.30000000000000004),
        ("0.2G", Some(200_000_000), 1, 2e8),
        // No digits at all.
        (".", Some(0), 0, 0.0),
        ("-", Some(0), 0, 0.0),
        ("k", Some(0), 0, 0.0),
        ("Ti", Some(0), 0, 0.0),
        // Decimal suffixes and exponents.
        ("1n", None, 1, 1e-9),
        ("1u", None, 1, 1e-6),
        ("100m", None, 1, 0.1),
        ("100k", Some(100_000), 1, 1e5),
        ("50M", Some(50_000_000), 1, 5e7),
        ("1G", Some(1_000_000_000), 1, 1e9),
        ("1T", Some(1_000_000_000_000), 1, 1e12),
        ("1P", Some(1_000_000_000_000_000), 1, 1e15),
        ("1E", Some(1_000_000_000_000_000_000), 1, 1e18),
        ("10E", None, 1, 1e19),
        ("1e3", Some(1000), 1, 1000.0),
        ("1E3", Some(1000), 1, 1000.0),
        ("1e+3", Some(1000), 1, 1000.0),
        ("1e-3", None, 1, 0.001),
        ("12e17", Some(1_200_000_000_000_000_000), 1, 1.2e18),
        ("1e19", None, 1, 1e19),
        ("1e308", None, 1, 1e308),
        ("1e309", None, 1, f64::INFINITY),
        ("-1e309", None, -1, f64::NEG_INFINITY),
        ("0e400", Some(0), 0, f64::NAN),
        // Binary suffixes.
        ("1Ki", Some(1024), 1, 1024.0),
        ("1.5Ki", None, 1, 1536.0),
        ("-1.5Ki", None, -1, -1536.0),
        ("50Mi", Some(52_428_800), 1, 52_428_800.0),
        ("1Gi", Some(1_073_741_824), 1, 1_073_741_824.0),
        ("1Ti", Some(1_099_511_627_776), 1, 1_099_511_627_776.0),
        ("1Pi", None, 1, 1_125_899_906_842_624.0),
        ("0Pi", None, 0, 0.0),
        ("12345678901Mi", None, 1, 12945382599294976.0),
        // The greatest with a binary suffix.
        ("8Ei", None, 1, 9.223372036854776e18),
        ("9Ei", None, 1, 9.223372036854776e18),
        ("-17179869184Gi", None, -1, -9.223372036854776e18),
        // Eighteen digits are a machine word, nineteen are not.
        ("999999999999999999", Some(999_999_999_999_999_999), 1, 1e18),
        ("1000000000000000000", None, 1, 1.0000000000000001e18),
        ("9223372036854775807", None, 1, 9.223372036854776e18),
        ("9007199254740993", Some(9_007_199_254_740_993), 1, 9007199254740992.0),
        ("99999999999999999999999", None, 1, 1.0000000000000001e23),
        ("00000000000000000000001", Some(1), 1, 1.0),
        // Rounded away from zero to a billionth.
        ("0.1n", None, 1, 1e-9),
        ("-0.1n", None, -1, -1e-9),
        ("1e-400", None, 1, 1e-9),
        ("0.1234567891", None, 1, 0.12345679000000001),
        ("0.0000000001Ki", None, 1, 1.0300000000000001e-07),
        ("1.0000000000000000000000000000000001", None, 1, 1.000000001),
    ] {
        let found = quantity(text);
        assert_eq!((found.as_integer(), found.sign()), (integer, sign), "{text}");
        let approximate = found.approximate();
        assert!(approximate == double || approximate.is_nan() && double.is_nan(), "{text} is {approximate:e}");
    }
}

#[test]
fn other_texts_are_refused() {
    for text in [
        "",
        " ",
        "three",
        "1 ",
        " 1",
        "1,5",
        "1_000",
        "--1",
        "+-1",
        "1.5.5",
        "0x10",
        "\u{661}",
        "1\u{e9}",
        "200K",
        "1i",
        "1iK",
        "1Kii",
        "1KiB",
        "1mi",
        "1m1",
        "1Mi5",
        "1e5Mi",
        "1e-9Ki",
        "1e",
        "1Ee",
        "1e1e1",
        "1e--1",
        "1e5x",
        // Without digits, and too large for a machine word: even Kubernetes finds no number here.
        "Pi",
        "Ei",
        "-Ei",
        ".Ei",
        // Kubernetes cuts exponents off to 32 bits and reads these as 1 and as 10.
        "1e4294967296",
        "1e4294967297",
        "1e-99999999999999999999",
    ] {
        let found = Quantity::parse(text, &mut Budget::default());
        assert!(matches!(found, Err(EvaluationError::Unreadable("quantity"))), "{text}: {found:?}");
    }
}

/// Each is less than all that follow it, and equal to those in its row.
#[test]
fn order() {
    let ascending: [&[&str]; 19] = [
        &["-1e2147483647"],
        &["-1e400", "-10e399"],
        &["-9223372036854775808"],
        &["-1.5Ki", "-1536"],
        &["-1"],
        &["-1n", "-0.1n", "-1e-2147483648"],
        &["0", "0.0", "-0", "0e2147483647", "0.0000000000000000000", "k"],
        &["1n", "0.1n", "1e-2147483648"],
        &["999999999n"],
        &["1", "1.0", "1000m", "1000000000n", "1.00000000000000000000"],
        &["1.000000001", "1.00000000000000000000000001"],
        &["50M", "0.05G", "50e6", "50000k"],
        &["50Mi", "51200Ki", "52428800"],
        &["200M", "0.2G"],
        &["8Ei", "9Ei", "9223372036854775807"],
        &["9223372036854775808"],
        &["1e20", "100E", "100000000000000000000"],
        &["1e400", "10e399"],
        &["1e2147483647"],
    ];
    for (i, left) in ascending.iter().enumerate() {
        for (j, right) in ascending.iter().enumerate() {
            for (left, right) in left.iter().flat_map(|left| right.iter().map(move |right| (left, right))) {
                assert_eq!(quantity(left).cmp(&quantity(right)), i.cmp(&j), "{left} against {right}");
            }
        }
    }
}

/// Answers of kube-apiserver 1.36: the sum or difference, and whether it is still kept as an integer.
#[test]
fn arithmetic() {
    let budget = &mut Budget::default();
    for (left, right, sum, difference, integers) in [
        ("50k", "20k", "70k", "30k", (true, true)),
        ("50k", "20", "50020", "49980", (true, true)),
        ("1", "0.5", "1.5", "0.5", (false, false)),
        ("1", "0.0", "1", "1", (true, true)),
        ("0.0", "1", "1", "-1", (true, true)),
        ("1Gi", "1G", "2073741824", "73741824", (true, true)),
        ("1e18", "1", "1000000000000000001", "999999999999999999", (true, true)),
        ("1e19", "1", "10000000000000000001", "9999999999999999999", (false, false)),
        ("9e18", "9e18", "18e18", "0", (false, true)),
        ("8Ei", "1n", "9223372036854775807.000000001", "9223372036854775806.999999999", (false, false)),
        ("9Ei", "9Ei", "18446744073709551614", "0", (false, false)),
    ] {
        let pair = (quantity(left), quantity(right));
        let sums = (pair.0.plus(&pair.1, budget), pair.0.minus(&pair.1, budget));
        assert_eq!(sums, (Ok(quantity(sum)), Ok(quantity(difference))), "{left} and {right}");
        let kept = (sums.0.map(|sum| sum.as_integer().is_some()), sums.1.map(|sum| sum.as_integer().is_some()));
        assert_eq!(kept, (Ok(integers.0), Ok(integers.1)), "{left} and {right}");
    }
    let least = Quantity::from_integer(i64::MIN);
    assert_eq!(Quantity::from_integer(0).minus(&least, budget), Ok(quantity("9223372036854775808")));
}

/// What would need gigabytes in Kubernetes.
#[test]
fn no_exponent_is_written_out() {
    let budget = &mut Budget::default();
    let huge = quantity("1e2147483647");
    assert_eq!(huge.plus(&quantity("1"), budget), Err(EvaluationError::TooLarge));
    assert_eq!(huge.minus(&huge, budget).map(|none| none.sign()), Ok(0));
    assert_eq!(huge.plus(&quantity("0e-9"), budget).as_ref(), Ok(&huge));
    assert_eq!(quantity("1e500").plus(&quantity("1"), budget).map(|sum| sum.sign()), Ok(1));
    let text = format!("1{}", "0".repeat(1000));
    assert_eq!(Quantity::parse(&text, budget), Err(EvaluationError::TooLarge));
    assert_eq!(Quantity::parse("12345678901234567890e2000000000", budget), Err(EvaluationError::TooLarge));
    assert_eq!(Quantity::parse("12345678901234567890Ei", budget), Ok(quantity("8Ei")));
}

fn any() -> impl Strategy<Value = String> {
    "[+-]?(0|[1-9][0-9]{0,24})([.][0-9]{0,20})?(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|e-?[0-9]{1,2})?"
}

proptest! {
    #[test]
    fn the_order_is_total(one in any(), two in any(), three in any()) {
        let (one, two, three) = (quantity(&one), quantity(&two), quantity(&three));
        prop_assert_eq!(one.cmp(&two), two.cmp(&one).reverse());
        prop_assert_eq!(one.cmp(&one), Ordering::Equal);
        let mut sorted = [&one, &two, &three];
        sorted.sort();
        prop_assert!(sorted[0] <= sorted[1] && sorted[1] <= sorted[2] && sorted[0] <= sorted[2]);
    }

    #[test]
    fn sums_follow_the_order(one in any(), two in any(), more in any()) {
        let (one, two, more) = (quantity(&one), quantity(&two), quantity(&more));
        let budget = &mut Budget::default();
        let sums = (one.plus(&more, budget)?, two.plus(&more, budget)?);
        prop_assert_eq!(sums.0.cmp(&sums.1), one.cmp(&two));
        prop_assert_eq!(one.plus(&two, budget)?, two.plus(&one, budget)?);
        prop_assert_eq!(one.plus(&two, budget)?.minus(&two, budget)?, one.clone());
        prop_assert_eq!(one.cmp(&two) as i64, one.minus(&two, budget)?.sign());
    }

    /// Against integers of 128 bits, which hold every amount of billionths here.
    #[test]
    fn whole_billionths_are_exact(one: i64, two: i64) {
        let billionths = |value: i64| quantity(&format!("{value}n"));
        let budget = &mut Budget::default();
        prop_assert_eq!(billionths(one).cmp(&billionths(two)), one.cmp(&two));
        let sum = i128::from(one) + i128::from(two);
        let expected = Quantity::Big { value: sum.into(), exponent: -9 };
        prop_assert_eq!(billionths(one).plus(&billionths(two), budget)?, expected);
    }

    #[test]
    fn no_text_breaks_the_reader(text in "[0-9.+-]{0,30}[eEinumkKMGTP]{0,3}[+-]?[0-9]{0,12}") {
        let budget = &mut Budget::default();
        if let Ok(quantity) = Quantity::parse(&text, budget) {
            prop_assert_eq!(quantity.cmp(&quantity), Ordering::Equal);
            prop_assert_eq!(quantity.as_integer().map(i64::signum), quantity.as_integer().map(|_| quantity.sign()));
        }
    }
}
