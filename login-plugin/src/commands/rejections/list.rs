//! What the clusters said, put together: each object once, the latest first.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::read::Answer;
use crate::args::RejectionsArgs;
use crate::kubectl::KubectlError;
use crate::time::UnixTime;

/// A context of the kubeconfig.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Context {
    /// Its name.
    pub(super) name: String,
    /// The name of its cluster's entry.
    pub(super) cluster: String,
}

/// `kubectl get tokenrejections -o json`.
#[derive(Debug, Default, Deserialize)]
pub(super) struct List {
    #[serde(default)]
    items: Vec<Object>,
}

#[derive(Debug, Deserialize)]
struct Object {
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    status: Facts,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Metadata {
    name: String,
    uid: String,
}

/// The fields of a `TokenRejection`'s status; a newer concierge may write more.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Facts {
    pub(super) authenticator: String,
    pub(super) code: String,
    pub(super) severity: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) state: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) subject: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) issuer: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) audience: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) claimed_cluster: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) source: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) user_agent: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) fingerprint: String,
    pub(super) count: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) first_seen: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) last_seen: String,
    #[serde(rename = "lastAuditID", skip_serializing_if = "String::is_empty")]
    pub(super) last_audit_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) replica: String,
}

/// One object, and by which context it was read.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Rejection {
    /// The context.
    pub(super) context: String,
    /// The object's name.
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) facts: Facts,
    #[serde(skip)]
    last_seen: Option<UnixTime>,
}

/// A context whose cluster was not read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Unread {
    /// The context.
    pub(super) context: String,
    /// Why, in one line.
    pub(super) reason: String,
    /// The cluster is there and does not let us.
    #[serde(skip)]
    pub(super) is_forbidden: bool,
}

/// What is known of the fleet.
#[derive(Debug, Serialize)]
pub(super) struct Fleet {
    /// The contexts that were read.
    pub(super) read: Vec<String>,
    /// Those that were not.
    pub(super) failures: Vec<Unread>,
    /// What was refused, the latest first.
    pub(super) rejections: Vec<Rejection>,
}

impl Fleet {
    /// Puts the answers together. Two contexts may lead to one cluster: its objects are told once, and one context that
    /// may read it is enough.
    pub(super) fn new(answers: Vec<Answer>, args: &RejectionsArgs, now: UnixTime) -> Self {
        let mut fleet = Self { read: Vec::new(), failures: Vec::new(), rejections: Vec::new() };
        let (mut uids, mut clusters) = (BTreeSet::new(), BTreeSet::new());
        let mut unread = Vec::new();
        for Answer { context, outcome } in answers {
            match outcome {
                Ok(list) => {
                    let new = list
                        .items
                        .into_iter()
                        .filter(|object| object.metadata.uid.is_empty() || uids.insert(object.metadata.uid.clone()));
                    fleet.rejections.extend(new.map(|object| Rejection::new(&context.name, object)));
                    clusters.insert(context.cluster);
                    fleet.read.push(context.name);
                }
                Err(error) => unread.push((context, error)),
            }
        }
        unread.retain(|(context, _)| !clusters.contains(&context.cluster));
        fleet.failures.extend(unread.into_iter().map(|(context, error)| Unread::new(context.name, &error)));
        fleet.rejections.retain(|rejection| rejection.is_wanted(args, now));
        fleet.rejections.sort_by(|one, other| {
            let order = other.last_seen.cmp(&one.last_seen);
            order.then_with(|| one.context.cmp(&other.context)).then_with(|| one.name.cmp(&other.name))
        });
        fleet
    }
}

impl Rejection {
    fn new(context: &str, object: Object) -> Self {
        let Object { metadata, status } = object;
        let last_seen = UnixTime::parse_rfc3339(&status.last_seen);
        Self { context: context.to_owned(), name: metadata.name, facts: status, last_seen }
    }

    fn is_wanted(&self, args: &RejectionsArgs, now: UnixTime) -> bool {
        let of_code = args.codes.is_empty() || args.codes.contains(&self.facts.code);
        // What does not say when it was seen is not hidden.
        let recent =
            args.since_seconds.zip(self.last_seen).is_none_or(|(seconds, last_seen)| now.since(last_seen) <= seconds);
        of_code && recent
    }
}

impl Unread {
    fn new(context: String, error: &KubectlError) -> Self {
        let said = match error {
            KubectlError::Said { words } => words.clone(),
            other => other.to_string(),
        };
        let is_forbidden = said.contains("(Forbidden)");
        let reason = if said.contains("the server doesn't have a resource type") {
            "no TokenRejections are known there: Latchkey is not installed, or is older than this".to_owned()
        } else if is_forbidden {
            "you may not list tokenrejections there".to_owned()
        } else {
            said
        };
        Self { context, reason, is_forbidden }
    }
}
