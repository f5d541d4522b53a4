//! What the word that is being typed could become: verbs and options from the pages of help, names from elsewhere.

use std::fmt;

use crate::args::{COMPLETION_WORDS, FLEET_WORDS, Topic, VERBS};
use crate::commands::help::options::HelpOption;
use crate::commands::{explain, help};
use crate::output::is_dangerous;

/// More than anybody reads; a kubeconfig of a whole fleet has fewer contexts.
const CANDIDATES_MAX: usize = 1_000;

/// A word, and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    value: String,
    description: String,
}

/// Names that are not ours: contexts, clusters, users.
pub(super) trait Names {
    /// Values for the option of that name; `kubeconfig` is the file that the line names, if it does.
    fn of(&self, option: &str, kubeconfig: Option<&str>) -> Vec<Candidate>;
}

/// What the shell does with the candidates (cobra's `ShellCompDirective`, which kubectl passes on).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Directive {
    /// Files, where there are no candidates.
    Files = 0,
    /// Nothing but the candidates.
    NoFiles = 4,
    /// The same, and no blank behind them: the list may go on.
    NoFilesNoSpace = 6,
    /// Directories.
    Directories = 16,
}

/// The answer, as kubectl and our scripts read it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Completion {
    candidates: Vec<Candidate>,
    directive: Directive,
}

/// The line so far.
struct Line<'a> {
    /// The option that wants a value, if the last word is one.
    pending: Option<&'a HelpOption>,
    /// Options that stand there.
    used: Vec<&'a str>,
    /// Words that are no options, without the verb.
    words: Vec<&'a str>,
    /// The value of `--kubeconfig`.
    kubeconfig: Option<&'a str>,
}

/// Completes the last word.
pub(super) fn complete(words: &[String], names: &impl Names) -> Completion {
    let Some((last, before)) = words.split_last() else { return Completion::of(Vec::new()) };
    let Some((verb, before)) = before.split_first() else {
        let verbs = help::verbs().map(|(verb, summary)| Candidate::new(verb, summary));
        return Completion::of(verbs.collect()).beginning(last);
    };
    let Some((_, topic)) = VERBS.iter().find(|(name, _)| name == verb) else { return Completion::of(Vec::new()) };
    let options = options(*topic);
    let line = Line::read(before, &options);
    if let Some(option) = line.pending {
        return values(option, last, line.kubeconfig, names);
    }
    if let Some((name, value)) = last.strip_prefix("--").and_then(|option| option.split_once('=')) {
        // Shells take what stands before the equals sign as settled.
        return options
            .iter()
            .find(|option| option.long == name && option.value.is_some())
            .map_or_else(|| Completion::of(Vec::new()), |option| values(option, value, line.kubeconfig, names));
    }
    let words = if last.starts_with('-') { Vec::new() } else { words_behind(*topic, &line) };
    let wanted = if words.is_empty() { line.unused(&options) } else { words };
    Completion::of(wanted).beginning(last)
}

/// The options of a verb: those of its page.
fn options(topic: Topic) -> Vec<HelpOption> {
    match topic {
        Topic::All => Vec::new(),
        // What it takes besides, as its page says.
        Topic::Login | Topic::Logout => {
            let own = help::options::options(help::text(topic));
            own.into_iter().chain(options(Topic::Credential)).collect()
        }
        topic => help::options::options(help::text(topic)),
    }
}

/// What may stand behind a verb that is no option.
fn words_behind(topic: Topic, line: &Line<'_>) -> Vec<Candidate> {
    match (topic, line.words.as_slice()) {
        (Topic::All, []) => help::verbs().map(|(verb, summary)| Candidate::new(verb, summary)).collect(),
        (Topic::Explain, []) => explain::reasons().map(|(code, meaning)| Candidate::new(code, meaning)).collect(),
        (Topic::Completion, []) => COMPLETION_WORDS.map(|word| Candidate::new(word, "")).to_vec(),
        (Topic::Fleet, []) => FLEET_WORDS.map(|(word, meaning)| Candidate::new(word, meaning)).to_vec(),
        _ => Vec::new(),
    }
}

fn values(option: &HelpOption, typed: &str, kubeconfig: Option<&str>, names: &impl Names) -> Completion {
    let is_list = option.value == Some("LIST");
    // Of a list only the last item is being typed.
    let settled = typed.rfind(',').filter(|_| is_list).map_or("", |comma| &typed[..=comma]);
    let mut found: Vec<Candidate> = option.choices().into_iter().map(|word| Candidate::new(word, "")).collect();
    if option.long == "code" {
        found.extend(explain::reasons().map(|(code, meaning)| Candidate::new(code, meaning)));
    }
    found.extend(names.of(option.long, kubeconfig));
    let directive = match option.value {
        _ if is_list => Directive::NoFilesNoSpace,
        Some("FILE" | "PATH") => Directive::Files,
        Some("DIR") => Directive::Directories,
        _ => Directive::NoFiles,
    };
    for candidate in &mut found {
        candidate.value.insert_str(0, settled);
    }
    Completion { directive, ..Completion::of(found) }.beginning(typed)
}

