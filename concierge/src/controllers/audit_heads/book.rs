//! What stands in the `ConfigMap` of signed heads: its entries' names, whom to believe, and what may go. Pure.

use std::{cmp::Reverse, collections::BTreeMap, time::Duration};

use crate::{
    audit::{
        chain::{Identity, Root},
        checkpoint::{MAX_NOTE_BYTES, Note, PublicKey, named},
        event::OtherHead,
    },
    time::UnixTime,
};

/// Most entries. A note has some 300 bytes, at most [`MAX_NOTE_BYTES`], and an object at most 1 MiB: half of that.
pub(super) const ENTRIES: usize = 64;

/// How long the last head of a replica that is gone is kept: whoever wants to cut off its tail must wait that long, and by
/// then its log has been collected.
const REMEMBERED: Duration = Duration::from_hours(24 * 30);

/// Most heads of others in one checkpoint: more replicas than anybody runs, and the record stays within its line.
const OTHERS: usize = 16;

/// What this process has signed, and shown to nobody or to everybody.
#[derive(Debug)]
pub(super) struct Own {
    identity: Identity,
    heads: BTreeMap<&'static str, Head>,
}

#[derive(Debug)]
struct Head {
    size: u64,
    root: Root,
    note: String,
}

/// A note that must not be shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("it is no signed note")]
    NotANote,
    #[error("it is about {0}, which is not this process's log")]
    Foreign(String),
    #[error("it covers {found} lines, where one over {known} was signed already")]
    Shrunk { known: u64, found: u64 },
    #[error("it has another root than one signed before over the same {0} lines")]
    Split(u64),
}

// === impl Own ===

impl Own {
    pub(super) const fn new(identity: Identity) -> Self {
        Self { identity, heads: BTreeMap::new() }
    }

    pub(super) const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Takes the newest note of a sink. What contradicts an earlier one is refused: two histories of one life are a bug
    /// or worse, and the first that was shown counts.
    pub(super) fn take(&mut self, sink: &'static str, note: &str) -> Result<(), Refused> {
        let parsed = Note::parse(note).map_err(|_| Refused::NotANote)?;
        let ours = named(&parsed.origin).is_some_and(|(identity, name)| identity == self.identity && name == sink);
        if !ours {
            return Err(Refused::Foreign(parsed.origin));
        }
        if let Some(known) = self.heads.get(sink) {
            if parsed.size < known.size {
                return Err(Refused::Shrunk { known: known.size, found: parsed.size });
            }
            if parsed.size == known.size && parsed.root != known.root {
                return Err(Refused::Split(known.size));
            }
        }
        self.heads.insert(sink, Head { size: parsed.size, root: parsed.root, note: note.to_owned() });
        Ok(())
    }

    /// The entries of the map that are ours.
    pub(super) fn entries(&self) -> BTreeMap<String, String> {
        self.heads.iter().map(|(sink, head)| (entry_name(&self.identity, sink), head.note.clone())).collect()
    }

    /// Whether the map shows all that was signed.
    pub(super) fn is_shown_in(&self, data: &BTreeMap<String, String>) -> bool {
        self.entries().iter().all(|(name, note)| data.get(name) == Some(note))
    }
}

/// `<replica>.<life>.<sink>`, in the characters that a `ConfigMap`'s keys may have. The note says who wrote it, so two
/// replicas whose names differ only in other characters are still told apart; they would only overwrite each other.
fn entry_name(identity: &Identity, sink: &str) -> String {
    let plain = |text: &str| -> String {
        let allowed = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
        text.chars().map(|character| if allowed(character) { character } else { '_' }).take(200).collect()
    };
    format!("{}.{}.{}", plain(&identity.replica), identity.life, plain(sink))
}

/// Who wrote an entry, and its head; nothing of what no key of this installation has signed.
fn believed(name: &str, note: &str, cluster: &str, keys: &[PublicKey]) -> Option<(Identity, OtherHead)> {
    if note.len() > MAX_NOTE_BYTES {
        return None;
    }
    let parsed = Note::parse(note).ok()?;
    let (identity, sink) = named(&parsed.origin)?;
    let fits = identity.cluster == cluster && entry_name(&identity, &sink) == name && parsed.verify(keys).is_ok();
    let head = OtherHead { origin: parsed.origin, size: parsed.size, root: parsed.root.to_string() };
    fits.then_some((identity, head))
}

