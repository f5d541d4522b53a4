//! May they: kube-apiserver's delegated authorization, `SubjectAccessReview`, remembered for a few seconds.
//!
//! The API server has authorized a proxied request already; but anybody in the pod network can reach this port without
//! it, and upstream warns never to rely on that check alone.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use http::{Method, Request};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::{Api, Client, api::PostParams};
use moka::future::Cache;
use tokio::sync::Semaphore;

use super::{
    caller::{Caller, Via},
    options::watches,
    respond::Problem,
};

/// Asks the API server who may do what. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AccessReviews {
    api: Api<SubjectAccessReview>,
    known: Cache<Question, Answer>,
    asking: Arc<Semaphore>,
}

/// What a request wants to do, as RBAC sees it (`k8s.io/apiserver` `request/requestinfo.go`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Something with a resource of an API group.
    Resource {
        /// `create`, `list`, ...
        verb: &'static str,
        /// The API group.
        group: String,
        /// Its version.
        version: String,
        /// The plural.
        resource: String,
        /// The object, if the path names one.
        name: String,
        /// The namespace, if the path names one.
        namespace: String,
    },
    /// Anything else, by path and lower-case method.
    Path {
        /// The HTTP method in lower case.
        verb: String,
        /// The path without its query.
        path: String,
    },
}

/// The question in full: nothing less may be the cache's key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Question {
    caller: Caller,
    action: Action,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Allowed,
    /// With the authorizer's reason.
    Denied(String),
}

/// kube-apiserver's delegated authorization caches both answers for as long.
const TIME_TO_LIVE: Duration = Duration::from_secs(10);
/// Bytes of questions and answers remembered: some thousands, as a question has a few hundred bytes. They are counted
/// in bytes because a path is the asker's to choose, up to the limit of the request's head.
const CAPACITY: u64 = 4 * 1024 * 1024;
/// Reviews under way at once; the cache merges equal ones before they count.
const AT_ONCE: usize = 64;
/// Longest wait for the API server.
const PATIENCE: Duration = Duration::from_secs(10);

// === impl AccessReviews ===

impl AccessReviews {
    /// Asks through `client`.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            api: Api::all(client),
            known: Cache::builder()
                .max_capacity(CAPACITY)
                .weigher(|question: &Question, answer: &Answer| weight(question, answer))
                .time_to_live(TIME_TO_LIVE)
                .build(),
            asking: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Whether `caller` may do `action`.
    ///
    /// # Errors
    /// [`Problem::Forbidden`] if not; otherwise what kept us from asking.
    pub async fn allow(&self, caller: &Caller, action: &Action) -> Result<(), Problem> {
        if caller.is_master() || (caller.via == Via::FrontProxy && action.is_discovery()) {
            return Ok(());
        }
        let question = Question { caller: caller.clone(), action: action.clone() };
        match self.known.try_get_with(question, self.ask(caller, action)).await {
            Ok(Answer::Allowed) => Ok(()),
            Ok(Answer::Denied(reason)) => Err(Problem::Forbidden(forbidden(caller, action, &reason))),
            Err(problem) => Err(Arc::unwrap_or_clone(problem)),
        }
    }

    async fn ask(&self, caller: &Caller, action: &Action) -> Result<Answer, Problem> {
        let _permit = self.asking.try_acquire().map_err(|_| Problem::TooManyRequests)?;
        let review = SubjectAccessReview { spec: specification(caller, action), ..SubjectAccessReview::default() };
        let params = PostParams::default();
        let unavailable = Problem::Unavailable("the request cannot be authorized at the moment");
        match tokio::time::timeout(PATIENCE, self.api.create(&params, &review)).await {
            Ok(Ok(answer)) => {
                let status = answer.status.unwrap_or_default();
                // `allowed: false` without `denied` is no opinion, and no opinion is no.
                if status.allowed { Ok(Answer::Allowed) } else { Ok(Answer::Denied(status.reason.unwrap_or_default())) }
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "SubjectAccessReview failed");
                Err(unavailable)
            }
            Err(_) => {
                tracing::warn!("SubjectAccessReview was not answered in time");
                Err(unavailable)
            }
        }
    }
}

