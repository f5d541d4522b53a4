//! Events as lines: what is in them, what is not, and that no input makes them too long.

use serde_json::{Value, json};

use super::*;
use crate::{
    fleet::SiblingName,
    jwt::{Audience, Audiences, ClaimedFacts, HeaderFacts, TokenFacts, VerifiedFacts},
    mapping::Refusal,
    secret::TokenFingerprint,
};

const NOW: UnixTime = UnixTime::from_secs(1_795_233_600);

fn shown(event: &Event, privacy: &Privacy) -> Value {
    let body = event.body(privacy);
    serde_json::from_str(&format!("{{{}}}", String::from_utf8(body).unwrap())).unwrap()
}

fn refusal(facts: TokenFacts, user_agent: &str, detail: &str) -> Event {
    let verdict = Verdict { facts: facts.into(), authenticator: None, outcome: Err(Reason::AuthenticatorUnknown) };
    let exchange = Exchange {
        audit_id: "5c1e",
        peer: Some(([127, 0, 0, 1], 4711).into()),
        forwarded: None,
        user_agent: Some(user_agent),
        verdict: &verdict,
        outcome: Outcome::Refused { code: "authenticator-unknown", detail, discreet: "somebody" },
        latency: Duration::from_micros(312),
    };
    Event::exchange(NOW, &exchange)
}

fn of_seven_bytes() -> TokenFacts {
    TokenFacts { bytes: 7, ..TokenFacts::default() }
}

#[test]
fn a_refusal_says_what_is_known_and_nothing_else() {
    let event = refusal(of_seven_bytes(), "kubectl/1.36", "no such authenticator");
    assert_eq!(
        shown(&event, &Privacy::plain()),
        json!({
            "time": "2026-11-21T04:00:00.000000Z", "kind": "token.refused", "severity": "info",
            "code": "authenticator-unknown", "auditID": "5c1e", "surface": "exchange",
            "peer": {"ip": "127.0.0.1", "port": 4711}, "userAgent": "kubectl/1.36", "token": {"bytes": 7},
            "detail": "no such authenticator", "latencyUs": 312,
        })
    );
}

#[test]
fn an_attackers_text_cannot_break_a_line_or_a_terminal() {
    let event = refusal(of_seven_bytes(), "a\u{1b}[31m\u{202e}\n\"x\"", &"y".repeat(5_000));
    let record = shown(&event, &Privacy::plain());
    assert_eq!(record["userAgent"], "a\u{fffd}[31m\u{fffd}\u{fffd}\"x\"");
    assert_eq!(record["truncated"], json!(["detail"]));
    assert!(event.body(&Privacy::plain()).len() < 2_000);
}

#[test]
fn what_nobody_signed_stands_apart() {
    let header = Some(HeaderFacts { alg: "RS256".into(), kid: Some("k1".into()), typ: None });
    let claimed = Some(ClaimedFacts { sub: Some("ada".into()), aud: vec!["a".into()], ..ClaimedFacts::default() });
    let unsigned = TokenFacts { header: header.clone(), claimed: claimed.clone(), ..of_seven_bytes() };
    let record = shown(&refusal(unsigned, "", ""), &Privacy::plain());
    assert_eq!(record["claimed"], json!({"sub": "ada", "aud": ["a"], "kid": "k1"}));
    assert_eq!(record["token"], json!({"alg": "RS256", "bytes": 7}));
    assert_eq!(record.get("verified"), None);

    let verified = Some(VerifiedFacts { sub: Some("ada".into()), ..VerifiedFacts::default() });
    let signed = TokenFacts { header, claimed, verified, signed: true, ..of_seven_bytes() };
    let record = shown(&refusal(signed, "", ""), &Privacy::plain());
    assert_eq!(record.get("claimed"), None);
    assert_eq!(record["token"], json!({"alg": "RS256", "kid": "k1", "bytes": 7}));
    assert_eq!(record["verified"], json!({"sub": "ada"}));
}

#[test]
fn hidden_names_are_nowhere_in_a_line() {
    let verified = VerifiedFacts {
        sub: Some("ada".into()),
        azp: Some("ada@example.org".into()),
        jti: Some("j1".into()),
        ..VerifiedFacts::default()
    };
    let facts = TokenFacts { verified: Some(verified), signed: true, ..of_seven_bytes() };
    let event = refusal(facts, "", "\"ada\" is reserved");
    let line = |privacy: &Privacy| String::from_utf8(event.body(privacy)).unwrap();
    assert_eq!(line(&Privacy::plain()).matches("ada").count(), 3);
    let hashed = line(&Privacy::new(Names::Hashed, Some(NameKey::new(&[1; 32]))));
    assert!(!hashed.contains("ada") && hashed.matches("hmac:").count() == 2, "{hashed}");
    assert!(hashed.contains("somebody") && hashed.contains("j1"), "{hashed}");
    let off = line(&Privacy::new(Names::Off, Some(NameKey::new(&[1; 32]))));
    assert!(!off.contains("ada") && !off.contains("hmac:") && off.contains("j1"), "{off}");
}

