//! Claims that a token only refers to (OIDC Core 5.6.2): which one is needed, and whether its server may be asked.

use std::fmt;

use url::Url;

use super::{GroupsMapping, Refusal, Rules};
use crate::{
    jwt::{Json, Object, Step, VerifiedClaims},
    secret::BearerToken,
};

/// The members that refer (OIDC Core 5.6.2): which claim has which source, and what each source is.
const NAMES: &str = "_claim_names";
const SOURCES: &str = "_claim_sources";

/// An https origin (RFC 6454): scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

/// Where a claim is that the token itself does not hold. Only the judge makes one, of claims whose signature held and for a
/// server that the authenticator allows.
#[derive(Clone)]
pub struct ClaimSource {
    claim: String,
    endpoint: String,
    origin: Origin,
    access_token: Option<BearerToken>,
    subject: Option<String>,
}

/// Why a claim that a token refers to is not even asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceProblem {
    /// `_claim_names` names a source that `_claim_sources` lacks.
    #[error("refers to a source that the token does not describe")]
    Unknown,
    /// The source's members have other types than they should.
    #[error("refers to a source that is not well-formed")]
    Malformed,
    /// The endpoint is no https URL.
    #[error("is with a server whose address is no https URL")]
    NotHttps,
    /// The endpoint's origin is not on the list.
    #[error("is with {0}, which is not among claims.distributed.allowedOrigins")]
    NotAllowed(Origin),
}

/// Whether `claims` can be mapped as they are. As in kube-apiserver only the groups claim is looked for elsewhere, and only
/// if the token lacks it; this comes before every rule, because rules may ask about groups.
///
/// A source without `endpoint` holds the claim itself (an aggregated claim, OIDC Core 5.6.2.1). kube-apiserver passes over
/// it, and so do we: the token lacks its groups, and is refused for that where groups are mapped.
pub(super) fn at_hand(claims: &VerifiedClaims, rules: &Rules) -> Result<(), Refusal> {
    let (Some(allowed), GroupsMapping::Claim { claim, .. }) = (&rules.distributed, &rules.groups) else {
        return Ok(());
    };
    if claims.get(claim).is_some() {
        return Ok(());
    }
    let names = match claims.get(NAMES) {
        None | Some(Json::Null) => return Ok(()),
        Some(Json::Object(names)) => names,
        Some(other) => return Err(no_object(NAMES, other)),
    };
    let Some(name) = names.get(claim) else { return Ok(()) };
    let out_of_reach = |problem| Refusal::ClaimOutOfReach { claim: claim.clone(), problem };
    let source = match (name.as_str(), claims.get(SOURCES)) {
        (Some(name), Some(Json::Object(sources))) => sources.get(name),
        (_, None | Some(Json::Null | Json::Object(_))) => None,
        (_, Some(other)) => return Err(no_object(SOURCES, other)),
    };
    let source = match source {
        Some(Json::Object(source)) => source,
        Some(_) => return Err(out_of_reach(SourceProblem::Malformed)),
        None => return Err(out_of_reach(SourceProblem::Unknown)),
    };
    let Some(endpoint) = text(source, "endpoint").map_err(out_of_reach)? else { return Ok(()) };
    let origin = Origin::of(endpoint).ok_or_else(|| out_of_reach(SourceProblem::NotHttps))?;
    if !allowed.contains(&origin) {
        return Err(out_of_reach(SourceProblem::NotAllowed(origin)));
    }
    let access_token = text(source, "access_token").map_err(out_of_reach)?;
    Err(Refusal::ClaimElsewhere(Box::new(ClaimSource {
        claim: claim.clone(),
        endpoint: endpoint.to_owned(),
        origin,
        access_token: access_token.map(|token| BearerToken::new(token.to_owned())),
        subject: claims.get("sub").and_then(Json::as_str).map(str::to_owned),
    })))
}

/// A member that is a string; `null` and the empty string are none, as in Go.
fn text<'a>(source: &'a Object, member: &str) -> Result<Option<&'a str>, SourceProblem> {
    match source.get(member) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(_) => Err(SourceProblem::Malformed),
    }
}

fn no_object(claim: &str, found: &Json) -> Refusal {
    Refusal::ClaimWrongType {
        claim: claim.to_owned(),
        found: found.kind(),
        expected: "an object",
        step: Step::ClaimRules,
    }
}

// === impl Origin ===

impl Origin {
    /// The origin of an https URL; `None` for any other text.
    #[must_use]
    pub fn of(url: &str) -> Option<Self> {
        let url = Url::parse(url).ok().filter(|url| url.scheme() == "https" && url.host_str().is_some())?;
        Some(Self(url.origin().ascii_serialization()))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl ClaimSource ===

impl ClaimSource {
    /// The claim that is needed.
    #[must_use]
    pub fn claim(&self) -> &str {
        &self.claim
    }

    /// The URL to get it from. Its query may be as secret as the access token: never for a log.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Whose URL it is; this may be shown.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// What opens it, if anything is needed.
    #[must_use]
    pub const fn access_token(&self) -> Option<&BearerToken> {
        self.access_token.as_ref()
    }

    /// `sub` of the token that refers to it.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }
}

/// Without what may be secret.
impl fmt::Debug for ClaimSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { claim, origin, .. } = self;
        f.debug_struct("ClaimSource").field("claim", claim).field("origin", origin).finish_non_exhaustive()
    }
}

impl PartialEq for ClaimSource {
    fn eq(&self, other: &Self) -> bool {
        fn token(source: &ClaimSource) -> Option<&str> {
            source.access_token.as_ref().map(BearerToken::as_str)
        }
        (&self.claim, &self.endpoint, &self.subject, token(self))
            == (&other.claim, &other.endpoint, &other.subject, token(other))
    }
}

impl Eq for ClaimSource {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let of = |url| Origin::of(url).map(|origin| origin.to_string());
        assert_eq!(of("https://Graph.Example.com/v1?x#y").as_deref(), Some("https://graph.example.com"));
        assert_eq!(of("https://graph.example.com:443"), of("https://graph.example.com/"));
        assert_ne!(of("https://graph.example.com:8443"), of("https://graph.example.com/"));
        assert_ne!(of("https://graph.example.com.evil.example"), of("https://graph.example.com"));
        for other in ["http://graph.example.com", "graph.example.com", "file:///etc/passwd", ""] {
            assert_eq!(of(other), None, "{other}");
        }
        // What stands before an @ is no host.
        assert_eq!(of("https://graph.example.com@evil.example/").as_deref(), Some("https://evil.example"));
    }
}