/// What an entry keeps in memory, in bytes, its own structures roughly included.
fn weight(question: &Question, answer: &Answer) -> u32 {
    const STRUCTURES: usize = 512;
    let Question { caller, action } = question;
    let lists = caller.extra.values().flatten().chain(&caller.groups).map(String::len).sum::<usize>();
    let keys = caller.extra.keys().map(String::len).sum::<usize>();
    let action = match action {
        Action::Resource { group, version, resource, name, namespace, .. } => {
            [group, version, resource, name, namespace].into_iter().map(String::len).sum()
        }
        Action::Path { verb, path } => verb.len() + path.len(),
    };
    let answer = if let Answer::Denied(reason) = answer { reason.len() } else { 0 };
    let bytes = STRUCTURES + caller.username.len() + caller.uid.len() + lists + keys + action + answer;
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

// === impl Action ===

impl Action {
    /// Reads the action off a request's method, path and query.
    #[must_use]
    pub fn of<B>(request: &Request<B>) -> Self {
        let path = request.uri().path();
        Self::resource(request.method(), path, watches(request.uri())).unwrap_or_else(|| Self::Path {
            verb: request.method().as_str().to_ascii_lowercase(),
            path: path.to_owned(),
        })
    }

    /// `/apis/<group>/<version>[/namespaces/<namespace>]/<resource>[/<name>...]`
    fn resource(method: &Method, path: &str, watches: bool) -> Option<Self> {
        let mut segments = path.strip_prefix("/apis/")?.split('/').filter(|segment| !segment.is_empty());
        let (group, version, mut resource) = (segments.next()?, segments.next()?, segments.next()?);
        let mut namespace = "";
        let mut name = segments.next().unwrap_or_default();
        if resource == "namespaces"
            && let Some(inner) = segments.next()
        {
            (namespace, resource, name) = (name, inner, segments.next().unwrap_or_default());
        }
        let verb = match *method {
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE if name.is_empty() => "deletecollection",
            Method::DELETE => "delete",
            _ if watches => "watch",
            _ if name.is_empty() => "list",
            _ => "get",
        };
        Some(Self::Resource {
            verb,
            group: group.to_owned(),
            version: version.to_owned(),
            resource: resource.to_owned(),
            name: name.to_owned(),
            namespace: namespace.to_owned(),
        })
    }

    /// Discovery and `OpenAPI`, which the aggregator fetches as users without any group, not even
    /// `system:authenticated` (`handler_discovery.go`): a review would deny them.
    fn is_discovery(&self) -> bool {
        let Self::Path { verb, path } = self else { return false };
        let reads = matches!(verb.as_str(), "get" | "head");
        let known = matches!(path.as_str(), "/" | "/apis" | "/version")
            || ["/apis/", "/openapi/v2", "/openapi/v3"].iter().any(|prefix| path.starts_with(prefix));
        reads && known
    }
}

fn specification(caller: &Caller, action: &Action) -> SubjectAccessReviewSpec {
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let extra: BTreeMap<String, Vec<String>> = caller.extra.clone();
    let mut specification = SubjectAccessReviewSpec {
        user: Some(caller.username.clone()),
        uid: text(&caller.uid),
        groups: Some(caller.groups.clone()),
        extra: Some(extra),
        ..SubjectAccessReviewSpec::default()
    };
    match action {
        Action::Resource { verb, group, version, resource, name, namespace } => {
            specification.resource_attributes = Some(ResourceAttributes {
                verb: text(verb),
                group: text(group),
                version: text(version),
                resource: text(resource),
                name: text(name),
                namespace: text(namespace),
                ..ResourceAttributes::default()
            });
        }
        Action::Path { verb, path } => {
            specification.non_resource_attributes = Some(NonResourceAttributes { verb: text(verb), path: text(path) });
        }
    }
    specification
}

/// kube-apiserver's wording (`responsewriters/errors.go`), with the characters escaped that could make HTML of it.
fn forbidden(caller: &Caller, action: &Action, reason: &str) -> String {
    let mut message = match action {
        Action::Resource { verb, group, resource, name, namespace, .. } => {
            let object = if name.is_empty() { String::new() } else { format!(" \"{name}\"") };
            let scope = if namespace.is_empty() {
                "at the cluster scope".to_owned()
            } else {
                format!("in the namespace \"{namespace}\"")
            };
            let user = &caller.username;
            format!(
                "{resource}.{group}{object} is forbidden: User \"{user}\" cannot {verb} resource \"{resource}\" in API group \"{group}\" {scope}"
            )
        }
        Action::Path { verb, path } => {
            format!("forbidden: User \"{}\" cannot {verb} path \"{path}\"", caller.username)
        }
    };
    if !reason.is_empty() {
        message = format!("{message}: {reason}");
    }
    message.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_weighs_what_its_asker_made_it() {
        let question = |path: String| Question {
            caller: Caller::anonymous(),
            action: Action::Path { verb: "get".to_owned(), path },
        };
        let long = weight(&question("/".repeat(60_000)), &Answer::Denied("no".repeat(500)));
        assert!(long > 61_000 && u64::from(long) < CAPACITY, "{long}");
        assert!(weight(&question("/".to_owned()), &Answer::Allowed) < 1_000);
    }

    fn action(method: &str, uri: &str) -> Action {
        Action::of(&Request::builder().method(method).uri(uri).body(()).unwrap())
    }

    fn resource(verb: &'static str, resource: &str, name: &str, namespace: &str) -> Action {
        Action::Resource {
            verb,
            group: "g".to_owned(),
            version: "v1".to_owned(),
            resource: resource.to_owned(),
            name: name.to_owned(),
            namespace: namespace.to_owned(),
        }
    }

    #[test]
    fn actions_are_read_as_the_api_server_reads_them() {
        for (method, uri, expected) in [
            ("POST", "/apis/g/v1/things?dryRun=All", resource("create", "things", "", "")),
            ("GET", "/apis/g/v1/things", resource("list", "things", "", "")),
            ("GET", "/apis/g/v1/things?limit=1&watch=true", resource("watch", "things", "", "")),
            ("GET", "/apis/g/v1/things/a", resource("get", "things", "a", "")),
            ("DELETE", "/apis/g/v1/things", resource("deletecollection", "things", "", "")),
            ("PATCH", "/apis/g/v1/things/a", resource("patch", "things", "a", "")),
            ("POST", "/apis/g/v1/namespaces/n/things", resource("create", "things", "", "n")),
            ("GET", "/apis/g/v1", Action::Path { verb: "get".to_owned(), path: "/apis/g/v1".to_owned() }),
            ("HEAD", "/x?y", Action::Path { verb: "head".to_owned(), path: "/x".to_owned() }),
        ] {
            assert_eq!(action(method, uri), expected, "{method} {uri}");
        }
    }

    #[test]
    fn only_reading_what_exists_is_discovery() {
        for (method, uri, expected) in [
            ("GET", "/apis", true),
            ("GET", "/apis/g/v1", true),
            ("HEAD", "/openapi/v3/apis/g/v1?hash=1", true),
            ("GET", "/openapi/v2", true),
            ("POST", "/apis", false),
            ("GET", "/apis/g/v1/things", false),
            ("GET", "/metrics", false),
        ] {
            assert_eq!(action(method, uri).is_discovery(), expected, "{method} {uri}");
        }
    }

    #[test]
    fn the_refusal_has_the_wording_of_kubernetes_and_no_markup() {
        let caller = Caller { username: "<b>&".to_owned(), ..Caller::anonymous() };
        assert_eq!(
            forbidden(&caller, &resource("create", "things", "", ""), ""),
            "things.g is forbidden: User \"&lt;b&gt;&amp;\" cannot create resource \"things\" in API group \"g\" at the cluster scope"
        );
        assert_eq!(
            forbidden(&Caller::anonymous(), &action("GET", "/metrics"), "no binding"),
            "forbidden: User \"system:anonymous\" cannot get path \"/metrics\": no binding"
        );
    }
}
