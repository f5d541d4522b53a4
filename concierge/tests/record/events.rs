//! One event of each kind, made as the program makes it: the examples of the documentation, in the order of one log.

use std::{sync::Arc, time::Duration};

use latchkey_concierge::{
    audit::{
        chain::{Chain, Identity},
        event::{
            AuthenticatorChange, BySeverity, CheckpointFacts, CredentialFacts, Difference, Event, Exchange, Gap,
            GapReason, Object, Obstacle, OtherHead, Outcome, PreviousLife, Privacy, Proxied, Severity, Started,
            TargetFacts, Totals,
        },
    },
    authn::{self, Verdict},
    fleet::{Fleet, Member, SiblingName},
    index::AuthenticatorRef,
    jwt::{AlgorithmSet, KeySet, Verifier},
    time::UnixTime,
};
use serde_json::{Value, json};

use crate::issuer::{self, Key, NOW, bearer, claims, index_of, key_set, token};

/// What the examples call themselves, and whether an event of one's own is behind it.
pub(crate) struct Example {
    /// The file's name without its ending: the kind, and where one kind has several, which.
    pub(crate) name: &'static str,
    pub(crate) event: Event,
}

const KEY_ID: &str = "2026-10";

/// The examples as lines of one log.
pub(crate) fn log(examples: &[Example]) -> Vec<(&'static str, String)> {
    let identity = Identity {
        cluster: "production".to_owned(),
        replica: "latchkey-concierge-7c9f-2k".to_owned(),
        life: 1_795_233_600_000,
    };
    let (mut chain, mut seq) = (Chain::new(&identity, None), 0);
    let mut lines = Vec::new();
    for Example { name, event } in examples {
        if !event.kind().as_str().starts_with("audit.") {
            seq += 1;
        }
        let mut line = Vec::new();
        chain.append(seq, &event.body(&Privacy::plain()), &mut line);
        lines.push((*name, String::from_utf8(line).unwrap().trim_end().to_owned()));
    }
    lines
}

