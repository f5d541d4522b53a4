//! `kubeconfig` for many clusters at once, and into the reader's own files, with a kubectl that plays the clusters.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::plugin::{Ended, Laptop, Run, path_with};

/// What the reader has before we come, with what a careful person writes into such a file.
const READERS: &str = "\
# Ask Jane before touching this.
apiVersion: v1
kind: Config
current-context: admin@eu   # production!
clusters:
# Frankfurt
- cluster:
    server: https://eu.example:6443
    certificate-authority-data: QVBJ
  name: eu
- name: us
  cluster: {server: 'https://us.example:6443', certificate-authority-data: QVBJ}
contexts:
- context: {cluster: eu, user: admin}
  name: admin@eu
- context: {cluster: us, user: admin}
  name: us
- context: {cluster: far, user: admin}
  name: far
users:
- name: admin
  user:
    token: TOP-SECRET   # rotates on Mondays
x-unknown: [kept]
";

/// A kubectl for three clusters, the last of which does not answer.
struct Clusters {
    laptop: Laptop,
}

impl Clusters {
    fn new() -> Self {
        let laptop = Laptop::new();
        let contexts = [("admin@eu", "eu"), ("us", "us"), ("far", "far")];
        let context =
            |(name, cluster): (&str, &str)| json!({"name": name, "context": {"cluster": cluster, "user": "admin"}});
        let cluster = |name: &str| {
            let server = format!("https://{name}.example:6443");
            json!({"name": name, "cluster": {"server": server, "certificate-authority-data": "QVBJ"}})
        };
        let view = |names: &[(&str, &str)]| {
            json!({"kind": "Config", "apiVersion": "v1", "current-context": "admin@eu",
                "clusters": names.iter().map(|(_, name)| cluster(name)).collect::<Vec<_>>(),
                "contexts": names.iter().copied().map(context).collect::<Vec<_>>(),
                "users": [{"name": "admin", "user": {"token": "TOP-SECRET"}}]})
        };
        let strategy = json!({"type": "ClientCertificateAuthority", "status": "Success", "reason": "Issuing", "message": "ok",
            "frontend": {"type": "TokenCredentialRequestAPI",
                "tokenCredentialRequestInfo": {"server": "https://10.0.0.1", "certificateAuthorityData": "SU4="}}});
        let authenticator = json!({"metadata": {"name": "people"}, "status": {"phase": "Ready"}, "spec": {
            "issuer": "https://idp.example/", "audience": "fleet", "claims": {"username": "email", "groups": "groups"}}});
        let write = |name: &str, value: &Value| fs::write(laptop.path(name), value.to_string()).unwrap();
        write("view", &view(&contexts));
        for context in contexts {
            write(&format!("view-{}", context.0), &view(&[context]));
        }
        write("issuers", &json!({"items": [{"metadata": {"name": "latchkey"}, "status": {"strategies": [strategy]}}]}));
        write("authenticators", &json!({"items": [authenticator]}));
        fs::write(laptop.path("config"), READERS).unwrap();
        fs::create_dir(laptop.path("bin")).unwrap();
        laptop.executable(
            "bin/kubectl",
            &format!(
                "#!/bin/sh\ncd '{}'\necho \"$LATCHKEY_FLOW $*\" >> calls\n\
                 context=current\nfor word; do case $word in --context=*) context=${{word#--context=}};; esac; done\n\
                 case \"$*\" in\n\
                 'config view --minify '*) [ $context = current ] && context=admin@eu; cat \"view-$context\"; exit;;\n\
                 'config view '*) cat view; exit;;\nesac\n\
                 if [ $context = far ]; then echo 'Unable to connect to the server: no route to host' >&2; exit 1; fi\n\
                 case \"$*\" in\n'get credentialissuers.'*) cat issuers;;\n'get jwtauthenticators.'*) cat authenticators;;\n\
                 *) exit 1;;\nesac\n",
                laptop.path("").display()
            ),
        );
        Self { laptop }
    }

    fn config(&self) -> PathBuf {
        self.laptop.path("config")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.config()).unwrap()
    }

    async fn run(&self, arguments: &[&str]) -> Ended {
        self.run_with(&self.config().to_string_lossy(), arguments).await
    }

    async fn run_with(&self, kubeconfig: &str, arguments: &[&str]) -> Ended {
        let arguments = ["kubeconfig"].iter().chain(arguments).map(|&argument| argument.to_owned()).collect();
        let environment = vec![("PATH", path_with(&self.laptop.path("bin"))), ("KUBECONFIG", kubeconfig.to_owned())];
        Run { laptop: &self.laptop, arguments, environment }.end().await
    }
}

/// The text without what we wrote, for comparing the rest byte for byte.
fn without_ours(text: &str) -> String {
    let mut rest = String::new();
    let mut ours = false;
    for line in text.split_inclusive('\n') {
        if !line.starts_with(' ') {
            ours = line.starts_with("- name: latchkey-") || line.starts_with("- name: eu");
        }
        if !ours {
            rest.push_str(line);
        }
    }
    rest
}

