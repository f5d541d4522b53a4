//! From claims to users: prefixes, uid, extra, expressions, rules and the names that Kubernetes keeps for itself.

use std::sync::Arc;

use latchkey_concierge::{
    authn::Reason,
    cel::{Expression, Scope, Target},
    jwt::Step,
    mapping::{
        ClaimRule, GroupName, GroupsMapping, ReservedIdentities, Rules, UidMapping, User, UserRule, UsernameMapping,
    },
    policy,
};
use serde_json::{Value, json};

use crate::issuer::{NOW, judged, rs256, with_profile};

fn rules(change: impl FnOnce(&mut Rules)) -> Rules {
    let mut rules = Rules::of_claims("username", "groups");
    change(&mut rules);
    rules
}

fn judge(rules: &Rules, changes: &Value) -> Result<User, Reason> {
    let mut authenticator = with_profile(|_| ());
    authenticator.rules = Arc::new(rules.clone());
    judged(&rs256(changes), &authenticator, NOW).map(|admitted| admitted.user)
}

fn code(rules: &Rules, changes: &Value) -> &'static str {
    judge(rules, changes).map_or_else(|reason| reason.code(), |_| "allowed")
}

/// The user in one line.
fn shown(rules: &Rules, changes: &Value) -> String {
    match judge(rules, changes) {
        Ok(user) => {
            let groups: Vec<&str> = user.groups().iter().map(GroupName::as_str).collect();
            format!("{} {:?} {:?} {:?}", user.username().as_str(), user.uid(), groups, user.extra())
        }
        Err(reason) => reason.code().to_owned(),
    }
}

fn mapping(target: Target, source: &str) -> Expression {
    Expression::mapping(target, source).unwrap()
}

fn rule(source: &str) -> ClaimRule {
    ClaimRule::Expression { expression: Expression::rule(Scope::Claims, source).unwrap(), message: None }
}

