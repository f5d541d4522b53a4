//! How one authenticator makes users out of claims.

use std::collections::BTreeSet;

use super::Origin;
use crate::cel::Expression;

/// Everything of an authenticator that decides which user a verified token becomes, and whether it may. Only `convert`
/// makes one of a spec.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// What the claims must satisfy, in the order of the spec.
    pub claim_rules: Vec<ClaimRule>,
    /// Where the username comes from.
    pub username: UsernameMapping,
    /// Where the groups come from.
    pub groups: GroupsMapping,
    /// Where the uid comes from.
    pub uid: UidMapping,
    /// From which servers the groups claim may be fetched, if a token only refers to it; `None`: from none.
    pub distributed: Option<Vec<Origin>>,
    /// Extra attributes by their keys, each a mapping.
    pub extra: Vec<(String, Expression)>,
    /// Whether names of Kubernetes' own may come out.
    pub reserved: ReservedIdentities,
    /// What the user must satisfy, in the order of the spec.
    pub user_rules: Vec<UserRule>,
}

/// One entry of `claimValidationRules`.
#[derive(Clone, Debug, PartialEq)]
pub enum ClaimRule {
    /// The claim must be there, a string, and exactly this.
    Required {
        /// The claim's name.
        claim: String,
        /// The value that it must have; `""` means that it must be there and empty.
        value: String,
    },
    /// It must be true of the claims.
    Expression {
        /// A rule over `claims`.
        expression: Expression,
        /// What the administrator says of it, for the operator who reads why a token was refused.
        message: Option<String>,
    },
}

/// One entry of `userValidationRules`.
#[derive(Clone, Debug, PartialEq)]
pub struct UserRule {
    /// A rule over `user`.
    pub expression: Expression,
    /// What the administrator says of it.
    pub message: Option<String>,
}

/// Where the username comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum UsernameMapping {
    /// A claim, with a prefix before its value.
    Claim {
        /// The claim's name.
        claim: String,
        /// Put before the value; may be empty.
        prefix: String,
    },
    /// A mapping that gives a string.
    Expression(Expression),
}

/// Where the groups come from.
#[derive(Clone, Debug, PartialEq)]
pub enum GroupsMapping {
    /// Nobody has groups.
    Absent,
    /// A claim, with a prefix before each of its values.
    Claim {
        /// The claim's name.
        claim: String,
        /// Put before each value; may be empty.
        prefix: String,
    },
    /// A mapping that gives a string, a list of strings or null.
    Expression(Expression),
}

/// Where the uid comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum UidMapping {
    /// Nobody has one.
    Absent,
    /// A claim.
    Claim(String),
    /// A mapping that gives a string.
    Expression(Expression),
}

/// What becomes of users and groups whose names begin with `system:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReservedIdentities {
    /// They are refused, but for these names, which must be equal byte for byte.
    Refuse {
        /// The exceptions.
        allowed: BTreeSet<String>,
    },
    /// They pass: the issuer may speak for Kubernetes itself.
    Allow,
}

// === impl Rules ===

impl Rules {
    /// The rules of an authenticator that says only where username and groups come from.
    #[must_use]
    pub fn new(username: UsernameMapping, groups: GroupsMapping) -> Self {
        Self {
            claim_rules: Vec::new(),
            username,
            groups,
            uid: UidMapping::Absent,
            distributed: None,
            extra: Vec::new(),
            reserved: ReservedIdentities::default(),
            user_rules: Vec::new(),
        }
    }

    /// The rules that take username and groups from those claims as they are.
    #[must_use]
    pub fn of_claims(username: &str, groups: &str) -> Self {
        Self::new(
            UsernameMapping::Claim { claim: username.to_owned(), prefix: String::new() },
            GroupsMapping::Claim { claim: groups.to_owned(), prefix: String::new() },
        )
    }
}

// === impl ReservedIdentities ===

/// Refused, without exception.
impl Default for ReservedIdentities {
    fn default() -> Self {
        Self::Refuse { allowed: BTreeSet::new() }
    }
}
