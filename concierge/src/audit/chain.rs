//! The hash chain of one sink: makes each line whole, and ties it to the line before it and into a tree that can be signed.
//!
//! A line is `{"v":1,"seq":N,"life":L,"cluster":"C","replica":"R",` then the event's own members, then `,"prev":"H"}` where
//! H is the hash of the line before. The hash of a line is SHA-256 over a zero byte and the line without its newline: the
//! leaf hash of RFC 6962 section 2.1, so the chain's links are the tree's leaves.

pub mod tree;

use std::{fmt, str::FromStr, sync::Arc};

use aws_lc_rs::digest::{Context, SHA256};
use base64::{Engine as _, engine::general_purpose::STANDARD};

pub use self::tree::Root;
use self::tree::Tree;

/// Version of the line's schema; within one version members are only added.
pub const SCHEMA_VERSION: u32 = 1;

/// Longest line with its newline: every log pipeline carries this much in one piece (container runtimes split at 16 KiB).
pub const LINE_LIMIT: usize = 8 * 1024;

/// What opens every line, up to the number.
pub(in crate::audit) const OPENING: &str = r#"{"v":1,"seq":"#;

/// What stands between the event's own members and the hash in base64.
pub(in crate::audit) const BEFORE_PREV: &str = r#","prev":""#;

/// What stands after the hash, before the newline.
pub(in crate::audit) const CLOSING: &str = r#""}"#;

/// Length of 32 bytes in padded base64.
pub(in crate::audit) const HEAD_TEXT: usize = 44;

/// Who writes: one life of one replica of one cluster. Lives never share a chain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// The cluster's name.
    pub cluster: String,
    /// The replica's name, in Kubernetes its pod's.
    pub replica: String,
    /// When the process started, in Unix milliseconds; later than every life in its file's folder, whatever the clock says.
    pub life: u64,
}

/// One sink's chain and tree. A clone is the way back: a sink that could not write a batch goes on from the one before it.
#[derive(Clone, Debug)]
pub struct Chain {
    /// The members that say who writes; the same in every line.
    signature: Arc<str>,
    head: Head,
    tree: Tree,
}

/// The hash of a line: what the next line's `prev` says. Shown as 44 characters of base64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Head([u8; 32]);

/// A text is not the base64 of 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 32 bytes in base64: 43 characters and a `=`")]
pub struct NotAHash;

// === impl Identity ===

impl Identity {
    /// The members that say who writes, as they stand in every line between the number and the event.
    pub(in crate::audit) fn members(&self) -> String {
        let cluster = serde_json::Value::from(self.cluster.as_str());
        let replica = serde_json::Value::from(self.replica.as_str());
        format!(r#","life":{},"cluster":{cluster},"replica":{replica},"#, self.life)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.cluster, self.replica, self.life)
    }
}

// === impl Chain ===

impl Chain {
    /// An empty chain. `previous` is the last head of the life before in the same sink, if it is known: the first line
    /// then says that it follows it.
    #[must_use]
    pub fn new(identity: &Identity, previous: Option<Head>) -> Self {
        Self { signature: identity.members().into(), head: previous.unwrap_or(Head::NONE), tree: Tree::default() }
    }

    /// Appends one whole line, with its newline, to `out` and moves on. `body` is the event's members from `"time"` on,
    /// without braces; the sink keeps it below [`LINE_LIMIT`] together with the rest.
    pub fn append(&mut self, seq: u64, body: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(OPENING.as_bytes());
        push_decimal(seq, out);
        out.extend_from_slice(self.signature.as_bytes());
        out.extend_from_slice(body);
        out.extend_from_slice(BEFORE_PREV.as_bytes());
        self.head.push(out);
        out.extend_from_slice(CLOSING.as_bytes());
        self.head = Head::of_line(&out[start..]);
        self.tree.push(self.head.0);
        out.push(b'\n');
    }

    /// How many lines there are.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.tree.size()
    }

    /// The hash of the last line; before the first, what [`Chain::new`] was given.
    #[must_use]
    pub const fn head(&self) -> Head {
        self.head
    }

    /// The root over all lines so far: what a checkpoint signs.
    #[must_use]
    pub fn root(&self) -> Root {
        self.tree.root()
    }

    /// The roots of the full subtrees of that tree, the largest first: at most 64, and as many as `size` has bits set.
    pub fn peaks(&self) -> impl Iterator<Item = Root> + '_ {
        self.tree.peaks()
    }

    /// Bytes of a line that are not the event's own, at the largest number: what is left of [`LINE_LIMIT`] is the body's.
    #[must_use]
    pub fn overhead(&self) -> usize {
        const LARGEST_NUMBER: usize = 20;
        let fixed = OPENING.len() + BEFORE_PREV.len() + HEAD_TEXT + CLOSING.len() + "\n".len();
        fixed + LARGEST_NUMBER + self.signature.len()
    }
}

