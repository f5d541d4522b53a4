//! The way to a server, step by step: its name, a connection, TLS, an answer, its clock.

use std::time::Duration;

use http::Request;
use http::header::ACCEPT;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Url;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::report::Finding;
use crate::config::Server;
use crate::exchange;
use crate::output::Printable;
use crate::time::Clock;
use crate::transport::{Answer, Transport};

/// Resolvers try a second server after some seconds; a name that takes longer is a trouble of its own.
const NAME_DEADLINE: Duration = Duration::from_secs(3);

/// As long as the plugin itself is ready to wait is longer than a person waits for a doctor.
const CONNECTION_DEADLINE: Duration = Duration::from_secs(3);

/// For one request and its answer.
pub(super) const REQUEST_DEADLINE: Duration = Duration::from_secs(5);

/// Certificates and people notice a minute; this program reckons with it.
const SKEW_WARN_SECONDS: i64 = 60;

/// Many programs and some certificates do not work any more.
const SKEW_FAIL_SECONDS: i64 = 10 * 60;

/// Which server, for words and mends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Party {
    Provider,
    Cluster,
}

/// How far we came.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The name means nothing.
    NoName(String),
    /// Nobody takes the connection.
    NoConnection(String),
    /// TLS, or nothing that is HTTP, or too slow.
    NoAnswer(String),
    /// An answer, whatever it says.
    Answer(Answer),
}

/// One try to reach a server.
#[derive(Debug)]
pub(super) struct Knock {
    pub(super) party: Party,
    /// `host:port`.
    pub(super) at: String,
    /// The proxy on the way, if there is one: its scheme and address, never its password.
    pub(super) via: Option<Via>,
    /// Whether the settings name the roots.
    pub(super) has_roots: bool,
    pub(super) outcome: Outcome,
}

/// A proxy on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Via {
    pub(super) proxy: String,
    /// Whether the environment says so, or the kubeconfig.
    pub(super) by_environment: bool,
}

/// Knocks at a server and asks for `path` below its address.
pub(super) async fn knock(party: Party, server: &Server, path: &str) -> (Knock, Option<(Transport, Url)>) {
    let host = server.endpoint.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = server.endpoint.port_or_known_default().unwrap_or(443);
    let at = format!("{}:{port}", Printable(&host));
    let via = via(server);
    let knock = |outcome| Knock { party, at, via: via.clone(), has_roots: server.roots.is_some(), outcome };
    let first = match &via {
        None => connect(&host, port).await,
        Some(via) => match Url::parse(&via.proxy).ok() {
            Some(proxy) => {
                let host = proxy.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
                connect(&host, proxy.port_or_known_default().unwrap_or(80)).await
            }
            None => Err(Outcome::NoConnection("its address is no URL".to_owned())),
        },
    };
    if let Err(outcome) = first {
        return (knock(outcome), None);
    }
    match exchange::way_to(server, REQUEST_DEADLINE).await {
        Err(why) => (knock(Outcome::NoAnswer(why)), None),
        Ok((transport, base)) => {
            let mut address = base.clone();
            address.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
            let outcome = match get(&transport, &address).await {
                Ok(answer) => Outcome::Answer(answer),
                Err(why) => Outcome::NoAnswer(why),
            };
            (knock(outcome), Some((transport, base)))
        }
    }
}

/// Asks for an address.
pub(super) async fn get(transport: &Transport, address: &Url) -> Result<Answer, String> {
    let request = Request::get(address.as_str()).header(ACCEPT, "application/json, text/html").body(Vec::new());
    let request = request.map_err(|error| error.to_string())?;
    transport.send(request).await.map_err(|error| Printable(&error.to_string()).to_string())
}

async fn connect(host: &str, port: u16) -> Result<(), Outcome> {
    let addresses: Vec<_> = match timeout(NAME_DEADLINE, lookup_host((host, port))).await {
        Err(_elapsed) => {
            return Err(Outcome::NoName(format!("no resolver answered within {} s", NAME_DEADLINE.as_secs())));
        }
        Ok(Err(error)) => return Err(Outcome::NoName(error.to_string())),
        Ok(Ok(addresses)) => addresses.collect(),
    };
    match timeout(CONNECTION_DEADLINE, TcpStream::connect(addresses.as_slice())).await {
        Err(_elapsed) => Err(Outcome::NoConnection(format!("no answer within {} s", CONNECTION_DEADLINE.as_secs()))),
        Ok(Err(error)) => Err(Outcome::NoConnection(error.to_string())),
        Ok(Ok(_connected)) => Ok(()),
    }
}

