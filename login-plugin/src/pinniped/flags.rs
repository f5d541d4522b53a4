//! Flags as Go programs with cobra take them: which forms there are, and in which words a wrong one is refused.

use std::collections::BTreeMap;

use thiserror::Error;

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing, or `=true` and its relatives.
    Switch,
    /// Any text; the last one counts.
    Text,
    /// Texts separated by commas; all of them count.
    List,
    /// A port; the last one counts.
    Port,
    /// A Go duration such as `1m30s`; the last one counts.
    Span,
}

/// One flag.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flag {
    /// Without dashes.
    pub(crate) name: &'static str,
    /// The letter, if there is one.
    pub(crate) short: Option<char>,
    /// What it takes.
    pub(crate) kind: Kind,
    /// Why nobody needs it any more, if so.
    pub(crate) deprecated: Option<&'static str>,
}

/// What was given.
#[derive(Debug, Default)]
pub(crate) struct Given {
    values: BTreeMap<&'static str, Vec<String>>,
    /// What to say about flags that nobody needs any more.
    pub(crate) remarks: Vec<String>,
    /// `-h` or `--help`.
    pub(crate) help: bool,
}

/// Why the command line is refused, in cobra's words: scripts and people know them.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum FlagError {
    /// The value means nothing.
    #[error("invalid argument {value:?} for \"{flag}\" flag: {why}")]
    Invalid {
        /// The flag with dashes.
        flag: String,
        /// What was given.
        value: String,
        /// What is wrong with it.
        why: String,
    },
    /// The line ends where a value should stand.
    #[error("flag needs an argument: {0}")]
    NoValue(String),
    /// One that the command cannot do without.
    #[error("required flag(s) {0:?} not set")]
    Required(&'static str),
    /// A word that is no flag.
    #[error("unknown command {word:?} for {command:?}")]
    UnknownCommand {
        /// The word.
        word: String,
        /// The command as far as it was understood.
        command: &'static str,
    },
    /// No such flag.
    #[error("unknown flag: {0}")]
    UnknownFlag(String),
    /// No such letter.
    #[error("unknown shorthand flag: {letter:?} in {word}")]
    UnknownLetter {
        /// The letter.
        letter: char,
        /// Where it stands.
        word: String,
    },
    /// A value that can be read and not be meant.
    #[error("{0}")]
    Value(String),
}

impl Given {
    /// The last value.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name)?.last().map(String::as_str)
    }

    /// The last value, none if it is empty.
    pub(crate) fn filled(&self, name: &str) -> Option<String> {
        self.text(name).filter(|text| !text.is_empty()).map(ToOwned::to_owned)
    }

    /// Every value as it was given.
    pub(crate) fn every(&self, name: &str) -> &[String] {
        self.values.get(name).map_or(&[], Vec::as_slice)
    }

    /// Whether it is on.
    pub(crate) fn switch(&self, name: &str) -> bool {
        self.text(name).is_some_and(|text| truth(text) == Some(true))
    }

    /// All values of a list; none if it was not given.
    pub(crate) fn list(&self, name: &str) -> Option<Vec<String>> {
        Some(self.values.get(name)?.iter().flat_map(|text| fields(text)).collect())
    }

    /// A port; 0 if it was not given.
    pub(crate) fn port(&self, name: &str) -> u16 {
        self.text(name).and_then(|text| text.parse().ok()).unwrap_or_default()
    }
}

/// Reads the words behind `command`.
///
/// # Errors
/// At the first one that is not understood.
pub(crate) fn parse(
    words: impl IntoIterator<Item = String>,
    command: &'static str,
    known: &[Flag],
) -> Result<Given, FlagError> {
    let mut given = Given::default();
    let mut words = words.into_iter();
    let mut first_stray = None;
    while let Some(word) = words.next() {
        if word == "--" {
            first_stray = first_stray.or_else(|| words.next());
            break;
        }
        let (flag, written, value) = if let Some(long) = word.strip_prefix("--") {
            let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
            if name == "help" {
                given.help = true;
                continue;
            }
            let flag = known.iter().find(|flag| flag.name == name);
            let flag = flag.ok_or_else(|| FlagError::UnknownFlag(format!("--{name}")))?;
            (flag, format!("--{name}"), value)
        } else if let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            let mut rest = letters.chars();
            let letter = rest.next().expect("just seen");
            if letter == 'h' {
                given.help = true;
                continue;
            }
            let flag = known.iter().find(|flag| flag.short == Some(letter));
            let flag = flag.ok_or_else(|| FlagError::UnknownLetter { letter, word: word.clone() })?;
            let rest = rest.as_str();
            let value = rest.strip_prefix('=').or_else(|| (!rest.is_empty()).then_some(rest));
            (flag, format!("{letter:?} in {word}"), value)
        } else {
            first_stray = first_stray.or(Some(word));
            continue;
        };
        let value = match (value, flag.kind) {
            (Some(value), _) => value.to_owned(),
            (None, Kind::Switch) => "true".to_owned(),
            (None, _) => words.next().ok_or(FlagError::NoValue(written))?,
        };
        check(flag, &value)?;
        if let Some(why) = flag.deprecated {
            given.remarks.push(format!("Flag --{} has been deprecated, {why}", flag.name));
        }
        given.values.entry(flag.name).or_default().push(value);
    }
    match first_stray {
        Some(word) if !given.help => Err(FlagError::UnknownCommand { word, command }),
        _ => Ok(given),
    }
}

