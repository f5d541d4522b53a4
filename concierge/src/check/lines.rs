//! Many tokens on standard input: one JSON object a line, each line bounded.

use std::io::{self, BufRead, Read as _};

use serde::Deserialize;

use crate::secret::BearerToken;

/// Longest line: a token of 16 KiB, each of its characters escaped as `\u0041` at worst, would not fit, but nobody writes
/// that; four times a token's size has room for an id and every sane way to write it.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// One token and the name that its answer carries.
pub(super) struct Line {
    pub(super) id: String,
    pub(super) token: BearerToken,
}

/// Why a line holds no token.
#[derive(Debug, thiserror::Error)]
pub(super) enum LineProblem {
    #[error("line {line}: longer than {MAX_LINE_BYTES} bytes")]
    TooLong { line: usize },
    /// Never the line itself: it may hold a token.
    #[error(
        "line {line}: expected one JSON object {{\"id\": \"...\", \"token\": \"...\"}} ({problem} at column {column})"
    )]
    NotAToken { line: usize, column: usize, problem: &'static str },
}

/// The lines of an input; blank ones are passed over.
pub(super) struct Lines<R> {
    input: R,
    number: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    id: String,
    token: String,
}

impl<R: BufRead> Lines<R> {
    pub(super) const fn new(input: R) -> Self {
        Self { input, number: 0 }
    }

    /// One line without its end; `None` at the end of the input, an error for one that is too long.
    fn read(&mut self) -> io::Result<Option<Result<Vec<u8>, LineProblem>>> {
        let mut line = Vec::new();
        let limit = MAX_LINE_BYTES as u64 + 1;
        if (&mut self.input).take(limit).read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        if line.last() == Some(&b'\n') {
            line.pop();
            return Ok(Some(Ok(line)));
        }
        if line.len() <= MAX_LINE_BYTES {
            return Ok(Some(Ok(line)));
        }
        self.input.skip_until(b'\n')?;
        Ok(Some(Err(LineProblem::TooLong { line: self.number })))
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = io::Result<Result<Line, LineProblem>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.read() {
                Ok(None) => return None,
                Ok(Some(Ok(line))) if line.trim_ascii().is_empty() => {}
                Ok(Some(Ok(line))) => return Some(Ok(parse(&line, self.number))),
                Ok(Some(Err(problem))) => return Some(Ok(Err(problem))),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

fn parse(line: &[u8], number: usize) -> Result<Line, LineProblem> {
    let Written { id, token } = serde_json::from_slice(line).map_err(|error| LineProblem::NotAToken {
        line: number,
        column: error.column(),
        problem: match error.classify() {
            serde_json::error::Category::Eof => "it ends too early",
            serde_json::error::Category::Data => "a member is missing, unknown, or no string",
            serde_json::error::Category::Syntax | serde_json::error::Category::Io => "it is not JSON",
        },
    })?;
    Ok(Line { id, token: BearerToken::new(token) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &str) -> Vec<Result<String, String>> {
        Lines::new(input.as_bytes())
            .map(|line| {
                line.unwrap().map(|line| format!("{}={}", line.id, line.token.as_str())).map_err(|e| e.to_string())
            })
            .collect()
    }

    #[test]
    fn each_line_is_a_token_or_a_problem_of_its_own() {
        let long = format!("{{\"id\":\"a\",\"token\":\"{}\"}}", "x".repeat(MAX_LINE_BYTES));
        let input = format!("{{\"id\":\"a\",\"token\":\"t\"}}\n\n  \r\n{long}\n{{\"token\":\"\",\"id\":\"\"}}\r\nend");
        let lines = read(&input);
        assert_eq!(lines[0], Ok("a=t".to_owned()));
        assert_eq!(lines[1], Err("line 4: longer than 65536 bytes".to_owned()));
        assert_eq!(lines[2], Ok("=".to_owned()));
        assert!(lines[3].as_ref().is_err_and(|problem| problem.contains("line 6")), "{lines:?}");
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn what_is_no_token_is_never_repeated() {
        for line in [
            "{\"id\":\"a\"}",
            "{\"id\":1,\"token\":\"secret\"}",
            "{\"id\":\"a\",\"token\":\"secret\",\"more\":1}",
            "{\"id\":\"a\",\"token\":\"secret\",\"token\":\"secret\"}",
            "{\"id\":\"a\",\"token\":\"secret\"",
            "{\"id\":\"a\",\"token\":\"secret\"} x",
            "[\"secret\"]",
            "secret",
            "\u{feff}{\"id\":\"a\",\"token\":\"secret\"}",
        ] {
            let found = read(line);
            let [Err(problem)] = found.as_slice() else { panic!("{line}: {found:?}") };
            assert!(!problem.contains("secret") && problem.starts_with("line 1: "), "{problem}");
        }
        assert_eq!(read(""), []);
    }
}
