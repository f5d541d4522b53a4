//! What is known of one cluster, read from its objects, of a live cluster or of files. Pure.

use std::collections::{BTreeMap, BTreeSet};

use latchkey_crds::groups::GroupSuffix;
use serde::Serialize;
use serde_json::Value;

use super::authenticator::Authenticator;
use super::grants::Grants;
use super::members::Member;

/// What is meant to differ carries this label.
const IGNORE_LABEL: &str = "latchkey.dev/fleet-check";

/// One kind of object that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    JwtAuthenticators,
    WebhookAuthenticators,
    FleetClusters,
    CredentialIssuers,
    ClusterRoleBindings,
    RoleBindings,
    Namespaces,
}

/// Where what is known comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A cluster, which says how it is.
    Live,
    /// Files, which say how it shall be.
    Files,
}

/// The cluster's own name, and how it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OwnName {
    /// Its concierge says so, or the settings that its concierge is given.
    Said(String),
    /// Its context, folder or audience is that of this `FleetCluster`.
    Guessed(String),
}

/// One cluster. What could not be read is none, and is compared with nothing.
#[derive(Debug)]
pub(super) struct Cluster {
    /// Its context, or folder: what findings call it.
    pub(super) label: String,
    /// Where this is known from.
    pub(super) origin: Origin,
    /// Its own name.
    pub(super) name: Option<OwnName>,
    /// The version of its concierge.
    pub(super) version: Option<String>,
    /// Whether its API server knows our kinds.
    pub(super) is_installed: bool,
    /// Its authenticators of both kinds.
    pub(super) authenticators: Option<Vec<Authenticator>>,
    /// Whether those of the second kind could be read: else it is not known that it lacks one.
    pub(super) knows_webhooks: bool,
    /// The fleet's list as it stands there, by name.
    pub(super) members: Option<BTreeMap<String, Member>>,
    /// For each `CredentialIssuer` its name, whether a strategy works, and what the strategies say.
    pub(super) doors: Option<Vec<Door>>,
    /// Who may do what.
    pub(super) grants: Option<Grants>,
    /// Which namespaces there are.
    pub(super) namespaces: Option<BTreeSet<String>>,
    /// Unique ids of what was read: two ways to one cluster read the same.
    pub(super) uids: BTreeSet<String>,
}

/// A `CredentialIssuer`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Door {
    pub(super) name: String,
    pub(super) is_open: bool,
    pub(super) said: String,
}

/// Something that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Unread {
    /// The context, or folder.
    pub(super) cluster: String,
    /// What of it; nothing: all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) what: Option<&'static str>,
    /// Why, in one line.
    pub(super) reason: String,
    /// The cluster answers, and does not let us.
    #[serde(skip)]
    pub(super) is_forbidden: bool,
}

impl Part {
    /// All of them.
    pub(super) const ALL: [Self; 7] = [
        Self::JwtAuthenticators,
        Self::WebhookAuthenticators,
        Self::FleetClusters,
        Self::CredentialIssuers,
        Self::ClusterRoleBindings,
        Self::RoleBindings,
        Self::Namespaces,
    ];

    /// The name of the resource, as rights are given for it.
    pub(super) const fn resource(self) -> &'static str {
        match self {
            Self::JwtAuthenticators => "jwtauthenticators",
            Self::WebhookAuthenticators => "webhookauthenticators",
            Self::FleetClusters => "fleetclusters",
            Self::CredentialIssuers => "credentialissuers",
            Self::ClusterRoleBindings => "clusterrolebindings",
            Self::RoleBindings => "rolebindings",
            Self::Namespaces => "namespaces",
        }
    }

    /// Its group; that of namespaces is empty.
    pub(super) fn group(self, suffix: &GroupSuffix) -> String {
        match self {
            Self::JwtAuthenticators | Self::WebhookAuthenticators => suffix.authentication(),
            Self::FleetClusters | Self::CredentialIssuers => suffix.config(),
            Self::ClusterRoleBindings | Self::RoleBindings => "rbac.authorization.k8s.io".to_owned(),
            Self::Namespaces => String::new(),
        }
    }

    /// Which of them an object is.
    pub(super) fn of(object: &Value, suffix: &GroupSuffix) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.has(object, suffix))
    }

    /// Whether this object is one of these.
    fn has(self, object: &Value, suffix: &GroupSuffix) -> bool {
        let kind = match self {
            Self::JwtAuthenticators => "JWTAuthenticator",
            Self::WebhookAuthenticators => "WebhookAuthenticator",
            Self::FleetClusters => "FleetCluster",
            Self::CredentialIssuers => "CredentialIssuer",
            Self::ClusterRoleBindings => "ClusterRoleBinding",
            Self::RoleBindings => "RoleBinding",
            Self::Namespaces => "Namespace",
        };
        let group = text(object, "/apiVersion").rsplit_once('/').map_or("", |(group, _)| group);
        text(object, "/kind") == kind && group == self.group(suffix)
    }
}

impl OwnName {
    /// The name.
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Said(name) | Self::Guessed(name) => name,
        }
    }

    /// The name, to keep.
    pub(super) fn into_text(self) -> String {
        match self {
            Self::Said(name) | Self::Guessed(name) => name,
        }
    }
}

