//! `format` of cel-go's string library, version 2, in the locale that kube-apiserver has: English of the United States.

mod number;
#[cfg(test)]
mod tests;

use crate::cel::{
    Budget,
    EvaluationError::{self, BadArgument, NoSuchOverload, TooLarge},
    Map, Overload, Type, Value, duration,
    number::format_double,
};

/// How deep lists and maps may be nested that are written. Claims hardly nest twenty; this bounds the stack.
const MAX_DEPTH: u32 = 200;

/// The largest precision of a number. cel-go reads larger ones and then takes them modulo 256.
const MAX_PRECISION: usize = 255;

const TOO_FEW: EvaluationError = BadArgument("a format has more clauses than arguments");
const TOO_MANY: EvaluationError = BadArgument("a format has fewer clauses than arguments");
const CUT_OFF: EvaluationError = BadArgument("a format ends within a clause");
const NO_PRECISION: EvaluationError = BadArgument("a precision has digits, and is at most 255");
const UNKNOWN_CLAUSE: EvaluationError = BadArgument("a format has the clauses %s, %d, %f, %e, %b, %o, %x, %X and %%");
const UNREADABLE_BYTES: EvaluationError = EvaluationError::Unreadable("UTF-8 text");

pub(super) fn overloads() -> Vec<Overload> {
    vec![Overload::member("format", [Type::String, Type::list(Type::Dyn)], Type::String, format)]
}

fn format(arguments: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let [Value::String(format), Value::List(arguments)] = arguments else {
        return Err(NoSuchOverload("format"));
    };
    budget.scan(format.len())?;
    let mut output = Output { text: String::new(), budget };
    let mut arguments = arguments.iter();
    for piece in pieces(format) {
        match piece? {
            Piece::Text(text) => output.push(text)?,
            Piece::Clause(clause) => {
                let argument = arguments.next().ok_or(TOO_FEW)?;
                clause?.write(argument, &mut output)?;
            }
        }
    }
    Ok(output.text.into())
}

/// What is wrong with a constant format and arguments of these types, and with which of them.
pub(in crate::cel) fn mismatch(format: &str, kinds: &[&Type]) -> Option<(usize, EvaluationError)> {
    let mut place = 0;
    for piece in pieces(format) {
        let clause = match piece {
            Ok(Piece::Text(_)) => continue,
            Ok(Piece::Clause(Ok(clause))) => clause,
            Ok(Piece::Clause(Err(fault))) | Err(fault) => return Some((place, fault)),
        };
        match kinds.get(place) {
            None => return Some((place, TOO_FEW)),
            Some(kind) if !clause.takes(kind) => return Some((place, clause.refusal())),
            Some(_) => place += 1,
        }
    }
    (place < kinds.len()).then_some((place, TOO_MANY))
}

/// Text that is being built, each part paid for before it is added.
struct Output<'a> {
    text: String,
    budget: &'a mut Budget,
}

impl Output<'_> {
    fn push(&mut self, text: &str) -> Result<(), EvaluationError> {
        self.budget.build(text.len())?;
        self.text.push_str(text);
        Ok(())
    }
}

/// A part of a format.
enum Piece<'a> {
    Text(&'a str),
    /// A clause that can be read, or not; which is said only after it has an argument, as cel-go does.
    Clause(Result<Clause, EvaluationError>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Clause {
    Binary,
    Decimal,
    Fixed(usize),
    Hexadecimal {
        upper: bool,
    },
    Octal,
    /// With the width: cel-go gives the precision of `%e` to Go as width, and always writes six digits.
    Scientific(usize),
    Text,
}

/// The parts of a format in their order. Nothing follows an error.
fn pieces(format: &str) -> impl Iterator<Item = Result<Piece<'_>, EvaluationError>> {
    let mut rest = format;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some(clause) = rest.strip_prefix('%') else {
            let (text, after) = rest.split_at(rest.find('%').unwrap_or(rest.len()));
            rest = after;
            return Some(Ok(Piece::Text(text)));
        };
        if let Some(after) = clause.strip_prefix('%') {
            rest = after;
            return Some(Ok(Piece::Text("%")));
        }
        let (clause, after) = match read_clause(clause) {
            Ok((clause, after)) => (Ok(clause), after),
            Err(fault) => (Err(fault), ""),
        };
        rest = after;
        Some(Ok(Piece::Clause(clause)))
    })
}

/// The clause behind a percent sign, and what follows it.
fn read_clause(text: &str) -> Result<(Clause, &str), EvaluationError> {
    let (precision, text) = match text.strip_prefix('.') {
        None => (6, text),
        Some(digits) => {
            let end = digits.find(|digit: char| !digit.is_ascii_digit()).ok_or(CUT_OFF)?;
            let precision = digits[..end].parse().ok().filter(|precision| *precision <= MAX_PRECISION);
            (precision.ok_or(NO_PRECISION)?, &digits[end..])
        }
    };
    let mut characters = text.chars();
    let clause = match characters.next().ok_or(CUT_OFF)? {
        'b' => Clause::Binary,
        'd' => Clause::Decimal,
        'e' => Clause::Scientific(precision),
        'f' => Clause::Fixed(precision),
        'o' => Clause::Octal,
        's' => Clause::Text,
        'x' => Clause::Hexadecimal { upper: false },
        'X' => Clause::Hexadecimal { upper: true },
        _ => return Err(UNKNOWN_CLAUSE),
    };
    Ok((clause, characters.as_str()))
}

