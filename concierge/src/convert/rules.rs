//! `spec.claims`, the validation rules and `spec.reservedIdentities`: the API server's rules (kubernetes-authn 1.1) with
//! the names of Pinniped's fields.
//!
//! What this version does not evaluate is never passed over: a rule that were ignored would admit whom it should stop.

use std::collections::HashSet;

use latchkey_crds::authentication::{
    ClaimValidationRule, Claims, DEFAULT_GROUPS_CLAIM, DEFAULT_USERNAME_CLAIM, DistributedClaims, ExtraMapping,
    JWTAuthenticatorSpec, ReservedIdentities as Reserved, ReservedIdentityPolicy, UserValidationRule, limits,
};

use super::{extra_key, problems::Problems, url};
use crate::mapping::{ClaimRule, GroupsMapping, ReservedIdentities, Rules, UidMapping, UsernameMapping};

/// Says of a CEL expression that it is not evaluated. (KEP-3331's expressions come with a later version.)
const NO_CEL: &str = "this version does not evaluate CEL expressions yet, and does not ignore them";

/// A claim or an expression, by the only one of two fields that is set.
enum Choice<'a> {
    Claim(&'a str),
    Expression,
}

/// Reads the rules; `None` only beside a problem.
pub(super) fn read(spec: &JWTAuthenticatorSpec, problems: &mut Problems) -> Option<Rules> {
    let no_claims = Claims::default();
    let claims = spec.claims.as_ref().unwrap_or(&no_claims);
    let username = username(claims, problems);
    let groups = groups(claims, problems);
    let uid = uid(claims, problems);
    extra(&claims.extra, problems);
    if let Some(distributed) = &claims.distributed {
        self::distributed(distributed, problems);
    }
    let claim_rules = claim_rules(&spec.claim_validation_rules, problems);
    user_rules(&spec.user_validation_rules, problems);
    let reserved = reserved(spec.reserved_identities.as_ref(), problems);
    Some(Rules { claim_rules, uid: uid?, reserved, ..Rules::new(username?, groups?) })
}

fn username(claims: &Claims, problems: &mut Problems) -> Option<UsernameMapping> {
    let choice = choice("username", claims.username.as_deref(), claims.username_expression.as_deref(), problems);
    let prefix = prefix("username", claims.username_prefix.as_deref(), choice.as_ref(), problems);
    match choice {
        None => Some(UsernameMapping::Claim { claim: DEFAULT_USERNAME_CLAIM.to_owned(), prefix }),
        Some(Choice::Claim(claim)) => Some(UsernameMapping::Claim { claim: claim.to_owned(), prefix }),
        Some(Choice::Expression) => {
            problems.add("claims.usernameExpression", &format!("{NO_CEL}: name a claim in claims.username instead"));
            None
        }
    }
}

fn groups(claims: &Claims, problems: &mut Problems) -> Option<GroupsMapping> {
    let choice = choice("groups", claims.groups.as_deref(), claims.groups_expression.as_deref(), problems);
    let prefix = prefix("groups", claims.groups_prefix.as_deref(), choice.as_ref(), problems);
    match choice {
        None => Some(GroupsMapping::Claim { claim: DEFAULT_GROUPS_CLAIM.to_owned(), prefix }),
        Some(Choice::Claim(claim)) => Some(GroupsMapping::Claim { claim: claim.to_owned(), prefix }),
        Some(Choice::Expression) => {
            problems.add("claims.groupsExpression", &format!("{NO_CEL}: name a claim in claims.groups instead"));
            None
        }
    }
}

fn uid(claims: &Claims, problems: &mut Problems) -> Option<UidMapping> {
    match choice("uid", claims.uid.as_deref(), claims.uid_expression.as_deref(), problems) {
        None => Some(UidMapping::Absent),
        Some(Choice::Claim(claim)) => Some(UidMapping::Claim(claim.to_owned())),
        Some(Choice::Expression) => {
            problems.add("claims.uidExpression", &format!("{NO_CEL}: name a claim in claims.uid instead"));
            None
        }
    }
}