impl<'a> Line<'a> {
    fn read(typed: &'a [String], options: &'a [HelpOption]) -> Self {
        let mut line = Self { pending: None, used: Vec::new(), words: Vec::new(), kubeconfig: None };
        for word in typed {
            if let Some(option) = line.pending.take() {
                line.note(option, word);
                continue;
            }
            let (option, value) = if let Some(long) = word.strip_prefix("--") {
                let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
                (options.iter().find(|option| option.long == name), value)
            } else if let Some(short) = word.strip_prefix('-').and_then(|short| short.chars().next()) {
                let value = word.get(1 + short.len_utf8()..).filter(|value| !value.is_empty());
                (options.iter().find(|option| option.short == Some(short)), value)
            } else {
                line.words.push(word);
                continue;
            };
            let Some(option) = option else { continue };
            line.used.push(option.long);
            match value {
                Some(value) => line.note(option, value),
                None if option.value.is_some() => line.pending = Some(option),
                None => {}
            }
        }
        line
    }

    fn note(&mut self, option: &HelpOption, value: &'a str) {
        if option.long == "kubeconfig" {
            self.kubeconfig = Some(value);
        }
    }

    fn unused(&self, options: &[HelpOption]) -> Vec<Candidate> {
        let unused = options.iter().filter(|option| option.may_be_repeated() || !self.used.contains(&option.long));
        let help = Candidate::new("--help", "Explain the command");
        unused.map(|option| Candidate::new(&format!("--{}", option.long), &option.summary)).chain([help]).collect()
    }
}

impl Candidate {
    /// A word with its description.
    pub(super) fn new(value: &str, description: &str) -> Self {
        Self { value: value.to_owned(), description: description.to_owned() }
    }
}

impl Completion {
    fn of(candidates: Vec<Candidate>) -> Self {
        Self { candidates, directive: Directive::NoFiles }
    }

    /// Only what begins as typed.
    fn beginning(mut self, typed: &str) -> Self {
        self.candidates.retain(|candidate| candidate.value.starts_with(typed));
        self
    }
}

/// One candidate in each line, and the directive in the last. A name that could break a line or move the cursor is left out:
/// escaped it would be another name.
impl fmt::Display for Completion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let safe = self.candidates.iter().filter(|candidate| !candidate.value.chars().any(is_dangerous));
        for Candidate { value, description } in safe.take(CANDIDATES_MAX) {
            let description: String = description.chars().filter(|character| !is_dangerous(*character)).collect();
            if description.is_empty() {
                writeln!(f, "{value}")?;
            } else {
                writeln!(f, "{value}\t{description}")?;
            }
        }
        writeln!(f, ":{}", self.directive as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fleet;

    impl Names for Fleet {
        fn of(&self, option: &str, kubeconfig: Option<&str>) -> Vec<Candidate> {
            match (option, kubeconfig) {
                ("context" | "contexts", None) => ["production", "staging", "st\u{1b}[2J", "a\tb"]
                    .map(|name| Candidate::new(name, "https://\u{9b}c"))
                    .to_vec(),
                ("context", Some("other")) => vec![Candidate::new("elsewhere", "")],
                _ => Vec::new(),
            }
        }
    }

    fn shown(line: &str) -> String {
        let words: Vec<String> = line.split(' ').map(ToOwned::to_owned).collect();
        complete(&words, &Fleet).to_string()
    }

    fn values(line: &str) -> Vec<String> {
        shown(line).lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
    }

    #[test]
    fn verbs_come_first() {
        assert_eq!(shown("who"), "whoami\tShow who a cluster takes you for\n:4\n");
        let all = values("");
        assert_eq!(all.len(), VERBS.len() + 1);
        assert!(all.contains(&"kubeconfig".to_owned()), "{all:?}");
        assert_eq!(values("help vers"), ["version", ":4"]);
        assert_eq!(values("completion z"), ["zsh", ":4"]);
        assert_eq!(shown("fleet "), "check\tSay where the clusters differ that should be alike\n:4\n");
        assert_eq!(values("nonsense "), [":4"]);
        assert_eq!(complete(&[], &Fleet).to_string(), ":4\n");
    }

    #[test]
    fn options_that_stand_there_are_not_offered_again() {
        assert_eq!(values("whoami --c"), ["--context", "--cluster", ":4"]);
        assert_eq!(values("whoami --context staging --c"), ["--cluster", ":4"]);
        assert_eq!(values("whoami --context=staging --c"), ["--cluster", ":4"]);
        assert!(!values("whoami -ojson --").contains(&"--output".to_owned()));
        assert!(!values("whoami -o json ").contains(&"--output".to_owned()));
        assert!(values("credential --resource a --res").contains(&"--resource".to_owned()), "it may be repeated");
        assert!(values("whoami ").contains(&"--context".to_owned()), "there is nothing else to offer");
    }

    #[test]
    fn values_follow_their_option() {
        assert_eq!(shown("whoami --context st"), "staging\thttps://c\n:4\n");
        assert_eq!(values("whoami --context=pro"), ["production", ":4"]);
        assert_eq!(values("whoami --kubeconfig other --context "), ["elsewhere", ":4"]);
        assert_eq!(values("whoami --kubeconfig=other --context="), ["elsewhere", ":4"]);
        assert_eq!(values("rejections --context staging,pro"), ["staging,production", ":6"]);
        assert_eq!(values("fleet check --contexts staging,pro"), ["staging,production", ":6"]);
        assert_eq!(values("fleet check --dir "), [":16"]);
        assert_eq!(values("whoami -o "), ["text", "json", "yaml", ":4"]);
        assert_eq!(values("credential --flow d"), ["device", ":4"]);
        assert_eq!(values("credential --store="), ["auto", "keyring", "file", "none", ":4"]);
        assert_eq!(values("kubeconfig --output "), [":0"]);
        assert_eq!(values("completion install --directory "), [":16"]);
        assert_eq!(values("credential --issuer "), [":4"]);
        assert_eq!(values("credential --skip-browser=x"), [":4"]);
    }
}
