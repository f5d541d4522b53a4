//! What surrounds the plugin: variables, the loopback, the terminal.

use std::io;

use tokio::net::TcpListener;

use super::report::Finding;
use crate::args::RedirectHost;
use crate::browser::Browser;
use crate::commands::help;
use crate::config::LoginConfig;
use crate::environment::Environment;
use crate::flows::Place;
use crate::output::Printable;

/// Judges the variables that change what the plugin does; a misspelled one would be ignored silently.
pub(super) fn judge_variables(environment: &Environment) -> Vec<Finding> {
    const CHECK: &str = "environment";
    let names = environment.names_beginning_with("LATCHKEY_");
    let (ours, unknown): (Vec<String>, Vec<String>) =
        names.into_iter().partition(|name| help::variables().any(|known| known == name));
    let mut findings = Vec::new();
    for name in unknown {
        let name = Printable(&name).to_string();
        findings.push(Finding::warn(
            CHECK,
            format!("{name} is set, and means nothing to this program"),
            format!("unset {name}; `kubectl latchkey help` lists those that do"),
        ));
    }
    if environment.text("LATCHKEY_FLOW").as_deref() == Some("none") {
        findings.push(Finding::warn(CHECK, "LATCHKEY_FLOW=none: nobody can log in here", "unset LATCHKEY_FLOW"));
    }
    if environment.text("KUBERNETES_EXEC_INFO").is_some() {
        findings.push(Finding::warn(
            CHECK,
            "KUBERNETES_EXEC_INFO is set outside of a client's call",
            "unset KUBERNETES_EXEC_INFO",
        ));
    }
    if findings.is_empty() {
        let found =
            if ours.is_empty() { "no variable of ours is set".to_owned() } else { format!("set: {}", ours.join(", ")) };
        findings.push(Finding::ok(CHECK, found));
    }
    findings
}

/// One address of the loopback, and whether a login could listen there.
#[derive(Debug)]
pub(super) struct Bound {
    host: RedirectHost,
    port: u16,
    outcome: Result<(), io::ErrorKind>,
}

/// Tries every address that a login would try.
pub(super) async fn bind(login: &LoginConfig) -> Vec<Bound> {
    let mut tried = Vec::new();
    for &host in &login.redirect_hosts {
        for &port in &login.redirect_ports {
            let address = match host {
                RedirectHost::Ipv4 | RedirectHost::Localhost => "127.0.0.1",
                RedirectHost::Ipv6 => "::1",
            };
            let outcome = TcpListener::bind((address, port)).await.map(drop).map_err(|error| error.kind());
            tried.push(Bound { host, port, outcome });
        }
    }
    tried
}

/// Judges the loopback.
pub(super) fn judge_loopback(tried: &[Bound]) -> Finding {
    const CHECK: &str = "loopback";
    let name = |bound: &Bound| match bound.port {
        0 => format!("{} (any port)", bound.host.as_str()),
        port => format!("{}:{port}", bound.host.as_str()),
    };
    if let Some(bound) = tried.iter().find(|bound| bound.outcome.is_ok()) {
        return Finding::ok(CHECK, format!("a login can listen on {}", name(bound)));
    }
    let all: Vec<String> = tried
        .iter()
        .map(|bound| {
            let why = match bound.outcome {
                Err(io::ErrorKind::AddrInUse) => "another program holds it".to_owned(),
                Err(io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported) => {
                    "there is no such address here".to_owned()
                }
                Err(kind) => kind.to_string(),
                Ok(()) => String::new(),
            };
            format!("{}: {why}", name(bound))
        })
        .collect();
    Finding::fail(
        CHECK,
        format!("no address for the browser to come back to: {}", all.join("; ")),
        "end the program that holds the port, or add another to --redirect-ports and to the client at the provider",
    )
}

/// Judges which browser would open, and why.
pub(super) fn judge_browser(place: &Place) -> Finding {
    const CHECK: &str = "browser";
    let programs = |browser: &Browser| {
        browser.programs().map(|program| Printable(program).to_string()).collect::<Vec<_>>().join(", then ")
    };
    match (&place.chosen, &place.browser, place.job) {
        (Some(chosen), ..) => Finding::ok(CHECK, format!("{}, as LATCHKEY_BROWSER says", programs(chosen))),
        (None, _, Some(job)) => {
            Finding::ok(CHECK, format!("none: {job} says that this is a job of a build server, where nobody logs in"))
        }
        (None, Some(browser), None) => Finding::ok(CHECK, programs(browser)),
        (None, None, None) => Finding::ok(CHECK, "none here: a login shows its address, to be opened anywhere"),
    }
}

/// Judges whether a person can be asked at this terminal.
pub(super) fn judge_terminal(is_ours: bool) -> Finding {
    const CHECK: &str = "terminal";
    Finding::ok(
        CHECK,
        if is_ours {
            "yours: an address can be pasted into it"
        } else {
            "none on standard input: nothing can be pasted"
        },
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::report::Verdict;
    use super::*;
    use crate::flows::Reader;
    use crate::platform::System;

    fn variables(table: &[(&'static str, &'static str)]) -> Vec<Finding> {
        judge_variables(&Environment::Table(table.iter().copied().collect::<BTreeMap<_, _>>()))
    }

    #[test]
    fn misspelled_and_forbidding_variables_are_named_without_their_values() {
        assert_eq!(variables(&[])[0].verdict, Verdict::Ok);
        assert!(variables(&[("LATCHKEY_STORE", "file")])[0].found.contains("LATCHKEY_STORE"));
        let misspelled = variables(&[("LATCHKEY_FLWO", "SECRET")]);
        assert_eq!(misspelled[0].verdict, Verdict::Warn);
        assert_eq!(variables(&[("LATCHKEY_DEBUG", "1")])[0].verdict, Verdict::Warn, "nobody reads it");
        assert!(misspelled[0].found.contains("LATCHKEY_FLWO") && !format!("{misspelled:?}").contains("SECRET"));
        assert_eq!(variables(&[("LATCHKEY_FLOW", "none")])[0].verdict, Verdict::Warn);
        assert_eq!(variables(&[("KUBERNETES_EXEC_INFO", "{}")])[0].verdict, Verdict::Warn);
    }

    #[test]
    fn the_browser_is_named_with_its_reason() {
        let words = |table: &[(&'static str, &'static str)]| {
            let environment = Environment::Table(table.iter().copied().collect());
            judge_browser(&Place::new(&environment, System::Unix, Reader::Nobody)).found
        };
        assert!(words(&[]).starts_with("none here"));
        assert!(words(&[("CI", "1"), ("DISPLAY", ":0")]).contains("CI says"));
        assert_eq!(words(&[("BROWSER", "forward"), ("DISPLAY", ":0")]), "forward, then xdg-open");
        assert_eq!(words(&[("LATCHKEY_BROWSER", "fire\u{1b}fox")]), "fire\\u{1b}fox, as LATCHKEY_BROWSER says");
    }

    #[test]
    fn one_free_address_is_enough() {
        let bound = |port, outcome| Bound { host: RedirectHost::Ipv4, port, outcome };
        let in_use = || Err(io::ErrorKind::AddrInUse);
        assert_eq!(judge_loopback(&[bound(18000, in_use()), bound(0, Ok(()))]).verdict, Verdict::Ok);
        let none = judge_loopback(&[bound(18000, in_use()), bound(18001, Err(io::ErrorKind::PermissionDenied))]);
        assert_eq!(none.verdict, Verdict::Fail);
        assert!(none.found.contains("127.0.0.1:18000: another program holds it"), "{}", none.found);
    }
}
