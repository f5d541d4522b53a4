//! Tables of what is planned for what is observed.

mod fleet;
mod keys;
mod progress;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use latchkey_crds::authentication::Phase;
use serde_json::{Value, json};

use super::*;
use crate::{
    convert,
    fleet::{Fleet, Member, SiblingName},
    idp::{
        discovery::{Discovered, JwksUriError},
        issuer::{Step, Trouble},
        jwks::FetchedKeys,
    },
    mapping::Rules,
};

const SEEN: UnixTime = UnixTime::from_secs(1_795_233_600);
/// Long after [`PENDING_GRACE`].
const NOW: UnixTime = UnixTime::from_secs(1_795_233_660);
const ISSUER: &str = "https://idp.example.com";
const UNTRIED: &str = "unable to validate; see other conditions for details";

/// All that a case can vary.
struct Case {
    spec: Value,
    generation: i64,
    trust: Trust,
    asked: Option<(Source, Word)>,
    fleet: Vec<Member>,
    /// Why the fleet list is not read.
    unread: Option<&'static str>,
    twins: Twins,
    status: AuthenticatorStatus,
    now: UnixTime,
}

/// A condition in short.
type Told<'a> = (&'a str, &'a str, &'a str, &'a str);

impl Default for Case {
    /// A good authenticator whose issuer answered.
    fn default() -> Self {
        Self {
            spec: json!({"issuer": ISSUER, "audience": "staging"}),
            generation: 1,
            trust: Trust::System,
            asked: Some((source(ISSUER), Word::Report(answered()))),
            fleet: Vec::new(),
            unread: None,
            twins: Twins::new(),
            status: AuthenticatorStatus::default(),
            now: NOW,
        }
    }
}

impl Case {
    fn plan(&self) -> Plan {
        let spec = convert::jwt_authenticator(&self.spec);
        let fleet = Fleet::new(self.fleet.clone());
        let observed = Observed {
            name: &AuthenticatorName::new("staff"),
            uid: "u",
            generation: self.generation,
            spec: &spec,
            trust: &self.trust,
            asked: self.asked.as_ref().map(|(source, word)| (source, word)),
            cluster: ClusterView {
                own: "staging",
                unread: self.unread,
                fleet: &fleet,
                siblings: &fleet.siblings("staging"),
                overlaps: &fleet.overlaps("staging"),
                twins: &self.twins,
            },
            status: &self.status,
            seen_at: SEEN,
        };
        plan(&observed, self.now)
    }

    fn reported(report: IssuerReport) -> Self {
        Self { asked: Some((source(ISSUER), Word::Report(report))), ..Self::default() }
    }
}

fn source(issuer: &str) -> Source {
    Source { issuer: Issuer::new(issuer.to_owned()), from: KeysFrom::Discovery, bundle: None }
}

fn keys(others: &[Value]) -> FetchedKeys {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = pair.public_key().as_ref();
    let [x, y] = [&point[1..33], &point[33..]].map(|half| URL_SAFE_NO_PAD.encode(half));
    let mut all = vec![json!({"kty": "EC", "crv": "P-256", "kid": "one", "x": x, "y": y})];
    all.extend_from_slice(others);
    let url = format!("{ISSUER}/keys").parse().unwrap();
    FetchedKeys::parse(json!({ "keys": all }).to_string().as_bytes(), url).unwrap()
}

fn answered() -> IssuerReport {
    let jwks_uri = Ok(format!("{ISSUER}/keys").parse().unwrap());
    IssuerReport {
        discovered: Some(Arc::new(Discovered { jwks_uri, signing_algorithms: None })),
        keys: Some(Arc::new(keys(&[]))),
        keys_fetched_at: Some(SEEN),
        keys_dropped_at: Some(SEEN.plus(Duration::from_hours(24))),
        next_fetch_at: Some(SEEN.plus(Duration::from_mins(4))),
        ..IssuerReport::default()
    }
}