#[tokio::test]
async fn each_cluster_gets_a_file_and_one_that_fails_spoils_no_other() {
    let clusters = Clusters::new();
    let ended = clusters.run(&["--all-contexts"]).await;
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let place = clusters.laptop.path("home/.kube/latchkey");
    // `us` is the reader's own context; ours stands beside it.
    let files = ["eu.yaml", "latchkey-us.yaml"].map(|name| place.join(name));
    for file in &files {
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(fs::read_dir(&place).unwrap().count(), 2);
    let config = clusters.config();
    let list = format!("{}:{}:{}", config.display(), files[0].display(), files[1].display());
    assert_eq!(ended.stdout, format!("export KUBECONFIG={list}\n"));
    let said = &ended.said;
    assert!(said.contains("far: Unable to connect to the server: no route to host"), "{said}");
    assert!(said.contains("error: 1 of 3 clusters left out"), "{said}");
    let calls = fs::read_to_string(clusters.laptop.path("calls")).unwrap();
    assert!(calls.lines().filter(|call| call.contains(" get ")).all(|call| call.starts_with("none ")), "{calls}");
    let again = clusters
        .run_with(
            &list,
            &["--context", "admin@eu,us", "--output-dir", place.to_str().unwrap(), "--name-template", "{cluster}"],
        )
        .await;
    assert!(again.status.success() && again.said.contains("Nothing to change in 1 of 2 files"), "{again:?}");
}

#[tokio::test]
async fn many_can_be_one_file_or_standard_output() {
    let clusters = Clusters::new();
    let ended = clusters.run(&["--context=admin@eu,us", "--name-template={context}.sso", "--output=-"]).await;
    assert!(ended.status.success(), "{ended:?}");
    for words in ["- name: admin@eu.sso\n", "- name: us.sso\n", "- name: latchkey-us.sso\n", "--cluster-name=us.sso\n"]
    {
        assert!(ended.stdout.contains(words), "{words}: {}", ended.stdout);
    }
    assert!(!ended.stdout.contains("current-context"), "{}", ended.stdout);
    let same = clusters.run(&["--context=admin@eu,us", "--name-template=all"]).await;
    assert!(same.failure(2).contains("both context admin@eu and context us would be called \"all\""), "{same:?}");
    let unknown = clusters.run(&["--context=admin@eu,asia"]).await;
    assert!(unknown.failure(2).contains("no context \"asia\""), "{unknown:?}");
}

#[tokio::test]
async fn merging_keeps_every_byte_that_is_not_ours() {
    for text in [READERS.to_owned(), READERS.replace('\n', "\r\n")] {
        let clusters = Clusters::new();
        let real = clusters.laptop.path("dotfiles-config");
        fs::rename(clusters.config(), &real).unwrap();
        symlink("dotfiles-config", clusters.config()).unwrap();
        fs::write(&real, &text).unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        let rehearsed = clusters.run(&["--merge", "--output", "-"]).await;
        assert!(rehearsed.said.contains("Not written: Added context eu in "), "{rehearsed:?}");
        assert!(rehearsed.stdout.contains("- name: eu\n") && !rehearsed.stdout.contains("TOP-SECRET"), "{rehearsed:?}");
        assert_eq!(clusters.text(), text);
        let ended = clusters.run(&["--merge"]).await;
        assert!(ended.status.success() && ended.stdout.is_empty(), "{ended:?}");
        for word in ["Added cluster latchkey-eu in ", "Added user latchkey-eu in ", "Added context eu in "] {
            assert!(ended.said.contains(word), "{ended:?}");
        }
        let merged = clusters.text();
        assert_eq!(without_ours(&merged), text);
        assert_eq!(merged.contains("\r\n"), text.contains("\r\n"));
        assert!(
            merged
                .trim_end()
                .split_inclusive('\n')
                .all(|line| line.contains('\r') == text.contains('\r') || !line.contains('\n'))
        );
        assert!(fs::symlink_metadata(clusters.config()).unwrap().is_symlink());
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
        let again = clusters.run(&["--merge"]).await;
        assert!(again.status.success() && again.said.contains("Nothing to change."), "{again:?}");
        assert_eq!(clusters.text(), merged);
        let here = fs::read_dir(clusters.laptop.path("")).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(
            here.into_iter()
                .all(|name| !name.to_string_lossy().contains("lock") && !name.to_string_lossy().contains(".latchkey-"))
        );
    }
}

#[tokio::test]
async fn the_context_in_use_changes_only_when_asked() {
    let clusters = Clusters::new();
    let ended = clusters.run(&["--merge", "--set-current"]).await;
    assert!(ended.said.contains("Changed current-context to eu"), "{ended:?}");
    let text = clusters.text();
    assert!(text.contains("\ncurrent-context: eu # production!\n"), "{text}");
}

#[tokio::test]
async fn a_new_entry_goes_where_kubectl_puts_it_and_an_old_one_stays_where_it_is() {
    let clusters = Clusters::new();
    let second = clusters.laptop.path("second.json");
    fs::write(&second, "{\n    \"kind\": \"Config\",\n    \"x\": {\"b\": 1, \"a\": 2}\n}\n").unwrap();
    let first = clusters.config();
    let list = format!("{}:{}:{}", clusters.laptop.path("missing").display(), first.display(), second.display());
    // Into the second by name, then by the list: both find it there.
    let ended = clusters.run_with(&list, &["--merge", "--output", second.to_str().unwrap(), "--scopes=profile"]).await;
    assert!(ended.status.success(), "{ended:?}");
    let ended = clusters.run_with(&list, &["--merge"]).await;
    assert_eq!(ended.said.trim(), format!("Changed user latchkey-eu in {}", second.display()), "{ended:?}");
    assert_eq!(clusters.text(), READERS);
    let json: Value = serde_json::from_str(&fs::read_to_string(&second).unwrap()).unwrap();
    assert_eq!(json["contexts"][0]["context"], json!({"cluster": "latchkey-eu", "user": "latchkey-eu"}));
    assert!(
        !json.to_string().contains("profile")
            && fs::read_to_string(&second).unwrap().contains("\n    \"x\": {\n        \"b\": 1")
    );
    let ended = clusters.run_with(&list, &["--merge", "--context", "us"]).await;
    assert!(ended.said.contains(&format!("Added context latchkey-us in {}", first.display())), "{ended:?}");
}

#[tokio::test]
async fn what_the_person_changed_in_ours_stays() {
    let clusters = Clusters::new();
    clusters.run(&["--merge"]).await;
    let cluster = "- name: latchkey-eu\n  cluster:\n    server: https://";
    let changed = clusters
        .text()
        .replace("    user: latchkey-eu\n", "    user: latchkey-eu\n    namespace: apps\n")
        .replace(&format!("{cluster}eu.example:6443\n"), &format!("{cluster}old\n    proxy-url: socks5://p\n"));
    assert!(changed.contains("https://old"));
    fs::write(clusters.config(), &changed).unwrap();
    let ended = clusters.run(&["--merge"]).await;
    assert_eq!(ended.said.trim(), format!("Changed cluster latchkey-eu in {}", clusters.config().display()));
    let text = clusters.text();
    assert!(
        text.contains("namespace: apps") && text.contains("proxy-url: socks5://p") && !text.contains("https://old"),
        "{text}"
    );
}

#[tokio::test]
async fn nothing_is_lost_where_nothing_can_be_written() {
    let clusters = Clusters::new();
    let taken = clusters.run(&["--merge", "--name", "us"]).await;
    assert!(taken.failure(2).contains("has a context \"us\" that this command did not write"), "{taken:?}");
    fs::write(clusters.laptop.path("config.lock"), "").unwrap();
    let locked = clusters.run(&["--merge"]).await;
    let said = locked.failure(1);
    assert!(said.contains("config.lock") && said.contains("rm "), "{said}");
    fs::remove_file(clusters.laptop.path("config.lock")).unwrap();
    fs::set_permissions(clusters.config(), fs::Permissions::from_mode(0o400)).unwrap();
    let read_only = clusters.run(&["--merge"]).await;
    assert!(read_only.failure(1).contains("it is read-only"), "{read_only:?}");
    assert_eq!(clusters.text(), READERS);
    assert!(!clusters.laptop.path("config.lock").exists());
    fs::set_permissions(clusters.config(), fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(clusters.config(), "users: [{name: x, user: {token: TOP-SECRET}\n").unwrap();
    let broken = clusters.run(&["--merge"]).await;
    assert!(broken.failure(1).contains("not YAML or JSON") && !broken.said.contains("TOP-SECRET"), "{broken:?}");
}

#[tokio::test]
async fn settings_can_stand_beside_the_cluster_and_people_can_choose_how_to_log_in() {
    let clusters = Clusters::new();
    let options = ["--flow=device", "--store=none", "--client-secret-file=/run/secret", "--account=jane"];
    let ended = clusters.run(&[&options[..], &["--settings-in-cluster"]].concat()).await;
    let written: Value = serde_json::from_str(&serde_norway_json(&ended.stdout)).unwrap();
    assert_eq!(written["users"][0]["user"]["exec"]["args"], json!(["credential"]));
    let extension = &written["clusters"][0]["cluster"]["extensions"][0];
    assert_eq!(extension["name"], "client.authentication.k8s.io/exec");
    let settings = &extension["extension"]["latchkey"];
    for (name, value) in
        [("flow", "device"), ("store", "none"), ("clientSecretFile", "/run/secret"), ("account", "jane")]
    {
        assert_eq!(settings[name], value, "{settings}");
    }
    assert_eq!(settings["clientId"], "fleet");
    let direct = clusters.run(&["--no-exchange", "--issuer=https://idp", "--client-id=c"]).await;
    assert!(direct.stdout.contains("- --no-exchange\n") && !direct.stdout.contains("concierge"), "{direct:?}");
    let calls = fs::read_to_string(clusters.laptop.path("calls")).unwrap();
    assert_eq!(calls.lines().filter(|call| call.contains(" get ")).count(), 2, "the second asked no cluster: {calls}");
}

fn serde_norway_json(yaml: &str) -> String {
    let value: Value = serde_norway::from_str(yaml).unwrap();
    value.to_string()
}
