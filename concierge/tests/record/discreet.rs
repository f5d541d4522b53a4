//! Sentences for records that are to name nobody: each reason of the closed lists, with a person wherever one can stand.

use std::{collections::BTreeSet, sync::Arc};

use latchkey_concierge::{
    authn::{self, Reason},
    cel::EvaluationError,
    fleet::SiblingName,
    index::{AskError, AuthenticatorRef, FetchClaimError},
    jwt::{Algorithm, AlgorithmSet, JsonError, Rejection, Step, TokenTypes},
    mapping::{MappingProblem, Origin, Refusal, RuleFailure, SourceProblem, Unsafe},
    policy,
    strategies::IssueError,
    time::UnixTime,
};
use serde_json::json;

use crate::issuer::{self, NOW, bearer, index_of, rs256, with_profile};

const PERSON: &str = "ada@example.org";

/// Holds both wordings of a reason against each other: where the plain one may name a person, this one does, and the
/// discreet one does not; where it may not, nothing is kept from the operator.
fn assert_discreet(plain: &str, discreet: &str, may_name_a_person: bool) {
    assert!(!discreet.is_empty() && !discreet.contains(PERSON), "{discreet}");
    assert_eq!(plain.contains(PERSON), may_name_a_person, "{plain}");
    if !may_name_a_person {
        assert_eq!(plain, discreet);
    }
}

#[test]
fn a_token_is_refused_without_a_name() {
    let rejections = rejections();
    let codes: BTreeSet<_> = rejections.iter().map(Rejection::code).collect();
    assert_eq!(codes, Rejection::CODES.into(), "each code has its sample");
    for rejection in rejections {
        let may_name = match &rejection {
            Rejection::AuthorizedPartyMismatch { found, .. } => found.is_some(),
            // What is read of the header, issuers, audiences, numbers, names of claims and of types.
            Rejection::TokenTooLarge { .. }
            | Rejection::NotThreeSegments(_)
            | Rejection::NotBase64Url
            | Rejection::MalformedHeader(_)
            | Rejection::AlgorithmNotAllowed { .. }
            | Rejection::CriticalHeader
            | Rejection::KeyUnknown { .. }
            | Rejection::KeyAmbiguous { .. }
            | Rejection::KeyUnsuitable { .. }
            | Rejection::SignatureInvalid
            | Rejection::TypeNotAccepted { .. }
            | Rejection::EventToken
            | Rejection::MalformedClaims(_)
            | Rejection::NoIssuerToRead
            | Rejection::DuplicateMember { .. }
            | Rejection::IssuerUnknown { .. }
            | Rejection::AudienceMissing
            | Rejection::AudienceOtherCluster { .. }
            | Rejection::AudienceMismatch { .. }
            | Rejection::AudienceShared { .. }
            | Rejection::Expired { .. }
            | Rejection::NotYetValid { .. }
            | Rejection::IssuedInFuture { .. }
            | Rejection::LifetimeTooLong { .. }
            | Rejection::TokenTooOld { .. }
            | Rejection::ClaimMissing { .. }
            | Rejection::ClaimWrongType { .. } => false,
        };
        let reason = Reason::from(rejection);
        assert_discreet(&reason.to_string(), &reason.discreet(), may_name);
    }
}

#[test]
fn an_identity_is_refused_without_a_name() {
    let refusals = refusals();
    let codes: BTreeSet<_> = refusals.iter().map(Refusal::code).collect();
    assert_eq!(codes, Refusal::CODES.into(), "each code has its sample");
    for refusal in refusals {
        let may_name = match &refusal {
            Refusal::RequiredClaim { .. } | Refusal::IdentityReserved(_) | Refusal::ExtraUnsafe { .. } => true,
            // Names of claims, rules as the administrator wrote them, types and numbers.
            Refusal::ClaimRuleFailed(_)
            | Refusal::ClaimMissing { .. }
            | Refusal::ClaimElsewhere(_)
            | Refusal::ClaimOutOfReach { .. }
            | Refusal::ClaimWrongType { .. }
            | Refusal::MappingFailed { .. }
            | Refusal::EmailUnverified
            | Refusal::TooManyGroups { .. }
            | Refusal::UsernameEmpty
            | Refusal::UsernameUnsafe(_)
            | Refusal::GroupUnsafe(_)
            | Refusal::UidUnsafe(_)
            | Refusal::TooMuchExtra { .. }
            | Refusal::UserRuleFailed(_) => false,
        };
        let reason = Reason::from(refusal);
        assert_discreet(&reason.to_string(), &reason.discreet(), may_name);
    }
}

#[test]
fn whatever_else_is_refused_is_refused_without_a_name() {
    let origin = Origin::of("https://graph.example.com").unwrap();
    for reason in [
        Reason::AuthenticatorUnknown,
        Reason::AuthenticatorNotReady,
        Reason::WebhookRefused { with_error: true },
        Reason::Webhook(AskError::Overloaded),
        Reason::Webhook(AskError::Unavailable("cannot be reached".to_owned())),
        Reason::ClaimNotFetched(FetchClaimError::Overloaded),
        Reason::ClaimNotFetched(FetchClaimError::NotGiven {
            claim: "groups".to_owned(),
            origin,
            problem: "status 404".to_owned(),
        }),
    ] {
        assert_discreet(&reason.to_string(), &reason.discreet(), false);
    }
    let reserved = policy::Reason::IdentityReserved(PERSON.to_owned());
    assert_discreet(&reserved.to_string(), &reserved.discreet(), true);
    let above = policy::Reason::AboveAuthorization;
    assert_discreet(&above.to_string(), &above.discreet(), false);
    let refused = IssueError::Refused(format!("subject CN={PERSON} is not allowed"));
    assert_discreet(&refused.to_string(), &refused.discreet(), true);
    for error in [IssueError::Overloaded, IssueError::TimedOut, IssueError::Unavailable] {
        assert_discreet(&error.to_string(), &error.discreet(), false);
    }
}