/// What a cluster, or a folder, consists of.
#[derive(Debug)]
pub(super) struct Read {
    /// Its context, or folder.
    pub(super) label: String,
    /// Where this is from.
    pub(super) origin: Origin,
    /// What is known of its name beside its objects.
    pub(super) said_name: Option<String>,
    /// Other names it goes by: of its entry in the kubeconfig.
    pub(super) also_called: Vec<String>,
    /// Its objects of all kinds.
    pub(super) objects: Vec<Value>,
    /// What could not be read.
    pub(super) missing: BTreeSet<Part>,
    /// Whether its API server knows our kinds.
    pub(super) is_installed: bool,
}

impl Cluster {
    /// Makes something of the objects. `ignored` are the patterns of `--ignore`.
    pub(super) fn new(read: Read, suffix: &GroupSuffix, ignored: &[String]) -> Self {
        let Read { label, origin, said_name, also_called, objects, missing, is_installed } = read;
        let of = |part: Part| {
            let objects = objects.iter().filter(move |object| part.has(object, suffix));
            (!missing.contains(&part)).then_some(objects)
        };
        let jwt = of(Part::JwtAuthenticators).map(|found| found.map(Authenticator::jwt));
        let webhooks = of(Part::WebhookAuthenticators).map(|found| found.map(Authenticator::webhook));
        let authenticators = jwt.map(|jwt| jwt.chain(webhooks.into_iter().flatten()).collect::<Vec<_>>());
        let members: Option<BTreeMap<String, Member>> =
            of(Part::FleetClusters).map(|found| found.map(|object| (name_of(object), Member::new(object))).collect());
        let issuers: Option<Vec<&Value>> = of(Part::CredentialIssuers).map(Iterator::collect);
        let status = |pointer: &str| {
            let said = issuers.iter().flatten().map(|issuer| text(issuer, pointer)).find(|text| !text.is_empty());
            said.map(ToOwned::to_owned)
        };
        let name = said_name.or_else(|| status("/status/clusterName")).map(OwnName::Said).or_else(|| {
            let names = [&[label.clone()][..], &also_called].concat();
            guess(members.as_ref()?, &names, authenticators.as_deref().unwrap_or_default()).map(OwnName::Guessed)
        });
        let grants = match (of(Part::ClusterRoleBindings), of(Part::RoleBindings)) {
            (None, _) | (_, None) => None,
            (Some(everywhere), Some(somewhere)) => Some(Grants::new(everywhere.chain(somewhere), ignored)),
        };
        let namespaces = of(Part::Namespaces).map(|found| {
            // Files need not make the namespaces that they write into.
            let others = objects.iter().filter(|_| origin == Origin::Files);
            let others = others.map(|object| text(object, "/metadata/namespace").to_owned());
            found.map(name_of).chain(others).filter(|name| !name.is_empty()).collect()
        });
        Self {
            origin,
            name,
            version: status("/status/conciergeVersion"),
            is_installed,
            authenticators,
            knows_webhooks: !missing.contains(&Part::WebhookAuthenticators),
            members,
            doors: issuers.as_ref().map(|issuers| issuers.iter().map(|issuer| Door::new(issuer)).collect()),
            grants,
            namespaces,
            uids: objects
                .iter()
                .map(|object| text(object, "/metadata/uid").to_owned())
                .filter(|uid| !uid.is_empty())
                .collect(),
            label,
        }
    }
}

/// The `FleetCluster` that has one of these names, or else the only one that owns what is accepted here.
fn guess(members: &BTreeMap<String, Member>, names: &[String], authenticators: &[Authenticator]) -> Option<String> {
    if let Some(name) = names.iter().find(|name| members.contains_key(*name)) {
        return Some(name.clone());
    }
    let accepted: Vec<(&str, &str)> = authenticators.iter().flat_map(Authenticator::accepts).collect();
    let owns = |member: &Member| accepted.iter().any(|(issuer, audience)| member.owns(issuer, audience));
    let mut owners = members.iter().filter(|(_, member)| owns(member)).map(|(name, _)| name);
    owners.next().filter(|_| owners.next().is_none()).cloned()
}

impl Door {
    fn new(issuer: &Value) -> Self {
        let strategies = list(issuer, "/status/strategies");
        let said =
            strategies.iter().map(|strategy| format!("{}: {}", text(strategy, "/type"), text(strategy, "/message")));
        let said = said.collect::<Vec<_>>().join("; ");
        Self {
            name: name_of(issuer),
            is_open: strategies.iter().any(|strategy| text(strategy, "/status") == "Success"),
            said: if said.is_empty() { "it says nothing yet".to_owned() } else { said },
        }
    }
}

/// Whether an object is meant to be of this cluster alone.
pub(super) fn is_ignored(object: &Value) -> bool {
    object
        .pointer("/metadata/labels")
        .and_then(|labels| labels.get(IGNORE_LABEL))
        .is_some_and(|value| value == "ignore")
}

/// An object's name.
pub(super) fn name_of(object: &Value) -> String {
    text(object, "/metadata/name").to_owned()
}

/// A text in an object; empty if there is none.
pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A list in an object; empty if there is none.
pub(super) fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A list of texts in an object.
pub(super) fn texts(object: &Value, pointer: &str) -> Vec<String> {
    list(object, pointer).iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect()
}
