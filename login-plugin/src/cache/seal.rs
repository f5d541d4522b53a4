//! Sealed sessions: what may be seen of a login in the clear, the rest encrypted, all of it bound to one file's name.
//!
//! AES-256-GCM with a random nonce for each write; a session is written some ten times a day, far from the 2^32 messages
//! that one key may seal this way (NIST SP 800-38D section 8.3).

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use super::{EntryName, Session, SessionLabel};
use crate::secret::Secret;
use crate::time::UnixTime;

/// The version of sealed files; plain ones have another.
pub(super) const VERSION: u32 = 2;

/// The member of the file that holds nonce and ciphertext; everything else in the file is authenticated with it.
const SEALED: &str = "sealed";

const KEY_BYTES: usize = 32;

/// Enough of a fingerprint to tell one key of this person from another; says nothing of the key.
const KEY_ID_BYTES: usize = 9;

/// Of AES-GCM (NIST SP 800-38D section 5.2.1.1).
const NONCE_BYTES: usize = aws_lc_rs::aead::NONCE_LEN;

/// What sessions are sealed with. Only the platform's keyring has it.
pub(super) struct SealingKey {
    key: RandomizedNonceKey,
    text: Secret,
    id: String,
}

/// What anybody who may read the file sees: enough for `status` without a keyring.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Clear {
    version: u32,
    /// Which key it is sealed with.
    key: String,
    /// As in the session.
    pub(super) usable_until: UnixTime,
    /// Whether there is a refresh token.
    pub(super) renewable: bool,
    /// As in the session.
    pub(super) identity: String,
    /// As in the session.
    #[serde(flatten)]
    pub(super) label: SessionLabel,
}

/// A sealed session as it stands in the file.
#[derive(Debug)]
pub(super) struct Sealed {
    /// What may be seen of it. Nobody vouches for it before the session is opened.
    pub(super) clear: Clear,
    /// All members but one, in one order whatever the file's was.
    bound: Vec<u8>,
    ciphertext: Vec<u8>,
}

/// Why a sealed session stays sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum OpenError {
    /// The key was lost, or belongs to another computer with the same home.
    #[error("it was sealed with another key than the one in the keyring")]
    AnotherKey,
    /// Not what was sealed, or not here.
    #[error("it was changed after it was sealed")]
    Changed,
}

impl SealingKey {
    /// A new one; none if the operating system gives no randomness.
    pub(super) fn generate() -> Option<Self> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        rand::fill(bytes.as_mut_slice()).ok()?;
        Self::new(&*bytes)
    }

    /// The key that `text` gave to the keyring.
    pub(super) fn from_text(text: &Secret) -> Option<Self> {
        Self::new(&Zeroizing::new(BASE64_URL_SAFE_NO_PAD.decode(text.expose()).ok()?))
    }

    fn new(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != KEY_BYTES {
            return None;
        }
        let key = RandomizedNonceKey::new(&AES_256_GCM, bytes).ok()?;
        let named = Zeroizing::new([b"latchkey/sealing-key-id/v1", bytes].concat());
        let fingerprint = digest(&SHA256, &named);
        let id = BASE64_URL_SAFE_NO_PAD.encode(&fingerprint.as_ref()[..KEY_ID_BYTES]);
        Some(Self { key, text: Secret::from(BASE64_URL_SAFE_NO_PAD.encode(bytes)), id })
    }

    /// As the keyring keeps it.
    pub(super) const fn text(&self) -> &Secret {
        &self.text
    }

    /// The whole file for a session.
    pub(super) fn seal(&self, name: &EntryName, session: &Session) -> Vec<u8> {
        let clear = Clear {
            version: VERSION,
            key: self.id.clone(),
            usable_until: session.usable_until,
            renewable: session.refresh_token.is_some(),
            identity: session.identity.clone(),
            label: session.label.clone(),
        };
        let clear = serde_json::to_value(clear).expect("strings, numbers and options always serialize");
        let mut file: BTreeMap<String, Value> =
            serde_json::from_value(clear).expect("a struct serializes as a map with text for keys");
        let bound = bound(name, &file);
        let mut sealed = serde_json::to_vec(session).expect("strings, numbers and options always serialize");
        // Grows once at most, so that no copy of the plain text stays behind.
        sealed.reserve_exact(AES_256_GCM.tag_len());
        let nonce = self.key.seal_in_place_append_tag(Aad::from(bound), &mut sealed);
        let nonce = nonce.expect("a session is far shorter than the 64 GiB that one message may have");
        let sealed = [nonce.as_ref().as_slice(), &sealed].concat();
        file.insert(SEALED.to_owned(), BASE64_URL_SAFE_NO_PAD.encode(sealed).into());
        serde_json::to_vec(&file).expect("strings, numbers and options always serialize")
    }

    /// The session, if this key sealed it under this name and nothing was changed since.
    pub(super) fn open(&self, sealed: &Sealed) -> Result<Session, OpenError> {
        if sealed.clear.key != self.id {
            return Err(OpenError::AnotherKey);
        }
        let (nonce, ciphertext) = sealed.ciphertext.split_at_checked(NONCE_BYTES).ok_or(OpenError::Changed)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| OpenError::Changed)?;
        let mut text = Zeroizing::new(ciphertext.to_vec());
        let plain = self.key.open_in_place(nonce, Aad::from(&sealed.bound), &mut text);
        serde_json::from_slice(plain.map_err(|_| OpenError::Changed)?).map_err(|_| OpenError::Changed)
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({})", self.id)
    }
}

