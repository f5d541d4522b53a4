//! `rejections` with a kubectl that plays a fleet: one cluster that answers, one with the same objects by another context, one
//! that forbids, one without Latchkey, and one that cannot be reached.

use std::fs;

use serde_json::{Value, json};

use crate::plugin::{Ended, Laptop, Run, path_with};

const CONTEXTS: [(&str, &str); 6] = [
    ("admin@production", "production"),
    ("dev@production", "production"),
    ("forbidden", "finance"),
    ("old", "old"),
    ("staging", "staging"),
    ("unreachable", "far"),
];

fn rejection(uid: &str, subject: &str, code: &str, from: Option<&str>, seconds_ago: i64, count: i64) -> Value {
    let seen = jiff_time(-seconds_ago);
    let mut status = json!({"authenticator": "corp", "code": code, "severity": "high", "subject": subject,
        "issuer": "https://idp.example", "audience": ["k8s-staging"], "source": "10.3.4.5", "userAgent": "kubectl/v1.36",
        "fingerprint": "sha256:9f2c9f2c9f2c9f2c", "count": count, "firstSeen": seen, "lastSeen": seen,
        "lastAuditID": "5c1e", "replica": "latchkey-1", "expiresAt": jiff_time(600_000)});
    if let Some(from) = from {
        status["claimedCluster"] = from.into();
        status["state"] = "live".into();
    }
    json!({"kind": "TokenRejection", "metadata": {"name": format!("corp-{uid}"), "uid": uid}, "status": status})
}

/// A time so many seconds from now.
fn jiff_time(seconds: i64) -> String {
    let now = jiff::Timestamp::now().as_second();
    jiff::Timestamp::from_second(now + seconds).unwrap().to_string()
}

/// A kubectl that answers by context, and writes down how it was called.
fn kubectl(laptop: &Laptop, objects: &[(&str, Vec<Value>)]) {
    let contexts = CONTEXTS.map(|(name, cluster)| json!({"name": name, "context": {"cluster": cluster, "user": "me"}}));
    let view = json!({"kind": "Config", "contexts": contexts, "current-context": "staging", "users": null});
    let write = |name: &str, value: &Value| fs::write(laptop.path(name), value.to_string()).unwrap();
    write("view", &view);
    for (context, items) in objects {
        write(&format!("list-{context}"), &json!({"kind": "List", "apiVersion": "v1", "items": items}));
    }
    fs::create_dir(laptop.path("bin")).unwrap();
    laptop.executable(
        "bin/kubectl",
        &format!(
            "#!/bin/sh\ncd '{}'\necho \"$LATCHKEY_FLOW $*\" >> calls\n\
             case \"$*\" in\n\
             'config view '*) cat view;;\n\
             'get tokenrejections'*) case \"$*\" in\n\
             *--context=forbidden*) echo 'W1121 noise' >&2; echo 'Error from server (Forbidden): tokenrejections is forbidden' >&2; exit 1;;\n\
             *--context=old*) printf \"error: the server doesn't have a resource type \\\"tokenrejections\\\"\\n\" >&2; exit 1;;\n\
             *--context=unreachable*) printf 'Unable to connect to the server: dial \\033[2Jtcp\\n\\n' >&2; exit 1;;\n\
             *--context=dev@production*) echo 'Error from server (Forbidden): no' >&2; exit 1;;\n\
             *--context=admin@production*) cat list-production;;\n\
             *--context=staging*) cat list-staging;;\n\
             esac;;\n\
             *) echo \"error: unexpected $*\" >&2; exit 1;;\nesac\n",
            laptop.path("").display()
        ),
    );
}

fn fleet(laptop: &Laptop) {
    kubectl(
        laptop,
        &[
            (
                "production",
                vec![
                    rejection("1", "ada", "audience-other-cluster", Some("staging"), 90, 3),
                    rejection("2", "bob", "audience-mismatch", None, 100_000, 1),
                ],
            ),
            ("staging", vec![rejection("3", "eve", "audience-other-cluster", Some("production"), 400, 12)]),
        ],
    );
}

async fn run(laptop: &Laptop, arguments: &[&str]) -> Ended {
    let arguments = [&["rejections"], arguments].concat().into_iter().map(str::to_owned).collect();
    let path = path_with(&laptop.path("bin"));
    Run { laptop, arguments, environment: vec![("PATH", path)] }.end().await
}

/// A table's lines without their last column, which is an age and moves.
fn without_age(table: &str) -> Vec<String> {
    table.lines().map(|line| line.rsplit_once("   ").unwrap().0.trim_end().to_owned()).collect()
}

#[tokio::test]
async fn the_cluster_in_use_is_asked_by_default() {
    let laptop = Laptop::new();
    fleet(&laptop);
    let ended = run(&laptop, &[]).await;
    assert_eq!((ended.status.code(), ended.said.as_str()), (Some(0), ""), "{ended:?}");
    assert_eq!(
        without_age(&ended.stdout),
        [
            "CLUSTER   FROM-CLUSTER   CODE                     SUBJECT   SOURCE     COUNT",
            "staging   production     audience-other-cluster   eve       10.3.4.5   12",
        ]
    );
    let age = ended.stdout.lines().nth(1).unwrap().rsplit_once(' ').unwrap().1;
    assert!(age.starts_with("6m") || age.starts_with("7m"), "{age}: it was 400 s ago");
    let calls = fs::read_to_string(laptop.path("calls")).unwrap();
    assert!(calls.contains(" get tokenrejections -o json --context=staging --request-timeout=30s\n"), "{calls}");
}

