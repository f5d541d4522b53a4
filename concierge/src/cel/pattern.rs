//! Regular expressions as Go reads them (RE2 syntax), on the `regex` crate, whose matching is linear too.

mod repeats;

use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use self::repeats::{Braces, Repeats};
use super::{Budget, EvaluationError};

/// Bytes that the lazy automaton of one search may take; beyond it the search goes on without, more slowly.
const AUTOMATON_SIZE: usize = 512 * 1024;

/// Units that compiling costs: a fifth of a millisecond, and more for each byte of the pattern.
const COMPILE_UNITS: u64 = 2_000;
const COMPILE_UNITS_PER_BYTE: u64 = 100;

/// Bytes that a compiled pattern may take, tried in turn, so that a short pattern which becomes a large program
/// (`\pL{20}`) is known, and paid for, as what it becomes. Nearly all fit the first; a list of a hundred host names takes
/// 50 KiB, and each letter of any script as much.
const SIZES: [usize; 4] = [SMALL, 128 * 1024, 512 * 1024, EXPRESSION_SIZE];
const SMALL: usize = 16 * 1024;

/// Bytes that all patterns that stand in one expression may take together.
pub(super) const EXPRESSION_SIZE: usize = 2 * 1024 * 1024;

/// Bytes of a large compiled pattern that make looking at ten bytes of text one unit dearer.
const BYTES_PER_WEIGHT: usize = 1024;

/// Bytes of a compiled pattern for one unit: building takes about ten nanoseconds for each.
const COMPILED_BYTES_PER_UNIT: u64 = 10;

/// A compiled pattern.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Arc<Regex>,
    /// What looking at ten bytes of text costs.
    weight: u64,
}

impl Pattern {
    /// Compiles a pattern that stands in an expression, and takes its size from the `room` that is left there.
    ///
    /// # Errors
    /// [`EvaluationError::Unreadable`] where Go would not read it, [`EvaluationError::TooLarge`] where it would take more
    /// memory than one pattern may, or than is left.
    pub(super) fn new(source: &str, room: &mut usize) -> Result<Self, EvaluationError> {
        let (pattern, size) =
            Self::compile(source, |size| if size > *room { Err(EvaluationError::TooLarge) } else { Ok(()) })?;
        *room -= size;
        Ok(pattern)
    }

    /// Compiles a pattern to the smallest of [`SIZES`] that it fits. `may` is asked before each is tried.
    fn compile(
        source: &str,
        mut may: impl FnMut(usize) -> Result<(), EvaluationError>,
    ) -> Result<(Self, usize), EvaluationError> {
        let unreadable = EvaluationError::Unreadable("regular expression");
        let translated = translate(source).ok_or_else(|| unreadable.clone())?;
        for size in SIZES {
            may(size)?;
            let mut builder = RegexBuilder::new(&translated);
            match builder.octal(true).size_limit(size).dfa_size_limit(AUTOMATON_SIZE).build() {
                Ok(regex) => {
                    // As cel-go a quarter of the pattern's length; which says little of what braces and classes become.
                    let large = if size == SMALL { 1 } else { size / BYTES_PER_WEIGHT };
                    let weight = (source.len() as u64).div_ceil(4).max(large as u64);
                    return Ok((Self { regex: regex.into(), weight }, size));
                }
                Err(regex::Error::CompiledTooBig(_)) => {}
                Err(_) => return Err(unreadable),
            }
        }
        Err(EvaluationError::TooLarge)
    }

    /// A pattern that a function is called with: one that stands in the expression is compiled with it and costs nothing
    /// here, another is compiled now, after paying for it.
    ///
    /// # Errors
    /// [`EvaluationError::Unreadable`] where Go would not read it, [`EvaluationError::TooLarge`] where it would take too much
    /// memory, and the budget's.
    pub fn paid(source: &str, budget: &mut Budget) -> Result<Self, EvaluationError> {
        if let Some(pattern) = budget.pattern(source) {
            return Ok(pattern);
        }
        budget.spend(COMPILE_UNITS + COMPILE_UNITS_PER_BYTE * source.len() as u64)?;
        let pay = |size: usize| match size {
            SMALL => Ok(()),
            size => budget.spend(size as u64 / COMPILED_BYTES_PER_UNIT),
        };
        Self::compile(source, pay).map(|(pattern, _)| pattern)
    }

    /// The expression to search `text` with, after paying for looking at all of it once.
    ///
    /// # Errors
    /// The budget's.
    pub fn search(&self, text: &str, budget: &mut Budget) -> Result<&Regex, EvaluationError> {
        budget.spend((text.len() as u64).div_ceil(10).max(1).saturating_mul(self.weight))?;
        Ok(&self.regex)
    }
}

