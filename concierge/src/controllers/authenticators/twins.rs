//! Authenticators of this cluster that have an issuer and an audience in common, and who of them must hear of a change.

use std::collections::{BTreeMap, BTreeSet};

use crate::{controllers::jwt_authenticator::Twins, convert, jwt::Issuer};

/// Whose authenticator has which issuer and audiences, within this cluster.
#[derive(Debug, Default)]
pub(super) struct TwinTable(BTreeMap<String, Twins>);

impl TwinTable {
    /// The twins of `name`.
    pub(super) fn of(&self, name: &str) -> &Twins {
        const NONE: &Twins = &Twins::new();
        self.0.get(name).unwrap_or(NONE)
    }

    /// From now on `name` has these twins; returns the authenticators for which that is news.
    pub(super) fn set(&mut self, name: &str, twins: Twins) -> Vec<String> {
        let told = |twins: &Twins| twins.keys().cloned().collect::<BTreeSet<_>>();
        let now = told(&twins);
        let before = if twins.is_empty() { self.0.remove(name) } else { self.0.insert(name.to_owned(), twins) };
        told(&before.unwrap_or_default()).symmetric_difference(&now).cloned().collect()
    }
}

/// The authenticators but `name` that have `issuer` and one of `audiences`, each with that audience.
pub(super) fn find<'a>(
    name: &str,
    spec: &convert::JwtSpec,
    others: impl Iterator<Item = (&'a String, &'a convert::JwtSpec)>,
) -> Twins {
    let (Ok(issuer), Ok(judge)) = (&spec.issuer, &spec.judge) else { return Twins::new() };
    let same_issuer = |other: &&convert::JwtSpec| other.issuer.as_ref().is_ok_and(|theirs: &Issuer| theirs == issuer);
    let others = others.filter(|(other, spec)| *other != name && same_issuer(spec));
    let shared = others.filter_map(|(other, spec)| {
        let theirs = spec.judge.as_ref().ok()?.audiences();
        let audience = judge.audiences().iter().find(|audience| theirs.contains(audience.as_str()))?;
        Some((other.clone(), audience.as_str().to_owned()))
    });
    shared.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn twins_are_told_to_each_other_as_they_come_and_go() {
        let spec = |issuer: &str, audience: &str| {
            convert::jwt_authenticator(&json!({"issuer": issuer, "audience": audience})).unwrap()
        };
        let all = [
            ("a".to_owned(), spec("https://i", "x")),
            ("b".to_owned(), spec("https://i", "x")),
            ("c".to_owned(), spec("https://j", "x")),
            ("d".to_owned(), spec("https://i", "y")),
        ];
        let of = |name: &str| {
            let own = &all.iter().find(|(other, _)| other == name).unwrap().1;
            find(name, own, all.iter().map(|(name, spec)| (name, spec)))
        };
        assert_eq!(of("a"), Twins::from([("b".to_owned(), "x".to_owned())]));
        assert!(of("c").is_empty() && of("d").is_empty());
        let mut table = TwinTable::default();
        assert_eq!(table.set("a", of("a")), ["b"]);
        assert!(table.set("a", of("a")).is_empty());
        assert_eq!(table.set("a", Twins::new()), ["b"], "b must hear that a is gone");
    }
}
