//! A span of time as it is typed: a whole number and its unit.

use std::{str::FromStr, time::Duration};

/// A span of time as it is typed. A number without a unit is refused: seconds and milliseconds are too easily confused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span(pub(super) Duration);

impl FromStr for Span {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected a whole number with a unit: ms, s, m, h or d";
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: u32 = number.parse().map_err(|_| EXPECTED)?;
        match unit {
            "ms" => Ok(Self(Duration::from_millis(number.into()))),
            "s" => Ok(Self(Duration::from_secs(number.into()))),
            "m" => Ok(Self(Duration::from_mins(number.into()))),
            "h" => Ok(Self(Duration::from_hours(number.into()))),
            "d" => Ok(Self(Duration::from_hours(u64::from(number) * 24))),
            _ => Err(EXPECTED),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_need_a_unit() {
        assert_eq!("1500ms".parse(), Ok(Span(Duration::from_millis(1_500))));
        assert_eq!("2m".parse(), Ok(Span(Duration::from_mins(2))));
        assert_eq!("168h".parse(), Ok(Span(Duration::from_hours(7 * 24))));
        assert_eq!("24h".parse::<Span>(), "1d".parse());
        for wrong in ["", "5", "s", "-1s", "1.5s", "1w", "99999999999s"] {
            assert!(wrong.parse::<Span>().is_err(), "{wrong:?}");
        }
    }
}
