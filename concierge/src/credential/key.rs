//! Keys that we make for others: P-256, zeroed when dropped, never printed.

use std::fmt;

use aws_lc_rs::{
    encoding::{AsDer as _, PublicKeyX509Der},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use thiserror::Error;
use zeroize::Zeroizing;

use super::pem;

/// `AlgorithmIdentifier` of ecdsa-with-SHA256 (RFC 5758 section 3.2), whole.
pub(super) const ECDSA_WITH_SHA256: &[u8] = &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];

/// The key of a client that sent no certificate request.
pub struct ClientKey {
    pair: EcdsaKeyPair,
    public_key: Vec<u8>,
}

/// The cryptography library could not sign or make a key. It gives no reason, by design.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("cryptography library failed to make a key or a signature")]
pub struct SignError;

// === impl ClientKey ===

impl ClientKey {
    /// A new P-256 key.
    ///
    /// # Errors
    /// [`SignError`] if the random source fails.
    pub fn generate() -> Result<Self, SignError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(|_| SignError)?;
        let public_key: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(|_| SignError)?;
        let public_key = public_key.as_ref().to_vec();
        Ok(Self { pair, public_key })
    }

    /// `SubjectPublicKeyInfo` as DER.
    pub(super) fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let signature = self.pair.sign(&SystemRandom::new(), message).map_err(|_| SignError)?;
        Ok(signature.as_ref().to_vec())
    }

    /// PKCS#8 (RFC 5958) as PEM block `PRIVATE KEY`.
    ///
    /// # Errors
    /// [`SignError`] if the library cannot encode its own key.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, SignError> {
        // The document is zeroed by the library, the text by us.
        let document = self.pair.to_pkcs8v1().map_err(|_| SignError)?;
        Ok(Zeroizing::new(pem::encode("PRIVATE KEY", document.as_ref())))
    }
}

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientKey(P-256)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_library_reads_the_private_key_and_finds_the_same_public_one() {
        let key = ClientKey::generate().unwrap();
        let pair = rcgen::KeyPair::from_pem(&key.to_pem().unwrap()).unwrap();
        assert_eq!(rcgen::PublicKeyData::subject_public_key_info(&pair), key.public_key());
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?}", ClientKey::generate().unwrap()), "ClientKey(P-256)");
    }
}
