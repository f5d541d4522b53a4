//! Events as lines: what is in them, what is not, and that no input makes them too long.

use serde_json::{Value, json};

use super::*;
use crate::jwt::{ClaimedFacts, HeaderFacts, TokenFacts, VerifiedFacts};

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
