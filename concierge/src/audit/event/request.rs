//! What a record says of one request: who asked from where, what is known of the token, what came of it.

use std::net::{IpAddr, SocketAddr};

use serde::Serialize;

use super::{MAX_NAME, Severity};
use crate::{
    authn::{JudgedBy, ReplayState, Verdict},
    jwt::{ClaimedFacts, TokenFacts, VerifiedFacts},
    secret::TokenFingerprint,
    text::{Text, clean},
    time::UnixTime,
};

/// Longest text of a claim. The whole line stays under 8 KiB, which every log pipeline carries in one piece.
pub(super) const TEXT: usize = 512;
/// Longest claim of a token whose signature did not verify: anybody may have written it.
pub(super) const CLAIMED: usize = 128;
/// Longest user agent.
const USER_AGENT: usize = 256;
/// Kubernetes' own limit of an audit id.
const AUDIT_ID: usize = 64;
/// Longest name of an object (RFC 1123 2.1).
const OBJECT_NAME: usize = 253;
/// Most audiences that are shown.
const AUDIENCES: usize = 4;

/// By which door a request came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Surface {
    /// The exchange of a token for a credential.
    #[default]
    Exchange,
    /// The `TokenReview` webhook.
    Review,
    /// The impersonation proxy.
    Proxy,
}

/// One request.
#[derive(Clone, Debug, Default)]
pub(super) struct Request {
    pub(super) surface: Surface,
    pub(super) audit_id: Text,
    pub(super) authenticator: Option<Object>,
    pub(super) peer: Option<SocketAddr>,
    pub(super) forwarded: Option<IpAddr>,
    pub(super) user_agent: Option<Text>,
    pub(super) token: Option<Token>,
    pub(super) verified: Option<Verified>,
    pub(super) claimed: Option<Claimed>,
    pub(super) cross: Option<Cross>,
    pub(super) identity: Option<Identity>,
    pub(super) credential: Option<CredentialFacts>,
    pub(super) target: Option<Target>,
    /// The record stands for many sources, for whom there was no room apart.
    pub(super) is_merged: bool,
    pub(super) latency_us: u64,
}

/// An object of Kubernetes that a record is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its kind.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Its uid; empty where it has none, as an object of a file.
    pub uid: String,
    /// The generation of its spec.
    pub generation: i64,
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

/// What a request through the proxy asks of the API server. The query is not among it: commands of `exec` are in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TargetFacts<'a> {
    /// `get`, `watch`, `create` and so on.
    pub verb: &'a str,
    /// The resource; empty for a path that is none.
    pub resource: &'a str,
    /// The namespace, if any.
    pub namespace: &'a str,
    /// The object's name, if any.
    pub name: &'a str,
    /// The subresource, if any.
    pub subresource: &'a str,
    /// The path without its query.
    pub path: &'a str,
}

#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) fingerprint: Option<TokenFingerprint>,
    pub(super) alg: Option<Text>,
    pub(super) kid: Option<Text>,
    pub(super) typ: Option<Text>,
    pub(super) bytes: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Verified {
    pub(super) iss: Option<Text>,
    pub(super) sub: Option<Text>,
    pub(super) aud: Vec<Text>,
    /// There were more audiences than are shown.
    pub(super) more_aud: bool,
    pub(super) azp: Option<Text>,
    pub(super) jti: Option<Text>,
    pub(super) sid: Option<Text>,
    pub(super) iat: Option<i64>,
    pub(super) exp: Option<i64>,
    pub(super) auth_time: Option<i64>,
}

#[derive(Clone, Debug)]
pub(super) struct Claimed {
    pub(super) iss: Option<Text>,
    pub(super) sub: Option<Text>,
    pub(super) aud: Vec<Text>,
    pub(super) more_aud: bool,
    pub(super) kid: Option<Text>,
}

/// Whose token it is, of the clusters of the fleet.
#[derive(Clone, Debug)]
pub(super) struct Cross {
    /// The cluster's name, from the fleet list.
    pub(super) cluster: Text,
    pub(super) state: ReplayState,
}

#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) username: Text,
    pub(super) groups: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) verb: Text,
    pub(super) resource: Text,
    pub(super) namespace: Text,
    pub(super) name: Text,
    pub(super) subresource: Text,
    pub(super) path: Text,
}

// === impl Surface ===

impl Surface {
    /// All of them, as the schema lists them.
    pub const ALL: [Self; 3] = [Self::Exchange, Self::Review, Self::Proxy];

    /// The word in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exchange => "exchange",
            Self::Review => "review",
            Self::Proxy => "proxy",
        }
    }
}

// === impl Request ===

impl Request {
    /// What a verdict says; what the request layer saw is added by the caller.
    pub(super) fn of(verdict: &Verdict, now: UnixTime) -> Self {
        let facts = &verdict.facts;
        Self {
            authenticator: verdict.authenticator.as_ref().map(|judge| Object::of(judge).bounded()),
            token: Some(Token::of(facts)),
            verified: facts.verified.as_ref().map(Verified::of),
            claimed: Claimed::of(facts),
            cross: Cross::of(verdict, now),
            identity: verdict.outcome.as_ref().ok().map(|admitted| Identity {
                username: Text::new(admitted.user.username().as_str(), MAX_NAME),
                groups: admitted.user.groups().len(),
            }),
            ..Self::default()
        }
    }

