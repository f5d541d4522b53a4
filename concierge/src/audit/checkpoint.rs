//! Checkpoints: how many lines a log had and what they hashed to, signed, so that nobody can later tell another story.
//!
//! The form is C2SP's `tlog-checkpoint` inside a signed note, which every transparency-log tool reads: the log's name, the
//! number of lines, the root of their RFC 6962 tree, a blank line, and one signature line for each key. No extension lines.

mod key;
mod note;

use super::chain::{Identity, Root};

pub use self::{
    key::{Keys, NotAKey, PublicKey, SigningKey},
    note::{MAX_NOTE_BYTES, Note, NoteError, SignatureProblem, notes_in},
};

/// What opens the name of every log of ours.
const PRODUCT: &str = "latchkey.dev/audit";

/// The name of one sink's log of one life, unique in the world as long as clusters' names are unique:
/// `latchkey.dev/audit/<cluster>/<replica>/<life>/<sink>`. It is also the name of the key that signs it.
///
/// What may not stand in a key's name (white space and `+`) and what would make two logs look like one (`/`) is written as
/// `%` and two hexadecimal digits.
#[must_use]
pub fn origin(identity: &Identity, sink: &str) -> String {
    let mut name = PRODUCT.to_owned();
    for part in [&identity.cluster, &identity.replica, &identity.life.to_string(), sink] {
        name.push('/');
        push_escaped(part, &mut name);
    }
    name
}

/// Signs how long a log is and what its lines hash to: the text of a signed note, with a line for each key.
///
/// `size` counts the lines before the record that will carry the note, which is how a reader finds the lines it speaks of.
#[must_use]
pub fn sign(origin: &str, size: u64, root: &Root, keys: &Keys) -> String {
    let text = format!("{origin}\n{size}\n{root}\n");
    let mut note = text.clone();
    note.push('\n');
    for key in keys.iter() {
        key.sign_line(origin, &text, &mut note);
    }
    note
}

/// The members of an origin that [`origin`] made; `None` for anybody else's.
#[must_use]
pub fn named(origin: &str) -> Option<(Identity, String)> {
    let rest = origin.strip_prefix(PRODUCT)?.strip_prefix('/')?;
    let parts: Vec<&str> = rest.split('/').collect();
    let [cluster, replica, life, sink] = parts.as_slice() else { return None };
    let identity = Identity { cluster: unescaped(cluster)?, replica: unescaped(replica)?, life: life.parse().ok()? };
    let sink = unescaped(sink)?;
    // One log has one name.
    (self::origin(&identity, &sink) == origin).then_some((identity, sink))
}

fn push_escaped(part: &str, name: &mut String) {
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:@".contains(&byte) {
            name.push(char::from(byte));
        } else {
            name.push('%');
            name.push_str(&hex::encode_upper([byte]));
        }
    }
}

fn unescaped(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        if *first == b'%' {
            let (digits, more) = more.split_at_checked(2)?;
            bytes.extend(hex::decode(digits).ok()?);
            rest = more;
        } else {
            bytes.push(*first);
            rest = more;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        Keys::one(SigningKey::from_seed(&[7; 32]).unwrap())
    }

    fn identity() -> Identity {
        Identity { cluster: "prod-eu".into(), replica: "latchkey-7c9f-2k".into(), life: 1_795_222_800 }
    }

    fn root() -> Root {
        "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=".parse().unwrap()
    }

    #[test]
    fn the_note_is_the_text_of_the_specification() {
        let origin = origin(&identity(), "file");
        assert_eq!(origin, "latchkey.dev/audit/prod-eu/latchkey-7c9f-2k/1795222800/file");
        let note = sign(&origin, 48_211, &root(), &keys());
        let lines: Vec<&str> = note.split('\n').collect();
        let text = [origin.as_str(), "48211", "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=", ""];
        assert_eq!(lines[..4], text);
        assert!(lines[4].starts_with(&format!("\u{2014} {origin} ")), "{note}");
        assert_eq!(lines[5..], [""]);
        let parsed = Note::parse(&note).unwrap();
        assert_eq!((parsed.origin.as_str(), parsed.size, parsed.root), (origin.as_str(), 48_211, root()));
        let public: Vec<PublicKey> = keys().public().collect();
        assert_eq!(parsed.verify(&public), Ok(public[0]));
    }

    #[test]
    fn while_one_key_takes_over_either_is_enough() {
        let (old, new) = (SigningKey::from_seed(&[1; 32]).unwrap(), SigningKey::from_seed(&[2; 32]).unwrap());
        let (first, second) = (old.public(), new.public());
        let note = Note::parse(&sign("o", 1, &root(), &Keys::two(new, old))).unwrap();
        assert_eq!(note.verify(&[first]), Ok(first));
        assert_eq!(note.verify(&[second]), Ok(second));
        let stranger = SigningKey::from_seed(&[3; 32]).unwrap().public();
        assert_eq!(note.verify(&[stranger]), Err(SignatureProblem::UnknownKey));
        assert_eq!(note.verify(&[]), Err(SignatureProblem::UnknownKey));
    }

    #[test]
    fn names_survive_the_way_there_and_back() {
        for (cluster, replica, sink) in [("a", "b", "c"), ("a/b", "c d+e", "%2F"), ("\u{e4}", "", "x\ny")] {
            let identity = Identity { cluster: cluster.into(), replica: replica.into(), life: u64::MAX };
            let name = origin(&identity, sink);
            assert!(!name.contains([' ', '+', '\n']), "{name}");
            assert_eq!(named(&name), Some((identity, sink.to_owned())));
        }
        for foreign in
            ["", "latchkey.dev/audit", "example.com/log", "latchkey.dev/audit/a/b/01/c", "latchkey.dev/audit/a/b/1/%63"]
        {
            assert_eq!(named(foreign), None, "{foreign}");
        }
    }
}
