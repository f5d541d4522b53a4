//! Reading a quantity: a number, then a suffix or an exponent.

use num_bigint::{BigInt, BigUint};

use super::{MAX_BYTES, MAX_DIGITS, Quantity, power_of_ten, shifted};
use crate::cel::{Budget, EvaluationError};

const UNREADABLE: EvaluationError = EvaluationError::Unreadable("quantity");

/// Nothing smaller than a billionth is kept.
const NANO: i64 = -9;
/// Digits that surely fit into a machine word.
const WORD_DIGITS: usize = 18;
/// Digits that a number before a binary suffix may have, that of the suffix included, to be kept in a machine word.
const BINARY_WORD_DIGITS: usize = 14;

/// What stands behind the number.
#[derive(Clone, Copy)]
enum Unit {
    /// Times ten to the power of this.
    Decimal(i64),
    /// Times two to the power of this.
    Binary(u32),
}

/// A text taken apart.
struct Written<'a> {
    negative: bool,
    /// Digits before the point, without leading zeros.
    whole: &'a str,
    fraction: &'a str,
    /// Whether there is any digit at all, leading zeros included.
    has_digits: bool,
    unit: Unit,
}

impl Quantity {
    /// Reads a quantity, and pays for it.
    ///
    /// As in Kubernetes a text without digits is zero (`k`, `.`), except where its unit makes it a big number (`Ei`).
    /// What is below a billionth is rounded away from zero, and with a binary suffix the greatest number is 2^63 - 1.
    /// Unlike there an exponent of more than 32 bits is refused, not cut off.
    ///
    /// # Errors
    /// [`EvaluationError::Unreadable`], [`EvaluationError::TooLarge`] beyond [`MAX_DIGITS`], and the budget's.
    pub(in crate::cel) fn parse(text: &str, budget: &mut Budget) -> Result<Self, EvaluationError> {
        budget.scan(text.len())?;
        let written = Written::read(text).ok_or(UNREADABLE)?;
        budget.build(size_of::<Self>())?;
        match written.word() {
            Some(word) => Ok(word),
            None if !written.has_digits => Err(UNREADABLE),
            None => {
                budget.build(2 * MAX_BYTES)?;
                written.big()
            }
        }
    }
}

impl<'a> Written<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (negative, rest) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (whole, rest) = split_digits(rest);
        let (fraction, rest) = rest.strip_prefix('.').map_or(("", rest), split_digits);
        let has_digits = !(whole.is_empty() && fraction.is_empty());
        Some(Self { negative, whole: whole.trim_start_matches('0'), fraction, has_digits, unit: Unit::read(rest)? })
    }

    /// The number as a machine word, where Kubernetes keeps it in one.
    fn word(&self) -> Option<Quantity> {
        // A bare zero counts as a digit.
        let digits = self.whole.len().max(1) + self.fraction.len();
        let (exponent, factor, fits) = match self.unit {
            Unit::Decimal(exponent) => (exponent, 1, digits <= WORD_DIGITS),
            // Three digits for each of the ten bits of a step.
            Unit::Binary(bits) => {
                (0, 1 << bits, self.fraction.is_empty() && digits + bits as usize * 3 / 10 <= BINARY_WORD_DIGITS)
            }
        };
        let exponent = exponent - i64::try_from(self.fraction.len()).ok()?;
        if !fits || exponent < NANO {
            return None;
        }
        let number = self
            .digits()
            .try_fold(0_i64, |number, digit| number.checked_mul(10)?.checked_add(i64::from(digit - b'0')))?;
        let value = number.checked_mul(factor)?;
        Some(Quantity::Word { value: if self.negative { -value } else { value }, exponent })
    }

    /// The number as a big one: in billionths, or as it was written if it is zero.
    fn big(&self) -> Result<Quantity, EvaluationError> {
        let digits: Vec<u8> = self.digits().collect();
        if digits.len() > MAX_DIGITS as usize {
            return Err(EvaluationError::TooLarge);
        }
        let (exponent, factor, greatest) = match self.unit {
            Unit::Decimal(exponent) => (exponent, BigUint::from(1_u8), None),
            Unit::Binary(bits) => (0, BigUint::from(1_u8) << bits, Some(BigUint::from(i64::MAX.cast_unsigned()))),
        };
        let number = BigUint::parse_bytes(&digits, 10).unwrap_or_default() * factor;
        let exponent = exponent - i64::try_from(self.fraction.len()).map_err(|_| UNREADABLE)?;
        let (mut value, mut exponent) = (BigInt::from(number), exponent);
        if value != BigInt::ZERO {
            value = if exponent < NANO { rounded_up(value, NANO - exponent) } else { shifted(value, exponent - NANO)? };
            exponent = NANO;
        }
        if let Some(greatest) = greatest
            && *value.magnitude() > greatest.clone() * power_of_ten(-NANO)
        {
            (value, exponent) = (greatest.into(), 0);
        }
        Ok(Quantity::Big { value: if self.negative { -value } else { value }, exponent })
    }

    fn digits(&self) -> impl Iterator<Item = u8> {
        self.whole.bytes().chain(self.fraction.bytes())
    }
}

impl Unit {
    fn read(suffix: &str) -> Option<Self> {
        Some(match suffix {
            "n" => Self::Decimal(-9),
            "u" => Self::Decimal(-6),
            "m" => Self::Decimal(-3),
            "" => Self::Decimal(0),
            "k" => Self::Decimal(3),
            "M" => Self::Decimal(6),
            "G" => Self::Decimal(9),
            "T" => Self::Decimal(12),
            "P" => Self::Decimal(15),
            "E" => Self::Decimal(18),
            "Ki" => Self::Binary(10),
            "Mi" => Self::Binary(20),
            "Gi" => Self::Binary(30),
            "Ti" => Self::Binary(40),
            "Pi" => Self::Binary(50),
            "Ei" => Self::Binary(60),
            _ => Self::Decimal(suffix.strip_prefix(['e', 'E'])?.parse::<i32>().ok()?.into()),
        })
    }
}

/// A number that is not negative, divided by ten to the `places`, with any remainder counted as one.
fn rounded_up(value: BigInt, places: i64) -> BigInt {
    if places > i64::from(MAX_DIGITS) {
        return BigInt::from(1);
    }
    let divisor = BigInt::from(power_of_ten(places));
    (value + &divisor - 1) / divisor
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}