/// All of them, in the order in which they could have happened.
#[expect(clippy::too_many_lines, reason = "a table of examples, read from top to bottom")]
pub(crate) fn examples() -> Vec<Example> {
    let judge = Judge::new();
    let at = |seconds: i64| UnixTime::from_micros((NOW + seconds) * 1_000_000 + 412_345);
    let example = |name, event| Example { name, event };
    let good = judge.verdict(&json!({"jti": "AT.7", "sid": "s-17", "auth_time": NOW - 60}));
    let staging = judge.verdict(&json!({"aud": "k8s-staging", "sid": "s-18"}));
    let expired = judge.verdict(&json!({"exp": NOW - 7200}));
    let shared = judge.verdict(&json!({"aud": ["k8s-production", "k8s-staging"]}));
    let forged = judge.forged();
    let repeats = Event::exchange(at(70), &refused(&forged));
    let replays = Event::exchange(at(75), &refused(&staging));
    vec![
        example(
            "audit.started",
            Event::started(
                at(0),
                &Started {
                    sink: "stdout",
                    previous: Some(PreviousLife {
                        replica: "latchkey-concierge-6b8d-x4".to_owned(),
                        life: 1_795_147_200_000,
                        seq: 48_211,
                    }),
                    unclean: true,
                },
            ),
        ),
        example("authenticator.changed", Event::authenticator_changed(at(1), corp(), &AuthenticatorChange::Created)),
        example(
            "keys.changed",
            Event::keys_changed(
                at(2),
                corp(),
                &Difference {
                    added: vec![KEY_ID.to_owned()],
                    removed: vec!["2026-04".to_owned()],
                    changed: Vec::new(),
                    total: 2,
                },
            ),
        ),
        example("authenticator.changed.ready", Event::authenticator_changed(at(2), corp(), &AuthenticatorChange::Ready)),
        example("credential.issued", Event::exchange(at(10), &granted(&good))),
        example("token.accepted", Event::review(at(11), &exchange(&good, Outcome::Accepted))),
        example("token.refused", Event::exchange(at(12), &refused(&expired))),
        example("token.refused.replay", Event::exchange(at(13), &refused(&staging))),
        example("token.refused.shared", Event::review(at(14), &refused(&shared))),
        example("token.refused.forged", repeats.folded(4_096, at(13), at(70))),
        example("token.refused.replay-repeated", replays.folded(12, at(15), at(75))),
        example("proxy.request", Event::proxied(at(80), &proxied(Some(&good), None))),
        example(
            "proxy.refused",
            Event::proxied(at(81), &proxied(None, Some(("header-forbidden", "header \"impersonate-user\" is not for clients to send", "")))),
        ),
        example(
            "fleet.changed",
            Event::fleet_changed(
                at(90),
                &Difference { added: vec!["edge-1".to_owned()], changed: vec!["staging".to_owned()], total: 3, ..Difference::default() },
            ),
        ),
        example(
            "configuration.refused",
            Event::configuration_refused(
                at(91),
                corp(),
                &Obstacle {
                    condition: "AudienceUnique".to_owned(),
                    reason: "AudienceShared".to_owned(),
                    message: "audience \"k8s-production\" is that of cluster \"edge-1\" too: give each cluster an OIDC client of its own".to_owned(),
                },
            ),
        ),
        example(
            "authenticator.changed.not-ready",
            Event::authenticator_changed(
                at(91),
                corp(),
                &AuthenticatorChange::NotReady(Obstacle {
                    condition: "AudienceUnique".to_owned(),
                    reason: "AudienceShared".to_owned(),
                    message: "audience \"k8s-production\" is that of cluster \"edge-1\" too".to_owned(),
                }),
            ),
        ),
        example(
            "keys.failed",
            Event::keys_failed(
                at(95),
                corp(),
                &Obstacle {
                    condition: "JWKSFetchValid".to_owned(),
                    reason: "UnableToFetch".to_owned(),
                    message: "fetching the key set: connection refused".to_owned(),
                },
            ),
        ),
        example(
            "audit.gap",
            Event::gap(
                at(96),
                &Gap {
                    reason: GapReason::Overflow,
                    from: at(94),
                    to: at(96),
                    seq_first: 16,
                    seq_last: 31,
                    dropped: dropped(),
                    head: None,
                },
            ),
        ),
        example(
            "audit.checkpoint",
            Event::checkpoint(
                at(97),
                &CheckpointFacts {
                    note: "latchkey.dev/audit/production/latchkey-concierge-7c9f-2k/1795233600000/stdout\n18\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n— latchkey.dev/audit/production/latchkey-concierge-7c9f-2k/1795233600000/stdout Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n".to_owned(),
                    tree: vec![
                        "zpWSyjGCRWVdNnzZHCkHmgYBdaaLgrkrDE5AeDqLcOo=".to_owned(),
                        "QL1sFBMPWQXZCeDCIHPpKYpYxr8ihDgbGbCQBqOUQFM=".to_owned(),
                    ],
                    others: vec![OtherHead {
                        origin: "latchkey.dev/audit/production/latchkey-concierge-7c9f-9w/1795233605000/stdout".to_owned(),
                        size: 212,
                        root: "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=".to_owned(),
                    }],
                },
            ),
        ),
        example("audit.stopped", Event::stopped(at(120), &Totals { written: 19, dropped: dropped() })),
    ]
}

/// An authenticator that knows one key, in a fleet of two clusters.
pub(crate) struct Judge {
    key: Key,
    stranger: Key,
}

impl Judge {
    pub(crate) fn new() -> Self {
        Self { key: Key::ed25519(KEY_ID), stranger: Key::ed25519(KEY_ID) }
    }

    /// What is decided of a token with `changes` laid over good claims.
    pub(crate) fn verdict(&self, changes: &Value) -> Verdict {
        self.judge(&self.key, changes)
    }

    /// What is decided of a token that somebody else signed.
    pub(crate) fn forged(&self) -> Verdict {
        self.judge(&self.stranger, &json!({"aud": "k8s-staging", "sub": "admin"}))
    }

    fn judge(&self, signer: &Key, changes: &Value) -> Verdict {
        self.offered(&Self::signed(signer, changes))
    }

    /// A token of the issuer with `changes` laid over good claims.
    pub(crate) fn token(&self, changes: &Value) -> String {
        Self::signed(&self.key, changes)
    }