fn trouble(step: Step) -> Trouble {
    Trouble { step, result: "timeout", sentence: "no answer".to_owned(), since: SEEN }
}

fn member(name: &str, audience: &str, issuers: &[&str]) -> Member {
    Member {
        name: SiblingName::new(name),
        audiences: vec![audience.to_owned()],
        issuers: issuers.iter().map(|issuer| (*issuer).to_owned()).collect(),
        display_name: None,
        contact: None,
    }
}

fn told(status: &AuthenticatorStatus) -> Vec<Told<'_>> {
    let each = status.conditions.iter();
    each.map(|c| (c.type_.as_str(), c.status.as_str(), c.reason.as_str(), c.message.as_str())).collect()
}

fn find<'a>(status: &'a AuthenticatorStatus, condition: &str) -> Told<'a> {
    told(status).into_iter().find(|told| told.0 == condition).unwrap()
}

#[test]
fn a_good_authenticator_admits_and_says_so_in_pinnipeds_words() {
    let plan = Case::default().plan();
    let status = plan.status.unwrap();
    assert_eq!(status.phase, Phase::Ready);
    let expected = [
        ("AudienceUnique", "True", "Success", "there is no FleetCluster to compare with"),
        ("AuthenticatorValid", "True", "Success", "authenticator initialized"),
        ("DiscoveryURLValid", "True", "Success", "discovery performed successfully"),
        ("IssuerURLValid", "True", "Success", "issuer is a valid URL"),
        ("JWKSFetchValid", "True", "Success", "successfully fetched jwks"),
        ("JWKSURLValid", "True", "Success", "jwks_uri is a valid URL"),
        ("KeysFresh", "True", "Success", "keys are fetched anew within 5 minutes, and withdrawn keys die then"),
        ("KeysPublicOnly", "True", "Success", "the key set holds public keys only"),
        ("Ready", "True", "Success", "the JWTAuthenticator is ready"),
        (
            "TLSConfigurationValid",
            "True",
            "Success",
            "spec.tls is valid: no TLS configuration provided: using default root CA bundle from container image",
        ),
    ];
    assert_eq!(told(&status), expected);
    let admit = plan.admit.unwrap();
    assert_eq!((admit.generation, admit.uid.as_str(), admit.keys_fetched_at), (1, "u", SEEN));
    assert_eq!((plan.source, plan.again_in, plan.obstacle), (Some(source(ISSUER)), None, None));
}

#[test]
fn a_status_that_stands_is_not_written_again() {
    let status = Case::default().plan().status.unwrap();
    let later = Case { status, now: NOW.plus(Duration::from_hours(3)), ..Case::default() };
    assert_eq!(later.plan().status, None);
    let next = Case { generation: 2, ..later };
    let written = next.plan().status.unwrap();
    assert!(written.conditions.iter().all(|condition| condition.observed_generation == Some(2)));
    assert!(written.conditions.iter().all(|condition| condition.last_transition_time.0.as_second() == NOW.as_secs()));
}

#[test]
fn a_status_edited_by_hand_is_written_back() {
    let good = Case::default().plan().status.unwrap();
    for edit in ["phase", "message", "gone", "strange"] {
        let mut status = good.clone();
        match edit {
            "phase" => status.phase = Phase::Error,
            "message" => status.conditions[0].message = "all fine".to_owned(),
            "gone" => drop(status.conditions.pop()),
            _ => status.conditions[1].type_ = "Strange".to_owned(),
        }
        let plan = Case { status, ..Case::default() }.plan();
        assert_eq!(told(&plan.status.unwrap()), told(&good), "{edit}");
    }
}