impl Clause {
    /// Whether an argument of this type can be written; texts stand for the doubles that no literal can say.
    const fn takes(self, kind: &Type) -> bool {
        match self {
            Self::Binary => matches!(kind, Type::Dyn | Type::Int | Type::Uint | Type::Bool),
            Self::Decimal | Self::Octal => matches!(kind, Type::Dyn | Type::Int | Type::Uint),
            Self::Fixed(_) | Self::Scientific(_) => matches!(kind, Type::Dyn | Type::Double | Type::String),
            Self::Hexadecimal { .. } => {
                matches!(kind, Type::Dyn | Type::Int | Type::Uint | Type::String | Type::Bytes)
            }
            Self::Text => !matches!(kind, Type::Any | Type::Opaque(_) | Type::Optional(_) | Type::Object(_)),
        }
    }

    const fn refusal(self) -> EvaluationError {
        BadArgument(match self {
            Self::Binary => "%b takes integers and booleans",
            Self::Decimal => "%d takes integers",
            Self::Fixed(_) => "%f takes doubles",
            Self::Hexadecimal { .. } => "%x and %X take integers, texts and bytes",
            Self::Octal => "%o takes integers",
            Self::Scientific(_) => "%e takes doubles",
            Self::Text => {
                "%s takes null, booleans, numbers, texts, bytes, durations, timestamps, types, and lists and maps of them"
            }
        })
    }

    fn write(self, argument: &Value, output: &mut Output<'_>) -> Result<(), EvaluationError> {
        output.budget.spend(1)?;
        let text = match (self, argument) {
            (Self::Text, argument) => return write_plainly(argument, output, MAX_DEPTH),
            (Self::Decimal, Value::Int(number)) => number.to_string(),
            (Self::Decimal, Value::Uint(number)) => number.to_string(),
            (Self::Binary, Value::Int(number)) => format!("{}{:b}", minus(*number), number.unsigned_abs()),
            (Self::Binary, Value::Uint(number)) => format!("{number:b}"),
            (Self::Binary, Value::Bool(value)) => u8::from(*value).to_string(),
            (Self::Octal, Value::Int(number)) => format!("{}{:o}", minus(*number), number.unsigned_abs()),
            (Self::Octal, Value::Uint(number)) => format!("{number:o}"),
            (Self::Hexadecimal { upper }, argument) => return write_hexadecimal(argument, upper, output),
            (Self::Fixed(precision), argument) => number::fixed(self.double(argument)?, precision),
            (Self::Scientific(width), argument) => number::scientific(self.double(argument)?, width),
            _ => return Err(self.refusal()),
        };
        output.push(&text)
    }

    /// A double, or one of the texts that stand for what no literal can say.
    fn double(self, argument: &Value) -> Result<f64, EvaluationError> {
        match argument {
            Value::Double(number) => Ok(*number),
            Value::String(text) => match &**text {
                "NaN" => Ok(f64::NAN),
                "Infinity" => Ok(f64::INFINITY),
                "-Infinity" => Ok(f64::NEG_INFINITY),
                _ => Err(self.refusal()),
            },
            _ => Err(self.refusal()),
        }
    }
}

const fn minus(number: i64) -> &'static str {
    if number < 0 { "-" } else { "" }
}

fn write_hexadecimal(argument: &Value, upper: bool, output: &mut Output<'_>) -> Result<(), EvaluationError> {
    let (sign, octets, number) = match argument {
        Value::Int(number) => (minus(*number), &[][..], Some(number.unsigned_abs())),
        Value::Uint(number) => ("", &[][..], Some(*number)),
        Value::String(text) => ("", text.as_bytes(), None),
        Value::Bytes(bytes) => ("", &**bytes, None),
        _ => return Err(Clause::Hexadecimal { upper }.refusal()),
    };
    // Two digits for each octet, sixteen for a number: paid before they are made.
    output.budget.scan(2 * octets.len())?;
    let digits = number.map_or_else(|| hex::encode(octets), |number| format!("{number:x}"));
    output.push(sign)?;
    output.push(&if upper { digits.to_ascii_uppercase() } else { digits })
}

/// A value on its own: texts without quotes, numbers as short as they can be.
fn write_plainly(value: &Value, output: &mut Output<'_>, depth: u32) -> Result<(), EvaluationError> {
    match value {
        Value::Bytes(bytes) => output.push(str::from_utf8(bytes).map_err(|_| UNREADABLE_BYTES)?),
        Value::Double(number) => output.push(&format_double(*number)),
        Value::Duration(nanoseconds) => output.push(&duration::print(*nanoseconds)),
        Value::String(text) => output.push(text),
        Value::Timestamp(timestamp) => output.push(&timestamp.to_string()),
        value => write_literally(value, output, depth),
    }
}