    fn signed(signer: &Key, changes: &Value) -> String {
        let mut all = json!({"aud": "k8s-production", "username": "ada@example.org", "azp": "k8s-production"});
        for (name, value) in changes.as_object().unwrap() {
            all[name] = value.clone();
        }
        let header = json!({"alg": "EdDSA", "kid": KEY_ID, "typ": "JWT"}).to_string();
        token(signer, &header, &claims(&all))
    }

    /// What is decided of that token.
    pub(crate) fn offered(&self, token: &str) -> Verdict {
        let (_writer, reader) = index_of(self.authenticator());
        let (staging, now) = (AuthenticatorRef::jwt("staging"), UnixTime::from_secs(NOW));
        authn::authenticate(&bearer(token), &staging, &reader.snapshot(), now)
    }

    fn authenticator(&self) -> latchkey_concierge::index::Authenticator {
        let (keys, _) = KeySet::parse(&key_set([&self.key.jwk])).unwrap();
        let mut profile = issuer::profile();
        profile.audiences = issuer::audiences(&["k8s-production"]);
        profile.siblings = fleet().siblings("production");
        let mut authenticator = issuer::authenticator(&key_set([&self.key.jwk]));
        authenticator.verifier = Verifier::new(Arc::new(profile), AlgorithmSet::default(), Arc::new(keys));
        authenticator.generation = 4;
        authenticator
    }
}

fn fleet() -> Fleet {
    Fleet::new(["production", "staging"].map(|name| Member {
        name: SiblingName::new(name),
        audiences: vec![format!("k8s-{name}")],
        issuers: Vec::new(),
        display_name: None,
        contact: None,
    }))
}

fn corp() -> Object {
    Object { kind: "JWTAuthenticator", name: "staging".to_owned(), uid: "3e1f".to_owned(), generation: 4 }
}

fn dropped() -> BySeverity {
    let mut dropped = BySeverity::default();
    dropped.add(Severity::Info, 16);
    dropped
}

pub(crate) fn exchange<'a>(verdict: &'a Verdict, outcome: Outcome<'a>) -> Exchange<'a> {
    Exchange {
        audit_id: "5c1ea6f2-5e0d-4a0f-9b0f-2b6b8e7f3c11",
        peer: Some(([10, 3, 4, 5], 51_234).into()),
        forwarded: Some([203, 0, 113, 9].into()),
        user_agent: Some("kubectl-latchkey/0.1.0 (darwin/arm64)"),
        verdict,
        outcome,
        latency: Duration::from_micros(312),
    }
}

pub(crate) fn granted(verdict: &Verdict) -> Exchange<'_> {
    let credential = CredentialFacts {
        strategy: "ClientCertificateAuthority",
        serial: "3f1c0a77d2e94b51".to_owned(),
        sha256: "9f2c".repeat(16),
        not_before: "2026-11-21T03:55:00Z".to_owned(),
        not_after: "2026-11-21T04:05:00Z".to_owned(),
    };
    exchange(verdict, Outcome::Granted(credential))
}

/// The refusal that the verdict is. Its sentences live as long as the test.
pub(crate) fn refused(verdict: &Verdict) -> Exchange<'_> {
    let reason = verdict.outcome.as_ref().unwrap_err();
    let (detail, discreet) = (reason.to_string().leak(), reason.discreet().leak());
    exchange(verdict, Outcome::Refused { code: reason.code(), detail, discreet })
}

fn proxied<'a>(verdict: Option<&'a Verdict>, refused: Option<(&'static str, &'a str, &'a str)>) -> Proxied<'a> {
    Proxied {
        audit_id: "c2b7d7a0-93a5-4a4c-8d38-0f4fb7ab3e55",
        peer: Some(([192, 0, 2, 7], 40_112).into()),
        user_agent: Some("kubectl/v1.36.3 (linux/amd64) kubernetes/1a2b3c4"),
        verdict,
        user: verdict.map(|_| ("ada@example.org", 2)),
        target: TargetFacts {
            verb: "get",
            resource: "pods",
            namespace: "default",
            name: "web-0",
            subresource: "log",
            path: "/api/v1/namespaces/default/pods/web-0/log",
        },
        refused,
        latency: Duration::from_micros(1_840),
    }
}
