//! kube-apiserver's `AuthenticationConfiguration` (KEP-3331): the file of `--authentication-config`, read as strictly as
//! there, and held to those of its rules that ours do not imply.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Its API group.
const GROUP: &str = "apiserver.config.k8s.io";
/// Its kind.
const KIND: &str = "AuthenticationConfiguration";

/// Most entries of `jwt` (validation.go of k8s.io/apiserver).
pub(super) const MAX_ENTRIES: usize = 64;

/// The version that is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// Kubernetes 1.34 and newer.
    #[default]
    V1,
    /// Kubernetes 1.30 and newer.
    V1Beta1,
}

/// The whole file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Configuration {
    api_version: String,
    kind: String,
    /// The issuers.
    #[serde(default)]
    pub(super) jwt: Vec<Entry>,
    /// Who may come without credentials; no business of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) anonymous: Option<Anonymous>,
}

/// One issuer, and how its tokens become users.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) issuer: Issuer,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) claim_validation_rules: Vec<ClaimRule>,
    #[serde(default)]
    pub(super) claim_mappings: Mappings,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) user_validation_rules: Vec<UserRule>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Issuer {
    pub(super) url: String,
    #[serde(default, rename = "discoveryURL", skip_serializing_if = "Option::is_none")]
    pub(super) discovery_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) certificate_authority: Option<String>,
    #[serde(default)]
    pub(super) audiences: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) audience_match_policy: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) egress_selector_type: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ClaimRule {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) claim: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) required_value: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) expression: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct UserRule {
    pub(super) expression: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Mappings {
    #[serde(default)]
    pub(super) username: Mapping,
    #[serde(default, skip_serializing_if = "Mapping::is_absent")]
    pub(super) groups: Mapping,
    #[serde(default, skip_serializing_if = "Mapping::is_absent")]
    pub(super) uid: Mapping,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) extra: Vec<Extra>,
}

/// A claim with its prefix, or an expression. (A uid has no prefix: [`Configuration::parse`] sees to that.)
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Mapping {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) claim: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) prefix: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) expression: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Extra {
    pub(super) key: String,
    pub(super) value_expression: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Anonymous {
    #[serde(default)]
    pub(super) enabled: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) conditions: Vec<AnonymousCondition>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AnonymousCondition {
    pub(super) path: String,
}

// === impl Configuration ===

impl Configuration {
    pub(super) fn new(version: Version, jwt: Vec<Entry>) -> Self {
        let version = match version {
            Version::V1 => "v1",
            Version::V1Beta1 => "v1beta1",
        };
        Self { api_version: format!("{GROUP}/{version}"), kind: KIND.to_owned(), jwt, anonymous: None }
    }

    /// Reads the file, and refuses what kube-apiserver would refuse and we would take for something else.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut documents = serde_norway::Deserializer::from_str(text);
        let first = documents.next().ok_or("is empty")?;
        // By its own type first: that one refuses a key that stands twice.
        let value = serde_norway::Value::deserialize(first).map_err(|error| format!("cannot be read: {error}"))?;
        if documents.next().is_some() {
            return Err("holds more than one document: kube-apiserver reads one".to_owned());
        }
        let head = |name: &str| value.get(name).and_then(serde_norway::Value::as_str).unwrap_or_default();
        let (version, kind) = (head("apiVersion"), head("kind"));
        if kind != KIND {
            return Err(format!("kind {kind:?}: expected {KIND}"));
        }
        if ![format!("{GROUP}/v1"), format!("{GROUP}/v1beta1")].iter().any(|known| known == version) {
            return Err(format!("apiVersion {version:?}: expected {GROUP}/v1 or {GROUP}/v1beta1"));
        }
        let read: Self = serde_path_to_error::deserialize(value).map_err(|error| error.to_string())?;
        if read.jwt.is_empty() {
            return Err("has no entry under jwt: there is nothing to convert".to_owned());
        }
        let problems = read.problems();
        if problems.is_empty() { Ok(read) } else { Err(problems.join("; ")) }
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.jwt.len() > MAX_ENTRIES {
            problems.push(format!("jwt: has {} entries, kube-apiserver takes {MAX_ENTRIES}", self.jwt.len()));
        }
        let (mut issuers, mut documents) = (BTreeSet::new(), BTreeSet::new());
        for (number, entry) in self.jwt.iter().enumerate() {
            let Entry { issuer, claim_mappings: mappings, .. } = entry;
            let mut add = |field: &str, words: &str| problems.push(format!("jwt[{number}].{field}: {words}"));
            if !issuers.insert(&issuer.url) {
                add("issuer.url", "stands in another entry too");
            }
            if given(issuer.discovery_url.as_ref()).is_some_and(|url| !documents.insert(url)) {
                add("issuer.discoveryURL", "stands in another entry too");
            }
            match (issuer.audiences.len(), issuer.audience_match_policy.as_deref().unwrap_or_default()) {
                (0, _) => add("issuer.audiences", "is empty: kube-apiserver wants one at least"),
                (1, "" | "MatchAny") | (_, "MatchAny") => {}
                _ => add("issuer.audienceMatchPolicy", "expected MatchAny, which several audiences need"),
            }
            if given(mappings.username.claim.as_ref()).or(given(mappings.username.expression.as_ref())).is_none() {
                add("claimMappings.username", "is missing: claim or expression is required");
            }
            for (name, mapping) in [("username", &mappings.username), ("groups", &mappings.groups)] {
                let by_claim = given(mapping.claim.as_ref()).is_some();
                let by_expression = given(mapping.expression.as_ref()).is_some();
                if by_claim && mapping.prefix.is_none() || by_expression && mapping.prefix.is_some() {
                    let words = "a prefix goes with a claim, and must be there even when it is empty";
                    add(&format!("claimMappings.{name}.prefix"), words);
                }
            }
            if mappings.uid.prefix.is_some() {
                add("claimMappings.uid.prefix", "no such field");
            }
        }
        problems
    }
}

