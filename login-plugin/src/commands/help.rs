//! `help`: what each verb does, with examples that can be typed.

pub(super) mod options;

use crate::args::Topic;

/// The page on a topic. Completion offers what stands there.
pub(super) const fn text(topic: Topic) -> &'static str {
    match topic {
        Topic::All => include_str!("help/all.txt"),
        Topic::Completion => include_str!("help/completion.txt"),
        Topic::Credential => include_str!("help/credential.txt"),
        Topic::Doctor => include_str!("help/doctor.txt"),
        Topic::Explain => include_str!("help/explain.txt"),
        Topic::Fleet => include_str!("help/fleet.txt"),
        Topic::Kubeconfig => include_str!("help/kubeconfig.txt"),
        Topic::Login => include_str!("help/login.txt"),
        Topic::Logout => include_str!("help/logout.txt"),
        Topic::Man => include_str!("help/man.txt"),
        Topic::Rejections => include_str!("help/rejections.txt"),
        Topic::Status => include_str!("help/status.txt"),
        Topic::Token => include_str!("help/token.txt"),
        Topic::Version => include_str!("help/version.txt"),
        Topic::Whoami => include_str!("help/whoami.txt"),
    }
}

/// The verbs that the overview lists, with what they do.
pub(super) fn verbs() -> impl Iterator<Item = (&'static str, &'static str)> {
    let list = text(Topic::All).split_once("\nCommands:\n").map_or("", |(_, list)| list);
    list.lines().take_while(|line| !line.is_empty()).filter_map(|line| {
        let (verb, summary) = line.trim_start().split_once(' ')?;
        Some((verb, summary.trim()))
    })
}

/// The variables of ours that the overview explains: all that there are.
pub(super) fn variables() -> impl Iterator<Item = &'static str> {
    let is_of_a_name = |letter: char| letter.is_ascii_uppercase() || letter == '_';
    text(Topic::All).split(move |letter| !is_of_a_name(letter)).filter(|word| word.starts_with("LATCHKEY_"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::ffi::OsString;
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::args::{self, UsageError, VERBS};

    #[test]
    fn the_overview_lists_every_verb() {
        let listed: Vec<&str> = verbs().map(|(verb, _)| verb).collect();
        assert_eq!(listed, VERBS.map(|(verb, _)| verb));
        assert!(verbs().all(|(_, summary)| !summary.is_empty()));
    }

    /// Read from the sources: what they look up is explained, and what is explained is looked up.
    #[test]
    fn the_overview_explains_every_variable_that_is_read_and_no_other() {
        fn read(directory: &Path, found: &mut BTreeSet<String>) {
            for path in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    read(&path, found);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let source = fs::read_to_string(path).unwrap();
                    let code = source.split("#[cfg(test)]").next().unwrap();
                    let names = code.split('"').filter(|name| {
                        name.strip_prefix("LATCHKEY_").is_some_and(|rest| {
                            !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
                        })
                    });
                    found.extend(names.map(ToOwned::to_owned));
                }
            }
        }
        let mut found = BTreeSet::new();
        read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        assert_eq!(found, variables().map(ToOwned::to_owned).collect());
    }

    /// An option that takes a value and has none is told apart from one that is not known.
    #[test]
    fn every_option_that_is_explained_is_parsed_as_it_is_explained() {
        for (verb, topic) in VERBS {
            for option in options::options(text(topic)) {
                let words: &[&str] = match verb {
                    "completion" => &["completion", "install"],
                    "fleet" => &["fleet", "check"],
                    verb => &[verb],
                };
                let typed = |name: String| args::parse(words.iter().map(OsString::from).chain([name.into()]));
                let names = option.short.map(|short| format!("-{short}")).into_iter();
                for name in names.chain([format!("--{}", option.long)]) {
                    let wants_value = match typed(name.clone()) {
                        Err(UsageError::Options(lexopt::Error::MissingValue { .. })) => true,
                        Err(UsageError::Options(error)) => panic!("{verb} {name}: {error}"),
                        _ => false,
                    };
                    assert_eq!(wants_value, option.value.is_some(), "{verb} {name}");
                }
            }
        }
    }

    /// The other way: the source names the options that it takes.
    #[test]
    fn every_option_that_is_parsed_is_explained_on_its_own_page() {
        let own = |source: &str| {
            // Tables of options have each at the beginning of a line.
            let tabled = source.lines().filter_map(|line| line.trim_start().strip_prefix('"')?.split_once("\" => "));
            let tabled =
                tabled.filter(|(_, deed)| ["args.", "choice.", "self."].iter().any(|begin| deed.starts_with(begin)));
            let named = source.split("Arg::Long(\"").skip(1).filter_map(|rest| rest.split('"').next());
            let tabled = tabled.flat_map(|(options, _)| options.split("\" | \""));
            named.chain(tabled).map(ToOwned::to_owned).collect::<Vec<_>>()
        };
        let of_kubectl = ["cluster", "context", "kubeconfig", "user"].map(ToOwned::to_owned).to_vec();
        for (source, topic) in [
            (own(include_str!("../args/completion.rs")), Topic::Completion),
            (own(include_str!("../args/credential.rs")), Topic::Credential),
            (own(include_str!("../args/doctor.rs")), Topic::Doctor),
            (own(include_str!("../args/fleet.rs")), Topic::Fleet),
            (own(include_str!("../args/kubeconfig.rs")), Topic::Kubeconfig),
            (own(include_str!("../args/login.rs")), Topic::Login),
            (of_kubectl.clone(), Topic::Login),
            (own(include_str!("../args/logout.rs")), Topic::Logout),
            (of_kubectl.clone(), Topic::Logout),
            (own(include_str!("../args/status.rs")), Topic::Status),
            (of_kubectl.clone(), Topic::Status),
            (of_kubectl.clone(), Topic::Explain),
            (own(include_str!("../args/token.rs")), Topic::Token),
            (of_kubectl.clone(), Topic::Token),
            (own(include_str!("../args/rejections.rs")), Topic::Rejections),
            (own(include_str!("../args/version.rs")), Topic::Version),
            (own(include_str!("../args/whoami.rs")), Topic::Whoami),
            (of_kubectl.clone(), Topic::Doctor),
            (of_kubectl.clone(), Topic::Whoami),
        ] {
            assert!(!source.is_empty(), "{topic:?}");
            let explained: Vec<&str> = options::options(text(topic)).iter().map(|option| option.long).collect();
            for option in source.iter().filter(|option| *option != "help") {
                assert!(explained.contains(&option.as_str()), "--{option} is not explained on the page {topic:?}");
            }
        }
        assert_eq!(
            own(include_str!("../args.rs")),
            [vec!["help".to_owned(), "version".to_owned()], of_kubectl].concat()
        );
    }

    #[test]
    fn lines_fit_a_terminal_and_every_page_has_examples() {
        for (verb, topic) in VERBS {
            for line in text(topic).lines() {
                assert!(line.chars().count() <= 100, "{line}");
            }
            assert!(verb == "help" || text(topic).contains("\nExample"), "{verb}");
        }
    }
}
