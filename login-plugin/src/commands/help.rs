//! `help`: what each verb does, with examples that can be typed.

use crate::args::Topic;

/// The text for a topic.
pub(super) fn text(topic: Topic) -> String {
    match topic {
        Topic::All => ALL,
        Topic::Credential => CREDENTIAL,
        Topic::Kubeconfig => KUBECONFIG,
        Topic::Rejections => REJECTIONS,
        Topic::Whoami => WHOAMI,
    }
    .to_owned()
}

const ALL: &str = include_str!("help/all.txt");
const CREDENTIAL: &str = include_str!("help/credential.txt");
const KUBECONFIG: &str = include_str!("help/kubeconfig.txt");
const REJECTIONS: &str = include_str!("help/rejections.txt");
const WHOAMI: &str = include_str!("help/whoami.txt");
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_that_is_parsed_is_explained() {
        let source = concat!(
            include_str!("../args.rs"),
            include_str!("../args/credential.rs"),
            include_str!("../args/kubeconfig.rs"),
            include_str!("../args/rejections.rs"),
            include_str!("../args/whoami.rs"),
        );
        let named = source.split("Arg::Long(\"").skip(1).filter_map(|rest| rest.split('"').next());
        // The options of `credential` stand in a table, each at the beginning of its line.
        let tabled = source.lines().filter_map(|line| line.strip_prefix("        \"")?.split_once("\" => args."));
        let parsed = named.chain(tabled.map(|(option, _)| option));
        let everything = [ALL, CREDENTIAL, KUBECONFIG, REJECTIONS, WHOAMI].concat();
        for option in parsed.filter(|option| !["help", "version"].contains(option)) {
            assert!(everything.contains(&format!("--{option}")), "--{option} is not explained");
        }
    }

    #[test]
    fn lines_fit_a_terminal() {
        for line in [ALL, CREDENTIAL, KUBECONFIG, REJECTIONS, WHOAMI].iter().flat_map(|text| text.lines()) {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }
}
