//! Whatever text may come (audit.md 9.7): each line stays one line, parses, is as the schema says, is short enough, and
//! moves no cursor.

use std::sync::Arc;

use latchkey_concierge::{
    audit::event::{
        AuthenticatorChange, Difference, Event, NameKey, Names, Object, Obstacle, Outcome, Privacy, Proxied,
        TargetFacts,
    },
    authn::{Reason, Verdict},
    jwt::{ClaimedFacts, HeaderFacts, TokenFacts, VerifiedFacts},
    text::is_dangerous,
    time::UnixTime,
};
use proptest::prelude::*;
use serde_json::Value;

use crate::{
    events::{Example, Judge, exchange, log},
    issuer::NOW,
    schema::assert_records,
};

/// Text of every hostile kind, one to a line of threats.md L1 and audit.md 9.7.
pub(crate) fn nasty() -> Vec<String> {
    let mut nasty: Vec<String> = [
        "",
        "\n{\"v\":1,\"kind\":\"credential.issued\"}",
        "\r\n",
        "\u{1b}[2J\u{1b}]0;owned\u{7}",
        "\u{9b}31m",
        "\u{202e}gnp.exe\u{202c}",
        "\u{2066}\u{2069}",
        "a\u{2028}b\u{2029}c",
        "a\u{200b}\u{200d}\u{feff}b",
        "\u{0}",
        "\\ud800",
        "\\\"},\"severity\":\"high\",{\\\"",
        "{\"kid\":\"a\",\"aud\":[\"b\"]}",
        "${jndi:ldap://x}",
        "%n%s%x",
        "../../etc/passwd",
        "e\u{301}\u{301}\u{301}",
        "\u{e0041}\u{e0042}",
        "🦀漢字",
    ]
    .map(str::to_owned)
    .into();
    nasty.extend(["\"", "\\", "\u{1}", "\u{fffd}", "🦀", "x"].map(|piece| piece.repeat(64 * 1024)));
    nasty
}

fn at() -> UnixTime {
    UnixTime::from_secs(NOW)
}

/// Every kind of event with `text` in every place where a stranger can put one.
fn everywhere(text: &str) -> Vec<Example> {
    let own = || Some(text.to_owned());
    let header = Some(HeaderFacts { alg: text.to_owned(), kid: own(), typ: own() });
    let list = vec![text.to_owned(); 40];
    let claimed = ClaimedFacts { iss: own(), sub: own(), aud: list.clone() };
    let verified = VerifiedFacts {
        iss: own(),
        sub: own(),
        aud: list.clone(),
        azp: own(),
        jti: own(),
        sid: own(),
        iat: Some(i64::MIN),
        exp: Some(i64::MAX),
        auth_time: Some(0),
    };
    let unsigned =
        TokenFacts { bytes: usize::MAX, header: header.clone(), claimed: Some(claimed), ..TokenFacts::default() };
    let signed = TokenFacts { bytes: 1, header, verified: Some(verified), signed: true, ..TokenFacts::default() };
    let mut events = Vec::new();
    for facts in [unsigned, signed] {
        let verdict =
            Verdict { facts: Arc::new(facts), authenticator: None, outcome: Err(Reason::AuthenticatorUnknown) };
        let outcome = Outcome::Refused { code: "authenticator-unknown", detail: text, discreet: text };
        let mut refused = exchange(&verdict, outcome);
        refused.audit_id = text;
        refused.user_agent = Some(text);
        events.push(Event::exchange(at(), &refused));
        events.push(Event::review(at(), &refused).folded(u64::MAX, at(), at()));
        events.push(Event::exchange(at(), &refused).merged());
        events.push(Event::proxied(
            at(),
            &Proxied {
                audit_id: text,
                peer: None,
                user_agent: Some(text),
                verdict: Some(&verdict),
                user: Some((text, usize::MAX)),
                target: TargetFacts {
                    verb: "get",
                    resource: text,
                    namespace: text,
                    name: text,
                    subresource: text,
                    path: text,
                },
                refused: Some(("target-forbidden", text, text)),
                latency: std::time::Duration::MAX,
            },
        ));
    }
    // Names of objects are Kubernetes' and so tame; what a condition says of them may quote an issuer's answer.
    let object = || Object { kind: "JWTAuthenticator", name: "corp".to_owned(), uid: "u".to_owned(), generation: 1 };
    let obstacle =
        Obstacle { condition: "JWKSFetchValid".to_owned(), reason: "Failed".to_owned(), message: text.to_owned() };
    let difference = Difference { added: list.clone(), removed: list.clone(), changed: list, total: usize::MAX };
    events.extend([
        Event::authenticator_changed(at(), object(), &AuthenticatorChange::NotReady(obstacle.clone())),
        Event::keys_changed(at(), object(), &difference),
        Event::keys_failed(at(), object(), &obstacle),
        Event::configuration_refused(at(), object(), &obstacle),
        Event::fleet_changed(at(), &difference),
    ]);
    events.into_iter().map(|event| Example { name: "hostile", event }).collect()
}

fn assert_tame(text: &str) {
    for (_, line) in log(&everywhere(text)) {
        assert!(!line.contains('\n') && !line.chars().any(is_dangerous), "{line:?}");
        assert_records(&line);
        let record: Value = serde_json::from_str(&line).unwrap();
        assert_ne!(record["kind"], "credential.issued", "{line}");
    }
}

