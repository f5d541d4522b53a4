//! One JWK (RFC 7517 4, RFC 7518 6, RFC 8037 2) to a key that can verify, or the reason why not.

use aws_lc_rs::{
    rsa::PublicKeyComponents,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519, ParsedPublicKey,
        RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
        RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, VerificationAlgorithm,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    Algorithm, DroppedKey, Json, Key, KeyId, Object,
    weakness::{self, Weakness},
};

/// Why a key is left out of its set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DropReason {
    /// The entry is not an object, or a member has a type that RFC 7517 does not give it.
    #[error("{0}")]
    Malformed(&'static str),
    /// The issuer publishes a private key. That is an incident: the key is known to everybody.
    #[error("the set publishes its private part; the identity provider must replace this key")]
    PrivateKey,
    /// A shared secret in a public document.
    #[error("it is a symmetric key; the identity provider must replace it")]
    SymmetricKey,
    /// A type or curve that signs no token of ours.
    #[error("keys of this type or curve verify no accepted algorithm")]
    UnsupportedType,
    /// `use` or `key_ops` say that it does not verify.
    #[error("it is not for verifying signatures (\"use\" or \"key_ops\")")]
    NotForSignatures,
    /// `alg` is none of ours or not one of this type.
    #[error("its \"alg\" is not one that a key of this type verifies here")]
    UnsuitableAlgorithm,
    /// RSA outside 2048 to 8192 bits, or an exponent that is even, below 3 or above 33 bits (RFC 7518 3.3).
    #[error("RSA key of {bits} bits or with an unusable exponent; 2048 to 8192 bits are accepted")]
    WeakRsa {
        /// Bits of the modulus.
        bits: usize,
    },
    /// Made by the flawed library of CVE-2017-15361 (ROCA): anybody can compute the private part.
    #[error("its private part can be computed (CVE-2017-15361, ROCA); the identity provider must replace this key")]
    Roca,
    /// The modulus has a small factor: it is damaged, or was made to be broken.
    #[error("its modulus has a small factor; the identity provider must replace this key")]
    SmallFactor,
    /// Not a point on the curve, a coordinate of the wrong length, or a point of small order.
    #[error("it is not a valid point on its curve")]
    InvalidPoint,
}

/// Members that only a private or symmetric key has (RFC 7518 6.2.2, 6.3.2).
const PRIVATE_MEMBERS: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "oth"];

/// Largest modulus that is decoded at all.
const MAX_RSA_BITS: usize = 8192;
/// RFC 7518 3.3: 2048 or more.
const MIN_RSA_BITS: usize = 2048;
/// aws-lc accepts exponents up to 33 bits, which bounds the cost of a verification.
const MAX_EXPONENT_BITS: usize = 33;

/// Reads one entry of `keys`.
pub(super) fn parse(entry: &Json) -> Result<Key, DroppedKey> {
    let Json::Object(jwk) = entry else {
        return Err(DroppedKey { key_id: None, reason: DropReason::Malformed("it is not an object") });
    };
    let id = match jwk.get("kid") {
        None => Ok(None),
        Some(Json::String(id)) => KeyId::new(id).map(Some).ok_or(DropReason::Malformed("its \"kid\" is too long")),
        Some(_) => Err(DropReason::Malformed("its \"kid\" is not a string")),
    };
    let (id, usable) = match id {
        Ok(id) => (id, usable(jwk)),
        Err(reason) => (None, Err(reason)),
    };
    match usable {
        Ok((material, verifiers)) => Ok(Key { id, verifiers, material }),
        Err(reason) => Err(DroppedKey { key_id: id, reason }),
    }
}

type Verifiers = Vec<(Algorithm, ParsedPublicKey)>;

fn usable(jwk: &Object) -> Result<(Vec<u8>, Verifiers), DropReason> {
    let kind = text(jwk, "kty")?.ok_or(DropReason::Malformed("it has no \"kty\""))?;
    if kind == "oct" || jwk.get("k").is_some() {
        return Err(DropReason::SymmetricKey);
    }
    if PRIVATE_MEMBERS.iter().any(|member| jwk.get(member).is_some()) {
        return Err(DropReason::PrivateKey);
    }
    check_purpose(jwk)?;
    let own = match text(jwk, "alg")? {
        None => None,
        Some(name) => Some(Algorithm::from_name(name).ok_or(DropReason::UnsuitableAlgorithm)?),
    };
    match (kind, text(jwk, "crv")?) {
        ("RSA", _) => rsa(jwk, own),
        ("EC", Some("P-256")) => curve(jwk, own, Algorithm::ES256, &ECDSA_P256_SHA256_FIXED, 32),
        ("EC", Some("P-384")) => curve(jwk, own, Algorithm::ES384, &ECDSA_P384_SHA384_FIXED, 48),
        ("EC", Some("P-521")) => curve(jwk, own, Algorithm::ES512, &ECDSA_P521_SHA512_FIXED, 66),
        ("OKP", Some("Ed25519")) => ed25519(jwk, own),
        _ => Err(DropReason::UnsupportedType),
    }
}

/// RFC 7517 4.2 and 4.3: both optional; where present they must allow verifying.
fn check_purpose(jwk: &Object) -> Result<(), DropReason> {
    if text(jwk, "use")?.is_some_and(|purpose| purpose != "sig") {
        return Err(DropReason::NotForSignatures);
    }
    match jwk.get("key_ops") {
        None => Ok(()),
        Some(Json::Array(operations)) if operations.iter().any(|operation| operation.as_str() == Some("verify")) => {
            Ok(())
        }
        Some(Json::Array(_)) => Err(DropReason::NotForSignatures),
        Some(_) => Err(DropReason::Malformed("its \"key_ops\" is not a list")),
    }
}

