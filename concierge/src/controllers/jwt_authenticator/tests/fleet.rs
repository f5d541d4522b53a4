//! What the fleet list and other authenticators of this cluster mean for an audience.

use super::*;

fn of_fleet(fleet: &[Member]) -> Case {
    Case { fleet: fleet.to_vec(), ..Case::default() }
}

#[test]
fn an_audience_that_another_cluster_has_admits_nobody_and_says_whose_it_is() {
    let production = Member {
        display_name: Some("Production".to_owned()),
        contact: Some("#oncall".to_owned()),
        ..member("production", "staging", &[])
    };
    let plan = of_fleet(&[member("staging", "staging", &[]), production]).plan();
    assert!(plan.admit.is_none());
    let status = plan.status.unwrap();
    assert_eq!(status.phase, Phase::Error);
    let sentence = "audience \"staging\" is cluster production's too (Production, contact: #oncall): each would take the \
                    other's tokens, so nobody is admitted; make an OIDC client for cluster staging alone at \
                    https://idp.example.com and write its ID into spec.audience here, or, if the audience is this \
                    cluster's, take it out of FleetCluster production";
    assert_eq!(find(&status, "AudienceUnique"), ("AudienceUnique", "False", "SharedWithCluster", sentence));
    assert_eq!(find(&status, "Ready").1, "False");
    assert_eq!(plan.obstacle.as_deref(), Some(sentence));
}

#[test]
fn an_audience_is_shared_only_for_the_same_issuer() {
    let plan =
        of_fleet(&[member("staging", "staging", &[]), member("b", "staging", &["https://other.example"])]).plan();
    assert_eq!(find(&plan.status.unwrap(), "AudienceUnique").1, "True");
    let admit = plan.admit.unwrap();
    let siblings = &admit.verifier.profile().siblings;
    assert_eq!(siblings.names().map(SiblingName::as_str).collect::<Vec<_>>(), ["b"], "the judge knows its siblings");
    assert!(of_fleet(&[member("b", "staging", &[ISSUER])]).plan().admit.is_none());
}

#[test]
fn until_the_fleet_list_is_read_nobody_is_admitted() {
    let plan = Case { unread: Some("no answer yet"), ..Case::default() }.plan();
    assert!(plan.admit.is_none());
    let status = plan.status.unwrap();
    let message = "the fleet list is not read yet, so nobody is admitted: no answer yet";
    assert_eq!(find(&status, "AudienceUnique"), ("AudienceUnique", "Unknown", "UnableToValidate", message));
    assert_eq!(status.phase, Phase::Pending);
    let broken = Case { spec: json!({"issuer": ISSUER}), ..Case::default() }.plan().status.unwrap();
    assert_eq!(find(&broken, "AudienceUnique"), ("AudienceUnique", "Unknown", "UnableToValidate", UNTRIED));
}

#[test]
fn what_a_person_should_know_of_the_fleet_is_told_and_locks_nobody_out() {
    let twin = Twins::from([("other".to_owned(), "staging".to_owned())]);
    let stranger = || member("production", "production", &[]);
    for (case, reason, words) in [
        (of_fleet(&[]), "Success", "there is no FleetCluster to compare with"),
        (
            of_fleet(&[member("staging", "staging", &[]), stranger()]),
            "Success",
            "no other cluster of the fleet has \"staging\"",
        ),
        (of_fleet(&[stranger()]), "NotInFleet", "no FleetCluster is named \"staging\" like this cluster"),
        (of_fleet(&[member("staging", "old", &[])]), "NotListed", "FleetCluster staging lists no audience \"staging\""),
        (of_fleet(&[member("staging", "staging", &["https://b"])]), "NotListed", "for issuer https://idp.example.com"),
        (Case { twins: twin.clone(), ..Case::default() }, "SharedInThisCluster", "JWTAuthenticator other has issuer"),
        (Case { twins: twin, ..of_fleet(&[stranger()]) }, "SharedInThisCluster", "; warning: no FleetCluster is named"),
        (
            of_fleet(&[member("staging", "staging", &[]), member("b", "x", &[]), member("c", "x", &[])]),
            "Success",
            "FleetClusters b and c both have audience \"x\", its tokens are told as b's",
        ),
    ] {
        let plan = case.plan();
        assert!(plan.admit.is_some(), "{words}");
        let status = plan.status.unwrap();
        let told = find(&status, "AudienceUnique");
        assert_eq!((told.1, told.2), ("True", reason), "{words}");
        assert!(told.3.contains(words), "{}", told.3);
        assert_eq!(status.phase, Phase::Ready);
    }
}
