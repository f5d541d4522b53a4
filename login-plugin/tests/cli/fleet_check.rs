//! `fleet check` with a kubectl that plays a fleet: clusters that are alike, one that drifts, one that forbids, one without
//! Latchkey, one that cannot be reached; and with manifests of a repository. What is said is compared whole.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::plugin::{Ended, Laptop, Run, path_with};

const IDP: &str = "https://idp.example";

fn member(name: &str) -> Value {
    json!({"apiVersion": "config.concierge.latchkey.dev/v1alpha1", "kind": "FleetCluster", "metadata": {"name": name},
        "spec": {"audiences": [format!("k8s-{name}")], "issuers": [IDP]}})
}

fn authenticator(audience: &str) -> Value {
    json!({"apiVersion": "authentication.concierge.latchkey.dev/v1alpha1", "kind": "JWTAuthenticator",
        "metadata": {"name": "corp", "generation": 3, "uid": format!("uid-of-{audience}")},
        "spec": {"issuer": IDP, "audience": audience, "claims": {"username": "email"}},
        "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Success", "observedGeneration": 3}]}})
}

fn binding(name: &str, role: &str, group: &str) -> Value {
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
        "roleRef": {"kind": "ClusterRole", "name": role}, "subjects": [{"kind": "Group", "name": group}]})
}

/// What a cluster has that is as it should be.
fn sound(name: &str) -> Vec<Value> {
    let uid = format!("uid-of-{name}");
    vec![
        authenticator(&format!("k8s-{name}")),
        member("staging"),
        member("production"),
        json!({"apiVersion": "config.concierge.latchkey.dev/v1alpha1", "kind": "CredentialIssuer",
            "metadata": {"name": "latchkey"}, "status": {"clusterName": name, "conciergeVersion": "0.1.0",
            "strategies": [{"type": "ClientCertificateAuthority", "status": "Success", "message": "works"}]}}),
        binding("developers-view", "view", "developers"),
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system", "uid": uid}}),
    ]
}

/// A kubectl that answers by context, and writes down how it was called.
fn kubectl(laptop: &Laptop, clusters: &[(&str, Vec<Value>)], contexts: &[(&str, &str)]) {
    let servers: Vec<&str> = contexts.iter().map(|(_, server)| *server).collect();
    let entries: Vec<Value> = servers
        .iter()
        .map(|server| json!({"name": server, "cluster": {"server": format!("https://{server}:6443")}}))
        .collect();
    let contexts =
        contexts.iter().map(|(name, server)| json!({"name": name, "context": {"cluster": server, "user": "me"}}));
    let kubeconfig = json!({"apiVersion": "v1", "kind": "Config", "clusters": entries, "users": [{"name": "me", "user": {}}],
        "contexts": contexts.collect::<Vec<_>>(), "current-context": "staging"});
    fs::write(laptop.path("kubeconfig"), kubeconfig.to_string()).unwrap();
    for (context, items) in clusters {
        let list = json!({"kind": "List", "apiVersion": "v1", "items": items});
        fs::write(laptop.path(&format!("of-{context}")), list.to_string()).unwrap();
    }
    fs::create_dir_all(laptop.path("bin")).unwrap();
    laptop.executable(
        "bin/kubectl",
        &format!(
            "#!/bin/sh\n[ \"$1\" = kustomize ] && {{ echo \"$GIT_ALLOW_PROTOCOL $HTTPS_PROXY $NO_PROXY\" > '{0}/way-out'; exec cat \"$2/rendered\"; }}\n\
             cd '{0}'\necho \"$LATCHKEY_FLOW $*\" >> calls\n\
             context=$(echo \"$*\" | sed 's/.*--context=\\([^ ]*\\).*/\\1/')\n\
             unknown() {{ echo \"error: the server doesn't have a resource type \\\"jwtauthenticators\\\"\" >&2; exit 1; }}\n\
             forbid() {{ echo 'Error from server (Forbidden): no' >&2; exit 1; }}\n\
             case \"$context $2\" in\n\
             limited*,*|limited*' rolebindings.'*) forbid;;\n\
             bare*jwtauthenticators*|bare*fleetclusters*|bare*credentialissuers*|bare*webhook*) unknown;;\n\
             far*) printf 'Unable to connect to the server: dial \\033[2Jtcp\\n\\n' >&2; exit 1;;\n\
             tired*) echo 'Unable to connect to the server: getting credentials: exec: executable kubectl-latchkey failed with exit code 3' >&2; exit 1;;\n\
             limited*) grep -q . \"of-$context-$2\" 2>/dev/null && exec cat \"of-$context-$2\"; echo '{{\"items\": []}}';;\n\
             *) cat \"of-$context\";;\nesac\n",
            laptop.path("").display()
        ),
    );
}

