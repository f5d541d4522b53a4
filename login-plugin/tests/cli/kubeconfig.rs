//! `kubeconfig` and `whoami` with a kubectl that plays the cluster.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::plugin::{Ended, Laptop, Run, path_with};

fn authenticator(name: &str) -> Value {
    json!({"metadata": {"name": name}, "status": {"phase": "Ready"}, "spec": {
        "issuer": "https://idp.example/", "audience": "staging", "claims": {"username": "email", "groups": "groups"},
        "tls": {"certificateAuthorityData": "SURQ"}}})
}

fn api_strategy() -> Value {
    json!({"type": "CertificateSigningRequestAPI", "status": "Success", "reason": "Issuing", "message": "ok",
        "frontend": {"type": "TokenCredentialRequestAPI",
            "tokenCredentialRequestInfo": {"server": "https://10.0.0.1", "certificateAuthorityData": "SU4="}}})
}

/// A kubectl that answers from files, and writes down how it was called.
fn kubectl(laptop: &Laptop, authenticators: &[Value], strategies: &[Value]) {
    let view = json!({"kind": "Config", "apiVersion": "v1", "current-context": "admin@staging",
        "clusters": [{"name": "kind:staging", "cluster":
            {"server": "https://staging.example:6443", "certificate-authority-data": "QVBJ"}}],
        "contexts": [{"name": "admin@staging", "context": {"cluster": "kind:staging", "user": "admin", "namespace": "apps"}}],
        "users": [{"name": "admin", "user": {"token": "TOP-SECRET"}}]});
    let issuer = json!({"metadata": {"name": "latchkey"}, "status": {"strategies": strategies}});
    let write = |name: &str, value: &Value| fs::write(laptop.path(name), value.to_string()).unwrap();
    write("view", &view);
    write("credentialissuers", &json!({"items": [issuer]}));
    write("jwtauthenticators", &json!({"items": authenticators}));
    fs::create_dir(laptop.path("bin")).unwrap();
    let here = laptop.path("");
    laptop.executable(
        "bin/kubectl",
        &format!(
            "#!/bin/sh\ncd '{}'\necho \"$@\" >> calls\ncase \"$*\" in\n\
             'config view '*) cat view;;\n\
             'get credentialissuers.config.concierge.latchkey.dev '*) cat credentialissuers;;\n\
             'get jwtauthenticators.authentication.concierge.latchkey.dev '*) cat jwtauthenticators;;\n\
             *) echo \"error: unexpected $*\" >&2; exit 1;;\nesac\n",
            here.display()
        ),
    );
}

async fn run(laptop: &Laptop, arguments: &[&str]) -> Ended {
    let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
    let path = path_with(&laptop.path("bin"));
    Run { laptop, arguments, environment: vec![("PATH", path)] }.end().await
}

#[tokio::test]
async fn writes_a_stanza_that_is_complete_and_holds_no_secret() {
    let laptop = Laptop::new();
    kubectl(&laptop, &[authenticator("people")], &[api_strategy()]);
    let ended = run(&laptop, &["kubeconfig", "--name", "staging", "--context", "admin@staging"]).await;
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(
        ended.stdout,
        "\
# Written by `kubectl latchkey kubeconfig`. It holds no secret.
apiVersion: v1
kind: Config
clusters:
- name: latchkey-staging
  cluster:
    server: https://staging.example:6443
    certificate-authority-data: QVBJ
users:
- name: latchkey-staging
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: kubectl-latchkey
      args:
      - credential
      - --cluster-name=staging
      - --issuer=https://idp.example/
      - --client-id=staging
      - --scopes=email
      - --optional-scopes=offline_access,groups
      - --ca-data=SURQ
      - --authenticator=people
      - --concierge-endpoint=https://staging.example:6443
      - --concierge-ca-data=QVBJ
      interactiveMode: IfAvailable
      provideClusterInfo: true
      installHint: |
        kubectl-latchkey is not installed, or not in PATH. How to install it: https://latchkey.dev
        A desktop program that does not know your PATH needs a kubeconfig written with --command-path.
contexts:
- name: staging
  context:
    cluster: latchkey-staging
    user: latchkey-staging
    namespace: apps
current-context: staging
"
    );
    let calls = fs::read_to_string(laptop.path("calls")).unwrap();
    assert_eq!(calls.lines().count(), 3);
    assert!(calls.lines().all(|call| call.contains("--context=admin@staging")), "{calls}");
}

