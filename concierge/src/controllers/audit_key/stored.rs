//! The keys of the audit log as a Secret holds them: read, with what is wrong of each entry, and written back. No network.

use std::{collections::BTreeMap, fmt, sync::Arc};

use aws_lc_rs::{encoding::AsDer as _, encoding::Pkcs8V1Der, rand, signature::Ed25519KeyPair};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    audit::{
        checkpoint::{PublicKey, SigningKey},
        event::NameKey,
    },
    credential::{SignError, pem},
    time::UnixTime,
};

/// Entry of the key in force.
pub(super) const CURRENT: &str = "signing.key";
/// Entry of the key before it, which signs too for a while.
pub(super) const PREVIOUS: &str = "previous.key";
/// Entry of the key by which names are hashed.
pub(super) const NAMES: &str = "names.key";
/// Entry of all public keys that there were, newest first.
pub(super) const HISTORY: &str = "public-keys.json";

/// Most public keys that are remembered and published: with four a year, four years, longer than most logs are kept.
pub(super) const HISTORY_LIMIT: usize = 16;

/// A names key is random text of at least 256 bits; a whole file by mistake is none.
const NAMES_KEY_BYTES: std::ops::RangeInclusive<usize> = 32..=1_024;

/// What a Secret holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stored {
    pub(super) current: Entry<Signer>,
    pub(super) previous: Entry<Signer>,
    pub(super) names: Entry<NameSecret>,
    pub(super) history: Entry<Vec<Known>>,
}

/// One entry of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Entry<T> {
    Missing,
    Broken(KeyFault),
    Good(T),
}

/// What stands in a key's place is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// Not what `public-keys.json` should be.
    #[error("expected a list of public keys with their times, as JSON")]
    History,
    /// Not a key of Ed25519.
    #[error("expected an Ed25519 key as PKCS#8 in PEM, as openssl genpkey -algorithm ed25519 writes it")]
    Signing,
    /// Too short or too long for a key of HMAC.
    #[error("expected {} to {} bytes", NAMES_KEY_BYTES.start(), NAMES_KEY_BYTES.end())]
    Names,
}

/// A signing key, kept as what it was read from so that it can be written back.
#[derive(Clone)]
pub(super) struct Signer {
    pkcs8: Arc<Zeroizing<Vec<u8>>>,
    public: PublicKey,
}

/// The key of names.
#[derive(Clone, PartialEq)]
pub(super) struct NameSecret(Arc<Zeroizing<Vec<u8>>>);

/// A public key and when it signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// What checks its signatures.
    pub key: PublicKey,
    /// Since when it signs.
    pub since: UnixTime,
    /// Until when; `None`: it is the one in force.
    pub until: Option<UnixTime>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct KnownJson {
    public_key: String,
    since: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<String>,
}

// === impl Stored ===

impl Stored {
    pub(super) const EMPTY: Self =
        Self { current: Entry::Missing, previous: Entry::Missing, names: Entry::Missing, history: Entry::Missing };

    pub(super) fn read(data: &BTreeMap<String, ByteString>) -> Self {
        Self {
            current: Entry::read(data, CURRENT, Signer::read),
            previous: Entry::read(data, PREVIOUS, Signer::read),
            names: Entry::read(data, NAMES, NameSecret::read),
            history: Entry::read(data, HISTORY, history),
        }
    }

    /// Puts into `data` what differs from `before`, and leaves all else as it stands: a broken entry too.
    pub(super) fn write(&self, before: &Self, data: &mut BTreeMap<String, ByteString>) {
        if self.current != before.current {
            self.current.write(data, CURRENT, Signer::pem);
        }
        if self.previous != before.previous {
            self.previous.write(data, PREVIOUS, Signer::pem);
        }
        if self.names != before.names {
            self.names.write(data, NAMES, |names| names.0.to_vec());
        }
        if self.history != before.history {
            self.history.write(data, HISTORY, |known| json(known));
        }
    }

    /// What is wrong, entry by entry.
    pub(super) fn faults(&self) -> impl Iterator<Item = (&'static str, KeyFault)> {
        let entries = [
            (CURRENT, self.current.fault()),
            (PREVIOUS, self.previous.fault()),
            (NAMES, self.names.fault()),
            (HISTORY, self.history.fault()),
        ];
        entries.into_iter().filter_map(|(name, fault)| Some((name, fault?)))
    }
}