async fn check(laptop: &Laptop, arguments: &[&str]) -> Ended {
    let arguments = [&["fleet", "check"], arguments].concat().into_iter().map(str::to_owned).collect();
    let kubeconfig = laptop.path("kubeconfig").display().to_string();
    let environment = vec![("PATH", path_with(&laptop.path("bin"))), ("KUBECONFIG", kubeconfig)];
    Run { laptop, arguments, environment }.end().await
}

/// The whole of what is seen, as a stored file has it. `UPDATE_SNAPSHOTS=1` writes them anew.
fn compare(name: &str, ended: &Ended) {
    let found = format!(
        "exit status {}\n--- standard output\n{}--- standard error\n{}\n",
        ended.status.code().unwrap(),
        ended.stdout,
        ended.said
    );
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/snapshots").join(format!("fleet-check-{name}.txt"));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(&path, found).unwrap();
    } else {
        assert_eq!(fs::read_to_string(&path).unwrap_or_default(), found, "{name}");
    }
}

const BOTH: [(&str, &str); 2] = [("staging", "staging"), ("production", "production")];

#[tokio::test]
async fn clusters_that_are_alike_are_no_drift() {
    let laptop = Laptop::new();
    let contexts = [BOTH[0], ("dev@staging", "staging"), BOTH[1]];
    kubectl(&laptop, &[("staging", sound("staging")), ("production", sound("production"))], &contexts);
    let ended = check(&laptop, &[]).await;
    compare("alike", &ended);
    assert_eq!(ended.status.code(), Some(0));
    let calls = fs::read_to_string(laptop.path("calls")).unwrap();
    assert_eq!(calls.lines().count(), 2, "one call a cluster, whatever contexts lead there: {calls}");
    assert!(calls.lines().all(|call| call.starts_with("none get ")), "nobody is asked to log in: {calls}");
    assert!(!calls.contains("secrets"), "{calls}");
    let yaml = check(&laptop, &["-o", "yaml"]).await;
    assert!(yaml.stdout.contains("findings: []\n") && yaml.stdout.contains("conciergeVersion: 0.1.0\n"), "{yaml:?}");
}

#[tokio::test]
async fn everything_that_differs_is_told_the_gravest_first() {
    let laptop = Laptop::new();
    let mut production = sound("production");
    production[0] = authenticator("k8s-staging");
    production[0]["spec"]["claims"]["groups"] = json!("roles");
    production[0]["status"]["conditions"][0]["status"] = json!("False");
    production[2]["spec"]["contact"] = json!("#platform");
    production[3]["status"]["conciergeVersion"] = json!("0.2.0");
    production[4] = binding("developers-edit", "edit", "developers");
    kubectl(&laptop, &[("staging", sound("staging")), ("production", production)], &BOTH);
    let ended = check(&laptop, &[]).await;
    compare("drift", &ended);
    assert_eq!(ended.status.code(), Some(1));
    let ended = check(&laptop, &["-o", "json", "--ignore", "developers-*"]).await;
    assert_eq!(ended.status.code(), Some(1));
    let answer: Value = serde_json::from_str(&ended.stdout).unwrap();
    let codes: Vec<&str> =
        answer["findings"].as_array().unwrap().iter().map(|finding| finding["code"].as_str().unwrap()).collect();
    let expected = [
        "audience-shared",
        "audience-of-other-cluster",
        "authenticator-differs",
        "authenticator-not-ready",
        "list-differs",
        "audience-not-listed",
        "audience-unused",
        "version-differs",
    ];
    assert_eq!(codes, expected);
    assert_eq!(answer["findings"][0]["severity"], "critical");
    assert_eq!(answer["findings"][0]["seen"][0]["clusters"], json!(["production"]));
    assert_eq!(
        answer["clusters"][1],
        json!({"cluster": "production", "name": "production", "conciergeVersion": "0.2.0"})
    );
}

