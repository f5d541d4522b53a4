//! What follows from a `WebhookAuthenticator`: which server to ask, and what to tell. Pure.
//!
//! Whether the server can be reached is told, and decides nothing: a login finds out by itself, at that moment, and says
//! `webhook-unavailable`. (Pinniped takes the authenticator out when a dial fails, and dials again only when the object
//! changes.)

pub(super) mod prober;

use std::{sync::Arc, time::Duration};

use latchkey_crds::{
    authentication::AuthenticatorStatus,
    conditions::{authenticator_valid, endpoint_url_valid, reconciling, stalled, webhook_connection_valid},
};

use super::{
    jwt_authenticator::{Trust, conditions::trust_roots},
    status::{self, Finding, Truth},
};
use crate::{
    convert::{Bundle, Endpoint, InvalidSpec, WebhookSettings, WebhookSpec},
    idp::{http::HttpsUrl, proxy::Proxies},
    runtime::metrics::Metrics,
    time::UnixTime,
    token_review::Version,
    webhook::{Dialed, Settings, WebhookClient},
};

/// A new generation whose server was not dialed yet is told as pending only after this long: most answer sooner, and
/// then one write says it all.
const PENDING_GRACE: Duration = Duration::from_secs(2);

/// What a client is made for. What was learned of one server says nothing about another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    /// The server.
    pub(super) endpoint: Endpoint,
    /// The trust roots; `None` for the system's.
    pub(super) bundle: Option<Bundle>,
    /// The version to speak; `None`: to be found out.
    pub(super) version: Option<Version>,
    /// For one answer.
    pub(super) timeout: Duration,
}

/// What is known of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word {
    /// No client could be made with these trust roots.
    NoClient(String),
    /// It was not dialed yet.
    Undialed,
    /// It can be reached.
    Dialed(Dialed),
    /// It cannot be reached.
    Unreachable {
        /// Since when.
        since: UnixTime,
        /// Why, as of the last time.
        sentence: String,
    },
}

/// All that is known of one object.
#[derive(Debug)]
pub(super) struct Observed<'a> {
    /// `metadata.generation`.
    pub(super) generation: i64,
    /// The spec, converted.
    pub(super) spec: &'a Result<WebhookSpec, InvalidSpec>,
    /// The trust roots that the spec names.
    pub(super) trust: &'a Trust,
    /// The source that a client was made for, and what is known of it.
    pub(super) asked: Option<(&'a Source, &'a Word)>,
    /// The status as it stands in the API.
    pub(super) status: &'a AuthenticatorStatus,
    /// When this generation was first seen.
    pub(super) seen_at: UnixTime,
}

/// How everything should be.
#[derive(Debug)]
pub(super) struct Plan {
    /// What a client is needed for; nothing, if the spec names no server that could be asked.
    pub(super) source: Option<Source>,
    /// How its server is asked, if it is to be asked at all.
    pub(super) admit: Option<WebhookSettings>,
    /// The status to write, if it is another than the one that stands there.
    pub(super) status: Option<AuthenticatorStatus>,
    /// Why its logins fail, in the words of the first condition that says so.
    pub(super) obstacle: Option<String>,
    /// Plan again after this long even if nothing happens.
    pub(super) again_in: Option<Duration>,
}

/// Plans for one object at the time `now`.
pub(super) fn plan(observed: &Observed<'_>, now: UnixTime) -> Plan {
    let source = source(observed);
    // A word about another source is no word about this one.
    let word = observed.asked.filter(|(asked, _)| Some(*asked) == source.as_ref()).map(|(_, word)| word);
    let findings = findings(observed, source.as_ref(), word);
    let pending = findings.iter().any(|finding| finding.truth == Truth::Unknown)
        && findings.iter().all(|finding| finding.truth != Truth::False);
    let obstacle = [Truth::False, Truth::Unknown].into_iter().find_map(|truth| {
        findings.iter().find(|finding| finding.truth == truth).map(|finding| finding.message.clone())
    });
    let can_ask = word.is_some_and(|word| !matches!(word, Word::NoClient(_)));
    let settings = observed.spec.as_ref().ok().and_then(|spec| spec.settings.as_ref().ok());
    let admit = settings.filter(|_| can_ask).cloned();

    // A clock set back must not prolong it.
    let grace = if now < observed.seen_at { Duration::ZERO } else { PENDING_GRACE };
    let grace = grace.saturating_sub(now.since(observed.seen_at));
    if pending && !grace.is_zero() {
        return Plan { source, admit, status: None, obstacle, again_in: Some(grace) };
    }
    let status =
        status::authenticator_status("WebhookAuthenticator", findings, observed.generation, observed.status, now);
    let status = (status != *observed.status).then_some(status);
    Plan { source, admit, status, obstacle, again_in: None }
}

