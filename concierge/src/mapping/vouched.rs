//! A user whom a webhook vouches for: the same guards as for claims.

use super::{GroupName, MAX_GROUPS, Refusal, User, Username, reserved};
use crate::token_review::Vouched;

/// The group of everybody who is not anonymous. A webhook that relays a `TokenReview` of some API server says it of each
/// user, and the API server that the user goes to says it again: dropping it loses nothing.
const AUTHENTICATED: &str = "system:authenticated";

/// Longest uid and extra value in bytes, and most values of extra attributes together (threats 2.3: uids are UUIDs or
/// numbers, extra values travel in headers).
const MAX_UID_BYTES: usize = 256;
const MAX_EXTRA_BYTES: usize = 1_024;
const MAX_EXTRA_VALUES: usize = 64;

/// The user, if every name is one that an authenticator may give.
///
/// Names beginning with `system:` are refused as they are from an issuer, also those of service accounts of another
/// cluster, which would be taken for this cluster's; only [`AUTHENTICATED`] is left out instead.
///
/// # Errors
/// The first guard that fails. There is no half identity.
pub fn vouched(vouched: Vouched) -> Result<User, Refusal> {
    let Vouched { username, uid, groups, extra } = vouched;
    if groups.len() > MAX_GROUPS {
        return Err(Refusal::TooManyGroups { found: groups.len() });
    }
    let username = Username::parse(&username)?;
    let groups: Vec<GroupName> = groups
        .iter()
        .filter(|name| !name.is_empty() && *name != AUTHENTICATED)
        .map(|name| GroupName::parse(name))
        .collect::<Result<_, _>>()?;
    // A uid and extra values reach headers and logs just as names do.
    let unsafe_text = |text: &str, most| text.len() > most || text.chars().any(char::is_control);
    if unsafe_text(&uid, MAX_UID_BYTES) {
        return Err(wrong("uid", "text of 256 bytes at most, without control characters"));
    }
    let values = extra.iter().flat_map(|(key, values)| std::iter::once(key).chain(values));
    if values.clone().count() > MAX_EXTRA_VALUES || values.clone().any(|text| unsafe_text(text, MAX_EXTRA_BYTES)) {
        return Err(wrong(
            "extra",
            "64 keys and values at most, each of 1024 bytes at most, without control characters",
        ));
    }
    reserved::check(&username, &groups)?;
    Ok(User::vouched(username, Some(uid).filter(|uid| !uid.is_empty()), groups, extra))
}

fn wrong(what: &str, expected: &'static str) -> Refusal {
    Refusal::ClaimWrongType { claim: what.to_owned(), found: "something else", expected }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn ada() -> Vouched {
        Vouched { username: "ada".to_owned(), ..Vouched::default() }
    }

    fn groups(names: &[&str]) -> Vouched {
        Vouched { groups: names.iter().map(ToString::to_string).collect(), ..ada() }
    }

    #[test]
    fn what_is_vouched_for_is_carried_whole() {
        let extra = BTreeMap::from([("k".to_owned(), vec!["v".to_owned(), String::new()])]);
        let user = vouched(Vouched { uid: "7".to_owned(), extra: extra.clone(), ..groups(&["b", "", "a"]) }).unwrap();
        assert_eq!((user.username().as_str(), user.uid(), user.extra()), ("ada", Some("7"), &extra));
        assert_eq!(user.groups().iter().map(GroupName::as_str).collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(vouched(ada()).unwrap().uid(), None);
    }

    #[test]
    fn names_of_kubernetes_are_refused_save_the_one_that_says_nothing() {
        for name in ["system:masters", "System:Masters", "system:serviceaccounts", "SYSTEM:AUTHENTICATED"] {
            let refused = vouched(groups(&["a", "system:authenticated", name]));
            assert_eq!(refused, Err(Refusal::IdentityReserved(name.to_owned())));
        }
        let account = "system:serviceaccount:kube-system:default".to_owned();
        let refused = vouched(Vouched { username: account.clone(), ..Vouched::default() });
        assert_eq!(refused, Err(Refusal::IdentityReserved(account)));
        assert!(vouched(groups(&["system:authenticated"])).unwrap().groups().is_empty());
    }

    #[test]
    fn what_could_deceive_or_flood_is_refused() {
        let refusal = |given: Vouched| vouched(given).unwrap_err().code();
        assert_eq!(refusal(Vouched::default()), "username-empty");
        assert_eq!(refusal(Vouched { username: "a\nb".to_owned(), ..ada() }), "username-unsafe");
        assert_eq!(refusal(groups(&["a\u{202e}b"])), "group-unsafe");
        assert_eq!(refusal(groups(&["g"; MAX_GROUPS + 1])), "too-many-groups");
        for uid in ["a\nb".to_owned(), "u".repeat(MAX_UID_BYTES + 1)] {
            assert_eq!(refusal(Vouched { uid, ..ada() }), "claim-wrong-type");
        }
        for (key, values) in [
            ("k\r\n".to_owned(), Vec::new()),
            ("k".to_owned(), vec!["v\n".to_owned()]),
            ("k".to_owned(), vec!["v".repeat(MAX_EXTRA_BYTES + 1)]),
            ("k".to_owned(), vec![String::new(); MAX_EXTRA_VALUES]),
        ] {
            assert_eq!(refusal(Vouched { extra: BTreeMap::from([(key, values)]), ..ada() }), "claim-wrong-type");
        }
    }
}