/// The proxy that our own requests take.
fn via(server: &Server) -> Option<Via> {
    let shown = |url: &Url| {
        format!(
            "{}://{}:{}",
            url.scheme(),
            url.host_str().unwrap_or_default(),
            url.port_or_known_default().unwrap_or(1080)
        )
    };
    if let Some(proxy) = &server.proxy {
        return Some(Via { proxy: shown(proxy), by_environment: false });
    }
    let uri = server.endpoint.as_str().parse().ok()?;
    let proxy = Url::parse(&Matcher::from_env().intercept(&uri)?.uri().to_string()).ok()?;
    Some(Via { proxy: shown(&proxy), by_environment: true })
}

impl Party {
    const fn name(self) -> &'static str {
        match self {
            Self::Provider => "the identity provider",
            Self::Cluster => "the cluster",
        }
    }

    const fn check(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Cluster => "cluster",
        }
    }

    const fn roots(self) -> &'static str {
        match self {
            Self::Provider => "--ca-data (base64 of the PEM of its authority)",
            Self::Cluster => "the cluster's certificate-authority-data (and --concierge-ca-data, if it is there)",
        }
    }
}

impl Knock {
    /// The answer, if we came that far.
    pub(super) const fn answer(&self) -> Option<&Answer> {
        match &self.outcome {
            Outcome::Answer(answer) => Some(answer),
            _ => None,
        }
    }

    pub(super) fn judge(&self) -> Finding {
        let Self { party, at, via, .. } = self;
        let (check, name) = (party.check(), party.name());
        match (&self.outcome, via) {
            (Outcome::Answer(_), None) => Finding::ok(check, format!("{at} answers, and its certificate is good")),
            (Outcome::Answer(_), Some(via)) => {
                Finding::ok(check, format!("{at} answers through the proxy {}, and its certificate is good", via.proxy))
            }
            (Outcome::NoName(why) | Outcome::NoConnection(why), Some(via)) => Finding::fail(
                check,
                format!("the proxy {} on the way to {name} cannot be reached: {why}", via.proxy),
                via.mend(at),
            ),
            (Outcome::NoName(why), None) => Finding::fail(
                check,
                format!("the name of {name} ({at}) cannot be resolved: {why}"),
                "is the VPN on? otherwise compare the name with what your administrator gave you",
            ),
            (Outcome::NoConnection(why), None) => Finding::fail(
                check,
                format!("no connection to {name} at {at}: {why}"),
                "is the VPN on? otherwise a firewall may need HTTPS_PROXY, or the server is down",
            ),
            (Outcome::NoAnswer(why), _) => {
                let (found, mend) = self.judge_tls(why);
                Finding::fail(check, found, mend)
            }
        }
    }

    fn judge_tls(&self, why: &str) -> (String, String) {
        let Self { party, at, via, has_roots, .. } = self;
        let name = party.name();
        let lower = why.to_ascii_lowercase();
        let through = via.as_ref().map(|via| format!(" (through the proxy {})", via.proxy)).unwrap_or_default();
        // A bad signature: the authority has the right name and another key, as after a cluster was made anew.
        if ["unknownissuer", "unknown issuer", "self-signed", "badsignature"].iter().any(|sign| lower.contains(sign)) {
            let whom = if *has_roots {
                "the authority that the settings name"
            } else {
                "an authority that this computer trusts"
            };
            return (
                format!("the certificate of {name} at {at}{through} is not signed by {whom}"),
                format!(
                    "put the right authority into {}; if a proxy of your organisation opens TLS, its authority",
                    party.roots()
                ),
            );
        }
        if lower.contains("not valid for name") || lower.contains("notvalidforname") {
            return (
                format!("the certificate of {name} at {at}{through} is for another name: {why}"),
                match party {
                    Party::Provider => "use the issuer's real name".to_owned(),
                    Party::Cluster => "set the cluster's tls-server-name to a name that the certificate has".to_owned(),
                },
            );
        }
        if lower.contains("expired") || lower.contains("not yet valid") || lower.contains("notvalidyet") {
            return (
                format!("the certificate of {name} at {at}{through} is not valid now: {why}"),
                "compare this computer's clock first; if it is right, the server needs a new certificate".to_owned(),
            );
        }
        (
            format!("{name} at {at}{through} gives no answer: {why}"),
            via.as_ref().map_or_else(
                || "try again; if it stays, tell the server's administrator".to_owned(),
                |via| via.mend(at),
            ),
        )
    }

