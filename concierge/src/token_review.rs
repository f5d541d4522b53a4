//! The `TokenReview` API (`authentication.k8s.io`) as bytes, in both versions that Kubernetes speaks. Pure.
//!
//! We ask in it (a `WebhookAuthenticator`'s server), so the question is written here and the answer read; and we are asked
//! in it (by kube-apiserver), the other way round in `asked`. Reading is
//! strict where a loose reading could admit somebody: types, the version, duplicate names. Members that we do not know
//! are passed over, as Kubernetes does.

mod asked;

use std::collections::BTreeMap;

use zeroize::Zeroizing;

pub use self::asked::{MAX_QUESTION_BYTES, Question, QuestionError, Reply, UserInfo, answer, read_question};
use crate::{
    jwt::{Json, JsonError, Limits, Object},
    secret::BearerToken,
};

/// A version of the API. `v1` and `v1beta1` have the same members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// `authentication.k8s.io/v1`, since Kubernetes 1.6.
    V1,
    /// `authentication.k8s.io/v1beta1`: what Pinniped asks in, and kube-apiserver unless it is told otherwise.
    V1Beta1,
}

/// What the other side says of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// It is this user's.
    Authenticated(Vouched),
    /// It is nobody's.
    Refused {
        /// Whether an error came with it. Its text is not kept: it is the other side's, and could quote the token.
        with_error: bool,
    },
}

/// A user as the other side names one: nothing of it is checked yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vouched {
    /// `status.user.username`.
    pub username: String,
    /// `status.user.uid`; empty says nothing.
    pub uid: String,
    /// `status.user.groups`.
    pub groups: Vec<String>,
    /// `status.user.extra`.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// Why bytes are no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// `authenticated: true` and an error: which of them is meant?
    #[error("says both that the token is good and that there was an error")]
    Contradiction,
    /// Not one JSON object.
    #[error("is no JSON object: {0}")]
    Json(#[from] JsonError),
    /// A `TokenReview` of another version than the one asked in.
    #[error("is of version {found}, expected {expected}", found = .found.api_version(), expected = .expected.api_version())]
    OtherVersion {
        /// What came.
        found: Version,
        /// What was asked in.
        expected: Version,
    },
    /// Another object than a `TokenReview`.
    #[error("is no TokenReview of authentication.k8s.io")]
    OtherKind,
    /// A member of another type than the API's.
    #[error("{0} has a wrong type")]
    WrongType(&'static str),
}

/// Depth (managed fields have seven), members and length of an answer. Groups are items of a list and count for nothing;
/// their number is bounded by the size of the body.
const LIMITS: Limits = Limits { depth: 16, members: 2_048, string: 16 * 1024 };

// === impl Version ===

impl Version {
    /// `apiVersion` of its objects.
    #[must_use]
    pub const fn api_version(self) -> &'static str {
        match self {
            Self::V1 => "authentication.k8s.io/v1",
            Self::V1Beta1 => "authentication.k8s.io/v1beta1",
        }
    }

    /// The version that this `apiVersion` names.
    #[must_use]
    pub fn parse(api_version: &str) -> Option<Self> {
        [Self::V1, Self::V1Beta1].into_iter().find(|version| version.api_version() == api_version)
    }
}

/// The body that asks whose `token` is, as kube-apiserver writes it; without audiences, as Pinniped asks: a webhook
/// stands for this cluster as a whole. Its memory is wiped when it goes.
#[must_use]
pub fn question(version: Version, token: &BearerToken) -> Zeroizing<Vec<u8>> {
    let (head, tail) = (
        format!(
            r#"{{"kind":"TokenReview","apiVersion":"{}","metadata":{{"creationTimestamp":null}},"spec":{{"token":"#,
            version.api_version()
        ),
        r#"},"status":{"user":{}}}"#,
    );
    // In one piece: growing would leave unwiped copies. Escaping makes six bytes of one at most.
    let mut body = Zeroizing::new(Vec::with_capacity(head.len() + tail.len() + 2 + 6 * token.len()));
    body.extend_from_slice(head.as_bytes());
    // Writing a string to memory cannot fail.
    let _ = serde_json::to_writer(&mut *body, token.as_str());
    body.extend_from_slice(tail.as_bytes());
    body
}

