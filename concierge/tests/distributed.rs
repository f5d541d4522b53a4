//! Claims that a token only refers to, fetched over TLS on loopback from servers that behave and servers that do not.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its world should fail there")]

#[path = "judging/issuer.rs"]
#[expect(dead_code, reason = "the judging tests need more of it")]
mod issuer;

#[path = "keys/server.rs"]
#[expect(dead_code, reason = "what the tests of issuers need beside")]
mod server;

use std::{sync::Arc, time::Duration};

use futures::stream::{FuturesUnordered, StreamExt as _};
use latchkey_concierge::{
    authn::{Reason, Verdict},
    cel::{Expression, Scope},
    distributed::{ClaimClient, completed},
    idp::proxy::Proxies,
    index::{self, Authenticator, AuthenticatorRef, Entry, Reader},
    jwt::Step,
    mapping::{ClaimRule, GroupName, Origin},
    time::{Clock as _, ManualClock, UnixTime},
    verdicts::Verdicts,
};
use serde_json::{Value, json};

use self::{
    issuer::{Key, NOW, bearer, claims, key, key_set, rs256, token, with_profile},
    server::{Answer, Server},
};

/// No text of an error may hold it.
const ACCESS_TOKEN: &str = "s3cr3t-access-t0ken";
const PATH: &str = "/groups?user=s3cr3t";

/// A server of claims and a judge that may ask it.
struct House {
    server: Server,
    clock: Arc<ManualClock>,
    verdicts: Verdicts,
    index: Reader,
    _writer: index::Writer,
}

impl House {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Authenticator)) -> Self {
        let server = Server::start().await;
        let clock = Arc::new(ManualClock::new(UnixTime::from_secs(NOW)));
        let mut authenticator = with_profile(|profile| profile.authorized_parties = vec!["kubectl".to_owned()]);
        let roots = Some(std::slice::from_ref(&server.root));
        authenticator.claims = Some(Arc::new(ClaimClient::new(roots, &Proxies::default(), clock.clone()).unwrap()));
        let mut rules = (*authenticator.rules).clone();
        rules.distributed = Some(vec![Origin::of(&server.base).unwrap()]);
        authenticator.rules = Arc::new(rules);
        change(&mut authenticator);
        let (writer, index) = issuer::index_of(authenticator);
        Self { server, clock, verdicts: Verdicts::default(), index, _writer: writer }
    }

    /// Judges as the server does.
    async fn judged(&self, token: &str) -> Verdict {
        let (token, snapshot) = (bearer(token), self.index.snapshot());
        let staging = AuthenticatorRef::jwt("staging");
        let verdict = self.verdicts.authenticate(&token, &staging, &snapshot, self.clock.now());
        let verdict = completed(verdict, &token, &self.verdicts, self.clock.as_ref()).await;
        assert!(!format!("{verdict:?}").contains("s3cr3t"), "a verdict quotes a secret");
        verdict
    }

    async fn groups(&self, token: &str) -> Vec<String> {
        let admitted = self.judged(token).await.outcome.unwrap();
        admitted.user.groups().iter().map(GroupName::as_str).map(str::to_owned).collect()
    }

    async fn refused(&self, token: &str) -> Reason {
        let reason = self.judged(token).await.outcome.unwrap_err();
        assert!(!reason.to_string().contains("s3cr3t"), "{reason}");
        reason
    }

    /// A good token whose groups are at [`PATH`].
    fn token(&self) -> String {
        self.token_with(&json!({}))
    }

    fn token_with(&self, changes: &Value) -> String {
        let source = json!({"endpoint": format!("{}{PATH}", self.server.base), "access_token": ACCESS_TOKEN});
        let mut all = json!({
            "groups": null, "azp": "kubectl", "_claim_names": {"groups": "src"}, "_claim_sources": {"src": source},
        });
        for (name, value) in changes.as_object().unwrap() {
            all[name] = value.clone();
        }
        rs256(&all)
    }
}

/// An answer that is a JWT of claims: nobody is named to whom it was given.
fn gives(changes: &Value) -> Answer {
    gives_text(&rs256(changes))
}

fn gives_text(text: &str) -> Answer {
    Answer::plain("200 OK", "Content-Type: application/jwt\r\n", text.as_bytes())
}

fn many_groups() -> Vec<String> {
    (0..1_000).map(|number| format!("0b0c5e1e-7d5d-4c5f-9c3e-{number:012}")).collect()
}