#[test]
fn while_the_first_answer_is_awaited_nothing_is_written_for_a_moment_and_nobody_admitted() {
    let mut case = Case::reported(IssuerReport::default());
    case.now = SEEN.plus(Duration::from_millis(500));
    let plan = case.plan();
    assert_eq!((plan.status, plan.again_in), (None, Some(Duration::from_millis(1_500))));
    assert!(plan.admit.is_none() && plan.source.is_some());

    case.now = SEEN.plus(PENDING_GRACE);
    let plan = case.plan();
    let status = plan.status.unwrap();
    assert_eq!(status.phase, Phase::Pending);
    let waiting = "the issuer has not answered yet";
    assert_eq!(find(&status, "DiscoveryURLValid"), ("DiscoveryURLValid", "Unknown", "UnableToValidate", waiting));
    assert_eq!(find(&status, "Ready").1, "False");
    assert_eq!(plan.again_in, None);
}

#[test]
fn keys_of_another_issuer_or_other_trust_roots_admit_nobody() {
    let elsewhere =
        Case { asked: Some((source("https://old.example.com"), Word::Report(answered()))), ..Case::default() };
    assert!(elsewhere.plan().admit.is_none());
    assert_eq!(elsewhere.plan().source, Some(source(ISSUER)));
    let slash = Case { asked: Some((source("https://idp.example.com/"), Word::Report(answered()))), ..Case::default() };
    assert!(slash.plan().admit.is_none());
    let nobody = Case { asked: None, ..Case::default() };
    assert!(nobody.plan().admit.is_none());
}

#[test]
fn a_new_generation_with_the_same_issuer_is_ready_at_once_by_its_own_rules() {
    let spec = json!({"issuer": ISSUER, "audience": "other", "claims": {"username": "sub"}});
    let admit = Case { spec, generation: 2, now: SEEN, ..Case::default() }.plan().admit.unwrap();
    assert_eq!(admit.generation, 2);
    assert!(admit.verifier.profile().audiences.contains("other"));
    assert_eq!(*admit.rules, Rules::of_claims("sub", "groups"));
}

#[test]
fn the_whole_profile_reaches_the_verifier_and_the_announced_algorithms_narrow_those_of_the_spec() {
    let spec = json!({
        "issuer": ISSUER, "audiences": ["next", "staging"], "maxTokenAgeSeconds": 60,
        "signingAlgorithms": ["ES256", "EdDSA"],
    });
    let admit = Case { spec: spec.clone(), ..Case::default() }.plan().admit.unwrap();
    assert!(admit.verifier.profile().audiences.contains("next"));
    assert_eq!(admit.verifier.profile().max_token_age, Some(Duration::from_mins(1)));
    assert_eq!(admit.verifier.algorithms().to_string(), "ES256, EdDSA");

    let jwks_uri = Ok(format!("{ISSUER}/keys").parse().unwrap());
    let announcing = |names: &[&str]| {
        let signing_algorithms = Some(names.iter().map(|name| (*name).to_owned()).collect());
        let discovered = Discovered { jwks_uri: jwks_uri.clone(), signing_algorithms };
        let report = IssuerReport { discovered: Some(Arc::new(discovered)), ..answered() };
        Case { spec: spec.clone(), ..Case::reported(report) }.plan()
    };
    assert_eq!(announcing(&["RS256", "ES256"]).admit.unwrap().verifier.algorithms().to_string(), "ES256");
    let none = announcing(&["RS256"]);
    assert!(none.admit.is_none());
    let status = none.status.unwrap();
    let (_, truth, _, message) = find(&status, "AuthenticatorValid");
    assert!(truth == "False" && message.ends_with("let it sign ID tokens with one of ES256, EdDSA"), "{message}");
}