fn source(observed: &Observed<'_>) -> Option<Source> {
    let spec = observed.spec.as_ref().ok()?;
    let (Ok(endpoint), Ok(settings)) = (&spec.endpoint, &spec.settings) else { return None };
    let bundle = match observed.trust {
        Trust::System => None,
        Trust::Bundle(bundle) => Some(bundle.clone()),
        Trust::Loading | Trust::Problem(_) | Trust::Unreadable(_) => return None,
    };
    Some(Source { endpoint: endpoint.clone(), bundle, version: settings.version, timeout: settings.timeout })
}

fn findings(observed: &Observed<'_>, source: Option<&Source>, word: Option<&Word>) -> Vec<Finding> {
    let no_client = match word {
        Some(Word::NoClient(problem)) => Some(problem.as_str()),
        _ => None,
    };
    vec![
        endpoint(observed),
        trust_roots(observed.spec.is_ok().then_some(observed.trust), no_client),
        connection(source, word),
        authenticator(observed, word),
    ]
}

fn endpoint(observed: &Observed<'_>) -> Finding {
    use endpoint_url_valid::TYPE;
    match observed.spec.as_ref().map(|spec| &spec.endpoint) {
        Ok(Ok(_)) => Finding::success(TYPE, "spec.endpoint is a valid URL"),
        Ok(Err(problem)) => {
            Finding::failure(TYPE, problem.reason(), problem.to_string()).stuck(stalled::INVALID_ENDPOINT)
        }
        Err(_) => Finding::untried(TYPE),
    }
}

fn connection(source: Option<&Source>, word: Option<&Word>) -> Finding {
    use webhook_connection_valid::{TYPE, UNABLE_TO_DIAL_SERVER};
    match (source, word) {
        (None, _) | (_, Some(Word::NoClient(_))) => Finding::untried(TYPE),
        (Some(_), None | Some(Word::Undialed)) => Finding::unknown(TYPE, "the webhook server has not answered yet"),
        (Some(_), Some(Word::Dialed(Dialed::Directly))) => Finding::success(TYPE, "successfully dialed webhook server"),
        (Some(_), Some(Word::Dialed(Dialed::ByProxy))) => {
            Finding::success(TYPE, "skipped dialing webhook server: the HTTPS_PROXY applies to its host")
        }
        (Some(_), Some(Word::Unreachable { since, sentence })) => {
            Finding::failure(TYPE, UNABLE_TO_DIAL_SERVER, format!("cannot dial server since {since}: {sentence}"))
                .retried(reconciling::SERVER_UNREACHABLE)
        }
    }
}

fn authenticator(observed: &Observed<'_>, word: Option<&Word>) -> Finding {
    use authenticator_valid::{TYPE, UNABLE_TO_CREATE_CLIENT, UNABLE_TO_INSTANTIATE_WEBHOOK};
    let problem = match observed.spec {
        Err(invalid) => Some(invalid),
        Ok(spec) => spec.settings.as_ref().err(),
    };
    if let Some(problem) = problem {
        return Finding::failure(TYPE, UNABLE_TO_INSTANTIATE_WEBHOOK, format!("the spec cannot be used: {problem}"))
            .stuck(stalled::INVALID_SPEC);
    }
    match word {
        Some(Word::NoClient(problem)) => Finding::failure(TYPE, UNABLE_TO_CREATE_CLIENT, problem.clone())
            .stuck(stalled::INVALID_CERTIFICATE_AUTHORITY),
        Some(Word::Dialed(_)) => Finding::success(TYPE, "authenticator initialized"),
        Some(Word::Undialed | Word::Unreachable { .. }) | None => Finding::untried(TYPE),
    }
}

