//! Dates and times (RFC 3339) as kube-apiserver takes them.

/// A `full-date` of RFC 3339, 5.6, from the year 0 to 9999.
pub(super) fn is_date(text: &str) -> bool {
    let octets = text.as_bytes();
    let places = octets.iter().enumerate();
    let shaped = octets.len() == 10
        && places
            .into_iter()
            .all(|(place, octet)| if matches!(place, 4 | 7) { *octet == b'-' } else { octet.is_ascii_digit() });
    shaped && text.parse::<jiff::civil::Date>().is_ok()
}

/// A `date-time` of RFC 3339, 5.6, as kube-apiserver takes it: no leap second, any sign before the fraction, any offset
/// of the right shape, and whatever follows a second `T`.
pub(super) fn is_date_time(text: &str) -> bool {
    let mut parts = text.split(['T', 't']);
    let (Some(date), Some(time)) = (parts.next(), parts.next()) else {
        return false;
    };
    is_date(date) && is_time(time)
}

fn is_time(text: &str) -> bool {
    let mut rest = text;
    for (place, most) in [23, 59, 59].into_iter().enumerate() {
        if place > 0 {
            match rest.strip_prefix(':') {
                Some(after) => rest = after,
                None => return false,
            }
        }
        match two_digits(rest) {
            Some((number, after)) if number <= most => rest = after,
            _ => return false,
        }
    }
    is_offset(rest) || without_fraction(rest).is_some_and(is_offset)
}

/// What follows one character that is no line feed and at least one digit.
fn without_fraction(text: &str) -> Option<&str> {
    let mut characters = text.chars();
    characters.next().filter(|first| *first != '\n')?;
    let digits = characters.as_str();
    let rest = digits.trim_start_matches(|digit: char| digit.is_ascii_digit());
    (rest.len() < digits.len()).then_some(rest)
}

fn is_offset(text: &str) -> bool {
    if text.eq_ignore_ascii_case("z") {
        return true;
    }
    let Some((_, rest)) = text.strip_prefix(['+', '-']).and_then(two_digits) else {
        return false;
    };
    rest.strip_prefix(':').and_then(two_digits).is_some_and(|(_, rest)| rest.is_empty())
}

fn two_digits(text: &str) -> Option<(u8, &str)> {
    let (digits, rest) = text.split_at_checked(2)?;
    let number = digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok())??;
    Some((number, rest))
}
