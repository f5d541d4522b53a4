//! The last good keys of one authenticator as they are kept in a Secret: what is written, and what is believed of what
//! is read. Pure.
//!
//! A record is bound to the authenticator's uid, its issuer, the place its keys come from and the trust roots they were
//! fetched by. One that differs in any of them is another's, and its keys are never used. Who may write Secrets in our
//! namespace could sign anything anyhow (our own CA key lies there); the binding is against mistakes: a restored backup,
//! a renamed Secret, an edited spec.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::ByteString;
use serde::{Deserialize, Serialize};

use super::Source;
use crate::{
    idp::{
        discovery::Discovered,
        issuer::{IssuerReport, KeysFrom, LastGood},
        jwks::FetchedKeys,
        key_schedule::HARD_AGE,
    },
    jwt::KeySetError,
    time::UnixTime,
};

/// The Secret's type. It cannot be changed, so a Secret of another type is nobody's record.
pub(in crate::controllers) const SECRET_TYPE: &str = "latchkey.dev/issuer-keys";

/// The key set, of public members alone.
const KEYS: &str = "jwks.json";
/// What it is bound to, and when it was fetched.
const ABOUT: &str = "about.json";

/// The one form that is written and understood. Another version's record is no record: the next fetch replaces it.
const VERSION: u32 = 1;

/// A replica's clock may be this much behind that of the replica that wrote. A fetch further ahead never was.
const CLOCK_SKEW: Duration = Duration::from_mins(1);

/// A record is written anew when this much has gone by since the fetch that stands in it, though the keys are the same.
/// It costs an authenticator 24 writes a day, and after a restart the keys may look this much older than they are, which
/// takes an hour of the day for which they may serve. The other way round, older keys that look new, cannot happen.
const RENEW: Duration = Duration::from_hours(1);

/// What is known to stand in a Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::controllers) struct Stored {
    digest: [u8; 32],
    fetched_at: UnixTime,
}

