//! Ways in: which one fits this place and this moment, and the login itself.

mod browser;
mod paste;
pub(crate) mod token;

use std::time::Duration;

use crate::args::Flow;
use crate::browser::Browser;
use crate::config::LoginConfig;
use crate::environment::Environment;
use crate::failure::{Failure, Status};

pub(crate) use self::browser::{LoggedIn, PendingPage, failure_page, log_in};

/// For a person who sees us: client-go waits as long as we do, holding a lock.
const ATTENDED_TIMEOUT: Duration = Duration::from_mins(5);

/// For a browser tab that a program in the background opened, perhaps on an empty desk.
const BACKGROUND_TIMEOUT: Duration = Duration::from_mins(2);

/// How this login will be tried.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Way {
    /// Started if there is one; the URL is shown in any case.
    pub(crate) browser: Option<Browser>,
    /// Whether the redirect may be pasted into the terminal.
    pub(crate) paste: bool,
    /// Nobody asked for it at a terminal.
    pub(crate) background: bool,
    /// For everything the person has to do.
    pub(crate) patience: Duration,
}

/// Chooses the way in. `interactive` says that the terminal is the person's and ours to read.
///
/// # Errors
/// When nobody can log in here.
pub(crate) fn choose(
    login: &LoginConfig,
    environment: &Environment,
    interactive: bool,
    cluster: &str,
) -> Result<Way, Failure> {
    let flow = login.flow;
    let chosen = Browser::chosen(environment);
    let explicit = chosen.is_some() || flow == Some(Flow::Browser);
    let impossible = |why: &str| {
        Failure::new(Status::LoginNeeded, format!("login to {cluster} is needed, and {why}"))
            .hint("run any kubectl command with this kubeconfig in a terminal of your own, then try again")
    };
    if flow == Some(Flow::None) {
        return Err(impossible("LATCHKEY_FLOW=none forbids it here"));
    }
    if flow.is_none() && !explicit && environment.switch("CI") {
        return Err(impossible("nobody sits at a CI job (CI is set)"));
    }
    if let Some(flow) = flow.filter(|flow| login.forbidden.contains(flow)) {
        return Err(impossible(&format!("the way {flow:?} is forbidden for this cluster")));
    }
    if flow == Some(Flow::Paste) && !interactive {
        return Err(impossible("LATCHKEY_FLOW=paste needs a terminal on standard input"));
    }
    let browser = if login.skip_browser || flow == Some(Flow::Paste) {
        None
    } else {
        // Over SSH a display may be forwarded; without one no browser is found.
        chosen.or_else(|| Browser::of_environment(environment))
    };
    if browser.is_none() && !interactive && !login.skip_browser && !explicit {
        return Err(impossible("there is neither a browser nor a terminal here"));
    }
    let patience = login.timeout.unwrap_or(if interactive { ATTENDED_TIMEOUT } else { BACKGROUND_TIMEOUT });
    Ok(Way { browser, paste: interactive, background: !interactive, patience })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::args::CredentialArgs;
    use crate::config::{ConfigError, Settings};
    use crate::exec_credential::ExecInfo;

    fn login(skip_browser: bool, environment: &Environment) -> Result<LoginConfig, ConfigError> {
        let args = CredentialArgs {
            issuer: Some("https://idp".to_owned()),
            client_id: Some("staging".to_owned()),
            no_exchange: Some(true),
            skip_browser: Some(skip_browser),
            ..CredentialArgs::default()
        };
        match Settings::new(args, ExecInfo::default(), environment)? {
            Settings::Person(config) => Ok(config.login),
            Settings::Workload(_) => panic!("nobody gave a token"),
        }
    }

    fn way(skip_browser: bool, interactive: bool, table: &[(&'static str, &'static str)]) -> &'static str {
        let environment = Environment::Table(table.iter().copied().collect::<BTreeMap<_, _>>());
        let Ok(login) = login(skip_browser, &environment) else { return "usage" };
        match choose(&login, &environment, interactive, "staging") {
            Err(Failure { status: Status::LoginNeeded, .. }) => "nobody",
            Err(other) => panic!("{other:?}"),
            Ok(Way { browser: Some(_), paste: true, .. }) => "browser and paste",
            Ok(Way { browser: Some(_), paste: false, .. }) => "browser",
            Ok(Way { browser: None, paste: true, .. }) => "paste",
            Ok(Way { browser: None, paste: false, .. }) => "url",
        }
    }

    #[test]
    fn the_way_fits_the_place() {
        let display = ("DISPLAY", ":0");
        let chosen = ("LATCHKEY_BROWSER", "forward");
        let cases = [
            (false, true, vec![("BROWSER", "forward")], "browser and paste"),
            (false, false, vec![("BROWSER", "forward")], "browser"),
            (false, true, vec![("LATCHKEY_FLOW", "paste"), display], "paste"),
            (false, false, vec![("LATCHKEY_FLOW", "paste"), display], "nobody"),
            (false, true, vec![("LATCHKEY_FLOW", "none"), display], "nobody"),
            (false, true, vec![("LATCHKEY_FLOW", "carrier-pigeon")], "usage"),
            (true, true, vec![display], "paste"),
            (true, false, vec![], "url"),
            (false, true, vec![("CI", "true"), display], "nobody"),
            (false, false, vec![("CI", "true"), chosen], "browser"),
            (false, false, vec![("CI", "true"), ("LATCHKEY_FLOW", "browser"), chosen], "browser"),
            (false, false, vec![chosen], "browser"),
        ];
        for (skip, interactive, table, expected) in cases {
            assert_eq!(way(skip, interactive, &table), expected, "{skip} {interactive} {table:?}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn without_a_display_there_is_the_terminal_or_nobody() {
        if crate::browser::Browser::of_environment(&Environment::Table(BTreeMap::new())).is_none() {
            assert_eq!(way(false, true, &[("SSH_CONNECTION", "a b c d")]), "paste");
            assert_eq!(way(false, false, &[]), "nobody");
        }
    }
}