/// Reads an answer to a question that was asked in `asked`.
///
/// # Errors
/// When it is anything but a `TokenReview` of that version whose members have the API's types and do not contradict
/// each other.
pub fn read_answer(body: &[u8], asked: Version) -> Result<Word, AnswerError> {
    let review = Object::parse(body, LIMITS)?;
    let found = match (review.get("kind"), review.get("apiVersion")) {
        (Some(Json::String(kind)), Some(Json::String(version))) if kind == "TokenReview" => Version::parse(version),
        _ => None,
    };
    match found {
        None => return Err(AnswerError::OtherKind),
        Some(found) if found != asked => return Err(AnswerError::OtherVersion { found, expected: asked }),
        Some(_) => {}
    }
    let Some(status) = object(review.get("status"), "status")? else {
        return Ok(Word::Refused { with_error: false });
    };
    let with_error = !text(status.get("error"), "status.error")?.is_empty();
    let authenticated = match status.get("authenticated") {
        None | Some(Json::Null) => false,
        Some(Json::Bool(authenticated)) => *authenticated,
        Some(_) => return Err(AnswerError::WrongType("status.authenticated")),
    };
    match (authenticated, with_error) {
        (false, with_error) => Ok(Word::Refused { with_error }),
        (true, true) => Err(AnswerError::Contradiction),
        (true, false) => vouched(object(status.get("user"), "status.user")?).map(Word::Authenticated),
    }
}

fn vouched(user: Option<&Object>) -> Result<Vouched, AnswerError> {
    let Some(user) = user else { return Ok(Vouched::default()) };
    let mut extra = BTreeMap::new();
    if let Some(given) = object(user.get("extra"), "status.user.extra")? {
        for (key, values) in given.iter() {
            extra.insert(key.to_owned(), list(Some(values), "a value of status.user.extra")?);
        }
    }
    Ok(Vouched {
        username: text(user.get("username"), "status.user.username")?,
        uid: text(user.get("uid"), "status.user.uid")?,
        groups: list(user.get("groups"), "status.user.groups")?,
        extra,
    })
}

// Go's encoder writes an absent list, map or pointer as null.

fn object<'a>(value: Option<&'a Json>, name: &'static str) -> Result<Option<&'a Object>, AnswerError> {
    match value {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Object(object)) => Ok(Some(object)),
        Some(_) => Err(AnswerError::WrongType(name)),
    }
}

fn text(value: Option<&Json>, name: &'static str) -> Result<String, AnswerError> {
    match value {
        None | Some(Json::Null) => Ok(String::new()),
        Some(Json::String(text)) => Ok(text.clone()),
        Some(_) => Err(AnswerError::WrongType(name)),
    }
}

