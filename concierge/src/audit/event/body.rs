//! An event as the members of one line, in their fixed order, people named as the privacy setting says.

use std::{borrow::Cow, net::IpAddr};

use serde::Serialize;

use super::{
    Event, Subject,
    change::{Change, Listed},
    kind::BySeverity,
    log::{AboutTheLog, GapReason, OtherHead, PreviousLife},
    privacy::Privacy,
    request::{Claimed, CredentialFacts, Object, Request, Target, Token, Verified},
};
use crate::text::Text;

/// Most bytes of the members of one event: a line has 8 KiB, and what stands around it (numbers, the names of cluster and
/// replica with at most 253 bytes each, the hash of the line before) less than one.
pub const BODY_LIMIT: usize = 7 * 1024;

/// Longest text of a line that would be too long otherwise: only one full of characters that JSON has to escape is.
const TIGHT: usize = 96;

/// The members of a line, in their order. Absent members are left out, never `null`.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    time: String,
    kind: &'static str,
    severity: &'static str,
    code: &'static str,
    #[serde(rename = "auditID", skip_serializing_if = "Option::is_none")]
    audit_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    surface: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authenticator: Option<ObjectView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<ObjectView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<PeerView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<TokenView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<VerifiedView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claimed: Option<ClaimedView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claimed_cluster: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<IdentityView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<&'a CredentialFacts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<TargetView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fleet: Option<&'a Listed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<&'a Listed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<ConditionView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sink: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<&'a PreviousLife>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unclean: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    written: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<GapReason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq_first: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq_last: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped: Option<BySeverity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    head: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    tree: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    others: &'a [OtherHead],
    /// Members that were cut, by their path.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    truncated: Vec<&'static str>,
}

#[derive(Serialize)]
struct ObjectView<'a> {
    kind: &'static str,
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    uid: &'a str,
    generation: i64,
}

#[derive(Serialize)]
struct PeerView {
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    forwarded: Option<IpAddr>,
}

#[derive(Serialize)]
struct TokenView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alg: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    typ: Option<Cow<'a, str>>,
    bytes: usize,
}

#[derive(Serialize)]
struct VerifiedView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aud: Vec<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    azp: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_time: Option<i64>,
}

#[derive(Serialize)]
struct ClaimedView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aud: Vec<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<Cow<'a, str>>,
}

#[derive(Serialize)]
struct IdentityView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<Cow<'a, str>>,
    groups: usize,
}

#[derive(Serialize)]
struct TargetView<'a> {
    #[serde(skip_serializing_if = "is_empty")]
    verb: Cow<'a, str>,
    #[serde(skip_serializing_if = "is_empty")]
    resource: Cow<'a, str>,
    #[serde(skip_serializing_if = "is_empty")]
    namespace: Cow<'a, str>,
    #[serde(skip_serializing_if = "is_empty")]
    name: Cow<'a, str>,
    #[serde(skip_serializing_if = "is_empty")]
    subresource: Cow<'a, str>,
    #[serde(skip_serializing_if = "is_empty")]
    path: Cow<'a, str>,
}

#[derive(Serialize)]
struct ConditionView<'a> {
    #[serde(rename = "type")]
    name: Cow<'a, str>,
    reason: Cow<'a, str>,
    #[serde(skip_serializing_if = "is_empty")]
    message: Cow<'a, str>,
}

/// What turns stored texts into shown ones: how long they may be, how people are named, and what was cut.
struct Showing<'p> {
    limit: usize,
    privacy: &'p Privacy,
    cross_cluster: bool,
    truncated: Vec<&'static str>,
}

/// The members of `event` from `time` on, without braces. At most [`BODY_LIMIT`] bytes: where escaping makes a line longer
/// than that, every text is cut shorter, and of other logs' heads as many are left out as there is no room for.
pub(super) fn body(event: &Event, privacy: &Privacy) -> Vec<u8> {
    let mut members = written(event, privacy, usize::MAX, usize::MAX);
    let mut others = event.others();
    if members.len() > BODY_LIMIT && others == 0 {
        members = written(event, privacy, TIGHT, 0);
    }
    while members.len() > BODY_LIMIT && others > 0 {
        others /= 2;
        members = written(event, privacy, TIGHT, others);
    }
    members
}

