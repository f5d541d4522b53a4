//! What we refuse without being told to, and two demands of ours, as rules that kube-apiserver understands: a
//! configuration that goes from us to kube-apiserver opens no door, and one that comes back is what it was.
//!
//! A guard is known again by its expression, to the letter.

use latchkey_crds::authentication::{
    AdditionalAudiences, JWTAuthenticatorSpec, MAX_TOKEN_CEILING_SECONDS, ReservedIdentities, ReservedIdentityPolicy,
};

use super::configuration::{ClaimRule, UserRule};

/// What the guards of a configuration say; `None` where there is no guard.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Guarded {
    pub(super) additional_audiences: Option<AdditionalAudiences>,
    pub(super) authorized_parties: Vec<String>,
    pub(super) max_token_lifetime_seconds: Option<u32>,
    pub(super) reserved_identities: Option<ReservedIdentities>,
}

/// Begins the guard on `azp`; a list follows.
const PARTIES: &str = r#"claims.?azp.orValue("") in "#;
/// Begins the guard on how long a token lives; a number follows. (Whole seconds, as we count them.)
const LIFETIME: &str = "has(claims.iat) && int(claims.exp) - int(claims.iat) <= ";

/// The guards of a spec.
pub(super) fn of(spec: &JWTAuthenticatorSpec) -> (Vec<ClaimRule>, Vec<UserRule>) {
    let audiences = audiences(spec);
    let mut claims = Vec::new();
    let mut guard = |expression: String, message: &str| {
        let (expression, message) = (Some(expression), Some(message.to_owned()));
        claims.push(ClaimRule { expression, message, ..ClaimRule::default() });
    };
    match spec.additional_audiences.unwrap_or_default() {
        AdditionalAudiences::Refuse => guard(only_ours(&audiences), "the token is for another audience too"),
        AdditionalAudiences::Allow => guard(
            strangers_by_us(&audiences, &spec.authorized_parties),
            "the token is for another audience too, and was issued to another client",
        ),
    }
    if !spec.authorized_parties.is_empty() {
        guard(format!("{PARTIES}{}", list(&spec.authorized_parties)), "the token was issued to another client");
    }
    if let Some(seconds) = spec.max_token_lifetime_seconds {
        guard(format!("{LIFETIME}{seconds}"), "the token is good for longer than is allowed");
    }
    let reserved = spec.reserved_identities.clone().unwrap_or_default();
    let users = match reserved.policy.unwrap_or_default() {
        ReservedIdentityPolicy::Allow => Vec::new(),
        ReservedIdentityPolicy::Refuse => vec![UserRule {
            expression: no_reserved(&reserved.allowed),
            message: Some("names that begin with system: are Kubernetes' own".to_owned()),
        }],
    };
    (claims, users)
}

/// Takes the guards out of the rules, and says what they mean.
pub(super) fn take(audiences: &[String], claims: &mut Vec<ClaimRule>, users: &mut Vec<UserRule>) -> Guarded {
    let mut found = Guarded::default();
    // A rule that says something else as well is no guard: with it that would go, too.
    let expressions = |rule: &ClaimRule| match rule {
        ClaimRule { claim: None, required_value: None, expression: Some(expression), message: _ } => expression.clone(),
        _ => String::new(),
    };
    claims.retain(|rule| {
        let parties = parse_list(&expressions(rule), PARTIES).filter(|list| !list.is_empty());
        let lifetime = expressions(rule).strip_prefix(LIFETIME).and_then(|seconds| seconds.parse().ok());
        let lifetime = lifetime.filter(|seconds| (1..=MAX_TOKEN_CEILING_SECONDS).contains(seconds));
        match (parties, lifetime) {
            (Some(parties), _) if found.authorized_parties.is_empty() => found.authorized_parties = parties,
            (_, Some(seconds)) if found.max_token_lifetime_seconds.is_none() => {
                found.max_token_lifetime_seconds = Some(seconds);
            }
            _ => return true,
        }
        false
    });
    let (refuse, allow) = (only_ours(audiences), strangers_by_us(audiences, &found.authorized_parties));
    claims.retain(|rule| {
        let expression = expressions(rule);
        if expression == refuse {
            found.additional_audiences = Some(AdditionalAudiences::Refuse);
        } else if expression == allow {
            // Both at once mean the stricter one.
            found.additional_audiences.get_or_insert(AdditionalAudiences::Allow);
        } else {
            return true;
        }
        false
    });
    users.retain(|rule| match allowed_reserved(&rule.expression) {
        Some(allowed) if found.reserved_identities.is_none() => {
            found.reserved_identities = Some(ReservedIdentities { policy: None, allowed });
            false
        }
        _ => true,
    });
    found
}

/// Every audience of a spec.
pub(super) fn audiences(spec: &JWTAuthenticatorSpec) -> Vec<String> {
    spec.audience.iter().chain(&spec.audiences).cloned().collect()
}

/// `aud` is a text or a list; that one of ours is among it was looked at before.
fn only_ours(audiences: &[String]) -> String {
    format!("type(claims.aud) == string || dyn(claims.aud).all(a, a in {})", list(audiences))
}