#[tokio::test]
async fn groups_come_from_the_server_that_the_token_names() {
    let house = House::new().await;
    house.server.answer(PATH, gives(&json!({"groups": ["a", "b"], "sub": null, "username": null})));
    assert_eq!(house.groups(&house.token()).await, ["a", "b"]);
    let requests = house.server.requests();
    let head = requests[0].to_ascii_lowercase();
    assert!(requests[0].starts_with("GET /groups?user=s3cr3t HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("\r\nauthorization: bearer {ACCESS_TOKEN}\r\n")), "{head}");

    house.server.answer(PATH, gives_text(&format!("{}\n", rs256(&json!({"groups": many_groups()})))));
    let other = house.token_with(&json!({"jti": "2"}));
    assert_eq!(house.groups(&other).await.len(), 1_000, "larger than any token may be");
}

#[tokio::test]
async fn without_an_access_token_none_is_sent() {
    let house = House::new().await;
    house.server.answer(PATH, gives(&json!({"groups": "a"})));
    for access_token in [json!(null), json!("")] {
        let source = json!({"endpoint": format!("{}{PATH}", house.server.base), "access_token": access_token});
        let token = house.token_with(&json!({"_claim_sources": {"src": source}, "jti": access_token.to_string()}));
        assert_eq!(house.groups(&token).await, ["a"]);
    }
    assert_eq!(house.server.requests().len(), 2);
    for request in house.server.requests() {
        assert!(!request.to_ascii_lowercase().contains("\r\nauthorization:"), "{request}");
    }
}

#[tokio::test]
async fn a_verdict_is_remembered_for_a_minute_and_not_beyond_the_claims_end() {
    let house = House::new().await;
    house.server.answer(PATH, gives(&json!({"groups": "a", "exp": NOW + 90})));
    let asked = || house.server.requests().len();
    for (seconds, requests) in [(0, 1), (60, 1), (61, 2), (90, 2)] {
        house.clock.set(UnixTime::from_secs(NOW + seconds));
        assert_eq!(house.groups(&house.token()).await, ["a"], "after {seconds} s");
        assert_eq!(asked(), requests, "after {seconds} s");
    }
    house.clock.set(UnixTime::from_secs(NOW + 91));
    assert_eq!(house.refused(&house.token()).await.code(), "claim-missing");
    assert_eq!(asked(), 3);
}

#[tokio::test]
async fn rules_see_the_claim_and_its_names_are_judged_as_any() {
    let house = House::with(|authenticator| {
        let expression = Expression::rule(Scope::Claims, "'a' in claims.groups").unwrap();
        let mut rules = (*authenticator.rules).clone();
        rules.claim_rules.push(ClaimRule::Expression { expression, message: None });
        authenticator.rules = Arc::new(rules);
    })
    .await;
    for (jti, groups, code) in [
        ("1", json!(["a"]), None),
        ("2", json!(["b"]), Some("claim-rule-failed")),
        ("3", json!(["a", "system:masters"]), Some("identity-reserved")),
        ("4", json!(["a", 7]), Some("claim-wrong-type")),
    ] {
        house.server.answer(PATH, gives(&json!({"groups": groups})));
        let outcome = house.judged(&house.token_with(&json!({"jti": jti}))).await.outcome;
        assert_eq!(outcome.err().map(|reason| reason.code()), code, "{groups}");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_signed_for_us_now_is_no_answer() {
    let house = House::new().await;
    let stranger = Key::ed25519("ed25519");
    let unsigned = |text: &str| text.rsplit_once('.').map(|(input, _)| format!("{input}.")).unwrap();
    let good = rs256(&json!({"groups": ["a"]}));
    let too_large = gives(&json!({"groups": ["x".repeat(60 * 1024)]}));
    let redirect = Answer::plain("302 Found", "Location: https://127.0.0.1/\r\n", b"");
    let html = Answer::plain("200 OK", "Content-Type: text/html\r\n", good.as_bytes());
    for (answer, words) in [
        (redirect, "redirects are not followed"),
        (Answer::plain("401 Unauthorized", "", b"s3cr3t"), "answered 401"),
        (Answer::plain("204 No Content", "", b""), "answered 204"),
        (html, "content type"),
        (Answer::Endless, "larger than 65536 bytes"),
        (too_large, "larger than 65536 bytes"),
        (Answer::CutOff, "broken answer"),
        (Answer::json("", &json!({"groups": ["a"]})), "expected three segments"),
        (gives_text(""), "expected three segments"),
        (Answer::plain("200 OK", "", b"\xff.\xff.\xff"), "no text"),
        (gives_text(&unsigned(&good)), "a segment is empty"),
        (gives_text(&token(&stranger, r#"{"alg":"EdDSA","kid":"ed25519"}"#, &claims(&json!({})))), "signature"),
        (gives_text(&token(key("rsa"), r#"{"alg":"none"}"#, &claims(&json!({})))), "algorithm"),
        (gives_text(&token(&Key::ed25519("new"), r#"{"alg":"EdDSA","kid":"new"}"#, &claims(&json!({})))), "has no key"),
        (gives(&json!({"aud": "k8s-production"})), "is not ours"),
        (gives(&json!({"aud": null})), "names no audience"),
        (gives(&json!({"exp": NOW - 1})), "expired 1 s ago"),
        (gives(&json!({"exp": null})), "\"exp\" is missing"),
        (gives(&json!({"nbf": NOW + 600})), "not valid for another"),
        (gives(&json!({"iss": "https://elsewhere.example"})), "neither the authenticator's own nor"),
        (gives(&json!({"iss": null})), "\"iss\" is missing"),
        (gives(&json!({"groups": null})), "the claim is not in the answer"),
        (gives(&json!({"sub": "somebody-else"})), "another subject's"),
    ] {
        house.server.answer(PATH, answer);
        let reason = house.refused(&house.token()).await;
        assert!(reason.to_string().contains(words), "expected {words:?} in {reason}");
        assert_eq!((reason.code(), reason.step()), ("claim-missing", Some(Step::ClaimRules)), "{reason}");
    }
    // Nothing of all that is remembered.
    house.server.answer(PATH, gives_text(&good));
    assert_eq!(house.groups(&house.token()).await, ["a"]);
}

#[tokio::test]
async fn a_server_that_drips_is_not_waited_for() {
    let house = House::new().await;
    house.server.answer(PATH, Answer::Drip);
    let reason = house.refused(&house.token()).await;
    assert!(reason.to_string().contains("no complete answer within 5000 ms"), "{reason}");
}

#[tokio::test]
async fn more_questions_than_are_put_at_once_are_told_to_come_again() {
    let house = House::new().await;
    house.server.answer(PATH, Answer::Silent);
    let token = house.token();
    let mut all: FuturesUnordered<_> = (0..33).map(|_| house.refused(&token)).collect();
    let first = tokio::time::timeout(Duration::from_mins(1), all.next()).await.unwrap().unwrap();
    assert_eq!(first.code(), "overloaded");
}

#[tokio::test]
async fn another_issuer_may_sign_if_its_origin_is_on_the_list() {
    let house = House::new().await;
    let discovery = json!({"issuer": house.server.base, "jwks_uri": format!("{}/keys", house.server.base)});
    let (first, second) = (Key::ed25519("first"), Key::ed25519("second"));
    let signed = |key: &Key, kid: &str| {
        let claims = claims(&json!({"iss": house.server.base, "sub": "their-own-name", "groups": ["theirs"]}));
        gives_text(&token(key, &format!(r#"{{"alg":"EdDSA","kid":"{kid}"}}"#), &claims))
    };
    let of = |jti: &str| house.token_with(&json!({"jti": jti}));
    let fetches = || house.server.requests().iter().filter(|request| request.starts_with("GET /keys")).count();

    house.server.answer(PATH, signed(&first, "first"));
    let reason = house.refused(&of("1")).await;
    assert!(reason.to_string().contains("its keys cannot be had"), "{reason}");
    house.server.answer("/.well-known/openid-configuration", Answer::json("", &discovery));
    let set = |key: &Key| Answer::plain("200 OK", "Cache-Control: max-age=300\r\n", &key_set([&key.jwk]));
    house.server.answer("/keys", set(&first));
    assert!(house.judged(&of("1")).await.outcome.is_err(), "not asked again so soon");
    house.clock.set(UnixTime::from_secs(NOW + 5));
    assert_eq!(house.groups(&of("1")).await, ["theirs"]);
    assert_eq!(house.groups(&of("2")).await, ["theirs"]);
    assert_eq!(fetches(), 1);

    // A key that is new there is fetched, one that never was is asked for once.
    house.server.answer("/keys", set(&second));
    house.server.answer(PATH, signed(&second, "second"));
    assert_eq!(house.groups(&of("3")).await, ["theirs"]);
    assert_eq!(fetches(), 2);
    house.server.answer(PATH, signed(&first, "never"));
    for jti in ["4", "5", "6"] {
        assert!(house.refused(&of(jti)).await.to_string().contains("has no key"));
    }
    assert_eq!(fetches(), 3);
}

#[tokio::test]
async fn what_may_not_be_asked_is_not() {
    let house = House::new().await;
    house.server.answer(PATH, gives(&json!({"groups": ["a"]})));
    let with = |endpoint: Value| json!({"_claim_sources": {"src": {"endpoint": endpoint}}});
    let port = house.server.address().port();
    for (changes, words) in [
        (with(json!("https://elsewhere.example/groups")), "https://elsewhere.example, which is not among"),
        (with(json!(format!("https://localhost:{port}/groups"))), "which is not among"),
        (
            with(json!(format!("https://127.0.0.1:{port}@elsewhere.example/"))),
            "https://elsewhere.example, which is not",
        ),
        (with(json!(format!("http://127.0.0.1:{port}/groups"))), "no https URL"),
        (with(json!("/groups")), "no https URL"),
        (with(json!(7)), "not well-formed"),
        (json!({"_claim_sources": {"src": "x"}}), "not well-formed"),
        (
            json!({"_claim_sources": {"src": {"endpoint": format!("{}{PATH}", house.server.base), "access_token": 7}}}),
            "not well-formed",
        ),
        (json!({"_claim_sources": {"other": {}}}), "a source that the token does not describe"),
        (json!({"_claim_sources": null}), "a source that the token does not describe"),
        (json!({"_claim_names": {"groups": 7}}), "a source that the token does not describe"),
        // An aggregated claim is not read.
        (json!({"_claim_sources": {"src": {"JWT": rs256(&json!({}))}}}), "claim \"groups\" is missing"),
        (with(json!("")), "claim \"groups\" is missing"),
    ] {
        let reason = house.refused(&house.token_with(&changes)).await;
        assert!(reason.to_string().contains(words), "{changes}: expected {words:?} in {reason}");
        assert_eq!(reason.code(), "claim-missing", "{changes}");
    }
    for changes in [json!({"_claim_names": "groups"}), json!({"_claim_sources": ["src"]})] {
        assert_eq!(house.refused(&house.token_with(&changes)).await.code(), "claim-wrong-type", "{changes}");
    }
    // Its own claim wins, other claims are not looked for, and a token that refers to nothing has no groups.
    for (changes, groups) in [
        (json!({"groups": ["own"]}), vec!["own"]),
        (json!({"_claim_names": {"roles": "src"}}), vec![]),
        (json!({"_claim_names": null}), vec![]),
    ] {
        assert_eq!(house.groups(&house.token_with(&changes)).await, groups, "{changes}");
    }
    assert!(house.server.requests().is_empty(), "somebody was asked");
}

#[tokio::test]
async fn an_authenticator_that_allows_nothing_asks_nobody() {
    let house = House::with(|authenticator| {
        let mut rules = (*authenticator.rules).clone();
        rules.distributed = None;
        authenticator.rules = Arc::new(rules);
    })
    .await;
    let reason = house.refused(&house.token()).await;
    assert_eq!((reason.code(), reason.step()), ("claim-missing", Some(Step::Groups)));
    // Nor one without a client: what the judge said stands, and says where the claim is.
    let house = House::with(|authenticator| authenticator.claims = None).await;
    let reason = house.refused(&house.token()).await;
    assert_eq!((reason.code(), reason.step()), ("claim-missing", Some(Step::ClaimRules)));
    assert_eq!(reason.to_string(), format!("claim \"groups\" has to be fetched from {}", house.server.base));
    assert!(house.server.requests().is_empty());
}

#[tokio::test]
async fn what_another_authenticator_learned_is_not_this_ones() {
    let house = House::new().await;
    house.server.answer(PATH, gives(&json!({"groups": ["a"]})));
    let token = house.token();
    assert_eq!(house.groups(&token).await, ["a"]);
    // The same object in its next generation: it asks again.
    let mut next = with_profile(|_| {});
    next.generation = 2;
    let (mut writer, index) = issuer::index_of(with_profile(|_| {}));
    writer.set(AuthenticatorRef::jwt("staging"), Entry::Ready(Arc::new(next)));
    let snapshot = index.snapshot();
    let verdict =
        house.verdicts.authenticate(&bearer(&token), &AuthenticatorRef::jwt("staging"), &snapshot, house.clock.now());
    assert_eq!(verdict.outcome.unwrap_err().code(), "claim-missing");
}
