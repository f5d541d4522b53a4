//! RSA moduli that their owners should not have: telltale residues modulo small primes, looked at once when keys load.

/// The odd primes that the flawed library of CVE-2017-15361 built its primes from: each of its moduli is a power of 65537
/// modulo every one of them (Nemec et al., "The Return of Coppersmith's Attack", 2017, section 2.4).
const PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109,
    113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// What the residues say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weakness {
    /// A small prime divides the modulus: it was never the product of two large ones.
    SmallFactor,
    /// The modulus has the fingerprint of ROCA. An honest one has it by chance once in more than 2^27.
    Roca,
}

/// Looks at the modulus `n`, big-endian.
pub(super) fn of_modulus(n: &[u8]) -> Option<Weakness> {
    let residue = |prime: u32| n.iter().fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % prime);
    if PRIMES.into_iter().any(|prime| residue(prime) == 0) {
        return Some(Weakness::SmallFactor);
    }
    PRIMES.into_iter().all(|prime| is_power_of_65537(residue(prime), prime)).then_some(Weakness::Roca)
}

/// Whether `residue` is among 65537^0, 65537^1, ... modulo `prime`: at most `prime` steps until the powers repeat.
fn is_power_of_65537(residue: u32, prime: u32) -> bool {
    std::iter::successors(Some(1), |power| Some(power * (65_537 % prime) % prime).filter(|next| *next != 1))
        .any(|power| power == residue)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 65537^`exponent` times `factor`, big-endian.
    fn power(exponent: usize, factor: u8) -> Vec<u8> {
        let mut number = vec![factor];
        for _ in 0..exponent {
            // n * 65537 = n shifted by two bytes, plus n.
            let mut carry = 0;
            let mut product = Vec::with_capacity(number.len() + 3);
            for position in 0..number.len() + 2 {
                let shifted = position.checked_sub(2).and_then(|low| number.get(low)).copied().unwrap_or(0);
                let sum = u16::from(shifted) + u16::from(number.get(position).copied().unwrap_or(0)) + carry;
                product.push(sum.to_le_bytes()[0]);
                carry = sum >> 8;
            }
            product.push(u8::try_from(carry).unwrap());
            while product.last() == Some(&0) {
                product.pop();
            }
            number = product;
        }
        number.reverse();
        number
    }

    #[test]
    fn the_powers_are_computed_right() {
        assert_eq!(power(1, 1), [1, 0, 1]);
        assert_eq!(power(2, 1), [1, 0, 2, 0, 1]);
        assert_eq!(power(1, 200), [200, 0, 200]);
    }

    #[test]
    fn a_modulus_of_the_flawed_kind_is_known() {
        for exponent in [1, 2, 77, 128, 255] {
            assert_eq!(of_modulus(&power(exponent, 1)), Some(Weakness::Roca), "65537^{exponent}");
        }
    }

    #[test]
    fn other_moduli_are_not_taken_for_it() {
        // The same numbers, doubled: 2 is no power of 65537 modulo every one of the primes.
        for exponent in [1, 2, 77, 128, 255] {
            assert_eq!(of_modulus(&power(exponent, 2)), None, "2 * 65537^{exponent}");
        }
        // Mersenne's 2^127 - 1, a prime.
        assert_eq!(of_modulus(&[&[0x7f][..], &[0xff; 15]].concat()), None);
    }

    #[test]
    fn a_small_factor_shows() {
        for prime in [3_u8, 5, 149, 167] {
            assert_eq!(of_modulus(&power(128, prime)), Some(Weakness::SmallFactor), "{prime}");
        }
    }

    #[test]
    fn the_primes_are_those_below_168() {
        let is_prime = |n: &u32| (2..*n).all(|d| !n.is_multiple_of(d));
        assert_eq!((3..168).filter(is_prime).collect::<Vec<_>>(), PRIMES);
    }
}