/// The client for a source.
///
/// # Errors
/// Why there can be none, in a sentence.
pub(super) fn client(
    source: &Source,
    name: &str,
    proxies: &Proxies,
    metrics: &Metrics,
) -> Result<Arc<WebhookClient>, String> {
    // The conversion has parsed it; the client's rules are the same.
    let endpoint: HttpsUrl = source.endpoint.as_str().parse().map_err(|problem| format!("spec.endpoint {problem}"))?;
    let settings = Settings {
        name,
        endpoint,
        roots: source.bundle.as_ref().map(Bundle::certificates),
        proxies,
        version: source.version,
        timeout: source.timeout,
        metrics: metrics.clone(),
    };
    WebhookClient::new(settings).map(Arc::new).map_err(|problem| problem.to_string())
}

#[cfg(test)]
mod tests {
    use latchkey_crds::authentication::Phase;
    use serde_json::{Value, json};

    use super::*;
    use crate::convert;

    const SEEN: UnixTime = UnixTime::from_secs(1_795_233_600);
    const NOW: UnixTime = UnixTime::from_secs(1_795_233_660);
    const UNTRIED: &str = "unable to validate; see other conditions for details";

    struct Case {
        spec: Value,
        trust: Trust,
        word: Option<Word>,
        status: AuthenticatorStatus,
        now: UnixTime,
    }

    impl Default for Case {
        fn default() -> Self {
            Self {
                spec: json!({"endpoint": "https://tokens.example.com/review"}),
                trust: Trust::System,
                word: Some(Word::Dialed(Dialed::Directly)),
                status: AuthenticatorStatus::default(),
                now: NOW,
            }
        }
    }

    impl Case {
        fn plan(&self) -> Plan {
            let spec = convert::webhook_authenticator(&self.spec);
            let observed = Observed {
                generation: 2,
                spec: &spec,
                trust: &self.trust,
                asked: None,
                status: &self.status,
                seen_at: SEEN,
            };
            let source = plan(&observed, self.now).source;
            let asked = source.as_ref().zip(self.word.as_ref());
            plan(&Observed { asked, ..observed }, self.now)
        }

        /// Type, status and reason, message of each condition.
        fn told(&self) -> Vec<(String, String, String)> {
            let status = self.plan().status.unwrap();
            let told = status.conditions.into_iter();
            told.map(|c| (c.type_, format!("{} {}", c.status, c.reason), c.message)).collect()
        }

        fn assert_told(&self, expected: &[(&str, &str, &str)]) {
            let told = self.told();
            let told: Vec<_> = told.iter().map(|(a, b, c)| (a.as_str(), b.as_str(), c.as_str())).collect();
            assert_eq!(told, expected);
        }
    }

    #[test]
    fn one_that_works_is_ready_and_admits() {
        let case = Case::default();
        case.assert_told(&[
            ("AuthenticatorValid", "True Success", "authenticator initialized"),
            ("EndpointURLValid", "True Success", "spec.endpoint is a valid URL"),
            ("Ready", "True Success", "the WebhookAuthenticator is ready"),
            (
                "TLSConfigurationValid",
                "True Success",
                "spec.tls is valid: no TLS configuration provided: using default root CA bundle from container image",
            ),
            ("WebhookConnectionValid", "True Success", "successfully dialed webhook server"),
        ]);
        let plan = case.plan();
        assert_eq!((plan.admit.is_some(), plan.obstacle), (true, None));
        assert_eq!(plan.status.as_ref().unwrap().phase, Phase::Ready);
        let again = Case { status: plan.status.unwrap(), ..Case::default() };
        assert_eq!(again.plan().status, None, "a status that stands is not written again");
        let proxied = Case { word: Some(Word::Dialed(Dialed::ByProxy)), ..Case::default() };
        assert!(proxied.told()[4].2.contains("HTTPS_PROXY"));
    }