// === impl Entry ===

impl<T> Entry<T> {
    fn read(data: &BTreeMap<String, ByteString>, name: &str, read: fn(&[u8]) -> Result<T, KeyFault>) -> Self {
        match data.get(name).map(|bytes| read(&bytes.0)) {
            None => Self::Missing,
            Some(Ok(value)) => Self::Good(value),
            Some(Err(fault)) => Self::Broken(fault),
        }
    }

    fn write(&self, data: &mut BTreeMap<String, ByteString>, name: &str, bytes: impl Fn(&T) -> Vec<u8>) {
        match self {
            Self::Missing => drop(data.remove(name)),
            Self::Broken(_) => {}
            Self::Good(value) => drop(data.insert(name.to_owned(), ByteString(bytes(value)))),
        }
    }

    fn fault(&self) -> Option<KeyFault> {
        if let Self::Broken(fault) = self { Some(*fault) } else { None }
    }

    pub(super) const fn good(&self) -> Option<&T> {
        if let Self::Good(value) = self { Some(value) } else { None }
    }
}

// === impl Signer ===

impl Signer {
    /// Reads the first private key of a PEM text.
    pub(super) fn read(pem: &[u8]) -> Result<Self, KeyFault> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| KeyFault::Signing)?;
        Self::from_der(der.secret_pkcs8_der()).ok_or(KeyFault::Signing)
    }

    pub(super) fn make() -> Result<Self, SignError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| SignError)?;
        let der: Pkcs8V1Der<'static> = pair.as_der().map_err(|_| SignError)?;
        Self::from_der(der.as_ref()).ok_or(SignError)
    }

    pub(super) const fn public(&self) -> PublicKey {
        self.public
    }

    /// The key at work. It was read once already, so it can be read again.
    pub(super) fn key(&self) -> Option<SigningKey> {
        SigningKey::from_pkcs8(&self.pkcs8).ok()
    }

    fn from_der(der: &[u8]) -> Option<Self> {
        let public = SigningKey::from_pkcs8(der).ok()?.public();
        Some(Self { pkcs8: Arc::new(Zeroizing::new(der.to_vec())), public })
    }

    fn pem(&self) -> Vec<u8> {
        pem::encode("PRIVATE KEY", &self.pkcs8).into_bytes()
    }
}

impl PartialEq for Signer {
    fn eq(&self, other: &Self) -> bool {
        self.public == other.public
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signer").field(&self.public).finish()
    }
}

// === impl NameSecret ===

impl NameSecret {
    /// Takes the bytes as they are but for white space at the end, which editors add: the same file is then the same key.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, KeyFault> {
        let bytes = bytes.trim_ascii_end();
        let fits = NAMES_KEY_BYTES.contains(&bytes.len());
        if fits { Ok(Self(Arc::new(Zeroizing::new(bytes.to_vec())))) } else { Err(KeyFault::Names) }
    }

    /// 256 random bits in hexadecimal: text, so that people can carry it to another cluster.
    pub(super) fn make() -> Result<Self, SignError> {
        let mut bytes = Zeroizing::new([0; 32]);
        rand::fill(bytes.as_mut()).map_err(|_| SignError)?;
        Ok(Self(Arc::new(Zeroizing::new(hex::encode(bytes.as_ref()).into_bytes()))))
    }

    pub(super) fn key(&self) -> NameKey {
        NameKey::new(&self.0)
    }
}

impl fmt::Debug for NameSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NameSecret(..)")
    }
}

// === impl Known ===

impl Known {
    fn read(json: &KnownJson) -> Option<Self> {
        let time = |text: &str| Some(UnixTime::from_secs(text.parse::<Timestamp>().ok()?.as_second()));
        let until = json.until.as_deref().map(time);
        if until == Some(None) {
            return None;
        }
        Some(Self { key: json.public_key.parse().ok()?, since: time(&json.since)?, until: until.flatten() })
    }
}

fn history(bytes: &[u8]) -> Result<Vec<Known>, KeyFault> {
    let read: Vec<KnownJson> = serde_json::from_slice(bytes).map_err(|_| KeyFault::History)?;
    let known: Option<Vec<Known>> = read.iter().map(Known::read).collect();
    known.filter(|known| known.len() <= HISTORY_LIMIT).ok_or(KeyFault::History)
}

