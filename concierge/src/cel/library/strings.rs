//! cel-go's string library, version 2, which kube-apiserver has since 1.29. Positions and lengths count code points.

use std::iter;

use crate::cel::{
    Budget,
    EvaluationError::{self, BadArgument, IndexOutOfRange, NoSuchOverload},
    Overload, Type, Value,
};

pub(super) fn overloads() -> Vec<Overload> {
    let text = || Type::String;
    let texts = || Type::list(Type::String);
    let int = || Type::Int;
    vec![
        Overload::member("charAt", [text(), int()], text(), char_at),
        Overload::member("indexOf", [text(), text()], int(), index_of),
        Overload::member("indexOf", [text(), text(), int()], int(), index_of),
        Overload::member("join", [texts()], text(), join),
        Overload::member("join", [texts(), text()], text(), join),
        Overload::member("lastIndexOf", [text(), text()], int(), last_index_of),
        Overload::member("lastIndexOf", [text(), text(), int()], int(), last_index_of),
        Overload::member("lowerAscii", [text()], text(), lower_ascii),
        Overload::member("replace", [text(), text(), text()], text(), replace),
        Overload::member("replace", [text(), text(), text(), int()], text(), replace),
        Overload::member("split", [text(), text()], texts(), split),
        Overload::member("split", [text(), text(), int()], texts(), split),
        Overload::global("strings.quote", [text()], text(), quote),
        Overload::member("substring", [text(), int()], text(), substring),
        Overload::member("substring", [text(), int(), int()], text(), substring),
        Overload::member("trim", [text()], text(), trim),
        Overload::member("upperAscii", [text()], text(), upper_ascii),
    ]
}

/// A list of texts that are parts of one text. The caller has counted them; the parts are paid for here, before the list.
pub(super) fn list_of_parts<'a>(
    count: usize,
    bytes: usize,
    parts: impl Iterator<Item = &'a str>,
    budget: &mut Budget,
) -> Result<Value, EvaluationError> {
    // Each shared text has two counters before its bytes.
    budget.build_elements(count)?;
    budget.build(bytes.saturating_add(count.saturating_mul(2 * size_of::<usize>())))?;
    Ok(parts.map(Value::from).collect::<Vec<_>>().into())
}

fn char_at(arguments: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let [Value::String(text), Value::Int(index)] = arguments else {
        return Err(NoSuchOverload("charAt"));
    };
    budget.scan(text.len())?;
    // The position behind the last character is allowed and has no character.
    let start = byte_position(text, *index)?;
    Ok(text[start..].chars().next().map_or_else(String::new, String::from).into())
}

/// Where the character with this number begins, or the text ends.
fn byte_position(text: &str, index: i64) -> Result<usize, EvaluationError> {
    let index = usize::try_from(index).map_err(|_| IndexOutOfRange)?;
    text.char_indices().map(|(position, _)| position).chain(iter::once(text.len())).nth(index).ok_or(IndexOutOfRange)
}

#[expect(clippy::cast_possible_wrap, reason = "no text has 2^63 characters")]
fn count_characters(text: &str) -> i64 {
    text.chars().count() as i64
}

fn index_of(arguments: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let (text, wanted, offset) = match arguments {
        [Value::String(text), Value::String(wanted)] => (text, wanted, 0),
        [Value::String(text), Value::String(wanted), Value::Int(offset)] => (text, wanted, *offset),
        _ => return Err(NoSuchOverload("indexOf")),
    };
    budget.scan(text.len() + wanted.len())?;
    // cel-go finds the empty text wherever it is sought, even outside.
    if wanted.is_empty() {
        return Ok(offset.into());
    }
    if offset < 0 {
        return Err(IndexOutOfRange);
    }
    // An offset behind the end is no error: there is nothing to find.
    let Ok(start) = byte_position(text, offset) else {
        return Ok(Value::Int(-1));
    };
    Ok(text[start..].find(&**wanted).map_or(-1, |found| offset + count_characters(&text[start..start + found])).into())
}

fn last_index_of(arguments: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let (text, wanted, offset) = match arguments {
        [Value::String(text), Value::String(wanted)] => (text, wanted, None),
        [Value::String(text), Value::String(wanted), Value::Int(offset)] => (text, wanted, Some(*offset)),
        _ => return Err(NoSuchOverload("lastIndexOf")),
    };
    budget.scan(text.len() + wanted.len())?;
    if wanted.is_empty() {
        return Ok(offset.unwrap_or_else(|| count_characters(text)).into());
    }
    let end = match offset {
        None => text.len(),
        Some(offset) if offset < 0 => return Err(IndexOutOfRange),
        Some(offset) => match byte_position(text, offset) {
            // What begins at the offset or before ends at most here.
            Ok(last_start) if last_start < text.len() => {
                text.floor_char_boundary(last_start.saturating_add(wanted.len()).min(text.len()))
            }
            // As in cel-go, an offset behind the last character finds nothing, not everything.
            _ => return Ok(Value::Int(-1)),
        },
    };
    Ok(text[..end].rfind(&**wanted).map_or(-1, |found| count_characters(&text[..found])).into())
}

