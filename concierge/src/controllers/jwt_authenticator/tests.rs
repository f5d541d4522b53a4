//! Tables of what is planned for what is observed.

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
fn during_an_outage_the_last_good_keys_admit_and_the_messages_are_true() {
    let report = IssuerReport { keys_failing: true, trouble: Some(trouble(Step::Discovery)), ..answered() };
    let plan = Case::reported(report).plan();
    assert!(plan.admit.is_some());
    let status = plan.status.unwrap();
    assert_eq!(status.phase, Phase::Ready);
    assert_eq!(
        find(&status, "JWKSFetchValid").3,
        "successfully fetched jwks; failing since 2026-11-21T04:00:00Z, the keys of 2026-11-21T04:00:00Z are in use \
         until 2026-11-22T04:00:00Z: no answer"
    );
    assert_eq!(
        find(&status, "DiscoveryURLValid").3,
        "discovery performed successfully; failing since 2026-11-21T04:00:00Z, what it said before is in use: no answer"
    );
}

#[test]
fn keys_fresh_tells_since_when_and_until_when_and_counts_for_nothing() {
    let fresh = |report: IssuerReport| {
        let plan = Case::reported(report).plan();
        let status = plan.status.unwrap();
        let (_, truth, reason, message) = find(&status, "KeysFresh");
        (truth.to_owned(), reason.to_owned(), message.to_owned(), plan.admit.is_some(), status.phase)
    };
    let failing = IssuerReport { keys_failing: true, trouble: Some(trouble(Step::Keys)), ..answered() };
    let (truth, reason, message, admits, phase) = fresh(failing.clone());
    assert_eq!((truth.as_str(), reason.as_str(), admits, phase), ("False", "FetchFailing", true, Phase::Ready));
    assert_eq!(
        message,
        "the keys of 2026-11-21T04:00:00Z are in use until 2026-11-22T04:00:00Z; failing since 2026-11-21T04:00:00Z: no answer"
    );
    let (_, reason, message, admits, phase) = fresh(IssuerReport { keys_restored: true, ..failing });
    assert_eq!((reason.as_str(), admits, phase), ("KeptKeysInUse", true, Phase::Ready));
    assert!(message.contains("kept since before this replica started, are in use until 2026-11-22T04"), "{message}");
    let stalling = IssuerReport { keys_restored: true, ..answered() };
    assert!(fresh(stalling).2.ends_with("; the issuer has not answered yet"));
    let none = IssuerReport { keys: None, keys_fetched_at: None, keys_dropped_at: None, ..answered() };
    let (truth, reason, _, admits, phase) = fresh(IssuerReport { trouble: Some(trouble(Step::Keys)), ..none });
    assert_eq!((truth.as_str(), reason.as_str(), admits, phase), ("False", "NoKeys", false, Phase::Error));
}

#[test]
fn a_published_secret_key_is_an_alarm_and_the_others_work() {
    let mut private = json!({"kty": "EC", "crv": "P-256", "kid": "leaked", "x": "AA", "y": "AA"});
    private["d"] = json!("c2VjcmV0");
    let report = IssuerReport { keys: Some(Arc::new(keys(&[private]))), ..answered() };
    let plan = Case::reported(report).plan();
    assert!(plan.admit.is_some());
    assert_eq!((plan.keys.usable, plan.keys.exposed), (1, 1));
    let status = plan.status.unwrap();
    assert_eq!(status.phase, Phase::Ready);
    let (_, truth, reason, message) = find(&status, "KeysPublicOnly");
    assert_eq!((truth, reason), ("False", "SecretKeyPublished"));
    assert!(message.contains("key \"leaked\"") && !message.contains("c2VjcmV0"), "{message}");
    let unusable = json!({"kty": "EC", "crv": "P-192", "kid": "odd"});
    let report = IssuerReport { keys: Some(Arc::new(keys(&[unusable]))), ..answered() };
    assert_eq!(find(&Case::reported(report).plan().status.unwrap(), "KeysPublicOnly").1, "True");
}