/// The heads of all others, the youngest lives first. One that was seen to cover more lines stays as it was seen: somebody
/// turned it back.
pub(super) fn others(
    data: &BTreeMap<String, String>,
    own: &Identity,
    keys: &[PublicKey],
    before: &[OtherHead],
) -> Vec<OtherHead> {
    let found = data.iter().filter_map(|(name, note)| believed(name, note, &own.cluster, keys));
    let mut found: Vec<_> = found.filter(|(identity, _)| identity != own).collect();
    found.sort_by(|(one, a), (other, b)| (Reverse(one.life), &a.origin).cmp(&(Reverse(other.life), &b.origin)));
    let newest = |head: OtherHead| {
        let seen = before.iter().find(|seen| seen.origin == head.origin && seen.size > head.size);
        seen.cloned().unwrap_or(head)
    };
    found.into_iter().map(|(_, head)| newest(head)).take(OTHERS).collect()
}

/// Which entries may go: what was last written more than thirty days ago, and of what is too many first what none of our
/// keys has signed, then lives that another of the same replica followed, then the oldest. Never the leader's own.
///
/// `written` tells when the entries of a life were last written; of a life without, its start counts.
pub(super) fn surplus(
    data: &BTreeMap<String, String>,
    own: &Identity,
    keys: &[PublicKey],
    written: impl Fn(&Identity) -> Option<UnixTime>,
    now: UnixTime,
) -> Vec<String> {
    let known: Vec<(&String, Option<Identity>)> = data
        .iter()
        .map(|(name, note)| (name, believed(name, note, &own.cluster, keys).map(|(identity, _)| identity)))
        .filter(|(_, identity)| identity.as_ref() != Some(own))
        .collect();
    let mut newest = BTreeMap::new();
    for identity in known.iter().filter_map(|(_, identity)| identity.as_ref()) {
        let life = newest.entry(&identity.replica).or_insert(identity.life);
        *life = (*life).max(identity.life);
    }
    let seen = |identity: &Identity| written(identity).unwrap_or_else(|| started(identity));
    let (mut gone, mut kept) = (Vec::new(), Vec::new());
    for (name, identity) in &known {
        match identity {
            Some(identity) if now.since(seen(identity)) > REMEMBERED => gone.push((*name).clone()),
            Some(identity) => {
                kept.push((1 + u8::from(newest[&identity.replica] == identity.life), seen(identity), *name));
            }
            None => kept.push((0, UnixTime::from_secs(0), *name)),
        }
    }
    kept.sort_unstable();
    let too_many = (data.len() - gone.len()).saturating_sub(ENTRIES);
    gone.extend(kept.into_iter().take(too_many).map(|(_, _, name)| name.clone()));
    gone
}