#[test]
fn prefixes_stand_before_each_name_but_not_before_nothing() {
    let rules = rules(|rules| {
        rules.username = UsernameMapping::Claim { claim: "username".to_owned(), prefix: "oidc:".to_owned() };
        rules.groups = GroupsMapping::Claim { claim: "groups".to_owned(), prefix: "oidc:".to_owned() };
    });
    for (changes, expected) in [
        (json!({}), r#"oidc:ada None ["oidc:developers", "oidc:oncall"] {}"#),
        (json!({"groups": ["", "a", ""]}), r#"oidc:ada None ["oidc:a"] {}"#),
        (json!({"groups": ""}), "oidc:ada None [] {}"),
        (json!({"groups": null}), "oidc:ada None [] {}"),
        (json!({"username": ""}), "username-empty"),
        (json!({"username": "system:admin"}), r#"oidc:system:admin None ["oidc:developers", "oidc:oncall"] {}"#),
        (json!({"groups": ["a", 1]}), "claim-wrong-type"),
    ] {
        assert_eq!(shown(&rules, &changes), expected, "{changes}");
    }
}

#[test]
fn reserved_names_pass_where_the_authenticator_names_them_and_masters_never_gets_a_certificate() {
    let allowing = |names: &[&str]| {
        let allowed = names.iter().map(ToString::to_string).collect();
        rules(|rules| rules.reserved = ReservedIdentities::Refuse { allowed })
    };
    let everything = rules(|rules| rules.reserved = ReservedIdentities::Allow);
    let certified = |rules: &Rules, changes: &Value| match judge(rules, changes) {
        Ok(user) => policy::may_hold_certificate(user).map_or_else(|reason| reason.code(), |_| "certified"),
        Err(reason) => reason.code(),
    };
    let (nodes, masters) = (json!({"groups": ["system:nodes"]}), json!({"groups": ["a", "system:masters"]}));
    assert_eq!(certified(&allowing(&[]), &nodes), "identity-reserved");
    assert_eq!(certified(&allowing(&["system:nodes"]), &nodes), "certified");
    assert_eq!(code(&allowing(&["system:nodes"]), &json!({"groups": ["SYSTEM:nodes"]})), "identity-reserved");
    assert_eq!(certified(&everything, &nodes), "certified");
    assert_eq!(certified(&everything, &json!({"username": "system:admin"})), "certified");
    for rules in [allowing(&["system:masters"]), everything] {
        assert_eq!(code(&rules, &masters), "allowed");
        assert_eq!(certified(&rules, &masters), "identity-reserved");
    }
}

#[test]
fn expressions_give_names_groups_and_extra() {
    let rules = rules(|rules| {
        rules.username = UsernameMapping::Expression(mapping(Target::Username, "claims.username + '@' + claims.realm"));
        rules.groups = GroupsMapping::Expression(mapping(Target::Groups, "claims.?roles.orValue(null)"));
        rules.extra = vec![
            ("example.org/team".to_owned(), mapping(Target::Extra, "claims.?team.orValue('')")),
            ("example.org/fixed".to_owned(), mapping(Target::Extra, "['a', '', 'b']")),
        ];
    });
    let with = |changes: Value| {
        let mut all = json!({"realm": "r"});
        all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        shown(&rules, &all)
    };
    let fixed = r#"{"example.org/fixed": ["a", "b"]}"#;
    assert_eq!(with(json!({})), format!("ada@r None [] {fixed}"));
    assert_eq!(with(json!({"roles": ["x", "", "y"]})), format!(r#"ada@r None ["x", "y"] {fixed}"#));
    assert_eq!(with(json!({"roles": "x"})), format!(r#"ada@r None ["x"] {fixed}"#));
    assert_eq!(with(json!({"roles": ""})), format!("ada@r None [] {fixed}"));
    assert_eq!(with(json!({"roles": [1]})), "claim-wrong-type");
    assert_eq!(with(json!({"roles": 5})), "claim-wrong-type");
    assert_eq!(with(json!({"roles": vec!["g"; 1_001]})), "too-many-groups");
    assert_eq!(with(json!({"realm": 7})), "claim-wrong-type", "no such overload");
    assert_eq!(with(json!({"team": "x\u{202e}"})), "claim-wrong-type");
    assert_eq!(
        with(json!({"team": ["t", "u"], "jti": "1"})),
        r#"ada@r None [] {"authentication.kubernetes.io/credential-id": ["JTI=1"], "example.org/fixed": ["a", "b"], "example.org/team": ["t", "u"]}"#
    );
    assert_eq!(shown(&rules, &json!({})), "claim-wrong-type", "a mapping that errors");
}

#[test]
fn the_first_rule_that_fails_is_the_reason_and_says_its_message() {
    let said = |source: &str, message: &str| ClaimRule::Expression {
        expression: Expression::rule(Scope::Claims, source).unwrap(),
        message: Some(message.to_owned()),
    };
    let rules = rules(|rules| {
        rules.claim_rules =
            vec![rule("true"), said("claims.level == 2.0", "level two only"), said("claims.x == 1.0", "x")];
    });
    let refused = |changes: &Value| {
        let reason = judge(&rules, changes).unwrap_err();
        assert_eq!((reason.code(), reason.step()), ("claim-rule-failed", Some(Step::ClaimRules)));
        reason.to_string()
    };
    assert_eq!(
        refused(&json!({"level": 1, "x": 2})),
        "claim rule \"claims.level == 2.0\" does not hold: level two only"
    );
    assert!(refused(&json!({"level": 2})).starts_with("claim rule \"claims.x == 1.0\" has no answer: no such key"));
    assert_eq!(code(&rules, &json!({"level": 2, "x": 1})), "allowed");
}

#[test]
fn user_rules_see_the_user_that_the_claims_became() {
    let of = |source: &str| {
        let expression = Expression::rule(Scope::User, source).unwrap();
        rules(|rules| {
            rules.uid = UidMapping::Claim("sub".to_owned());
            rules.user_rules = vec![UserRule { expression, message: Some("not here".to_owned()) }];
        })
    };
    for (source, expected) in [
        ("user.username == 'ada'", "allowed"),
        ("user.username.startsWith('oidc:')", "user-rule-failed"),
        ("'developers' in user.groups", "allowed"),
        ("user.uid == '00u1'", "allowed"),
        ("user.extra['authentication.kubernetes.io/credential-id'][0] != 'JTI=stolen'", "allowed"),
        ("user.extra['authentication.kubernetes.io/credential-id'] == ['JTI=stolen']", "user-rule-failed"),
        ("user.extra['absent'][0] == ''", "user-rule-failed"),
    ] {
        let rules = of(source);
        assert_eq!(code(&rules, &json!({"jti": "a"})), expected, "{source}");
    }
    let reason = judge(&of("false"), &json!({})).unwrap_err();
    assert_eq!(
        (reason.to_string().as_str(), reason.step()),
        ("user rule \"false\" does not hold: not here", Some(Step::UserRules))
    );
}

/// Two faults in one token: the earlier step is the reason (design 14.4).
#[test]
fn of_two_faults_the_earlier_step_is_the_reason() {
    let rules = rules(|rules| {
        rules.claim_rules = vec![rule("claims.ok == true")];
        rules.uid = UidMapping::Claim("uid".to_owned());
        rules.extra = vec![("example.org/x".to_owned(), mapping(Target::Extra, "claims.x"))];
        let expression = Expression::rule(Scope::User, "user.username != 'eve'").unwrap();
        rules.user_rules = vec![UserRule { expression, message: None }];
    });
    let good = json!({"ok": true, "uid": "7", "x": "y"});
    assert_eq!(code(&rules, &good), "allowed");
    // In the order of the steps; the claim-wrong-types are told apart by their step.
    let faults = [
        (json!({"iss": "https://evil"}), "issuer-unknown", Step::Issuer),
        (json!({"aud": "production"}), "audience-mismatch", Step::Audience),
        (json!({"azp": 7}), "claim-wrong-type", Step::AuthorizedParty),
        (json!({"exp": 1}), "expired", Step::Times),
        (json!({"ok": false}), "claim-rule-failed", Step::ClaimRules),
        (json!({"username": 7}), "claim-wrong-type", Step::Username),
        (json!({"groups": 7}), "claim-wrong-type", Step::Groups),
        (json!({"uid": 7}), "claim-wrong-type", Step::Uid),
        (json!({"x": 7}), "claim-wrong-type", Step::Extra),
        (json!({"uid": "a\nb"}), "claim-wrong-type", Step::Reserved),
        (json!({"username": "eve"}), "user-rule-failed", Step::UserRules),
    ];
    for (earlier, (first, code, step)) in faults.iter().enumerate() {
        for (second, _, _) in &faults[earlier..] {
            let mut changes = good.clone();
            // The earlier fault is laid over the later one, where both touch one claim.
            for fault in [second, first] {
                changes.as_object_mut().unwrap().extend(fault.as_object().unwrap().clone());
            }
            let reason = judge(&rules, &changes).unwrap_err();
            assert_eq!((reason.code(), reason.step()), (*code, Some(*step)), "{changes}");
        }
    }
}