    /// Compares the clocks.
    pub(super) fn judge_clock(&self, clock: &dyn Clock) -> Option<Finding> {
        let answer = self.answer()?;
        answer.header("date")?;
        Some(judge_skew(self.party, answer.clocks(clock).local_ahead()))
    }
}

fn judge_skew(party: Party, local_ahead: i64) -> Finding {
    const CHECK: &str = "clock";
    let name = party.name();
    let seconds = local_ahead.abs();
    if seconds < SKEW_WARN_SECONDS {
        return Finding::ok(CHECK, format!("agrees with {name}'s"));
    }
    let direction = if local_ahead > 0 { "ahead of" } else { "behind" };
    let found = format!("this computer's clock is {} min {direction} {name}'s", (seconds + 30) / 60);
    let mend = "set this computer's clock: `timedatectl set-ntp true`, or your system's date settings";
    if seconds < SKEW_FAIL_SECONDS { Finding::warn(CHECK, found, mend) } else { Finding::fail(CHECK, found, mend) }
}

impl Via {
    fn mend(&self, at: &str) -> String {
        let host = at.rsplit_once(':').map_or(at, |(host, _)| host);
        if self.by_environment {
            format!(
                "if {host} is inside your network: export NO_PROXY=\"$NO_PROXY,{host}\"; otherwise correct HTTPS_PROXY"
            )
        } else {
            "correct or remove the cluster's proxy-url in the kubeconfig".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Verdict;
    use super::*;

    fn judged(party: Party, via: Option<bool>, outcome: Outcome) -> String {
        let via = via.map(|by_environment| Via { proxy: "http://proxy:3128".to_owned(), by_environment });
        let finding = Knock { party, at: "idp.example:443".to_owned(), via, has_roots: true, outcome }.judge();
        assert_eq!(finding.verdict, Verdict::Fail);
        format!("{}\n{}", finding.found, finding.mend.unwrap())
    }

    #[test]
    fn each_step_has_its_own_words_and_mend() {
        let no_answer = |why: &str| Outcome::NoAnswer(why.to_owned());
        let cases = [
            (Party::Provider, None, Outcome::NoName("x".to_owned()), "cannot be resolved"),
            (Party::Cluster, None, Outcome::NoConnection("refused".to_owned()), "no connection to the cluster"),
            (Party::Cluster, Some(true), Outcome::NoConnection("refused".to_owned()), "NO_PROXY,idp.example\""),
            (Party::Cluster, Some(false), Outcome::NoName("x".to_owned()), "proxy-url"),
            (Party::Provider, None, no_answer("invalid peer certificate: UnknownIssuer"), "--ca-data"),
            (Party::Cluster, None, no_answer("invalid peer certificate: UnknownIssuer"), "certificate-authority-data"),
            (Party::Cluster, None, no_answer("invalid peer certificate: BadSignature"), "not signed by the authority"),
            (Party::Cluster, None, no_answer("certificate not valid for name \"c\""), "tls-server-name"),
            (Party::Provider, None, no_answer("certificate expired: verified at"), "clock"),
            (Party::Provider, None, no_answer("operation timed out"), "gives no answer"),
            (Party::Provider, Some(true), no_answer("unsuccessful tunnel"), "through the proxy http://proxy:3128"),
        ];
        for (party, via, outcome, words) in cases {
            let text = judged(party, via, outcome);
            assert!(text.contains(words), "{words}: {text}");
        }
    }

    #[test]
    fn clocks_may_differ_a_little() {
        let cases = [
            (0, Verdict::Ok),
            (59, Verdict::Ok),
            (-59, Verdict::Ok),
            (60, Verdict::Warn),
            (-599, Verdict::Warn),
            (600, Verdict::Fail),
            (-86_400, Verdict::Fail),
            (i64::MAX, Verdict::Fail),
        ];
        for (ahead, verdict) in cases {
            assert_eq!(
                judge_skew(Party::Provider, ahead.clamp(-1_000_000_000, 1_000_000_000)).verdict,
                verdict,
                "{ahead}"
            );
        }
        assert!(judge_skew(Party::Cluster, -600).found.contains("10 min behind the cluster's"));
    }
}
