//! Clusters that are alike, changed in one thing each: exactly that is found.

use std::collections::BTreeSet;

use latchkey_crds::groups::GroupSuffix;
use serde_json::{Value, json};

use super::super::cluster::{Part, Read};
use super::*;

const IDP: &str = "https://idp.example";

/// A cluster to be changed before it is compared.
struct Draft {
    label: &'static str,
    objects: Vec<Value>,
    missing: BTreeSet<Part>,
    is_installed: bool,
    ignored: Vec<String>,
}

fn draft(name: &'static str) -> Draft {
    let member = |name: &str| {
        json!({"apiVersion": "config.concierge.latchkey.dev/v1alpha1", "kind": "FleetCluster", "metadata": {"name": name},
            "spec": {"audiences": [format!("k8s-{name}")], "issuers": [IDP]}})
    };
    let objects = vec![
        json!({"apiVersion": "authentication.concierge.latchkey.dev/v1alpha1", "kind": "JWTAuthenticator",
            "metadata": {"name": "corp", "uid": format!("{name}-1"), "generation": 1},
            "spec": {"issuer": IDP, "audience": format!("k8s-{name}"), "claims": {"username": "email", "groups": "groups"}},
            "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Success", "observedGeneration": 1}]}}),
        member("staging"),
        member("production"),
        json!({"apiVersion": "config.concierge.latchkey.dev/v1alpha1", "kind": "CredentialIssuer",
            "metadata": {"name": "latchkey"}, "status": {"clusterName": name, "conciergeVersion": "0.1.0",
            "strategies": [{"type": "ClientCertificateAuthority", "status": "Success", "message": "works"}]}}),
        binding("ClusterRoleBinding", None, "developers-view", "view", &[("Group", "developers")]),
        binding(
            "ClusterRoleBinding",
            None,
            "system:basic-user",
            "system:basic-user",
            &[("Group", "system:authenticated")],
        ),
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team-a"}}),
    ];
    Draft { label: name, objects, missing: BTreeSet::new(), is_installed: true, ignored: Vec::new() }
}

fn binding(kind: &str, namespace: Option<&str>, name: &str, role: &str, subjects: &[(&str, &str)]) -> Value {
    let subjects: Vec<Value> = subjects.iter().map(|(kind, name)| json!({"kind": kind, "name": name})).collect();
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "subjects": subjects,
        "metadata": {"name": name, "namespace": namespace, "labels": {}}, "roleRef": {"kind": "ClusterRole", "name": role}})
}

impl Draft {
    fn object(&mut self, kind: &str) -> &mut Value {
        self.objects.iter_mut().find(|object| object["kind"] == kind).unwrap()
    }

    fn without(&mut self, kind: &str) {
        self.objects.retain(|object| object["kind"] != kind);
    }

    fn cluster(&self) -> Cluster {
        let read = Read {
            label: self.label.to_owned(),
            origin: Origin::Live,
            said_name: None,
            also_called: Vec::new(),
            objects: self.objects.clone(),
            missing: self.missing.clone(),
            is_installed: self.is_installed,
        };
        Cluster::new(read, &GroupSuffix::default(), &self.ignored)
    }
}

/// What is found once both were changed: the codes with their subjects.
fn found(change: impl FnOnce(&mut Draft, &mut Draft)) -> Vec<(&'static str, String)> {
    findings(change).into_iter().map(|finding| (finding.code.word(), finding.subject)).collect()
}

fn findings(change: impl FnOnce(&mut Draft, &mut Draft)) -> Vec<Finding> {
    let (mut staging, mut production) = (draft("staging"), draft("production"));
    change(&mut staging, &mut production);
    compare(Fleet { clusters: &[staging.cluster(), production.cluster()], silent: &[], is_whole: true })
}

#[test]
fn clusters_that_are_alike_but_for_their_audiences_are_no_drift() {
    assert_eq!(found(|_, _| {}), []);
}

