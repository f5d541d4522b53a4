//! That the corpus is whole: every reason is really given by some file, and every row of the threats has one.

use std::collections::BTreeSet;

use latchkey_concierge::{authn::Reason, jwt::Rejection, mapping::Refusal};

use super::{CASES, Found};

/// Lists the variants of an enum, and a match that does not compile when the list lacks one.
macro_rules! variants {
    ($of:ident: $($variant:ident)+) => {
        impl Named for $of {
            const ALL: &[&str] = &[$(stringify!($variant)),+];

            fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => stringify!($variant)),+
                }
            }
        }
    };
}

trait Named {
    const ALL: &[&str];
    fn name(&self) -> &'static str;
}

variants!(Rejection:
    TokenTooLarge NotThreeSegments NotBase64Url MalformedHeader AlgorithmNotAllowed CriticalHeader KeyUnknown KeyAmbiguous
    KeyUnsuitable SignatureInvalid TypeNotAccepted EventToken MalformedClaims NoIssuerToRead DuplicateMember IssuerUnknown
    AudienceMissing AudienceOtherCluster AudienceMismatch AudienceShared AuthorizedPartyMismatch Expired NotYetValid IssuedInFuture
    LifetimeTooLong TokenTooOld ClaimMissing ClaimWrongType
);

variants!(Refusal:
    RequiredClaim ClaimRuleFailed ClaimMissing ClaimElsewhere ClaimOutOfReach ClaimWrongType MappingFailed EmailUnverified
    TooManyGroups IdentityReserved UsernameEmpty UsernameUnsafe GroupUnsafe UidUnsafe ExtraUnsafe TooMuchExtra UserRuleFailed
);

/// Each variant of both enums, and with it each code, is what some token of a file really got.
#[test]
fn every_reason_is_given_to_some_token() {
    let (mut rejections, mut refusals, mut codes) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for case in CASES.iter() {
        let Found::Judged(judged) = &case.found else { continue };
        // A token that is only being sent to its judge can be refused on the way.
        if let Err(rejection) = &judged.peeked {
            rejections.insert(rejection.name());
        }
        match &judged.outcome {
            Ok(_) => {}
            Err(Reason::Token(rejection)) => {
                rejections.insert(rejection.name());
                codes.insert(rejection.code());
            }
            Err(Reason::Identity(refusal)) => {
                refusals.insert(refusal.name());
                codes.insert(refusal.code());
            }
            Err(other) => panic!("{}: {other:?} is no reason of the judge", case.name),
        }
    }
    assert_eq!(rejections, Rejection::ALL.iter().copied().collect());
    assert_eq!(refusals, Refusal::ALL.iter().copied().collect());
    assert_eq!(codes, Rejection::CODES.into_iter().chain(Refusal::CODES).collect());
}

/// The rows of the threats (T: shape and cryptography, C: claims and identity, K: keys) that are not the judge's to
/// answer, and where they are proved.
const ELSEWHERE: [(&str, &str); 3] = [
    ("T21", "timing: the judge holds no secret; `state` is compared in login-plugin/src/authorization_response.rs"),
    ("C8", "a wrong clock of our own: the judge is told the time, so it is no token's matter"),
    ("C13", "two authenticators that give one name: a condition, and no token's matter"),
];

#[test]
fn every_row_that_is_the_judges_has_a_file() {
    let here: BTreeSet<&str> = CASES.iter().filter_map(|case| case.name.split('-').next()).collect();
    let rows = (1..=22)
        .map(|n| format!("T{n}"))
        .chain((1..=19).map(|n| format!("C{n}")))
        .chain((1..=3).map(|n| format!("K{n}")));
    for row in rows {
        let elsewhere = ELSEWHERE.iter().any(|(known, _)| *known == row);
        assert_eq!(here.contains(row.as_str()), !elsewhere, "{row}");
    }
}
