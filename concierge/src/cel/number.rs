//! Doubles as text, as Go writes and reads them.

/// The power of ten from which on Go writes an exponent.
const EXPONENT_FROM: i32 = 6;

/// The shortest text that reads back as `number` (Go's `%g`): an exponent below 10^-4 and from 10^6 on.
pub(super) fn format_double(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..EXPONENT_FROM).contains(&exponent) {
        return format!("{number}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// A double as Go's `strconv.ParseFloat` reads it in decimal; too large a number is none.
pub(super) fn parse_double(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned.eq_ignore_ascii_case("nan") {
        return (unsigned.len() == text.len()).then_some(f64::NAN);
    }
    let number: f64 = text.parse().ok()?;
    let infinite = unsigned.eq_ignore_ascii_case("inf") || unsigned.eq_ignore_ascii_case("infinity");
    (number.is_finite() || infinite).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_written_as_in_go() {
        for (number, text) in [
            (1.0, "1"),
            (-0.0, "-0"),
            (1.5, "1.5"),
            (123_456.0, "123456"),
            (1_234_567.0, "1.234567e+06"),
            (12_345_678_901_234.0, "1.2345678901234e+13"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (-2.5e-7, "-2.5e-07"),
            (1e100, "1e+100"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(format_double(number), text);
        }
    }

    #[test]
    fn doubles_are_read_as_in_go() {
        for (text, number) in [("1", 1.0), ("-1.5e3", -1500.0), (".5", 0.5), ("5.", 5.0), ("+2", 2.0)] {
            assert_eq!(parse_double(text), Some(number), "{text}");
        }
        assert_eq!(parse_double("-Infinity"), Some(f64::NEG_INFINITY));
        assert!(parse_double("NaN").is_some_and(f64::is_nan));
        for text in ["", " 1", "1 ", "1e400", "-nan", "1_0", "e5", "one", "0x"] {
            assert_eq!(parse_double(text), None, "{text}");
        }
    }
}