#[test]
fn a_new_generation_that_is_invalid_admits_nobody_though_the_keys_are_there() {
    for broken in [
        json!({"issuer": ISSUER, "audience": "staging", "userValidationRules": [{"expression": "user.groups"}]}),
        json!({"issuer": ISSUER, "audience": "staging", "claims": {"usernameExpression": "claims.email"}}),
        json!({"issuer": ISSUER, "audience": "staging", "claimValidationRules": [{"expression": "claims.admin"}]}),
        json!({"issuer": ISSUER, "audience": "staging", "claims": {"extra": [{"key": "a.b/c", "valueExpression": "x"}]}}),
        json!({"issuer": ISSUER, "audience": "staging", "additionalAudiences": "Permit"}),
        json!({"issuer": ISSUER, "audience": "staging", "audiences": ["next"]}),
        json!({"issuer": ISSUER, "audience": ""}),
        json!({"issuer": ISSUER}),
        json!({"issuer": ISSUER, "audience": "staging", "jwks": {}}),
        json!({"issuer": ISSUER, "audience": "staging", "discoveryURL": ISSUER}),
        json!(null),
    ] {
        let plan = Case { spec: broken.clone(), generation: 2, ..Case::default() }.plan();
        assert!(plan.admit.is_none(), "{broken}");
        let status = plan.status.unwrap();
        assert_eq!(status.phase, Phase::Error);
        let (_, truth, reason, message) = find(&status, "AuthenticatorValid");
        assert_eq!((truth, reason), ("False", "InvalidAuthenticator"), "{broken}");
        assert!(message.starts_with("could not initialize jwt authenticator: "), "{message}");
    }
}

#[test]
fn each_step_that_fails_has_its_reason_and_the_steps_after_it_are_untried() {
    let none = IssuerReport::default;
    let found = |jwks_uri| Some(Arc::new(Discovered { jwks_uri, signing_algorithms: None }));
    let unusable = |text: &str, source| Err(JwksUriError::Unusable { found: text.to_owned(), source });
    let scheme = crate::idp::http::UrlError::Scheme("http".to_owned());
    let after = ["JWKSURLValid", "JWKSFetchValid", "AuthenticatorValid"];
    let cases = [
        (
            "discovery",
            IssuerReport { trouble: Some(trouble(Step::Discovery)), ..none() },
            "DiscoveryURLValid",
            "InvalidDiscoveryProbe",
            "could not perform discovery: no answer",
            &after[..],
        ),
        (
            "no jwks_uri",
            IssuerReport {
                discovered: found(Err(JwksUriError::Absent)),
                trouble: Some(trouble(Step::JwksUri { scheme: false })),
                ..none()
            },
            "JWKSURLValid",
            "InvalidProviderJWKSURL",
            "the discovery document has no jwks_uri",
            &after[1..],
        ),
        (
            "jwks_uri http",
            IssuerReport {
                discovered: found(unusable("http://idp/k", scheme)),
                trouble: Some(trouble(Step::JwksUri { scheme: true })),
                ..none()
            },
            "JWKSURLValid",
            "InvalidProviderJWKSURLScheme",
            "jwks_uri \"http://idp/k\" has scheme \"http\", expected \"https\"",
            &after[1..],
        ),
        (
            "keys",
            IssuerReport { keys: None, keys_fetched_at: None, trouble: Some(trouble(Step::Keys)), ..answered() },
            "JWKSFetchValid",
            "InvalidCouldNotFetchJWKS",
            "could not fetch keys since 2026-11-21T04:00:00Z: no answer",
            &after[2..],
        ),
        (
            "keys outlived",
            IssuerReport {
                keys: None,
                keys_fetched_at: None,
                keys_failing: true,
                trouble: Some(trouble(Step::Discovery)),
                ..answered()
            },
            "JWKSFetchValid",
            "InvalidCouldNotFetchJWKS",
            "could not fetch keys since 2026-11-21T04:00:00Z: no answer",
            &after[2..],
        ),
    ];
    for (name, report, condition, reason, message, untried) in cases {
        let plan = Case::reported(report).plan();
        assert!(plan.admit.is_none(), "{name}");
        let status = plan.status.unwrap();
        assert_eq!(status.phase, Phase::Error, "{name}");
        assert_eq!(find(&status, condition), (condition, "False", reason, message), "{name}");
        assert_eq!(plan.obstacle.as_deref(), Some(message), "{name}");
        for &later in untried {
            assert_eq!(find(&status, later), (later, "Unknown", "UnableToValidate", UNTRIED), "{name}: {later}");
        }
    }
}

