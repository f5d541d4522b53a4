//! Doubles as `format` writes them: with the groups of digits and powers of ten of American English.

/// With digits in groups of three, and as many behind the point as `precision` says; halves go to the even digit.
pub(super) fn fixed(number: f64, precision: usize) -> String {
    if let Some(special) = special(number) {
        return special.to_owned();
    }
    // Zero has no sign, but what is rounded to zero has.
    let text = format!("{:.precision$}", if number == 0.0 { 0.0 } else { number });
    let (sign, digits) = text.strip_prefix('-').map_or(("", &*text), |digits| ("-", digits));
    let (whole, fraction) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let mut grouped = String::with_capacity(text.len() + whole.len() / 3);
    grouped.push_str(sign);
    for (index, digit) in whole.char_indices() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + fraction
}

/// With six digits behind the point and a power of ten, filled with spaces on the left up to `width` characters.
pub(super) fn scientific(number: f64, width: usize) -> String {
    let text = special(number).map_or_else(|| power_of_ten(number), str::to_owned);
    format!("{text:>width$}")
}

fn power_of_ten(number: f64) -> String {
    let text = format!("{:.6e}", if number == 0.0 { 0.0 } else { number });
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(("", exponent), |exponent| ("⁻", exponent));
    let exponent = format!("{exponent:0>2}").bytes().map(superscript).collect::<String>();
    format!("{digits}×10{sign}{exponent}")
}

const fn superscript(digit: u8) -> char {
    match digit {
        b'1' => '¹',
        b'2' => '²',
        b'3' => '³',
        b'4' => '⁴',
        b'5' => '⁵',
        b'6' => '⁶',
        b'7' => '⁷',
        b'8' => '⁸',
        b'9' => '⁹',
        _ => '⁰',
    }
}

fn special(number: f64) -> Option<&'static str> {
    if number.is_nan() {
        Some("NaN")
    } else if number.is_infinite() {
        Some(if number > 0.0 { "∞" } else { "-∞" })
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_doubles_have_groups() {
        for (number, precision, expected) in [
            (0.0, 6, "0.000000"),
            (-0.0, 6, "0.000000"),
            (-0.0001, 3, "-0.000"),
            (100.0, 3, "100.000"),
            (999.999_999_9, 6, "1,000.000000"),
            (1_234_567.891, 6, "1,234,567.891000"),
            (-1_234_567.891, 2, "-1,234,567.89"),
            (123_456.0, 0, "123,456"),
            (-123_456.0, 0, "-123,456"),
            (1e21, 6, "1,000,000,000,000,000,000,000.000000"),
            (123_456_789_012_345_678.0, 3, "123,456,789,012,345,680.000"),
            (5e-7, 6, "0.000000"),
            (0.5, 0, "0"),
            (1.5, 0, "2"),
            (2.5, 0, "2"),
            (0.125, 2, "0.12"),
            (0.375, 2, "0.38"),
            (2.675, 2, "2.67"),
            (1.005, 2, "1.00"),
            (0.1, 20, "0.10000000000000000555"),
            (0.1, 60, "0.100000000000000005551115123125782702118158340454101562500000"),
            (f64::NAN, 6, "NaN"),
            (f64::INFINITY, 6, "∞"),
            (f64::NEG_INFINITY, 6, "-∞"),
        ] {
            assert_eq!(fixed(number, precision), expected, "{number} with {precision}");
        }
    }

    #[test]
    fn scientific_doubles_have_powers_of_ten() {
        for (number, width, expected) in [
            (0.0, 6, "0.000000×10⁰⁰"),
            (-0.0, 6, "0.000000×10⁰⁰"),
            (1234.5, 6, "1.234500×10⁰³"),
            (1234.5, 0, "1.234500×10⁰³"),
            (-1_234.567_8, 6, "-1.234568×10⁰³"),
            (9.999_999_9, 6, "1.000000×10⁰¹"),
            (1e100, 3, "1.000000×10¹⁰⁰"),
            (1e-100, 3, "1.000000×10⁻¹⁰⁰"),
            (1.5e-7, 3, "1.500000×10⁻⁰⁷"),
            (2.3e45, 6, "2.300000×10⁴⁵"),
            (6.7e89, 6, "6.700000×10⁸⁹"),
            (0.1, 20, "      1.000000×10⁻⁰¹"),
            (f64::NAN, 6, "   NaN"),
            (f64::INFINITY, 6, "     ∞"),
            (f64::NEG_INFINITY, 6, "    -∞"),
        ] {
            assert_eq!(scientific(number, width), expected, "{number} with {width}");
        }
    }
}