#[tokio::test]
async fn the_proxy_is_the_cluster_where_only_it_works() {
    let laptop = Laptop::new();
    let failing = json!({"type": "CertificateSigningRequestAPI", "status": "Error", "reason": "SignerNeverAnswered", "message": "no"});
    let proxy = json!({"type": "ImpersonationProxy", "status": "Success", "reason": "Listening", "message": "ok",
        "frontend": {"type": "ImpersonationProxy", "impersonationProxyInfo":
            {"endpoint": "https://proxy.example", "certificateAuthorityData": "UFJPWFk="}}});
    kubectl(&laptop, &[authenticator("people")], &[failing, proxy]);
    let ended = run(&laptop, &["kubeconfig", "--command-path=/opt/kubectl-latchkey"]).await;
    assert!(ended.status.success(), "{ended:?}");
    for words in [
        "    server: https://proxy.example\n    certificate-authority-data: UFJPWFk=\n",
        "      command: /opt/kubectl-latchkey\n",
        "      - --concierge-endpoint=https://proxy.example\n",
        "current-context: kind-staging\n",
    ] {
        assert!(ended.stdout.contains(words), "{words}: {}", ended.stdout);
    }
}

#[tokio::test]
async fn several_authenticators_are_named_and_one_is_chosen() {
    let laptop = Laptop::new();
    kubectl(&laptop, &[authenticator("people"), authenticator("robots")], &[api_strategy()]);
    let ended = run(&laptop, &["kubeconfig"]).await;
    assert!(ended.failure(2).contains("people, robots"), "{ended:?}");
    let chosen = run(&laptop, &["kubeconfig", "--authenticator", "robots"]).await;
    assert!(chosen.stdout.contains("--authenticator=robots"), "{chosen:?}");
}

#[tokio::test]
async fn a_strangers_file_is_not_replaced_and_ours_is() {
    let laptop = Laptop::new();
    kubectl(&laptop, &[authenticator("people")], &[api_strategy()]);
    let path = laptop.path("out/staging.yaml");
    let arguments = ["kubeconfig", "--name=staging", "--output", path.to_str().unwrap()];
    for words in ["Wrote context staging to ", "Nothing to change in "] {
        let ended = run(&laptop, &arguments).await;
        assert!(ended.status.success() && ended.stdout.is_empty(), "{ended:?}");
        assert!(ended.said.contains(words), "{ended:?}");
    }
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    fs::write(&path, "apiVersion: v1\n").unwrap();
    run(&laptop, &arguments).await.failure(2);
    assert_eq!(fs::read_to_string(&path).unwrap(), "apiVersion: v1\n");
}

#[tokio::test]
async fn a_cluster_without_latchkey_is_explained() {
    let laptop = Laptop::new();
    kubectl(&laptop, &[authenticator("people")], &[api_strategy()]);
    let ended = run(&laptop, &["kubeconfig", "--api-group-suffix=pinniped.dev"]).await;
    let said = ended.failure(1);
    assert!(
        said.contains("credentialissuers.config.concierge.pinniped.dev") && said.contains("--api-group-suffix"),
        "{said}"
    );
}

#[tokio::test]
async fn kubectl_that_is_not_there_is_named() {
    let laptop = Laptop::new();
    let arguments = vec!["whoami".to_owned()];
    let environment = vec![("KUBECTL_PATH", "/no/such/kubectl".to_owned())];
    let ended = Run { laptop: &laptop, arguments, environment }.end().await;
    assert!(ended.failure(1).contains("KUBECTL_PATH"), "{ended:?}");
}

#[tokio::test]
async fn help_and_version_answer_before_anything_can_fail() {
    let laptop = Laptop::new();
    for arguments in
        [vec![], vec!["--help"], vec!["credential", "--help"], vec!["help", "kubeconfig"], vec!["--version"]]
    {
        let ended = run(&laptop, &arguments).await;
        assert!(ended.status.success() && !ended.stdout.is_empty() && ended.said.is_empty(), "{ended:?}");
    }
    let unknown = run(&laptop, &["credentials"]).await;
    assert!(unknown.failure(2).contains("unknown command \"credentials\""), "{unknown:?}");
}
