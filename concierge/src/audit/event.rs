//! What is recorded: one event, one JSON object of a fixed member order, with optional members absent and never `null`.
//!
//! The schema is `deploy/audit/record.schema.json`. Everything that an attacker can write is cut and cleaned here, so that no
//! sink, terminal or log viewer has to; what an unverified token says of itself stands in members of its own.

mod body;
mod change;
mod fold;
mod kind;
mod log;
mod privacy;
mod request;

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

pub use self::{
    body::BODY_LIMIT,
    change::{AuthenticatorChange, Difference, Obstacle},
    fold::FoldKey,
    kind::{BySeverity, Class, Kind, Severity},
    log::{CheckpointFacts, Gap, GapReason, OtherHead, PreviousLife, Started, Totals},
    privacy::{MAX_NAME, NameKey, Names, NamesError, Privacy},
    request::{CredentialFacts, Object, Surface, TargetFacts},
};
use self::{
    change::{Change, Condition, Listed},
    log::AboutTheLog,
    request::{Cross, Identity, Request, TEXT, Target},
};
use crate::{
    authn::{Reason, Verdict},
    jwt::Rejection,
    text::Text,
    time::UnixTime,
};

/// Version of the schema; within a major version members are only added.
pub const SCHEMA_VERSION: u32 = 1;

/// One thing that happened, ready to be numbered and written by a sink. Its size is bounded, whatever it was made from.
#[derive(Clone, Debug)]
pub struct Event {
    time: UnixTime,
    kind: Kind,
    severity: Severity,
    code: &'static str,
    subject: Subject,
    detail: Option<Detail>,
    repeats: Option<Repeats>,
}

/// One request to exchange a token, or to say whose it is, as the request layer saw it.
#[derive(Clone, Debug)]
pub struct Exchange<'a> {
    /// Kubernetes' audit id of the request, so that the two logs join.
    pub audit_id: &'a str,
    /// The peer's address; behind the aggregation layer that is the API server.
    pub peer: Option<SocketAddr>,
    /// Whom the front proxy had before it: only where its certificate was verified.
    pub forwarded: Option<IpAddr>,
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
        /// The same without any value that could name a person.
        discreet: &'a str,
    },
}