/// A claim's name or an expression; an empty string counts as absent, as with Pinniped.
fn choice<'a>(
    field: &str,
    claim: Option<&'a str>,
    expression: Option<&'a str>,
    problems: &mut Problems,
) -> Option<Choice<'a>> {
    let claim = claim.filter(|claim| !claim.is_empty());
    let expression = expression.filter(|expression| !expression.is_empty());
    if let Some(claim) = claim {
        let field = format!("claims.{field}");
        problems.length(&field, claim, limits::NAME_CHARS);
        if claim.trim() != claim {
            problems.add(&field, "must be the name of a claim, without white space around it");
        }
    }
    if let Some(expression) = expression {
        problems.length(&format!("claims.{field}Expression"), expression, limits::EXPRESSION_CHARS);
        if claim.is_some() {
            let mend = format!("claim and expression can't both be set: remove {field} or {field}Expression");
            problems.add(&format!("claims.{field}"), &mend);
        }
        return Some(Choice::Expression);
    }
    claim.map(Choice::Claim)
}

/// The prefix of a claim's values; beside an expression there is none, not even an empty one (design 14.14).
fn prefix(field: &str, prefix: Option<&str>, choice: Option<&Choice<'_>>, problems: &mut Problems) -> String {
    let Some(prefix) = prefix else { return String::new() };
    let place = format!("claims.{field}Prefix");
    if matches!(choice, Some(Choice::Expression)) {
        let mend = format!(
            "goes with {field}, not with {field}Expression, even when it is empty: write the prefix into the expression"
        );
        problems.add(&place, &mend);
    }
    problems.length(&place, prefix, limits::NAME_CHARS);
    if prefix.starts_with(char::is_whitespace) {
        problems.add(&place, "must not begin with white space: no name that begins so is ever accepted");
    }
    prefix.to_owned()
}

fn extra(mappings: &[ExtraMapping], problems: &mut Problems) {
    problems.count("claims.extra", mappings, limits::EXTRA);
    let mut keys = HashSet::new();
    for (position, mapping) in mappings.iter().enumerate() {
        let field = format!("claims.extra[{position}]");
        let (key, value) = (format!("{field}.key"), format!("{field}.valueExpression"));
        problems.length(&key, &mapping.key, limits::LONG_NAME_CHARS);
        if let Some(problem) = extra_key::problem(&mapping.key) {
            problems.add(&key, &format!("{:?} {problem}", mapping.key));
        }
        if !keys.insert(&mapping.key) {
            problems.add(&key, &format!("{:?} is a duplicate: each key may stand once", mapping.key));
        }
        problems.length(&value, &mapping.value_expression, limits::EXPRESSION_CHARS);
        if mapping.value_expression.is_empty() {
            problems.add(&value, "is empty: write an expression or remove the mapping");
        } else {
            problems.add(&value, &format!("{NO_CEL}: remove the mapping"));
        }
    }
}

fn distributed(distributed: &DistributedClaims, problems: &mut Problems) {
    const FIELD: &str = "claims.distributed.allowedOrigins";
    problems.set(FIELD, &distributed.allowed_origins, (limits::ORIGINS, limits::LONG_NAME_CHARS), |origin| {
        (!is_origin(origin)).then_some(
            "must be an https origin, a host and perhaps a port with nothing after it, such as https://graph.example.com",
        )
    });
    if distributed.allowed_origins.is_empty() {
        problems.add(FIELD, "is empty: name the servers that may be asked, or remove claims.distributed");
    }
    problems.add("claims.distributed", "this version does not fetch distributed claims yet: remove it");
}

/// RFC 6454: scheme, host and perhaps a port, with nothing after it.
fn is_origin(text: &str) -> bool {
    let bare = text.strip_prefix("https://").is_some_and(|host| !host.contains(['/', '?', '#', '@']));
    bare && url::parse(text).is_some()
}