#[test]
fn the_status_tells_how_the_keys_stand_without_telling_of_each_fetch() {
    let status = Case::default().plan().status.unwrap();
    let keys = status.keys.clone().unwrap();
    assert_eq!((keys.source.as_str(), keys.usable, keys.dropped.len()), ("https://idp.example.com/keys", 1, 0));
    let seconds = |time: Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>| time.map(|t| t.0.as_second());
    assert_eq!(seconds(keys.last_fetch_time), Some(SEEN.as_secs()));
    assert_eq!(seconds(keys.next_fetch_time), Some(SEEN.as_secs() + 240));
    assert_eq!(seconds(keys.failing_since), None);

    let held = answered().keys;
    let later = |minutes: u64, report: IssuerReport| {
        let at = SEEN.plus(Duration::from_mins(minutes));
        let next_fetch_at = Some(at.plus(Duration::from_mins(4)));
        let report = IssuerReport { keys: held.clone(), keys_fetched_at: Some(at), next_fetch_at, ..report };
        let now = at.plus(Duration::from_mins(1));
        Case { status: status.clone(), now, ..Case::reported(report) }.plan().status
    };
    assert_eq!(later(5, answered()), None);
    assert_eq!(later(14, answered()), None);
    let renewed = later(15, answered()).unwrap().keys.unwrap();
    assert_eq!(seconds(renewed.last_fetch_time), Some(SEEN.as_secs() + 900));

    // Whatever else changes, the times are told as they are.
    let failing = IssuerReport { keys_failing: true, trouble: Some(trouble(Step::Keys)), ..answered() };
    let told = later(5, failing).unwrap().keys.unwrap();
    assert_eq!(seconds(told.failing_since), Some(SEEN.as_secs()));
    assert_eq!(seconds(told.next_fetch_time), Some(SEEN.as_secs() + 540));
}

#[test]
fn each_source_of_keys_asks_whom_it_names_and_nobody_else() {
    let url = "https://keys.example.com/idp";
    let spec = |fields: Value| {
        let mut spec = json!({"issuer": ISSUER, "audience": "staging"});
        spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        spec
    };
    let plan = |spec: Value, asked| Case { spec, asked, ..Case::default() }.plan();
    let at = |from| Source { from, ..source(ISSUER) };
    for (fields, from) in [
        (json!({"discoveryURL": url}), KeysFrom::DiscoveryAt(url.parse().unwrap())),
        (json!({"jwks": {"url": url}}), KeysFrom::Jwks(url.parse().unwrap())),
    ] {
        let usual = Some((source(ISSUER), Word::Report(answered())));
        let first = plan(spec(fields.clone()), usual);
        assert_eq!(first.source, Some(at(from.clone())));
        assert!(first.admit.is_none(), "what the issuer's own document led to is not for this source");
        let own = Some((at(from), Word::Report(answered())));
        assert!(plan(spec(fields), own).admit.is_some());
    }

    // Nobody is asked for keys that stand in the spec.
    let set = String::from_utf8(keys(&[]).document.to_vec()).unwrap();
    let inline = plan(spec(json!({"jwks": {"inline": set}})), None);
    assert_eq!(inline.source, None);
    let admit = inline.admit.unwrap();
    assert_eq!((admit.verifier.keys().len(), admit.keys_fetched_at), (1, SEEN));
    let status = inline.status.unwrap();
    assert_eq!(status.phase, Phase::Ready);
    assert_eq!(status.keys.as_ref().map(|keys| keys.source.as_str()), Some("spec.jwks.inline"));
    assert_eq!(find(&status, "DiscoveryURLValid").3, "not needed: spec.jwks.inline holds the keys");
    assert_eq!(inline.keys.fetched_at, None);
}

