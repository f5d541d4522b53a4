//! Keys: whom they are asked of, through outages, and what the status tells of them.

use super::*;

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