#[tokio::test]
async fn who_could_not_be_asked_never_passes_for_equal() {
    let laptop = Laptop::new();
    let contexts = [BOTH[0], BOTH[1], ("limited", "finance"), ("far", "far"), ("tired", "tired")];
    kubectl(&laptop, &[("staging", sound("staging")), ("production", sound("production"))], &contexts);
    for (resource, place) in [
        ("jwtauthenticators.authentication.concierge.latchkey.dev", 0..1),
        ("credentialissuers.config.concierge.latchkey.dev", 3..4),
        ("clusterrolebindings.rbac.authorization.k8s.io", 4..5),
        ("fleetclusters.config.concierge.latchkey.dev", 1..3),
    ] {
        let list = json!({"items": sound("finance")[place]});
        fs::write(laptop.path(&format!("of-limited-{resource}")), list.to_string()).unwrap();
    }
    compare("unread", &check(&laptop, &["--contexts", "staging,production,limited,far,tired"]).await);
    let silent = check(&laptop, &["--contexts", "staging,far"]).await;
    compare("silent", &silent);
    assert_eq!(silent.status.code(), Some(6), "nothing found, and not all asked");
    let json = check(&laptop, &["--contexts", "staging,far", "-o", "json"]).await;
    let answer: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(answer["unread"][0]["cluster"], "far");
}

#[tokio::test]
async fn a_cluster_without_latchkey_and_one_that_nobody_asked_are_found() {
    let laptop = Laptop::new();
    kubectl(&laptop, &[("staging", sound("staging")), ("bare", Vec::new())], &[BOTH[0], ("bare", "bare")]);
    let bare = json!({"items": [binding("developers-view", "view", "developers")]});
    fs::write(laptop.path("of-bare"), bare.to_string()).unwrap();
    compare("not-installed", &check(&laptop, &[]).await);
}

#[tokio::test]
async fn two_ways_to_one_cluster_are_told() {
    let laptop = Laptop::new();
    let clusters = [("staging", sound("staging")), ("vpn", sound("staging")), ("production", sound("production"))];
    kubectl(&laptop, &clusters, &[BOTH[0], ("vpn", "vpn"), BOTH[1]]);
    compare("same-cluster", &check(&laptop, &[]).await);
    assert_eq!(check(&laptop, &["--contexts", "staging,production"]).await.status.code(), Some(0));
}

#[tokio::test]
async fn what_cannot_be_asked_at_all_is_said() {
    let laptop = Laptop::new();
    kubectl(&laptop, &[], &[]);
    assert!(check(&laptop, &[]).await.failure(2).contains("no context"));
    kubectl(&laptop, &[("staging", sound("staging"))], &BOTH[..1]);
    assert!(check(&laptop, &["--context", "nowhere"]).await.failure(2).contains("no context \"nowhere\""));
    assert!(check(&laptop, &["--dir", "/no/such/folder"]).await.failure(2).contains("/no/such/folder"));
    assert_eq!(check(&laptop, &["--context", "staging"]).await.status.code(), Some(0), "one alone: a note");
}