// === impl Mapping ===

impl Mapping {
    pub(super) fn is_absent(&self) -> bool {
        *self == Self::default()
    }
}

/// A text that says something: kube-apiserver takes an empty one for an absent one.
pub(super) fn given(text: Option<&String>) -> Option<&String> {
    text.filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer: {url: https://idp.example.com, audiences: [a]}
  claimMappings: {username: {claim: sub, prefix: ''}}
";

    #[test]
    fn both_versions_are_read() {
        let read = Configuration::parse(GOOD).unwrap();
        assert_eq!(read.jwt[0].issuer.audiences, ["a"]);
        assert_eq!(Configuration::parse(&GOOD.replace("/v1", "/v1beta1")).unwrap().jwt, read.jwt);
        assert_eq!(Configuration::new(Version::V1, read.jwt.clone()), read);
        // kube-apiserver takes it too: a mapping that maps nothing.
        Configuration::parse(&GOOD.replace("''}", "''}, groups: {prefix: p}")).unwrap();
    }

    #[test]
    fn what_kube_apiserver_would_refuse_is_refused() {
        for (from, to, expected) in [
            ("k8s.io/v1", "k8s.io/v1alpha1", "expected apiserver.config.k8s.io/v1 or"),
            ("kind: A", "kind: B", "expected AuthenticationConfiguration"),
            ("audiences: [a]", "audiences: [a], audience: a", "jwt[0].issuer.audience: unknown field `audience`"),
            ("audiences: [a]", "audiences: [a], audiences: [b]", "duplicate entry"),
            ("audiences: [a]", "audiences: []", "jwt[0].issuer.audiences: is empty"),
            ("audiences: [a]", "audiences: [a, b]", "jwt[0].issuer.audienceMatchPolicy: expected MatchAny"),
            ("audiences: [a]", "audiences: [a], audienceMatchPolicy: All", "audienceMatchPolicy: expected MatchAny"),
            (", prefix: ''", "", "jwt[0].claimMappings.username.prefix: a prefix goes with a claim"),
            ("claim: sub, prefix: ''", "prefix: ''", "jwt[0].claimMappings.username: is missing"),
            ("claim: sub", "expression: claims.sub", "jwt[0].claimMappings.username.prefix: a prefix goes with"),
            ("''}", "''}, groups: {claim: g}", "jwt[0].claimMappings.groups.prefix: a prefix goes with"),
            ("''}", "''}, uid: {claim: g, prefix: ''}", "jwt[0].claimMappings.uid.prefix: no such field"),
            ("jwt:\n", "jwt: []\nignored:\n", "unknown field `ignored`"),
            ("kind:", "---\nkind:", "more than one document"),
        ] {
            let problem = Configuration::parse(&GOOD.replacen(from, to, 1)).unwrap_err();
            assert!(problem.contains(expected), "{to}: {problem}");
        }
        let entry = &GOOD[GOOD.find("- issuer").unwrap()..];
        let twice = Configuration::parse(&format!("{GOOD}{entry}")).unwrap_err();
        assert!(twice.contains("jwt[1].issuer.url: stands in another entry too"), "{twice}");
        let many = Configuration::parse(&format!("{GOOD}{}", entry.repeat(MAX_ENTRIES))).unwrap_err();
        assert!(many.contains("jwt: has 65 entries"), "{many}");
        assert!(Configuration::parse("").unwrap_err().contains("expected AuthenticationConfiguration"));
        let none = &GOOD[..GOOD.find("jwt").unwrap()];
        assert!(Configuration::parse(none).unwrap_err().contains("nothing to convert"));
    }
}