impl Sealed {
    /// The parts of a file; none if it is not whole.
    pub(super) fn read(name: &EntryName, file: &[u8]) -> Option<Self> {
        let mut members: BTreeMap<String, Value> = serde_json::from_slice(file).ok()?;
        let sealed = members.remove(SEALED)?;
        let ciphertext = BASE64_URL_SAFE_NO_PAD.decode(sealed.as_str()?).ok()?;
        let bound = bound(name, &members);
        let clear: Clear = serde_json::from_value(members.into_iter().collect()).ok()?;
        (clear.version == VERSION).then_some(Self { clear, bound, ciphertext })
    }
}

/// What the ciphertext is bound to: the entry's name, so that files cannot change places, and each member in the clear, those
/// of a later release among them.
fn bound(name: &EntryName, members: &BTreeMap<String, Value>) -> Vec<u8> {
    let members = serde_json::to_vec(members).expect("what came of JSON can be JSON again");
    let name = name.file("");
    [b"latchkey/sealed/v2".as_slice(), &(name.len() as u64).to_be_bytes(), name.as_bytes(), &members].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::sessions::{name, session};

    fn opened(key: &SealingKey, name: &EntryName, file: &[u8]) -> Result<Session, Option<OpenError>> {
        key.open(&Sealed::read(name, file).ok_or(None)?).map_err(Some)
    }

    #[test]
    fn what_is_sealed_is_opened_and_shows_no_secret() {
        let key = SealingKey::generate().unwrap();
        let session = session(Some("ops"), "staging");
        let file = key.seal(&name("a"), &session);
        let text = String::from_utf8(file.clone()).unwrap();
        assert!(text.contains("\"https://idp.example\"") && text.contains("\"renewable\":true"), "{text}");
        assert!(!text.contains("refresh_token") && !text.contains("id_token"), "{text}");
        let again = SealingKey::from_text(key.text()).unwrap();
        assert_eq!(opened(&again, &name("a"), &file), Ok(session.clone()));
        assert_ne!(key.seal(&name("a"), &session), file, "a nonce is used once");
    }

    #[test]
    fn another_key_another_name_or_a_changed_byte_opens_nothing() {
        let key = SealingKey::generate().unwrap();
        let file = key.seal(&name("a"), &session(Some("ops"), "staging"));
        let other = SealingKey::generate().unwrap();
        assert_eq!(opened(&other, &name("a"), &file), Err(Some(OpenError::AnotherKey)));
        assert_eq!(opened(&key, &name("b"), &file), Err(Some(OpenError::Changed)), "moved to another place");
        for position in 0..file.len() {
            let mut changed = file.clone();
            changed[position] ^= 1;
            assert!(opened(&key, &name("a"), &changed).is_err(), "byte {position}");
        }
        for length in 0..file.len() {
            assert!(opened(&key, &name("a"), &file[..length]).is_err(), "cut at {length}");
        }
    }

    #[test]
    fn members_may_stand_in_any_order_and_none_may_be_added() {
        let key = SealingKey::generate().unwrap();
        let file = String::from_utf8(key.seal(&name("a"), &session(None, "staging"))).unwrap();
        let reordered = format!("{{\"version\":{VERSION},{}}}", file[1..file.len() - 1].replace(",\"version\":2", ""));
        assert!(opened(&key, &name("a"), reordered.as_bytes()).is_ok());
        let added = format!("{{\"note\":1,{}", &file[1..]);
        assert_eq!(opened(&key, &name("a"), added.as_bytes()), Err(Some(OpenError::Changed)));
    }

    #[test]
    fn what_is_no_key_is_none() {
        assert!(SealingKey::from_text(&Secret::from("short")).is_none());
        assert!(SealingKey::from_text(&Secret::from("!")).is_none());
    }
}