fn strangers_by_us(audiences: &[String], parties: &[String]) -> String {
    let asked: Vec<String> = audiences.iter().chain(parties).cloned().collect();
    format!("{} || !has(claims.azp) || claims.azp in {}", only_ours(audiences), list(&asked))
}

fn no_reserved(allowed: &[String]) -> String {
    let one = |name: &str| {
        let reserved = format!(r#"!{name}.lowerAscii().startsWith("system:")"#);
        if allowed.is_empty() { reserved } else { format!("({name} in {} || {reserved})", list(allowed)) }
    };
    format!("{} && user.groups.all(g, {})", one("user.username"), one("g"))
}

fn allowed_reserved(expression: &str) -> Option<Vec<String>> {
    let allowed = if expression.starts_with('(') {
        let start = expression.find('[')?;
        let mut values = serde_json::Deserializer::from_str(&expression[start..]).into_iter::<Vec<String>>();
        values.next()?.ok()?
    } else {
        Vec::new()
    };
    (no_reserved(&allowed) == expression).then_some(allowed)
}

/// A list of texts: JSON's form is one that CEL reads too.
fn list(texts: &[String]) -> String {
    serde_json::json!(texts).to_string()
}

fn parse_list(expression: &str, prefix: &str) -> Option<Vec<String>> {
    serde_json::from_str(expression.strip_prefix(prefix)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> JWTAuthenticatorSpec {
        JWTAuthenticatorSpec { audience: Some("kubernetes-\"a\"".to_owned()), ..JWTAuthenticatorSpec::default() }
    }

    fn again(spec: &JWTAuthenticatorSpec) -> Guarded {
        let (mut claims, mut users) = of(spec);
        let own = ClaimRule { expression: Some("claims.hd == 'a'".to_owned()), ..ClaimRule::default() };
        claims.push(own.clone());
        let own_user = UserRule { expression: "user.username != 'eve'".to_owned(), message: None };
        users.insert(0, own_user.clone());
        let found = take(&audiences(spec), &mut claims, &mut users);
        assert_eq!((claims, users), (vec![own], vec![own_user]));
        found
    }

    #[test]
    fn what_is_guarded_is_known_again() {
        let refuse = Some(AdditionalAudiences::Refuse);
        let none = Some(ReservedIdentities::default());
        let expected = Guarded { additional_audiences: refuse, reserved_identities: none, ..Guarded::default() };
        assert_eq!(again(&spec()), expected);
        let reserved =
            ReservedIdentities { policy: None, allowed: vec!["system:a".to_owned(), "system:]\"".to_owned()] };
        let rich = JWTAuthenticatorSpec {
            additional_audiences: Some(AdditionalAudiences::Allow),
            authorized_parties: vec!["cli".to_owned(), "web".to_owned()],
            max_token_lifetime_seconds: Some(3600),
            reserved_identities: Some(reserved.clone()),
            ..spec()
        };
        let expected = Guarded {
            additional_audiences: Some(AdditionalAudiences::Allow),
            authorized_parties: vec!["cli".to_owned(), "web".to_owned()],
            max_token_lifetime_seconds: Some(3600),
            reserved_identities: Some(reserved),
        };
        assert_eq!(again(&rich), expected);
        let policy = Some(ReservedIdentityPolicy::Allow);
        let open = ReservedIdentities { policy, allowed: Vec::new() };
        let open = JWTAuthenticatorSpec { reserved_identities: Some(open), ..spec() };
        assert_eq!(again(&open), Guarded { additional_audiences: refuse, ..Guarded::default() });
    }

    #[test]
    fn rules_that_only_resemble_a_guard_stay() {
        let (claims, users) = of(&spec());
        let other = ["kubernetes-b".to_owned()];
        let (mut kept, mut kept_users) = (claims.clone(), users);
        assert_eq!(take(&other, &mut kept, &mut kept_users).additional_audiences, None);
        assert_eq!(kept, claims);
        for expression in [
            r#"claims.?azp.orValue("") in [1]"#,
            r#"claims.?azp.orValue("") in []"#,
            r#"claims.?azp.orValue("") in ["a"] || true"#,
            "has(claims.iat) && int(claims.exp) - int(claims.iat) <= 0",
            "has(claims.iat) && int(claims.exp) - int(claims.iat) <= 60 || true",
        ] {
            let rule = ClaimRule { expression: Some(expression.to_owned()), ..ClaimRule::default() };
            let mut claims = vec![rule];
            assert_eq!(take(&other, &mut claims, &mut Vec::new()), Guarded::default(), "{expression}");
            assert_eq!(claims.len(), 1, "{expression}");
        }
        let mut both = claims.clone();
        both[0].claim = Some("hd".to_owned());
        let expected = both.clone();
        assert_eq!(take(&audiences(&spec()), &mut both, &mut Vec::new()), Guarded::default());
        assert_eq!(both, expected, "the demand for a claim is not lost");
        let resembling = no_reserved(&[]) + " || true";
        let mut users = vec![UserRule { expression: resembling, message: None }];
        assert_eq!(take(&other, &mut Vec::new(), &mut users), Guarded::default());
        assert_eq!(users.len(), 1);
    }
}