#[test]
fn no_text_breaks_a_line() {
    for text in nasty() {
        assert_tame(&text);
    }
}

#[test]
fn what_was_cut_is_listed() {
    for (_, line) in log(&everywhere(&"x".repeat(64 * 1024))) {
        let record: Value = serde_json::from_str(&line).unwrap();
        // A record of many sources quotes nobody.
        let truncated = record["truncated"].as_array().cloned().unwrap_or_default();
        assert_eq!(truncated.is_empty(), record["source"] == "other", "{line}");
        for member in truncated {
            let path = format!("/{}", member.as_str().unwrap().replace('.', "/"));
            assert!(record.pointer(&path).is_some(), "{member} is not there: {line}");
        }
        for (member, limit) in
            [("/userAgent", 256), ("/verified/sub", 512), ("/claimed/sub", 128), ("/request/path", 512)]
        {
            if let Some(text) = record.pointer(member).and_then(Value::as_str) {
                assert!(text.len() <= limit && text.ends_with('…'), "{member}: {} bytes", text.len());
            }
        }
    }
}

#[test]
fn no_name_is_shown_where_names_are_hidden() {
    const NAME: &str = "grace.hopper@example.org";
    let key = || Some(NameKey::new(&[3; 32]));
    let judge = Judge::new();
    let person = serde_json::json!({"sub": NAME, "username": NAME, "azp": NAME});
    let reserved = serde_json::json!({"sub": NAME, "username": format!("system:{NAME}")});
    for claims in [person, reserved] {
        let verdict = judge.verdict(&claims);
        let event = match &verdict.outcome {
            Ok(_) => Event::exchange(at(), &crate::events::granted(&verdict)),
            Err(_) => Event::exchange(at(), &crate::events::refused(&verdict)),
        };
        let line = |privacy: Privacy| String::from_utf8(event.body(&privacy)).unwrap();
        assert!(line(Privacy::plain()).contains(NAME));
        for names in [Names::Hashed, Names::Balanced, Names::Off] {
            let shown = line(Privacy::new(names, key()));
            assert!(!shown.contains("hopper"), "{names}: {shown}");
            assert_eq!(shown.contains("hmac:"), names != Names::Off, "{names}: {shown}");
        }
        assert!(!line(Privacy::new(Names::Hashed, None)).contains("hopper"));
    }
}

#[test]
fn no_part_of_a_token_is_in_any_line_sentence_or_debug_text() {
    // Claims that nobody asked for are as secret as the token: groups, at_hash, a nonce, whatever an issuer puts there.
    let secrets = ["S3cr3t-nonce", "S3cr3t-hash", "S3cr3t-member"];
    let with = |changes: Value| {
        let mut claims = serde_json::json!({"nonce": secrets[0], "at_hash": secrets[1], "department": secrets[2]});
        claims.as_object_mut().unwrap().extend(changes.as_object().cloned().unwrap());
        claims
    };
    let judge = Judge::new();
    let mut tokens: Vec<String> = [
        serde_json::json!({}),
        serde_json::json!({"exp": NOW - 1}),
        serde_json::json!({"aud": "k8s-staging"}),
        serde_json::json!({"aud": ["k8s-production", "k8s-staging"]}),
        serde_json::json!({"aud": "elsewhere"}),
        serde_json::json!({"iss": "https://other.example"}),
        serde_json::json!({"username": "system:admin"}),
        serde_json::json!({"username": 7}),
        serde_json::json!({"events": {}}),
        serde_json::json!({"nbf": NOW + 3600}),
        serde_json::json!({"jti": ["a"]}),
    ]
    .map(|changes| judge.token(&with(changes)))
    .into();
    let good = tokens[0].clone();
    let (input, signature) = good.rsplit_once('.').unwrap();
    let flipped: String = signature.chars().rev().collect();
    tokens.extend([
        format!("{input}.{flipped}"),
        format!("{good}.{signature}"),
        format!("{input}={signature}"),
        format!("Bearer {good}"),
        format!(" {good}"),
        good.repeat(64),
        format!("{{\"payload\":\"{good}\"}}"),
    ]);
    for token in tokens {
        let verdict = judge.offered(&token);
        let event = match &verdict.outcome {
            Ok(_) => Event::exchange(at(), &crate::events::granted(&verdict)),
            Err(_) => Event::exchange(at(), &crate::events::refused(&verdict)),
        };
        let line = String::from_utf8(event.body(&Privacy::plain())).unwrap();
        let reason = verdict.outcome.as_ref().err().map_or_else(String::new, |reason| format!("{reason} {reason:?}"));
        for written in [line, reason, format!("{event:?}")] {
            // Any run of characters that long of a token would be a part of it.
            let pieces = token.split(['.', '=', ' ', '"']).filter(|piece| piece.len() > 24);
            for secret in pieces.map(|piece| &piece[..24]).chain(secrets) {
                assert!(!written.contains(secret), "{secret} is in {written}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_text_gives_a_record(text in "(\\PC|[\u{0}-\u{1f}\u{7f}-\u{9f}\u{2020}-\u{2070}\"\\\\]){0,700}") {
        assert_tame(&text);
    }
}