/// Why a record is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::controllers) enum RecordProblem {
    /// It is bound to something else.
    #[error("it is of another {0}")]
    Another(&'static str),
    /// Its time lies ahead.
    #[error("its keys were fetched at {0}, which lies ahead")]
    Ahead(UnixTime),
    /// Its keys are beyond their hard age.
    #[error("its keys were fetched at {0}, which is too long ago")]
    Old(UnixTime),
    /// It is no record.
    #[error("{ABOUT}: {0}")]
    About(String),
    /// Its keys cannot be used.
    #[error("{KEYS}: {0}")]
    Keys(#[from] KeySetError),
    /// A part is missing.
    #[error("it has no {0}")]
    Missing(&'static str),
    /// The Secret is not of our type.
    #[error("its type is not {SECRET_TYPE}")]
    Type,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct About {
    version: u32,
    /// `metadata.uid` of the authenticator.
    authenticator: String,
    issuer: String,
    keys_from: String,
    /// Digest of the trust roots, or `system`.
    trust: String,
    /// Where the keys were fetched.
    keys_url: String,
    /// What the discovery document announced; absent when it announced nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    signing_algorithms: Option<Vec<String>>,
    /// RFC 3339.
    fetched_at: String,
}

/// The record of what was fetched for the authenticator `uid` from `source`; `None` when this process fetched nothing:
/// writing back what was read would make old keys look new.
pub(in crate::controllers) fn write(
    uid: &str,
    source: &Source,
    report: &IssuerReport,
) -> Option<(BTreeMap<String, ByteString>, Stored)> {
    let (held, fetched_at) = (report.keys.as_ref()?, report.keys_fetched_at?);
    if report.keys_restored {
        return None;
    }
    let about = About {
        version: VERSION,
        authenticator: uid.to_owned(),
        issuer: source.issuer.as_str().to_owned(),
        keys_from: keys_from(source),
        trust: trust(source),
        keys_url: held.url.as_str().to_owned(),
        signing_algorithms: report.discovered.as_ref().and_then(|found| found.signing_algorithms.clone()),
        fetched_at: fetched_at.to_string(),
    };
    // Texts and numbers: it cannot fail.
    let about = serde_json::to_vec(&about).ok()?;
    let data = [(ABOUT, about), (KEYS, held.document.to_vec())];
    let data = data.into_iter().map(|(name, bytes)| (name.to_owned(), ByteString(bytes))).collect();
    Some((data, Stored { digest: held.keys.digest(), fetched_at: whole_seconds(fetched_at) }))
}

/// The keys in a record of the authenticator `uid` and of `source`.
///
/// # Errors
/// When it is another's, too old, or not what [`write`] makes.
pub(in crate::controllers) fn read(
    secret_type: Option<&str>,
    data: &BTreeMap<String, ByteString>,
    uid: &str,
    source: &Source,
    now: UnixTime,
) -> Result<(LastGood, Stored), RecordProblem> {
    if secret_type != Some(SECRET_TYPE) {
        return Err(RecordProblem::Type);
    }
    let part = |name| data.get(name).map(|bytes| bytes.0.as_slice()).ok_or(RecordProblem::Missing(name));
    let about: About = serde_json::from_slice(part(ABOUT)?).map_err(|error| RecordProblem::About(error.to_string()))?;
    for (what, found, expected) in [
        ("version", about.version.to_string(), VERSION.to_string()),
        ("authenticator", about.authenticator, uid.to_owned()),
        ("issuer", about.issuer, source.issuer.as_str().to_owned()),
        ("source of keys", about.keys_from, keys_from(source)),
        ("set of trust roots", about.trust, trust(source)),
    ] {
        if found != expected {
            return Err(RecordProblem::Another(what));
        }
    }
    let fetched_at: Timestamp =
        about.fetched_at.parse().map_err(|_| RecordProblem::About("fetchedAt is no time".to_owned()))?;
    let fetched_at = UnixTime::from_secs(fetched_at.as_second());
    if fetched_at > now.plus(CLOCK_SKEW) {
        return Err(RecordProblem::Ahead(fetched_at));
    }
    if now.since(fetched_at) >= HARD_AGE {
        return Err(RecordProblem::Old(fetched_at));
    }
    let url = about.keys_url.parse().map_err(|_| RecordProblem::About("keysUrl is no https URL".to_owned()))?;
    let keys = FetchedKeys::parse(part(KEYS)?, url)?;
    let stored = Stored { digest: keys.keys.digest(), fetched_at };
    let discovered = match source.from {
        KeysFrom::Jwks(_) => None,
        KeysFrom::Discovery | KeysFrom::DiscoveryAt(_) => {
            let signing_algorithms = about.signing_algorithms.filter(|names| !names.is_empty());
            Some(Arc::new(Discovered { jwks_uri: Ok(keys.url.clone()), signing_algorithms }))
        }
    };
    Ok((LastGood { keys: Arc::new(keys), discovered, fetched_at: fetched_at.min(now) }, stored))
}

impl Stored {
    /// Whether what was fetched since should stand in its place.
    pub(in crate::controllers) fn is_outdated_by(&self, fetched: &Self) -> bool {
        self.digest != fetched.digest || fetched.fetched_at.since(self.fetched_at) >= RENEW
    }
}

impl RecordProblem {
    /// Whether it is what any change of a spec or any long rest brings about, and nothing to warn of.
    pub(in crate::controllers) fn is_ordinary(&self) -> bool {
        matches!(self, Self::Old(_) | Self::Another("issuer" | "source of keys" | "set of trust roots"))
    }
}

fn keys_from(source: &Source) -> String {
    match &source.from {
        KeysFrom::Discovery => "discovery".to_owned(),
        KeysFrom::DiscoveryAt(url) => format!("discoveryURL {url}"),
        KeysFrom::Jwks(url) => format!("jwks.url {url}"),
    }
}

fn trust(source: &Source) -> String {
    source.bundle.as_ref().map_or_else(|| "system".to_owned(), |bundle| hex::encode(bundle.digest()))
}

/// As it will be read back.
const fn whole_seconds(at: UnixTime) -> UnixTime {
    UnixTime::from_secs(at.as_secs())
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::jwt::{Issuer, KeyId};

    const FETCHED: UnixTime = UnixTime::from_micros(1_795_233_600_250_000);
    const NOW: UnixTime = UnixTime::from_secs(1_795_237_200);
    const ISSUER: &str = "https://idp.example.com";

    type Data = BTreeMap<String, ByteString>;

    fn source(issuer: &str, from: KeysFrom) -> Source {
        Source { issuer: Issuer::new(issuer.to_owned()), from, bundle: None }
    }

    fn discovery() -> Source {
        source(ISSUER, KeysFrom::Discovery)
    }

    fn report() -> IssuerReport {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let point = pair.public_key().as_ref();
        let [x, y] = [&point[1..33], &point[33..]].map(|half| URL_SAFE_NO_PAD.encode(half));
        let set = json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "one", "x": x, "y": y}]}).to_string();
        let url = format!("{ISSUER}/keys").parse().unwrap();
        let keys = FetchedKeys::parse(set.as_bytes(), url).unwrap();
        let discovered =
            Discovered { jwks_uri: Ok(keys.url.clone()), signing_algorithms: Some(vec!["ES256".to_owned()]) };
        IssuerReport {
            discovered: Some(Arc::new(discovered)),
            keys: Some(Arc::new(keys)),
            keys_fetched_at: Some(FETCHED),
            ..IssuerReport::default()
        }
    }

    fn read_as(data: &Data, uid: &str, source: &Source, now: UnixTime) -> Result<(LastGood, Stored), RecordProblem> {
        read(Some(SECRET_TYPE), data, uid, source, now)
    }

    fn edited(data: &Data, edit: impl FnOnce(&mut Value)) -> Data {
        let mut about: Value = serde_json::from_slice(&data[ABOUT].0).unwrap();
        edit(&mut about);
        let mut data = data.clone();
        data.insert(ABOUT.to_owned(), ByteString(about.to_string().into_bytes()));
        data
    }

    #[test]
    fn what_is_written_is_read_back_with_all_that_narrows_it() {
        let (data, stored) = write("uid", &discovery(), &report()).unwrap();
        let (last, found) = read_as(&data, "uid", &discovery(), NOW).unwrap();
        assert_eq!(found, stored);
        assert!(last.keys.keys.contains(&KeyId::new("one").unwrap()));
        assert_eq!(last.fetched_at, UnixTime::from_secs(FETCHED.as_secs()), "never later than the truth");
        let discovered = last.discovered.unwrap();
        assert_eq!(discovered.signing_algorithms.as_deref(), Some(&["ES256".to_owned()][..]));
        assert_eq!(discovered.jwks_uri.as_ref().unwrap().as_str(), "https://idp.example.com/keys");
        let given = source(ISSUER, KeysFrom::Jwks(format!("{ISSUER}/keys").parse().unwrap()));
        let (data, _) = write("uid", &given, &report()).unwrap();
        assert!(read_as(&data, "uid", &given, NOW).unwrap().0.discovered.is_none());
    }

    #[test]
    fn a_record_serves_nobody_but_the_one_it_was_made_for() {
        let (data, _) = write("uid", &discovery(), &report()).unwrap();
        let elsewhere = |from| source(ISSUER, from);
        let url = |text: &str| text.parse().unwrap();
        for (uid, source, what) in [
            ("other", discovery(), "authenticator"),
            ("uid", source("https://idp.example.com/", KeysFrom::Discovery), "issuer"),
            ("uid", source("https://evil.example.com", KeysFrom::Discovery), "issuer"),
            ("uid", elsewhere(KeysFrom::DiscoveryAt(url("https://idp.example.com/d"))), "source of keys"),
            ("uid", elsewhere(KeysFrom::Jwks(url("https://idp.example.com/keys"))), "source of keys"),
        ] {
            assert_eq!(read_as(&data, uid, &source, NOW).unwrap_err(), RecordProblem::Another(what), "{source:?}");
        }
        let moved = edited(&data, |about| about["trust"] = json!("00"));
        assert_eq!(
            read_as(&moved, "uid", &discovery(), NOW).unwrap_err(),
            RecordProblem::Another("set of trust roots")
        );
        assert_eq!(read(Some("Opaque"), &data, "uid", &discovery(), NOW).unwrap_err(), RecordProblem::Type);
    }

    #[test]
    fn keys_serve_for_the_hard_age_and_no_edit_of_the_time_gives_more() {
        let (data, _) = write("uid", &discovery(), &report()).unwrap();
        let fetched = UnixTime::from_secs(FETCHED.as_secs());
        let end = fetched.plus(HARD_AGE);
        assert!(read_as(&data, "uid", &discovery(), end.minus(Duration::from_secs(1))).is_ok());
        assert_eq!(read_as(&data, "uid", &discovery(), end).unwrap_err(), RecordProblem::Old(fetched));
        let ahead = NOW.plus(Duration::from_secs(61));
        let forged = edited(&data, |about| about["fetchedAt"] = json!(ahead.to_string()));
        assert_eq!(read_as(&forged, "uid", &discovery(), NOW).unwrap_err(), RecordProblem::Ahead(ahead));
        let skewed = edited(&data, |about| about["fetchedAt"] = json!(NOW.plus(CLOCK_SKEW).to_string()));
        assert_eq!(read_as(&skewed, "uid", &discovery(), NOW).unwrap().0.fetched_at, NOW);
    }

    #[test]
    fn garbage_is_told_from_a_record() {
        let (data, _) = write("uid", &discovery(), &report()).unwrap();
        let with = |name: &str, bytes: &[u8]| {
            let mut data = data.clone();
            data.insert(name.to_owned(), ByteString(bytes.to_vec()));
            read_as(&data, "uid", &discovery(), NOW).unwrap_err()
        };
        for garbage in [&b""[..], b"{}", b"[]", b"\xff", b"null"] {
            assert!(matches!(with(ABOUT, garbage), RecordProblem::About(_)));
            assert!(matches!(with(KEYS, garbage), RecordProblem::Keys(_)));
        }
        let twice =
            format!("{},\"issuer\":\"{ISSUER}\"}}", String::from_utf8_lossy(&data[ABOUT].0).trim_end_matches('}'));
        assert!(matches!(with(ABOUT, twice.as_bytes()), RecordProblem::About(_)), "a member named twice");
        let oct = br#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#;
        assert!(matches!(with(KEYS, oct), RecordProblem::Keys(KeySetError::NoUsableKey { .. })));
        for (edit, words) in [("keysUrl", "keysUrl is no https URL"), ("fetchedAt", "fetchedAt is no time")] {
            let data = edited(&data, |about| about[edit] = json!("http://x"));
            let problem = read_as(&data, "uid", &discovery(), NOW).unwrap_err();
            assert_eq!(problem, RecordProblem::About(words.to_owned()));
        }
        let newer = edited(&data, |about| about["version"] = json!(2));
        assert_eq!(read_as(&newer, "uid", &discovery(), NOW).unwrap_err(), RecordProblem::Another("version"));
        let empty = Data::new();
        assert_eq!(read_as(&empty, "uid", &discovery(), NOW).unwrap_err(), RecordProblem::Missing(ABOUT));
    }

    #[test]
    fn only_what_this_process_fetched_is_written_and_not_at_each_fetch() {
        let fetched = report();
        let restored = IssuerReport { keys_restored: true, ..fetched.clone() };
        assert!(write("uid", &discovery(), &restored).is_none());
        assert!(write("uid", &discovery(), &IssuerReport::default()).is_none());

        let stored = write("uid", &discovery(), &fetched).unwrap().1;
        let later = |minutes| {
            let at = FETCHED.plus(Duration::from_mins(minutes));
            let report = IssuerReport { keys_fetched_at: Some(at), ..fetched.clone() };
            write("uid", &discovery(), &report).unwrap().1
        };
        assert!(!stored.is_outdated_by(&later(5)) && !stored.is_outdated_by(&later(59)));
        assert!(stored.is_outdated_by(&later(60)));
        let changed = write("uid", &discovery(), &report()).unwrap().1;
        assert!(stored.is_outdated_by(&changed), "another key");
    }

    proptest! {
        /// Whatever bytes stand in the Secret: a problem or keys, never a panic, and never keys of another authenticator.
        #[test]
        fn any_bytes_are_judged(about in prop::collection::vec(any::<u8>(), 0..200), keys in prop::collection::vec(any::<u8>(), 0..200)) {
            let data = Data::from([(ABOUT.to_owned(), ByteString(about)), (KEYS.to_owned(), ByteString(keys))]);
            prop_assert!(read_as(&data, "uid", &discovery(), NOW).is_err());
        }
    }
}
