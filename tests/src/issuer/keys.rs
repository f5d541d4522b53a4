//! The issuer's signing keys: every algorithm of RFC 7518 and RFC 8037 that an identity provider may use, and which keys it publishes.

use std::{str::FromStr, sync::Arc};

use anyhow::{Context as _, Result, anyhow, bail};
use aws_lc_rs::{
    encoding::AsDer as _,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING,
        EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
        RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
    },
};
use openidconnect::{
    JsonWebKeyId, PrivateSigningKey, SigningError,
    core::{CoreJsonCurveType, CoreJsonWebKey, CoreJwsSigningAlgorithm},
};
use serde_json::Value;

/// A signature algorithm by its JOSE name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the standard's")]
pub enum Algorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    ES512,
    EdDSA,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::ES512,
        Self::EdDSA,
    ];

    /// The name in a header's `alg`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::ES512 => "ES512",
            Self::EdDSA => "EdDSA",
        }
    }

    /// The same algorithm in the `openidconnect` crate's words.
    #[must_use]
    pub fn core(self) -> CoreJwsSigningAlgorithm {
        match self {
            Self::RS256 => CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
            Self::RS384 => CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
            Self::RS512 => CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
            Self::PS256 => CoreJwsSigningAlgorithm::RsaSsaPssSha256,
            Self::PS384 => CoreJwsSigningAlgorithm::RsaSsaPssSha384,
            Self::PS512 => CoreJwsSigningAlgorithm::RsaSsaPssSha512,
            Self::ES256 => CoreJwsSigningAlgorithm::EcdsaP256Sha256,
            Self::ES384 => CoreJwsSigningAlgorithm::EcdsaP384Sha384,
            Self::ES512 => CoreJwsSigningAlgorithm::EcdsaP521Sha512,
            Self::EdDSA => CoreJwsSigningAlgorithm::EdDsa,
        }
    }

    fn rsa_encoding(self) -> Option<&'static dyn RsaEncoding> {
        match self {
            Self::RS256 => Some(&RSA_PKCS1_SHA256),
            Self::RS384 => Some(&RSA_PKCS1_SHA384),
            Self::RS512 => Some(&RSA_PKCS1_SHA512),
            Self::PS256 => Some(&RSA_PSS_SHA256),
            Self::PS384 => Some(&RSA_PSS_SHA384),
            Self::PS512 => Some(&RSA_PSS_SHA512),
            Self::ES256 | Self::ES384 | Self::ES512 | Self::EdDSA => None,
        }
    }
}

impl FromStr for Algorithm {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
            .ok_or_else(|| anyhow!("no signature algorithm is called {name:?}"))
    }
}

/// A private key with its id and the algorithm that it is announced for.
pub struct SigningKey {
    kid: String,
    algorithm: Algorithm,
    material: Material,
}

enum Material {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    /// Makes a key; RSA keys have 2048 bits.
    ///
    /// # Errors
    /// If the random source fails.
    pub fn generate(algorithm: Algorithm, kid: &str) -> Result<Self> {
        let material = match algorithm {
            Algorithm::ES256 => Material::Ecdsa(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?),
            Algorithm::ES384 => Material::Ecdsa(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING)?),
            Algorithm::ES512 => Material::Ecdsa(EcdsaKeyPair::generate(&ECDSA_P521_SHA512_FIXED_SIGNING)?),
            Algorithm::EdDSA => Material::Ed25519(Ed25519KeyPair::generate()?),
            _ => Material::Rsa(RsaKeyPair::generate(KeySize::Rsa2048)?),
        };
        Ok(Self { kid: kid.to_owned(), algorithm, material })
    }

    /// The key's id.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// What the key is announced for.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Signs with an algorithm of the key's family: an RSA key signs with any RS or PS algorithm.
    ///
    /// # Errors
    /// If the algorithm is of another family.
    pub fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>> {
        match (&self.material, algorithm.rsa_encoding()) {
            (Material::Rsa(key), Some(encoding)) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(encoding, &SystemRandom::new(), message, &mut signature)?;
                Ok(signature)
            }
            (Material::Ecdsa(key), None) if algorithm == self.algorithm => {
                Ok(key.sign(&SystemRandom::new(), message)?.as_ref().to_vec())
            }
            (Material::Ed25519(key), None) if algorithm == self.algorithm => Ok(key.sign(message).as_ref().to_vec()),
            _ => bail!("a key for {} does not sign {}", self.algorithm.name(), algorithm.name()),
        }
    }

    /// The public key as a JWK.
    #[must_use]
    pub fn jwk(&self) -> CoreJsonWebKey {
        let kid = Some(JsonWebKeyId::new(self.kid.clone()));
        match &self.material {
            Material::Rsa(key) => {
                let public = key.public_key();
                let [modulus, exponent] = [public.modulus(), public.exponent()]
                    .map(|number| number.big_endian_without_leading_zero().to_vec());
                CoreJsonWebKey::new_rsa(modulus, exponent, kid)
            }
            Material::Ecdsa(key) => {
                let curve = match self.algorithm {
                    Algorithm::ES384 => CoreJsonCurveType::P384,
                    Algorithm::ES512 => CoreJsonCurveType::P521,
                    _ => CoreJsonCurveType::P256,
                };
                // SEC 1, 2.3.3: 0x04, then both coordinates in full length.
                let coordinates = &key.public_key().as_ref()[1..];
                let (x, y) = coordinates.split_at(coordinates.len() / 2);
                CoreJsonWebKey::new_ec(x.to_vec(), y.to_vec(), curve, kid)
            }
            Material::Ed25519(key) => {
                CoreJsonWebKey::new_okp(key.public_key().as_ref().to_vec(), CoreJsonCurveType::Ed25519, kid)
            }
        }
    }

    /// The JWK as identity providers publish it, with `alg`.
    ///
    /// # Errors
    /// If it does not serialise.
    pub fn published(&self) -> Result<Value> {
        let mut jwk = serde_json::to_value(self.jwk())?;
        jwk["alg"] = self.algorithm.name().into();
        Ok(jwk)
    }

    /// The public key as DER (`SubjectPublicKeyInfo`): what an attacker would take as the secret of an HS256 forgery.
    ///
    /// # Errors
    /// If the key does not serialise.
    pub fn public_der(&self) -> Result<Vec<u8>> {
        Ok(match &self.material {
            Material::Rsa(key) => key.public_key().as_der()?.as_ref().to_vec(),
            Material::Ecdsa(key) => key.public_key().as_der()?.as_ref().to_vec(),
            Material::Ed25519(key) => key.public_key().as_der()?.as_ref().to_vec(),
        })
    }
}

