//! Whether an answer is the right one: what was expected, and what was found.

use latchkey_crds::{identity::WhoAmIRequest, login::TokenCredentialRequest};
use serde_json::Value;

use super::{Failure, SHOWN};
use crate::text::clean;

/// What every refusal says, whatever its reason (pinniped-wire 5): the reason is for the audit log alone.
const REFUSAL: &str = "authentication failed";

/// The name of whom the API server takes us for.
pub(super) fn ourselves(review: &Value) -> Result<String, Failure> {
    let name = review.pointer("/status/userInfo/username").and_then(Value::as_str).unwrap_or_default();
    if name.is_empty() {
        Err("expected a SelfSubjectReview with a name, found none".to_owned())
    } else {
        Ok(shown(name))
    }
}

/// Whether an `APIResourceList` has `resource`, to be created.
pub(super) fn discovery(list: &Value, resource: &str) -> Result<String, Failure> {
    let found = list["resources"].as_array().into_iter().flatten().find(|entry| entry["name"] == resource);
    let Some(entry) = found else { return Err(format!("answers, but knows no {resource}")) };
    let verbs = entry["verbs"].as_array().into_iter().flatten();
    if verbs.into_iter().any(|verb| verb == "create") {
        Ok(format!("answers, and takes {resource}"))
    } else {
        Err(format!("answers, but takes no {resource}: its verbs are {}", shown(&entry["verbs"].to_string())))
    }
}

/// Whether the request was refused in the words of every refusal.
pub(super) fn exchange(answer: &TokenCredentialRequest) -> Result<String, Failure> {
    let status = &answer.status;
    if status.credential.is_some() {
        return Err("was exchanged for a credential: whatever answers here is no concierge to be trusted".to_owned());
    }
    match status.message.as_deref() {
        Some(REFUSAL) => Ok(format!("is refused: {REFUSAL}")),
        Some(other) => Err(format!("expected {REFUSAL:?}, was told {:?}", shown(other))),
        None => Err(format!("expected {REFUSAL:?}, was told nothing")),
    }
}

/// Whether the concierge was told by the API server who asks.
pub(super) fn who_am_i(answer: &WhoAmIRequest) -> Result<String, Failure> {
    let name = &answer.status.kubernetes_user_info.user.username;
    if name.is_empty() { Err("expected our name, found none".to_owned()) } else { Ok(shown(name)) }
}

fn shown(text: &str) -> String {
    clean(text, SHOWN)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_api_is_there_when_its_kind_can_be_created() {
        let list = |verbs: Value| json!({"resources": [{"name": "others"}, {"name": "requests", "verbs": verbs}]});
        assert_eq!(discovery(&list(json!(["create", "list"])), "requests").unwrap(), "answers, and takes requests");
        for (list, words) in [
            (list(json!(["list"])), "takes no requests: its verbs are [\"list\"]"),
            (list(Value::Null), "takes no requests"),
            (json!({"resources": []}), "knows no requests"),
            (json!("nonsense"), "knows no requests"),
        ] {
            let failure = discovery(&list, "requests").unwrap_err();
            assert!(failure.contains(words), "{failure}");
        }
    }

    #[test]
    fn nonsense_must_be_refused_and_nothing_else_will_do() {
        let answer = |status: Value| serde_json::from_value(json!({ "status": status })).unwrap();
        assert!(exchange(&answer(json!({"message": "authentication failed"}))).is_ok());
        for (status, words) in [
            (json!({"credential": {"token": "t"}, "message": "authentication failed"}), "no concierge to be trusted"),
            (json!({"message": "welcome"}), "was told \"welcome\""),
            (json!({}), "was told nothing"),
        ] {
            let failure = exchange(&answer(status)).unwrap_err();
            assert!(failure.contains(words), "{failure}");
        }
    }

    #[test]
    fn a_name_is_expected_of_both_sides() {
        let review = json!({"status": {"userInfo": {"username": "system:serviceaccount:a:b"}}});
        assert_eq!(ourselves(&review).unwrap(), "system:serviceaccount:a:b");
        assert!(ourselves(&json!({})).is_err());
        let answer =
            |user: Value| serde_json::from_value(json!({"status": {"kubernetesUserInfo": {"user": user}}})).unwrap();
        assert_eq!(who_am_i(&answer(json!({"username": "jane"}))).unwrap(), "jane");
        assert!(who_am_i(&answer(json!({}))).is_err());
    }
}