fn json(known: &[Known]) -> Vec<u8> {
    let written: Vec<KnownJson> = known
        .iter()
        .map(|known| KnownJson {
            public_key: known.key.to_string(),
            since: known.since.to_string(),
            until: known.until.map(|until| until.to_string()),
        })
        .collect();
    // Three texts each: nothing of it can fail to be written into memory.
    serde_json::to_vec(&written).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_795_233_600);

    fn full() -> Stored {
        let current = Signer::make().unwrap();
        let known = Known { key: current.public(), since: NOW, until: None };
        let previous = Signer::make().unwrap();
        let before = Known { key: previous.public(), since: UnixTime::from_secs(1), until: Some(NOW) };
        Stored {
            current: Entry::Good(current),
            previous: Entry::Good(previous),
            names: Entry::Good(NameSecret::make().unwrap()),
            history: Entry::Good(vec![known, before]),
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let stored = full();
        let mut data = BTreeMap::new();
        stored.write(&Stored::EMPTY, &mut data);
        assert_eq!(Stored::read(&data), stored);
        assert_eq!(Stored::read(&data).faults().count(), 0);
        let key = stored.current.good().unwrap().key().unwrap();
        assert_eq!(key.public(), stored.current.good().unwrap().public());
        Stored::EMPTY.write(&stored, &mut data);
        assert!(data.is_empty());
    }

    #[test]
    fn a_broken_entry_is_named_and_stays_as_it_stands() {
        let mut data = BTreeMap::new();
        full().write(&Stored::EMPTY, &mut data);
        for (entry, garbage, fault) in [
            (CURRENT, &b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"[..], KeyFault::Signing),
            (PREVIOUS, b"\xff\xfe", KeyFault::Signing),
            (NAMES, b"short", KeyFault::Names),
            (HISTORY, b"[{\"publicKey\":\"AAAA\",\"since\":\"2026-11-21T04:00:00Z\"}]", KeyFault::History),
            (HISTORY, b"{}", KeyFault::History),
        ] {
            let mut broken = data.clone();
            broken.insert(entry.to_owned(), ByteString(garbage.to_vec()));
            let read = Stored::read(&broken);
            assert_eq!(read.faults().collect::<Vec<_>>(), [(entry, fault)]);
            let untouched = broken.clone();
            read.write(&Stored::EMPTY, &mut broken);
            assert_eq!(broken, untouched, "{entry}");
        }
    }

    #[test]
    fn a_key_of_another_kind_is_none() {
        // openssl genpkey -algorithm ec -pkeyopt ec_paramgen_curve:P-256
        let p256 = rcgen::KeyPair::generate().unwrap().serialize_pem();
        assert_eq!(Signer::read(p256.as_bytes()), Err(KeyFault::Signing));
        let ed25519 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let read = Signer::read(ed25519.serialize_pem().as_bytes()).unwrap();
        let public: [u8; 32] = ed25519.public_key_raw().try_into().unwrap();
        assert_eq!(read.public(), PublicKey::from_bytes(public), "a key that another library wrote");
    }

    #[test]
    fn a_name_key_is_the_same_with_the_newline_of_an_editor() {
        let plain = NameSecret::read(&[b'k'; 32]).unwrap();
        assert!(NameSecret::read(&[&[b'k'; 32][..], b"\n"].concat()).unwrap() == plain);
        assert_eq!(NameSecret::read(&[b'k'; 31]), Err(KeyFault::Names));
        assert_eq!(NameSecret::read(&[b'k'; 1_025]), Err(KeyFault::Names));
    }

    #[test]
    fn no_key_is_printed() {
        let mut data = BTreeMap::new();
        let stored = full();
        stored.write(&Stored::EMPTY, &mut data);
        let shown = format!("{stored:?}");
        let pem = String::from_utf8(data[CURRENT].0.clone()).unwrap();
        let secret = pem.lines().nth(1).unwrap();
        assert!(!shown.contains(secret) && !shown.contains(&String::from_utf8_lossy(&data[NAMES].0)[..]), "{shown}");
        assert!(shown.contains(&stored.current.good().unwrap().public().to_string()));
    }
}
