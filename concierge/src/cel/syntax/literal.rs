//! Literals: texts and octets in their eight quotings, and numbers.

use crate::cel::{Value, compile_error::Fault};

/// The text or octets literal at the start of `rest` and its length; `None` if there is none.
pub(super) fn text(rest: &str, at: usize) -> Result<Option<(Value, usize)>, Fault> {
    let bytes = rest.as_bytes();
    let octets = matches!(bytes.first(), Some(b'b' | b'B'));
    let mut prefix = usize::from(octets);
    let raw = matches!(bytes.get(prefix), Some(b'r' | b'R'));
    prefix += usize::from(raw);
    let Some(quote @ (b'"' | b'\'')) = bytes.get(prefix).copied() else {
        return Ok(None);
    };
    let triple = bytes[prefix..].starts_with(&[quote; 3]);
    let marks = if triple { 3 } else { 1 };
    let start = prefix + marks;
    let end =
        start + closing(&bytes[start..], quote, triple, raw).ok_or_else(|| Fault::new(at, "a text does not end"))?;
    // Line ends inside of a literal are one character whatever the editor wrote.
    let content = rest[start..end].replace("\r\n", "\n").replace('\r', "\n");
    let content = if raw { content.into_bytes() } else { unescape(&content, octets, at)? };
    let value = if octets {
        Value::Bytes(content.into())
    } else {
        String::from_utf8(content).map_err(|_| Fault::new(at, "the text is not UTF-8"))?.into()
    };
    Ok(Some((value, end + marks)))
}

/// Where the content ends; `None` if it does not.
fn closing(bytes: &[u8], quote: u8, triple: bool, raw: bool) -> Option<usize> {
    let mut position = 0;
    loop {
        match *bytes.get(position)? {
            byte if byte == quote => {
                if !triple || bytes[position..].starts_with(&[quote; 3]) {
                    return Some(position);
                }
                position += 1;
            }
            b'\n' | b'\r' if !triple => return None,
            b'\\' if !raw => position += 2,
            _ => position += 1,
        }
    }
}

fn unescape(content: &str, octets: bool, at: usize) -> Result<Vec<u8>, Fault> {
    let wrong = || Fault::new(at, r"a text has an unknown escape; write \\ for one backslash, or a raw text: r'\d+'");
    let mut out = Vec::with_capacity(content.len());
    let mut rest = content;
    while let Some(position) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..position]);
        let escape = rest[position + 1..].chars().next().ok_or_else(wrong)?;
        let after = &rest[position + 1 + escape.len_utf8()..];
        let simple = match escape {
            'a' => Some(0x07),
            'b' => Some(0x08),
            'f' => Some(0x0c),
            'n' => Some(b'\n'),
            'r' => Some(b'\r'),
            't' => Some(b'\t'),
            'v' => Some(0x0b),
            '\\' | '\'' | '"' | '`' | '?' => u8::try_from(escape).ok(),
            _ => None,
        };
        if let Some(byte) = simple {
            out.push(byte);
            rest = after;
            continue;
        }
        let (digits, radix, from) = match escape {
            'x' | 'X' => (2, 16, after),
            'u' if !octets => (4, 16, after),
            'U' if !octets => (8, 16, after),
            '0'..='3' => (3, 8, &rest[position + 1..]),
            _ => return Err(wrong()),
        };
        let digits =
            from.get(..digits).filter(|text| text.chars().all(|digit| digit.is_digit(radix))).ok_or_else(wrong)?;
        let code = u32::from_str_radix(digits, radix).map_err(|_| wrong())?;
        if octets {
            out.push(u8::try_from(code).map_err(|_| wrong())?);
        } else {
            let character = char::from_u32(code).ok_or_else(wrong)?;
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        rest = &from[digits.len()..];
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(out)
}

/// An `int`, decimal or `0x`, with its sign.
pub(super) fn int(text: &str, negative: bool, at: usize) -> Result<Value, Fault> {
    let sign = if negative { "-" } else { "" };
    let number = match text.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(&format!("{sign}{hex}"), 16),
        None => format!("{sign}{text}").parse(),
    };
    number
        .map(Value::Int)
        .map_err(|_| Fault::new(at, "the number does not fit an int; write it as uint (1u) or double"))
}

/// A `uint`, decimal or `0x`.
pub(super) fn uint(text: &str, at: usize) -> Result<Value, Fault> {
    let number = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    number.map(Value::Uint).map_err(|_| Fault::new(at, "the number does not fit a uint"))
}

/// A `double` with its sign.
pub(super) fn double(text: &str, negative: bool, at: usize) -> Result<Value, Fault> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(Value::Double(if negative { -number } else { number })),
        _ => Err(Fault::new(at, "the number does not fit a double")),
    }
}
