//! What is recorded: one event, one JSON object of a fixed member order, with optional members absent and never `null`.
//!
//! Everything that an attacker can write is cut and cleaned here, so that no sink, terminal or log viewer has to.

mod clean;

use std::time::Duration;

use serde::Serialize;

use self::clean::{clean, clean_list};
use crate::{
    authn::Verdict,
    jwt::{TokenFacts, VerifiedFacts},
    time::UnixTime,
};

/// Version of the schema; within a major version members are only added.
const SCHEMA_VERSION: u32 = 1;

/// One thing that happened, ready to be numbered and written by a sink.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    time: String,
    kind: Kind,
    severity: Severity,
    code: &'static str,
    #[serde(rename = "auditID", skip_serializing_if = "Option::is_none")]
    audit_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    surface: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authenticator: Option<Authenticator>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<Peer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<Token>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<Verified>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<Identity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<CredentialFacts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_us: Option<u64>,
}

/// An event with what only the sink knows: its number, and which cluster and replica wrote it.
#[derive(Debug, Serialize)]
pub(super) struct Record<'a> {
    v: u32,
    pub(super) seq: u64,
    pub(super) cluster: &'a str,
    pub(super) replica: &'a str,
    #[serde(flatten)]
    event: &'a Event,
}

/// One request to exchange a token, as the request layer saw it.
#[derive(Clone, Debug)]
pub struct Exchange<'a> {
    /// Kubernetes' audit id of the request, so that the two logs join.
    pub audit_id: &'a str,
    /// The peer's address; behind the aggregation layer that is the API server.
    pub peer: Option<std::net::SocketAddr>,
    /// `User-Agent`, an attacker's text.
    pub user_agent: Option<&'a str>,
    /// What was decided about the token.
    pub verdict: &'a Verdict,
    /// How it ended.
    pub outcome: Outcome<'a>,
    /// Time from the request's arrival to here.
    pub latency: Duration,
}

/// How an exchange ended.
#[derive(Clone, Debug)]
pub enum Outcome<'a> {
    /// The token is good, and nothing was made.
    Accepted,
    /// A credential was made.
    Granted(CredentialFacts),
    /// No credential, with the stable code and the operator's sentence.
    Refused {
        /// The reason's word.
        code: &'static str,
        /// The reason in words.
        detail: &'a str,
    },
}

/// Facts of an issued certificate; no key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialFacts {
    /// Who signed: a strategy's name.
    pub strategy: &'static str,
    /// Serial number, hex.
    pub serial: String,
    /// SHA-256 of the DER, hex: what kube-apiserver shows as the credential id.
    pub sha256: String,
    /// Start of validity, RFC 3339.
    pub not_before: String,
    /// End of validity, RFC 3339.
    pub not_after: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum Kind {
    #[serde(rename = "credential.issued")]
    CredentialIssued,
    #[serde(rename = "token.accepted")]
    TokenAccepted,
    #[serde(rename = "token.refused")]
    TokenRefused,
    #[serde(rename = "audit.started")]
    AuditStarted,
    #[serde(rename = "audit.stopped")]
    AuditStopped,
    #[serde(rename = "audit.gap")]
    AuditGap,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Severity {
    Info,
    Low,
    Medium,
    High,
}

#[derive(Clone, Debug, Serialize)]
struct Authenticator {
    kind: &'static str,
    name: String,
    uid: String,
    generation: i64,
}

#[derive(Clone, Debug, Serialize)]
struct Peer {
    ip: String,
    port: u16,
}

#[derive(Clone, Debug, Serialize)]
struct Token {
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alg: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    typ: Option<String>,
    bytes: usize,
}

#[derive(Clone, Debug, Serialize)]
struct Verified {
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aud: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    azp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_time: Option<i64>,
}

#[derive(Clone, Debug, Serialize)]
struct Identity {
    username: String,
    groups: usize,
}

/// Longest member in bytes: the whole line stays under 8 KiB, which every log pipeline carries in one piece.
const TEXT: usize = 512;
/// Longest user agent.
const USER_AGENT: usize = 256;
/// Most audiences that are shown; a token with more is refused before this matters.
const AUDIENCES: usize = 4;

impl Event {
    /// A token was offered for exchange.
    #[must_use]
    pub fn exchange(now: UnixTime, exchange: &Exchange<'_>) -> Self {
        Self::judged(now, "exchange", exchange)
    }

    /// kube-apiserver asked whose a token of one of our issuers is.
    #[must_use]
    pub fn review(now: UnixTime, review: &Exchange<'_>) -> Self {
        Self::judged(now, "review", review)
    }

    fn judged(now: UnixTime, surface: &'static str, exchange: &Exchange<'_>) -> Self {
        let facts = &exchange.verdict.facts;
        let (kind, code, detail, credential) = match &exchange.outcome {
            Outcome::Accepted => (Kind::TokenAccepted, "accepted", None, None),
            Outcome::Granted(credential) => (Kind::CredentialIssued, "granted", None, Some(credential.clone())),
            Outcome::Refused { code, detail } => (Kind::TokenRefused, *code, Some(clean(detail, TEXT)), None),
        };
        Self {
            time: now.rfc3339_micros(),
            kind,
            severity: severity(code),
            code,
            audit_id: Some(clean(exchange.audit_id, 64)),
            surface: Some(surface),
            authenticator: exchange.verdict.authenticator.as_ref().map(|authenticator| Authenticator {
                kind: authenticator.kind().name(),
                name: authenticator.name().to_string(),
                uid: authenticator.uid().to_owned(),
                generation: authenticator.generation(),
            }),
            peer: exchange.peer.map(|peer| Peer { ip: peer.ip().to_string(), port: peer.port() }),
            user_agent: exchange.user_agent.map(|agent| clean(agent, USER_AGENT)),
            token: Some(Token::of(facts)),
            verified: facts.verified.as_ref().map(Verified::of),
            identity: exchange.verdict.outcome.as_ref().ok().map(|admitted| Identity {
                username: admitted.user.username().as_str().to_owned(),
                groups: admitted.user.groups().len(),
            }),
            credential,
            detail,
            latency_us: Some(u64::try_from(exchange.latency.as_micros()).unwrap_or(u64::MAX)),
        }
    }

    /// The log begins: nothing before this line of this process exists.
    #[must_use]
    pub fn started(now: UnixTime) -> Self {
        Self::about_the_log(now, Kind::AuditStarted, Severity::Info, "started", None)
    }

    /// The log ends because the process was asked to stop.
    #[must_use]
    pub fn stopped(now: UnixTime) -> Self {
        Self::about_the_log(now, Kind::AuditStopped, Severity::Info, "stopped", None)
    }

    /// `lost` records found no room since the last line: the log says so itself.
    #[must_use]
    pub fn gap(now: UnixTime, lost: u64) -> Self {
        Self::about_the_log(now, Kind::AuditGap, Severity::High, "records-lost", Some(format!("{lost} records lost")))
    }

    /// The reason's word, or `granted`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.code
    }

    fn about_the_log(
        now: UnixTime,
        kind: Kind,
        severity: Severity,
        code: &'static str,
        detail: Option<String>,
    ) -> Self {
        Self {
            time: now.rfc3339_micros(),
            kind,
            severity,
            code,
            audit_id: None,
            surface: None,
            authenticator: None,
            peer: None,
            user_agent: None,
            token: None,
            verified: None,
            identity: None,
            credential: None,
            detail,
            latency_us: None,
        }
    }
}