#[test]
fn one_audience_in_two_clusters_is_told_first_and_from_both_sides() {
    let findings =
        findings(|_, production| production.object("JWTAuthenticator")["spec"]["audience"] = json!("k8s-staging"));
    let shared = &findings[0];
    assert_eq!(
        (shared.code, shared.subject.as_str()),
        (Code::AudienceShared, "audience \"k8s-staging\" of https://idp.example")
    );
    let clusters: Vec<&str> = shared.seen.iter().flat_map(|seen| &seen.clusters).map(String::as_str).collect();
    assert_eq!(clusters, ["production", "staging"]);
    let rest: Vec<Code> = findings[1..].iter().map(|finding| finding.code).collect();
    assert_eq!(rest, [Code::AudienceOfOtherCluster, Code::AudienceNotListed, Code::AudienceUnused]);
    // Another issuer's audience of the same letters opens nothing.
    let other = found(|_, production| {
        production.object("JWTAuthenticator")["spec"] = json!({"issuer": "https://other", "audience": "k8s-staging",
            "claims": {"username": "email"}});
    });
    assert!(
        other.iter().all(|(code, _)| *code != "audience-shared" && *code != "audience-of-other-cluster"),
        "{other:?}"
    );
}

#[test]
fn an_authenticator_of_one_cluster_may_be_meant_and_its_audience_is_compared_all_the_same() {
    let extra = |audience: &str, labels: Value| {
        json!({"apiVersion": "authentication.concierge.latchkey.dev/v1alpha1", "kind": "JWTAuthenticator",
            "metadata": {"name": "partners", "labels": labels}, "spec": {"issuer": IDP, "audience": audience},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]}})
    };
    let ignore = json!({"latchkey.dev/fleet-check": "ignore"});
    let codes = |object: Value| {
        let found = found(|staging, _| staging.objects.push(object));
        found.into_iter().map(|(code, _)| code).collect::<Vec<_>>()
    };
    assert_eq!(codes(extra("partners", json!({}))), ["authenticator-missing", "audience-not-listed"]);
    assert_eq!(codes(extra("partners", ignore.clone())), ["audience-not-listed"]);
    assert_eq!(codes(extra("k8s-production", ignore))[..2], ["audience-shared", "audience-of-other-cluster"]);
}

