//! Verified claims to a Kubernetes user, by an authenticator's rules; and which names no issuer may give.

mod names;
mod reserved;
mod rules;
mod user;
mod vouched;

pub use self::{
    names::{GroupName, Username},
    rules::Rules,
    user::User,
    vouched::vouched,
};
use crate::jwt::{Json, VerifiedClaims};

/// Most groups of one user. Entra ID itself stops at 200 in a token; headers and certificates grow with each.
pub const MAX_GROUPS: usize = 1_000;

/// Why claims do not become a user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A required claim is absent, has another type or another value.
    #[error("claim {claim:?} must be {expected:?}, found {found}")]
    ClaimRuleFailed {
        /// The claim.
        claim: String,
        /// The value that the rule asks for.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A mapped claim is absent.
    #[error("claim {0:?} is missing")]
    ClaimMissing(String),
    /// A mapped claim cannot be used as what it is mapped to.
    #[error("claim {claim:?} is {found}, expected {expected}")]
    ClaimWrongType {
        /// The claim.
        claim: String,
        /// What it is.
        found: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// The username comes from `email`, and the issuer says that it did not verify it.
    #[error("claim \"email\" is mapped to the username, but \"email_verified\" is not true")]
    EmailUnverified,
    /// The username would be empty.
    #[error("the username is empty")]
    UsernameEmpty,
    /// The username holds what must not be shown or sent.
    #[error("the username {0}")]
    UsernameUnsafe(&'static str),
    /// A group holds what must not be shown or sent.
    #[error("a group name {0}")]
    GroupUnsafe(&'static str),
    /// A name that belongs to Kubernetes itself.
    #[error("{0:?} is reserved: names beginning with \"system:\" are not for identity providers to give")]
    IdentityReserved(String),
    /// More than [`MAX_GROUPS`].
    #[error("{found} groups, at most {MAX_GROUPS} are accepted")]
    TooManyGroups {
        /// How many.
        found: usize,
    },
}

/// Maps `claims` by `rules`, in the order of design 14.4: claim rules, username, groups, then reserved and unsafe names.
///
/// # Errors
///
/// The first rule that fails. There is no half identity: one bad group refuses the user.
pub fn map(claims: &VerifiedClaims, rules: &Rules) -> Result<User, Refusal> {
    check_required_claims(claims, rules)?;
    let username = username(claims, rules)?;
    let groups = groups(claims, rules)?;
    reserved::check(&username, &groups)?;
    Ok(User::new(username, groups, claims.token_id()))
}

impl Refusal {
    /// The stable word for records, metrics and Events.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ClaimRuleFailed { .. } => "claim-rule-failed",
            Self::ClaimMissing(_) => "claim-missing",
            Self::ClaimWrongType { .. } => "claim-wrong-type",
            Self::EmailUnverified => "email-unverified",
            Self::UsernameEmpty => "username-empty",
            Self::UsernameUnsafe(_) => "username-unsafe",
            Self::GroupUnsafe(_) => "group-unsafe",
            Self::IdentityReserved(_) => "identity-reserved",
            Self::TooManyGroups { .. } => "too-many-groups",
        }
    }

    /// Every code, for tests that hold the list against the vectors.
    pub const CODES: [&'static str; 9] = [
        "claim-rule-failed",
        "claim-missing",
        "claim-wrong-type",
        "email-unverified",
        "username-empty",
        "username-unsafe",
        "group-unsafe",
        "identity-reserved",
        "too-many-groups",
    ];
}

fn check_required_claims(claims: &VerifiedClaims, rules: &Rules) -> Result<(), Refusal> {
    for (claim, expected) in rules.required_claims() {
        let found = match claims.get(claim) {
            Some(Json::String(value)) if value == expected => continue,
            Some(Json::String(value)) => format!("{value:?}"),
            Some(other) => other.kind().to_owned(),
            None => "nothing".to_owned(),
        };
        return Err(Refusal::ClaimRuleFailed { claim: claim.clone(), expected: expected.clone(), found });
    }
    Ok(())
}

fn username(claims: &VerifiedClaims, rules: &Rules) -> Result<Username, Refusal> {
    let claim = rules.username_claim();
    let name = match claims.get(claim) {
        Some(Json::String(name)) => name,
        Some(other) => {
            return Err(Refusal::ClaimWrongType { claim: claim.to_owned(), found: other.kind(), expected: "a string" });
        }
        None => return Err(Refusal::ClaimMissing(claim.to_owned())),
    };
    // As kube-apiserver: an address that its owner never confirmed must not become a name. Absent counts as verified.
    if claim == "email" && !matches!(claims.get("email_verified"), None | Some(Json::Bool(true))) {
        return Err(Refusal::EmailUnverified);
    }
    Username::parse(name)
}

fn groups(claims: &VerifiedClaims, rules: &Rules) -> Result<Vec<GroupName>, Refusal> {
    const EXPECTED: &str = "a string or a list of strings";
    let claim = rules.groups_claim();
    let wrong = |found| Refusal::ClaimWrongType { claim: claim.to_owned(), found, expected: EXPECTED };
    let names: Vec<&str> = match claims.get(claim) {
        // A reference to groups elsewhere (OIDC Core 5.6.2, Entra's overage): a user without them is half an identity.
        None if refers_elsewhere(claims, claim) => return Err(Refusal::ClaimMissing(claim.to_owned())),
        None | Some(Json::Null) => Vec::new(),
        // One group, never split at commas.
        Some(Json::String(group)) => vec![group],
        Some(Json::Array(list)) if list.len() > MAX_GROUPS => {
            return Err(Refusal::TooManyGroups { found: list.len() });
        }
        Some(Json::Array(list)) => {
            list.iter().map(Json::as_str).collect::<Option<_>>().ok_or_else(|| wrong("a list of other things"))?
        }
        Some(other) => return Err(wrong(other.kind())),
    };
    names.into_iter().filter(|name| !name.is_empty()).map(GroupName::parse).collect()
}

fn refers_elsewhere(claims: &VerifiedClaims, claim: &str) -> bool {
    matches!(claims.get("_claim_names"), Some(Json::Object(names)) if names.get(claim).is_some())
}
