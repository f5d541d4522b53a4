//! The keys of checkpoints: Ed25519, and the texts by which people hand public keys around.

use std::{fmt, str::FromStr};

use aws_lc_rs::{
    digest::{SHA256, digest},
    error::KeyRejected,
    signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};

/// C2SP signed-note's number for Ed25519 signatures over the note's text.
const ED25519_NOTE: u8 = 1;

/// What opens a signature line: an em dash and a space.
pub(super) const SIGNATURE_MARK: &str = "\u{2014} ";

/// A private key. It shows itself by its public half only.
pub struct SigningKey(Ed25519KeyPair);

/// A public key: shown and read as the base64 of its 32 bytes. Reading also takes a verifier key of C2SP's signed notes,
/// `name+hexid+base64`, as [`PublicKey::verifier_key`] writes it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

/// The keys that sign: one, or two while one takes over from another. A note has a signature line for each.
#[derive(Debug)]
pub struct Keys(Vec<SigningKey>);

/// A text is no public key of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAKey {
    /// Neither form.
    #[error("expected the base64 of an Ed25519 public key (44 characters), or a verifier key name+id+base64")]
    Form,
    /// A verifier key whose id is not that of its name and key: one of the three was mistyped.
    #[error("the id in the verifier key is not that of its name and key: it should be {expected:08x}")]
    Id {
        /// What it should be.
        expected: u32,
    },
}

// === impl SigningKey ===

impl SigningKey {
    /// A key from PKCS#8 (RFC 8410), with or without its public half.
    ///
    /// # Errors
    /// When the bytes are no Ed25519 key, or its two halves do not belong together.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyRejected> {
        Ed25519KeyPair::from_pkcs8(der).map(Self)
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.public_key().as_ref());
        PublicKey(bytes)
    }

    /// Appends a signature line over `text` under the name `name`.
    pub(super) fn sign_line(&self, name: &str, text: &str, note: &mut String) {
        let mut signature = self.public().id(name).to_be_bytes().to_vec();
        signature.extend_from_slice(self.0.sign(text.as_bytes()).as_ref());
        note.push_str(SIGNATURE_MARK);
        note.push_str(name);
        note.push(' ');
        STANDARD.encode_string(signature, note);
        note.push('\n');
    }

    /// A key of known bytes.
    #[cfg(test)]
    pub(in crate::audit) fn from_seed(seed: &[u8; 32]) -> Result<Self, KeyRejected> {
        Ed25519KeyPair::from_seed_unchecked(seed).map(Self)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&self.public()).finish()
    }
}

// === impl PublicKey ===

impl PublicKey {
    /// A key from its 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key as tools for signed notes want it, for the log of this name: `name+hexid+base64`.
    #[must_use]
    pub fn verifier_key(&self, name: &str) -> String {
        format!("{name}+{:08x}+{}", self.id(name), STANDARD.encode(self.marked()))
    }

    /// The number by which a signature line says which key made it: the first four bytes of SHA-256 over the name, a
    /// newline, and the key with its algorithm's number (C2SP signed-note, section "Signatures").
    pub(super) fn id(&self, name: &str) -> u32 {
        let hash = digest(&SHA256, &[name.as_bytes(), b"\n", &self.marked()].concat());
        let mut first = [0; 4];
        first.copy_from_slice(&hash.as_ref()[..4]);
        u32::from_be_bytes(first)
    }

    /// Whether this key made `signature` over `text`.
    pub(super) fn signed(&self, text: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(text, signature).is_ok()
    }

    fn marked(&self) -> [u8; 33] {
        let mut bytes = [ED25519_NOTE; 33];
        bytes[1..].copy_from_slice(&self.0);
        bytes
    }

    fn from_verifier_key(text: &str) -> Result<Self, NotAKey> {
        // The key's own base64 may hold a plus, a name and an id may not.
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NotAKey::Form);
        };
        let bytes = STANDARD.decode(key).map_err(|_| NotAKey::Form)?;
        let [ED25519_NOTE, key @ ..] = bytes.as_slice() else { return Err(NotAKey::Form) };
        let key = Self(key.try_into().map_err(|_| NotAKey::Form)?);
        let lower_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if name.is_empty() || name.contains(char::is_whitespace) || id.len() != 8 || !id.bytes().all(lower_hex) {
            return Err(NotAKey::Form);
        }
        let expected = key.id(name);
        if u32::from_str_radix(id, 16) == Ok(expected) { Ok(key) } else { Err(NotAKey::Id { expected }) }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = STANDARD.decode(text).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        bytes.map_or_else(|| Self::from_verifier_key(text), |bytes| Ok(Self(bytes)))
    }
}

// === impl Keys ===

impl Keys {
    /// The usual case.
    #[must_use]
    pub fn one(key: SigningKey) -> Self {
        Self(vec![key])
    }

    /// While `old` is still what readers have, and `new` takes over.
    #[must_use]
    pub fn two(new: SigningKey, old: SigningKey) -> Self {
        Self(vec![new, old])
    }

    /// The public halves, the newest first.
    pub fn public(&self) -> impl Iterator<Item = PublicKey> {
        self.iter().map(SigningKey::public)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &SigningKey> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of Go's `golang.org/x/mod/sumdb/note`, whose format C2SP's signed notes are.
    const VERIFIER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const TEXT: &str =
        "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    const SIGNATURE: &str =
        "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";

    #[test]
    fn another_implementations_note_verifies() {
        let key: PublicKey = VERIFIER.parse().unwrap();
        assert_eq!(key.id("PeterNeumann"), 0xc74f_20a3);
        assert_eq!(key.verifier_key("PeterNeumann"), VERIFIER);
        let signature = STANDARD.decode(SIGNATURE).unwrap();
        assert_eq!(signature[..4], 0xc74f_20a3_u32.to_be_bytes());
        assert!(key.signed(TEXT.as_bytes(), &signature[4..]));
        assert!(!key.signed(TEXT.trim_end().as_bytes(), &signature[4..]));
    }

    #[test]
    fn keys_are_those_of_rfc_8032() {
        // Section 7.1, test 1.
        let seed = hex::decode("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").unwrap();
        let key = SigningKey::from_seed(seed.as_slice().try_into().unwrap()).unwrap();
        assert_eq!(hex::encode(key.public().0), "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        // PKCS#8 version 1 of RFC 8410 section 10.3: a fixed head before the seed.
        let pkcs8 = [&hex::decode("302e020100300506032b657004220420").unwrap()[..], &seed].concat();
        assert_eq!(SigningKey::from_pkcs8(&pkcs8).unwrap().public(), key.public());
        assert!(SigningKey::from_pkcs8(&pkcs8[1..]).is_err());
        assert_eq!(format!("{key:?}"), format!("SigningKey({})", key.public()));
    }

    #[test]
    fn a_key_has_two_texts_and_no_other() {
        let key = SigningKey::from_seed(&[9; 32]).unwrap().public();
        assert_eq!(key.to_string().parse(), Ok(key));
        let verifier = key.verifier_key("latchkey.dev/audit");
        assert_eq!(verifier.parse(), Ok(key));
        for wrong in
            ["", "x", &key.to_string()[1..], "a+00000000+AAAA", &verifier.to_uppercase(), &format!("+{verifier}")]
        {
            assert_eq!(wrong.parse::<PublicKey>(), Err(NotAKey::Form), "{wrong}");
        }
        let renamed = verifier.replacen("latchkey", "otherkey", 1);
        assert_eq!(renamed.parse::<PublicKey>(), Err(NotAKey::Id { expected: key.id("otherkey.dev/audit") }));
    }
}