#[test]
fn a_webhook_is_missing_only_where_webhooks_could_be_read() {
    let webhook = json!({"apiVersion": "authentication.concierge.latchkey.dev/v1alpha1", "kind": "WebhookAuthenticator",
        "metadata": {"name": "robots"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    let found = |missing: &[Part]| {
        found(|staging, production| {
            staging.objects.push(webhook.clone());
            production.missing.extend(missing);
        })
    };
    assert_eq!(found(&[]), [("authenticator-missing", "WebhookAuthenticator robots".to_owned())]);
    assert_eq!(found(&[Part::WebhookAuthenticators]), [], "that is told as not read");
}

#[test]
fn settings_that_differ_are_told_by_field_with_both_values() {
    let findings =
        findings(|staging, _| staging.object("JWTAuthenticator")["spec"]["claims"]["groups"] = json!("roles"));
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].subject, "JWTAuthenticator corp: spec.claims.groups");
    let mut seen = findings[0].seen.clone();
    seen.sort();
    // What is default may as well be absent.
    assert_eq!(seen, [Seen::new(["production"], "not set"), Seen::new(["staging"], "\"roles\"")]);
}

#[test]
fn what_admits_nobody_or_warns_is_told() {
    let condition = |kind: &str, status: &str| json!({"type": kind, "status": status, "reason": "R", "message": "m", "observedGeneration": 1});
    let not_ready = found(|staging, _| {
        staging.object("JWTAuthenticator")["status"]["conditions"] =
            json!([condition("Ready", "False"), condition("JWKSFetchValid", "False")]);
    });
    assert_eq!(not_ready, [("authenticator-not-ready", "JWTAuthenticator corp".to_owned())]);
    let warns = found(|staging, _| {
        staging.object("JWTAuthenticator")["status"]["conditions"] =
            json!([condition("Ready", "True"), condition("KeysFresh", "False")]);
    });
    assert_eq!(warns, [("authenticator-degraded", "JWTAuthenticator corp".to_owned())]);
    let closed =
        found(|staging, _| staging.object("CredentialIssuer")["status"]["strategies"][0]["status"] = json!("Error"));
    assert_eq!(closed, [("no-credentials", "CredentialIssuer latchkey".to_owned())]);
}

#[test]
fn the_list_is_the_same_everywhere_and_has_everybody_in_it() {
    let other_entry = found(|staging, _| staging.object("FleetCluster")["spec"]["contact"] = json!("#platform"));
    assert_eq!(other_entry, [("list-differs", "FleetCluster staging".to_owned())]);
    let no_list = found(|staging, _| staging.without("FleetCluster"));
    assert_eq!(no_list, [("list-differs", "the whole list".to_owned())]);
    let none_at_all = found(|staging, production| {
        staging.without("FleetCluster");
        production.without("FleetCluster");
    });
    assert_eq!(none_at_all, [("list-missing", "the fleet's list".to_owned())]);
    let renamed = found(|staging, _| staging.object("CredentialIssuer")["status"]["clusterName"] = json!("stage"));
    assert_eq!(
        renamed,
        [
            ("audience-of-other-cluster", "audience \"k8s-staging\" of https://idp.example".to_owned()),
            ("cluster-not-listed", "cluster stage".to_owned())
        ]
    );
    let twins = found(|staging, _| staging.object("CredentialIssuer")["status"]["clusterName"] = json!("production"));
    assert_eq!(twins[1], ("cluster-name-shared", "cluster name \"production\"".to_owned()));
}

#[test]
fn an_audience_that_the_list_gives_twice_is_grave() {
    let both = found(|staging, production| {
        for cluster in [staging, production] {
            cluster.object("FleetCluster")["spec"] = json!({"audiences": ["k8s-staging", "k8s-production"]});
        }
    });
    let codes: Vec<&str> = both.iter().map(|(code, _)| *code).collect();
    assert_eq!(codes, ["audience-of-other-cluster", "list-audience-shared", "audience-unused"]);
    let other_issuers = found(|staging, production| {
        for cluster in [staging, production] {
            cluster.object("FleetCluster")["spec"] =
                json!({"audiences": ["k8s-staging"], "issuers": [IDP, "https://x"]});
            let entries = cluster.objects.iter_mut().filter(|object| object["kind"] == "FleetCluster");
            let production = entries.last().unwrap();
            production["spec"]["audiences"] = json!(["k8s-production"]);
        }
    });
    assert_eq!(other_issuers, []);
}

#[test]
fn a_cluster_without_the_name_that_its_concierge_says_is_known_by_its_audience() {
    let guessed = found(|staging, production| {
        for cluster in [staging, production] {
            cluster.without("CredentialIssuer");
            cluster.missing.insert(Part::CredentialIssuers);
            cluster.label = if cluster.label == "staging" { "admin@one" } else { "admin@two" };
        }
    });
    assert_eq!(guessed, []);
}

#[test]
fn who_is_listed_and_was_not_asked_is_told_unless_some_were_named() {
    let clusters = [draft("staging").cluster()];
    let codes = |silent: &[String], is_whole| {
        let findings = compare(Fleet { clusters: &clusters, silent, is_whole });
        findings.into_iter().map(|finding| finding.code).collect::<Vec<_>>()
    };
    assert_eq!(codes(&[], true), [Code::ClusterNotChecked, Code::TooFew]);
    assert_eq!(codes(&[], false), [Code::TooFew]);
    assert_eq!(codes(&["production".to_owned()], true), [], "that one is told as silent");
}

#[test]
fn grants_are_compared_and_not_the_names_of_bindings() {
    let team =
        |name: &str| binding("RoleBinding", Some("team-a"), name, "edit", &[("Group", "team-a"), ("User", "ann")]);
    let other_name = found(|staging, production| {
        staging.objects.push(team("team"));
        production.objects.push(team("team-a-edit"));
    });
    assert_eq!(other_name, []);
    let one_only = findings(|staging, _| staging.objects.push(team("team")));
    assert_eq!(one_only.len(), 1);
    assert_eq!(one_only[0].subject, "Group team-a, User ann: ClusterRole edit in namespace team-a");
    assert_eq!(
        one_only[0].seen,
        [Seen::new(["staging"], "by RoleBinding team-a/team"), Seen::new(["production"], "not granted")]
    );
    let no_such_namespace = found(|staging, production| {
        staging.objects.push(team("team"));
        production.without("Namespace");
    });
    assert_eq!(no_such_namespace, []);
    let unread = found(|staging, production| {
        staging.objects.push(team("team"));
        production.missing.insert(Part::RoleBindings);
    });
    assert_eq!(unread, [], "nothing is known of it, and that is told elsewhere");
}

#[test]
fn what_everybody_may_do_is_compared_and_what_kubernetes_grants_itself_is_not() {
    for (role, kind, subject, differs) in [
        ("cluster-admin", "Group", "system:authenticated", true),
        ("cluster-admin", "Group", "system:unauthenticated", true),
        ("view", "User", "system:anonymous", true),
        ("system:discovery", "Group", "system:authenticated", false),
        ("cluster-admin", "Group", "system:masters", false),
        ("system:node-bootstrapper", "Group", "system:nodes", false),
    ] {
        let binding = || binding("ClusterRoleBinding", None, "system:some", role, &[(kind, subject)]);
        let found = found(|staging, _| staging.objects.push(binding()));
        assert_eq!(!found.is_empty(), differs, "{role} {subject}: {found:?}");
    }
}

#[test]
fn bindings_that_are_meant_to_differ_may() {
    let edit = || binding("ClusterRoleBinding", None, "developers-edit", "edit", &[("Group", "developers")]);
    let labelled = || {
        let mut binding = edit();
        binding["metadata"]["labels"] = json!({"latchkey.dev/fleet-check": "ignore"});
        binding
    };
    assert_eq!(found(|staging, _| staging.objects.push(edit())).len(), 1);
    assert_eq!(found(|staging, _| staging.objects.push(labelled())), []);
    let named = found(|staging, production| {
        staging.ignored = vec!["*-edit".to_owned()];
        production.ignored.clone_from(&staging.ignored);
        staging.objects.push(edit());
    });
    assert_eq!(named, []);
    // One that may differ is as good as another where it is asked for.
    let both = found(|staging, production| {
        staging.objects.push(edit());
        production.objects.push(labelled());
    });
    assert_eq!(both, []);
}

#[test]
fn a_cluster_without_latchkey_is_told_once() {
    let found = found(|staging, _| {
        staging.is_installed = false;
        for kind in ["JWTAuthenticator", "FleetCluster", "CredentialIssuer"] {
            staging.without(kind);
        }
    });
    assert_eq!(found, [("not-installed", "staging".to_owned())]);
}

#[test]
fn a_fleet_without_any_authenticator_is_not_alike_but_closed() {
    let found = found(|staging, production| {
        staging.without("JWTAuthenticator");
        production.without("JWTAuthenticator");
    });
    assert_eq!(found[0], ("authenticator-missing", "every authenticator".to_owned()));
}

#[test]
fn versions_are_worth_a_note() {
    let found = found(|staging, _| staging.object("CredentialIssuer")["status"]["conciergeVersion"] = json!("0.2.0"));
    assert_eq!(found, [("version-differs", "concierge".to_owned())]);
}