// === severity (audit.md 3) ===

const DAY: i64 = 24 * 60 * 60;

fn judged(reason: Reason, exp: Option<i64>) -> Verdict {
    let verified = Some(VerifiedFacts { sub: Some("ada".into()), exp, ..VerifiedFacts::default() });
    let facts = TokenFacts { verified, signed: true, fingerprint: Some(fingerprint(1)), ..of_seven_bytes() };
    Verdict { facts: facts.into(), authenticator: None, outcome: Err(reason) }
}

fn event(verdict: &Verdict, peer: &str, forwarded: Option<&str>) -> Event {
    let code = verdict.outcome.as_ref().map_or_else(Reason::code, |_| "accepted");
    let exchange = Exchange {
        audit_id: "5c1e",
        peer: Some(peer.parse().unwrap()),
        forwarded: forwarded.map(|address| address.parse().unwrap()),
        user_agent: Some("kubectl"),
        verdict,
        outcome: Outcome::Refused { code, detail: "because", discreet: "because" },
        latency: Duration::from_micros(312),
    };
    Event::exchange(NOW, &exchange)
}

fn ours() -> Audiences {
    Audiences::new(vec![Audience::new("k8s-production".to_owned())]).unwrap()
}

fn of_sibling() -> Reason {
    let cluster = SiblingName::new("staging");
    Reason::Token(Rejection::AudienceOtherCluster { found: Vec::new(), cluster, expected: ours() })
}

fn shared(cluster: Option<&str>) -> Reason {
    let cluster = cluster.map(SiblingName::new);
    Reason::Token(Rejection::AudienceShared { found: Vec::new(), expected: ours(), cluster })
}

#[test]
fn severity_is_as_the_table_says() {
    let now = NOW.as_secs();
    let expired = |seconds_ago| Reason::Token(Rejection::Expired { seconds_ago });
    let token = Reason::Token;
    let (found, expected) = ("https://elsewhere".to_owned(), "https://here".to_owned());
    for (row, reason, exp, severity) in [
        ("1", of_sibling(), Some(now + 60), Severity::High),
        ("1, to the last second", of_sibling(), Some(now), Severity::High),
        ("1, for ever", of_sibling(), None, Severity::High),
        ("2", of_sibling(), Some(now - 1), Severity::Medium),
        ("2, to the last second", of_sibling(), Some(now - DAY), Severity::Medium),
        ("3", of_sibling(), Some(now - DAY - 1), Severity::Low),
        ("4", shared(Some("staging")), Some(now + 60), Severity::High),
        ("4, even when it is over", shared(Some("staging")), Some(now - 2 * DAY), Severity::High),
        ("4, with whom nobody knows", shared(None), Some(now + 60), Severity::High),
        ("5", token(Rejection::AudienceMismatch { found: Vec::new(), expected: ours() }), None, Severity::Low),
        ("6", token(Rejection::IssuerUnknown { found, expected }), None, Severity::Low),
        ("8", token(Rejection::SignatureInvalid), None, Severity::Info),
        ("9", token(Rejection::NotThreeSegments("two segments")), None, Severity::Info),
        ("9, too large", token(Rejection::TokenTooLarge { bytes: 2, limit: 1 }), None, Severity::Info),
        ("10", expired(JUST_EXPIRED_SECONDS - 1), None, Severity::Info),
        ("10, no longer", expired(JUST_EXPIRED_SECONDS), None, Severity::Low),
        ("Kubernetes' own name", Reason::Identity(Refusal::IdentityReserved("system:x".into())), None, Severity::High),
        ("one key id, two keys", token(Rejection::KeyAmbiguous { fitting: 2 }), None, Severity::Medium),
    ] {
        let event = event(&judged(reason, exp), "127.0.0.1:1", None);
        assert_eq!(event.severity(), severity, "row {row}");
        assert_eq!(shown(&event, &Privacy::plain())["severity"], severity.as_str(), "row {row}");
    }
}

#[test]
fn many_bad_signatures_from_one_network_are_somebody_forging() {
    let event = |reason| event(&judged(reason, None), "127.0.0.1:1", None);
    for (count, severity) in [(2, Severity::Info), (FORGING, Severity::Info), (FORGING + 1, Severity::Medium)] {
        let folded = event(Reason::Token(Rejection::SignatureInvalid)).folded(count, NOW, NOW);
        assert_eq!(folded.severity(), severity, "{count}");
    }
    let malformed = event(Reason::Token(Rejection::NotBase64Url)).folded(100_000, NOW, NOW);
    assert_eq!(malformed.severity(), Severity::Info);
    let replay = judged(of_sibling(), None);
    assert_eq!(self::event(&replay, "127.0.0.1:1", None).folded(100, NOW, NOW).severity(), Severity::High);
}

// === repeats (audit.md 5) ===

