//! One authenticator: what it accepts, what of it must be alike everywhere, and how it is. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::cluster::{is_ignored, list, name_of, text, texts};

/// What belongs to one cluster by its nature: the ids of its own clients at the issuer.
const OWN_FIELDS: [&str; 3] = ["audience", "audiences", "authorizedParties"];

/// Lists whose order means nothing.
const SETS: [&str; 3] = ["signingAlgorithms", "tokenTypes", "reservedIdentities.allowed"];

/// What an absent field means (the defaults of `JWTAuthenticator`).
const DEFAULTS: [(&str, &str); 5] = [
    ("additionalAudiences", "\"Refuse\""),
    ("claims.groups", "\"groups\""),
    ("claims.username", "\"username\""),
    ("reservedIdentities.policy", "\"Refuse\""),
    ("tokenTypes", "[\"JWT\"]"),
];

/// The second kind.
const WEBHOOK: &str = "WebhookAuthenticator";

/// What stands in for the cluster's own audience.
const OWN_AUDIENCE: &str = "<its audience>";

/// Longer values, such as certificates, are told by their length and a fingerprint.
const VALUE_MAX_CHARS: usize = 160;

/// One authenticator of a cluster.
#[derive(Debug)]
pub(super) struct Authenticator {
    /// `JWTAuthenticator` or `WebhookAuthenticator`.
    pub(super) kind: &'static str,
    /// Its name.
    pub(super) name: String,
    /// Whether it is meant to be of this cluster alone.
    pub(super) is_ignored: bool,
    /// Whose tokens it takes.
    issuer: String,
    /// For which audiences.
    pub(super) audiences: Vec<String>,
    /// What must be alike everywhere: field and value as JSON, without what is default.
    pub(super) settings: BTreeMap<String, String>,
    /// Why it admits nobody, if so.
    pub(super) obstacle: Option<String>,
    /// What its conditions warn of.
    pub(super) warnings: Vec<String>,
}

impl Authenticator {
    /// Reads a `JWTAuthenticator`.
    pub(super) fn jwt(object: &Value) -> Self {
        let mut audiences = texts(object, "/spec/audiences");
        audiences.extend(Some(text(object, "/spec/audience").to_owned()).filter(|audience| !audience.is_empty()));
        let issuer = text(object, "/spec/issuer").to_owned();
        Self { issuer, settings: settings(object, &audiences), audiences, ..Self::any("JWTAuthenticator", object) }
    }

    /// Reads a `WebhookAuthenticator`. Its endpoint may be each cluster's own.
    pub(super) fn webhook(object: &Value) -> Self {
        Self::any(WEBHOOK, object)
    }

    /// Whether it is one of the second kind.
    pub(super) fn is_webhook(&self) -> bool {
        self.kind == WEBHOOK
    }

    fn any(kind: &'static str, object: &Value) -> Self {
        let (obstacle, warnings) = state(object);
        Self {
            kind,
            name: name_of(object),
            is_ignored: is_ignored(object),
            issuer: String::new(),
            audiences: Vec::new(),
            settings: BTreeMap::new(),
            obstacle,
            warnings,
        }
    }

    /// What findings call it.
    pub(super) fn title(&self) -> String {
        format!("{} {}", self.kind, self.name)
    }

    /// Issuer and audience of the tokens that it takes.
    pub(super) fn accepts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.audiences.iter().map(|audience| (self.issuer.as_str(), audience.as_str()))
    }
}

fn settings(object: &Value, audiences: &[String]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    if let Some(spec) = object.pointer("/spec").and_then(Value::as_object) {
        for (field, value) in spec.iter().filter(|(field, _)| !OWN_FIELDS.contains(&field.as_str())) {
            flatten(field, value, audiences, &mut found);
        }
    }
    found.retain(|field, value| !DEFAULTS.contains(&(field.as_str(), value.as_str())));
    found.values_mut().for_each(shorten);
    found
}

fn flatten(path: &str, value: &Value, audiences: &[String], found: &mut BTreeMap<String, String>) {
    match value {
        Value::Null => {}
        Value::Array(items) if items.is_empty() => {}
        Value::Object(fields) => {
            for (field, value) in fields {
                flatten(&format!("{path}.{field}"), value, audiences, found);
            }
        }
        value => {
            let mut value = value.clone();
            forget_audience(path, &mut value, audiences);
            if let Value::Array(items) = &mut value
                && SETS.contains(&path)
            {
                items.sort_by_key(ToString::to_string);
            }
            found.insert(path.to_owned(), value.to_string());
        }
    }
}

