//! Options, read from the pages of help: what a person can read there is exactly what completion offers.

/// An option as its page explains it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::commands) struct HelpOption {
    /// The name without dashes.
    pub(in crate::commands) long: &'static str,
    /// The name of one letter, if there is one.
    pub(in crate::commands) short: Option<char>,
    /// What its value is called, if it takes one.
    pub(in crate::commands) value: Option<&'static str>,
    /// What it does.
    pub(in crate::commands) summary: String,
}

/// The options that a page explains: lines that begin with two blanks and a dash, the words two blanks further or on the
/// next lines.
pub(in crate::commands) fn options(page: &'static str) -> Vec<HelpOption> {
    let mut found: Vec<HelpOption> = Vec::new();
    // How many of the last ones the words are about.
    let mut explained = 0;
    for line in page.lines() {
        if let Some(line) = line.strip_prefix("  ").filter(|line| line.starts_with('-')) {
            let (names, words) = line.split_once("  ").unwrap_or((line, ""));
            let new = options_of(names);
            explained = new.len();
            found.extend(new.into_iter().map(|option| HelpOption { summary: words.trim().to_owned(), ..option }));
        } else if line.starts_with("          ") {
            let last = found.len() - explained;
            for option in &mut found[last..] {
                let gap = if option.summary.is_empty() { "" } else { " " };
                option.summary = format!("{}{gap}{}", option.summary, line.trim());
            }
        } else {
            explained = 0;
        }
    }
    found
}

/// `-o, --output FORMAT` is one option; `--scopes LIST, --optional-scopes LIST` are two.
fn options_of(names: &'static str) -> Vec<HelpOption> {
    let mut short = None;
    let mut options = Vec::new();
    for name in names.split(", ") {
        match name.strip_prefix("--") {
            None => short = name.chars().nth(1),
            Some(name) => {
                let (long, value) = name.split_once(' ').map_or((name, None), |(long, value)| (long, Some(value)));
                options.push(HelpOption { long, short: short.take(), value, summary: String::new() });
            }
        }
    }
    options
}

impl HelpOption {
    /// The values that the words list before their first colon or bracket: `auto, file or none: how it is kept`.
    pub(in crate::commands) fn choices(&self) -> Vec<&str> {
        let end = [": ", " [", "; "].iter().filter_map(|mark| self.summary.find(mark)).min();
        let list = self.summary.get(..end.unwrap_or(self.summary.len())).unwrap_or_default();
        let choices: Vec<&str> = list.split(", ").flat_map(|part| part.split(" or ")).collect();
        let are_words = choices.len() > 1 && choices.iter().all(|word| !word.is_empty() && !word.contains(' '));
        if self.value.is_some() && are_words { choices } else { Vec::new() }
    }

    /// Whether it may stand there more than once.
    pub(in crate::commands) fn may_be_repeated(&self) -> bool {
        self.summary.contains("may be repeated")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
Do it.

Usage: kubectl latchkey do [OPTIONS]

Options:
  -o, --output FORMAT         text, json or yaml [default: text]
  --scopes LIST, --optional-scopes LIST
                              What to ask for,
                              and where
  --force                     Do it again, or anew
  --resource URI              For what; may be repeated

          not about an option
Examples:
  kubectl latchkey do -o json
";

    #[test]
    fn a_page_tells_its_options() {
        let found = options(PAGE);
        let short: Vec<_> = found.iter().map(|option| (option.long, option.short, option.value)).collect();
        assert_eq!(
            short,
            [
                ("output", Some('o'), Some("FORMAT")),
                ("scopes", None, Some("LIST")),
                ("optional-scopes", None, Some("LIST")),
                ("force", None, None),
                ("resource", None, Some("URI")),
            ]
        );
        assert_eq!(found[0].choices(), ["text", "json", "yaml"]);
        assert_eq!(found[1].summary, "What to ask for, and where");
        assert_eq!(found[2].summary, "What to ask for, and where");
        assert_eq!((found[1].choices(), found[3].choices()), (vec![], vec![]));
        assert!(found[4].may_be_repeated() && !found[3].may_be_repeated());
        assert_eq!(found[4].summary, "For what; may be repeated");
    }
}