fn fingerprint(of: u8) -> TokenFingerprint {
    TokenFingerprint::of(&[of])
}

fn key(facts: TokenFacts, reason: Reason, peer: &str, forwarded: Option<&str>) -> FoldKey {
    let verdict = Verdict { facts: facts.into(), authenticator: None, outcome: Err(reason) };
    event(&verdict, peer, forwarded).fold_key().unwrap()
}

#[test]
fn repeats_are_told_by_network_code_and_signed_token_and_by_no_strangers_word() {
    let unknown = || Reason::AuthenticatorUnknown;
    let unsigned = |of: u8, sub: &str| TokenFacts {
        fingerprint: Some(fingerprint(of)),
        claimed: Some(ClaimedFacts { sub: Some(sub.into()), ..ClaimedFacts::default() }),
        ..of_seven_bytes()
    };
    let signed = |of: u8| TokenFacts {
        fingerprint: Some(fingerprint(of)),
        verified: Some(VerifiedFacts::default()),
        signed: true,
        ..of_seven_bytes()
    };
    let from = |peer| key(unsigned(1, "ada"), unknown(), peer, None);
    assert_eq!(from("192.0.2.1:1"), key(unsigned(2, "eve"), unknown(), "192.0.2.1:1", None), "a stranger's words");
    assert_eq!(from("192.0.2.1:1"), from("192.0.2.254:2"));
    assert_ne!(from("192.0.2.1:1"), from("192.0.3.1:1"));
    assert_eq!(from("192.0.2.1:1"), from("[::ffff:192.0.2.9]:1"), "one address in two notations");
    assert_eq!(from("[2001:db8::1]:1"), from("[2001:db8::ffff:2]:1"));
    assert_ne!(from("[2001:db8::1]:1"), from("[2001:db8:0:1::1]:1"));
    let behind = |address| key(unsigned(1, "ada"), unknown(), "192.0.2.1:1", Some(address));
    assert_eq!(behind("203.0.113.9"), from("203.0.113.1:1"), "whom the proxy had before it counts");
    assert_ne!(from("192.0.2.1:1"), key(unsigned(1, "ada"), Reason::AuthenticatorNotReady, "192.0.2.1:1", None));

    let of = |of, reason| key(signed(of), reason, "192.0.2.1:1", None);
    assert_eq!(of(1, of_sibling()), of(1, of_sibling()));
    assert_ne!(of(1, of_sibling()), of(2, of_sibling()), "two tokens that were really issued");
    assert_ne!(of(1, of_sibling()), of(1, shared(Some("staging"))));
}

#[test]
fn where_there_is_no_room_all_but_live_replays_are_told_together() {
    let now = NOW.as_secs();
    let key = |reason, exp, peer| event(&judged(reason, exp), peer, None).fold_key().unwrap();
    for alone in [key(of_sibling(), Some(now + 1), "192.0.2.1:1"), key(shared(Some("staging")), None, "192.0.2.1:1")] {
        assert_eq!(alone.merged(), None, "rows 1 and 4 keep their own record");
    }
    let stale = |peer| key(of_sibling(), Some(now - 2 * DAY), peer);
    assert_ne!(stale("192.0.2.1:1"), stale("198.51.100.1:1"));
    assert_eq!(stale("192.0.2.1:1").merged(), stale("198.51.100.1:1").merged());
    assert!(stale("192.0.2.1:1").merged().is_some());
    let others = |reason| key(reason, None, "192.0.2.1:1").merged();
    assert_ne!(others(Reason::AuthenticatorUnknown), others(Reason::AuthenticatorNotReady), "one for each code");
}

#[test]
fn the_record_of_many_says_nothing_of_one() {
    let event = event(&judged(Reason::AuthenticatorUnknown, None), "192.0.2.1:1", Some("203.0.113.9"));
    let record = shown(&event.merged().folded(7, NOW, NOW), &Privacy::plain());
    assert_eq!(
        record,
        json!({
            "time": "2026-11-21T04:00:00.000000Z", "kind": "token.refused", "severity": "info",
            "code": "authenticator-unknown", "surface": "exchange", "source": "other", "count": 7,
            "firstTime": "2026-11-21T04:00:00.000000Z", "lastTime": "2026-11-21T04:00:00.000000Z", "latencyUs": 312,
        })
    );
}

#[test]
fn grants_and_changes_are_never_folded() {
    let verdict = judged(Reason::AuthenticatorUnknown, None);
    let accepted = Exchange {
        audit_id: "5c1e",
        peer: None,
        forwarded: None,
        user_agent: None,
        verdict: &verdict,
        outcome: Outcome::Accepted,
        latency: Duration::ZERO,
    };
    assert_eq!(Event::review(NOW, &accepted).fold_key(), None);
    assert_eq!(Event::fleet_changed(NOW, &Difference::default()).fold_key(), None);
    assert_eq!(Event::stopped(NOW, &Totals { written: 1, dropped: BySeverity::default() }).fold_key(), None);
}