/// A Go pattern in the syntax of the `regex` crate; `None` for what Go refuses and the crate would take.
///
/// Go's `\d`, `\w`, `\s` and `\b` are ASCII; `&&`, `~~` and `[` mean nothing inside of a class; any punctuation may be
/// escaped; `\Q...\E` quotes.
fn translate(source: &str) -> Option<String> {
    let mut out = String::with_capacity(source.len() + 16);
    let mut in_class = false;
    let mut repeats = Repeats::default();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let mut length = first.len_utf8();
        match first {
            '(' | ')' | '*' | '+' | '?' | '{' | '|' => {}
            _ => repeats.piece(),
        }
        match first {
            '\\' => {
                let escaped = rest[1..].chars().next()?;
                length += escaped.len_utf8();
                // A digit alone would name a group; octal numbers have more, or begin with zero.
                if matches!(escaped, '1'..='7') && !rest[2..].starts_with(|next| matches!(next, '0'..='7')) {
                    return None;
                }
                if escaped == 'Q' {
                    let quoted = rest[2..].split("\\E").next().unwrap_or("");
                    out.push_str(&regex::escape(quoted));
                    length = (2 + quoted.len() + 2).min(rest.len());
                } else if matches!(escaped, 'p' | 'P' | 'x') && rest[2..].starts_with('{') {
                    length = rest.find('}')? + 1;
                    out.push_str(&rest[..length]);
                } else {
                    escape(escaped, in_class, &mut out)?;
                }
            }
            '[' if in_class => {
                let class = rest.strip_prefix("[:").and_then(|class| class.split_once(":]"));
                match class {
                    Some((name, _)) => {
                        length = name.len() + 4;
                        out.push_str(&rest[..length]);
                    }
                    None => out.push_str("\\["),
                }
            }
            '&' | '~' if in_class => {
                out.push('\\');
                out.push(first);
            }
            '[' => {
                in_class = true;
                // A bracket that comes first is itself.
                for prefix in ["[^]", "[]", "[^", "["] {
                    if rest.starts_with(prefix) {
                        length = prefix.len();
                        out.push_str(&prefix.replace(']', "\\]"));
                        break;
                    }
                }
            }
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            '(' if !in_class && rest.starts_with("(?") => {
                // Flags that Go does not know.
                let flags = rest[2..].split([')', ':', '<']).next().unwrap_or("");
                if !flags.starts_with('P') && !flags.chars().all(|flag| "imsU-".contains(flag)) {
                    return None;
                }
                repeats.open();
                // `?` belongs to the group's head, and repeats nothing.
                length += 1;
                out.push_str(&rest[..length]);
            }
            '(' if !in_class => {
                repeats.open();
                out.push('(');
            }
            ')' if !in_class => {
                repeats.close();
                out.push(')');
            }
            '|' if !in_class => {
                repeats.piece();
                out.push('|');
            }
            '*' | '+' | '?' if !in_class => {
                repeats.operator(1)?;
                length += usize::from(rest[1..].starts_with('?'));
                out.push_str(&rest[..length]);
            }
            '{' if !in_class => match Braces::parse(rest) {
                Braces::Repeat { length: braces, times } => {
                    repeats.operator(times)?;
                    length = braces + usize::from(rest[braces..].starts_with('?'));
                    out.push_str(&rest[..length]);
                }
                Braces::Refused => return None,
                Braces::Itself => {
                    repeats.piece();
                    out.push_str("\\{");
                }
            },
            _ => out.push(first),
        }
        rest = &rest[length..];
    }
    Some(out)
}

