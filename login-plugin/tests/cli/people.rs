//! `whoami` and `version`.

use std::fs;

use serde_json::{Value, json};

use crate::plugin::{Ended, Laptop, Run, path_with};

/// A laptop with a kubeconfig and a kubectl that plays a cluster with this API group suffix.
fn laptop(suffix: &str) -> Laptop {
    let laptop = Laptop::new();
    let user = |name: &str, more: Value| json!({"name": name, "user": more});
    let exec = json!({"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "kubectl-latchkey",
        "args": ["credential", "--issuer=https://idp.example", "--client-id=staging", "--authenticator=people",
                 "--api-group-suffix=pinniped.dev"]}});
    let context = |name: &str, user: &str| json!({"name": name, "context": {"cluster": "kind:staging", "user": user}});
    let kubeconfig = json!({"current-context": "staging",
        "clusters": [{"name": "kind:staging", "cluster": {"server": "https://staging.example:6443"}}],
        "contexts": [context("staging", "admin"), context("acting", "actor"), context("pinniped", "exec")],
        "users": [user("admin", json!({"token": "TOP-SECRET"})), user("exec", exec),
                  user("actor", json!({"as": "root", "as-groups": ["masters"]}))]});
    fs::write(laptop.path("kubeconfig"), kubeconfig.to_string()).unwrap();
    let whoami = json!({"kind": "WhoAmIRequest", "apiVersion": format!("identity.concierge.{suffix}/v1alpha1"),
        "metadata": {}, "spec": {}, "status": {"kubernetesUserInfo": {"user": {
            "username": "jane@example.com\u{1b}[2J", "uid": "u-1", "groups": ["developers", "system:authenticated"],
            "extra": {"example.com/team": ["blue", "green"]}}}}});
    fs::write(laptop.path("whoami"), whoami.to_string()).unwrap();
    fs::create_dir(laptop.path("bin")).unwrap();
    laptop.executable(
        "bin/kubectl",
        &format!(
            "#!/bin/sh\ncd '{}'\necho \"$@\" >> calls\ncase \"$*\" in\n\
             'create --raw /apis/identity.concierge.{suffix}/v1alpha1/whoamirequests -f '*) cat \"$5\" > question; cat whoami;;\n\
             *) echo \"error: the server could not find the requested resource\" >&2; exit 1;;\nesac\n",
            laptop.path("").display()
        ),
    );
    laptop
}

async fn run(laptop: &Laptop, arguments: &[&str]) -> Ended {
    let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
    let kubeconfig = laptop.path("kubeconfig").display().to_string();
    let environment = vec![("PATH", path_with(&laptop.path("bin"))), ("KUBECONFIG", kubeconfig)];
    Run { laptop, arguments, environment }.end().await
}

#[tokio::test]
async fn whoami_shows_all_that_the_cluster_knows() {
    let laptop = laptop("latchkey.dev");
    let ended = run(&laptop, &["whoami"]).await;
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(
        ended.stdout,
        "\
Cluster:  kind:staging
Server:   https://staging.example:6443
Username: jane@example.com\\u{1b}[2J
UID:      u-1
Groups:   developers
          system:authenticated
Extra:    example.com/team=blue,green
"
    );
    let question: Value = serde_json::from_slice(&fs::read(laptop.path("question")).unwrap()).unwrap();
    assert_eq!(question["apiVersion"], "identity.concierge.latchkey.dev/v1alpha1");
    let calls = fs::read_to_string(laptop.path("calls")).unwrap();
    let file = calls.lines().last().unwrap().split(' ').nth(4).unwrap();
    assert!(!std::path::Path::new(file).exists(), "the temporary file is gone");
}

#[tokio::test]
async fn whoami_speaks_to_programs() {
    let laptop = laptop("latchkey.dev");
    let json: Value = serde_json::from_str(&run(&laptop, &["whoami", "-o", "json"]).await.stdout).unwrap();
    let yaml = run(&laptop, &["whoami", "-o", "yaml"]).await.stdout;
    assert_eq!(json["status"]["kubernetesUserInfo"]["user"]["extra"]["example.com/team"], json!(["blue", "green"]));
    assert_eq!(json["kind"], "WhoAmIRequest");
    assert!(yaml.contains("kind: WhoAmIRequest\n") && yaml.contains("uid: u-1\n"), "{yaml}");
    assert!(!yaml.contains('\u{1b}'), "{yaml}");
}

#[tokio::test]
async fn whoami_tells_for_whom_kubectl_acts() {
    let laptop = laptop("latchkey.dev");
    let by_user = run(&laptop, &["whoami", "--context", "acting"]).await;
    let last = "Acting:   as root with groups masters (user \"actor\" of the kubeconfig says so)\n";
    assert!(by_user.stdout.ends_with(last), "{by_user:?}");
    let by_option = run(&laptop, &["whoami", "--as", "ann", "--as-group=a", "--as-group=b"]).await;
    assert!(by_option.stdout.ends_with("Acting:   as ann with groups a, b (--as)\n"), "{by_option:?}");
    let calls = fs::read_to_string(laptop.path("calls")).unwrap();
    assert!(calls.lines().last().unwrap().contains(" --as=ann --as-group=a --as-group=b"), "{calls}");
}

#[tokio::test]
async fn whoami_works_with_pinniped_and_names_the_group_where_it_does_not() {
    let laptop = laptop("pinniped.dev");
    for arguments in [&["whoami", "--api-group-suffix=pinniped.dev"][..], &["whoami", "--context=pinniped"]] {
        let ended = run(&laptop, arguments).await;
        assert!(ended.stdout.contains("Username: jane"), "{ended:?}");
        let question: Value = serde_json::from_slice(&fs::read(laptop.path("question")).unwrap()).unwrap();
        assert_eq!(question["apiVersion"], "identity.concierge.pinniped.dev/v1alpha1");
    }
    let other = run(&laptop, &["whoami"]).await;
    assert!(other.failure(1).contains("identity.concierge.latchkey.dev is not known there"), "{other:?}");
}

#[tokio::test]
async fn version_speaks_to_people_and_programs() {
    let laptop = laptop("latchkey.dev");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(run(&laptop, &["version"]).await.stdout, format!("kubectl-latchkey {version}\n"));
    assert_eq!(run(&laptop, &["-V"]).await.stdout, format!("kubectl-latchkey {version}\n"));
    let json: Value = serde_json::from_str(&run(&laptop, &["version", "-o", "json"]).await.stdout).unwrap();
    assert_eq!((&json["version"], &json["os"]), (&json!(version), &json!(std::env::consts::OS)));
    assert_eq!(json["protocols"][1], "client.authentication.k8s.io/v1beta1");
    assert!(run(&laptop, &["version", "-o", "yaml"]).await.stdout.contains("name: kubectl-latchkey\n"));
    assert!(run(&laptop, &["version", "-o", "xml"]).await.failure(2).contains("\"text\", \"json\" or \"yaml\""));
}
