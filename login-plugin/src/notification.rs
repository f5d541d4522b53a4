//! A word on the person's desktop, by the platform's own program: worth more than a tab that nobody asked for.

use std::process::Command;

use crate::output::Printable;
use crate::platform::{System, desktop};

/// For `osascript`: the words come as arguments, so nothing in them is a part of the script.
const SCRIPT: [&str; 3] =
    ["on run words", "display notification (item 2 of words) with title (item 1 of words)", "end run"];

/// Shows it, or does not: where there is no such program or no desktop, nobody is worse off. Neither text holds a secret.
pub(crate) fn show(title: &str, text: &str) {
    if let Some((program, arguments)) = command(desktop::system(), title, text) {
        let _not_shown = desktop::start_apart(Command::new(program).args(arguments));
    }
}

/// The program and its arguments. Windows has no program for it that a command line could be trusted with.
fn command(system: System, title: &str, text: &str) -> Option<(&'static str, Vec<String>)> {
    let words = [title, text].map(|words| Printable(words).to_string());
    match system {
        System::MacOs => {
            let script = SCRIPT.iter().flat_map(|line| ["-e".to_owned(), (*line).to_owned()]);
            Some(("osascript", script.chain(words).collect()))
        }
        // The second text may hold markup, so only our own words stand there. Nothing behind `--` is an option.
        System::Unix | System::Wsl => {
            let options = ["--icon=dialog-password", "--"].map(ToOwned::to_owned);
            Some(("notify-send", options.into_iter().chain(words).collect()))
        }
        System::Windows => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_neither_an_option_nor_a_script() {
        for hostile in ["--help", "\" & (do shell script \"true\") & \"", "a\u{1b}[2Jb"] {
            for system in [System::MacOs, System::Unix, System::Wsl] {
                let (_, arguments) = command(system, hostile, "text").unwrap();
                let name = &arguments[arguments.len() - 2];
                assert_eq!(name, &Printable(hostile).to_string(), "{system:?}");
                assert!(!name.contains('\u{1b}'));
                let before = &arguments[..arguments.len() - 2];
                assert!(before.last().is_some_and(|last| last == "--" || last == "end run"), "{before:?}");
            }
        }
        assert_eq!(command(System::Windows, "a", "b"), None);
    }
}