/// Lets the `openidconnect` crate make ID tokens with our keys; its own private keys lack PS*, ES* and a fast RSA.
impl PrivateSigningKey for SigningKey {
    type VerificationKey = CoreJsonWebKey;

    fn sign(&self, algorithm: &CoreJwsSigningAlgorithm, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        let algorithm = Algorithm::ALL
            .into_iter()
            .find(|candidate| candidate.core() == *algorithm)
            .ok_or_else(|| SigningError::UnsupportedAlg(format!("{algorithm:?}")))?;
        self.sign(algorithm, message).map_err(|_| SigningError::CryptoError)
    }

    fn as_verification_key(&self) -> CoreJsonWebKey {
        self.jwk()
    }
}

/// The issuer's keys: one signs, some are published, and a test may publish strange ones.
pub(super) struct KeyRing {
    keys: Vec<Arc<SigningKey>>,
    withdrawn: Vec<String>,
    strangers: Vec<Value>,
    active: Arc<SigningKey>,
    made: u32,
}

impl KeyRing {
    pub(super) fn new(algorithm: Algorithm) -> Result<Self> {
        let active = Arc::new(SigningKey::generate(algorithm, "key-1")?);
        Ok(Self { keys: vec![Arc::clone(&active)], withdrawn: Vec::new(), strangers: Vec::new(), active, made: 1 })
    }

    pub(super) fn active(&self) -> Arc<SigningKey> {
        Arc::clone(&self.active)
    }

    pub(super) fn key(&self, kid: &str) -> Result<Arc<SigningKey>> {
        self.keys.iter().find(|key| key.kid() == kid).cloned().with_context(|| format!("the issuer has no key {kid:?}"))
    }

    /// A new key, published; it does not sign until it is made active.
    pub(super) fn add(&mut self, algorithm: Algorithm) -> Result<Arc<SigningKey>> {
        self.made += 1;
        let key = Arc::new(SigningKey::generate(algorithm, &format!("key-{}", self.made))?);
        self.keys.push(Arc::clone(&key));
        Ok(key)
    }

    pub(super) fn activate(&mut self, kid: &str) -> Result<()> {
        self.active = self.key(kid)?;
        Ok(())
    }

    /// No longer published; it can still sign, as a stolen key would.
    pub(super) fn withdraw(&mut self, kid: &str) {
        self.withdrawn.push(kid.to_owned());
    }

    pub(super) fn publish_again(&mut self, kid: &str) {
        self.withdrawn.retain(|withdrawn| withdrawn != kid);
    }

    pub(super) fn publish_stranger(&mut self, jwk: Value) {
        self.strangers.push(jwk);
    }

    /// Published keys, then strange ones.
    pub(super) fn published(&self) -> Result<Vec<Value>> {
        self.keys
            .iter()
            .filter(|key| !self.withdrawn.iter().any(|kid| kid == key.kid()))
            .map(|key| key.published())
            .chain(self.strangers.iter().cloned().map(Ok))
            .collect()
    }

    /// The algorithms of all keys, each once: what discovery announces.
    pub(super) fn algorithms(&self) -> Vec<Algorithm> {
        Algorithm::ALL
            .into_iter()
            .filter(|algorithm| self.keys.iter().any(|key| key.algorithm() == *algorithm))
            .collect()
    }
}
