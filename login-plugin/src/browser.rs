//! The browser to start: which programs to try, never through a shell, and never one that takes the terminal over.

use std::fs;
use std::process::Command;

use reqwest::Url;

use crate::environment::Environment;
use crate::platform::{System, desktop};

/// Browsers that take the terminal over; it belongs to kubectl.
const TEXT_BROWSERS: [&str; 8] = ["browsh", "elinks", "links", "links2", "lynx", "w3m", "w3mman", "www-browser"];

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
                vec![Candidate::bare(&setting)]
            } else {
                Candidate::split(&setting).into_iter().collect()
            },
        })
    }

    /// What the environment offers: the programs of `BROWSER`, and those of the system if the person sits in front of it.
    pub(crate) fn of_environment(environment: &Environment, system: System, in_front: bool) -> Option<Self> {
        let mut candidates = Vec::new();
        if let Some(list) = environment.text("BROWSER") {
            // Remote editors and containers set it to a program that forwards the URL to where the person is.
            candidates
                .extend(list.split(system.list_separator()).filter_map(Candidate::split).filter(|it| !it.is_textual()));
        }
        if in_front {
            candidates.extend(Candidate::of_system(environment, system));
        }
        (!candidates.is_empty()).then_some(Self { candidates })
    }

    /// The programs, in the order in which they are tried.
    pub(crate) fn programs(&self) -> impl Iterator<Item = &str> {
        self.candidates.iter().map(|candidate| candidate.program.as_str())
    }

    /// Starts the first candidate that can be started. Whether a person sees it nobody knows (snaps and WSL may be unable
    /// to come back to our address as well): the URL is shown in any case.
    pub(crate) fn open(&self, url: &Url) -> bool {
        // A provider cannot make us open a file or run a script.
        url.scheme() == "https" && self.candidates.iter().any(|candidate| candidate.start(url))
    }
}

impl System {
    /// Between the programs in `BROWSER`. Paths of Windows have colons.
    const fn list_separator(self) -> char {
        match self {
            Self::Windows => ';',
            Self::MacOs | Self::Unix | Self::Wsl => ':',
        }
    }
}

impl Candidate {
    fn of_system(environment: &Environment, system: System) -> Vec<Self> {
        // Not `cmd /c start`: it would take the `&` in the URL for the end of the command.
        let handler = |program: &str| Self {
            program: program.to_owned(),
            arguments: vec!["url.dll,FileProtocolHandler".to_owned(), "%s".to_owned()],
        };
        match system {
            System::MacOs => vec![Self::bare("open")],
            System::Windows => vec![handler("rundll32.exe")],
            System::Wsl => vec![
                Self::bare("wslview"),
                handler("rundll32.exe"),
                // Where Windows' own directories are not in PATH (`appendWindowsPath=false`).
                handler("/mnt/c/Windows/System32/rundll32.exe"),
                Self {
                    program: "powershell.exe".to_owned(),
                    // Quoted for PowerShell: a quote in a URL is written as %27, so none can end the text.
                    arguments: ["-NoProfile", "-NonInteractive", "-Command", "Start-Process '%s'"]
                        .map(ToOwned::to_owned)
                        .into(),
                },
            ],
            System::Unix if has_display(environment) => vec![Self::bare("xdg-open")],
            System::Unix => Vec::new(),
        }
    }

    fn bare(program: &str) -> Self {
        Self { program: program.to_owned(), arguments: Vec::new() }
    }

    fn split(setting: &str) -> Option<Self> {
        let mut words = setting.split_ascii_whitespace().map(ToOwned::to_owned);
        Some(Self { program: words.next()?, arguments: words.collect() })
    }

    fn is_textual(&self) -> bool {
        let name = self.program.rsplit(['/', '\\']).next().unwrap_or_default();
        TEXT_BROWSERS.contains(&name)
    }

    fn arguments_for(&self, url: &Url) -> Vec<String> {
        let url = url.as_str().replace('\'', "%27");
        let mut arguments: Vec<String> = self.arguments.iter().map(|argument| argument.replace("%s", &url)).collect();
        if arguments == self.arguments {
            arguments.push(url);
        }
        arguments
    }

    /// Not waited for: `xdg-open` ends with the browser if it had to start one.
    fn start(&self, url: &Url) -> bool {
        desktop::start_apart(Command::new(&self.program).args(self.arguments_for(url)))
    }
}

/// Whether a window could appear: one of the two display servers can be named.
fn has_display(environment: &Environment) -> bool {
    ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| environment.text(name).is_some())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn of(table: &[(&'static str, &'static str)]) -> Environment {
        Environment::Table(table.iter().copied().collect::<BTreeMap<_, _>>())
    }

    fn programs(system: System, in_front: bool, table: &[(&'static str, &'static str)]) -> String {
        let browser = Browser::of_environment(&of(table), system, in_front);
        let names = browser.iter().flat_map(|browser| &browser.candidates).map(|candidate| candidate.program.as_str());
        names.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn each_system_has_its_own_programs_and_none_where_nobody_would_see_them() {
        let windows = "/mnt/c/Windows/System32/rundll32.exe";
        let cases = [
            (System::MacOs, vec![], "open".to_owned()),
            (System::Windows, vec![], "rundll32.exe".to_owned()),
            (System::Wsl, vec![], format!("wslview rundll32.exe {windows} powershell.exe")),
            (System::Unix, vec![], String::new()),
            (System::Unix, vec![("DISPLAY", ":0")], "xdg-open".to_owned()),
            (System::Unix, vec![("WAYLAND_DISPLAY", "wayland-0")], "xdg-open".to_owned()),
        ];
        for (system, table, expected) in cases {
            assert_eq!(programs(system, true, &table), expected, "{system:?} {table:?}");
            assert_eq!(programs(system, false, &table), "", "{system:?} {table:?}");
        }
    }

    #[test]
    fn what_forwards_the_url_to_the_person_comes_first_and_text_browsers_are_left_alone() {
        let display = ("DISPLAY", ":0");
        assert_eq!(
            programs(System::Unix, true, &[("BROWSER", "forward:firefox %s"), display]),
            "forward firefox xdg-open"
        );
        assert_eq!(
            programs(System::Unix, false, &[("BROWSER", "/vscode/bin/helpers/browser.sh")]),
            "/vscode/bin/helpers/browser.sh"
        );
        assert_eq!(programs(System::Unix, true, &[("BROWSER", "/usr/bin/lynx:w3m %s:forward")]), "forward");
        assert_eq!(programs(System::Unix, true, &[("BROWSER", "/usr/bin/lynx:w3m %s")]), "");
        assert_eq!(
            programs(System::Windows, false, &[("BROWSER", r"C:\firefox.exe;C:\edge.exe")]),
            r"C:\firefox.exe C:\edge.exe"
        );
    }

    #[test]
    fn the_url_is_one_argument_wherever_it_stands() {
        let url = Url::parse("https://idp.example/it's/a?b=c&d=%27%20e").unwrap();
        let plain = "https://idp.example/it%27s/a?b=c&d=%27%20e";
        let candidate = Candidate::split("firefox --new-window %s --private").unwrap();
        assert_eq!(candidate.arguments_for(&url), ["--new-window", plain, "--private"]);
        assert_eq!(Candidate::bare("open").arguments_for(&url), [plain]);
        let all = Candidate::of_system(&of(&[]), System::Wsl);
        let shell = all.last().unwrap().arguments_for(&url);
        assert_eq!(shell.last().unwrap(), &format!("Start-Process '{plain}'"), "nothing ends the quotation");
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
