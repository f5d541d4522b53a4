//! The other side of the API: the question that somebody else asks us, and our answer to it, in the same version.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Version;
use crate::{
    jwt::{Json, JsonError, Limits, Object},
    secret::BearerToken,
};

/// A question as kube-apiserver asks it.
#[derive(Debug)]
pub struct Question {
    /// The version it was asked in, and is to be answered in.
    pub version: Version,
    /// The token, of any kind.
    pub token: BearerToken,
    /// For whom the token should be: the API server's own audiences, or those that the caller of its `TokenReview` API named.
    pub audiences: Vec<String>,
}

/// Why bytes are no question. Nothing of them is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuestionError {
    /// Not one JSON object.
    #[error("expected a TokenReview, found {0}")]
    Json(#[from] JsonError),
    /// Another object, or a version that nobody speaks.
    #[error("expected kind TokenReview of authentication.k8s.io/v1 or v1beta1")]
    OtherKind,
    /// There is no token to review.
    #[error("spec.token is missing")]
    TokenMissing,
    /// A member of another type than the API's.
    #[error("{0} has a wrong type")]
    WrongType(&'static str),
}

/// What is answered.
#[derive(Clone, Debug)]
pub enum Reply<'a> {
    /// The token is this user's, and for these of the audiences that were asked for. None of them: it is for the API
    /// server that asks, whatever it calls itself.
    Authenticated {
        /// Who.
        user: UserInfo<'a>,
        /// For whom.
        audiences: Vec<&'a str>,
    },
    /// It is nobody's, finally: the API server may remember that.
    Refused,
    /// It cannot be told at the moment: the API server remembers nothing, and asks again.
    Undecided(&'static str),
}

/// A user in an answer.
#[derive(Clone, Debug, Serialize)]
pub struct UserInfo<'a> {
    /// The name.
    pub username: &'a str,
    /// Empty says nothing.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub uid: &'a str,
    /// The groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<&'a str>,
    /// Further attributes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: &'a BTreeMap<String, Vec<String>>,
}

/// Longest body that is read (threats 2.3). A token is a quarter of it at most, and one that is longer is not ours.
pub const MAX_QUESTION_BYTES: usize = 64 * 1024;

/// The token may fill the whole body: it is refused for its length by whoever judges it, not here.
const LIMITS: Limits = Limits { depth: 16, members: 256, string: MAX_QUESTION_BYTES };

/// Reads a question.
///
/// # Errors
/// When it is anything but a `TokenReview` with a token, of a version that we speak.
pub fn read_question(body: &[u8]) -> Result<Question, QuestionError> {
    let review = Object::parse(body, LIMITS)?;
    let version = match (review.get("kind"), review.get("apiVersion")) {
        (Some(Json::String(kind)), Some(Json::String(version))) if kind == "TokenReview" => Version::parse(version),
        _ => None,
    };
    let version = version.ok_or(QuestionError::OtherKind)?;
    let spec = match review.get("spec") {
        None | Some(Json::Null) => return Err(QuestionError::TokenMissing),
        Some(Json::Object(spec)) => spec,
        Some(_) => return Err(QuestionError::WrongType("spec")),
    };
    let token = match spec.get("token") {
        Some(Json::String(token)) if !token.is_empty() => BearerToken::new(token.clone()),
        None | Some(Json::Null | Json::String(_)) => return Err(QuestionError::TokenMissing),
        Some(_) => return Err(QuestionError::WrongType("spec.token")),
    };
    let wrong = QuestionError::WrongType("spec.audiences");
    let audiences = match spec.get("audiences") {
        None | Some(Json::Null) => Vec::new(),
        Some(Json::Array(items)) => {
            let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
            texts.collect::<Option<_>>().ok_or(wrong)?
        }
        Some(_) => return Err(wrong),
    };
    Ok(Question { version, token, audiences })
}