#[tokio::test]
async fn the_whole_fleet_is_told_and_who_could_not_be_read_is_said() {
    let laptop = Laptop::new();
    fleet(&laptop);
    let ended = run(&laptop, &["--all-contexts"]).await;
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert_eq!(
        without_age(&ended.stdout),
        [
            "CLUSTER            FROM-CLUSTER   CODE                     SUBJECT   SOURCE     COUNT",
            "admin@production   staging        audience-other-cluster   ada       10.3.4.5   3",
            "staging            production     audience-other-cluster   eve       10.3.4.5   12",
            "admin@production   <none>         audience-mismatch        bob       10.3.4.5   1",
        ]
    );
    assert_eq!(
        ended.said,
        "forbidden: you may not list tokenrejections there\n\
         old: no TokenRejections are known there: Latchkey is not installed, or is older than this\n\
         unreachable: Unable to connect to the server: dial \\u{1b}[2Jtcp\n\
         error: 3 of 5 contexts not read\n\n\
         hint: reading needs the ClusterRole latchkey-rejections-viewer; ask the cluster's administrator",
        "production was read by another context"
    );
    let calls = fs::read_to_string(laptop.path("calls")).unwrap();
    let asked = calls.lines().filter(|line| line.contains("get tokenrejections"));
    assert!(asked.clone().all(|line| line.starts_with("none ")), "nobody is asked to log in: {calls}");
    assert_eq!(asked.count(), 6);
}

#[tokio::test]
async fn contexts_codes_and_times_can_be_chosen() {
    let laptop = Laptop::new();
    fleet(&laptop);
    let both = ["--context", "admin@production,staging"];
    let subjects = async |more: &[&str]| {
        let ended = run(&laptop, &[&both, more, &["-o", "json"]].concat()).await;
        assert!(ended.status.success(), "{ended:?}");
        let answer: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(answer["read"], json!(["admin@production", "staging"]));
        let rows = answer["rejections"].as_array().unwrap().clone();
        rows.iter().map(|row| row["subject"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(subjects(&[]).await, ["ada", "eve", "bob"]);
    assert_eq!(subjects(&["--since", "24h"]).await, ["ada", "eve"]);
    assert_eq!(subjects(&["--since", "3m"]).await, ["ada"]);
    assert_eq!(subjects(&["--code", "audience-mismatch,audience-shared"]).await, ["bob"]);
    let none = run(&laptop, &[&both[..], &["--code", "audience-shared"]].concat()).await;
    assert_eq!(
        (none.status.code(), none.stdout.as_str(), none.said.as_str()),
        (Some(0), "", "No refused tokens found.")
    );
    let unknown = run(&laptop, &["--context", "nowhere"]).await;
    assert!(unknown.failure(2).contains("no context \"nowhere\""), "{unknown:?}");
}

#[tokio::test]
async fn a_wide_table_and_yaml_tell_the_rest() {
    let laptop = Laptop::new();
    fleet(&laptop);
    let wide = run(&laptop, &["-o", "wide"]).await;
    for words in ["FIRST-SEEN", "SEVERITY", "sha256:9f2c9f2c9f2c9f2c   5c1e            latchkey-1", "kubectl/v1.36"] {
        assert!(wide.stdout.contains(words), "{words}: {}", wide.stdout);
    }
    let yaml = run(&laptop, &["-o", "yaml"]).await;
    for words in ["rejections:\n", "  context: staging\n", "  claimedCluster: production\n", "  count: 12\n"] {
        assert!(yaml.stdout.contains(words), "{words}: {}", yaml.stdout);
    }
}

/// The concierge cleans what it writes; this is a cluster that does not.
#[tokio::test]
async fn nothing_that_a_cluster_sends_moves_the_cursor() {
    let hostile = format!("\u{1b}[2J\u{9b}31m\u{202e}eve\n{{\"a\":1}}\u{2028}{}", "x".repeat(64 * 1024));
    let laptop = Laptop::new();
    kubectl(&laptop, &[("staging", vec![rejection("3", &hostile, &hostile, Some(&hostile), 10, 1)])]);
    for format in ["table", "wide", "json", "yaml"] {
        let ended = run(&laptop, &["-o", format]).await;
        assert!(ended.status.success(), "{format}");
        let dangerous = |character: char| {
            character != '\n' && (character.is_control() || ['\u{202e}', '\u{2028}'].contains(&character))
        };
        assert!(!ended.stdout.contains(dangerous), "{format}");
        match format {
            "json" => {
                let answer: Value = serde_json::from_str(&ended.stdout).unwrap();
                assert_eq!(answer["rejections"][0]["subject"], hostile, "for programs it is what it was");
            }
            "table" => {
                assert_eq!(ended.stdout.lines().count(), 2, "{}", ended.stdout);
                assert!(ended.stdout.lines().all(|line| line.chars().count() < 300), "{}", ended.stdout);
            }
            _ => {}
        }
    }
}