fn check(flag: &Flag, value: &str) -> Result<(), FlagError> {
    let why = match flag.kind {
        Kind::Text | Kind::List => return Ok(()),
        Kind::Switch if truth(value).is_some() => return Ok(()),
        Kind::Switch => format!("strconv.ParseBool: parsing {value:?}: invalid syntax"),
        Kind::Port => match value.parse::<u16>() {
            Ok(_) => return Ok(()),
            Err(error) if *error.kind() == std::num::IntErrorKind::PosOverflow => {
                format!("strconv.ParseUint: parsing {value:?}: value out of range")
            }
            Err(_) => format!("strconv.ParseUint: parsing {value:?}: invalid syntax"),
        },
        Kind::Span => match seconds(value) {
            Some(_) => return Ok(()),
            None => format!("time: invalid duration {value:?}"),
        },
    };
    let letter = flag.short.map(|letter| format!("-{letter}, ")).unwrap_or_default();
    Err(FlagError::Invalid { flag: format!("{letter}--{}", flag.name), value: value.to_owned(), why })
}

/// What Go's `strconv.ParseBool` takes.
fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Whole seconds of a Go duration, rounded up: numbers with units, added up.
pub(crate) fn seconds(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let mut rest = text;
    let mut total = 0.0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit_end = rest[digits..].find(|character: char| character.is_ascii_digit()).unwrap_or(rest.len() - digits);
        total += number
            * match &rest[digits..digits + unit_end] {
                "ns" => 1e-9,
                "us" | "µs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return None,
            };
        rest = &rest[digits + unit_end..];
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and is never negative")]
    (!text.is_empty()).then_some(total.ceil() as u64)
}

/// One line of comma-separated values (RFC 4180): quotes keep a comma, two of them are one.
fn fields(line: &str) -> Vec<String> {
    if line.is_empty() {
        return Vec::new();
    }
    let mut fields = vec![String::new()];
    let (mut quoted, mut characters) = (false, line.chars().peekable());
    while let Some(character) = characters.next() {
        let field = fields.last_mut().expect("never empty");
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => field.extend(characters.next()),
            '"' if quoted => quoted = false,
            '"' if field.is_empty() => quoted = true,
            ',' if !quoted => fields.push(String::new()),
            other => field.push(other),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [Flag; 5] = [
        Flag { name: "issuer", short: None, kind: Kind::Text, deprecated: None },
        Flag { name: "scopes", short: None, kind: Kind::List, deprecated: None },
        Flag { name: "listen-port", short: None, kind: Kind::Port, deprecated: None },
        Flag { name: "skip-browser", short: None, kind: Kind::Switch, deprecated: Some("not needed anymore") },
        Flag { name: "output", short: Some('o'), kind: Kind::Text, deprecated: None },
    ];

    fn given(line: &str) -> Result<Given, FlagError> {
        parse(line.split_whitespace().map(ToOwned::to_owned), "pinniped login oidc", &KNOWN)
    }

    #[test]
    fn every_form_is_understood() {
        let all =
            given("--issuer=a --issuer b --scopes=x,y --scopes z --skip-browser --listen-port 8080 -ojson").unwrap();
        assert_eq!(all.text("issuer"), Some("b"), "the last one counts");
        assert_eq!(all.list("scopes").unwrap(), ["x", "y", "z"], "of a list all count");
        assert!(all.switch("skip-browser"));
        assert_eq!(all.port("listen-port"), 8080);
        assert_eq!(all.text("output"), Some("json"));
        assert_eq!(all.remarks, ["Flag --skip-browser has been deprecated, not needed anymore"]);
        assert_eq!(given("-o json").unwrap().text("output"), Some("json"));
        assert_eq!(given("-o=json").unwrap().text("output"), Some("json"));
        for (value, on) in [("true", true), ("1", true), ("T", true), ("False", false), ("0", false)] {
            assert_eq!(given(&format!("--skip-browser={value}")).unwrap().switch("skip-browser"), on, "{value}");
        }
    }

    #[test]
    fn refusals_have_the_words_of_the_stock_program() {
        let cases = [
            ("--issuer", "flag needs an argument: --issuer"),
            ("--foo", "unknown flag: --foo"),
            ("--foo=bar", "unknown flag: --foo"),
            ("-x", "unknown shorthand flag: 'x' in -x"),
            ("extra", "unknown command \"extra\" for \"pinniped login oidc\""),
            (
                "--listen-port=abc",
                "invalid argument \"abc\" for \"--listen-port\" flag: strconv.ParseUint: parsing \"abc\": invalid syntax",
            ),
            (
                "--listen-port=70000",
                "invalid argument \"70000\" for \"--listen-port\" flag: strconv.ParseUint: parsing \"70000\": value out of range",
            ),
            // A switch never takes the next word.
            ("--skip-browser false", "unknown command \"false\" for \"pinniped login oidc\""),
            (
                "--skip-browser=maybe",
                "invalid argument \"maybe\" for \"--skip-browser\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax",
            ),
        ];
        for (line, words) in cases {
            assert_eq!(given(line).unwrap_err().to_string(), words, "{line}");
        }
    }

    #[test]
    fn lists_keep_quoted_commas() {
        assert_eq!(fields(""), Vec::<String>::new());
        assert_eq!(fields("a,b"), ["a", "b"]);
        assert_eq!(fields(r#""a,b",c"#), ["a,b", "c"]);
        assert_eq!(fields(r#""a""b""#), ["a\"b"]);
    }

    #[test]
    fn durations_are_those_of_go() {
        let cases = [("0", Some(0)), ("5s", Some(5)), ("1m30s", Some(90)), ("1.5h", Some(5400)), ("20ms", Some(1))];
        for (text, expected) in cases.into_iter().chain([("5", None), ("", None), ("s", None), ("5 s", None)]) {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }
}