fn list(value: Option<&Json>, name: &'static str) -> Result<Vec<String>, AnswerError> {
    match value {
        None | Some(Json::Null) => Ok(Vec::new()),
        Some(Json::Array(items)) => {
            items.iter().map(|item| item.as_str().map(str::to_owned).ok_or(AnswerError::WrongType(name))).collect()
        }
        Some(_) => Err(AnswerError::WrongType(name)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(status: &Value) -> Result<Word, AnswerError> {
        let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status});
        read_answer(body.to_string().as_bytes(), Version::V1)
    }

    #[test]
    fn the_question_is_the_one_that_kubernetes_asks() {
        let token = BearerToken::new("a\"b\\c\n\u{1}é".to_owned());
        for version in [Version::V1, Version::V1Beta1] {
            let body = question(version, &token);
            let written: Value = serde_json::from_slice(&body).unwrap();
            let expected = json!({
                "kind": "TokenReview", "apiVersion": version.api_version(), "metadata": {"creationTimestamp": null},
                "spec": {"token": token.as_str()}, "status": {"user": {}},
            });
            assert_eq!(written, expected);
        }
        let body = question(Version::V1, &BearerToken::new("\u{1}".repeat(1_000)));
        assert!(body.len() <= body.capacity() && body.capacity() < 6_400, "written in one piece");
    }

    #[test]
    fn a_user_is_read_with_all_that_is_said_of_her() {
        let user = json!({"username": "ada", "uid": "7", "groups": ["a", "b"], "extra": {"example.com/k": ["v", "w"]}});
        let expected = Vouched {
            username: "ada".to_owned(),
            uid: "7".to_owned(),
            groups: vec!["a".to_owned(), "b".to_owned()],
            extra: BTreeMap::from([("example.com/k".to_owned(), vec!["v".to_owned(), "w".to_owned()])]),
        };
        assert_eq!(read(&json!({"authenticated": true, "user": user})), Ok(Word::Authenticated(expected)));
        let bare = json!({"authenticated": true, "audiences": ["x"], "error": "", "later": {},
            "user": {"username": "ada", "groups": null, "extra": null}});
        let expected = Vouched { username: "ada".to_owned(), ..Vouched::default() };
        assert_eq!(read(&bare), Ok(Word::Authenticated(expected)));
    }

    #[test]
    fn whatever_does_not_say_yes_says_no() {
        let refused = |with_error| Ok(Word::Refused { with_error });
        for status in [json!(null), json!({}), json!({"authenticated": false}), json!({"user": {"username": "ada"}})] {
            assert_eq!(read(&status), refused(false), "{status}");
        }
        assert_eq!(read(&json!({"error": "token expired"})), refused(true));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_no_answer() {
        let user = json!({"username": "ada"});
        assert_eq!(read(&json!({"authenticated": true, "user": user, "error": "x"})), Err(AnswerError::Contradiction));
        for (status, member) in [
            (json!([]), "status"),
            (json!({"authenticated": "true"}), "status.authenticated"),
            (json!({"authenticated": 1}), "status.authenticated"),
            (json!({"authenticated": true, "user": "ada"}), "status.user"),
            (json!({"authenticated": true, "user": {"username": ["ada"]}}), "status.user.username"),
            (json!({"authenticated": true, "user": {"username": "ada", "uid": 7}}), "status.user.uid"),
            (json!({"authenticated": true, "user": {"username": "ada", "groups": "a"}}), "status.user.groups"),
            (json!({"authenticated": true, "user": {"username": "ada", "groups": [null]}}), "status.user.groups"),
            (json!({"authenticated": true, "user": {"username": "ada", "extra": []}}), "status.user.extra"),
            (
                json!({"authenticated": true, "user": {"username": "ada", "extra": {"k": "v"}}}),
                "a value of status.user.extra",
            ),
        ] {
            assert_eq!(read(&status), Err(AnswerError::WrongType(member)), "{status}");
        }
        let twice = br#"{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview",
            "status":{"authenticated":false,"authenticated":true,"user":{"username":"ada"}}}"#;
        assert_eq!(read_answer(twice, Version::V1), Err(AnswerError::Json(JsonError::DuplicateMember)));
    }

    #[test]
    fn another_object_or_version_is_no_answer() {
        for (kind, version) in [
            ("TokenRequest", "authentication.k8s.io/v1"),
            ("tokenreview", "authentication.k8s.io/v1"),
            ("TokenReview", "authentication.k8s.io/v2"),
            ("TokenReview", "v1"),
        ] {
            let body = json!({"apiVersion": version, "kind": kind, "status": {"authenticated": true}});
            assert_eq!(read_answer(body.to_string().as_bytes(), Version::V1), Err(AnswerError::OtherKind));
        }
        for body in [&b""[..], b"<html>", b"[]", b"null", b"{} {}", b"\xff"] {
            assert!(matches!(read_answer(body, Version::V1), Err(AnswerError::Json(_))));
        }
        let older = json!({"apiVersion": "authentication.k8s.io/v1beta1", "kind": "TokenReview"}).to_string();
        let expected = AnswerError::OtherVersion { found: Version::V1Beta1, expected: Version::V1 };
        assert_eq!(read_answer(older.as_bytes(), Version::V1), Err(expected));
        assert_eq!(read_answer(older.as_bytes(), Version::V1Beta1), Ok(Word::Refused { with_error: false }));
    }
}