fn written(event: &Event, privacy: &Privacy, limit: usize, others: usize) -> Vec<u8> {
    let mut showing = Showing { limit, privacy, cross_cluster: event.is_cross_cluster(), truncated: Vec::new() };
    let mut body = Body {
        time: event.time.rfc3339_micros(),
        kind: event.kind.as_str(),
        severity: event.severity.as_str(),
        code: event.code,
        ..Body::default()
    };
    match &event.subject {
        Subject::Request(request) => showing.request(request, &mut body),
        Subject::Change(change) => showing.change(change, &mut body),
        Subject::Log(log) => showing.log(log, others, &mut body),
    }
    if let Some(detail) = event.detail.as_ref() {
        let hidden = privacy.hides(event.is_cross_cluster());
        let shown = detail.discreet.as_ref().filter(|_| hidden).unwrap_or(&detail.text);
        body.detail = showing.optional("detail", Some(shown));
    }
    if let Some(repeats) = &event.repeats {
        body.count = Some(repeats.count);
        body.first_time = Some(repeats.first.rfc3339_micros());
        body.last_time = Some(repeats.last.rfc3339_micros());
    }
    body.truncated = showing.truncated;
    let mut members = Vec::with_capacity(1024);
    // Strings, numbers and lists of them into memory: nothing of it can fail. Were that wrong, the braces are all there is.
    if serde_json::to_writer(&mut members, &body).is_err() {
        members = b"{}".to_vec();
    }
    members.pop();
    members.remove(0);
    members
}

// === impl Showing ===