/// A folder for each cluster: plain manifests in the one, a kustomization in the other.
fn repository(laptop: &Laptop, change: impl FnOnce(&mut Vec<Value>)) -> String {
    let stream =
        |objects: &[Value]| objects.iter().map(|object| format!("---\n{object}\n")).collect::<Vec<_>>().concat();
    let declared = |name: &str| {
        let mut objects = sound(name);
        objects.remove(3);
        for object in &mut objects {
            object.as_object_mut().unwrap().remove("status");
        }
        objects
    };
    let mut production = declared("production");
    change(&mut production);
    let settings = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "latchkey-settings-k5t7"},
        "data": {"cluster-name": "production"}});
    production.push(settings);
    fs::create_dir_all(laptop.path("clusters/staging/rbac")).unwrap();
    fs::create_dir_all(laptop.path("clusters/prod/latchkey")).unwrap();
    fs::write(laptop.path("clusters/README.md"), "words").unwrap();
    let staging = declared("staging");
    fs::write(laptop.path("clusters/staging/latchkey.yaml"), stream(&staging[..3])).unwrap();
    fs::write(
        laptop.path("clusters/staging/rbac/all.json"),
        json!({"kind": "List", "items": staging[3..]}).to_string(),
    )
    .unwrap();
    fs::write(laptop.path("clusters/prod/latchkey/kustomization.yaml"), "resources: [../../../elsewhere]").unwrap();
    // Two kustomizations, the second within the first: each is applied by itself. What lies beside them is theirs to use.
    fs::create_dir_all(laptop.path("clusters/prod/latchkey/access")).unwrap();
    fs::write(laptop.path("clusters/prod/latchkey/patch.yaml"), stream(&[authenticator("k8s-patched")])).unwrap();
    fs::write(laptop.path("clusters/prod/latchkey/access/kustomization.yml"), "kind: Kustomization").unwrap();
    fs::create_dir_all(laptop.path("clusters/prod/latchkey/component")).unwrap();
    fs::write(laptop.path("clusters/prod/latchkey/component/kustomization.yaml"), "kind: Component\n").unwrap();
    // What was rendered on top wins over the base of it.
    let below = [&production[..1], &[authenticator("k8s-base")]].concat();
    fs::write(laptop.path("clusters/prod/latchkey/rendered"), stream(&production)).unwrap();
    fs::write(laptop.path("clusters/prod/latchkey/access/rendered"), stream(&below)).unwrap();
    laptop.path("clusters").display().to_string()
}

#[tokio::test]
async fn a_repository_is_checked_before_it_is_applied() {
    let laptop = Laptop::new();
    kubectl(&laptop, &[], &[]);
    let folder = repository(&laptop, |_| {});
    fs::create_dir_all(laptop.path("clusters/shared")).unwrap();
    let alike = check(&laptop, &["--dir", &folder, "--contexts", "staging,prod"]).await;
    compare("files-alike", &alike);
    assert_eq!(alike.status.code(), Some(0));
    let whole = check(&laptop, &["--dir", &folder]).await;
    assert_eq!(whole.status.code(), Some(1), "a folder without anything is no cluster that is well: {whole:?}");
    assert!(check(&laptop, &["--dir", &folder, "--context", "x"]).await.failure(2).contains("no folder \"x\""));
    repository(&laptop, |production| {
        production[0] = authenticator("k8s-staging");
        production.push(binding("sre-admin", "cluster-admin", "sre"));
    });
    fs::remove_dir(laptop.path("clusters/shared")).unwrap();
    let drift = check(&laptop, &["--dir", &folder]).await;
    compare("files-drift", &drift);
    assert_eq!(drift.status.code(), Some(1));
}

#[tokio::test]
async fn files_that_are_not_what_a_cluster_gets_never_pass_for_equal() {
    let laptop = Laptop::new();
    kubectl(&laptop, &[], &[]);
    let folder = repository(&laptop, |production| production[0] = authenticator("k8s-${cluster}"));
    let variable = check(&laptop, &["--dir", &folder]).await;
    assert_eq!(variable.status.code(), Some(6), "{variable:?}");
    assert!(variable.said.contains("JWTAuthenticator corp holds a variable"), "{variable:?}");
    fs::write(laptop.path("clusters/staging/broken.yaml"), "a: {{ .Values.a }}").unwrap();
    let broken = check(&laptop, &["--dir", &folder]).await;
    assert_eq!(broken.status.code(), Some(6), "{broken:?}");
    assert!(broken.said.contains("staging/broken.yaml is no manifest"), "{broken:?}");
}