    pub(super) fn audit_id(text: &str) -> Text {
        Text::new(text, AUDIT_ID)
    }

    pub(super) fn user_agent(text: &str) -> Text {
        Text::new(text, USER_AGENT)
    }

    /// Where it came from: behind a front proxy that was recognised, the address that this one saw.
    pub(super) fn source(&self) -> Option<IpAddr> {
        self.forwarded.or_else(|| self.peer.map(|peer| peer.ip()))
    }
}

// === impl Object ===

impl Object {
    pub(super) fn of(judge: &JudgedBy) -> Self {
        Self {
            kind: judge.kind().name(),
            name: judge.name().to_string(),
            uid: judge.uid().to_owned(),
            generation: judge.generation(),
        }
    }

    /// The same with a name and a uid of bounded size.
    pub(super) fn bounded(mut self) -> Self {
        self.name = clean(&self.name, OBJECT_NAME);
        self.uid = clean(&self.uid, AUDIT_ID);
        self
    }
}

// === impl Token ===

impl Token {
    /// What is known of the token itself. `kid` is an attacker's text until the signature held: before, it stands among
    /// what is [`Claimed`].
    pub(super) fn of(facts: &TokenFacts) -> Self {
        let header = facts.header.as_ref();
        let kid = header.filter(|_| facts.signed).and_then(|header| header.kid.as_deref());
        Self {
            fingerprint: facts.fingerprint,
            alg: header.map(|header| Text::new(&header.alg, 64)),
            kid: kid.map(|kid| Text::new(kid, 256)),
            typ: header.and_then(|header| header.typ.as_deref()).map(|typ| Text::new(typ, 64)),
            bytes: facts.bytes,
        }
    }
}

impl Verified {
    pub(super) fn of(facts: &VerifiedFacts) -> Self {
        let text = |claim: &Option<String>| claim.as_deref().map(|claim| Text::new(claim, TEXT));
        Self {
            iss: text(&facts.iss),
            sub: text(&facts.sub),
            aud: facts.aud.iter().take(AUDIENCES).map(|audience| Text::new(audience, TEXT)).collect(),
            more_aud: facts.aud.len() > AUDIENCES,
            azp: text(&facts.azp),
            jti: text(&facts.jti),
            sid: text(&facts.sid),
            iat: facts.iat,
            exp: facts.exp,
            auth_time: facts.auth_time,
        }
    }
}

impl Claimed {
    /// What an unsigned token says of itself; `None` if it verified, or says nothing that can be read.
    pub(super) fn of(facts: &TokenFacts) -> Option<Self> {
        if facts.signed {
            return None;
        }
        let nothing = ClaimedFacts::default();
        let claimed = facts.claimed.as_ref().unwrap_or(&nothing);
        let text = |claim: &Option<String>| claim.as_deref().map(|claim| Text::new(claim, CLAIMED));
        let kid = facts.header.as_ref().and_then(|header| header.kid.as_deref());
        let claimed = Self {
            iss: text(&claimed.iss),
            sub: text(&claimed.sub),
            aud: claimed.aud.iter().take(AUDIENCES).map(|audience| Text::new(audience, CLAIMED)).collect(),
            more_aud: claimed.aud.len() > AUDIENCES,
            kid: kid.map(|kid| Text::new(kid, CLAIMED)),
        };
        claimed.says_something().then_some(claimed)
    }

    fn says_something(&self) -> bool {
        let mut texts = [&self.iss, &self.sub, &self.kid].into_iter().flatten().chain(&self.aud);
        texts.any(|text| !text.is_empty())
    }
}

impl Cross {
    fn of(verdict: &Verdict, now: UnixTime) -> Option<Self> {
        let found = verdict.cross_cluster(now)?;
        Some(Self { cluster: Text::new(found.cluster.as_str(), OBJECT_NAME), state: found.state })
    }

    /// A token that still opens another door is the matter of a person, at once; what it was good for once is not.
    pub(super) const fn severity(&self) -> Severity {
        match self.state {
            ReplayState::Live | ReplayState::Multi => Severity::High,
            ReplayState::Expired => Severity::Medium,
            ReplayState::Stale => Severity::Low,
        }
    }

    /// Whether the token would open a door now: then each token is told apart, however full the table of repeats is.
    pub(super) const fn is_alive(&self) -> bool {
        matches!(self.state, ReplayState::Live | ReplayState::Multi)
    }
}

impl Target {
    pub(super) fn of(facts: &TargetFacts<'_>) -> Self {
        Self {
            verb: Text::new(facts.verb, 64),
            resource: Text::new(facts.resource, OBJECT_NAME),
            namespace: Text::new(facts.namespace, OBJECT_NAME),
            name: Text::new(facts.name, OBJECT_NAME),
            subresource: Text::new(facts.subresource, 64),
            path: Text::new(facts.path, TEXT),
        }
    }
}