#[test]
fn a_bad_issuer_url_asks_nobody() {
    for (issuer, reason) in [
        ("http://idp.example.com", "InvalidIssuerURLScheme"),
        ("https://idp.example.com?x", "InvalidIssuerURLContainsQueryParams"),
        ("https://idp.example.com#x", "InvalidIssuerURLContainsFragment"),
        ("https://idp.example.com/.well-known/openid-configuration", "InvalidIssuerURLContainsWellKnownEndpoint"),
        ("not a url", "InvalidIssuerURL"),
    ] {
        let plan = Case { spec: json!({"issuer": issuer, "audience": "a"}), ..Case::default() }.plan();
        assert!(plan.source.is_none() && plan.admit.is_none(), "{issuer}");
        let status = plan.status.unwrap();
        let (_, truth, found, _) = find(&status, "IssuerURLValid");
        assert_eq!((truth, found), ("False", reason), "{issuer}");
        for later in ["DiscoveryURLValid", "JWKSURLValid", "JWKSFetchValid", "AuthenticatorValid"] {
            assert_eq!(find(&status, later).3, UNTRIED, "{issuer}: {later}");
        }
    }
}

#[test]
fn trust_roots_that_are_not_there_ask_nobody() {
    let missing = TlsProblem::NoObject { place: "Secret latchkey/ca".to_owned() };
    let cases = [
        (Trust::Problem(missing.clone()), "False", "InvalidTLSConfig", missing.to_string(), Phase::Error),
        (Trust::Loading, "Unknown", "UnableToValidate", "the CA bundle is being read".to_owned(), Phase::Pending),
        (
            Trust::Unreadable("cannot read Secret latchkey/ca: forbidden".to_owned()),
            "Unknown",
            "UnableToValidate",
            "cannot read Secret latchkey/ca: forbidden".to_owned(),
            Phase::Pending,
        ),
    ];
    for (trust, truth, reason, message, phase) in cases {
        let plan = Case { trust, ..Case::default() }.plan();
        assert!(plan.source.is_none() && plan.admit.is_none(), "{message}");
        let status = plan.status.unwrap();
        assert_eq!(status.phase, phase);
        let expected = ("TLSConfigurationValid", truth, reason, message.as_str());
        assert_eq!(find(&status, "TLSConfigurationValid"), expected);
    }
    let word = Word::NoClient("cannot load the default root CA bundle: none".to_owned());
    let status = Case { asked: Some((source(ISSUER), word)), ..Case::default() }.plan().status.unwrap();
    let told = find(&status, "TLSConfigurationValid");
    assert_eq!((told.1, told.2), ("False", "InvalidTLSConfig"));
    assert!(told.3.contains("default root CA bundle"), "{}", told.3);
}

#[test]
fn an_issuer_that_announces_nothing_acceptable_admits_nobody() {
    let announcing = |names: &[&str]| {
        let mut report = answered();
        let signing_algorithms = Some(names.iter().map(|name| (*name).to_owned()).collect());
        let jwks_uri = report.discovered.unwrap().jwks_uri.clone();
        report.discovered = Some(Arc::new(Discovered { jwks_uri, signing_algorithms }));
        Case::reported(report).plan()
    };
    let plan = announcing(&["none", "HS256"]);
    assert!(plan.admit.is_none());
    let status = plan.status.unwrap();
    let told = find(&status, "AuthenticatorValid");
    assert_eq!((told.1, told.2), ("False", "InvalidAuthenticator"));
    assert!(told.3.contains("RS256"), "{}", told.3);
    assert!(announcing(&["none", "HS256", "ES256"]).admit.is_some());
}