/// The body of an answer.
#[must_use]
pub fn answer(version: Version, reply: &Reply<'_>) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Review<'a> {
        api_version: &'static str,
        kind: &'static str,
        status: Status<'a>,
    }
    #[derive(Serialize)]
    struct Status<'a> {
        authenticated: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        user: Option<&'a UserInfo<'a>>,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        audiences: &'a [&'a str],
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<&'static str>,
    }
    let status = match reply {
        Reply::Authenticated { user, audiences } => {
            Status { authenticated: true, user: Some(user), audiences, error: None }
        }
        Reply::Refused => Status { authenticated: false, user: None, audiences: &[], error: None },
        Reply::Undecided(error) => Status { authenticated: false, user: None, audiences: &[], error: Some(error) },
    };
    let review = Review { api_version: version.api_version(), kind: "TokenReview", status };
    // Text, lists of text and maps of text are always JSON; nothing at all would be a failing webhook, not a yes.
    serde_json::to_string(&review).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_question_is_read_as_kubernetes_asks_it() {
        for (version, name) in [(Version::V1, "v1"), (Version::V1Beta1, "v1beta1")] {
            let body = json!({
                "apiVersion": format!("authentication.k8s.io/{name}"), "kind": "TokenReview",
                "metadata": {"creationTimestamp": null}, "spec": {"token": "a.b.c", "audiences": ["x", "y"]},
                "status": {"user": {}},
            });
            let question = read_question(body.to_string().as_bytes()).unwrap();
            assert_eq!((question.version, question.token.as_str()), (version, "a.b.c"));
            assert_eq!(question.audiences, ["x", "y"]);
        }
    }

    #[test]
    fn what_is_no_question_says_why_and_quotes_nothing() {
        let with = |spec: Value| {
            let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec});
            read_question(body.to_string().as_bytes()).unwrap_err()
        };
        assert_eq!(with(json!(null)), QuestionError::TokenMissing);
        assert_eq!(with(json!({})), QuestionError::TokenMissing);
        assert_eq!(with(json!({"token": ""})), QuestionError::TokenMissing);
        assert_eq!(with(json!([])), QuestionError::WrongType("spec"));
        assert_eq!(with(json!({"token": ["s3cr3t"]})), QuestionError::WrongType("spec.token"));
        assert_eq!(with(json!({"token": "a", "audiences": "x"})), QuestionError::WrongType("spec.audiences"));
        assert_eq!(with(json!({"token": "a", "audiences": [1]})), QuestionError::WrongType("spec.audiences"));
        let twice =
            br#"{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"a","token":"b"}}"#;
        assert_eq!(read_question(twice).unwrap_err(), QuestionError::Json(JsonError::DuplicateMember));
        let other = br#"{"apiVersion":"authentication.k8s.io/v2","kind":"TokenReview","spec":{"token":"a"}}"#;
        assert_eq!(read_question(other).unwrap_err(), QuestionError::OtherKind);
        assert!(matches!(read_question(b"hello").unwrap_err(), QuestionError::Json(_)));
    }

    #[test]
    fn an_answer_is_of_the_version_of_its_question_and_has_what_was_decided() {
        let extra = BTreeMap::from([("example.com/k".to_owned(), vec!["v".to_owned()])]);
        let user = UserInfo { username: "ada", uid: "7", groups: vec!["dev"], extra: &extra };
        let written: Value =
            serde_json::from_str(&answer(Version::V1, &Reply::Authenticated { user, audiences: vec!["x"] })).unwrap();
        let expected = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
            "status": {"authenticated": true, "audiences": ["x"],
                "user": {"username": "ada", "uid": "7", "groups": ["dev"], "extra": {"example.com/k": ["v"]}}},
        });
        assert_eq!(written, expected);
        let status = |reply| serde_json::from_str::<Value>(&answer(Version::V1Beta1, &reply)).unwrap()["status"].take();
        assert_eq!(status(Reply::Refused), json!({"authenticated": false}));
        assert_eq!(status(Reply::Undecided("later")), json!({"authenticated": false, "error": "later"}));
    }
}
