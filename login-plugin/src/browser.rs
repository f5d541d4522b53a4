//! Starting the system's browser: which program, and never through a shell, on our terminal or in our process group.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use reqwest::Url;

use crate::environment::Environment;

/// Browsers that take the terminal over; it belongs to kubectl.
const TEXT_BROWSERS: [&str; 6] = ["elinks", "links", "links2", "lynx", "w3m", "www-browser"];

/// Programs to try in turn, each with its arguments before the URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Browser {
    candidates: Vec<Candidate>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Candidate {
    program: String,
    /// `%s` stands for the URL; without one it comes last.
    arguments: Vec<String>,
}

impl Browser {
    /// What the person chose by `LATCHKEY_BROWSER`.
    pub(crate) fn chosen(environment: &Environment) -> Option<Self> {
        environment.text("LATCHKEY_BROWSER").map(|setting| Self {
            // A path with blanks is a program, not a program with arguments.
            candidates: if fs::metadata(&setting).is_ok_and(|metadata| metadata.is_file()) {
                vec![Candidate { program: setting, arguments: Vec::new() }]
            } else {
                Candidate::split(&setting).into_iter().collect()
            },
        })
    }

    /// What the environment offers, if a browser started from here would be seen.
    pub(crate) fn of_environment(environment: &Environment) -> Option<Self> {
        let mut candidates = Vec::new();
        if let Some(list) = environment.text("BROWSER") {
            // Remote editors and containers set it to a program that forwards the URL to where the person is.
            candidates.extend(list.split(':').filter_map(Candidate::split).filter(|candidate| !candidate.is_textual()));
        }
        if cfg!(target_os = "macos") {
            candidates.push(Candidate::bare("open"));
        } else if is_wsl() {
            candidates.push(Candidate::bare("wslview"));
            candidates.push(Candidate {
                program: "rundll32.exe".to_owned(),
                arguments: vec!["url.dll,FileProtocolHandler".to_owned()],
            });
        } else if environment.text("DISPLAY").or_else(|| environment.text("WAYLAND_DISPLAY")).is_some() {
            candidates.push(Candidate::bare("xdg-open"));
        }
        (!candidates.is_empty()).then_some(Self { candidates })
    }

    /// Starts the first candidate that can be started. Whether a person sees it nobody knows: the URL is shown as well.
    pub(crate) fn open(&self, url: &Url) -> bool {
        // A provider cannot make us open a file or run a script.
        url.scheme() == "https" && self.candidates.iter().any(|candidate| candidate.start(url))
    }
}

impl Candidate {
    fn bare(program: &str) -> Self {
        Self { program: program.to_owned(), arguments: Vec::new() }
    }

    fn split(setting: &str) -> Option<Self> {
        let mut words = setting.split_ascii_whitespace().map(ToOwned::to_owned);
        Some(Self { program: words.next()?, arguments: words.collect() })
    }

    fn is_textual(&self) -> bool {
        let name = self.program.rsplit('/').next().unwrap_or_default();
        TEXT_BROWSERS.contains(&name)
    }

    fn arguments_for(&self, url: &Url) -> Vec<String> {
        let mut arguments: Vec<String> =
            self.arguments.iter().map(|argument| argument.replace("%s", url.as_str())).collect();
        if arguments == self.arguments {
            arguments.push(url.as_str().to_owned());
        }
        arguments
    }

    /// Not waited for: `xdg-open` ends with the browser if it had to start one.
    fn start(&self, url: &Url) -> bool {
        Command::new(&self.program)
            .args(self.arguments_for(url))
            // Whatever a browser prints would end up in the credential.
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C at kubectl must not close the browser.
            .process_group(0)
            .spawn()
            .is_ok()
    }
}

fn is_wsl() -> bool {
    cfg!(target_os = "linux")
        && fs::read_to_string("/proc/sys/kernel/osrelease")
            .is_ok_and(|release| release.to_ascii_lowercase().contains("microsoft"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn of(table: &[(&'static str, &'static str)]) -> Environment {
        Environment::Table(table.iter().copied().collect::<BTreeMap<_, _>>())
    }

    #[test]
    fn the_url_is_one_argument_wherever_it_stands() {
        let url = Url::parse("https://idp.example/a?b=c&d=%27%20e").unwrap();
        let candidate = Candidate::split("firefox --new-window %s --private").unwrap();
        assert_eq!(candidate.arguments_for(&url), ["--new-window", url.as_str(), "--private"]);
        assert_eq!(Candidate::bare("open").arguments_for(&url), [url.as_str()]);
    }

    #[test]
    fn text_browsers_are_left_alone() {
        if cfg!(target_os = "linux") && !is_wsl() {
            assert_eq!(Browser::of_environment(&of(&[("BROWSER", "/usr/bin/lynx:w3m %s")])), None);
            let mixed = Browser::of_environment(&of(&[("BROWSER", "lynx:forward-url")])).unwrap();
            assert_eq!(mixed.candidates, [Candidate::bare("forward-url")]);
        }
    }

    #[test]
    fn only_https_is_opened() {
        let browser = Browser { candidates: vec![Candidate::bare("true")] };
        assert!(!browser.open(&Url::parse("file:///etc/passwd").unwrap()));
        assert!(!browser.open(&Url::parse("http://idp.example").unwrap()));
    }

    #[test]
    fn a_program_that_is_not_there_opens_nothing() {
        let browser = Browser { candidates: vec![Candidate::bare("/no/such/browser")] };
        assert!(!browser.open(&Url::parse("https://idp.example").unwrap()));
    }
}