fn rejections() -> Vec<Rejection> {
    let ours = || issuer::audiences(&["k8s-production"]);
    let found = || vec!["k8s-staging".to_owned()];
    vec![
        Rejection::TokenTooLarge { bytes: 2, limit: 1 },
        Rejection::NotThreeSegments("two segments"),
        Rejection::NotBase64Url,
        Rejection::MalformedHeader("not JSON"),
        Rejection::AlgorithmNotAllowed { found: "none".to_owned(), accepted: AlgorithmSet::default() },
        Rejection::CriticalHeader,
        Rejection::KeyUnknown { key_id: None },
        Rejection::KeyAmbiguous { fitting: 2 },
        Rejection::KeyUnsuitable { algorithm: Algorithm::RS256 },
        Rejection::SignatureInvalid,
        Rejection::TypeNotAccepted { found: Some("logout+jwt".to_owned()), accepted: TokenTypes::default() },
        Rejection::EventToken,
        Rejection::MalformedClaims(JsonError::NotAnObject),
        Rejection::NoIssuerToRead,
        Rejection::DuplicateMember { inside: Step::Claims },
        Rejection::IssuerUnknown { found: "https://a".to_owned(), expected: "https://b".to_owned() },
        Rejection::AudienceMissing,
        Rejection::AudienceOtherCluster { found: found(), cluster: SiblingName::new("staging"), expected: ours() },
        Rejection::AudienceMismatch { found: found(), expected: ours() },
        Rejection::AudienceShared { found: found(), expected: ours(), cluster: Some(SiblingName::new("staging")) },
        Rejection::AuthorizedPartyMismatch { found: Some(PERSON.to_owned()), expected: found() },
        Rejection::AuthorizedPartyMismatch { found: None, expected: found() },
        Rejection::Expired { seconds_ago: 1 },
        Rejection::NotYetValid { seconds_ahead: 61 },
        Rejection::IssuedInFuture { seconds_ahead: 61 },
        Rejection::LifetimeTooLong { seconds: 2, ceiling: 1 },
        Rejection::TokenTooOld { seconds_ago: 2, ceiling: 1 },
        Rejection::ClaimMissing { claim: "sub", step: Step::Claims },
        Rejection::ClaimWrongType { claim: "sub", found: "a number", expected: "a string", step: Step::Claims },
    ]
}

fn refusals() -> Vec<Refusal> {
    let claim = || "email".to_owned();
    let rule = || RuleFailure {
        expression: "claims.email.endsWith('@example.com')".to_owned(),
        message: Some("only our own".to_owned()),
        error: Some(EvaluationError::NoSuchKey),
    };
    let problem = MappingProblem::WrongType { found: "a number".to_owned(), expected: "a string" };
    vec![
        Refusal::RequiredClaim { claim: claim(), expected: "x".to_owned(), found: format!("{PERSON:?}") },
        Refusal::ClaimRuleFailed(rule()),
        Refusal::ClaimMissing { claim: claim(), step: Step::Username },
        elsewhere(),
        Refusal::ClaimOutOfReach { claim: claim(), problem: SourceProblem::Malformed },
        Refusal::ClaimWrongType { claim: claim(), found: "a number", expected: "a string", step: Step::Username },
        Refusal::MappingFailed { expression: "claims.email".to_owned(), problem, step: Step::Username },
        Refusal::EmailUnverified,
        Refusal::TooManyGroups { found: 9_999 },
        Refusal::IdentityReserved(format!("system:{PERSON}")),
        Refusal::UsernameEmpty,
        Refusal::UsernameUnsafe(Unsafe::ControlCharacter),
        Refusal::GroupUnsafe(Unsafe::InvisibleCharacter),
        Refusal::UidUnsafe(Unsafe::OuterWhiteSpace),
        Refusal::ExtraUnsafe { key: format!("example.org/{PERSON}"), problem: Unsafe::TooLong { limit: 1 } },
        Refusal::TooMuchExtra { found: 999 },
        Refusal::UserRuleFailed(rule()),
    ]
}

/// What the judge says of a token whose groups are with another server: it names the server, not the person there.
fn elsewhere() -> Refusal {
    let mut authenticator = with_profile(|_| {});
    let mut rules = (*authenticator.rules).clone();
    rules.distributed = Some(vec![Origin::of("https://graph.example.com").unwrap()]);
    authenticator.rules = Arc::new(rules);
    let endpoint = format!("https://graph.example.com/{PERSON}");
    let token = rs256(&json!({
        "groups": null, "_claim_names": {"groups": "src"},
        "_claim_sources": {"src": {"endpoint": endpoint, "access_token": PERSON}},
    }));
    let (_writer, reader) = index_of(authenticator);
    let (staging, now) = (AuthenticatorRef::jwt("staging"), UnixTime::from_secs(NOW));
    match authn::authenticate(&bearer(&token), &staging, &reader.snapshot(), now).outcome {
        Err(Reason::Identity(refusal @ Refusal::ClaimElsewhere(_))) => refusal,
        other => panic!("{other:?}"),
    }
}
