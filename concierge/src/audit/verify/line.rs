//! One line, read by position: who wrote it, its number, its kind and its link. The members between are the hash's business.

use super::super::chain::{BEFORE_PREV, CLOSING, HEAD_TEXT, Head, Identity, OPENING};

/// Longest text of a time or a kind that is looked for: RFC 3339 with microseconds has 27 characters, no kind has more.
const SHORT_TEXT: usize = 40;

/// The parts of a line that every record has at the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Envelope<'a> {
    pub(super) seq: u64,
    /// The members that say who writes, as [`Identity::members`] writes them.
    pub(super) members: &'a [u8],
    pub(super) time: &'a [u8],
    pub(super) kind: &'a [u8],
    pub(super) prev: Head,
}

/// Why a line is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Malformed {
    /// It does not begin as one: another program's line, or a collector put something before it.
    Foreign,
    /// It begins as one and does not end as one.
    Cut,
    /// It begins and ends as one, and something between is not as it is written.
    Inside,
}

impl<'a> Envelope<'a> {
    /// Reads a line without its newline. `usual` are the members that most likely say who writes: those of the line before.
    pub(super) fn read(line: &'a [u8], usual: &[u8]) -> Result<Self, Malformed> {
        let rest = line.strip_prefix(OPENING.as_bytes()).ok_or(Malformed::Foreign)?;
        let (body, prev) = tail(rest).ok_or(Malformed::Cut)?;
        let prev = std::str::from_utf8(prev).ok().and_then(|prev| prev.parse().ok()).ok_or(Malformed::Inside)?;
        let (seq, rest) = number(body).ok_or(Malformed::Inside)?;
        let members = if !usual.is_empty() && rest.starts_with(usual) { usual.len() } else { identity_length(rest)? };
        let (members, rest) = rest.split_at(members);
        let (time, rest) = text(rest, br#""time":""#).ok_or(Malformed::Inside)?;
        let (kind, _) = text(rest, br#","kind":""#).ok_or(Malformed::Inside)?;
        Ok(Self { seq, members, time, kind, prev })
    }
}

/// Who writes, from the members that say so; `None` if they are not the one way in which it is written.
pub(super) fn identity(members: &[u8]) -> Option<Identity> {
    #[derive(serde::Deserialize)]
    struct Members {
        life: u64,
        cluster: String,
        replica: String,
    }
    let inner = members.strip_prefix(b",")?.strip_suffix(b",")?;
    let Members { life, cluster, replica } = serde_json::from_slice(&[b"{", inner, b"}"].concat()).ok()?;
    let identity = Identity { cluster, replica, life };
    (identity.members().as_bytes() == members).then_some(identity)
}

/// What stands before the link, and the link.
fn tail(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = rest.strip_suffix(CLOSING.as_bytes())?;
    let (rest, prev) = rest.split_at_checked(rest.len().checked_sub(HEAD_TEXT)?)?;
    Some((rest.strip_suffix(BEFORE_PREV.as_bytes())?, prev))
}

/// A decimal number without leading zeros, and what follows it.
fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at(digits);
    if number.is_empty() || (number[0] == b'0' && digits > 1) {
        return None;
    }
    let number =
        number.iter().try_fold(0_u64, |number, digit| number.checked_mul(10)?.checked_add(u64::from(digit - b'0')))?;
    Some((number, rest))
}

/// A string member of plain characters right here, and what follows its closing quote.
fn text<'a>(rest: &'a [u8], opening: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let rest = rest.strip_prefix(opening)?;
    let end = rest.iter().take(SHORT_TEXT).position(|byte| *byte == b'"')?;
    Some((&rest[..end], &rest[end + 1..]))
}

/// How long the members are that say who writes.
fn identity_length(rest: &[u8]) -> Result<usize, Malformed> {
    let after_life = rest.strip_prefix(br#","life":"#).and_then(number).ok_or(Malformed::Inside)?.1;
    let after_cluster = string(after_life, br#","cluster":"#).ok_or(Malformed::Inside)?;
    let after_replica = string(after_cluster, br#","replica":"#).ok_or(Malformed::Inside)?;
    let after = after_replica.strip_prefix(b",").ok_or(Malformed::Inside)?;
    Ok(rest.len() - after.len())
}

/// What follows a JSON string.
fn string<'a>(rest: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let rest = rest.strip_prefix(name)?.strip_prefix(b"\"")?;
    let mut escaped = false;
    for (position, byte) in rest.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(&rest[position + 1..]),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{super::super::chain::Chain, *};

    fn line(cluster: &str) -> (Vec<u8>, Identity) {
        let identity = Identity { cluster: cluster.into(), replica: "r".into(), life: 12 };
        let mut out = Vec::new();
        Chain::new(&identity, None).append(
            7,
            br#""time":"2026-11-21T01:02:03.412345Z","kind":"token.refused","x":{"prev":1}"#,
            &mut out,
        );
        out.pop();
        (out, identity)
    }

    #[test]
    fn a_line_is_read_by_position() {
        for cluster in ["prod", "a\"b\\", "\u{e4}\n"] {
            let (line, who) = line(cluster);
            let members = who.members();
            for usual in ["", "x", &members] {
                let read = Envelope::read(&line, usual.as_bytes()).unwrap();
                assert_eq!((read.seq, read.members, read.prev), (7, members.as_bytes(), Head::NONE));
                assert_eq!((read.time, read.kind), (&b"2026-11-21T01:02:03.412345Z"[..], &b"token.refused"[..]));
                assert_eq!(identity(read.members).as_ref(), Some(&who));
            }
        }
    }

    #[test]
    fn what_is_no_record_is_said_to_be_none() {
        let (line, _) = line("prod");
        let text = String::from_utf8(line.clone()).unwrap();
        for (wrong, expected) in [
            (String::new(), Malformed::Foreign),
            (format!("2026-11-21 stdout F {text}"), Malformed::Foreign),
            (text[..text.len() - 1].to_owned(), Malformed::Cut),
            (format!("{text}\r"), Malformed::Cut),
            (text.replace("AAA=", "AAB="), Malformed::Inside),
            (text.replace(":7,", ":07,"), Malformed::Inside),
            (text.replace(":7,", ":18446744073709551616,"), Malformed::Inside),
            (text.replace("\"life\":12", "\"life\":"), Malformed::Inside),
            (text.replace("\"replica\"", "\"replicb\""), Malformed::Inside),
            (text.replace("\"kind\"", "\"kynd\""), Malformed::Inside),
        ] {
            assert_eq!(Envelope::read(wrong.as_bytes(), b""), Err(expected), "{wrong}");
        }
        for members in [r#","life":1,"cluster":"\u0061","replica":"r","#, r#","life":1,"cluster":"a","#, ",", ""] {
            assert_eq!(identity(members.as_bytes()), None, "{members}");
        }
        // Every shorter line is refused, and none panics.
        for end in 0..line.len() {
            assert!(Envelope::read(&line[..end], b"").is_err());
        }
    }
}