fn escape(escaped: char, in_class: bool, out: &mut String) -> Option<()> {
    let (inside, outside) = match escaped {
        'd' => ("0-9", "[0-9]"),
        'w' => ("0-9A-Za-z_", "[0-9A-Za-z_]"),
        's' => ("\\t\\n\\f\\r ", "[\\t\\n\\f\\r ]"),
        'D' => ("[^0-9]", "[^0-9]"),
        'W' => ("[^0-9A-Za-z_]", "[^0-9A-Za-z_]"),
        'S' => ("[^\\t\\n\\f\\r ]", "[^\\t\\n\\f\\r ]"),
        'b' if !in_class => ("", "(?-u:\\b)"),
        'A' | 'B' | 'z' if !in_class => {
            return {
                out.extend(['\\', escaped]);
                Some(())
            };
        }
        'a' | 'f' | 'n' | 'r' | 't' | 'v' | 'x' | 'p' | 'P' | '0'..='7' => {
            out.extend(['\\', escaped]);
            return Some(());
        }
        _ if escaped.is_ascii_punctuation() => {
            if "<>".contains(escaped) {
                out.push(escaped);
            } else {
                out.extend(['\\', escaped]);
            }
            return Some(());
        }
        _ => return None,
    };
    out.push_str(if in_class { inside } else { outside });
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiled(source: &str) -> Result<Pattern, EvaluationError> {
        Pattern::new(source, &mut EXPRESSION_SIZE.clone())
    }

    #[track_caller]
    fn check(pattern: &str, text: &str, expected: bool) {
        let pattern = compiled(pattern).unwrap();
        assert_eq!(
            pattern.search(text, &mut Budget::default()).unwrap().is_match(text),
            expected,
            "{pattern:?} {text}"
        );
    }

    #[test]
    fn classes_are_ascii_as_in_go() {
        check(r"^\d+$", "12", true);
        check(r"^\d+$", "١٢", false);
        check(r"^\w+$", "é", false);
        check(r"^[\w.]+$", "a.b_1", true);
        check(r"^[^\s]+$", "a\u{a0}b", true);
        check(r"^\s$", "\u{b}", false);
        check(r"a\b", "aé", true);
        check(r"^\D\W\S$", "éé\u{a0}", true);
        check(r"^[\D]$", "é", true);
        check(r"(?i)straße", "STRAßE", true);
    }

    #[test]
    fn classes_have_no_set_operators() {
        check("^[a&&b]+$", "a&b", true);
        check("^[a~~b]+$", "a~b", true);
        check("^[[a]+$", "[a", true);
        check("^[]a]+$", "]a", true);
        check("^[^]a]+$", "]", false);
        check("^[[:alpha:]-]+$", "a-b", true);
    }

    #[test]
    fn escapes_and_groups() {
        check(r"^\Qa.b\E$", "a.b", true);
        check(r"^\Qa.b\E$", "axb", false);
        check(r"\<a\>", "<a>", true);
        check(r"^\x41\101\x{42}$", "AAB", true);
        check(r"^(?P<name>a)(?:b)(?i:C)$", "abc", true);
        check(r"\pL", "é", true);
        check(r"^\p{Greek}\P{Latin}{2}[\p{L}]$", "λλλa", true);
        check(r"^a$", "a\n", false);
    }

    #[test]
    fn repetitions_and_braces_that_mean_themselves() {
        check(r"^(?:ab{2,3}?)*?(c+?)??$", "abbabbbc", true);
        check(r"^(a{0,31}){0,31}$", "aaa", true);
        check("^a{,3}{$", "a{,3}{", true);
        check("^[{}]{2}$", "{}", true);
        check("^(?i)A|b+$", "a", true);
    }

    #[test]
    fn what_go_refuses_or_what_is_too_large_is_refused() {
        for pattern in ["a**", "a++", "a{2}{3}", "a{1001}", "(a{0,100}){0,100}", "(a{2}){501}", r"(a)\1", "*a"] {
            assert!(compiled(pattern).is_err(), "{pattern}");
        }
        for pattern in ["(", "[", r"\", r"\y", "(?x)a", r"\C", r"a\Z", "(?=a)", "(?<!a)b", r"((a{1000}){1000}){10}"] {
            assert!(compiled(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn long_texts_and_patterns_cost_more() {
        let pattern = compiled(&"a?".repeat(500)).unwrap();
        let mut budget = Budget::default();
        let text = "a".repeat(10_000);
        let searches = (0..100).take_while(|_| pattern.search(&text, &mut budget).is_ok()).count();
        assert_eq!(searches, 4);
    }

    #[test]
    fn a_pattern_that_stands_in_the_expression_is_not_compiled_again() {
        let known: crate::cel::budget::Patterns = [("a+".into(), compiled("a+").unwrap())].into();
        let mut budget = Budget::granted(0, Some(known));
        assert!(Pattern::paid("a+", &mut budget).is_ok());
        assert_eq!(Pattern::paid("b+", &mut budget).err(), Some(EvaluationError::TooCostly));
    }

    #[test]
    fn a_short_pattern_that_becomes_a_large_program_is_paid_for_as_one() {
        let spent = |source: &str| {
            let mut budget = Budget::default();
            Pattern::paid(source, &mut budget).unwrap();
            budget.spent()
        };
        assert_eq!(spent("[a-z]{60}"), 2_900);
        assert!(spent(r"\pL{20}") > 100_000, "{}", spent(r"\pL{20}"));
        assert_eq!(Pattern::paid(r"\pL{1000}", &mut Budget::default()).err(), Some(EvaluationError::TooLarge));
        let searched = |source: &str| {
            let mut budget = Budget::default();
            compiled(source).unwrap().search("0123456789", &mut budget).unwrap();
            budget.spent()
        };
        assert!(searched(r"\pL{20}") > 10 * searched("[a-z]20"));
    }

    #[test]
    fn the_patterns_of_one_expression_share_their_room() {
        let mut room = EXPRESSION_SIZE;
        let fit = (0..1000).take_while(|_| Pattern::new(r"\pL{20}", &mut room).is_ok()).count();
        assert!((1..=4).contains(&fit), "{fit}");
        let mut room = EXPRESSION_SIZE;
        let fit = (0..1000).take_while(|_| Pattern::new("^[a-z0-9-]+@example[.]org$", &mut room).is_ok()).count();
        assert_eq!(fit, 128);
    }
}
