//! Lengths of time in Go's notation: `1h30m`, `-1.5s`, `300ms`.

/// One hundred and forty-six years more than a duration can have: reading stops beyond it.
const LIMIT: u64 = 1 << 63;

/// The nanoseconds of `text`; `None` if it is no duration or does not fit into 64 bits.
///
/// A sign, then one or more numbers, each with a unit. A bare `0` needs none.
pub(super) fn parse(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (part, after) = part(rest)?;
        total = total.checked_add(part).filter(|total| *total <= LIMIT)?;
        rest = after;
    }
    if negative { 0_i64.checked_sub_unsigned(total) } else { i64::try_from(total).ok() }
}

/// The duration as CEL prints it: seconds with as many digits as a double needs.
pub(super) fn print(nanoseconds: i64) -> String {
    format!("{}s", in_units(nanoseconds, 1_000_000_000))
}

/// How many units of `unit` nanoseconds there are, by the same arithmetic as Go, whose roundings can be seen.
#[expect(clippy::cast_precision_loss, reason = "quotient and remainder are taken apart first, as Go does")]
pub(super) fn in_units(nanoseconds: i64, unit: i64) -> f64 {
    (nanoseconds / unit) as f64 + (nanoseconds % unit) as f64 / unit as f64
}

/// The nanoseconds of one number with its unit, and what follows it.
fn part(text: &str) -> Option<(u64, &str)> {
    let (digits, rest) = split_digits(text);
    let whole = digits.bytes().try_fold(0_u64, |number, digit| {
        number.checked_mul(10)?.checked_add(u64::from(digit - b'0')).filter(|number| *number <= LIMIT)
    })?;
    let (fraction, rest) = rest.strip_prefix('.').map_or(("", rest), split_digits);
    if digits.is_empty() && fraction.is_empty() {
        return None;
    }
    let end = rest.find(|character: char| character == '.' || character.is_ascii_digit()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(end);
    let unit = unit_nanoseconds(unit)?;
    let total = whole.checked_mul(unit)?.checked_add(fraction_of(fraction, unit))?;
    (total <= LIMIT).then_some((total, rest))
}

/// `0.digits` of a unit. Digits that no longer fit into 63 bits say nothing, as in Go.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a fraction of at most an hour is below 2^42, and the rest of a nanosecond is dropped"
)]
fn fraction_of(digits: &str, unit: u64) -> u64 {
    let (mut number, mut scale) = (0_u64, 1.0);
    for digit in digits.bytes() {
        if number > (LIMIT - 1) / 10 {
            break;
        }
        let more = number * 10 + u64::from(digit - b'0');
        if more > LIMIT {
            break;
        }
        number = more;
        scale *= 10.0;
    }
    (number as f64 * (unit as f64 / scale)) as u64
}

fn unit_nanoseconds(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        // The micro sign and the Greek letter look alike.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Answers of kube-apiserver 1.36 to `int(duration(text))` and `string(duration(text))`.
    #[test]
    fn texts_are_read_and_printed_as_go_does() {
        for (text, nanoseconds, printed) in [
            ("0", 0, "0s"),
            ("-0", 0, "0s"),
            ("+5s", 5_000_000_000, "5s"),
            ("-1.5s", -1_500_000_000, "-1.5s"),
            ("1h30m", 5_400_000_000_000, "5400s"),
            ("1.5h", 5_400_000_000_000, "5400s"),
            ("1h1m1s1ms1us1ns", 3_661_001_001_001, "3661.001001001s"),
            ("1\u{b5}s", 1000, "0.000001s"),
            ("1\u{3bc}s", 1000, "0.000001s"),
            (".5s", 500_000_000, "0.5s"),
            ("5.s", 5_000_000_000, "5s"),
            ("-.5m", -30_000_000_000, "-30s"),
            ("0.5h0.5m", 1_830_000_000_000, "1830s"),
            ("0.1ns", 0, "0s"),
            ("0.9999999999999999s", 1_000_000_000, "1s"),
            ("1.00000000000000000000001h", 3_600_000_000_000, "3600s"),
            ("0.333333333333333333333h", 1_200_000_000_000, "1200s"),
            ("0.000000001s", 1, "0.000000001s"),
            ("100000h0.000000001s", 360_000_000_000_000_001, "360000000s"),
            ("2562047h47m16.854775807s", i64::MAX, "9223372036.854776s"),
            ("-2562047h47m16.854775808s", i64::MIN, "-9223372036.854776s"),
        ] {
            assert_eq!(parse(text), Some(nanoseconds), "{text}");
            assert_eq!(print(nanoseconds), printed);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "-",
            ".s",
            "1",
            "1d",
            "1 s",
            "s",
            "1s ",
            "1e3s",
            "1-1s",
            "--1s",
            "1h-1m",
            "3ns4",
            "1M",
            "1H",
            // Beyond 64 bits.
            "2562047h47m16.854775808s",
            "9223372036854775808ns",
            "-9223372036854775809ns",
            "99999999999999999999s",
            "2562047h2562047h",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn whole_nanoseconds_are_read_as_written(nanoseconds: i64) {
            prop_assert_eq!(parse(&format!("{nanoseconds}ns")), Some(nanoseconds));
        }

        /// A double keeps 15 digits, so up to eleven days are printed to the nanosecond.
        #[test]
        fn what_is_printed_is_read_again(nanoseconds in -1_000_000_000_000_000..1_000_000_000_000_000_i64) {
            prop_assert_eq!(parse(&print(nanoseconds)), Some(nanoseconds));
        }
    }
}