    #[test]
    fn one_that_cannot_be_reached_is_told_and_still_asked() {
        let word = Word::Unreachable { since: SEEN, sentence: "cannot connect: Connection refused".to_owned() };
        let case = Case { word: Some(word), ..Case::default() };
        let told = case.told();
        let message = "cannot dial server since 2026-11-21T04:00:00Z: cannot connect: Connection refused";
        assert_eq!(told[5].1, "False UnableToDialServer");
        assert_eq!(told[5].2, message);
        assert_eq!((told[3].0.as_str(), told[3].1.as_str()), ("Reconciling", "True ServerUnreachable"));
        assert_eq!((told[0].1.as_str(), told[0].2.as_str()), ("Unknown UnableToValidate", UNTRIED));
        assert_eq!(told[2].1, "False NotReady");
        let plan = case.plan();
        assert_eq!((plan.admit.is_some(), plan.obstacle.as_deref()), (true, Some(message)));
        assert_eq!(plan.status.unwrap().phase, Phase::Error);
    }

    #[test]
    fn one_that_was_not_dialed_yet_is_pending_after_a_moment() {
        for word in [None, Some(Word::Undialed)] {
            let early = Case { word: word.clone(), now: SEEN, ..Case::default() }.plan();
            assert_eq!((early.status, early.again_in), (None, Some(PENDING_GRACE)));
            let late = Case { word, ..Case::default() }.plan();
            assert_eq!(late.status.unwrap().phase, Phase::Pending);
        }
    }

    #[test]
    fn each_mistake_has_its_condition_and_nobody_is_asked() {
        let in_the_clear = json!({"endpoint": "http://tokens.example.com"});
        let unknown = json!({"endpoint": "https://tokens.example.com", "insecure": true});
        let problem = Trust::Problem(convert::TlsProblem::NotBase64);
        for (case, condition, reason) in [
            (Case { spec: in_the_clear, ..Case::default() }, "EndpointURLValid", "False InvalidEndpointURLScheme"),
            (Case { trust: problem, ..Case::default() }, "TLSConfigurationValid", "False InvalidTLSConfig"),
            (Case { spec: unknown, ..Case::default() }, "AuthenticatorValid", "False UnableToInstantiateWebhook"),
            (
                Case { spec: json!({"endpoint": 7}), ..Case::default() },
                "AuthenticatorValid",
                "False UnableToInstantiateWebhook",
            ),
        ] {
            let plan = case.plan();
            assert!(plan.source.is_none() && plan.admit.is_none(), "{condition}");
            let told = case.told();
            assert!(told.iter().any(|(c, r, _)| c == condition && r == reason), "{told:?}");
            assert!(told.iter().any(|(c, ..)| c == "Stalled"), "{told:?}");
            assert!(told.contains(&(
                "WebhookConnectionValid".to_owned(),
                "Unknown UnableToValidate".to_owned(),
                UNTRIED.to_owned()
            )));
        }
        let case = Case { word: Some(Word::NoClient("no roots".to_owned())), ..Case::default() };
        assert!(case.plan().admit.is_none());
        assert!(case.told().iter().any(|(c, r, _)| c == "AuthenticatorValid" && r == "False UnableToCreateClient"));
    }

    #[test]
    fn the_fixtures_are_what_is_written() {
        let word = Word::Unreachable { since: SEEN, sentence: "cannot connect: Connection refused".to_owned() };
        for (name, case) in
            [("webhook-ready", Case::default()), ("webhook-server-away", Case { word: Some(word), ..Case::default() })]
        {
            let object = json!({
                "apiVersion": "authentication.concierge.latchkey.dev/v1alpha1", "kind": "WebhookAuthenticator",
                "metadata": {"name": "staff", "generation": 2}, "spec": case.spec, "status": case.plan().status.unwrap(),
            });
            crate::controllers::fixtures::hold(name, &object);
        }
    }

    #[test]
    fn a_word_about_another_server_does_not_count() {
        let spec = convert::webhook_authenticator(&Case::default().spec);
        let (endpoint, bundle, version) = (spec.as_ref().unwrap().endpoint.clone().unwrap(), None, None);
        let other = Source { endpoint, bundle, version, timeout: Duration::from_secs(9) };
        let word = Word::Dialed(Dialed::Directly);
        let observed = Observed {
            generation: 2,
            spec: &spec,
            trust: &Trust::System,
            asked: Some((&other, &word)),
            status: &AuthenticatorStatus::default(),
            seen_at: SEEN,
        };
        assert!(plan(&observed, NOW).admit.is_none());
    }
}
