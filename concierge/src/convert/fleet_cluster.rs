//! A `FleetCluster` to a member of the fleet: all that its schema demands, demanded again.

use latchkey_crds::{
    authentication::limits,
    config::{FleetClusterSpec, MAX_AUDIENCES, MAX_ISSUERS, MAX_LABEL_CHARS},
};
use serde_json::Value;

use super::{
    issuer,
    problems::{InvalidSpec, Problems},
};
use crate::{
    fleet::{Member, SiblingName},
    text::is_dangerous,
};

/// Audiences of an entry that cannot be used that are guarded: far more than any version will allow.
const MOST_GUARDED: usize = 1_024;

/// Converts the `spec` of the `FleetCluster` called `name`.
///
/// # Errors
/// When it cannot be read, or says what can never be right. Nothing of it counts then: half of somebody's list of
/// audiences is not what they meant.
pub fn fleet_cluster(name: &str, spec: &Value) -> Result<Member, InvalidSpec> {
    let (spec, unknown) = super::read::<FleetClusterSpec>(spec)?;
    let mut problems = Problems::default();
    problems.unknown(&unknown);
    let FleetClusterSpec { audiences, issuers, display_name, contact } = spec;
    if audiences.is_empty() {
        problems.add("audiences", "is empty: name the audiences of this cluster's authenticators");
    }
    problems.set("audiences", &audiences, (MAX_AUDIENCES, limits::AUDIENCE_CHARS), |audience| {
        (audience.is_empty() || audience.trim() != audience).then_some(
            "must not be blank, nor begin or end with white space: write the client ID as the issuer shows it",
        )
    });
    problems.set("issuers", &issuers, (MAX_ISSUERS, limits::URL_CHARS), |text| {
        let sound = issuer::parse(text).is_ok();
        (!sound).then_some("must be an issuer: an https URL without user, query and fragment, as in spec.issuer")
    });
    for (field, label) in [("displayName", &display_name), ("contact", &contact)] {
        let Some(text) = label else { continue };
        problems.length(field, text, MAX_LABEL_CHARS);
        if text.is_empty() || text.trim() != text || text.chars().any(is_dangerous) {
            problems.add(field, "must be one line of visible text, without white space around it");
        }
    }
    problems.unless_any(Some(Member { name: SiblingName::new(name), audiences, issuers, display_name, contact }))
}

/// The audiences that a `spec` names which [`fleet_cluster`] refuses, as far as they are texts: a later version may know more
/// fields, or allow more, and what its clusters own is not ours all the same.
#[must_use]
pub fn fleet_audiences(spec: &Value) -> Vec<String> {
    let named = spec.get("audiences").and_then(Value::as_array).into_iter().flatten();
    let texts = named.filter_map(Value::as_str).filter(|audience| !audience.is_empty());
    texts.take(MOST_GUARDED).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_whole_entry_is_read_and_a_small_one_is_for_every_issuer() {
        let spec = json!({
            "audiences": ["k8s", "k8s-2"], "issuers": ["https://idp.example/realms/main"],
            "displayName": "Production, Köln", "contact": "#ops",
        });
        let member = fleet_cluster("production", &spec).unwrap();
        assert_eq!((member.name.as_str(), member.audiences.len()), ("production", 2));
        assert!(
            member.owns("https://idp.example/realms/main", "k8s-2") && !member.owns("https://other.example", "k8s")
        );
        assert_eq!(
            (member.display_name.as_deref(), member.contact.as_deref()),
            (Some("Production, Köln"), Some("#ops"))
        );
        assert!(fleet_cluster("a", &json!({"audiences": ["k8s"]})).unwrap().owns("https://any.example", "k8s"));
    }

    #[test]
    fn what_can_never_be_right_is_refused_with_all_that_is_wrong() {
        for (spec, words) in [
            (json!({}), "audiences"),
            (json!(null), "cannot be read"),
            (json!({"audiences": "k8s"}), "cannot be read"),
            (json!({"audiences": []}), "audiences: is empty"),
            (json!({"audiences": [" k8s"]}), "audiences[0]: \" k8s\" must not be blank"),
            (json!({"audiences": ["a", "a"]}), "audiences[1]: \"a\" is a duplicate"),
            (
                json!({"audiences": ["a"], "issuers": ["http://idp.example"]}),
                "issuers[0]: \"http://idp.example\" must be",
            ),
            (json!({"audiences": ["a"], "displayName": "a\nb"}), "displayName: must be one line"),
            (json!({"audiences": ["a"], "contact": "a\u{202e}b"}), "contact: must be one line"),
            (json!({"audiences": ["a"], "contact": "a\u{3164}b"}), "contact: must be one line"),
            (json!({"audiences": ["a"], "audience": "b"}), "audience: this version does not know this field"),
            (json!({"audiences": vec!["a".repeat(1025)]}), "has 1025 characters"),
            (json!({"audiences": (0..33).map(|n| n.to_string()).collect::<Vec<_>>()}), "has 33 items"),
        ] {
            let problem = fleet_cluster("production", &spec).unwrap_err().to_string();
            assert!(problem.contains(words), "{spec}: {problem}");
        }
        let both = fleet_cluster("a", &json!({"audiences": [""], "contact": " "})).unwrap_err();
        assert_eq!(both.problems().count(), 2);
    }
}