fn rsa(jwk: &Object, own: Option<Algorithm>) -> Result<(Vec<u8>, Verifiers), DropReason> {
    const FAMILY: [(Algorithm, &RsaParameters); 6] = [
        (Algorithm::RS256, &RSA_PKCS1_2048_8192_SHA256),
        (Algorithm::RS384, &RSA_PKCS1_2048_8192_SHA384),
        (Algorithm::RS512, &RSA_PKCS1_2048_8192_SHA512),
        (Algorithm::PS256, &RSA_PSS_2048_8192_SHA256),
        (Algorithm::PS384, &RSA_PSS_2048_8192_SHA384),
        (Algorithm::PS512, &RSA_PSS_2048_8192_SHA512),
    ];
    let n = unsigned(jwk, "n")?;
    let e = unsigned(jwk, "e")?;
    let bits = bit_length(&n);
    let exponent = bit_length(&e);
    let odd = |number: &[u8]| number.last().is_some_and(|byte| byte & 1 == 1);
    if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits)
        || !(2..=MAX_EXPONENT_BITS).contains(&exponent)
        || !odd(&e)
        || !odd(&n)
    {
        return Err(DropReason::WeakRsa { bits });
    }
    match weakness::of_modulus(&n) {
        Some(Weakness::Roca) => return Err(DropReason::Roca),
        Some(Weakness::SmallFactor) => return Err(DropReason::SmallFactor),
        None => {}
    }
    let components = PublicKeyComponents { n: &n, e: &e };
    let mut verifiers = Vec::new();
    for (algorithm, parameters) in FAMILY {
        if own.is_none_or(|own| own == algorithm) {
            let key = components.to_parsed_public_key(parameters).map_err(|_| DropReason::WeakRsa { bits })?;
            verifiers.push((algorithm, key));
        }
    }
    if verifiers.is_empty() {
        return Err(DropReason::UnsuitableAlgorithm);
    }
    // With the length of n, so that no other pair runs together to the same bytes.
    let mut material = (n.len() as u64).to_be_bytes().to_vec();
    material.extend(&n);
    material.extend(&e);
    Ok((material, verifiers))
}

fn curve(
    jwk: &Object,
    own: Option<Algorithm>,
    algorithm: Algorithm,
    verification: &'static dyn VerificationAlgorithm,
    coordinate: usize,
) -> Result<(Vec<u8>, Verifiers), DropReason> {
    if own.is_some_and(|own| own != algorithm) {
        return Err(DropReason::UnsuitableAlgorithm);
    }
    let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
    // RFC 7518 6.2.1.2: the full length of a field element, leading zeros included.
    if x.len() != coordinate || y.len() != coordinate {
        return Err(DropReason::InvalidPoint);
    }
    let point = [&[4], x.as_slice(), y.as_slice()].concat();
    let key = ParsedPublicKey::new(verification, &point).map_err(|_| DropReason::InvalidPoint)?;
    Ok((point, vec![(algorithm, key)]))
}

fn ed25519(jwk: &Object, own: Option<Algorithm>) -> Result<(Vec<u8>, Verifiers), DropReason> {
    if own.is_some_and(|own| own != Algorithm::EdDSA) {
        return Err(DropReason::UnsuitableAlgorithm);
    }
    let point = bytes(jwk, "x")?;
    if point.len() != 32 || has_small_order(&point) {
        return Err(DropReason::InvalidPoint);
    }
    let key = ParsedPublicKey::new(&ED25519, &point).map_err(|_| DropReason::InvalidPoint)?;
    Ok((point, vec![(Algorithm::EdDSA, key)]))
}

/// Whether the point has an order of 1, 2, 4 or 8: with such a key one signature verifies many messages (RFC 8032 8.9).
/// These are the y coordinates of all eight points in every encoding; the sign of x, the highest bit, does not matter.
fn has_small_order(point: &[u8]) -> bool {
    const ORDER_8: [[u8; 32]; 2] = [
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
            0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
            0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
        ],
    ];
    let mut y = point.to_vec();
    y[31] &= 0x7f;
    let all = |from: usize, value: u8| y[from..31].iter().all(|byte| *byte == value);
    let zero_or_one = y[0] <= 1 && all(1, 0) && y[31] == 0;
    // p - 1, p and p + 1, for p = 2^255 - 19.
    let around_p = (0xec..=0xee).contains(&y[0]) && all(1, 0xff) && y[31] == 0x7f;
    zero_or_one || around_p || ORDER_8.iter().any(|known| *known == y.as_slice())
}

fn text<'a>(jwk: &'a Object, member: &'static str) -> Result<Option<&'a str>, DropReason> {
    match jwk.get(member) {
        None => Ok(None),
        Some(Json::String(text)) => Ok(Some(text)),
        Some(_) => Err(DropReason::Malformed("a member that must be a string is not")),
    }
}

fn bytes(jwk: &Object, member: &'static str) -> Result<Vec<u8>, DropReason> {
    let text = text(jwk, member)?.ok_or(DropReason::Malformed("a member of the public key is missing"))?;
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| DropReason::Malformed("a member of the public key is not unpadded base64url"))
}

/// A number without the leading zero bytes that some providers write against RFC 7518 2.
fn unsigned(jwk: &Object, member: &'static str) -> Result<Vec<u8>, DropReason> {
    let mut number = bytes(jwk, member)?;
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.drain(..zeros);
    Ok(number)
}

fn bit_length(number: &[u8]) -> usize {
    number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}