fn join(arguments: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let (list, separator) = match arguments {
        [Value::List(list)] => (list, ""),
        [Value::List(list), Value::String(separator)] => (list, &**separator),
        _ => return Err(NoSuchOverload("join")),
    };
    budget.spend(list.len() as u64)?;
    let mut parts = Vec::with_capacity(list.len());
    let mut bytes = separator.len().saturating_mul(list.len().saturating_sub(1));
    for element in list.iter() {
        let part = element.as_str().ok_or(NoSuchOverload("join"))?;
        bytes = bytes.saturating_add(part.len());
        parts.push(part);
    }
    budget.build(bytes)?;
    Ok(parts.join(separator).into())
}

fn lower_ascii(arguments: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let [Value::String(text)] = arguments else {
        return Err(NoSuchOverload("lowerAscii"));
    };
    budget.build(text.len())?;
    Ok(text.to_ascii_lowercase().into())
}

fn upper_ascii(arguments: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let [Value::String(text)] = arguments else {
        return Err(NoSuchOverload("upperAscii"));
    };
    budget.build(text.len())?;
    Ok(text.to_ascii_uppercase().into())
}

/// How many times something may be done: a negative limit is none.
fn limit(number: i64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn replace(arguments: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let (text, old, new, most) = match arguments {
        [Value::String(text), Value::String(old), Value::String(new)] => (text, old, new, usize::MAX),
        [Value::String(text), Value::String(old), Value::String(new), Value::Int(most)] => {
            (text, old, new, limit(*most))
        }
        _ => return Err(NoSuchOverload("replace")),
    };
    budget.scan(text.len() + old.len())?;
    // The empty text is found before each character and at the end, as Go's strings.Replace finds it.
    let count = text.matches(&**old).take(most).count();
    // What is taken out is part of the text, so this does not fall below zero.
    budget.build((text.len() - count * old.len()).saturating_add(count.saturating_mul(new.len())))?;
    Ok(text.replacen(&**old, new, count).into())
}

fn split(arguments: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let (text, separator, most) = match arguments {
        [Value::String(text), Value::String(separator)] => (text, separator, usize::MAX),
        [Value::String(text), Value::String(separator), Value::Int(most)] => (text, separator, limit(*most)),
        _ => return Err(NoSuchOverload("split")),
    };
    budget.scan(text.len() + separator.len())?;
    if most == 0 || text.is_empty() && separator.is_empty() {
        return Ok(Vec::new().into());
    }
    if separator.is_empty() {
        // One part for each character; the last part holds what is beyond the limit.
        let count = text.chars().take(most).count();
        let last = text.char_indices().nth(count - 1).map_or(0, |(position, _)| position);
        let single = text[..last].char_indices().map(|(at, character)| &text[at..at + character.len_utf8()]);
        return list_of_parts(count, text.len(), single.chain(iter::once(&text[last..])), budget);
    }
    let count = text.matches(&**separator).take(most - 1).count() + 1;
    list_of_parts(count, text.len(), text.splitn(count, &**separator), budget)
}

/// Wraps a text in double quotes and escapes what a CEL literal would escape.
fn quote(arguments: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let [Value::String(text)] = arguments else {
        return Err(NoSuchOverload("strings.quote"));
    };
    budget.scan(text.len())?;
    let bytes = text.chars().map(|character| escape(character).map_or(character.len_utf8(), str::len)).sum::<usize>();
    budget.build(bytes + 2)?;
    let mut quoted = String::with_capacity(bytes + 2);
    quoted.push('"');
    for character in text.chars() {
        match escape(character) {
            Some(escaped) => quoted.push_str(escaped),
            None => quoted.push(character),
        }
    }
    quoted.push('"');
    Ok(quoted.into())
}

const fn escape(character: char) -> Option<&'static str> {
    Some(match character {
        '\u{7}' => r"\a",
        '\u{8}' => r"\b",
        '\u{c}' => r"\f",
        '\n' => r"\n",
        '\r' => r"\r",
        '\t' => r"\t",
        '\u{b}' => r"\v",
        '\\' => r"\\",
        '"' => r#"\""#,
        _ => return None,
    })
}

fn substring(arguments: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let (text, start, end) = match arguments {
        [Value::String(text), Value::Int(start)] => (text, *start, None),
        [Value::String(text), Value::Int(start), Value::Int(end)] => (text, *start, Some(*end)),
        _ => return Err(NoSuchOverload("substring")),
    };
    budget.scan(text.len())?;
    if end.is_some_and(|end| start > end) {
        return Err(BadArgument("the start of a substring lies behind its end"));
    }
    let start = byte_position(text, start)?;
    let end = end.map_or(Ok(text.len()), |end| byte_position(text, end))?;
    budget.build(end - start)?;
    Ok(text[start..end].into())
}

/// Takes Unicode's white space away at both ends.
fn trim(arguments: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let [Value::String(text)] = arguments else {
        return Err(NoSuchOverload("trim"));
    };
    budget.build(text.len())?;
    Ok(text.trim().into())
}

#[cfg(test)]
mod tests;