fn claim_rules(rules: &[ClaimValidationRule], problems: &mut Problems) -> Vec<ClaimRule> {
    problems.count("claimValidationRules", rules, limits::RULES);
    let (mut claims, mut expressions) = (HashSet::new(), HashSet::new());
    let mut read = Vec::new();
    for (position, rule) in rules.iter().enumerate() {
        let field = format!("claimValidationRules[{position}]");
        let at = |name: &str| format!("{field}.{name}");
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        for (name, text) in [("requiredValue", &rule.required_value), ("message", &rule.message)] {
            problems.length(&at(name), text.as_deref().unwrap_or_default(), limits::TEXT_CHARS);
        }
        match (given(&rule.claim), given(&rule.expression)) {
            (None, None) => problems.add(&field, "claim or expression is required"),
            (Some(_), Some(_)) => problems.add(&field, "claim and expression can't both be set: make two rules"),
            (Some(claim), None) => {
                problems.length(&at("claim"), &claim, limits::NAME_CHARS);
                if given(&rule.message).is_some() {
                    problems.add(&at("message"), "goes with an expression only: remove it");
                }
                if !claims.insert(claim.clone()) {
                    problems.add(&at("claim"), &format!("{claim:?} is a duplicate: no claim has two values"));
                }
                // An absent value is the empty string, as with kube-apiserver: the claim must be "".
                read.push(ClaimRule::Required { claim, value: rule.required_value.clone().unwrap_or_default() });
            }
            (None, Some(expression)) => {
                problems.length(&at("expression"), &expression, limits::EXPRESSION_CHARS);
                if given(&rule.required_value).is_some() {
                    problems.add(&at("requiredValue"), "goes with a claim only: remove it");
                }
                if !expressions.insert(expression) {
                    problems.add(&at("expression"), "is a duplicate: remove it");
                }
                problems.add(&at("expression"), &format!("{NO_CEL}: use claim and requiredValue instead"));
            }
        }
    }
    read
}

fn user_rules(rules: &[UserValidationRule], problems: &mut Problems) {
    problems.count("userValidationRules", rules, limits::RULES);
    let mut expressions = HashSet::new();
    for (position, rule) in rules.iter().enumerate() {
        let field = format!("userValidationRules[{position}]");
        let (expression, message) = (format!("{field}.expression"), format!("{field}.message"));
        problems.length(&expression, &rule.expression, limits::EXPRESSION_CHARS);
        problems.length(&message, rule.message.as_deref().unwrap_or_default(), limits::TEXT_CHARS);
        if rule.expression.is_empty() {
            problems.add(&expression, "is empty: write an expression or remove the rule");
            continue;
        }
        if !expressions.insert(&rule.expression) {
            problems.add(&expression, "is a duplicate: remove it");
        }
        problems.add(&expression, &format!("{NO_CEL}: remove the rule"));
    }
}

/// `spec.reservedIdentities` of either kind.
pub(super) fn reserved(reserved: Option<&Reserved>, problems: &mut Problems) -> ReservedIdentities {
    const FIELD: &str = "reservedIdentities.allowed";
    let Some(reserved) = reserved else { return ReservedIdentities::default() };
    problems.set(FIELD, &reserved.allowed, (limits::RESERVED_NAMES, limits::LONG_NAME_CHARS), |name| {
        let is_reserved = name.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("system:"));
        (!is_reserved || name.trim() != name)
            .then_some("must be a whole name that begins with system:; other names need no exception")
    });
    match reserved.policy.unwrap_or_default() {
        ReservedIdentityPolicy::Refuse => {
            ReservedIdentities::Refuse { allowed: reserved.allowed.iter().cloned().collect() }
        }
        ReservedIdentityPolicy::Allow => {
            if !reserved.allowed.is_empty() {
                problems.add(
                    FIELD,
                    "goes with the policy Refuse, whose exceptions it lists: remove it or the policy Allow",
                );
            }
            ReservedIdentities::Allow
        }
    }
}

#[cfg(test)]
mod tests;