/// A value within a list or map: as a literal, mostly.
fn write_literally(value: &Value, output: &mut Output<'_>, depth: u32) -> Result<(), EvaluationError> {
    output.budget.spend(1)?;
    let depth = depth.checked_sub(1).ok_or(TooLarge)?;
    match value {
        Value::Null => output.push("null"),
        Value::Bool(value) => output.push(if *value { "true" } else { "false" }),
        Value::Int(number) => output.push(&number.to_string()),
        Value::Uint(number) => output.push(&number.to_string()),
        Value::Double(number) if number.is_finite() => output.push(&format!("{number:.6}")),
        Value::Double(number) => write_quoted(&format_double(*number), output),
        Value::String(text) => write_quoted(text, output),
        Value::Bytes(bytes) => {
            output.push("b")?;
            write_quoted(str::from_utf8(bytes).map_err(|_| UNREADABLE_BYTES)?, output)
        }
        Value::Duration(nanoseconds) => output.push(&format!("duration(\"{}\")", duration::print(*nanoseconds))),
        Value::Timestamp(timestamp) => output.push(&format!("timestamp(\"{timestamp}\")")),
        Value::Type(of) => output.push(&type_name(of)),
        Value::List(list) => {
            output.push("[")?;
            for (index, element) in list.iter().enumerate() {
                if index > 0 {
                    output.push(", ")?;
                }
                write_literally(element, output, depth)?;
            }
            output.push("]")
        }
        Value::Map(map) => write_map(map, output, depth),
        Value::Opaque(_) | Value::Optional(_) => Err(Clause::Text.refusal()),
    }
}

/// The entries in the order of their keys as they are written.
fn write_map(map: &Map, output: &mut Output<'_>, depth: u32) -> Result<(), EvaluationError> {
    let entries = map.len() as u64;
    output.budget.spend(entries.saturating_mul(u64::from(entries.checked_ilog2().unwrap_or(0)) + 1))?;
    let mut written = Vec::with_capacity(map.len());
    for (key, value) in map.iter() {
        if !matches!(key, Value::Bool(_) | Value::Int(_) | Value::String(_) | Value::Uint(_)) {
            return Err(BadArgument("a map with such keys cannot be written"));
        }
        let mut text = Output { text: String::new(), budget: output.budget };
        write_literally(key, &mut text, depth)?;
        written.push((text.text, value));
    }
    written.sort_by(|(left, _), (right, _)| left.cmp(right));
    output.push("{")?;
    for (index, (key, value)) in written.into_iter().enumerate() {
        if index > 0 {
            output.push(", ")?;
        }
        output.push(&key)?;
        output.push(":")?;
        write_literally(value, output, depth)?;
    }
    output.push("}")
}

/// In double quotes, with Go's escapes for what cannot be printed.
fn write_quoted(text: &str, output: &mut Output<'_>) -> Result<(), EvaluationError> {
    // The longest escape, `\U0001f600`, has ten octets for four; `\x01` has four for one.
    output.budget.scan(4 * text.len())?;
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '\u{7}' => quoted.push_str(r"\a"),
            '\u{8}' => quoted.push_str(r"\b"),
            '\u{c}' => quoted.push_str(r"\f"),
            '\n' => quoted.push_str(r"\n"),
            '\r' => quoted.push_str(r"\r"),
            '\t' => quoted.push_str(r"\t"),
            '\u{b}' => quoted.push_str(r"\v"),
            '\\' => quoted.push_str(r"\\"),
            '"' => quoted.push_str(r#"\""#),
            _ if is_printable(character) => quoted.push(character),
            _ => quoted.push_str(&by_number(character)),
        }
    }
    quoted.push('"');
    output.push(&quoted)
}

fn by_number(character: char) -> String {
    match u32::from(character) {
        code @ ..0x80 => format!(r"\x{code:02x}"),
        code @ ..0x1_0000 => format!(r"\u{code:04x}"),
        code => format!(r"\U{code:08x}"),
    }
}

/// Letters, marks, numbers, punctuation, symbols and the space. Beyond ASCII the standard library knows them by what it
/// escapes for debugging, where a mark must follow a letter to be left alone.
fn is_printable(character: char) -> bool {
    if character.is_ascii() {
        return !character.is_ascii_control();
    }
    let mut buffer = [b'a', 0, 0, 0, 0];
    let length = character.encode_utf8(&mut buffer[1..]).len();
    let pair = str::from_utf8(&buffer[..=length]).unwrap_or_default();
    pair.escape_debug().eq(pair.chars())
}

/// The name of a type without what it holds, as `string(type(value))` says it.
fn type_name(of: &Type) -> String {
    match of {
        Type::List(_) => "list".to_owned(),
        Type::Map(..) => "map".to_owned(),
        Type::Null => "null_type".to_owned(),
        Type::Optional(_) => "optional_type".to_owned(),
        Type::Type(_) => "type".to_owned(),
        of => of.to_string(),
    }
}
