//! `spec.claimValidationRules`, `spec.userValidationRules` and `spec.reservedIdentities`: whom to stop.

use std::collections::HashSet;

use latchkey_crds::authentication::{
    ClaimValidationRule, ReservedIdentities as Reserved, ReservedIdentityPolicy, UserValidationRule, limits,
};

use super::compiled;
use crate::{
    cel::{Expression, Scope},
    convert::problems::Problems,
    mapping::{ClaimRule, ReservedIdentities, UserRule},
};

/// The rules on claims; `None` if some rule is none.
pub(super) fn claim_rules(rules: &[ClaimValidationRule], problems: &mut Problems) -> Option<Vec<ClaimRule>> {
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
        read.push(match (given(&rule.claim), given(&rule.expression)) {
            (None, None) => {
                problems.add(&field, "claim or expression is required");
                None
            }
            (Some(_), Some(_)) => {
                problems.add(&field, "claim and expression can't both be set: make two rules");
                None
            }
            (Some(claim), None) => {
                problems.length(&at("claim"), &claim, limits::NAME_CHARS);
                if given(&rule.message).is_some() {
                    problems.add(&at("message"), "goes with an expression only: remove it");
                }
                if !claims.insert(claim.clone()) {
                    problems.add(&at("claim"), &format!("{claim:?} is a duplicate: no claim has two values"));
                }
                // An absent value is the empty string, as with kube-apiserver: the claim must be "".
                Some(ClaimRule::Required { claim, value: rule.required_value.clone().unwrap_or_default() })
            }
            (None, Some(source)) => {
                if given(&rule.required_value).is_some() {
                    problems.add(&at("requiredValue"), "goes with a claim only: remove it");
                }
                let compile = |source: &str| Expression::rule(Scope::Claims, source);
                let expression = compiled(&at("expression"), &source, compile, problems);
                if !expressions.insert(source) {
                    problems.add(&at("expression"), "is a duplicate: remove it");
                }
                expression.map(|expression| ClaimRule::Expression { expression, message: given(&rule.message) })
            }
        });
    }
    read.into_iter().collect()
}

/// The rules on users; `None` if some rule is none.
pub(super) fn user_rules(rules: &[UserValidationRule], problems: &mut Problems) -> Option<Vec<UserRule>> {
    problems.count("userValidationRules", rules, limits::RULES);
    let mut expressions = HashSet::new();
    let mut read = Vec::new();
    for (position, rule) in rules.iter().enumerate() {
        let field = format!("userValidationRules[{position}]");
        let place = format!("{field}.expression");
        let message = rule.message.clone().filter(|message| !message.is_empty());
        problems.length(&format!("{field}.message"), message.as_deref().unwrap_or_default(), limits::TEXT_CHARS);
        if rule.expression.is_empty() {
            problems.add(&place, "is empty: write an expression or remove the rule");
            read.push(None);
            continue;
        }
        if !expressions.insert(&rule.expression) {
            problems.add(&place, "is a duplicate: remove it");
        }
        let compile = |source: &str| Expression::rule(Scope::User, source);
        let expression = compiled(&place, &rule.expression, compile, problems);
        read.push(expression.map(|expression| UserRule { expression, message }));
    }
    read.into_iter().collect()
}

/// `spec.reservedIdentities` of either kind.
pub(in crate::convert) fn reserved(reserved: Option<&Reserved>, problems: &mut Problems) -> ReservedIdentities {
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
