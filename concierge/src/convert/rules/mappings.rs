//! `spec.claims`: where name, groups, uid and extra come from. Each is a claim or an expression, never both.

use std::collections::HashSet;

use latchkey_crds::authentication::{
    Claims, DEFAULT_GROUPS_CLAIM, DEFAULT_USERNAME_CLAIM, DistributedClaims, ExtraMapping, limits,
};

use super::compiled;
use crate::{
    cel::{Expression, Target},
    convert::{extra_key, problems::Problems, url},
    mapping::{GroupsMapping, Origin, UidMapping, UsernameMapping},
};

/// A claim or an expression, by the only one of two fields that is set.
enum Choice<'a> {
    Claim(&'a str),
    Expression(&'a str),
}

pub(super) fn username(claims: &Claims, problems: &mut Problems) -> Option<UsernameMapping> {
    let choice = choice("username", claims.username.as_deref(), claims.username_expression.as_deref(), problems);
    let prefix = prefix("username", claims.username_prefix.as_deref(), choice.as_ref(), problems);
    let claim = match choice {
        None => DEFAULT_USERNAME_CLAIM,
        Some(Choice::Claim(claim)) => claim,
        Some(Choice::Expression(source)) => {
            return mapping("claims.usernameExpression", Target::Username, source, problems)
                .map(UsernameMapping::Expression);
        }
    };
    Some(UsernameMapping::Claim { claim: claim.to_owned(), prefix })
}

pub(super) fn groups(claims: &Claims, problems: &mut Problems) -> Option<GroupsMapping> {
    let choice = choice("groups", claims.groups.as_deref(), claims.groups_expression.as_deref(), problems);
    let prefix = prefix("groups", claims.groups_prefix.as_deref(), choice.as_ref(), problems);
    let claim = match choice {
        None => DEFAULT_GROUPS_CLAIM,
        Some(Choice::Claim(claim)) => claim,
        Some(Choice::Expression(source)) => {
            return mapping("claims.groupsExpression", Target::Groups, source, problems).map(GroupsMapping::Expression);
        }
    };
    Some(GroupsMapping::Claim { claim: claim.to_owned(), prefix })
}

pub(super) fn uid(claims: &Claims, problems: &mut Problems) -> Option<UidMapping> {
    match choice("uid", claims.uid.as_deref(), claims.uid_expression.as_deref(), problems) {
        None => Some(UidMapping::Absent),
        Some(Choice::Claim(claim)) => Some(UidMapping::Claim(claim.to_owned())),
        Some(Choice::Expression(source)) => {
            mapping("claims.uidExpression", Target::Uid, source, problems).map(UidMapping::Expression)
        }
    }
}

/// The keys and expressions of all that is well-formed; `None` if some expression is not.
pub(super) fn extra(mappings: &[ExtraMapping], problems: &mut Problems) -> Option<Vec<(String, Expression)>> {
    problems.count("claims.extra", mappings, limits::EXTRA);
    let mut keys = HashSet::new();
    let mut read = Vec::new();
    for (position, extra) in mappings.iter().enumerate() {
        let field = format!("claims.extra[{position}]");
        let (key, value) = (format!("{field}.key"), format!("{field}.valueExpression"));
        problems.length(&key, &extra.key, limits::LONG_NAME_CHARS);
        if let Some(problem) = extra_key::problem(&extra.key) {
            problems.add(&key, &format!("{:?} {problem}", extra.key));
        }
        if !keys.insert(&extra.key) {
            problems.add(&key, &format!("{:?} is a duplicate: each key may stand once", extra.key));
        }
        read.push(if extra.value_expression.is_empty() {
            problems.add(&value, "is empty: write an expression or remove the mapping");
            None
        } else {
            mapping(&value, Target::Extra, &extra.value_expression, problems).map(|value| (extra.key.clone(), value))
        });
    }
    read.into_iter().collect()
}

/// `claims.distributed`: from where the groups claim may be fetched.
pub(super) fn distributed(claims: &Claims, problems: &mut Problems) -> Option<Vec<Origin>> {
    const FIELD: &str = "claims.distributed.allowedOrigins";
    let DistributedClaims { allowed_origins } = claims.distributed.as_ref()?;
    problems.set(FIELD, allowed_origins, (limits::ORIGINS, limits::LONG_NAME_CHARS), |origin| {
        (!is_origin(origin)).then_some(
            "must be an https origin, a host and perhaps a port with nothing after it, such as https://graph.example.com",
        )
    });
    if allowed_origins.is_empty() {
        problems.add(FIELD, "is empty: name the servers that may be asked, or remove claims.distributed");
    }
    if claims.groups_expression.as_ref().is_some_and(|expression| !expression.is_empty()) {
        problems.add(
            "claims.distributed",
            "goes with groups, not with groupsExpression: an expression sees only what stands in the token itself",
        );
    }
    Some(allowed_origins.iter().filter_map(|origin| Origin::of(origin)).collect())
}

/// RFC 6454: scheme, host and perhaps a port, with nothing after it.
fn is_origin(text: &str) -> bool {
    let bare = text.strip_prefix("https://").is_some_and(|host| !host.contains(['/', '?', '#', '@']));
    bare && url::parse(text).is_some()
}

fn mapping(field: &str, target: Target, source: &str, problems: &mut Problems) -> Option<Expression> {
    compiled(field, source, |source| Expression::mapping(target, source), problems)
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
        let place = format!("claims.{field}");
        problems.length(&place, claim, limits::NAME_CHARS);
        if claim.trim() != claim {
            problems.add(&place, "must be the name of a claim, without white space around it");
        }
        if expression.is_some() {
            let mend = format!("claim and expression can't both be set: remove {field} or {field}Expression");
            problems.add(&place, &mend);
        }
    }
    expression.map(Choice::Expression).or(claim.map(Choice::Claim))
}

/// The prefix of a claim's values; beside an expression there is none, not even an empty one (design 14.14).
fn prefix(field: &str, prefix: Option<&str>, choice: Option<&Choice<'_>>, problems: &mut Problems) -> String {
    let Some(prefix) = prefix else { return String::new() };
    let place = format!("claims.{field}Prefix");
    if matches!(choice, Some(Choice::Expression(_))) {
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
