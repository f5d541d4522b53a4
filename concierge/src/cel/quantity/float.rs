//! A quantity as a double, with the very roundings of Go, since expressions compare the result.

use num_bigint::BigInt;

use super::Quantity;

impl Quantity {
    /// The double nearest to the number, times ten to its exponent; infinite where that does not fit, and not a number
    /// for zero with an exponent that does not.
    #[expect(clippy::cast_precision_loss, reason = "an approximation is what is asked for")]
    pub(in crate::cel) fn approximate(&self) -> f64 {
        let (base, exponent) = match self {
            Self::Word { value, exponent } => (*value as f64, *exponent),
            Self::Big { value, exponent } => (nearest(value), *exponent),
        };
        if exponent == 0 { base } else { base * power_of_ten(exponent) }
    }
}

/// The double nearest to a number, by way of its digits: the standard library reads them without error.
fn nearest(value: &BigInt) -> f64 {
    value.to_string().parse().unwrap_or(f64::NAN)
}

/// Ten to the `exponent` as Go computes it: exact for the powers that a double has, else the product or quotient of two.
fn power_of_ten(exponent: i64) -> f64 {
    let split = |exponent: u64| {
        let (steps, rest) = (exponent / 32, exponent % 32);
        Some((usize::try_from(steps).ok()?, *UNITS.get(usize::try_from(rest).ok()?)?))
    };
    let (steps, unit) = split(exponent.unsigned_abs()).unwrap_or((usize::MAX, 1.0));
    if exponent >= 0 {
        GREAT.get(steps).map_or(f64::INFINITY, |great| great * unit)
    } else {
        SMALL.get(steps).map_or(0.0, |small| small / unit)
    }
}

/// Ten to the 0 to 31.
const UNITS: [f64; 32] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22, 1e23, 1e24, 1e25, 1e26, 1e27, 1e28, 1e29, 1e30, 1e31,
];

/// Ten to the multiples of 32.
const GREAT: [f64; 10] = [1e0, 1e32, 1e64, 1e96, 1e128, 1e160, 1e192, 1e224, 1e256, 1e288];

/// One by them.
const SMALL: [f64; 11] = [1e0, 1e-32, 1e-64, 1e-96, 1e-128, 1e-160, 1e-192, 1e-224, 1e-256, 1e-288, 1e-320];
