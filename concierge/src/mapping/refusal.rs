//! Why claims do not become a user: a closed list with one stable word each.

use super::{ClaimSource, MAX_GROUPS, MappingProblem, RuleFailure, SourceProblem, Unsafe, names::MAX_EXTRA};
use crate::jwt::Step;

/// The first rule that the claims failed. The display text is for the operator and may quote claims, which an issuer
/// that we trust has signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A required claim is absent, has another type or another value.
    #[error("claim {claim:?} must be {expected:?}, found {found}")]
    RequiredClaim {
        /// The claim.
        claim: String,
        /// The value that the rule asks for.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A claim rule is false, or has no answer.
    #[error("claim {0}")]
    ClaimRuleFailed(RuleFailure),
    /// A mapped claim is absent.
    #[error("claim {claim:?} is missing")]
    ClaimMissing {
        /// The claim.
        claim: String,
        /// The mapping that needs it.
        step: Step,
    },
    /// The groups claim is not in the token but with another server, which may be asked: see [`ClaimSource`]. Whoever
    /// cannot ask lets this stand.
    #[error("claim {:?} has to be fetched from {}", .0.claim(), .0.origin())]
    ClaimElsewhere(Box<ClaimSource>),
    /// The groups claim is not in the token, and what the token refers to is not asked.
    #[error("claim {claim:?} {problem}")]
    ClaimOutOfReach {
        /// The claim.
        claim: String,
        /// Why.
        problem: SourceProblem,
    },
    /// A mapped claim cannot be used as what it is mapped to.
    #[error("claim {claim:?} is {found}, expected {expected}")]
    ClaimWrongType {
        /// The claim.
        claim: String,
        /// What it is.
        found: &'static str,
        /// What it should be.
        expected: &'static str,
        /// The mapping that reads it.
        step: Step,
    },
    /// Nothing can be made of a mapping expression.
    #[error("mapping {expression:?}: {problem}")]
    MappingFailed {
        /// The mapping.
        expression: String,
        /// What is wrong.
        problem: MappingProblem,
        /// What it maps to.
        step: Step,
    },
    /// The username comes from `email`, and the issuer says that it did not verify it.
    #[error("claim \"email\" is mapped to the username, but \"email_verified\" is not true")]
    EmailUnverified,
    /// More than [`MAX_GROUPS`].
    #[error("{found} groups, at most {MAX_GROUPS} are accepted")]
    TooManyGroups {
        /// How many.
        found: usize,
    },
    /// A name that belongs to Kubernetes itself.
    #[error("{0:?} is reserved: names beginning with \"system:\" are not for identity providers to give")]
    IdentityReserved(String),
    /// The username would be empty.
    #[error("the username is empty")]
    UsernameEmpty,
    /// The username holds what must not be shown or sent.
    #[error("the username {0}")]
    UsernameUnsafe(Unsafe),
    /// A group holds what must not be shown or sent.
    #[error("a group name {0}")]
    GroupUnsafe(Unsafe),
    /// The uid holds what must not be shown or sent.
    #[error("the uid {0}")]
    UidUnsafe(Unsafe),
    /// An extra attribute holds what must not be shown or sent.
    #[error("extra {key:?} {problem}")]
    ExtraUnsafe {
        /// The extra attribute.
        key: String,
        /// What is wrong with its key or one of its values.
        problem: Unsafe,
    },
    /// More than [`MAX_EXTRA`] keys and values of extra attributes.
    #[error("{found} keys and values of extra attributes, at most {MAX_EXTRA} are accepted")]
    TooMuchExtra {
        /// How many.
        found: usize,
    },
    /// A user rule is false, or has no answer.
    #[error("user {0}")]
    UserRuleFailed(RuleFailure),
}

impl Refusal {
    /// The stable word for records, metrics and Events (threats.md 2.4, design 14.16).
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::RequiredClaim { .. } | Self::ClaimRuleFailed(_) => "claim-rule-failed",
            Self::ClaimMissing { .. } | Self::ClaimElsewhere(_) | Self::ClaimOutOfReach { .. } => "claim-missing",
            Self::ClaimWrongType { .. }
            | Self::MappingFailed { .. }
            | Self::UidUnsafe(_)
            | Self::ExtraUnsafe { .. }
            | Self::TooMuchExtra { .. } => "claim-wrong-type",
            Self::EmailUnverified => "email-unverified",
            Self::UsernameEmpty => "username-empty",
            Self::UsernameUnsafe(_) => "username-unsafe",
            Self::GroupUnsafe(_) => "group-unsafe",
            Self::IdentityReserved(_) => "identity-reserved",
            Self::TooManyGroups { .. } => "too-many-groups",
            Self::UserRuleFailed(_) => "user-rule-failed",
        }
    }

    /// The sentence without what may name a person, for records that are to name nobody.
    #[must_use]
    pub fn discreet(&self) -> String {
        match self {
            Self::RequiredClaim { claim, expected, .. } => {
                format!("claim {claim:?} must be {expected:?}, found another value")
            }
            Self::IdentityReserved(_) => {
                "the identity is reserved: names beginning with \"system:\" are not for identity providers to give"
                    .to_owned()
            }
            // Claims' names, rules and types; what a rule's error says never holds what a token says.
            Self::ClaimRuleFailed(_)
            | Self::ClaimMissing { .. }
            | Self::ClaimElsewhere(_)
            | Self::ClaimOutOfReach { .. }
            | Self::ClaimWrongType { .. }
            | Self::MappingFailed { .. }
            | Self::EmailUnverified
            | Self::TooManyGroups { .. }
            | Self::UsernameEmpty
            | Self::UsernameUnsafe(_)
            | Self::GroupUnsafe(_)
            | Self::UidUnsafe(_)
            | Self::TooMuchExtra { .. }
            | Self::UserRuleFailed(_) => self.to_string(),
            // A key may be made of a claim by an expression.
            Self::ExtraUnsafe { problem, .. } => format!("an extra attribute {problem}"),
        }
    }

    /// The step that the claims failed; they passed every one before.
    #[must_use]
    pub const fn step(&self) -> Step {
        match self {
            // Before the rules, which may ask about the claim.
            Self::ClaimElsewhere(_)
            | Self::ClaimOutOfReach { .. }
            | Self::RequiredClaim { .. }
            | Self::ClaimRuleFailed(_) => Step::ClaimRules,
            Self::ClaimMissing { step, .. } | Self::ClaimWrongType { step, .. } | Self::MappingFailed { step, .. } => {
                *step
            }
            Self::EmailUnverified => Step::Username,
            Self::TooManyGroups { .. } => Step::Groups,
            Self::IdentityReserved(_)
            | Self::UsernameEmpty
            | Self::UsernameUnsafe(_)
            | Self::GroupUnsafe(_)
            | Self::UidUnsafe(_)
            | Self::ExtraUnsafe { .. }
            | Self::TooMuchExtra { .. } => Step::Reserved,
            Self::UserRuleFailed(_) => Step::UserRules,
        }
    }

    /// Every code, for tests that hold the list against the vectors.
    pub const CODES: [&'static str; 10] = [
        "claim-rule-failed",
        "claim-missing",
        "claim-wrong-type",
        "email-unverified",
        "username-empty",
        "username-unsafe",
        "group-unsafe",
        "identity-reserved",
        "too-many-groups",
        "user-rule-failed",
    ];
}
