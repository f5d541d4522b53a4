//! `WhoAmIRequest`: an empty question, answered with the user that the API server reports.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::groups::GroupSuffix;
use crate::login::ListMeta;
use crate::wire::null_as_default;

/// The kind's name.
pub const KIND: &str = "WhoAmIRequest";
/// The name of its list.
pub const LIST_KIND: &str = "WhoAmIRequestList";
/// The resource's name in a path.
pub const PLURAL: &str = "whoamirequests";

/// `WhoAmIRequest` tells you who this cluster takes you for. It is answered at once and stored nowhere. kubectl
/// latchkey whoami sends it for you.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "crd", derive(schemars::JsonSchema))]
pub struct WhoAmIRequest {
    /// The kind, `WhoAmIRequest`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub kind: String,
    /// The group and version, identity.concierge.latchkey.dev/v1alpha1 unless the installation has another group
    /// suffix.
    #[serde(default, deserialize_with = "null_as_default")]
    pub api_version: String,
    /// Standard object's metadata. Accepted and ignored: nothing is stored.
    #[serde(default, deserialize_with = "null_as_default")]
    pub metadata: Map<String, Value>,
    /// Empty: the question is always about the caller.
    #[serde(default, deserialize_with = "null_as_default")]
    pub spec: WhoAmIRequestSpec,
    /// The answer.
    #[serde(default, deserialize_with = "null_as_default")]
    pub status: WhoAmIRequestStatus,
}

/// Empty: there is nothing to ask but the one question.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "crd", derive(schemars::JsonSchema))]
pub struct WhoAmIRequestSpec {}

/// The answer to a `WhoAmIRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "crd", derive(schemars::JsonSchema))]
pub struct WhoAmIRequestStatus {
    /// The user, as kube-apiserver reported it to the concierge.
    #[serde(default, deserialize_with = "null_as_default")]
    pub kubernetes_user_info: KubernetesUserInfo,
}

/// The user and the audiences that its credential was checked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "crd", derive(schemars::JsonSchema))]
pub struct KubernetesUserInfo {
    /// Name, UID, groups and extra attributes.
    #[serde(default, deserialize_with = "null_as_default")]
    pub user: UserInfo,
    /// The audiences that the credential was checked for. Usually absent.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub audiences: Vec<String>,
}

/// A Kubernetes user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "crd", derive(schemars::JsonSchema))]
pub struct UserInfo {
    /// The name that RBAC bindings of kind User are compared with.
    #[serde(default, deserialize_with = "null_as_default")]
    pub username: String,
    /// The user's UID, when the API server knows one and passes it on.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// The groups that RBAC bindings of kind Group are compared with.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Further attributes, by lower-case key.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Vec<String>>,
}

/// The answer to `list`: always empty, as with `TokenCredentialRequest`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "crd", derive(schemars::JsonSchema))]
pub struct WhoAmIRequestList {
    /// The kind, `WhoAmIRequestList`.
    #[serde(default)]
    pub kind: String,
    /// The group and version.
    #[serde(default)]
    pub api_version: String,
    /// Standard list metadata.
    #[serde(default)]
    pub metadata: ListMeta,
    /// Always empty: requests are not stored.
    #[serde(default, deserialize_with = "null_as_default")]
    pub items: Vec<WhoAmIRequest>,
}

// === impl WhoAmIRequest ===

impl WhoAmIRequest {
    /// The question as a client sends it to an installation with this suffix.
    #[must_use]
    pub fn new(suffix: &GroupSuffix) -> Self {
        Self { kind: KIND.to_owned(), api_version: GroupSuffix::api_version(&suffix.identity()), ..Self::default() }
    }

    /// The answer about this user.
    #[must_use]
    pub fn answer(suffix: &GroupSuffix, kubernetes_user_info: KubernetesUserInfo) -> Self {
        Self { status: WhoAmIRequestStatus { kubernetes_user_info }, ..Self::new(suffix) }
    }
}

// === impl WhoAmIRequestList ===

impl WhoAmIRequestList {
    /// The list as an installation with this suffix answers it.
    #[must_use]
    pub fn empty(suffix: &GroupSuffix) -> Self {
        Self {
            kind: LIST_KIND.to_owned(),
            api_version: GroupSuffix::api_version(&suffix.identity()),
            metadata: ListMeta::of_nothing(),
            items: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_with_the_shape_of_the_wire_and_leaves_empty_fields_out() {
        let user = UserInfo { username: "ada".to_owned(), groups: vec!["developers".to_owned()], ..Default::default() };
        let answer = WhoAmIRequest::answer(&GroupSuffix::default(), KubernetesUserInfo { user, audiences: vec![] });
        assert_eq!(
            serde_json::to_value(answer).unwrap(),
            json!({"kind": "WhoAmIRequest", "apiVersion": "identity.concierge.latchkey.dev/v1alpha1", "metadata": {},
                "spec": {}, "status": {"kubernetesUserInfo": {"user": {"username": "ada", "groups": ["developers"]}}}})
        );
    }

    #[test]
    fn reads_an_answer_with_everything_and_a_question_with_nothing() {
        let answer: WhoAmIRequest = serde_json::from_value(json!({"status": {"kubernetesUserInfo": {"user":
            {"username": "u", "uid": "1", "groups": null, "extra": {"k": ["v"]}}, "audiences": ["a"]}}}))
        .unwrap();
        let info = answer.status.kubernetes_user_info;
        assert_eq!((info.user.uid.as_str(), info.user.groups.len()), ("1", 0));
        assert_eq!(info.user.extra["k"], ["v"]);
        assert_eq!(serde_json::from_value::<WhoAmIRequest>(json!({})).unwrap(), WhoAmIRequest::default());
    }
}
