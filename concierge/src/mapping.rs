//! Verified claims to a Kubernetes user, by an authenticator's rules; and which names no issuer may give.
//!
//! Where design 14 does not say otherwise, claims mean what they mean to kube-apiserver: `null` for a name is the empty
//! name, `null` for groups is no group.

mod claim;
mod distributed;
mod expression;
mod names;
mod refusal;
mod reserved;
mod rules;
mod user;
mod vouched;

pub use self::{
    distributed::{ClaimSource, Origin, SourceProblem},
    expression::{MappingProblem, RuleFailure},
    names::{GroupName, Unsafe, Username},
    refusal::Refusal,
    rules::{ClaimRule, GroupsMapping, ReservedIdentities, Rules, UidMapping, UserRule, UsernameMapping},
    user::User,
    vouched::vouched,
};
use self::{expression::Claims, user::Draft};
use crate::jwt::{Step, Trace, VerifiedClaims};

/// Most groups of one user. Entra ID itself stops at 200 in a token; headers and certificates grow with each.
pub const MAX_GROUPS: usize = 1_000;

/// The extra key that Kubernetes itself sets for JWTs with a `jti` (KEP-3331), so that a record can be traced to a token.
pub const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";

/// Maps `claims` by `rules`, in the order of design 14.4: claim rules, username, groups, uid, extra, then reserved and
/// unsafe names, then user rules. `trace` hears of each step in turn.
///
/// # Errors
///
/// The first rule that fails. There is no half identity: one bad group refuses the user.
pub fn map(claims: &VerifiedClaims, rules: &Rules, trace: &mut impl Trace) -> Result<User, Refusal> {
    distributed::at_hand(claims, rules)?;
    let seen = Claims::new(claims);
    for rule in &rules.claim_rules {
        match rule {
            ClaimRule::Required { claim, value } => claim::require(claims, claim, value)?,
            ClaimRule::Expression { expression, message } => seen.require(expression, message.as_deref())?,
        }
    }
    trace.passed(Step::ClaimRules);

    let username = match &rules.username {
        UsernameMapping::Claim { claim, prefix } => claim::username(claims, claim, prefix)?,
        UsernameMapping::Expression(mapping) => seen.text(mapping, Step::Username)?,
    };
    trace.passed(Step::Username);

    let groups = match &rules.groups {
        GroupsMapping::Absent => Vec::new(),
        GroupsMapping::Claim { claim, prefix } => claim::groups(claims, claim, prefix)?,
        GroupsMapping::Expression(mapping) => seen.groups(mapping)?,
    };
    trace.passed(Step::Groups);

    let uid = match &rules.uid {
        UidMapping::Absent => String::new(),
        UidMapping::Claim(claim) => claim::uid(claims, claim)?,
        UidMapping::Expression(mapping) => seen.text(mapping, Step::Uid)?,
    };
    trace.passed(Step::Uid);

    let mut draft = Draft { username, groups, uid, ..Draft::default() };
    if let Some(id) = claims.token_id().filter(|id| !id.is_empty()) {
        draft.extra.insert(CREDENTIAL_ID.to_owned(), vec![format!("JTI={id}")]);
    }
    for (key, mapping) in &rules.extra {
        let values = seen.texts(mapping, Step::Extra)?;
        if !values.is_empty() {
            draft.extra.insert(key.clone(), values);
        }
    }
    trace.passed(Step::Extra);

    let user = draft.into_user(&rules.reserved)?;
    trace.passed(Step::Reserved);
    expression::check_user(&user, &rules.user_rules)?;
    trace.passed(Step::UserRules);
    Ok(user)
}