/// One request through the impersonation proxy.
#[derive(Clone, Debug)]
pub struct Proxied<'a> {
    /// Kubernetes' audit id of the request.
    pub audit_id: &'a str,
    /// The other end of the connection.
    pub peer: Option<SocketAddr>,
    /// `User-Agent`, an attacker's text.
    pub user_agent: Option<&'a str>,
    /// What was decided about its token; `None` for one with a client certificate.
    pub verdict: Option<&'a Verdict>,
    /// As whom it goes on, with the number of its groups; `None`: nobody is known.
    pub user: Option<(&'a str, usize)>,
    /// What it asks for.
    pub target: TargetFacts<'a>,
    /// Why it was refused: the code, the sentence, and the sentence without names.
    pub refused: Option<(&'static str, &'a str, &'a str)>,
    /// Time from the request's arrival to here.
    pub latency: Duration,
}

#[derive(Clone, Debug)]
enum Subject {
    Request(Box<Request>),
    Change(Box<Change>),
    Log(Box<AboutTheLog>),
}

/// The operator's sentence, in two wordings where one could name a person.
#[derive(Clone, Debug)]
struct Detail {
    text: Text,
    discreet: Option<Text>,
}

#[derive(Clone, Copy, Debug)]
struct Repeats {
    count: u64,
    first: UnixTime,
    last: UnixTime,
}

/// A laptop that wakes up shows a token that has just expired: until then that is nothing odd (audit.md 3, row 10).
const JUST_EXPIRED_SECONDS: i64 = 300;

/// More tokens with a bad signature within one window from one network is somebody forging (audit.md 3, row 8).
const FORGING: u64 = 20;

impl Event {
    // === requests ===

    /// A token was offered for exchange.
    #[must_use]
    pub fn exchange(now: UnixTime, exchange: &Exchange<'_>) -> Self {
        Self::judged(now, Surface::Exchange, exchange)
    }

    /// kube-apiserver asked whose a token of one of our issuers is.
    #[must_use]
    pub fn review(now: UnixTime, review: &Exchange<'_>) -> Self {
        Self::judged(now, Surface::Review, review)
    }

    fn judged(now: UnixTime, surface: Surface, exchange: &Exchange<'_>) -> Self {
        let (kind, code, detail, credential) = match &exchange.outcome {
            Outcome::Accepted => (Kind::TokenAccepted, "accepted", None, None),
            Outcome::Granted(credential) => (Kind::CredentialIssued, "granted", None, Some(credential.clone())),
            Outcome::Refused { code, detail, discreet } => {
                (Kind::TokenRefused, *code, Some(Detail::new(detail, discreet)), None)
            }
        };
        let verdict = exchange.verdict;
        let mut request = Request::of(verdict, now);
        request.surface = surface;
        request.audit_id = Request::audit_id(exchange.audit_id);
        request.peer = exchange.peer;
        request.forwarded = exchange.forwarded;
        request.user_agent = exchange.user_agent.map(Request::user_agent);
        request.credential = credential;
        request.latency_us = micros(exchange.latency);
        let severity = severity(code, verdict.outcome.as_ref().err(), request.cross.as_ref());
        Self { time: now, kind, severity, code, subject: Subject::Request(request.into()), detail, repeats: None }
    }

    /// A request went through the proxy, or was refused by it.
    #[must_use]
    pub fn proxied(now: UnixTime, proxied: &Proxied<'_>) -> Self {
        let (kind, code, detail) = match proxied.refused {
            None => (Kind::ProxyRequest, "forwarded", None),
            Some((code, text, discreet)) => (Kind::ProxyRefused, code, Some(Detail::new(text, discreet))),
        };
        let mut request = proxied.verdict.map_or_else(Request::default, |verdict| Request::of(verdict, now));
        request.surface = Surface::Proxy;
        request.audit_id = Request::audit_id(proxied.audit_id);
        request.peer = proxied.peer;
        request.user_agent = proxied.user_agent.map(Request::user_agent);
        request.identity = proxied.user.map(|(name, groups)| Identity { username: Text::new(name, MAX_NAME), groups });
        request.target = Some(Target::of(&proxied.target));
        request.latency_us = micros(proxied.latency);
        let reason = proxied.verdict.and_then(|verdict| verdict.outcome.as_ref().err());
        let severity = severity(code, reason, request.cross.as_ref());
        Self { time: now, kind, severity, code, subject: Subject::Request(request.into()), detail, repeats: None }
    }

    // === changes ===

    /// An authenticator came, changed, went, or began or ceased to admit.
    #[must_use]
    pub fn authenticator_changed(now: UnixTime, authenticator: Object, change: &AuthenticatorChange) -> Self {
        let (severity, condition) = match change {
            AuthenticatorChange::NotReady(obstacle) => (Severity::Medium, Some(Condition::of(obstacle))),
            AuthenticatorChange::Deleted => (Severity::Low, None),
            AuthenticatorChange::Created | AuthenticatorChange::Changed | AuthenticatorChange::Ready => {
                (Severity::Info, None)
            }
        };
        let subject = Change { condition, ..Change::about_authenticator(authenticator) };
        Self::changed(now, Kind::AuthenticatorChanged, severity, change.code(), subject)
    }

    /// The list of clusters changed.
    #[must_use]
    pub fn fleet_changed(now: UnixTime, fleet: &Difference) -> Self {
        let subject = Change { fleet: Some(Listed::of(fleet)), ..Change::default() };
        Self::changed(now, Kind::FleetChanged, Severity::Info, "fleet-changed", subject)
    }

    /// The keys that an authenticator verifies with changed.
    #[must_use]
    pub fn keys_changed(now: UnixTime, authenticator: Object, keys: &Difference) -> Self {
        let subject = Change { keys: Some(Listed::of(keys)), ..Change::about_authenticator(authenticator) };
        Self::changed(now, Kind::KeysChanged, Severity::Info, "keys-changed", subject)
    }

    /// An authenticator's keys cannot be had; `obstacle` is the condition that says why.
    #[must_use]
    pub fn keys_failed(now: UnixTime, authenticator: Object, obstacle: &Obstacle) -> Self {
        let subject = Change { condition: Some(Condition::of(obstacle)), ..Change::about_authenticator(authenticator) };
        Self::changed(now, Kind::KeysFailed, Severity::Medium, "keys-failed", subject)
    }

    /// `object` was written in a way that cannot work; `obstacle` is the condition that says why.
    #[must_use]
    pub fn configuration_refused(now: UnixTime, object: Object, obstacle: &Obstacle) -> Self {
        let subject = Change {
            is_about_authenticator: object.kind.ends_with("Authenticator"),
            condition: Some(Condition::of(obstacle)),
            object: Some(object.bounded()),
            ..Change::default()
        };
        Self::changed(now, Kind::ConfigurationRefused, Severity::Medium, "configuration-refused", subject)
    }

    fn changed(now: UnixTime, kind: Kind, severity: Severity, code: &'static str, change: Change) -> Self {
        Self { time: now, kind, severity, code, subject: Subject::Change(change.into()), detail: None, repeats: None }
    }

    // === the log itself ===

    /// The log begins: nothing before this line of this process exists.
    #[must_use]
    pub fn started(now: UnixTime, started: &Started) -> Self {
        let (severity, code) =
            if started.unclean { (Severity::Medium, "started-unclean") } else { (Severity::Info, "started") };
        Self::about_the_log(now, Kind::AuditStarted, severity, code, AboutTheLog::Started(started.clone()))
    }

    /// The log ends because the process was asked to stop.
    #[must_use]
    pub fn stopped(now: UnixTime, totals: &Totals) -> Self {
        Self::about_the_log(now, Kind::AuditStopped, Severity::Info, "stopped", AboutTheLog::Stopped(*totals))
    }

    /// Records are missing: the log says so itself.
    #[must_use]
    pub fn gap(now: UnixTime, gap: &Gap) -> Self {
        let severity = match gap.reason {
            GapReason::Overflow | GapReason::SinkFailed => Severity::High,
            GapReason::Retention => Severity::Info,
        };
        Self::about_the_log(now, Kind::AuditGap, severity, gap.reason.as_str(), AboutTheLog::Gap(gap.clone()))
    }

    /// The chain is sealed up to here.
    #[must_use]
    pub fn checkpoint(now: UnixTime, facts: &CheckpointFacts) -> Self {
        let facts = AboutTheLog::Checkpoint(facts.clone());
        Self::about_the_log(now, Kind::AuditCheckpoint, Severity::Info, "checkpoint", facts)
    }

    fn about_the_log(now: UnixTime, kind: Kind, severity: Severity, code: &'static str, log: AboutTheLog) -> Self {
        Self { time: now, kind, severity, code, subject: Subject::Log(log.into()), detail: None, repeats: None }
    }

    // === what a sink asks ===

    /// When it happened.
    #[must_use]
    pub const fn time(&self) -> UnixTime {
        self.time
    }

    /// What happened.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// How much a person should care.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        self.severity
    }

    /// How its writing is treated.
    #[must_use]
    pub const fn class(&self) -> Class {
        self.kind.class()
    }

    /// The reason's word, or `granted`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.code
    }

    /// The key under which repeats fold; `None`: never folded.
    #[must_use]
    pub fn fold_key(&self) -> Option<FoldKey> {
        match (&self.subject, self.class()) {
            (Subject::Request(request), Class::Refusal) => Some(FoldKey::of(self.code, request)),
            _ => None,
        }
    }

    /// The record of `count` repeats between two times, made from the last of them.
    #[must_use]
    pub fn folded(self, count: u64, first: UnixTime, last: UnixTime) -> Self {
        let is_forging = self.code == "signature-invalid" && count > FORGING;
        let severity = if is_forging { self.severity.max(Severity::Medium) } else { self.severity };
        Self { severity, repeats: Some(Repeats { count, first, last }), ..self }
    }

    /// The same without what belongs to this one alone: the record of all for whom there was no room apart, told under
    /// [`FoldKey::merged`].
    #[must_use]
    pub fn merged(mut self) -> Self {
        if let Subject::Request(request) = &mut self.subject {
            **request = Request {
                surface: request.surface,
                authenticator: request.authenticator.take(),
                is_merged: true,
                latency_us: request.latency_us,
                ..Request::default()
            };
        }
        self.detail = None;
        self
    }

    /// The members from `time` on, without braces and without `prev`; people are named as `privacy` says. At most
    /// [`BODY_LIMIT`] bytes.
    #[must_use]
    pub fn body(&self, privacy: &Privacy) -> Vec<u8> {
        body::body(self, privacy)
    }

    fn is_cross_cluster(&self) -> bool {
        matches!(&self.subject, Subject::Request(request) if request.cross.is_some())
    }

    /// How many other heads a checkpoint names.
    fn others(&self) -> usize {
        match &self.subject {
            Subject::Log(log) => match &**log {
                AboutTheLog::Checkpoint(facts) => facts.others.len(),
                AboutTheLog::Started(_) | AboutTheLog::Stopped(_) | AboutTheLog::Gap(_) => 0,
            },
            Subject::Request(_) | Subject::Change(_) => 0,
        }
    }
}

impl Detail {
    fn new(text: &str, discreet: &str) -> Self {
        Self { text: Text::new(text, TEXT), discreet: (text != discreet).then(|| Text::new(discreet, TEXT)) }
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// How much a person should care about a request that ended with `code` (audit.md 3): a token that opens two clusters or
/// asks for Kubernetes' own names is somebody's serious mistake, another cluster's live token deserves to be looked into at
/// once, and the rest is the noise of every day.
fn severity(code: &str, reason: Option<&Reason>, cross: Option<&Cross>) -> Severity {
    if let Some(cross) = cross {
        return cross.severity();
    }
    match code {
        "audience-shared" | "identity-reserved" => Severity::High,
        "signer-unavailable" | "key-ambiguous" => Severity::Medium,
        "audience-mismatch" | "issuer-unknown" => Severity::Low,
        "expired" => match reason {
            Some(Reason::Token(Rejection::Expired { seconds_ago })) if *seconds_ago >= JUST_EXPIRED_SECONDS => {
                Severity::Low
            }
            _ => Severity::Info,
        },
        _ => Severity::Info,
    }
}

#[cfg(test)]
mod tests;