#[tokio::test]
async fn nothing_is_fetched_to_render_what_a_cluster_gets() {
    let laptop = Laptop::new();
    kubectl(&laptop, &[], &[]);
    let folder = repository(&laptop, |_| {});
    assert_eq!(check(&laptop, &["--dir", &folder]).await.status.code(), Some(0));
    let way_out = fs::read_to_string(laptop.path("way-out")).unwrap();
    assert_eq!(way_out, "none http://127.0.0.1:9 \n", "for what was not seen to lie elsewhere");
    fs::remove_file(laptop.path("way-out")).unwrap();
    fs::create_dir_all(laptop.path("elsewhere")).unwrap();
    let base = "resources: ['https://git.example/platform/base?ref=v1']";
    fs::write(laptop.path("elsewhere/kustomization.yaml"), base).unwrap();
    let ended = check(&laptop, &["--dir", &folder]).await;
    assert_eq!(ended.status.code(), Some(1), "a cluster of the list was not looked at: {ended:?}");
    assert!(ended.said.contains("1 cluster not read"), "{ended:?}");
    for words in
        ["prod: ", "elsewhere/kustomization.yaml", "https://git.example/platform/base?ref=v1", "`kustomize build`"]
    {
        assert!(ended.said.contains(words), "{words}: {}", ended.said);
    }
    let json = check(&laptop, &["--dir", &folder, "-o", "json"]).await;
    let answer: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(answer["unread"][0]["cluster"], "prod");
    let compared: Vec<&Value> = answer["clusters"].as_array().unwrap().iter().map(|one| &one["cluster"]).collect();
    assert_eq!(compared, ["staging"], "the other is read all the same");
    assert!(!laptop.path("way-out").exists(), "kustomize was not even begun with: {way_out}");
}

#[tokio::test]
async fn a_file_without_an_end_is_named_and_not_read() {
    let laptop = Laptop::new();
    kubectl(&laptop, &[], &[]);
    let folder = repository(&laptop, |_| {});
    fs::File::create(laptop.path("clusters/staging/dump.yaml")).unwrap().set_len(1 << 40).unwrap();
    let ended = check(&laptop, &["--dir", &folder]).await;
    assert_eq!(ended.status.code(), Some(6), "{ended:?}");
    assert!(ended.said.contains("staging/dump.yaml: larger than 16 MiB"), "{ended:?}");
}

/// The concierge cleans what it writes; these are a cluster and a kubectl that do not.
#[tokio::test]
async fn nothing_that_a_cluster_sends_moves_the_cursor() {
    let laptop = Laptop::new();
    let hostile = format!("\u{1b}[2J\u{9b}31m\u{202e}eve\n\u{2028}{}", "x".repeat(64 * 1024));
    let mut production = sound("production");
    production[0]["metadata"]["name"] = json!(hostile);
    production[0]["spec"]["issuer"] = json!(hostile);
    production[2]["spec"]["contact"] = json!(hostile);
    production[3]["status"]["clusterName"] = json!(hostile);
    production[4]["metadata"]["name"] = json!(hostile);
    production[4]["subjects"][0]["name"] = json!(hostile);
    let clusters = [("staging", sound("staging")), ("production", production)];
    kubectl(&laptop, &clusters, &[BOTH[0], BOTH[1], ("far", "far")]);
    for format in ["text", "json", "yaml"] {
        let ended = check(&laptop, &["-o", format]).await;
        assert_eq!(ended.status.code(), Some(1), "{format}");
        let dangerous = |character: char| {
            character != '\n' && (character.is_control() || ['\u{202e}', '\u{2028}'].contains(&character))
        };
        assert!(!ended.stdout.contains(dangerous) && !ended.said.contains(dangerous), "{format}");
        if format == "text" {
            assert!(ended.stdout.lines().all(|line| line.chars().count() < 400), "{}", ended.stdout);
        }
    }
}
