//! `man`: the manual page, made of the pages of help. There is one source of what each option does.

use std::fmt::Write as _;

use super::{help, print};
use crate::args::{Topic, VERBS};
use crate::failure::Failure;

/// Prints it.
///
/// # Errors
/// When nobody takes it.
pub(super) fn run() -> Result<(), Failure> {
    print(&page())
}

/// The page in roff's man macros (`groff_man(7)`), section 1.
fn page() -> String {
    let mut roff = Roff(String::new());
    roff.line(".\\\" Made of the pages of help by `kubectl-latchkey man`.");
    roff.line(&format!(".TH KUBECTL\\-LATCHKEY 1 \"\" \"latchkey {}\" \"User Commands\"", env!("CARGO_PKG_VERSION")));
    roff.line(".SH NAME");
    roff.text("kubectl-latchkey - log in to Kubernetes with your organisation's account");
    let mut blocks = Block::of(help::text(Topic::All));
    roff.section("SYNOPSIS", &mut blocks, |block| block.head == Some("Usage"));
    roff.line(".SH DESCRIPTION");
    // The first one says the name again.
    for block in blocks.iter().filter(|block| block.head.is_none()) {
        roff.block(block);
    }
    roff.line(".SH COMMANDS");
    for (verb, summary) in help::verbs() {
        roff.line(".TP");
        roff.line(&format!(".B {}", escaped(verb)));
        roff.text(summary);
    }
    for (verb, topic) in VERBS.into_iter().filter(|(_, topic)| *topic != Topic::All) {
        roff.line(&format!(".SH {}", escaped(&verb.to_ascii_uppercase())));
        for block in Block::of(help::text(topic)) {
            roff.block(&block);
        }
    }
    for (head, title) in [("Environment", "ENVIRONMENT"), ("Exit status", "EXIT STATUS"), ("First steps", "EXAMPLES")] {
        roff.section(title, &mut blocks, |block| block.head == Some(head));
    }
    roff.line(".SH SEE ALSO");
    roff.line(".BR kubectl (1)");
    roff.0
}

/// A part of a page of help: lines without an empty one between them, under the words before the first colon if these stand
/// alone or name one of the parts that every page has.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    head: Option<&'static str>,
    lines: Vec<&'static str>,
}

impl Block {
    fn of(page: &'static str) -> Vec<Self> {
        let parts = page.split("\n\n").map(|part| part.trim_matches('\n')).filter(|part| !part.is_empty());
        parts.map(Self::new).collect()
    }

    fn new(part: &'static str) -> Self {
        let (first, rest) = part.split_once('\n').unwrap_or((part, ""));
        if let Some(head) = first.strip_suffix(':').filter(|_| rest.starts_with(' ')) {
            return Self { head: Some(head), lines: rest.lines().collect() };
        }
        for head in ["Usage", "Exit status"] {
            if let Some(words) = part.strip_prefix(head).and_then(|part| part.strip_prefix(": ")) {
                return Self { head: Some(head), lines: words.lines().collect() };
            }
        }
        Self { head: None, lines: part.lines().collect() }
    }
}

/// The page while it is written.
struct Roff(String);

impl Roff {
    fn line(&mut self, line: &str) {
        let _cannot_fail = writeln!(self.0, "{line}");
    }

    /// Running text: filled by whoever shows it.
    fn text(&mut self, text: &str) {
        let escaped = escaped(text.trim());
        self.line(&escaped);
    }

    /// Lines as they stand.
    fn lines(&mut self, lines: &[&str]) {
        self.line(".EX");
        for line in lines {
            let escaped = escaped(line);
            self.line(&escaped);
        }
        self.line(".EE");
    }

    /// Takes the first such block out, and writes it under a title of the whole page.
    fn section(&mut self, title: &str, blocks: &mut Vec<Block>, is_meant: impl Fn(&Block) -> bool) {
        if let Some(place) = blocks.iter().position(is_meant) {
            let block = blocks.remove(place);
            self.line(&format!(".SH {title}"));
            self.body(&block);
        }
    }

    fn block(&mut self, block: &Block) {
        match block.head {
            Some(head) => self.line(&format!(".SS {}", escaped(head))),
            None => self.line(".PP"),
        }
        self.body(block);
    }