impl Showing<'_> {
    fn text<'a>(&mut self, member: &'static str, text: &'a Text) -> Cow<'a, str> {
        let (shown, is_cut) = text.within(self.limit);
        if is_cut {
            self.note(member);
        }
        shown
    }

    fn optional<'a>(&mut self, member: &'static str, text: Option<&'a Text>) -> Option<Cow<'a, str>> {
        // An empty text is as good as none, and a reader has to look for one case only.
        text.filter(|text| !text.is_empty()).map(|text| self.text(member, text))
    }

    fn list<'a>(&mut self, member: &'static str, list: &'a [Text], is_cut: bool) -> Vec<Cow<'a, str>> {
        if is_cut {
            self.note(member);
        }
        list.iter().filter(|text| !text.is_empty()).map(|text| self.text(member, text)).collect()
    }

    /// A name of a person: hashed whole, never the part of it that was cut to fit.
    fn name<'a>(&mut self, member: &'static str, field: &str, name: Option<&'a Text>) -> Option<Cow<'a, str>> {
        let name = name.filter(|name| !name.is_empty())?;
        if self.privacy.hides(self.cross_cluster) {
            return self.privacy.shown(field, name.as_str(), self.cross_cluster);
        }
        Some(self.text(member, name))
    }

    /// A claim that names a client, and where it looks like an e-mail address, a person.
    fn party<'a>(&mut self, member: &'static str, field: &str, party: Option<&'a Text>) -> Option<Cow<'a, str>> {
        if party.is_some_and(|party| party.as_str().contains('@')) {
            self.name(member, field, party)
        } else {
            self.optional(member, party)
        }
    }

    fn note(&mut self, member: &'static str) {
        if !self.truncated.contains(&member) {
            self.truncated.push(member);
        }
    }

    fn request<'a>(&mut self, request: &'a Request, body: &mut Body<'a>) {
        body.audit_id = self.optional("auditID", Some(&request.audit_id));
        body.surface = Some(request.surface.as_str());
        body.authenticator = request.authenticator.as_ref().map(ObjectView::of);
        body.peer = (request.peer.is_some() || request.forwarded.is_some()).then(|| PeerView {
            ip: request.peer.map(|peer| peer.ip()),
            port: request.peer.map(|peer| peer.port()),
            forwarded: request.forwarded,
        });
        body.source = request.is_merged.then_some("other");
        body.user_agent = self.optional("userAgent", request.user_agent.as_ref());
        body.token = request.token.as_ref().map(|token| self.token(token));
        body.verified = request.verified.as_ref().map(|verified| self.verified(verified));
        body.claimed = request.claimed.as_ref().map(|claimed| self.claimed(claimed));
        body.claimed_cluster = request.cross.as_ref().map(|cross| self.text("claimedCluster", &cross.cluster));
        body.state = request.cross.as_ref().map(|cross| cross.state.as_str());
        body.identity = request.identity.as_ref().map(|identity| IdentityView {
            username: self.name("identity.username", "username", Some(&identity.username)),
            groups: identity.groups,
        });
        body.credential = request.credential.as_ref();
        body.request = request.target.as_ref().map(|target| self.target(target));
        body.latency_us = Some(request.latency_us);
    }

    fn token<'a>(&mut self, token: &'a Token) -> TokenView<'a> {
        TokenView {
            fingerprint: token.fingerprint.map(|fingerprint| fingerprint.to_string()),
            alg: self.optional("token.alg", token.alg.as_ref()),
            kid: self.optional("token.kid", token.kid.as_ref()),
            typ: self.optional("token.typ", token.typ.as_ref()),
            bytes: token.bytes,
        }
    }

    fn verified<'a>(&mut self, verified: &'a Verified) -> VerifiedView<'a> {
        VerifiedView {
            iss: self.optional("verified.iss", verified.iss.as_ref()),
            sub: self.name("verified.sub", "sub", verified.sub.as_ref()),
            aud: self.list("verified.aud", &verified.aud, verified.more_aud),
            azp: self.party("verified.azp", "azp", verified.azp.as_ref()),
            jti: self.optional("verified.jti", verified.jti.as_ref()),
            sid: self.optional("verified.sid", verified.sid.as_ref()),
            iat: verified.iat,
            exp: verified.exp,
            auth_time: verified.auth_time,
        }
    }

    fn claimed<'a>(&mut self, claimed: &'a Claimed) -> ClaimedView<'a> {
        ClaimedView {
            iss: self.optional("claimed.iss", claimed.iss.as_ref()),
            sub: self.name("claimed.sub", "sub", claimed.sub.as_ref()),
            aud: self.list("claimed.aud", &claimed.aud, claimed.more_aud),
            kid: self.optional("claimed.kid", claimed.kid.as_ref()),
        }
    }

    fn target<'a>(&mut self, target: &'a Target) -> TargetView<'a> {
        TargetView {
            verb: self.text("request.verb", &target.verb),
            resource: self.text("request.resource", &target.resource),
            namespace: self.text("request.namespace", &target.namespace),
            name: self.text("request.name", &target.name),
            subresource: self.text("request.subresource", &target.subresource),
            path: self.text("request.path", &target.path),
        }
    }

    fn change<'a>(&mut self, change: &'a Change, body: &mut Body<'a>) {
        let object = change.object.as_ref().map(ObjectView::of);
        if change.is_about_authenticator {
            body.authenticator = object;
        } else {
            body.object = object;
        }
        body.fleet = change.fleet.as_ref();
        body.keys = change.keys.as_ref();
        for (member, list) in [("fleet", &change.fleet), ("keys", &change.keys)] {
            if list.as_ref().is_some_and(|list| list.is_cut) {
                self.note(member);
            }
        }
        body.condition = change.condition.as_ref().map(|condition| ConditionView {
            name: self.text("condition.type", &condition.name),
            reason: self.text("condition.reason", &condition.reason),
            message: self.text("condition.message", &condition.message),
        });
    }

    fn log<'a>(&mut self, log: &'a AboutTheLog, others: usize, body: &mut Body<'a>) {
        match log {
            AboutTheLog::Started(started) => {
                body.sink = Some(started.sink);
                body.previous = started.previous.as_ref();
                body.unclean = started.unclean;
            }
            AboutTheLog::Stopped(totals) => {
                body.written = Some(totals.written);
                body.dropped = Some(totals.dropped);
            }
            AboutTheLog::Gap(gap) => {
                body.reason = Some(gap.reason);
                body.from = Some(gap.from.rfc3339_micros());
                body.to = Some(gap.to.rfc3339_micros());
                body.seq_first = Some(gap.seq_first);
                body.seq_last = Some(gap.seq_last);
                body.dropped = Some(gap.dropped);
                body.head = gap.head.as_deref();
            }
            AboutTheLog::Checkpoint(facts) => {
                body.note = Some(&facts.note);
                body.tree = &facts.tree;
                body.others = &facts.others[..facts.others.len().min(others)];
                if facts.others.len() > others {
                    self.note("others");
                }
            }
        }
    }
}

fn is_empty(text: &str) -> bool {
    text.is_empty()
}

impl<'a> ObjectView<'a> {
    fn of(object: &'a Object) -> Self {
        Self { kind: object.kind, name: &object.name, uid: &object.uid, generation: object.generation }
    }
}
