//! Which way in fits the place, the wishes and the prohibitions. No door: a table says it all, and tests it.

use std::time::Duration;

use thiserror::Error;

use super::place::{Place, Reader};
use crate::args::Flow;
use crate::browser::Browser;
use crate::config::LoginConfig;

/// For a person who sees us: client-go waits as long as we do, holding a lock.
pub(super) const ATTENDED_TIMEOUT: Duration = Duration::from_mins(5);

/// For a browser tab that a program in the background opened, perhaps on an empty desk.
pub(crate) const BACKGROUND_TIMEOUT: Duration = Duration::from_mins(2);

/// How this login will be tried.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Way {
    /// By what.
    pub(crate) means: Means,
    /// Who reads what we say.
    pub(crate) reader: Reader,
    /// For everything the person has to do, where it is set.
    pub(crate) timeout: Option<Duration>,
}

impl Way {
    /// Whether nobody asked for it at a terminal.
    pub(crate) fn is_in_background(&self) -> bool {
        self.reader == Reader::Nobody
    }

    /// For everything the person has to do, where no code says how long it is good.
    pub(crate) fn patience(&self) -> Duration {
        self.timeout.unwrap_or(if self.is_in_background() { BACKGROUND_TIMEOUT } else { ATTENDED_TIMEOUT })
    }

    /// Takes the browser out. Whether there was one.
    pub(crate) fn open_nothing(&mut self) -> bool {
        let browser = match &mut self.means {
            Means::Redirect(Redirect { browser, .. }) | Means::Device { browser, .. } => browser,
        };
        browser.take().is_some()
    }
}

/// By what a person gets in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Means {
    /// A browser here, or the person's own, and the answer on the loopback or in the terminal.
    Redirect(Redirect),
    /// RFC 8628: a browser anywhere.
    Device {
        /// Started with the address that has the code in it; the code is shown all the same.
        browser: Option<Browser>,
        /// Where the provider has no such thing.
        otherwise: Option<Redirect>,
    },
}

/// The login by redirect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Redirect {
    /// Started if there is one; the URL is shown in any case.
    pub(crate) browser: Option<Browser>,
    /// Whether the redirect may be pasted into the terminal.
    pub(crate) paste: bool,
}

/// Why nobody can log in here.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum Impossible {
    /// The way asked for is forbidden.
    #[error("the way in by {} is forbidden for this cluster", .0.as_str())]
    Forbidden(Flow),
    /// Every way that would be possible is forbidden.
    #[error("the ways in that would be possible here are forbidden for this cluster")]
    AllForbidden,
    /// A build server's job.
    #[error("nobody sits at a CI job ({0} is set)")]
    Job(&'static str),
    /// A code that nobody would read.
    #[error("nobody would read the device code here")]
    NobodyReads,
    /// Nothing to type into.
    #[error("pasting needs a terminal on standard input")]
    NoTerminal,
    /// Neither browser nor terminal.
    #[error("there is neither a browser nor a terminal here")]
    Nothing,
    /// The person, or the administrator, wants no login here.
    #[error("the setting \"none\" (LATCHKEY_FLOW or --flow) allows none here")]
    SwitchedOff,
}