/// `format!` without its machinery: this runs for every record.
fn push_decimal(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

// === impl Head ===

impl Head {
    /// What the first line of a life says when no life before it is known.
    pub const NONE: Self = Self([0; 32]);

    /// The hash of a line, given without its newline.
    #[must_use]
    pub fn of_line(line: &[u8]) -> Self {
        Self(hash(&[&[0], line]))
    }

    /// The bytes: also the leaf of the tree (RFC 6962 section 2.1).
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn push(self, out: &mut Vec<u8>) {
        let start = out.len();
        out.resize(start + HEAD_TEXT, 0);
        let written = STANDARD.encode_slice(self.0, &mut out[start..]);
        debug_assert_eq!(written, Ok(HEAD_TEXT), "32 bytes are 44 characters");
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Head {
    type Err = NotAHash;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        decode(text.as_bytes()).map(Self)
    }
}

/// Exactly the one canonical text of 32 bytes.
fn decode(text: &[u8]) -> Result<[u8; 32], NotAHash> {
    // The estimate for 44 characters is 33 bytes; what is longer than the text of 32 does not fit and is refused.
    let mut bytes = [0; 33];
    match STANDARD.decode_slice(text, &mut bytes) {
        Ok(32) => bytes[..32].try_into().map_err(|_| NotAHash),
        _ => Err(NotAHash),
    }
}

/// SHA-256 over several pieces.
fn hash(pieces: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for piece in pieces {
        context.update(piece);
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity { cluster: "prod-eu".into(), replica: "latchkey-7c9f-2k".into(), life: 1_795_222_800_123 }
    }

    #[test]
    fn a_line_is_what_the_schema_says() {
        let mut chain = Chain::new(&identity(), None);
        let mut out = b"before\n".to_vec();
        chain.append(0, br#""time":"t","kind":"audit.started""#, &mut out);
        let first = r#"{"v":1,"seq":0,"life":1795222800123,"cluster":"prod-eu","replica":"latchkey-7c9f-2k","time":"t","kind":"audit.started","prev":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}"#;
        assert_eq!(out, format!("before\n{first}\n").into_bytes());
        assert_eq!(chain.head(), Head::of_line(first.as_bytes()));
        chain.append(u64::MAX, br#""time":"u""#, &mut out);
        let second = String::from_utf8(out).unwrap().lines().last().unwrap().to_owned();
        let value: serde_json::Value = serde_json::from_str(&second).unwrap();
        assert_eq!(value["seq"], u64::MAX);
        assert_eq!(value["prev"], Head::of_line(first.as_bytes()).to_string());
        assert_eq!(chain.size(), 2);
        assert_eq!(chain.overhead(), second.len() + 1 - r#""time":"u""#.len());
    }

    #[test]
    fn a_new_life_follows_the_head_it_knows() {
        let known = Head::of_line(b"last");
        let mut chain = Chain::new(&identity(), Some(known));
        assert_eq!((chain.head(), chain.size()), (known, 0));
        let mut out = Vec::new();
        chain.append(0, b"\"time\":1", &mut out);
        assert!(String::from_utf8(out).unwrap().contains(&known.to_string()));
    }

    #[test]
    fn names_that_need_it_are_escaped() {
        let mut chain = Chain::new(&Identity { cluster: "a\"b\n".into(), replica: "\u{1b}".into(), life: 1 }, None);
        let mut out = Vec::new();
        chain.append(7, b"\"time\":1", &mut out);
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((&value["cluster"], &value["replica"]), (&"a\"b\n".into(), &"\u{1b}".into()));
        assert_eq!(out.iter().position(|byte| *byte == b'\n'), Some(out.len() - 1));
    }

    #[test]
    fn a_clone_is_the_way_back() {
        let mut chain = Chain::new(&identity(), None);
        let mut out = Vec::new();
        for seq in 0..5 {
            chain.append(seq, b"\"time\":1", &mut out);
        }
        let kept = chain.clone();
        chain.append(5, b"\"time\":\"lost\"", &mut Vec::new());
        assert_ne!((chain.head(), chain.root()), (kept.head(), kept.root()));
        let mut again = kept.clone();
        again.append(5, b"\"time\":\"lost\"", &mut Vec::new());
        assert_eq!((chain.head(), chain.root()), (again.head(), again.root()));
    }

    #[test]
    fn a_head_has_one_text() {
        let head = Head::of_line(b"x");
        assert_eq!(head.to_string().parse(), Ok(head));
        let zero = "A".repeat(43) + "=";
        assert_eq!(zero.parse(), Ok(Head::NONE));
        // The last character before the padding holds two bits that nobody may use.
        for wrong in ["", "AAAA", &("A".repeat(42) + "B="), &"A".repeat(43), &"A".repeat(44), &(zero.clone() + "\n")] {
            assert_eq!(wrong.parse::<Head>(), Err(NotAHash), "{wrong:?}");
        }
    }
}