    fn body(&mut self, block: &Block) {
        let is_prose = |line: &&str| !line.starts_with(' ');
        let is_listed = block.head == Some("Usage");
        // What follows the words `Exit status:` on their line goes on indented.
        if block.head == Some("Exit status") || (!is_listed && block.lines.iter().all(is_prose)) {
            self.text(&block.lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" "));
            return;
        }
        let mut rest = block.lines.as_slice();
        while let Some(first) = rest.first() {
            if is_option(first) {
                let more = rest[1..].iter().take_while(|line| line.starts_with("          ")).count();
                self.option(first, &rest[1..=more]);
                rest = &rest[1 + more..];
            } else {
                let count = rest.iter().take_while(|line| !is_option(line)).count();
                let lines = &rest[..count];
                if !is_listed && lines.iter().all(is_prose) {
                    self.line(".PP");
                    self.text(&lines.join(" "));
                } else {
                    self.lines(lines);
                }
                rest = &rest[count..];
            }
        }
    }

    fn option(&mut self, first: &str, more: &[&str]) {
        let first = first.trim_start();
        let (names, words) = first.split_once("  ").unwrap_or((first, ""));
        self.line(".TP");
        let escaped = escaped(names);
        self.line(&format!(".B \"{}\"", escaped.replace('"', "\\(dq")));
        let words: Vec<&str> = std::iter::once(words).chain(more.iter().copied()).map(str::trim).collect();
        self.text(&words.join(" "));
    }
}

fn is_option(line: &str) -> bool {
    line.starts_with("  -")
}

/// Text as roff takes it for text: a backslash is one, hyphens are those that can be typed, and no line is a request.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str("\\e"),
            '-' => escaped.push_str("\\-"),
            '\'' => escaped.push_str("\\(aq"),
            '`' => escaped.push_str("\\(ga"),
            '^' => escaped.push_str("\\(ha"),
            '~' => escaped.push_str("\\(ti"),
            other => escaped.push(other),
        }
    }
    if escaped.starts_with('.') { format!("\\&{escaped}") } else { escaped }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::commands::help::options;

    /// The words of the page without what roff makes of them.
    fn words() -> Vec<String> {
        let text = page().replace("\\-", "-").replace("\\(aq", "'").replace("\\(ga", "`").replace("\\e", "\\");
        text.replace("\\(ha", "^")
            .replace("\\(ti", "~")
            .replace("\\&", "")
            .split_whitespace()
            .map(ToOwned::to_owned)
            .collect()
    }

    #[test]
    fn every_option_stands_in_it_under_its_verb() {
        let page = page();
        for (verb, topic) in VERBS.into_iter().filter(|(_, topic)| *topic != Topic::All) {
            let section = page.split_once(&format!("\n.SH {}\n", verb.to_ascii_uppercase())).expect(verb).1;
            let section = section.split("\n.SH ").next().unwrap();
            for option in options::options(help::text(topic)) {
                let name = escaped(&format!("--{}", option.long));
                let heads = section.lines().filter(|line| line.starts_with(".B "));
                assert!(heads.clone().any(|head| head.contains(&name)), "{verb} --{}", option.long);
            }
        }
    }

    #[test]
    fn no_word_of_the_help_is_lost() {
        let of_page = words();
        let mut all = of_page.iter().map(|word| word.trim_matches(['"', ':'])).collect::<Vec<_>>();
        all.sort_unstable();
        // The titles of the overview are other words here.
        let titles = ["First", "steps:", "Environment:"];
        for (verb, topic) in VERBS {
            let words = help::text(topic).split_whitespace().filter(|word| !titles.contains(word));
            for word in words.map(|word| word.trim_matches(['"', ':'])) {
                assert!(all.binary_search(&word).is_ok(), "{verb}: {word}");
            }
        }
    }

    /// Roff itself (Debian's groff-base) has nothing to say against the page.
    #[test]
    fn roff_takes_it_without_a_warning() {
        let mut command = Command::new("groff");
        command
            .args(["-man", "-Tutf8", "-ww", "-z"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut groff = command.spawn().expect("groff, of the package groff-base");
        groff.stdin.take().unwrap().write_all(page().as_bytes()).unwrap();
        let output = groff.wait_with_output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