fn started(identity: &Identity) -> UnixTime {
    UnixTime::from_micros(i64::try_from(identity.life.saturating_mul(1_000)).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        audit::checkpoint::{Keys, origin, sign},
        controllers::audit_key::signing_key,
    };

    const NOW: UnixTime = UnixTime::from_secs(1_795_233_600);
    const LIFE: u64 = 1_795_233_000_000;

    fn keys() -> Keys {
        signing_key(rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().serialize_pem().as_bytes()).unwrap()
    }

    fn identity(replica: &str, life: u64) -> Identity {
        Identity { cluster: "prod".to_owned(), replica: replica.to_owned(), life }
    }

    fn root(byte: u8) -> Root {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        STANDARD.encode([byte; 32]).parse().unwrap()
    }

    fn note(identity: &Identity, size: u64, keys: &Keys) -> String {
        sign(&origin(identity, "file"), size, &root(1), keys)
    }

    fn map<'a>(notes: impl IntoIterator<Item = (&'a Identity, String)>) -> BTreeMap<String, String> {
        notes.into_iter().map(|(identity, note)| (entry_name(identity, "file"), note)).collect()
    }

    #[test]
    fn what_contradicts_an_earlier_note_is_never_shown() {
        let (keys, ours) = (keys(), identity("a", LIFE));
        let mut own = Own::new(ours.clone());
        own.take("file", &note(&ours, 5, &keys)).unwrap();
        let shown = own.entries();
        assert_eq!(shown.keys().collect::<Vec<_>>(), ["a.1795233000000.file"]);
        let split = sign(&origin(&ours, "file"), 5, &root(2), &keys);
        let foreign = note(&identity("a", LIFE + 1), 6, &keys);
        let other_sink = sign(&origin(&ours, "stdout"), 6, &root(1), &keys);
        for (wrong, expected) in [
            (note(&ours, 4, &keys), Refused::Shrunk { known: 5, found: 4 }),
            (split, Refused::Split(5)),
            (foreign.clone(), Refused::Foreign(Note::parse(&foreign).unwrap().origin)),
            (other_sink, Refused::Foreign(origin(&ours, "stdout"))),
            ("garbage".to_owned(), Refused::NotANote),
        ] {
            assert_eq!(own.take("file", &wrong), Err(expected));
            assert_eq!(own.entries(), shown);
        }
        assert!(own.is_shown_in(&shown) && !own.is_shown_in(&BTreeMap::new()));
        own.take("file", &note(&ours, 5, &keys)).unwrap();
        own.take("file", &note(&ours, 6, &keys)).unwrap();
        assert!(!own.is_shown_in(&shown), "there is news");
    }

    #[test]
    fn only_what_our_keys_signed_under_its_own_name_is_believed() {
        let (ours, theirs) = (keys(), keys());
        let public: Vec<PublicKey> = ours.public().collect();
        let me = identity("a", LIFE);
        let (b, c, d) = (identity("b", LIFE), identity("c", LIFE + 1), identity("d", LIFE));
        let elsewhere = Identity { cluster: "staging".to_owned(), ..b.clone() };
        let mut data = map([
            (&me, note(&me, 9, &ours)),
            (&b, note(&b, 3, &ours)),
            (&c, note(&c, 4, &ours)),
            (&d, note(&d, 5, &theirs)),
        ]);
        data.insert("e.1.file".to_owned(), note(&b, 3, &ours));
        data.insert(entry_name(&elsewhere, "x"), sign(&origin(&elsewhere, "x"), 1, &root(1), &ours));
        data.insert("f".to_owned(), "x".repeat(100_000));
        let seen = others(&data, &me, &public, &[]);
        let heads: Vec<_> = seen.iter().map(|head| (head.origin.as_str(), head.size)).collect();
        let (of_b, of_c) = (origin(&b, "file"), origin(&c, "file"));
        assert_eq!(heads, [(of_c.as_str(), 4), (of_b.as_str(), 3)]);
        assert_eq!(others(&data, &me, &[], &[]), []);

        data.insert(entry_name(&b, "file"), note(&b, 2, &ours));
        assert_eq!(others(&data, &me, &public, &seen), seen, "turned back, it stays as it was seen");
        data.insert(entry_name(&b, "file"), note(&b, 7, &ours));
        assert_eq!(others(&data, &me, &public, &seen)[1].size, 7);
    }

    #[test]
    fn many_others_are_few_in_a_record() {
        let keys = keys();
        let lives: Vec<Identity> = (0..40).map(|number| identity("b", LIFE + number)).collect();
        let data = map(lives.iter().map(|life| (life, note(life, 1, &keys))));
        let public: Vec<PublicKey> = keys.public().collect();
        let seen = others(&data, &identity("a", LIFE), &public, &[]);
        assert_eq!(seen.len(), OTHERS);
        assert_eq!(seen[0].origin, origin(&lives[39], "file"), "the youngest first");
    }

    #[test]
    fn what_is_old_goes_and_what_is_too_many_goes_in_order() {
        let keys = keys();
        let public: Vec<PublicKey> = keys.public().collect();
        let me = identity("me", LIFE);
        let day = |days: u64| NOW.minus(Duration::from_hours(24 * days));
        let gone = identity("gone", LIFE);
        let recent = identity("recent", LIFE);
        let data =
            map([(&me, note(&me, 1, &keys)), (&gone, note(&gone, 1, &keys)), (&recent, note(&recent, 1, &keys))]);
        let written = |identity: &Identity| match identity.replica.as_str() {
            "gone" | "me" => Some(day(31)),
            _ => Some(day(29)),
        };
        assert_eq!(surplus(&data, &me, &public, written, NOW), [entry_name(&gone, "file")]);
        assert_eq!(surplus(&data, &me, &public, |_| None, NOW), Vec::<String>::new(), "they began minutes ago");

        // One of ours, 62 lives of one replica, one head each of two others, and one of a stranger: 66.
        let lives: Vec<Identity> = (0..62).map(|number| identity("b", LIFE + number)).collect();
        let (c, d, stranger) = (identity("c", LIFE), identity("d", LIFE), identity("stranger", LIFE));
        let mut data = map(lives.iter().chain([&me, &c, &d]).map(|life| (life, note(life, 1, &keys))));
        data.insert(entry_name(&stranger, "file"), note(&stranger, 1, &self::keys()));
        assert_eq!(data.len(), ENTRIES + 2);
        let gone = surplus(&data, &me, &public, |_| None, NOW);
        assert_eq!(gone, [entry_name(&stranger, "file"), entry_name(&lives[0], "file")]);
    }

    #[test]
    fn names_are_what_a_config_map_takes() {
        let odd = identity("a/b \u{e4}", 7);
        assert_eq!(entry_name(&odd, "file"), "a_b__.7.file");
        let long = entry_name(&identity(&"x".repeat(300), u64::MAX), "stdout");
        assert!(long.len() <= 253, "{}", long.len());
    }
}
