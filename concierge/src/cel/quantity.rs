//! Numbers with units as Kubernetes writes them (`resource.Quantity`): `100m`, `1.5Gi`, `12e6`.
//!
//! Kubernetes keeps a number of up to 18 digits as a machine word with a decimal exponent and any other as a big one,
//! and lets it be seen: only the first kind can be an integer. So the two kinds are told apart here too.

mod float;
mod text;

use std::cmp::Ordering;

use num_bigint::{BigInt, Sign};

use super::{Budget, EvaluationError, Opaque};

/// Decimal digits that a number may have once its exponent is taken out. Kubernetes has no such limit and computes
/// `1e2000000000 + 1` until it is out of memory; amounts of bytes and CPU have no more than thirty.
const MAX_DIGITS: u32 = 1_000;
/// Bits of a number of that many digits: log2(10) is a little less than 10/3.
const MAX_BITS: u32 = MAX_DIGITS * 10 / 3;
/// Bytes of such a number.
const MAX_BYTES: usize = (MAX_BITS / 8 + 1) as usize;

/// An amount: `value` times ten to the `exponent`.
#[derive(Clone, Debug)]
pub(super) enum Quantity {
    /// What fits into a machine word.
    Word { value: i64, exponent: i64 },
    /// Any other, and what was computed from one.
    Big { value: BigInt, exponent: i64 },
}

// === impl Quantity ===

impl Quantity {
    /// A whole number.
    pub(super) const fn from_integer(value: i64) -> Self {
        Self::Word { value, exponent: 0 }
    }

    /// The whole number that this is, if it is kept in a machine word and is one without looking at its digits:
    /// `1.0` is kept as 10 tenths, so it is none.
    pub(super) fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Word { value: 0, exponent: 1.. } => Some(0),
            Self::Word { value, exponent } => 10_i64.checked_pow(u32::try_from(*exponent).ok()?)?.checked_mul(*value),
            Self::Big { .. } => None,
        }
    }

    /// -1, 0 or 1.
    pub(super) fn sign(&self) -> i64 {
        match self {
            Self::Word { value, .. } => value.signum(),
            Self::Big { value, .. } => match value.sign() {
                Sign::Minus => -1,
                Sign::NoSign => 0,
                Sign::Plus => 1,
            },
        }
    }

    /// The sum. Pays before it adds.
    ///
    /// # Errors
    /// [`EvaluationError::TooLarge`] beyond [`MAX_DIGITS`], and the budget's.
    pub(super) fn plus(&self, other: &Self, budget: &mut Budget) -> Result<Self, EvaluationError> {
        budget.spend(1)?;
        if let (Self::Word { value, exponent }, Self::Word { value: more, exponent: place }) = (self, other)
            && let Some(sum) = add_words((*value, *exponent), (*more, *place))
        {
            return Ok(sum);
        }
        budget.build(2 * MAX_BYTES)?;
        let ((left, left_place), (right, right_place)) = (self.as_big(), other.as_big());
        let place = left_place.min(right_place);
        let sum = shifted(left, left_place - place)? + shifted(right, right_place - place)?;
        within_limit(sum).map(|value| Self::Big { value, exponent: place })
    }

    /// The difference. Pays before it subtracts.
    ///
    /// # Errors
    /// As [`Quantity::plus`].
    pub(super) fn minus(&self, other: &Self, budget: &mut Budget) -> Result<Self, EvaluationError> {
        budget.build(size_of::<Self>())?;
        let negative = match other {
            Self::Word { value, exponent } => match value.checked_neg() {
                Some(value) => Self::Word { value, exponent: *exponent },
                None => Self::Big { value: -BigInt::from(*value), exponent: *exponent },
            },
            Self::Big { value, exponent } => {
                budget.build(MAX_BYTES)?;
                Self::Big { value: -value, exponent: *exponent }
            }
        };
        self.plus(&negative, budget)
    }

    /// Value and exponent, whatever kind this is.
    fn as_big(&self) -> (BigInt, i64) {
        match self {
            Self::Word { value, exponent } => (BigInt::from(*value), *exponent),
            Self::Big { value, exponent } => (value.clone(), *exponent),
        }
    }
}

/// By amount: `1.0` and `1` are equal.
impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        let signs = self.sign().cmp(&other.sign());
        if signs.is_ne() || self.sign() == 0 {
            return signs;
        }
        let ((left, left_place), (right, right_place)) = (self.as_big(), other.as_big());
        if left_place == right_place {
            return left.cmp(&right);
        }
        // Where the first digit stands decides, so that no exponent is ever written out.
        let heights = (digits(&left) + left_place).cmp(&(digits(&right) + right_place));
        let magnitudes = heights.then_with(|| {
            let place = left_place.min(right_place);
            let padded = |value: &BigInt, exponent: i64| value.magnitude() * power_of_ten(exponent - place);
            padded(&left, left_place).cmp(&padded(&right, right_place))
        });
        if self.sign() < 0 { magnitudes.reverse() } else { magnitudes }
    }
}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Quantity {}

impl Opaque for Quantity {
    fn type_name(&self) -> &'static str {
        "kubernetes.Quantity"
    }

    fn size(&self) -> usize {
        match self {
            Self::Word { .. } => size_of::<Self>(),
            Self::Big { .. } => MAX_BYTES,
        }
    }

    fn equals(&self, other: &dyn Opaque) -> bool {
        other.downcast::<Self>() == Some(self)
    }
}

/// The sum of two machine words with their exponents; `None` if it is no machine word at the lower exponent.
fn add_words(left: (i64, i64), right: (i64, i64)) -> Option<Quantity> {
    let (value, exponent) = match (left, right) {
        // Nothing is added: the exponent of the other stays.
        (left, (0, _)) => left,
        ((0, _), right) => right,
        ((left, high), (right, low)) | ((right, low), (left, high)) if high >= low => {
            let scale = 10_i64.checked_pow(u32::try_from(high - low).ok()?)?;
            (left.checked_mul(scale)?.checked_add(right)?, low)
        }
        _ => return None,
    };
    Some(Quantity::Word { value, exponent })
}

/// `value` times ten to the `places`, within the limit.
fn shifted(value: BigInt, places: i64) -> Result<BigInt, EvaluationError> {
    if value.sign() == Sign::NoSign || places == 0 {
        return Ok(value);
    }
    if places > i64::from(MAX_DIGITS) {
        return Err(EvaluationError::TooLarge);
    }
    within_limit(value * BigInt::from(power_of_ten(places)))
}

fn within_limit(value: BigInt) -> Result<BigInt, EvaluationError> {
    if value.bits() > u64::from(MAX_BITS) { Err(EvaluationError::TooLarge) } else { Ok(value) }
}

/// Ten to the `places`, which are neither negative nor more than twice [`MAX_DIGITS`].
fn power_of_ten(places: i64) -> num_bigint::BigUint {
    num_bigint::BigUint::from(10_u8).pow(u32::try_from(places).expect("a small number of places"))
}

/// How many decimal digits `value` has.
fn digits(value: &BigInt) -> i64 {
    i64::try_from(value.magnitude().to_str_radix(10).len()).expect("a thousand digits")
}

#[cfg(test)]
mod tests;
