//! A user whom a webhook vouches for: the same guards as for claims.

use super::{Draft, MAX_GROUPS, Refusal, ReservedIdentities, User};
use crate::token_review::Vouched;

/// The group of everybody who is not anonymous. A webhook that relays a `TokenReview` of some API server says it of each
/// user, and the API server that the user goes to says it again: dropping it loses nothing.
const AUTHENTICATED: &str = "system:authenticated";

/// The user, if every name is one that an authenticator may give.
///
/// Names beginning with `system:` are refused as they are from an issuer, unless `reserved` says otherwise: also those of
/// service accounts, which as those of another cluster would be taken for this cluster's. Only [`AUTHENTICATED`] is left
/// out instead.
///
/// # Errors
/// The first guard that fails. There is no half identity.
pub fn vouched(vouched: Vouched, reserved: &ReservedIdentities) -> Result<User, Refusal> {
    let Vouched { username, uid, groups, extra } = vouched;
    if groups.len() > MAX_GROUPS {
        return Err(Refusal::TooManyGroups { found: groups.len() });
    }
    let groups = groups.into_iter().filter(|name| !name.is_empty() && name != AUTHENTICATED).collect();
    Draft { username, groups, uid, extra }.into_user(reserved)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::mapping::{GroupName, names::MAX_EXTRA};

    fn judged(given: Vouched) -> Result<User, Refusal> {
        vouched(given, &ReservedIdentities::default())
    }

    fn ada() -> Vouched {
        Vouched { username: "ada".to_owned(), ..Vouched::default() }
    }

    fn groups(names: &[&str]) -> Vouched {
        Vouched { groups: names.iter().map(ToString::to_string).collect(), ..ada() }
    }

    #[test]
    fn what_is_vouched_for_is_carried_whole() {
        let extra = BTreeMap::from([("k".to_owned(), vec!["v".to_owned(), String::new()])]);
        let user = judged(Vouched { uid: "7".to_owned(), extra: extra.clone(), ..groups(&["b", "", "a"]) }).unwrap();
        assert_eq!((user.username().as_str(), user.uid(), user.extra()), ("ada", Some("7"), &extra));
        assert_eq!(user.groups().iter().map(GroupName::as_str).collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(judged(ada()).unwrap().uid(), None);
    }

    #[test]
    fn names_of_kubernetes_are_refused_save_the_one_that_says_nothing() {
        for name in ["system:masters", "System:Masters", "system:serviceaccounts", "SYSTEM:AUTHENTICATED"] {
            let refused = judged(groups(&["a", "system:authenticated", name]));
            assert_eq!(refused, Err(Refusal::IdentityReserved(name.to_owned())));
        }
        let account = "system:serviceaccount:kube-system:default".to_owned();
        let refused = judged(Vouched { username: account.clone(), ..Vouched::default() });
        assert_eq!(refused, Err(Refusal::IdentityReserved(account)));
        assert!(judged(groups(&["system:authenticated"])).unwrap().groups().is_empty());
    }

    #[test]
    fn what_could_deceive_or_flood_is_refused() {
        let refusal = |given: Vouched| judged(given).unwrap_err().code();
        assert_eq!(refusal(Vouched::default()), "username-empty");
        assert_eq!(refusal(Vouched { username: "a\nb".to_owned(), ..ada() }), "username-unsafe");
        assert_eq!(refusal(groups(&["a\u{202e}b"])), "group-unsafe");
        assert_eq!(refusal(groups(&["g"; MAX_GROUPS + 1])), "too-many-groups");
        for uid in ["a\nb".to_owned(), "u".repeat(257)] {
            assert_eq!(refusal(Vouched { uid, ..ada() }), "claim-wrong-type");
        }
        for (key, values) in [
            ("k\r\n".to_owned(), Vec::new()),
            ("k".to_owned(), vec!["v\n".to_owned()]),
            ("k".to_owned(), vec!["v".repeat(1025)]),
            ("k".to_owned(), vec![String::new(); MAX_EXTRA]),
        ] {
            assert_eq!(refusal(Vouched { extra: BTreeMap::from([(key, values)]), ..ada() }), "claim-wrong-type");
        }
    }
}