impl<'a> Record<'a> {
    pub(super) const fn new(seq: u64, cluster: &'a str, replica: &'a str, event: &'a Event) -> Self {
        Self { v: SCHEMA_VERSION, seq, cluster, replica, event }
    }
}

impl Token {
    fn of(facts: &TokenFacts) -> Self {
        let header = facts.header.as_ref();
        Self {
            fingerprint: facts.fingerprint.map(|fingerprint| fingerprint.to_string()),
            alg: header.map(|header| clean(&header.alg, 64)),
            kid: header.and_then(|header| header.kid.as_deref()).map(|kid| clean(kid, 256)),
            typ: header.and_then(|header| header.typ.as_deref()).map(|typ| clean(typ, 64)),
            bytes: facts.bytes,
        }
    }
}

impl Verified {
    fn of(facts: &VerifiedFacts) -> Self {
        let text = |claim: &Option<String>| claim.as_deref().map(|claim| clean(claim, TEXT));
        Self {
            iss: text(&facts.iss),
            sub: text(&facts.sub),
            aud: clean_list(&facts.aud, AUDIENCES, TEXT),
            azp: text(&facts.azp),
            jti: text(&facts.jti),
            sid: text(&facts.sid),
            iat: facts.iat,
            exp: facts.exp,
            auth_time: facts.auth_time,
        }
    }
}

/// How much a person should care: a token that opens two clusters or asks for Kubernetes' own names is somebody's
/// serious mistake, another cluster's token deserves a look, and the rest is the noise of every day.
fn severity(code: &str) -> Severity {
    match code {
        "audience-shared" | "identity-reserved" => Severity::High,
        "signer-unavailable" | "key-ambiguous" => Severity::Medium,
        "audience-mismatch" | "issuer-unknown" => Severity::Low,
        _ => Severity::Info,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authn::Reason;

    fn refused(user_agent: &str, detail: &str) -> serde_json::Value {
        let verdict = Verdict {
            facts: TokenFacts { bytes: 7, ..TokenFacts::default() }.into(),
            authenticator: None,
            outcome: Err(Reason::AuthenticatorUnknown),
        };
        let event = Event::exchange(
            UnixTime::from_secs(1_795_233_600),
            &Exchange {
                audit_id: "5c1e",
                peer: Some(([127, 0, 0, 1], 4711).into()),
                user_agent: Some(user_agent),
                verdict: &verdict,
                outcome: Outcome::Refused { code: "authenticator-unknown", detail },
                latency: Duration::from_micros(312),
            },
        );
        serde_json::to_value(Record::new(9, "staging", "replica-1", &event)).unwrap()
    }

    #[test]
    fn a_refusal_says_what_is_known_and_nothing_else() {
        assert_eq!(
            refused("kubectl/1.36", "no such authenticator"),
            serde_json::json!({
                "v": 1, "seq": 9, "time": "2026-11-21T04:00:00.000000Z", "kind": "token.refused", "severity": "info",
                "code": "authenticator-unknown", "auditID": "5c1e", "cluster": "staging", "replica": "replica-1",
                "surface": "exchange", "peer": {"ip": "127.0.0.1", "port": 4711}, "userAgent": "kubectl/1.36",
                "token": {"bytes": 7}, "detail": "no such authenticator", "latencyUs": 312,
            })
        );
    }

    #[test]
    fn an_attackers_text_cannot_break_a_line_or_a_terminal() {
        let record = refused("a\u{1b}[31m\u{202e}\n\"x\"", &"y".repeat(5_000));
        assert_eq!(record["userAgent"], "a\u{fffd}[31m\u{fffd}\u{fffd}\"x\"");
        assert!(serde_json::to_string(&record).unwrap().len() < 2_000);
    }
}
