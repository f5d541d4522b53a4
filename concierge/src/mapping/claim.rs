//! Single claims to the parts of a user, without an expression.

use super::{MAX_GROUPS, Refusal};
use crate::jwt::{Json, Step, VerifiedClaims};

/// `claimValidationRules[].{claim, requiredValue}`: there, a string, and exactly `value`.
pub(super) fn require(claims: &VerifiedClaims, claim: &str, value: &str) -> Result<(), Refusal> {
    let found = match claims.get(claim) {
        Some(json) => match text(json) {
            Some(found) if found == value => return Ok(()),
            Some(found) => format!("{found:?}"),
            None => json.kind().to_owned(),
        },
        None => "nothing".to_owned(),
    };
    Err(Refusal::RequiredClaim { claim: claim.to_owned(), expected: value.to_owned(), found })
}

/// The username: a string, with `prefix` before it. An empty one gets no prefix, so that it is known for what it is:
/// `oidc:` would be one name for everybody whom the issuer gave none.
pub(super) fn username(claims: &VerifiedClaims, claim: &str, prefix: &str) -> Result<String, Refusal> {
    let name = required_text(claims, claim, Step::Username)?;
    // As kube-apiserver: an address that its owner never confirmed must not become a name. Absent counts as verified.
    if claim == "email" && !matches!(claims.get("email_verified"), None | Some(Json::Bool(true))) {
        return Err(Refusal::EmailUnverified);
    }
    Ok(if name.is_empty() { String::new() } else { format!("{prefix}{name}") })
}

/// The groups: a string, a list of strings, or nothing; `prefix` stands before each, and empty ones are dropped
/// before that.
pub(super) fn groups(claims: &VerifiedClaims, claim: &str, prefix: &str) -> Result<Vec<String>, Refusal> {
    let wrong = |found| Refusal::ClaimWrongType {
        claim: claim.to_owned(),
        found,
        expected: "a string or a list of strings",
        step: Step::Groups,
    };
    let values = match claims.get(claim) {
        // A reference to groups elsewhere (OIDC Core 5.6.2, Entra's overage): a user without them is half an identity.
        None if refers_elsewhere(claims, claim) => {
            return Err(Refusal::ClaimMissing { claim: claim.to_owned(), step: Step::Groups });
        }
        None | Some(Json::Null) => return Ok(Vec::new()),
        // One group, never split at commas.
        Some(one @ Json::String(_)) => std::slice::from_ref(one),
        Some(Json::Array(list)) => list,
        Some(other) => return Err(wrong(other.kind())),
    };
    if values.len() > MAX_GROUPS {
        return Err(Refusal::TooManyGroups { found: values.len() });
    }
    let mut groups = Vec::with_capacity(values.len());
    for value in values {
        match value.as_str() {
            Some("") => {}
            Some(name) => groups.push([prefix, name].concat()),
            None => return Err(wrong("a list of other things")),
        }
    }
    Ok(groups)
}

/// The uid: a string. An empty one is none.
pub(super) fn uid(claims: &VerifiedClaims, claim: &str) -> Result<String, Refusal> {
    required_text(claims, claim, Step::Uid).map(str::to_owned)
}

/// A claim that must be there and be text.
fn required_text<'a>(claims: &'a VerifiedClaims, claim: &str, step: Step) -> Result<&'a str, Refusal> {
    let json = claims.get(claim).ok_or_else(|| Refusal::ClaimMissing { claim: claim.to_owned(), step })?;
    text(json).ok_or_else(|| Refusal::ClaimWrongType {
        claim: claim.to_owned(),
        found: json.kind(),
        expected: "a string",
        step,
    })
}

/// The text of a claim as kube-apiserver reads it: Go decodes `null` into an empty string.
fn text(json: &Json) -> Option<&str> {
    match json {
        Json::Null => Some(""),
        other => other.as_str(),
    }
}

fn refers_elsewhere(claims: &VerifiedClaims, claim: &str) -> bool {
    matches!(claims.get("_claim_names"), Some(Json::Object(names)) if names.get(claim).is_some())
}