/// An expression may name the cluster's own audience, as in `claims.resource_access["kubernetes-staging"].roles`. Only between
/// quotation marks: elsewhere the same letters are something else.
fn forget_audience(field: &str, value: &mut Value, audiences: &[String]) {
    match value {
        Value::String(text) if field.to_ascii_lowercase().ends_with("expression") => {
            for audience in audiences {
                for mark in ['"', '\''] {
                    *text = text.replace(&format!("{mark}{audience}{mark}"), &format!("{mark}{OWN_AUDIENCE}{mark}"));
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| forget_audience(field, item, audiences)),
        Value::Object(fields) => fields.iter_mut().for_each(|(field, value)| forget_audience(field, value, audiences)),
        _ => {}
    }
}

fn shorten(value: &mut String) {
    if value.chars().count() > VALUE_MAX_CHARS {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, value.as_bytes());
        let mut fingerprint = String::new();
        for byte in &digest.as_ref()[..8] {
            let _cannot_fail = write!(fingerprint, "{byte:02x}");
        }
        let begin: String = value.chars().take(40).collect();
        *value = format!("{begin}… ({} characters, SHA-256 {fingerprint}…)", value.chars().count());
    }
}

/// Why it admits nobody, and what its conditions warn of. Words of Kubernetes' conditions, and ours.
fn state(object: &Value) -> (Option<String>, Vec<String>) {
    let conditions = list(object, "/status/conditions");
    let told = |condition: &Value| {
        let [kind, reason, message] = ["/type", "/reason", "/message"].map(|pointer| text(condition, pointer));
        format!("{kind}: {reason}: {message}")
    };
    let is = |condition: &Value, kind: &str| text(condition, "/type") == kind;
    let ready = conditions.iter().find(|condition| is(condition, "Ready"));
    let generation = object.pointer("/metadata/generation").and_then(Value::as_i64);
    let observed = ready.and_then(|ready| ready.pointer("/observedGeneration")).and_then(Value::as_i64);
    let failed =
        || conditions.iter().filter(|condition| text(condition, "/status") == "False" && !says_little(condition));
    let obstacle = match ready {
        None => Some("the concierge has not looked at it yet".to_owned()),
        Some(_) if observed < generation => Some("the concierge has not looked at its last change yet".to_owned()),
        Some(ready) if text(ready, "/status") == "True" => None,
        Some(ready) => Some(failed().next().map_or_else(|| told(ready), told)),
    };
    let warns = |condition: &&Value| {
        // True, and with another reason than success.
        let shared = is(condition, "AudienceUnique") && text(condition, "/reason") == "SharedInThisCluster";
        shared || (obstacle.is_none() && text(condition, "/status") == "False" && !says_little(condition))
    };
    let warnings = conditions.iter().filter(warns).map(told).collect();
    (obstacle, warnings)
}

/// A sum says less than what it sums up; and that nothing is under way or stuck is as it should be.
fn says_little(condition: &Value) -> bool {
    ["Ready", "Reconciling", "Stalled"].contains(&text(condition, "/type"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings_of(spec: &Value) -> BTreeMap<String, String> {
        Authenticator::jwt(&json!({"metadata": {"name": "corp"}, "spec": spec})).settings
    }

    #[test]
    fn what_means_the_same_is_the_same() {
        let terse = settings_of(&json!({"issuer": "https://idp", "audience": "k8s-staging",
            "signingAlgorithms": ["RS256", "ES256"],
            "claimValidationRules": [{"expression": "'k8s-staging' in claims.azp", "message": "m"}]}));
        let wordy = settings_of(&json!({"issuer": "https://idp", "audiences": ["k8s-production", "old"],
            "authorizedParties": ["k8s-production"], "additionalAudiences": "Refuse", "tokenTypes": ["JWT"],
            "signingAlgorithms": ["ES256", "RS256"], "claims": {"username": "username", "groups": "groups", "extra": []},
            "reservedIdentities": {"policy": "Refuse"}, "tls": {}, "userValidationRules": [], "jwks": null,
            "claimValidationRules": [{"expression": "'k8s-production' in claims.azp", "message": "m"}]}));
        assert_eq!(terse, wordy);
    }

    #[test]
    fn an_audience_is_forgotten_only_in_expressions_and_between_marks() {
        let of = |name: &str| {
            settings_of(&json!({"issuer": format!("https://{name}.idp"), "audience": name,
            "claims": {"groupsExpression": format!("claims.roles[\"{name}\"] + {name}")}}))
        };
        let (one, other) = (of("staging"), of("production"));
        assert_ne!(one["issuer"], other["issuer"]);
        assert_eq!(one["claims.groupsExpression"], r#""claims.roles[\"<its audience>\"] + staging""#);
        assert_ne!(one["claims.groupsExpression"], other["claims.groupsExpression"]);
    }

    #[test]
    fn long_values_are_told_apart() {
        let of = |byte: &str| settings_of(&json!({"tls": {"certificateAuthorityData": byte.repeat(4_000)}}));
        let (one, other) = (of("A"), of("B"));
        let field = "tls.certificateAuthorityData";
        assert_ne!(one[field], other[field]);
        assert!(one[field].chars().count() < VALUE_MAX_CHARS, "{one:?}");
    }

    #[test]
    fn the_condition_that_says_most_is_told() {
        let condition = |kind: &str, status: &str, reason: &str| {
            json!({"type": kind, "status": status, "reason": reason,
            "message": "m", "observedGeneration": 2})
        };
        let object = |generation: i64, conditions: &[Value]| {
            state(&json!({"metadata": {"generation": generation}, "status": {"conditions": conditions}}))
        };
        let ready = condition("Ready", "True", "Success");
        assert_eq!(object(2, &[ready.clone(), condition("Stalled", "False", "No")]), (None, vec![]));
        let (obstacle, warnings) = object(2, &[ready.clone(), condition("KeysFresh", "False", "FetchFailing")]);
        assert_eq!((obstacle, warnings), (None, vec!["KeysFresh: FetchFailing: m".to_owned()]));
        assert_eq!(
            object(
                2,
                &[condition("Ready", "False", "NotReady"), condition("AudienceUnique", "False", "SharedWithCluster")]
            ),
            (Some("AudienceUnique: SharedWithCluster: m".to_owned()), vec![])
        );
        assert!(object(3, &[ready]).0.unwrap().contains("last change"));
        assert!(object(1, &[]).0.is_some());
        let shared = condition("AudienceUnique", "True", "SharedInThisCluster");
        assert_eq!(object(2, &[condition("Ready", "True", "Success"), shared]).1.len(), 1);
    }
}