#[test]
fn keys_at_a_given_address_fail_by_the_step_that_fails() {
    let from = KeysFrom::Jwks("https://keys.example.com/idp".parse().unwrap());
    let word = Word::Report(IssuerReport { trouble: Some(trouble(Step::Keys)), ..IssuerReport::default() });
    let spec = json!({"issuer": ISSUER, "audience": "a", "jwks": {"url": "https://keys.example.com/idp"}});
    let case = Case { spec, asked: Some((Source { from, ..source(ISSUER) }, word)), ..Case::default() };
    let status = case.plan().status.unwrap();
    assert_eq!(find(&status, "DiscoveryURLValid").1, "True");
    assert_eq!(find(&status, "JWKSURLValid").3, "spec.jwks.url is a valid URL");
    let told = find(&status, "JWKSFetchValid");
    assert_eq!((told.1, told.2), ("False", "InvalidCouldNotFetchJWKS"));
    assert_eq!(find(&status, "AuthenticatorValid").1, "Unknown");
}

#[test]
fn keys_left_out_of_the_set_are_named_and_the_rest_works() {
    let bad: Vec<_> = (0..7).map(|n| json!({"kty": "oct", "kid": format!("secret-{n}"), "k": "AAAA"})).collect();
    let plan = Case::reported(IssuerReport { keys: Some(Arc::new(keys(&bad))), ..answered() }).plan();
    assert!(plan.admit.is_some());
    let status = plan.status.unwrap();
    let message = find(&status, "JWKSFetchValid").3;
    assert!(message.starts_with("successfully fetched jwks; left out: key \"secret-0\": "), "{message}");
    assert!(message.ends_with("; and 2 more"), "{message}");
    assert!(!message.contains("AAAA"));
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

// === the fleet ===

fn member(name: &str, audience: &str, issuers: &[&str]) -> Member {
    Member {
        name: SiblingName::new(name),
        audiences: vec![audience.to_owned()],
        issuers: issuers.iter().map(|issuer| (*issuer).to_owned()).collect(),
        display_name: None,
        contact: None,
    }
}

fn of_fleet(fleet: &[Member]) -> Case {
    Case { fleet: fleet.to_vec(), ..Case::default() }
}

#[test]
fn an_audience_that_another_cluster_has_admits_nobody_and_says_whose_it_is() {
    let production = Member {
        display_name: Some("Production".to_owned()),
        contact: Some("#oncall".to_owned()),
        ..member("production", "staging", &[])
    };
    let plan = of_fleet(&[member("staging", "staging", &[]), production]).plan();
    assert!(plan.admit.is_none());
    let status = plan.status.unwrap();
    assert_eq!(status.phase, Phase::Error);
    let sentence = "audience \"staging\" is cluster production's too (Production, contact: #oncall): each would take the \
                    other's tokens, so nobody is admitted; make an OIDC client for cluster staging alone at \
                    https://idp.example.com and write its ID into spec.audience here, or, if the audience is this \
                    cluster's, take it out of FleetCluster production";
    assert_eq!(find(&status, "AudienceUnique"), ("AudienceUnique", "False", "SharedWithCluster", sentence));
    assert_eq!(find(&status, "Ready").1, "False");
    assert_eq!(plan.obstacle.as_deref(), Some(sentence));
}

#[test]
fn an_audience_is_shared_only_for_the_same_issuer() {
    let plan =
        of_fleet(&[member("staging", "staging", &[]), member("b", "staging", &["https://other.example"])]).plan();
    assert_eq!(find(&plan.status.unwrap(), "AudienceUnique").1, "True");
    let admit = plan.admit.unwrap();
    let siblings = &admit.verifier.profile().siblings;
    assert_eq!(siblings.names().map(SiblingName::as_str).collect::<Vec<_>>(), ["b"], "the judge knows its siblings");
    assert!(of_fleet(&[member("b", "staging", &[ISSUER])]).plan().admit.is_none());
}

#[test]
fn until_the_fleet_list_is_read_nobody_is_admitted() {
    let plan = Case { unread: Some("no answer yet"), ..Case::default() }.plan();
    assert!(plan.admit.is_none());
    let status = plan.status.unwrap();
    let message = "the fleet list is not read yet, so nobody is admitted: no answer yet";
    assert_eq!(find(&status, "AudienceUnique"), ("AudienceUnique", "Unknown", "UnableToValidate", message));
    assert_eq!(status.phase, Phase::Pending);
    let broken = Case { spec: json!({"issuer": ISSUER}), ..Case::default() }.plan().status.unwrap();
    assert_eq!(find(&broken, "AudienceUnique"), ("AudienceUnique", "Unknown", "UnableToValidate", UNTRIED));
}

#[test]
fn what_a_person_should_know_of_the_fleet_is_told_and_locks_nobody_out() {
    let twin = Twins::from([("other".to_owned(), "staging".to_owned())]);
    let stranger = || member("production", "production", &[]);
    for (case, reason, words) in [
        (of_fleet(&[]), "Success", "there is no FleetCluster to compare with"),
        (
            of_fleet(&[member("staging", "staging", &[]), stranger()]),
            "Success",
            "no other cluster of the fleet has \"staging\"",
        ),
        (of_fleet(&[stranger()]), "NotInFleet", "no FleetCluster is named \"staging\" like this cluster"),
        (of_fleet(&[member("staging", "old", &[])]), "NotListed", "FleetCluster staging lists no audience \"staging\""),
        (of_fleet(&[member("staging", "staging", &["https://b"])]), "NotListed", "for issuer https://idp.example.com"),
        (Case { twins: twin.clone(), ..Case::default() }, "SharedInThisCluster", "JWTAuthenticator other has issuer"),
        (Case { twins: twin, ..of_fleet(&[stranger()]) }, "SharedInThisCluster", "; warning: no FleetCluster is named"),
        (
            of_fleet(&[member("staging", "staging", &[]), member("b", "x", &[]), member("c", "x", &[])]),
            "Success",
            "FleetClusters b and c both have audience \"x\", its tokens are told as b's",
        ),
    ] {
        let plan = case.plan();
        assert!(plan.admit.is_some(), "{words}");
        let status = plan.status.unwrap();
        let told = find(&status, "AudienceUnique");
        assert_eq!((told.1, told.2), ("True", reason), "{words}");
        assert!(told.3.contains(words), "{}", told.3);
        assert_eq!(status.phase, Phase::Ready);
    }
}

/// The state by which a pipeline waits or fails: `Reconciling` or `Stalled`, and its reason.
fn progress(status: &AuthenticatorStatus) -> Option<(&str, &str)> {
    let found = told(status).into_iter().find(|told| ["Reconciling", "Stalled"].contains(&told.0));
    found.map(|(condition, truth, reason, _)| {
        assert_eq!(truth, "True");
        (condition, reason)
    })
}

#[test]
fn who_waits_for_it_is_told_what_is_tried_again_and_what_somebody_has_to_change() {
    use crate::idp::discovery::DiscoveryError;

    let failing = |step| IssuerReport { trouble: Some(trouble(step)), ..IssuerReport::default() };
    let another = Trouble { result: DiscoveryError::ISSUER_MISMATCH, ..trouble(Step::Discovery) };
    let another = IssuerReport { trouble: Some(another), ..IssuerReport::default() };
    let no_keys = IssuerReport { keys: None, keys_fetched_at: None, trouble: Some(trouble(Step::Keys)), ..answered() };
    let no_uri = Arc::new(Discovered { jwks_uri: Err(JwksUriError::Absent), signing_algorithms: None });
    let no_uri = IssuerReport { discovered: Some(no_uri), ..failing(Step::JwksUri { scheme: false }) };
    let of_spec = |spec: Value| Case { spec, ..Case::default() };
    let expression =
        json!({"issuer": ISSUER, "audience": "staging", "claims": {"usernameExpression": "claims.email +"}});
    let two_mistakes = json!({"issuer": ISSUER, "audience": "", "claims": {"usernameExpression": "claims.email +"}});
    let missing = TlsProblem::NoObject { place: "Secret latchkey/ca".to_owned() };
    let sibling = member("production", "staging", &[]);
    for (case, expected) in [
        (Case::default(), None),
        (Case::reported(IssuerReport::default()), Some(("Reconciling", "Discovering"))),
        (Case::reported(failing(Step::Discovery)), Some(("Reconciling", "DiscoveryFailed"))),
        (Case::reported(no_keys), Some(("Reconciling", "KeysUnavailable"))),
        (Case { trust: Trust::Loading, ..Case::default() }, Some(("Reconciling", "Discovering"))),
        (
            Case { trust: Trust::Problem(missing), ..Case::default() },
            Some(("Reconciling", "CertificateAuthorityMissing")),
        ),
        (
            Case { trust: Trust::Problem(TlsProblem::NotBase64), ..Case::default() },
            Some(("Stalled", "InvalidCertificateAuthority")),
        ),
        (Case::reported(another), Some(("Stalled", "IssuerMismatch"))),
        (Case::reported(no_uri), Some(("Stalled", "InvalidKeySetURL"))),
        (of_spec(json!({"issuer": "http://idp.example.com", "audience": "a"})), Some(("Stalled", "InvalidIssuer"))),
        (of_spec(expression), Some(("Stalled", "InvalidExpression"))),
        (of_spec(two_mistakes), Some(("Stalled", "InvalidSpec"))),
        (Case { fleet: vec![sibling], ..Case::default() }, Some(("Stalled", "AudienceShared"))),
    ] {
        let status = case.plan().status.unwrap();
        assert_eq!(progress(&status), expected, "{}", case.spec);
        assert_eq!(status.observed_generation, Some(1));
    }
}

#[test]
fn the_fixtures_are_what_is_written() {
    use crate::controllers::fixtures::hold;

    let object = |case: &Case, generation: i64, status: &Value| {
        json!({
            "apiVersion": "authentication.concierge.latchkey.dev/v1alpha1", "kind": "JWTAuthenticator",
            "metadata": {"name": "staff", "generation": generation}, "spec": case.spec, "status": status,
        })
    };
    let written = |case: &Case| json!(case.plan().status.unwrap());
    let away = |report: IssuerReport| IssuerReport { trouble: Some(trouble(Step::Discovery)), ..report };
    let expression = json!({"issuer": ISSUER, "audience": "staging", "claims": {"usernameExpression": "claims.sub +"}});
    let missing = TlsProblem::NoObject { place: "Secret latchkey/corporate-ca".to_owned() };
    let sibling = member("production", "staging", &[]);
    for (name, case) in [
        ("jwt-first-answer-awaited", Case::reported(IssuerReport::default())),
        ("jwt-ready", Case::default()),
        ("jwt-expression-does-not-compile", Case { spec: expression, ..Case::default() }),
        ("jwt-issuer-away-never-reached", Case::reported(away(IssuerReport::default()))),
        ("jwt-serving-cached-keys", Case::reported(away(IssuerReport { keys_failing: true, ..answered() }))),
        ("jwt-ca-not-there-yet", Case { trust: Trust::Problem(missing), ..Case::default() }),
        ("jwt-audience-shared", Case { fleet: vec![sibling], ..Case::default() }),
    ] {
        hold(name, &object(&case, case.generation, &written(&case)));
    }
    let good = Case::default();
    hold("jwt-spec-changed-not-yet-observed", &object(&good, 2, &written(&good)));
    // What the schema's defaults make of a new object; `tests/tests/health.rs` sees that they do.
    let unseen = json!({"observedGeneration": latchkey_crds::manifests::NOT_OBSERVED, "phase": Phase::Pending});
    hold("jwt-just-created", &object(&good, 1, &unseen));
}
