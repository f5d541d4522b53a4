//! `spec.claims`, the validation rules and `spec.reservedIdentities`: the API server's rules (kubernetes-authn 1.1) with
//! the names of Pinniped's fields.

mod mappings;
mod validation;

pub(super) use self::validation::reserved;

use latchkey_crds::authentication::{Claims, JWTAuthenticatorSpec, limits};

use super::problems::Problems;
use crate::{
    cel::{CompileError, Expression},
    mapping::{ClaimRule, Rules, UsernameMapping},
};

/// Reads the rules; `None` only beside a problem.
pub(super) fn read(spec: &JWTAuthenticatorSpec, problems: &mut Problems) -> Option<Rules> {
    let no_claims = Claims::default();
    let claims = spec.claims.as_ref().unwrap_or(&no_claims);
    let username = mappings::username(claims, problems);
    let groups = mappings::groups(claims, problems);
    let uid = mappings::uid(claims, problems);
    let extra = mappings::extra(&claims.extra, problems);
    let distributed = mappings::distributed(claims, problems);
    let claim_rules = validation::claim_rules(&spec.claim_validation_rules, problems);
    let user_rules = validation::user_rules(&spec.user_validation_rules, problems);
    let reserved = validation::reserved(spec.reserved_identities.as_ref(), problems);
    if let (Some(username), Some(extra), Some(claim_rules)) = (&username, &extra, &claim_rules) {
        email_rule(username, extra, claim_rules, problems);
    }
    Some(Rules {
        claim_rules: claim_rules?,
        uid: uid?,
        distributed,
        extra: extra?,
        user_rules: user_rules?,
        reserved,
        ..Rules::new(username?, groups?)
    })
}

/// Whoever makes a name of an e-mail address must say what becomes of one that nobody verified (KEP-3331).
///
/// It is a demand to mention the other claim, as in kube-apiserver; that the mention matters it does not prove. Unlike
/// there, an index (`claims["email"]`) is a use too.
fn email_rule(
    username: &UsernameMapping,
    extra: &[(String, Expression)],
    claim_rules: &[ClaimRule],
    problems: &mut Problems,
) {
    let UsernameMapping::Expression(username) = username else { return };
    let of_rules = claim_rules.iter().filter_map(|rule| match rule {
        ClaimRule::Expression { expression, .. } => Some(expression),
        ClaimRule::Required { .. } => None,
    });
    let mut all = [username].into_iter().chain(extra.iter().map(|(_, expression)| expression)).chain(of_rules);
    if username.mentions_claim("email") && !all.any(|expression| expression.mentions_claim("email_verified")) {
        problems.add(
            "claims.usernameExpression",
            "uses claims.email, so an expression must look at claims.email_verified: \
             add the claimValidationRule claims.?email_verified.orValue(true) == true",
        );
    }
}

/// An expression, compiled; else its problem is told with line and column, counted from 1.
fn compiled(
    field: &str,
    source: &str,
    compile: impl FnOnce(&str) -> Result<Expression, CompileError>,
    problems: &mut Problems,
) -> Option<Expression> {
    if source.chars().count() > limits::EXPRESSION_CHARS as usize {
        problems.length(field, source, limits::EXPRESSION_CHARS);
        return None;
    }
    compile(source).map_err(|error| problems.expression(field, &error.to_string())).ok()
}

#[cfg(test)]
mod tests;