/// Chooses the way in.
///
/// # Errors
/// When nobody can log in here.
pub(crate) fn choose(login: &LoginConfig, place: Place) -> Result<Way, Impossible> {
    let Place { job, chosen, browser, reader } = place;
    let allowed = |flow| !login.forbidden.contains(&flow);
    let named_browser = chosen.is_some();
    match login.flow {
        Some(Flow::None) => return Err(Impossible::SwitchedOff),
        Some(flow) if !allowed(flow) => return Err(Impossible::Forbidden(flow)),
        // Who names the way, or the browser, for a job knows what they do.
        None if !named_browser => {
            if let Some(variable) = job {
                return Err(Impossible::Job(variable));
            }
        }
        _ => {}
    }
    let browser = if login.skip_browser { None } else { chosen.or(browser) };
    let at_terminal = reader == Reader::AtTerminal;
    let paste = at_terminal && allowed(Flow::Paste);
    let means = match login.flow {
        Some(Flow::Browser) => Means::Redirect(Redirect { browser, paste }),
        // Never on a standard error alone that nobody may read. `--skip-browser` says that somebody does.
        Some(Flow::Device) if reader == Reader::Nobody && !login.skip_browser => return Err(Impossible::NobodyReads),
        Some(Flow::Device) => Means::Device { browser, otherwise: None },
        Some(Flow::Paste) if !at_terminal => return Err(Impossible::NoTerminal),
        Some(Flow::Paste) => Means::Redirect(Redirect { browser: None, paste }),
        Some(Flow::None) | None => {
            let by_redirect = browser.is_some() || login.skip_browser;
            if by_redirect && allowed(Flow::Browser) {
                Means::Redirect(Redirect { browser, paste })
            } else {
                let otherwise = paste.then_some(Redirect { browser: None, paste });
                if reader != Reader::Nobody && allowed(Flow::Device) {
                    Means::Device { browser, otherwise }
                } else if let Some(redirect) = otherwise {
                    Means::Redirect(redirect)
                } else if by_redirect || reader != Reader::Nobody {
                    return Err(Impossible::AllForbidden);
                } else {
                    return Err(Impossible::Nothing);
                }
            }
        }
    };
    Ok(Way { means, reader, timeout: login.timeout })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::args::CredentialArgs;
    use crate::config::{ConfigError, Settings};
    use crate::environment::Environment;
    use crate::exec_credential::ExecInfo;
    use crate::platform::System;

    type Table = &'static [(&'static str, &'static str)];

    const LAPTOP: Table = &[("DISPLAY", ":0")];
    const BARE: Table = &[];
    const SSH: Table = &[("SSH_CONNECTION", "a 1 b 22"), ("SSH_TTY", "/dev/pts/1")];
    const REMOTE_EDITOR: Table = &[("SSH_CONNECTION", "a 1 b 22"), ("BROWSER", "/vscode/browser.sh")];
    const FORWARDED: Table = &[("SSH_CONNECTION", "a 1 b 22"), ("DISPLAY", "localhost:10.0")];
    const JOB: Table = &[("GITHUB_ACTIONS", "true"), ("DISPLAY", ":0")];
    const ROOT: Table = &[("SUDO_USER", "jane"), ("DISPLAY", ":0")];

    fn login(args: CredentialArgs, environment: &Environment) -> Result<LoginConfig, ConfigError> {
        let args = CredentialArgs {
            issuer: Some("https://idp".to_owned()),
            client_id: Some("staging".to_owned()),
            no_exchange: Some(true),
            ..args
        };
        match Settings::new(args, ExecInfo::default(), environment)? {
            Settings::Person(config) => Ok(config.login),
            Settings::Workload(_) => panic!("nobody gave a token"),
        }
    }

    /// The way in a few words, or why there is none.
    fn way(args: CredentialArgs, system: System, reader: Reader, table: Table, more: Table) -> String {
        let table = table.iter().chain(more).copied().collect::<BTreeMap<_, _>>();
        let environment = Environment::Table(table);
        let Ok(login) = login(args, &environment) else { return "usage".to_owned() };
        let redirect = |redirect: &Redirect| match redirect {
            Redirect { browser: Some(_), paste: true } => "browser+paste",
            Redirect { browser: Some(_), paste: false } => "browser",
            Redirect { browser: None, paste: true } => "paste",
            Redirect { browser: None, paste: false } => "url",
        };
        match choose(&login, Place::new(&environment, system, reader)) {
            Err(impossible) => format!("{impossible:?}"),
            Ok(Way { means: Means::Redirect(found), .. }) => redirect(&found).to_owned(),
            Ok(Way { means: Means::Device { browser, otherwise }, .. }) => format!(
                "device{}{}",
                if browser.is_some() { "+browser" } else { "" },
                otherwise.map(|found| format!(", else {}", redirect(&found))).unwrap_or_default()
            ),
        }
    }

    fn plain() -> CredentialArgs {
        CredentialArgs::default()
    }

    #[test]
    fn the_way_fits_the_place() {
        use Reader::{AtTerminal, Nobody, Watching};
        use System::{MacOs, Unix, Windows, Wsl};
        let cases = [
            // The person's own computer.
            (Unix, AtTerminal, LAPTOP, "browser+paste"),
            (MacOs, AtTerminal, BARE, "browser+paste"),
            (Windows, AtTerminal, BARE, "browser+paste"),
            (Wsl, AtTerminal, BARE, "browser+paste"),
            // `kubectl apply -f -`; then k9s, Lens, editors.
            (Unix, Watching, LAPTOP, "browser"),
            (Unix, Nobody, LAPTOP, "browser"),
            (MacOs, Nobody, BARE, "browser"),
            // A bastion, and a console without a display.
            (Unix, AtTerminal, SSH, "device, else paste"),
            (MacOs, AtTerminal, SSH, "device, else paste"),
            (Windows, AtTerminal, SSH, "device, else paste"),
            (Wsl, AtTerminal, SSH, "device, else paste"),
            (Unix, AtTerminal, BARE, "device, else paste"),
            (Unix, Watching, SSH, "device"),
            (Unix, Nobody, SSH, "Nothing"),
            (MacOs, Nobody, SSH, "Nothing"),
            // A browser that is forwarded to where the person is.
            (Unix, AtTerminal, REMOTE_EDITOR, "browser+paste"),
            (Unix, Nobody, REMOTE_EDITOR, "browser"),
            (Unix, AtTerminal, FORWARDED, "browser+paste"),
            // Nobody.
            (Unix, Nobody, BARE, "Nothing"),
            (Unix, AtTerminal, JOB, "Job(\"GITHUB_ACTIONS\")"),
            (MacOs, Nobody, JOB, "Job(\"GITHUB_ACTIONS\")"),
            // Another user's rights.
            (Unix, AtTerminal, ROOT, "device, else paste"),
            (Unix, Nobody, ROOT, "Nothing"),
        ];
        for (system, reader, table, expected) in cases {
            assert_eq!(way(plain(), system, reader, table, BARE), expected, "{system:?} {reader:?} {table:?}");
        }
    }

    #[test]
    fn the_variable_wins_over_the_argument_and_the_place() {
        use Reader::{AtTerminal, Nobody, Watching};
        const BROWSER: Table = &[("LATCHKEY_FLOW", "browser")];
        const DEVICE: Table = &[("LATCHKEY_FLOW", "device")];
        const PASTE: Table = &[("LATCHKEY_FLOW", "paste")];
        const NONE: Table = &[("LATCHKEY_FLOW", "none")];
        const AUTO: Table = &[("LATCHKEY_FLOW", "auto")];
        const NONSENSE: Table = &[("LATCHKEY_FLOW", "carrier-pigeon")];
        const CHOSEN: Table = &[("LATCHKEY_BROWSER", "forward")];
        let cases = [
            (AtTerminal, LAPTOP, DEVICE, "device+browser"),
            (Watching, SSH, DEVICE, "device"),
            (Nobody, LAPTOP, DEVICE, "NobodyReads"),
            (AtTerminal, LAPTOP, PASTE, "paste"),
            (Watching, LAPTOP, PASTE, "NoTerminal"),
            (AtTerminal, LAPTOP, NONE, "SwitchedOff"),
            (Nobody, LAPTOP, NONE, "SwitchedOff"),
            (AtTerminal, SSH, BROWSER, "paste"),
            (Nobody, BARE, BROWSER, "url"),
            (Nobody, JOB, BROWSER, "browser"),
            (AtTerminal, JOB, DEVICE, "device+browser"),
            (Nobody, JOB, CHOSEN, "browser"),
            (AtTerminal, SSH, CHOSEN, "browser+paste"),
            (AtTerminal, LAPTOP, AUTO, "browser+paste"),
            (AtTerminal, LAPTOP, NONSENSE, "usage"),
        ];
        for (reader, table, more, expected) in cases {
            let found = way(plain(), System::Unix, reader, table, more);
            assert_eq!(found, expected, "{reader:?} {table:?} {more:?}");
            // An argument written by somebody else changes nothing about it, unless the variable says `auto`.
            if more != AUTO && more != CHOSEN {
                let args = CredentialArgs { flow: Some(Flow::Paste), ..plain() };
                assert_eq!(way(args, System::Unix, reader, table, more), expected, "{reader:?} {table:?} {more:?}");
            }
        }
    }

    #[test]
    fn what_is_forbidden_stays_forbidden_whoever_asks() {
        use Reader::{AtTerminal, Nobody};
        const DEVICE: Table = &[("LATCHKEY_FLOW", "device")];
        let forbid = |flows: &[Flow]| CredentialArgs { forbid_flows: Some(flows.to_vec()), ..plain() };
        let cases: [(&[Flow], _, _, _, _); 7] = [
            (&[Flow::Device], AtTerminal, LAPTOP, DEVICE, "Forbidden(Device)"),
            (&[Flow::Device], AtTerminal, SSH, BARE, "paste"),
            (&[Flow::Paste], AtTerminal, LAPTOP, BARE, "browser"),
            (&[Flow::Paste], AtTerminal, SSH, BARE, "device"),
            (&[Flow::Browser], AtTerminal, LAPTOP, BARE, "device+browser, else paste"),
            (&[Flow::Device, Flow::Paste], AtTerminal, SSH, BARE, "AllForbidden"),
            (&[Flow::Browser], Nobody, LAPTOP, BARE, "AllForbidden"),
        ];
        for (flows, reader, table, more, expected) in cases {
            assert_eq!(way(forbid(flows), System::Unix, reader, table, more), expected, "{flows:?} {table:?} {more:?}");
        }
    }

    #[test]
    fn no_browser_is_started_where_none_is_wanted() {
        let skip = || CredentialArgs { skip_browser: Some(true), ..plain() };
        let way = |reader, more| way(skip(), System::Unix, reader, LAPTOP, more);
        assert_eq!(way(Reader::AtTerminal, BARE), "paste");
        assert_eq!(way(Reader::Nobody, BARE), "url");
        assert_eq!(way(Reader::Nobody, &[("LATCHKEY_FLOW", "device")]), "device");
    }

    #[test]
    fn every_build_server_is_known_by_its_own_variable_and_false_means_no() {
        for table in
            [&[("CI", "true")], &[("GITLAB_CI", "true")], &[("JENKINS_URL", "https://ci")], &[("TF_BUILD", "True")]]
        {
            assert!(way(plain(), System::MacOs, Reader::AtTerminal, table, BARE).starts_with("Job("), "{table:?}");
        }
        assert_eq!(way(plain(), System::MacOs, Reader::AtTerminal, &[("CI", "false")], BARE), "browser+paste");
    }

    #[test]
    fn patience_depends_on_who_waits_unless_it_is_set() {
        let patience = |seconds, reader| {
            let environment = Environment::Table(LAPTOP.iter().copied().collect());
            let args = CredentialArgs { login_timeout: seconds, ..plain() };
            let login = login(args, &environment).unwrap();
            let way = choose(&login, Place::new(&environment, System::Unix, reader)).unwrap();
            (way.patience().as_secs(), way.is_in_background())
        };
        assert_eq!(patience(None, Reader::AtTerminal), (300, false));
        assert_eq!(patience(None, Reader::Watching), (300, false));
        assert_eq!(patience(None, Reader::Nobody), (120, true));
        assert_eq!(patience(Some(7), Reader::Nobody), (7, true));
    }
}
