//! Source text to tokens.

use super::literal;
use crate::cel::{Value, compile_error::Fault};

/// One token and where it starts.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) at: usize,
    pub(super) kind: TokenKind,
}

#[derive(Clone, Debug)]
pub(super) enum TokenKind {
    /// A name; reserved words too.
    Name(String),
    /// A number without sign and suffix, to be read when its sign is known.
    Int(String),
    Uint(String),
    Double(String),
    /// A text or octets.
    Literal(Value),
    /// An operator or bracket.
    Sign(&'static str),
}

/// Operators and brackets, the longer first.
const SIGNS: [&str; 24] = [
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "[", "]", "{", "}", "(", ")", ".", ",", "-", "!", "?", ":", "+", "*",
    "/", "%",
];

/// The tokens of `source`, without white space and comments.
pub(super) fn tokens(source: &str) -> Result<Vec<Token>, Fault> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = source[at..].chars().next() {
        let rest = &source[at..];
        let length = if matches!(first, ' ' | '\t' | '\r' | '\n' | '\u{c}') {
            1
        } else if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else {
            let (kind, length) = token(rest, at)?;
            tokens.push(Token { at, kind });
            length
        };
        at += length;
    }
    Ok(tokens)
}

fn token(rest: &str, at: usize) -> Result<(TokenKind, usize), Fault> {
    if let Some(found) = number(rest) {
        return Ok(found);
    }
    if let Some((value, length)) = literal::text(rest, at)? {
        return Ok((TokenKind::Literal(value), length));
    }
    let name = rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
    if name > 0 {
        return Ok((TokenKind::Name(rest[..name].to_owned()), name));
    }
    let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign)).ok_or_else(|| {
        let odd = rest.chars().next().unwrap_or_default();
        Fault::new(at, format!("the character {odd:?} has no meaning here"))
    })?;
    Ok((TokenKind::Sign(sign), sign.len()))
}

/// A number at the start of `rest`: the longest that the grammar allows.
fn number(rest: &str) -> Option<(TokenKind, usize)> {
    let bytes = rest.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    if rest.starts_with("0x") {
        let hex = bytes[2..].iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        if hex > 0 {
            return Some(integer(rest, 2 + hex));
        }
    }
    let whole = digits(0);
    let mut end = whole;
    if bytes.get(end) == Some(&b'.') && digits(end + 1) > 0 {
        end += 1 + digits(end + 1);
    } else if whole == 0 {
        return None;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        if end + 1 + sign <= bytes.len() && digits(end + 1 + sign) > 0 {
            end += 1 + sign + digits(end + 1 + sign);
        }
    }
    if end == whole { Some(integer(rest, end)) } else { Some((TokenKind::Double(rest[..end].to_owned()), end)) }
}

fn integer(rest: &str, end: usize) -> (TokenKind, usize) {
    let text = rest[..end].to_owned();
    if matches!(rest.as_bytes().get(end), Some(b'u' | b'U')) {
        (TokenKind::Uint(text), end + 1)
    } else {
        (TokenKind::Int(text), end)
    }
}
